//! Events of a recorder.

use crate::named::named;
use crate::{RecorderError, SpoolStorage, State, StopReason};

/// Event of a recorder. Delivered in order from a microtask, so never from within a call to the recorder.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The recorder entered this state.
    State(State),
    /// Progress changed. Sent after every chunk and acknowledgement, and at least twice a second while recording.
    Progress(Progress),
    /// A problem that does not end the recording.
    Warning(Warning),
    /// Recording has ended, with the reason; the remaining bytes are being uploaded. Sent once, and not if the
    /// recording could not begin.
    Stopped(StopReason),
    /// The server holds every byte. The last event.
    Done(Done),
    /// The recording could not begin, not all of it arrived, or it was discarded ([`RecorderError::Aborted`]). The last
    /// event.
    Failed(RecorderError),
}

/// Progress of recording and upload.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Length of the recording in milliseconds, without pauses. If the encoder is silent or slower than the source, the
    /// length falls back to that of the recorded data.
    pub recorded_ms: u64,
    /// Bytes recorded so far.
    pub size_bytes: u64,
    /// Recorded time that the server holds durably, in milliseconds. At most [`recorded_ms`](Self::recorded_ms), and
    /// falls only with it.
    pub safe_ms: u64,
    /// Bytes that the server holds durably. Never falls.
    pub safe_bytes: u64,
    /// Bytes that are not acknowledged: `size_bytes - safe_bytes`.
    pub pending_bytes: u64,
    /// Storage of the bytes that are not acknowledged.
    pub storage: SpoolStorage,
    /// Reason why nothing is being sent, if so. No byte is lost meanwhile.
    pub waiting: Option<Waiting>,
}

/// Reason why the upload waits. No byte is lost: all are kept and sent later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The browser reports that there is no network.
    Offline,
    /// The last attempt failed, or the server asked for a later one.
    Retry {
        /// Milliseconds until the next attempt, counted from this report.
        in_ms: u64,
    },
    /// The sign-in is being renewed.
    SignIn,
}

/// A problem that does not end the recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// The microphone could not be opened; the recording continues without it.
    #[error("Recording continues without the microphone. {0}")]
    NoMicrophone(RecorderError),
    /// The audio of a tab or of the system was requested, and the user or the browser did not share it.
    #[error(
        "Recording continues without sound: none was shared. Tick “share audio” when choosing what to share."
    )]
    NoSharedAudio,
    /// The microphone or the shared audio ended; the recording continues without it.
    #[error("The sound has ended. Recording continues without it.")]
    AudioEnded,
    /// A problem of a composed source; the payload is a sentence for the user.
    #[cfg(feature = "compose")]
    #[error("{1}")]
    Composition(WarningCode, String),
    /// Many bytes wait to be sent: the network is slower than the recording.
    #[error(
        "The network is slower than the recording: {} MB are kept on this device and sent later.",
        pending_bytes / 1_000_000
    )]
    Backlog {
        /// Bytes that are not acknowledged.
        pending_bytes: u64,
    },
    /// The server could not be told that recording has stopped; it learns that from the upload.
    #[error("The server could not be told yet that recording has stopped.")]
    StopNotAnnounced,
    /// The device has no usable storage: bytes that are not sent are lost if the page crashes.
    #[error("Nothing can be stored on this device: keep this page open until everything is sent.")]
    NotDurable,
    /// The browser refuses the recorder's worker: the page itself uploads, and cannot store. The payload is the browser's
    /// text.
    #[error(
        "The browser refuses the recorder's worker: keep this page open until everything is sent. {0} A Content-Security-Policy needs worker-src blob: (or workerUrl), and with Trusted Types trusted-types sortie-recorder."
    )]
    NoWorker(String),
    /// The recorder's worker crashed and was replaced.
    #[error("The recorder's worker crashed and was replaced. The recording continues.")]
    WorkerRestarted,
    /// Little storage is left for the browser.
    #[error(
        "This device has only {} MB left for the recording. Free storage, or wait until more is sent.",
        left_bytes / 1_000_000
    )]
    StorageLow {
        /// Free bytes by the browser's estimate.
        left_bytes: u64,
    },
    /// The device's storage is full: new bytes stay in memory until the server holds them.
    #[error("This device's storage is full: keep this page open until everything is sent.")]
    StorageFull,
    /// The server has not answered since recording began, or it is no tus server: the address may be wrong. Recording
    /// continues and the upload is retried.
    #[error("{}", RecorderError::Unreachable)]
    Unreachable,
    /// The encoder emits no bytes.
    #[error(
        "Nothing has been recorded for {} s. Check what is being recorded.",
        silent_ms / 1_000
    )]
    NoData {
        /// Length of the silence in milliseconds.
        silent_ms: u64,
    },
    /// The encoder is slower than the source and drops pictures: the recording is shorter than the elapsed time.
    #[error(
        "The browser's encoder is too slow and drops pictures: it is {} s behind. Record a smaller picture or fewer pictures per second.",
        behind_ms / 1_000
    )]
    EncoderSlow {
        /// Difference in milliseconds.
        behind_ms: u64,
    },
    /// The canvas now shows pictures from another origin: it is not recorded any more.
    #[error("{}", RecorderError::TaintedCanvas)]
    TaintedCanvas,
    /// The encoder was silent and was replaced: the recording continues in a further part.
    #[error(
        "The browser's encoder stopped responding and was replaced. The recording continues in a further part."
    )]
    Restarted,
    /// The server has ended the upload or takes no more bytes in one: the recording continues in a further part.
    #[error("The server closed the upload. The recording continues as a further part.")]
    Continued,
    /// The last picture of a part that the server has ended was left out, because it cannot be decoded without the
    /// pictures before it.
    #[error(
        "The last {bytes} bytes before the recording continued were left out: they cannot be played alone."
    )]
    LeftOut {
        /// Size of the picture in bytes.
        bytes: u64,
    },
    /// The video track was stopped by a script.
    #[error("The picture has ended: its track was stopped.")]
    VideoEnded,
    /// The device slept; that time is not in the recording.
    #[error("This device slept for {} s; that time is not in the recording.", asleep_ms / 1_000)]
    Slept {
        /// Length of the sleep in milliseconds.
        asleep_ms: u64,
    },
    /// A marker could not be added on the server. The payload says why.
    #[error("A marker is not on the server. {0}")]
    Marker(String),
    /// The encoder reported a fault; the bytes that it wrote are kept and uploaded.
    #[error("The browser's encoder failed ({0}). What was recorded is kept.")]
    Encoder(String),
}

