//! Encoder trials.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::{CANDIDATES, Candidate};
use crate::signal::Mode;

pub const FRAMES: u32 = 5;

/// Extra time for a driver to give up before it counts as hanging.
const GRACE: Duration = Duration::from_secs(2);

/// Outcome of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every frame came out as H.264, beginning with a keyframe.
    Works,
    /// The element is not installed.
    NotInstalled,
    /// The encoder's device or library is missing, busy or refuses to start.
    Unavailable(String),
    /// The encoder started, but its output does not match the input.
    Failed(String),
    /// The trial exceeded the time limit.
    TimedOut(Duration),
}

/// Candidate and the outcome of its trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    pub candidate: Candidate,
    pub outcome: Outcome,
}

/// Returns the first candidate that works.
#[must_use]
pub fn best(trials: &[Trial]) -> Option<&Trial> {
    trials.iter().find(|trial| trial.outcome == Outcome::Works)
}

/// Encodes [`FRAMES`] moving frames of a mode, with the settings of a recording, and waits for all of them for at most
/// `limit` (plus 2 s for a driver that hangs).
///
/// A driver that hangs keeps a thread of this process; one that crashes ends the process.
///
/// # Panics
///
/// [`init`](super::init) was not called.
#[must_use]
pub fn try_candidate(candidate: Candidate, mode: Mode, limit: Duration) -> Trial {
    let (done, result) = mpsc::channel();
    let name = format!("try-{}", candidate.element);
    // Runs in its own thread: a state change blocks as long as the driver does.
    let thread = thread::Builder::new().name(name).spawn(move || {
        // The receiver is gone after a timeout.
        let _ = done.send(run(candidate, mode, limit));
    });
    let outcome = match thread {
        Ok(_) => result
            .recv_timeout(limit.saturating_add(GRACE))
            .unwrap_or_else(|error| match error {
                mpsc::RecvTimeoutError::Timeout => Outcome::TimedOut(limit),
                mpsc::RecvTimeoutError::Disconnected => {
                    Outcome::Failed("the trial ended without a result".to_owned())
                }
            }),
        Err(error) => Outcome::Failed(format!("no thread for the trial: {error}")),
    };
    Trial { candidate, outcome }
}

/// Tries all [`CANDIDATES`] in their order; see [`try_candidate`].
///
/// # Panics
///
/// [`init`](super::init) was not called.
#[must_use]
pub fn try_all(mode: Mode, limit: Duration) -> Vec<Trial> {
    CANDIDATES
        .into_iter()
        .map(|candidate| try_candidate(candidate, mode, limit))
        .collect()
}

/// Tries the [`CANDIDATES`] except `passing_over` until one works; see [`try_candidate`].
///
/// # Errors
///
/// No encoder works; contains the outcome of each trial.
///
/// # Panics
///
/// [`init`](super::init) was not called.
pub fn first_working(
    mode: Mode,
    limit: Duration,
    passing_over: &[&str],
) -> Result<Candidate, Vec<Trial>> {
    let mut trials = Vec::new();
    for candidate in CANDIDATES {
        if passing_over.contains(&candidate.element) {
            continue;
        }
        let trial = try_candidate(candidate, mode, limit);
        if trial.outcome == Outcome::Works {
            return Ok(candidate);
        }
        trials.push(trial);
    }
    Err(trials)
}

/// Output of the encoder.
#[derive(Default)]
struct Arrivals {
    frames: AtomicU32,
    began_without_keyframe: AtomicBool,
}

impl Arrivals {
    fn take(&self, buffer: &gst::BufferRef) {
        let before = self.frames.fetch_add(1, Ordering::Relaxed);
        if before == 0 && buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            self.began_without_keyframe.store(true, Ordering::Relaxed);
        }
    }

    fn outcome(&self) -> Outcome {
        match self.frames.load(Ordering::Relaxed) {
            FRAMES if self.began_without_keyframe.load(Ordering::Relaxed) => {
                Outcome::Failed("the first frame is no keyframe".to_owned())
            }
            FRAMES => Outcome::Works,
            frames => Outcome::Failed(format!("{frames} of {FRAMES} frames came out")),
        }
    }
}

/// Stops the pipeline when dropped.
struct Running(gst::Pipeline);

impl Drop for Running {
    fn drop(&mut self) {
        // The pipeline is dropped next; a failure to stop it has no effect.
        let _ = self.0.set_state(gst::State::Null);
    }
}

fn run(candidate: Candidate, mode: Mode, limit: Duration) -> Outcome {
    if gst::ElementFactory::find(candidate.element).is_none() {
        return Outcome::NotInstalled;
    }
    let description = format!(
        "videotestsrc num-buffers={FRAMES} pattern=ball \
         ! video/x-raw,width={},height={},framerate={}/1000 ! videoconvert ! {} \
         ! fakesink name=sink sync=false",
        mode.width,
        mode.height,
        mode.fps.millihertz(),
        candidate.launch(mode)
    );
    let pipeline = match gst::parse::launch_full(&description, None, gst::ParseFlags::FATAL_ERRORS)
    {
        Ok(element) => match element.downcast::<gst::Pipeline>() {
            Ok(pipeline) => Running(pipeline),
            Err(_) => return Outcome::Failed("its description is no pipeline".to_owned()),
        },
        Err(error) => return Outcome::Unavailable(error.message().to_owned()),
    };
    let pipeline = &pipeline.0;
    let (Some(bus), Some(arrivals)) = (pipeline.bus(), count_arrivals(pipeline)) else {
        return Outcome::Failed("its pipeline is not complete".to_owned());
    };

    // READY opens the device without a frame.
    if pipeline.set_state(gst::State::Ready).is_err() {
        return Outcome::Unavailable(reason(&bus));
    }
    if pipeline.set_state(gst::State::Playing).is_err() {
        return Outcome::Failed(reason(&bus));
    }
    let time = gst::ClockTime::try_from(limit).unwrap_or(gst::ClockTime::MAX);
    match bus.timed_pop_filtered(time, &[gst::MessageType::Eos, gst::MessageType::Error]) {
        None => Outcome::TimedOut(limit),
        Some(message) => match message.view() {
            gst::MessageView::Error(error) => Outcome::Failed(sentence(error)),
            _ => arrivals.outcome(),
        },
    }
}

