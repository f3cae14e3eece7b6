//! States of a recorder.

use std::fmt;

use crate::named::named;

named! {
    fn name;
    /// State of a recorder: `idle → starting → recording ⇄ paused → stopping → uploading → done`. `failed` and `aborted`
    /// may follow all states but the final ones.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum State {
        /// The recorder was not started yet.
        #[default]
        Idle = "idle",
        /// The recording begins on the server and the encoder starts.
        Starting = "starting",
        /// The source is being recorded.
        Recording = "recording",
        /// Recording is paused; paused time does not count.
        Paused = "paused",
        /// The encoder is emitting its last bytes.
        Stopping = "stopping",
        /// Recording has ended; the remaining bytes are being uploaded.
        Uploading = "uploading",
        /// The server holds all bytes.
        Done = "done",
        /// The recording could not begin, or not all of it arrived.
        Failed = "failed",
        /// The recording was discarded by its caller.
        Aborted = "aborted",
    }
}

impl State {
    /// Whether no other state can follow.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Aborted)
    }

    /// Whether entering the state changes the progress of the recording.
    #[cfg(any(target_arch = "wasm32", test))]
    pub(crate) fn reports_progress(self) -> bool {
        !matches!(
            self,
            Self::Idle | Self::Starting | Self::Failed | Self::Aborted
        )
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

named! {
    fn code;
    /// Reason why a recording stopped.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum StopReason {
        /// The user or the page called stop.
        User = "user",
        /// The user ended screen sharing in the browser's own controls, or closed the shared window.
        SharingEnded = "sharing_ended",
        /// The caller's stream ended.
        TrackEnded = "track_ended",
        /// The session has ended.
        SessionEnded = "session_ended",
        /// The longest duration or the largest size was reached.
        LimitReached = "limit_reached",
        /// The camera or microphone was disconnected, or permission was withdrawn.
        DeviceLost = "device_lost",
        /// The browser's encoder failed; the bytes that it wrote are kept.
        EncoderFailed = "encoder_failed",
        /// The device's storage is full and the network did not catch up in time; all recorded bytes are kept.
        StorageFull = "storage_full",
        /// The upload failed; [`Event::Failed`](crate::Event::Failed) follows with the reason.
        UploadFailed = "upload_failed",
    }
}