impl Warning {
    /// Returns a stable identifier for programs.
    pub fn code(&self) -> WarningCode {
        match self {
            Self::NoMicrophone(_) => WarningCode::NoMicrophone,
            Self::NoSharedAudio => WarningCode::NoSharedAudio,
            Self::AudioEnded => WarningCode::AudioEnded,
            Self::Backlog { .. } => WarningCode::Backlog,
            Self::StopNotAnnounced => WarningCode::StopNotAnnounced,
            Self::NotDurable => WarningCode::NotDurable,
            Self::NoWorker(_) => WarningCode::NoWorker,
            Self::WorkerRestarted => WarningCode::WorkerRestarted,
            Self::StorageLow { .. } => WarningCode::StorageLow,
            Self::StorageFull => WarningCode::StorageFull,
            Self::Unreachable => WarningCode::Unreachable,
            Self::NoData { .. } => WarningCode::NoData,
            Self::EncoderSlow { .. } => WarningCode::EncoderSlow,
            Self::TaintedCanvas => WarningCode::TaintedCanvas,
            Self::Restarted => WarningCode::Restarted,
            Self::Continued => WarningCode::Continued,
            Self::LeftOut { .. } => WarningCode::LeftOut,
            Self::VideoEnded => WarningCode::VideoEnded,
            Self::Slept { .. } => WarningCode::Slept,
            #[cfg(feature = "compose")]
            Self::Composition(code, _) => *code,
            Self::Marker(_) => WarningCode::Marker,
            Self::Encoder(_) => WarningCode::Encoder,
        }
    }
}

named! {
    fn name;
    /// Stable identifier of a [`Warning`], for programs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum WarningCode {
        /// The microphone could not be opened.
        NoMicrophone = "no_microphone",
        /// No audio was shared.
        NoSharedAudio = "no_shared_audio",
        /// The microphone or the shared audio ended.
        AudioEnded = "audio_ended",
        /// The camera over the picture could not be opened.
        NoCamera = "no_camera",
        /// The camera over the picture ended.
        CameraEnded = "camera_ended",
        /// The picture is black because the masks cannot be applied.
        MaskBlocked = "mask_blocked",
        /// Many bytes wait to be sent.
        Backlog = "backlog",
        /// The server could not be told that recording has stopped.
        StopNotAnnounced = "stop_not_announced",
        /// The device has no usable storage.
        NotDurable = "not_durable",
        /// The browser refuses the recorder's worker.
        NoWorker = "no_worker",
        /// A crashed worker was replaced.
        WorkerRestarted = "worker_restarted",
        /// Little storage is left.
        StorageLow = "storage_low",
        /// The storage is full.
        StorageFull = "storage_full",
        /// The server has not answered since recording began.
        Unreachable = "unreachable",
        /// The encoder emits no bytes.
        NoData = "no_data",
        /// The encoder is slower than the source.
        EncoderSlow = "encoder_slow",
        /// The canvas now shows pictures from another origin.
        TaintedCanvas = "tainted_canvas",
        /// A silent encoder was replaced.
        Restarted = "restarted",
        /// The recording continues in a further part.
        Continued = "continued",
        /// The last picture of a part was left out.
        LeftOut = "left_out",
        /// A script stopped the video track.
        VideoEnded = "video_ended",
        /// The device slept; that time is missing.
        Slept = "slept",
        /// A marker could not be added on the server.
        Marker = "marker",
        /// The encoder reported a fault.
        Encoder = "encoder",
    }
}

/// Outcome of a complete recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Recording id on our server, of the first part if there are several; `None` with another tus server.
    pub recording_id: Option<String>,
    /// URL of the upload, of the last part if there are several.
    pub upload_url: String,
    /// Ids of the parts on our server, or upload URLs with another one, in order. Empty unless there are several.
    pub parts: Vec<String>,
    /// Length of all parts in milliseconds, without pauses.
    pub recorded_ms: u64,
    /// Size of all parts in bytes.
    pub size_bytes: u64,
    /// MIME type that the browser recorded, for example `video/webm;codecs=vp9,opus`.
    pub mime_type: String,
}