/// Counts the frames at the sink; `None` if the pipeline has no sink.
fn count_arrivals(pipeline: &gst::Pipeline) -> Option<Arc<Arrivals>> {
    let arrivals = Arc::new(Arrivals::default());
    let counter = Arc::clone(&arrivals);
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    let pad = pipeline.by_name("sink")?.static_pad("sink")?;
    pad.add_probe(kinds, move |_, info| {
        match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => counter.take(buffer),
            Some(gst::PadProbeData::BufferList(list)) => {
                list.iter().for_each(|buffer| counter.take(buffer));
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    })?;
    Some(arrivals)
}

/// Returns the message of the pipeline after a failed state change.
fn reason(bus: &gst::Bus) -> String {
    let message = bus.pop_filtered(&[gst::MessageType::Error]);
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => sentence(error),
        _ => "it refused to start and gave no reason".to_owned(),
    }
}

/// Error message for the user. The debug text beside it names source files; only its last line is kept, because drivers
/// put their errno there.
pub(crate) fn sentence(error: &gst::message::Error) -> String {
    let message = error.error().message().to_owned();
    let debug = error.debug();
    match debug
        .as_ref()
        .and_then(|debug| debug.lines().skip(1).last())
    {
        Some(detail) if !detail.trim().is_empty() => format!("{message} ({})", detail.trim()),
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Tuning};
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn attempt(element: &'static str, tuning: Tuning, mode: &str, limit: Duration) -> Outcome {
        super::super::init().unwrap();
        let candidate = Candidate {
            element,
            class: Class::Software,
            tuning,
        };
        try_candidate(candidate, mode.parse().unwrap(), limit).outcome
    }

    #[track_caller]
    fn check_unavailable(outcome: &Outcome, expected: &str) {
        assert!(
            matches!(outcome, Outcome::Unavailable(reason) if reason.contains(expected)),
            "{outcome:?}"
        );
    }

    #[track_caller]
    fn check_failed(outcome: &Outcome, expected: &str) {
        assert!(
            matches!(outcome, Outcome::Failed(reason) if reason.contains(expected)),
            "{outcome:?}"
        );
    }

    #[test]
    fn x264_works_with_recording_settings() {
        for mode in ["1920x1080@60", "640x480@30"] {
            let outcome = attempt("x264enc", Tuning::X264, mode, LIMIT);
            assert_eq!(outcome, Outcome::Works, "{mode}");
        }
    }

    #[test]
    fn openh264_works_with_recording_settings() {
        let outcome = attempt("openh264enc", Tuning::OpenH264, "1280x720@30", LIMIT);
        assert_eq!(outcome, Outcome::Works);
    }

    #[test]
    fn encoder_error_during_trial_is_a_failure() {
        // This encoder starts and learns the size from the first frame.
        let outcome = attempt("openh264enc", Tuning::OpenH264, "1x1@30", LIMIT);
        assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    }

    #[test]
    fn missing_element_is_not_installed() {
        let outcome = attempt("nosuchh264enc", Tuning::Defaults, "640x480@30", LIMIT);
        assert_eq!(outcome, Outcome::NotInstalled);
    }

    #[test]
    fn unknown_setting_is_reported() {
        let outcome = attempt("openh264enc", Tuning::X264, "640x480@30", LIMIT);
        check_unavailable(&outcome, "speed-preset");
    }

    #[test]
    fn other_output_is_no_h264_encoder() {
        for element in ["jpegenc", "identity"] {
            let outcome = attempt(element, Tuning::Defaults, "640x480@30", LIMIT);
            check_unavailable(&outcome, "could not link");
        }
    }

    #[test]
    fn missing_frames_are_counted() {
        let arrivals = Arrivals::default();
        super::super::init().unwrap();
        check_failed(&arrivals.outcome(), "0 of 5 frames");
        let mut delta = gst::Buffer::new();
        let key = gst::Buffer::new();
        delta.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT);
        arrivals.take(&key);
        for _ in 1..FRAMES {
            assert_ne!(arrivals.outcome(), Outcome::Works);
            arrivals.take(&delta);
        }
        assert_eq!(arrivals.outcome(), Outcome::Works);

        let keyless = Arrivals::default();
        (0..FRAMES).for_each(|_| keyless.take(&delta));
        check_failed(&keyless.outcome(), "no keyframe");
    }

    #[test]
    fn slow_encoder_times_out() {
        let outcome = attempt("x264enc", Tuning::X264, "1920x1080@60", Duration::ZERO);
        assert_eq!(outcome, Outcome::TimedOut(Duration::ZERO));
    }

    #[test]
    fn first_working_encoder_is_chosen() {
        let trial = |index: usize, outcome| Trial {
            candidate: CANDIDATES[index],
            outcome,
        };
        let trials = [
            trial(0, Outcome::NotInstalled),
            trial(1, Outcome::Failed("broken".to_owned())),
            trial(2, Outcome::Works),
            trial(3, Outcome::Works),
        ];
        assert_eq!(best(&trials), Some(&trials[2]));
        assert_eq!(best(&trials[..2]), None);
    }
}
