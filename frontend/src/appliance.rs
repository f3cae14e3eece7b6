//! Texts and figures of the appliance's page: signal, recorder, disk, past clean-ups.

mod clean_ups;
mod day_strip;
mod duration_clock;
mod health;
mod picture_reader;
mod schedule;

use sortie_api::{Appliance, InputSignal, RecorderState, SignalState, Space};

pub use clean_ups::{CleanUp, clean_ups};
pub use day_strip::{Day, Segment, SegmentKind};
pub use duration_clock::DurationClock;
pub use health::{central_server, dropped_details, frame_rate, time_left};
pub use picture_reader::{NotPictures, PictureReader};
pub use schedule::{schedule_status, state_by_schedule};

use crate::format;

/// Describes the input signal: `1920×1080 at 60 fps`, or the missing device or signal.
pub fn signal(signal: &InputSignal) -> String {
    let words = match signal.state {
        SignalState::NoDevice => "No device",
        SignalState::NoSignal => "No signal",
        SignalState::NoLock => "No lock",
        SignalState::Unsupported => "Unsupported signal",
        SignalState::Steady => match (signal.width, signal.height, signal.fps) {
            (Some(width), Some(height), Some(fps)) => {
                return format!("{width}×{height} at {} fps", rate(fps));
            }
            _ => "Signal",
        },
    };
    words.to_owned()
}

/// Formats frames per second: `60`, `59.94`. Uses integers: formatting floats would add more code than this page's
/// list.
fn rate(fps: f64) -> String {
    let hundredths = whole(fps * 100.0);
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Rounds; saturates to 0 for negative numbers and NaN.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
#[expect(clippy::cast_sign_loss, reason = "saturates")]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// Instruction for the user; `None` with a steady signal.
pub fn remedy(state: SignalState) -> Option<&'static str> {
    Some(match state {
        SignalState::NoDevice => "Connect the capture device; it is detected automatically.",
        SignalState::NoSignal => "Switch the source on and check the cable to it.",
        SignalState::NoLock => {
            "The signal is unstable: try a shorter or better cable, or a lower resolution."
        }
        SignalState::Unsupported => {
            "The device does not support this signal: choose a lower resolution or frame rate at the source."
        }
        SignalState::Steady => return None,
    })
}

/// Says why there is no live picture; `None` with a steady signal.
pub fn no_picture(state: SignalState) -> Option<&'static str> {
    Some(match state {
        SignalState::NoDevice => "No picture: there is no capture device.",
        SignalState::NoSignal => "No picture: there is no signal.",
        SignalState::NoLock => "No picture: the signal is unstable.",
        SignalState::Unsupported => "No picture: the device does not support the signal.",
        SignalState::Steady => return None,
    })
}

/// Describes the live picture for screen readers. `age_s`: seconds since the last frame, if it is outdated.
pub fn picture_alt(device: Option<&str>, age_s: Option<u64>) -> String {
    let device = device.unwrap_or("the capture device");
    match age_s {
        None => format!("Live picture from {device}"),
        Some(_) => format!("Outdated picture from {device}"),
    }
}

/// Action of the button that starts or stops a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    /// Starts a recording of the input.
    Start,
    /// Disabled start button, with the reason.
    CannotStart(&'static str),
    /// Stops the recording, or cancels the wait for a signal.
    Stop,
}

/// Chooses the button for the device's state.
pub fn button(now: &Appliance) -> Button {
    let has_signal = now.signal.state == SignalState::Steady;
    match now.recorder {
        RecorderState::Recording => Button::Stop,
        RecorderState::Waiting if has_signal || !now.is_armed() => Button::Stop,
        RecorderState::Waiting => Button::CannotStart(
            "There is no video signal. Recording starts automatically when a signal appears.",
        ),
        RecorderState::Idle if has_signal => Button::Start,
        RecorderState::Idle => Button::CannotStart("Recording needs a video signal."),
    }
}

/// Names the recorder's state.
pub fn recorder(now: &Appliance) -> &'static str {
    match now.recorder {
        RecorderState::Recording => "Recording",
        RecorderState::Waiting if now.signal.state != SignalState::Steady => "Waiting for a signal",
        RecorderState::Waiting => "Waiting",
        RecorderState::Idle => "Not recording",
    }
}

/// Explains missing frames and suggests a remedy.
pub fn dropped(frames: u64, by_disk: u64) -> &'static str {
    if by_disk * 2 > frames {
        "Frames are missing: the disk is too slow. Use a faster one, or a lower resolution at the source."
    } else {
        "Frames are missing: the encoder is too slow. Use a lower resolution or frame rate at the source."
    }
}

/// Estimates how long recording can continue: `About 52 hours of recording left`.
pub fn hours_left(hours: f64) -> String {
    format!("{} of recording left", about_hours(hours))
}

/// Rounds a time: `About 52 hours`.
fn about_hours(hours: f64) -> String {
    let minutes = whole(hours * 60.0);
    match minutes {
        1 => "About 1 minute".to_owned(),
        0..60 => format!("About {minutes} minutes"),
        60..600 => format!("About {}.{} hours", minutes / 60, minutes % 60 / 6),
        600..60_000 => format!("About {} hours", minutes / 60),
        _ => "More than 1000 hours".to_owned(),
    }
}

