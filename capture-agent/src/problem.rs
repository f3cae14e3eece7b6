//! Reasons that prevent a recording: a code for programs, and words for the user.

use std::fmt;
use std::io;

use rustix::io::Errno;
use sortie_api::RecorderProblem;

use crate::device::{DeviceError, DeviceErrorKind};
use crate::source::SourceError;

/// Reason that prevents a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub code: RecorderProblem,
    /// Words for the user.
    pub words: String,
}

impl Problem {
    #[must_use]
    pub fn new(code: RecorderProblem, words: impl Into<String>) -> Self {
        Self {
            code,
            words: words.into(),
        }
    }

    /// Creates a problem without a specific code.
    #[must_use]
    pub fn other(words: impl Into<String>) -> Self {
        Self::new(RecorderProblem::Other, words)
    }

    /// Converts an error of the file system for a file or folder.
    #[must_use]
    pub fn disk(path: impl fmt::Display, error: &io::Error) -> Self {
        let code = match Errno::from_io_error(error) {
            Some(Errno::NOSPC | Errno::DQUOT) => RecorderProblem::DiskFull,
            Some(Errno::ROFS) => RecorderProblem::ReadOnly,
            _ => RecorderProblem::Other,
        };
        Self::new(code, format!("{path}: {error}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl From<&DeviceError> for Problem {
    fn from(error: &DeviceError) -> Self {
        let code = match error.kind {
            DeviceErrorKind::Missing => RecorderProblem::NoDevice,
            DeviceErrorKind::Permission => RecorderProblem::NoPermission,
            DeviceErrorKind::Busy => RecorderProblem::DeviceBusy,
            DeviceErrorKind::Gone => RecorderProblem::DeviceGone,
            DeviceErrorKind::NotVideo | DeviceErrorKind::Other(_) => RecorderProblem::Other,
        };
        Self::new(code, error.to_string())
    }
}

impl From<&SourceError> for Problem {
    fn from(error: &SourceError) -> Self {
        match error {
            SourceError::Device(error) => error.into(),
            SourceError::NoSignal(_) | SourceError::NoFormat { .. } | SourceError::Ustreamer(_) => {
                Self::other(error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn io_errors_map_to_codes() {
        for (errno, expected) in [
            (Errno::NOSPC, RecorderProblem::DiskFull),
            (Errno::DQUOT, RecorderProblem::DiskFull),
            (Errno::ROFS, RecorderProblem::ReadOnly),
            (Errno::IO, RecorderProblem::Other),
        ] {
            let problem = Problem::disk("a.mp4", &errno.into());
            assert_eq!(problem.code, expected);
            assert!(problem.words.starts_with("a.mp4: "), "{problem}");
        }
        let error = DeviceError {
            path: PathBuf::from("/dev/video0"),
            kind: DeviceErrorKind::Busy,
        };
        let problem = Problem::from(&SourceError::from(error));
        assert_eq!(problem.code, RecorderProblem::DeviceBusy);
        assert_eq!(problem.words, "/dev/video0: another program is using it");
    }
}
