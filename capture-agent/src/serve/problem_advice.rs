//! Remedies for the recorder's problems.

use sortie_api::RecorderProblem;

/// Returns the remedy for a problem, as a sentence; `None` if there is no general one.
pub(super) fn advice(problem: RecorderProblem) -> Option<&'static str> {
    Some(match problem {
        RecorderProblem::DiskFull => {
            "Delete recordings or lower the storage threshold. Recording resumes automatically when space is free."
        }
        RecorderProblem::NotForwarded => {
            "Check the connection to the central server. Recording resumes automatically when recordings have been sent. \
             To record before that, raise the storage threshold."
        }
        RecorderProblem::NoPicture => {
            "The recorder retries automatically. Check the source and its cable; the log says whether the disk failed."
        }
        RecorderProblem::NoPermission => {
            "Give the user that runs the recorder access to the device, usually by the group video."
        }
        RecorderProblem::DeviceBusy => "Stop the other program; the device takes one at a time.",
        RecorderProblem::NoDevice => "Plug the capture device in; it is found automatically.",
        RecorderProblem::DeviceGone => {
            "Plug the capture device in again; it is found automatically."
        }
        RecorderProblem::NoEncoder => {
            "Run “sortie-capture-agent probe” on the appliance: it says why each encoder does not work."
        }
        RecorderProblem::ReadOnly => {
            "Make the folder for recordings writable, or name a command that does (SORTIE_CAPTURE_HOOK)."
        }
        RecorderProblem::Other => return None,
    })
}
