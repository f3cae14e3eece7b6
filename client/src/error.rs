//! Errors of sources, recorders and uploads.

use std::sync::Arc;

use crate::{ErrorCode, Refusal};

/// Device that the browser was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    /// A screen, window or tab.
    Screen,
    /// A camera, with or without a microphone.
    Camera,
    /// A microphone without a camera.
    Microphone,
}

impl Device {
    fn noun(self) -> &'static str {
        match self {
            Self::Screen => "screen",
            Self::Camera => "camera",
            Self::Microphone => "microphone",
        }
    }
}

/// Error of a source, a recorder or an upload. `Display` is a sentence for the user that says what to do;
/// [`RecorderError::code`] is for programs and stable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecorderError {
    /// The user, the browser or the embedding page (`Permissions-Policy`) refused permission.
    #[error("{}", denied(*.0))]
    PermissionDenied(Device),
    /// The device does not exist.
    #[error(
        "No {} was found. Connect one and try again.",
        .0.noun()
    )]
    NoDevice(Device),
    /// The device exists but cannot be read, usually because another program uses it.
    #[error(
        "The {} cannot be used. Close other programs that may be using it and try again.",
        .0.noun()
    )]
    DeviceBusy(Device),
    /// The page was not loaded over HTTPS (or from localhost), so the browser offers no capture.
    #[error("Recording needs a secure connection. Open this page with https:// or from localhost.")]
    InsecureContext,
    /// The browser lacks a feature that recording needs; the payload names it.
    #[error(
        "This browser cannot record: {0} is missing. Use a current Chrome, Edge, Firefox or Safari."
    )]
    Unsupported(String),
    /// The canvas shows pictures from another origin, so the browser does not let it be read.
    #[error(
        "The canvas cannot be recorded because it shows pictures from another site. Load them with CORS."
    )]
    TaintedCanvas,
    /// The stream has no live track.
    #[error("There is nothing to record: the stream has no live picture. Choose the source again.")]
    NoTracks,
    /// The composition of the source cannot be opened; the payload is a sentence for the user.
    #[cfg(feature = "compose")]
    #[error("{1}")]
    Composition(ErrorCode, String),
    /// The browser's encoder failed; the payload is the browser's text.
    #[error("The browser's encoder failed ({0}). Try again with a smaller picture.")]
    Encoder(String),
    /// The encoder emitted no byte, or the file is empty.
    #[error(
        "There is not one byte to send. If this was a recording, the browser's encoder produced nothing: use a current Chrome, Edge, Firefox or Safari."
    )]
    Empty,
    /// The call is not possible in the recorder's state.
    #[error("The recorder is {0} and cannot do this now.")]
    WrongState(crate::State),
    /// `Recorder::abort` was called, or the recorder was dropped.
    #[error("The recording was discarded.")]
    Aborted,
    /// The sign-in has expired and could not be renewed.
    #[error("Your sign-in has expired. Sign in again; what was sent so far is safe.")]
    SignedOut,
    /// The server has not answered, is no tus server, or does not allow the page's origin. Browsers do not tell these
    /// apart.
    #[error(
        "The server cannot be reached, or is another one. Check its address and your network connection. From another site's pages: does the server let them in (CORS; ours: SORTIE_CORS_ORIGINS)?"
    )]
    Unreachable,
    /// The server refused to begin the recording or the upload.
    #[error("{}", .0.detail)]
    Refused(Arc<Refusal>),
    /// The recording is larger than the server accepts; the bytes that the server holds stay there.
    #[error(
        "The recording is larger than the server accepts. The remaining bytes are kept on this device."
    )]
    TooLarge,
    /// The server no longer has the upload: it has finished the recording without the remaining bytes, or deleted it.
    #[error(
        "This recording was deleted or closed on the server. Download the copy on this device."
    )]
    Gone,
    /// Another tab uses this recording.
    #[error("Another tab uses this recording. Continue there, or close that tab.")]
    InUse,
    /// The copy on the device can no longer be read.
    #[error("The copy on this device cannot be read. The browser may have cleared it.")]
    Storage,
    /// The copy on the device contains no whole picture.
    #[error("The copy on this device is too short to be played.")]
    NotPlayable,
    /// The bytes on the server are not those of this upload; the payload is an explanation.
    #[error("{0}")]
    Upload(String),
}

impl From<Refusal> for RecorderError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Arc::new(refusal))
    }
}

