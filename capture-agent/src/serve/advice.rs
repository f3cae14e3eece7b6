//! What helps when something keeps the recorder from recording.

/// What a problem's sentence has in it, and what helps then. The first that fits counts.
const ADVICE: [(&str, &str); 8] = [
    (
        "the disk is full",
        "Delete recordings or lower the storage threshold; it goes on by itself when there is room.",
    ),
    (
        "no picture was written",
        "It tries again by itself. Check the source and its cable; the log says whether it is the disk.",
    ),
    (
        "no permission",
        "Give the user that runs the recorder access to the device, usually by the group video.",
    ),
    (
        "another program is using it",
        "Stop the other program; the device takes one at a time.",
    ),
    (
        "no such device",
        "Plug the capture device in; it is found by itself.",
    ),
    (
        "the device is gone",
        "Plug the capture device in again; it is found by itself.",
    ),
    (
        "no H.264 encoder works",
        "Run “sortie-capture-agent probe” on the appliance: it says why each encoder does not work.",
    ),
    (
        "Read-only file system",
        "Make the folder for recordings writable, or name a command that does (SORTIE_CAPTURE_HOOK).",
    ),
];

/// What helps against a problem, in a sentence; `None` where nothing general can be said.
pub(super) fn advice(problem: &str) -> Option<&'static str> {
    let found = ADVICE.iter().find(|(part, _)| problem.contains(part));
    found.map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::device::{DeviceError, DeviceErrorKind};
    use crate::recorder::{Controller, Input, Patience};
    use crate::signal::{FrameRate, Mode, Signal};

    #[track_caller]
    fn check(problem: &str, expected: &str) {
        let advice = advice(problem);
        assert!(
            advice.is_some_and(|advice| advice.contains(expected)),
            "{problem}: {advice:?}"
        );
    }

    /// The sentences come from where they are made: when one changes there, this fails.
    #[test]
    fn what_the_recorder_says_has_its_advice() {
        let mut controller = Controller::new(Patience::default());
        controller.handle_input(Duration::ZERO, Input::Room(false));
        check(controller.problem().unwrap(), "Delete recordings");

        let mut controller = Controller::new(Patience::default());
        let mode = Mode::progressive(1280, 720, FrameRate::from_hertz(30));
        for input in [
            Input::Room(true),
            Input::Signal(Signal::Steady(mode)),
            Input::Start,
        ] {
            controller.handle_input(Duration::ZERO, input);
        }
        controller.handle_timeout(Duration::from_secs(60));
        check(controller.problem().unwrap(), "Check the source");
    }

    #[test]
    fn what_is_wrong_with_a_device_has_its_advice() {
        for (kind, expected) in [
            (DeviceErrorKind::Missing, "Plug"),
            (DeviceErrorKind::Permission, "group video"),
            (DeviceErrorKind::Busy, "Stop the other program"),
            (DeviceErrorKind::Gone, "again"),
        ] {
            let path = PathBuf::from("/dev/video0");
            check(&DeviceError { path, kind }.to_string(), expected);
        }
        let read_only = io::Error::from_raw_os_error(rustix::io::Errno::ROFS.raw_os_error());
        check(&read_only.to_string(), "SORTIE_CAPTURE_HOOK");
        assert_eq!(advice("something new"), None);
    }
}
