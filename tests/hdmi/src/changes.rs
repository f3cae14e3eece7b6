//! Changes of the signal while the agent records by itself.
//!
//! One boot: the agent runs as a server, the input is switched from one state to the next, and the agent must
//! report each and do what follows from it. In the end every stretch of a steady signal is a file of its own, with
//! the right size of picture, that an independent reader has nothing to say against.
//!
//! Meanwhile somebody sets the clock, forward and then back to before all that was recorded: files are called by it,
//! and nothing else depends on it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::agent::{self, Agent};
use crate::clip::Clip;
use crate::disk::Disk;
use crate::guest::{DISK, Event, Guest, Job, RECORDINGS, Setup};
use crate::holder::Holder;
use crate::image::{self, Health};
use crate::nbd::SharedDisk;
use crate::signal::{PAL, Signal, VGA};

const SIZE: u64 = 256 << 20;
/// How long the agent may take to start, and to notice a change and act on it, in the guest's time: it has to try
/// encoders first.
const PATIENCE: Duration = Duration::from_secs(60);
/// So much of each stretch must be durable before the next change, in seconds.
const STRETCH: f64 = 2.0;

/// What happens, and what must come of it.
const CHANGES: &[(Change, Expected)] = &[
    (Change::Signal(Signal::Off), Expected::State("no_signal")),
    (Change::Occupied(VGA), Expected::Problem("device_busy")),
    (Change::Released, Expected::Recording(640, 480)),
    (Change::Clock(90), Expected::GoesOn),
    (Change::Signal(Signal::NoLock), Expected::State("no_lock")),
    (
        Change::Signal(Signal::OutOfRange),
        Expected::State("unsupported"),
    ),
    // From nothing, and from another picture.
    (Change::Signal(PAL), Expected::Recording(720, 576)),
    (Change::Signal(VGA), Expected::Recording(640, 480)),
    (Change::Clock(-300), Expected::GoesOn),
    (Change::Signal(Signal::Off), Expected::State("no_signal")),
    (Change::Signal(VGA), Expected::Recording(640, 480)),
    (
        Change::Signal(Signal::Unplugged),
        Expected::State("no_device"),
    ),
    (
        Change::Signal(Signal::PluggedIn),
        Expected::Recording(1280, 720),
    ),
];

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    /// To the signal.
    Signal(Signal),
    /// Another program occupies the device, then the signal changes.
    Occupied(Signal),
    /// That program ends.
    Released,
    /// The clock is set by so many seconds.
    Clock(i64),
}

/// A steady signal, as the agent reported it.
#[derive(Debug)]
struct Stretch {
    /// The file's name.
    name: String,
    /// Before it was made, and after what came next was reported, in the guest's time.
    from: Duration,
    to: Duration,
}

