//! States of a recorder.

use std::fmt;

/// State of a recorder: `idle → starting → recording ⇄ paused → stopping → uploading → done`, or `failed` from
/// anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Not started yet.
    #[default]
    Idle,
    /// The recording begins on the server and the encoder starts.
    Starting,
    /// The source is being recorded.
    Recording,
    /// Recording is paused; paused time does not count.
    Paused,
    /// The encoder is emitting its last bytes.
    Stopping,
    /// Recording has ended; the remaining bytes are being uploaded.
    Uploading,
    /// The server holds all bytes.
    Done,
    /// The recording could not begin, or not all of it arrived.
    Failed,
}

impl State {
    /// Returns the state's name, as in the documentation and in JavaScript.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Starting => "starting",
            Self::Recording => "recording",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Uploading => "uploading",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Whether no other state can follow.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }

    /// Whether the source is being recorded, or can be after a pause.
    pub fn is_capturing(self) -> bool {
        matches!(self, Self::Recording | Self::Paused)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reason why a recording stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// The user or the page called stop.
    User,
    /// The user ended screen sharing in the browser's own controls, or closed the shared window.
    SharingEnded,
    /// The caller's stream ended.
    TrackEnded,
    /// The session has ended.
    SessionEnded,
    /// The longest duration or the largest size was reached.
    LimitReached,
    /// The camera or microphone was disconnected, or permission was withdrawn.
    DeviceLost,
    /// The browser's encoder failed; the bytes that it wrote are kept.
    EncoderFailed,
    /// The device's storage is full and the network did not catch up in time; all recorded bytes are kept.
    StorageFull,
    /// The upload failed; [`Event::Failed`](crate::Event::Failed) follows with the reason.
    UploadFailed,
}

impl StopReason {
    /// Returns a stable identifier for programs, in `snake_case`.
    pub fn code(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::SharingEnded => "sharing_ended",
            Self::TrackEnded => "track_ended",
            Self::SessionEnded => "session_ended",
            Self::LimitReached => "limit_reached",
            Self::DeviceLost => "device_lost",
            Self::EncoderFailed => "encoder_failed",
            Self::StorageFull => "storage_full",
            Self::UploadFailed => "upload_failed",
        }
    }
}