impl RecorderError {
    /// Returns a stable identifier for programs.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::PermissionDenied(_) => ErrorCode::PermissionDenied,
            Self::NoDevice(_) => ErrorCode::NoDevice,
            Self::DeviceBusy(_) => ErrorCode::DeviceBusy,
            Self::InsecureContext => ErrorCode::InsecureContext,
            Self::Unsupported(_) => ErrorCode::Unsupported,
            Self::TaintedCanvas => ErrorCode::TaintedCanvas,
            Self::NoTracks => ErrorCode::NoTracks,
            #[cfg(feature = "compose")]
            Self::Composition(code, _) => *code,
            Self::Encoder(_) => ErrorCode::Encoder,
            Self::Empty => ErrorCode::Empty,
            Self::WrongState(_) => ErrorCode::WrongState,
            Self::Aborted => ErrorCode::Aborted,
            Self::SignedOut => ErrorCode::SignedOut,
            Self::Unreachable => ErrorCode::Unreachable,
            Self::Refused(refusal) => refusal.code,
            Self::TooLarge => ErrorCode::TooLarge,
            Self::Gone => ErrorCode::Gone,
            Self::InUse => ErrorCode::InUse,
            Self::Storage => ErrorCode::Storage,
            Self::NotPlayable => ErrorCode::NotPlayable,
            Self::Upload(_) => ErrorCode::Upload,
        }
    }

    /// Replaces the device; errors without one stay as they are.
    #[cfg(any(target_arch = "wasm32", test))]
    pub(crate) fn with(self, device: Device) -> Self {
        match self {
            Self::PermissionDenied(_) => Self::PermissionDenied(device),
            Self::NoDevice(_) => Self::NoDevice(device),
            Self::DeviceBusy(_) => Self::DeviceBusy(device),
            other => other,
        }
    }

    /// Translates the `name` of a `DOMException` from a capture call. `message` is the browser's own text, used for
    /// unknown names.
    pub fn from_capture(device: Device, name: &str, message: &str) -> Self {
        match name {
            // Firefox throws `SecurityError` when a policy forbids the device for the whole page.
            "NotAllowedError" | "PermissionDeniedError" | "SecurityError" => {
                Self::PermissionDenied(device)
            }
            "NotFoundError" | "DevicesNotFoundError" | "OverconstrainedError" => {
                Self::NoDevice(device)
            }
            "NotReadableError" | "TrackStartError" | "AbortError" => Self::DeviceBusy(device),
            // Screen capture was called without the click that browsers require.
            "InvalidStateError" => Self::PermissionDenied(device),
            "TypeError" | "NotSupportedError" => {
                Self::Unsupported(format!("{} capture", device.noun()))
            }
            _ if message.is_empty() => Self::Unsupported(format!("{} capture", device.noun())),
            _ => Self::Encoder(message.to_owned()),
        }
    }
}

fn denied(device: Device) -> &'static str {
    match device {
        Device::Screen => "Nothing was shared. Start again and choose a screen, window or tab.",
        Device::Camera => {
            "The camera may not be used. Allow it in the browser's address bar and try again."
        }
        Device::Microphone => {
            "The microphone may not be used. Allow it in the browser's address bar and try again."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: RecorderError) {
        assert_eq!(
            RecorderError::from_capture(Device::Camera, name, "because"),
            expected
        );
    }

    #[test]
    fn exception_names_map_to_errors() {
        check(
            "NotAllowedError",
            RecorderError::PermissionDenied(Device::Camera),
        );
        check("NotFoundError", RecorderError::NoDevice(Device::Camera));
        check(
            "NotReadableError",
            RecorderError::DeviceBusy(Device::Camera),
        );
        check(
            "TypeError",
            RecorderError::Unsupported("camera capture".to_owned()),
        );
        check("SomethingNew", RecorderError::Encoder("because".to_owned()));
    }

    #[test]
    fn error_names_the_device_that_caused_it() {
        let camera = RecorderError::NoDevice(Device::Camera);
        assert_eq!(
            camera.with(Device::Microphone),
            RecorderError::NoDevice(Device::Microphone)
        );
        assert_eq!(
            RecorderError::NoTracks.with(Device::Microphone),
            RecorderError::NoTracks
        );
    }

    #[test]
    fn error_messages_say_what_to_do() {
        assert_eq!(
            RecorderError::NoDevice(Device::Microphone).to_string(),
            "No microphone was found. Connect one and try again."
        );
        assert_eq!(
            RecorderError::WrongState(crate::State::Paused).to_string(),
            "The recorder is paused and cannot do this now."
        );
    }
}