/// What the agent must report.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    /// This signal, and that it does not record.
    State(&'static str),
    /// What keeps it from recording.
    Problem(&'static str),
    /// A steady signal of this size, and a new file that grows.
    Recording(u64, u64),
    /// The same file, that grows on.
    GoesOn,
}

/// Goes through all changes. `on_change` hears what was done, what came of it, and after how long in the
/// guest's time.
///
/// # Errors
/// When the agent does not report what it should, or a recording is not as it should be.
pub async fn run(
    setup: &Setup,
    agent: &Agent,
    mut on_change: impl FnMut(&str, Duration),
) -> Result<Vec<Clip>> {
    let disk = SharedDisk::new(Disk::new(image::fresh(SIZE, &setup.work)?));
    let mut guest = setup.boot(&disk).await?;
    guest.must(&format!("mount {DISK} {RECORDINGS}")).await?;
    guest.must(&Signal::Off.command()).await?;
    let server = guest.start(&agent.serve(RECORDINGS)).await?;
    listens(&mut guest, server).await?;
    let watch = guest.start(&agent::watch()).await?;
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut length = 0.0;
    let mut holder = None;
    for (change, expected) in CHANGES {
        let (change, expected) = (*change, *expected);
        let from = guest.now();
        match change {
            Change::Occupied(signal) => {
                holder = Some(Holder::start(&mut guest).await?);
                guest.must(&signal.command()).await?;
            }
            Change::Released => {
                if let Some(holder) = holder.take() {
                    holder.stop(&mut guest).await?;
                }
            }
            Change::Signal(signal) => drop(guest.must(&signal.command()).await?),
            Change::Clock(seconds) => {
                let command = format!("date --set '{seconds:+} seconds'");
                guest.must(&command).await?;
            }
        }
        let begun = guest.now();
        let before = stretches.last().map(|it| (it.name.as_str(), length));
        let state = reported(&mut guest, watch, expected, before).await;
        let state = match state {
            Ok(state) => state,
            Err(error) => return Err(error.context(log(&mut guest, server).await?)),
        };
        length = state["file"]["duration_seconds"].as_f64().unwrap_or(0.0);
        // Until now the one before may have grown.
        if let Some(last) = stretches.last_mut() {
            last.to = guest.now();
        }
        if let (Expected::Recording(..), Some(name)) =
            (expected, state["file"]["filename"].as_str())
        {
            let (name, to) = (name.to_owned(), guest.now());
            stretches.push(Stretch { name, from, to });
        }
        on_change(&format!("{change:?}: {expected:?}"), guest.now() - begun);
    }
    refused(&mut guest, agent).await?;
    guest.must(agent::stop()).await?;
    let ended = guest.wait(server).await?;
    if ended.code != 0 {
        bail!(
            "the agent ends with {}: {}",
            ended.code,
            ended.lines.join("\n")
        );
    }
    if let Some(last) = stretches.last_mut() {
        last.to = guest.now();
    }
    guest.shut_down().await?;
    let to = setup.work.join("recordings");
    if disk.with(|disk| image::unpack(disk.medium(), &to))? != Health::Clean {
        bail!("the file system was unmounted and is not clean");
    }
    clips(&to, &stretches)
}

/// A second agent must be told that the device is in use, and must not harm the first, as its file shows.
async fn refused(guest: &mut Guest, agent: &Agent) -> Result<()> {
    let device = "$(echo /dev/video*)";
    let second = agent.record_from(device, "/run/second.mp4", "--seconds 1");
    let output = guest.run(&second).await?;
    let said = output.lines.join("\n");
    if output.code != 1 || !said.contains("is busy") {
        bail!("a second agent ends with {}: {said}", output.code);
    }
    Ok(())
}

/// Waits until the agent takes connections.
async fn listens(guest: &mut Guest, server: Job) -> Result<()> {
    let until = guest.now() + PATIENCE;
    let mut said = Vec::new();
    loop {
        match guest.next(server, until).await? {
            Some((_, Event::Line(line))) if line.contains("listens on") => return Ok(()),
            Some((_, Event::Line(line))) => said.push(line),
            Some((_, Event::Ended(code))) => {
                bail!("the agent ends with {code}: {}", said.join("\n"))
            }
            None => bail!("the agent does not start: {}", said.join("\n")),
        }
    }
}

/// Waits until the agent reports what is expected.
async fn reported(
    guest: &mut Guest,
    watch: Job,
    expected: Expected,
    before: Option<(&str, f64)>,
) -> Result<Value> {
    let until = guest.now() + PATIENCE;
    let mut last = String::new();
    loop {
        match guest.next(watch, until).await? {
            Some((_, Event::Line(line))) => {
                // Of server-sent events only their data; of others than `appliance` nothing is met.
                let Some(data) = line.strip_prefix("data: ") else {
                    continue;
                };
                let state: Value = serde_json::from_str(data)?;
                if expected.met_by(&state, before) {
                    return Ok(state);
                }
                last = line;
            }
            Some((_, Event::Ended(code))) => bail!("nobody answers ({code}): {last}"),
            None => bail!("{expected:?} was not reported; the last report is {last}"),
        }
    }
}

impl Expected {
    /// Whether a report of the agent says so; `before` is the last file's name, and its length in seconds.
    fn met_by(self, state: &Value, before: Option<(&str, f64)>) -> bool {
        let (signal, file) = (&state["signal"], &state["file"]);
        let recording = state["recorder"] == "recording";
        let name = before.map(|(name, _)| name);
        let is_at_least = |least: f64| file["duration_seconds"].as_f64() >= Some(least);
        match self {
            Self::GoesOn => before.is_some_and(|(name, length)| {
                recording && file["filename"] == name && is_at_least(length + 1.0)
            }),
            Self::Problem(code) => state["problem_code"] == code && !recording,
            Self::State(name) => signal["state"] == name && !recording,
            Self::Recording(width, height) => {
                recording
                    && signal["state"] == "steady"
                    && signal["width"] == width
                    && signal["height"] == height
                    && file["filename"].as_str().is_some_and(|it| Some(it) != name)
                    && is_at_least(STRETCH)
            }
        }
    }
}

/// What the agent's log has to say to an error.
async fn log(guest: &mut Guest, server: Job) -> Result<String> {
    let mut lines = Vec::new();
    let soon = guest.now() + Duration::from_secs(1);
    while let Some((_, Event::Line(line))) = guest.next(server, soon).await? {
        lines.push(line);
    }
    Ok(lines.join("\n"))
}

/// The recordings: one for each stretch, and nothing else.
fn clips(folder: &Path, stretches: &[Stretch]) -> Result<Vec<Clip>> {
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "lost+found" && stretches.iter().all(|stretch| stretch.name != name) {
            bail!("{name} is left beside the recordings");
        }
    }
    let (first, last) = (stretches.first(), stretches.last());
    if first.map(|it| &it.name) <= last.map(|it| &it.name) {
        bail!("{first:?} and {last:?} should be called as the clock was set");
    }
    let clips: Vec<_> = stretches
        .iter()
        .map(|stretch| Clip::read(&folder.join(&stretch.name)))
        .collect::<Result<_>>()?;
    for (clip, stretch) in clips.iter().zip(stretches) {
        let most = stretch.to.saturating_sub(stretch.from) + Duration::from_secs(1);
        if Duration::from_millis(clip.duration_ms) > most {
            bail!("{stretch:?} is too long: {clip:?}");
        }
    }
    let sizes: Vec<_> = clips.iter().map(|clip| (clip.width, clip.height)).collect();
    let expected: Vec<_> = CHANGES
        .iter()
        .filter_map(|(_, expected)| match expected {
            Expected::Recording(width, height) => Some((*width, *height)),
            Expected::State(_) | Expected::Problem(_) | Expected::GoesOn => None,
        })
        .collect();
    if sizes != expected {
        bail!("the pictures' sizes are {sizes:?}, not {expected:?}");
    }
    let short = clips.iter().find(|clip| clip.duration_ms < 2000);
    match short {
        Some(clip) => Err(anyhow::anyhow!("{clip:?}")).context("two seconds of it were durable"),
        None => Ok(clips),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn steady(width: u64, name: &str, length: f64) -> Value {
        json!({
            "signal": {"state": "steady", "width": width, "height": 480, "fps": 59.94},
            "recorder": "recording",
            "file": {"filename": name, "duration_seconds": length, "size_bytes": 1000},
        })
    }

    #[test]
    fn a_recording_is_a_new_file_of_the_right_size_that_grows() {
        let expected = Expected::Recording(640, 480);
        let before = Some(("a", 2.0));
        assert!(expected.met_by(&steady(640, "b", 2.0), before));
        assert!(expected.met_by(&steady(640, "b", 2.0), None));
        assert!(!expected.met_by(&steady(640, "a", 2.0), before));
        assert!(!expected.met_by(&steady(720, "b", 2.0), before));
        assert!(!expected.met_by(&steady(640, "b", 1.9), before));
    }

    #[test]
    fn what_goes_on_is_the_same_file_and_longer() {
        let expected = Expected::GoesOn;
        let before = Some(("a", 2.0));
        assert!(expected.met_by(&steady(640, "a", 3.0), before));
        assert!(!expected.met_by(&steady(640, "a", 2.9), before));
        assert!(!expected.met_by(&steady(640, "b", 3.0), before));
        assert!(!expected.met_by(&steady(640, "a", 3.0), None));
    }

    #[test]
    fn without_a_signal_nothing_is_recorded() {
        let expected = Expected::State("no_lock");
        let state = |signal: &str, recorder: &str| json!({"signal": {"state": signal}, "recorder": recorder});
        assert!(expected.met_by(&state("no_lock", "waiting"), None));
        assert!(!expected.met_by(&state("no_lock", "recording"), None));
        assert!(!expected.met_by(&state("no_signal", "waiting"), None));
        let mut busy = state("steady", "waiting");
        assert!(!Expected::Problem("device_busy").met_by(&busy, None));
        busy["problem_code"] = json!("device_busy");
        assert!(Expected::Problem("device_busy").met_by(&busy, None));
    }
}
