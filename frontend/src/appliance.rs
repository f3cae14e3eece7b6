//! What the page of an appliance says: signal, recorder, room, and what has been cleaned up.

mod cleanups;
mod clock;
mod lines;

use sortie_api::{Appliance, Forwarding, InputSignal, RecorderState, SignalState, Space};

pub use cleanups::{CleanUp, clean_ups};
pub use clock::Clock;
pub use lines::{Line, lines};

use crate::format;

/// What arrives, in words: `1920×1080 at 60 fps`, or what is missing.
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

/// `60`, `59.94`. By integers: what formats any float is larger than this page's list.
fn rate(fps: f64) -> String {
    let hundredths = whole(fps * 100.0);
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The nearest whole number; 0 for what is negative or none.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
#[expect(clippy::cast_sign_loss, reason = "saturates")]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// What to do so that there is a picture; nothing when there is one.
pub fn remedy(state: SignalState) -> Option<&'static str> {
    Some(match state {
        SignalState::NoDevice => "Plug the capture device in; it is found by itself.",
        SignalState::NoSignal => "Switch the source on and check the cable to it.",
        SignalState::NoLock => {
            "Something unstable arrives: try a shorter or better cable, or a lower resolution."
        }
        SignalState::Unsupported => {
            "It is outside of what the device can do: choose a lower resolution or frame rate at the source."
        }
        SignalState::Steady => return None,
    })
}

/// The button that begins or ends a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    /// It begins one.
    Start,
    /// It would begin one, but cannot, for this reason.
    CannotStart(&'static str),
    /// It ends one, or the wait for one.
    Stop,
}

/// Which button there is.
pub fn button(now: &Appliance) -> Button {
    let has_signal = now.signal.state == SignalState::Steady;
    match now.recorder {
        RecorderState::Recording => Button::Stop,
        RecorderState::Waiting if has_signal || !now.auto_record => Button::Stop,
        RecorderState::Waiting => Button::CannotStart(
            "There is no video signal. Recording starts by itself when one comes.",
        ),
        RecorderState::Idle if has_signal => Button::Start,
        RecorderState::Idle => Button::CannotStart("Recording needs a video signal."),
    }
}

/// What the recorder does, in words.
pub fn recorder(now: &Appliance) -> &'static str {
    match now.recorder {
        RecorderState::Recording => "Recording",
        RecorderState::Waiting if now.signal.state != SignalState::Steady => "Waiting for a signal",
        RecorderState::Waiting => "Waiting",
        RecorderState::Idle => "Not recording",
    }
}

/// What the files of one session have in common, in words.
pub fn session(files: usize, is_growing: bool) -> String {
    let plural = if files == 1 { "" } else { "s" };
    let more = if is_growing {
        " so far, and one is under way"
    } else {
        ""
    };
    format!("One session: {files} file{plural}{more}")
}

/// Why frames are missing, and what helps.
pub fn dropped(frames: u64, by_disk: u64) -> String {
    let plural = if frames == 1 {
        " is missing"
    } else {
        "s are missing"
    };
    let why = if by_disk * 2 > frames {
        "the disk is too slow. Use a faster one, or a lower resolution at the source."
    } else {
        "the encoder is too slow. Use a lower resolution or frame rate at the source."
    };
    format!("{frames} frame{plural}: {why}")
}

/// How far the central server is behind, in words.
pub fn forwarding(now: &Forwarding) -> String {
    let waiting = match now.waiting {
        0 => return "has everything".to_owned(),
        1 => "1 recording to send".to_owned(),
        waiting => format!("{waiting} recordings to send"),
    };
    match &now.problem {
        Some(problem) => format!("{waiting}: {problem}"),
        None => waiting,
    }
}

/// How long it can go on, in words.
pub fn hours_left(hours: f64) -> String {
    let minutes = whole(hours * 60.0);
    let amount = match minutes {
        1 => "about 1 minute".to_owned(),
        0..60 => format!("about {minutes} minutes"),
        60..600 => format!("about {}.{} hours", minutes / 60, minutes % 60 / 6),
        600..60_000 => format!("about {} hours", minutes / 60),
        _ => "more than 1000 hours".to_owned(),
    };
    format!("Room for {amount} of recording")
}

