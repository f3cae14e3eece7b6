//! Changes of the signal during automatic recording.
//!
//! In one boot, the agent runs as a server while the input signal changes. The agent must report each change and react
//! to it. Every period of a steady signal must result in one file with the right picture size, which ffprobe accepts.
//!
//! Meanwhile the clock is set forward and back, to before all recordings: only the file names depend on it.

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
/// Limit for the agent's start and for each reaction, in the guest's time: the agent tries encoders first.
const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds of each period that must be durable before the next change.
const STRETCH: f64 = 2.0;

/// Changes and the expected reactions.
const CHANGES: &[(Change, Expected)] = &[
    (Change::Signal(Signal::Off), Expected::State("no_signal")),
    (Change::Occupied(VGA), Expected::Problem("device_busy")),
    (Change::Released, Expected::Recording(640, 480)),
    (Change::Clock(90), Expected::Continues),
    (Change::Signal(Signal::NoLock), Expected::State("no_lock")),
    (
        Change::Signal(Signal::OutOfRange),
        Expected::State("unsupported"),
    ),
    // Change from no signal, and from another mode.
    (Change::Signal(PAL), Expected::Recording(720, 576)),
    (Change::Signal(VGA), Expected::Recording(640, 480)),
    (Change::Clock(-300), Expected::Continues),
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

#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    Signal(Signal),
    Occupied(Signal),
    /// The other program ends.
    Released,
    /// The clock is set by this many seconds.
    Clock(i64),
}

/// Period of a steady signal, as the agent reported it.
#[derive(Debug)]
struct Stretch {
    name: String,
    /// Time before the file was created, and after the next change was reported, in the guest's time.
    from: Duration,
    to: Duration,
}

/// Expected report of the agent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    /// This signal, without a recording.
    State(&'static str),
    /// This problem code, without a recording.
    Problem(&'static str),
    /// A steady signal of this size, and a new file that grows.
    Recording(u64, u64),
    /// The same file, longer than before.
    Continues,
}

/// Runs all changes. `on_change` gets the change, its outcome, and the time it took in the guest.
///
/// # Errors
/// The agent does not report what is expected, or a recording is wrong.
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
        // The previous file may have grown until now.
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

/// Checks that a second agent reports the busy device, and does not harm the first.
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

/// Waits until the agent accepts connections.
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
                // Uses only the data of server-sent events; events other than `appliance` do not match.
                let Some(data) = line.strip_prefix("data: ") else {
                    continue;
                };
                let state: Value = serde_json::from_str(data)?;
                if expected.is_satisfied_by(&state, before) {
                    return Ok(state);
                }
                last = line;
            }
            Some((_, Event::Ended(code))) => bail!("the event stream ended ({code}): {last}"),
            None => bail!("{expected:?} was not reported; the last report is {last}"),
        }
    }
}

impl Expected {
    /// Whether the agent's report matches; `before` has the name and length in seconds of the last file.
    fn is_satisfied_by(self, state: &Value, before: Option<(&str, f64)>) -> bool {
        let (signal, file) = (&state["signal"], &state["file"]);
        let recording = state["recorder"] == "recording";
        let name = before.map(|(name, _)| name);
        let is_at_least = |least: f64| file["duration_seconds"].as_f64() >= Some(least);
        match self {
            Self::Continues => before.is_some_and(|(name, length)| {
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

/// Returns the agent's log lines for an error.
async fn log(guest: &mut Guest, server: Job) -> Result<String> {
    let mut lines = Vec::new();
    let soon = guest.now() + Duration::from_secs(1);
    while let Some((_, Event::Line(line))) = guest.next(server, soon).await? {
        lines.push(line);
    }
    Ok(lines.join("\n"))
}

/// Reads the recordings, and checks that there is one for each period and nothing else.
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
            Expected::State(_) | Expected::Problem(_) | Expected::Continues => None,
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
    fn recording_needs_new_growing_file_of_right_size() {
        let expected = Expected::Recording(640, 480);
        let before = Some(("a", 2.0));
        assert!(expected.is_satisfied_by(&steady(640, "b", 2.0), before));
        assert!(expected.is_satisfied_by(&steady(640, "b", 2.0), None));
        assert!(!expected.is_satisfied_by(&steady(640, "a", 2.0), before));
        assert!(!expected.is_satisfied_by(&steady(720, "b", 2.0), before));
        assert!(!expected.is_satisfied_by(&steady(640, "b", 1.9), before));
    }

    #[test]
    fn continued_recording_is_same_file_and_longer() {
        let expected = Expected::Continues;
        let before = Some(("a", 2.0));
        assert!(expected.is_satisfied_by(&steady(640, "a", 3.0), before));
        assert!(!expected.is_satisfied_by(&steady(640, "a", 2.9), before));
        assert!(!expected.is_satisfied_by(&steady(640, "b", 3.0), before));
        assert!(!expected.is_satisfied_by(&steady(640, "a", 3.0), None));
    }

    #[test]
    fn state_and_problem_need_no_recording() {
        let expected = Expected::State("no_lock");
        let state = |signal: &str, recorder: &str| json!({"signal": {"state": signal}, "recorder": recorder});
        assert!(expected.is_satisfied_by(&state("no_lock", "waiting"), None));
        assert!(!expected.is_satisfied_by(&state("no_lock", "recording"), None));
        assert!(!expected.is_satisfied_by(&state("no_signal", "waiting"), None));
        let mut busy = state("steady", "waiting");
        assert!(!Expected::Problem("device_busy").is_satisfied_by(&busy, None));
        busy["problem_code"] = json!("device_busy");
        assert!(Expected::Problem("device_busy").is_satisfied_by(&busy, None));
    }
}
