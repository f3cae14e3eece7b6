//! What helps when something keeps the recorder from recording.

use sortie_api::RecorderProblem;

/// What helps against a problem, in a sentence; `None` where nothing general can be said.
pub(super) fn advice(problem: RecorderProblem) -> Option<&'static str> {
    Some(match problem {
        RecorderProblem::DiskFull => {
            "Delete recordings or lower the storage threshold; it goes on by itself when there is room."
        }
        RecorderProblem::NotForwarded => {
            "Check the connection to the central server. Recording resumes automatically when recordings have been sent. \
             To record now, raise the storage threshold or delete recordings."
        }
        RecorderProblem::NoPicture => {
            "It tries again by itself. Check the source and its cable; the log says whether it is the disk."
        }
        RecorderProblem::NoPermission => {
            "Give the user that runs the recorder access to the device, usually by the group video."
        }
        RecorderProblem::DeviceBusy => "Stop the other program; the device takes one at a time.",
        RecorderProblem::NoDevice => "Plug the capture device in; it is found by itself.",
        RecorderProblem::DeviceGone => "Plug the capture device in again; it is found by itself.",
        RecorderProblem::NoEncoder => {
            "Run “sortie-capture-agent probe” on the appliance: it says why each encoder does not work."
        }
        RecorderProblem::ReadOnly => {
            "Make the folder for recordings writable, or name a command that does (SORTIE_CAPTURE_HOOK)."
        }
        RecorderProblem::Other => return None,
    })
}
