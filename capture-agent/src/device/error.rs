//! Errors of capture devices, worded for the user who connects them.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Error of one device node.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct DeviceError {
    pub path: PathBuf,
    pub kind: DeviceErrorKind,
}

/// Kind of device error.
#[derive(Debug, thiserror::Error)]
pub enum DeviceErrorKind {
    /// `ENOENT`.
    #[error("there is no such device")]
    Missing,
    /// `EACCES` or `EPERM`.
    #[error(
        "no permission to open it; the user must be in the group that owns it, usually `video`"
    )]
    Permission,
    /// `EBUSY`.
    #[error("another program is using it")]
    Busy,
    /// `ENODEV` or `ENXIO`: it was unplugged, or its driver was unloaded.
    #[error("the device is gone; it was unplugged, or its driver has stopped")]
    Gone,
    /// `ENOTTY`.
    #[error("this is not a video device")]
    NotVideo,
    #[error("{0}")]
    Other(io::Error),
}

impl DeviceError {
    pub(super) fn new(path: &Path, error: io::Error) -> Self {
        let kind = match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => DeviceErrorKind::Missing,
            Some(Errno::ACCESS | Errno::PERM) => DeviceErrorKind::Permission,
            Some(Errno::BUSY) => DeviceErrorKind::Busy,
            Some(Errno::NODEV | Errno::NXIO) => DeviceErrorKind::Gone,
            Some(Errno::NOTTY) => DeviceErrorKind::NotVideo,
            _ => DeviceErrorKind::Other(error),
        };
        Self {
            path: path.to_owned(),
            kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(errno: Errno, expected: &str) {
        let error = DeviceError::new(Path::new("/dev/video7"), errno.into()).to_string();
        assert!(
            error.starts_with("/dev/video7: ") && error.contains(expected),
            "{error}"
        );
    }

    #[test]
    fn each_error_has_a_message() {
        check(Errno::NOENT, "no such device");
        check(Errno::ACCESS, "no permission");
        check(Errno::PERM, "no permission");
        check(Errno::BUSY, "another program");
        check(Errno::NODEV, "gone");
        check(Errno::NXIO, "gone");
        check(Errno::NOTTY, "not a video device");
        check(Errno::IO, "Input/output error");
    }
}