/// Usage of the disk in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Recordings, including the growing file.
    pub recordings: u64,
    /// All other files.
    pub others: u64,
    /// Free space of the disk.
    pub free: u64,
}

impl Shares {
    /// Computes the shares; recordings count as used space at most.
    pub fn new(space: &Space, recordings_bytes: u64) -> Self {
        let recordings = recordings_bytes.min(space.used_bytes);
        Self {
            recordings,
            others: space.used_bytes - recordings,
            free: space.free_bytes,
        }
    }

    /// Size of the disk.
    pub fn total(self) -> u64 {
        self.recordings + self.others + self.free
    }

    /// Used space in percent.
    pub fn full_percent(self) -> u8 {
        format::percent(self.recordings + self.others, self.total())
    }

    /// Returns the widths of other files and of recordings in a bar of width 1000. A share above zero is at least 4
    /// wide, so that it is visible.
    pub fn widths(self) -> (u64, u64) {
        let total = u128::from(self.total().max(1));
        let width = |bytes: u64| {
            let width = u128::from(bytes) * 1000 / total;
            u64::try_from(width)
                .unwrap_or(1000)
                .max(u64::from(bytes > 0) * 4)
        };
        (width(self.others), width(self.recordings))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn idle(state: SignalState) -> Appliance {
        let told = json!({
            "signal": { "state": state, "width": 1920, "height": 1080, "fps": 59.94 },
            "recorder": "idle",
            "duration_seconds": 0.0,
            "dropped_frames": 0,
            "auto_record": false,
        });
        serde_json::from_value(told).expect("as a device says it")
    }

    #[test]
    fn signal_is_described_by_format_or_fault() {
        let mut it = idle(SignalState::Steady).signal;
        assert_eq!(signal(&it), "1920×1080 at 59.94 fps");
        it.fps = Some(60.0);
        assert_eq!(signal(&it), "1920×1080 at 60 fps");
        it.fps = Some(30.5);
        assert_eq!(signal(&it), "1920×1080 at 30.5 fps");
        it.fps = None;
        assert_eq!(signal(&it), "Signal");
        for state in [
            SignalState::NoDevice,
            SignalState::NoSignal,
            SignalState::NoLock,
            SignalState::Unsupported,
        ] {
            it.state = state;
            assert!(!signal(&it).contains("1920"), "{state:?}");
            assert!(remedy(state).is_some());
        }
        assert_eq!(remedy(SignalState::Steady), None);
    }

    #[test]
    fn button_follows_signal_and_recorder() {
        let mut now = idle(SignalState::Steady);
        assert_eq!(button(&now), Button::Start);
        now.signal.state = SignalState::NoLock;
        assert!(matches!(button(&now), Button::CannotStart(_)));
        // A wait that was started by hand can be cancelled.
        now.recorder = RecorderState::Waiting;
        assert_eq!(button(&now), Button::Stop);
        assert_eq!(recorder(&now), "Waiting for a signal");
        // With auto-record, Stop would suppress the next recording.
        now.auto_record = true;
        assert!(
            matches!(button(&now), Button::CannotStart(reason) if reason.contains("automatically"))
        );
        // The recorder waits for disk space or for the next attempt.
        now.signal.state = SignalState::Steady;
        assert_eq!(button(&now), Button::Stop);
        assert_eq!(recorder(&now), "Waiting");
        now.recorder = RecorderState::Recording;
        assert_eq!(button(&now), Button::Stop);
    }

    #[test]
    fn missing_frames_name_the_bottleneck() {
        assert!(dropped(1, 1).contains("the disk"));
        assert!(dropped(10, 2).contains("the encoder"));
    }

    #[test]
    fn remaining_hours_are_rounded_by_magnitude() {
        for (hours, expected) in [
            (0.0, "About 0 minutes of recording left"),
            (0.02, "About 1 minute of recording left"),
            (0.75, "About 45 minutes of recording left"),
            (1.04, "About 1.0 hours of recording left"),
            (52.3, "About 52 hours of recording left"),
            (1e9, "More than 1000 hours of recording left"),
        ] {
            assert_eq!(hours_left(hours), expected, "{hours}");
        }
    }

    #[test]
    fn disk_shares_add_up_and_stay_visible() {
        let space = Space {
            used_bytes: 600,
            free_bytes: 400,
            hours_left: 1.0,
            hours_to_threshold: None,
        };
        let shares = Shares::new(&space, 100);
        assert_eq!(shares.total(), 1000);
        assert_eq!(shares.full_percent(), 60);
        assert_eq!(shares.widths(), (500, 100));
        // The report on recordings may be newer than the disk usage.
        assert_eq!(Shares::new(&space, 9_000).others, 0);
        // A single byte is visible.
        let space = Space {
            used_bytes: 1,
            free_bytes: 1_000_000,
            hours_left: 1.0,
            hours_to_threshold: None,
        };
        assert_eq!(Shares::new(&space, 1).widths(), (0, 4));
    }
}