/// How the disk is divided up, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// What recordings take, the one under way included.
    pub recordings: u64,
    /// What everything else takes.
    pub others: u64,
    /// What is free.
    pub free: u64,
}

impl Shares {
    /// From how full the disk is and what recordings take.
    pub fn new(space: &Space, recordings_bytes: u64) -> Self {
        let recordings = recordings_bytes.min(space.used_bytes);
        Self {
            recordings,
            others: space.used_bytes - recordings,
            free: space.free_bytes,
        }
    }

    /// The whole disk.
    pub fn total(self) -> u64 {
        self.recordings + self.others + self.free
    }

    /// How full it is in percent.
    pub fn full_percent(self) -> u8 {
        format::percent(self.recordings + self.others, self.total())
    }

    /// The widths of others and of recordings in a bar that is 1000 wide; what is there at all can be seen.
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
    fn signals_in_words() {
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
    fn starting_needs_a_signal_and_stopping_something_to_stop() {
        let mut now = idle(SignalState::Steady);
        assert_eq!(button(&now), Button::Start);
        now.signal.state = SignalState::NoLock;
        assert!(matches!(button(&now), Button::CannotStart(_)));
        // By hand: it can be called off.
        now.recorder = RecorderState::Waiting;
        assert_eq!(button(&now), Button::Stop);
        assert_eq!(recorder(&now), "Waiting for a signal");
        // By itself: a Stop would mean the signal that comes next.
        now.auto_record = true;
        assert!(
            matches!(button(&now), Button::CannotStart(reason) if reason.contains("by itself"))
        );
        // For room, or another try.
        now.signal.state = SignalState::Steady;
        assert_eq!(button(&now), Button::Stop);
        assert_eq!(recorder(&now), "Waiting");
        now.recorder = RecorderState::Recording;
        assert_eq!(button(&now), Button::Stop);
    }

    #[test]
    fn what_is_too_slow_is_named() {
        assert!(dropped(1, 1).starts_with("1 frame is missing: the disk"));
        assert!(dropped(10, 2).starts_with("10 frames are missing: the encoder"));
    }

    #[test]
    fn sessions_in_words() {
        assert_eq!(session(2, false), "One session: 2 files");
        assert_eq!(
            session(1, true),
            "One session: 1 file so far, and one is under way"
        );
    }

    #[test]
    fn what_the_central_server_still_needs() {
        let mut now = Forwarding {
            waiting: 0,
            filename: None,
            sent_bytes: 0,
            size_bytes: 0,
            problem: None,
        };
        assert_eq!(forwarding(&now), "has everything");
        now.waiting = 2;
        assert_eq!(forwarding(&now), "2 recordings to send");
        now.problem = Some("it cannot be reached".to_owned());
        assert_eq!(
            forwarding(&now),
            "2 recordings to send: it cannot be reached"
        );
    }

    #[test]
    fn hours_as_people_say_them() {
        for (hours, expected) in [
            (0.0, "Room for about 0 minutes of recording"),
            (0.02, "Room for about 1 minute of recording"),
            (0.75, "Room for about 45 minutes of recording"),
            (1.04, "Room for about 1.0 hours of recording"),
            (52.3, "Room for about 52 hours of recording"),
            (1e9, "Room for more than 1000 hours of recording"),
        ] {
            assert_eq!(hours_left(hours), expected, "{hours}");
        }
    }

    #[test]
    fn the_disk_is_divided_up() {
        let space = Space {
            used_bytes: 600,
            free_bytes: 400,
            hours_left: 1.0,
        };
        let shares = Shares::new(&space, 100);
        assert_eq!(shares.total(), 1000);
        assert_eq!(shares.full_percent(), 60);
        assert_eq!(shares.widths(), (500, 100));
        // What the catalog says may be newer than what the disk said.
        assert_eq!(Shares::new(&space, 9_000).others, 0);
        // One byte can be seen.
        let space = Space {
            used_bytes: 1,
            free_bytes: 1_000_000,
            hours_left: 1.0,
        };
        assert_eq!(Shares::new(&space, 1).widths(), (0, 4));
    }
}
