//! The recorder's life as a state machine.

use std::fmt;

/// Where a recorder is in its life: `idle → starting → recording ⇄ paused → stopping → uploading → done`, or
/// `failed` from anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Not started.
    #[default]
    Idle,
    /// The server is being told and the encoder set up.
    Starting,
    /// Recording.
    Recording,
    /// Recording, but time stands still.
    Paused,
    /// The encoder is giving out its last bytes.
    Stopping,
    /// Recording has ended; the rest is on its way to the server.
    Uploading,
    /// The server holds everything.
    Done,
    /// It came to nothing, or not all of it arrived.
    Failed,
}

impl State {
    /// The state's name, as in the documentation and in JavaScript.
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

    /// Whether nothing can follow.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }

    /// Whether pictures are being taken or could be again after a pause.
    pub fn is_capturing(self) -> bool {
        matches!(self, Self::Recording | Self::Paused)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a recording stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// Somebody pressed stop.
    User,
    /// Screen sharing was ended in the browser's own controls, or the shared window was closed.
    SharingEnded,
    /// The stream given by the caller ended.
    TrackEnded,
    /// The session that was being watched ended; said by the page.
    SessionEnded,
    /// The longest duration or the largest size was reached.
    LimitReached,
    /// The camera or microphone was disconnected or taken away.
    DeviceLost,
    /// The browser's encoder gave up; what it had written is kept.
    EncoderFailed,
    /// The device has no room left and the server was not reached in time to make some; what there is, is kept.
    StorageFull,
    /// The upload cannot go on; [`Event::Failed`](crate::Event::Failed) follows with the reason.
    UploadFailed,
}

impl StopReason {
    /// A stable word for programs, in `snake_case`.
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
