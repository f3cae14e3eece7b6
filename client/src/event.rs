//! What a recorder tells its listeners.

use std::fmt;

use crate::text;
use crate::{RecorderError, SpoolStorage, State, StopReason};

/// Something happened. Delivered in order from a microtask, so never from within a call to the recorder.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The state changed.
    State(State),
    /// Numbers changed: after every chunk and acknowledgement, and at least twice a second while recording.
    Progress(Progress),
    /// Something is not as it should be, but recording goes on.
    Warning(Warning),
    /// Recording has ended, and why; the rest is being uploaded. Comes once, and not after a failure to begin.
    Stopped(StopReason),
    /// The server holds every byte. The last event.
    Done(Done),
    /// The recording came to nothing, or not all of it arrived. The last event.
    Failed(RecorderError),
}

/// How far recording and uploading are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// How long the recording is, in milliseconds; pauses do not count. When the encoder turns out to have fallen
    /// silent it goes back to the last bytes, and on from there when more come.
    pub recorded_ms: u64,
    /// Bytes recorded so far.
    pub size_bytes: u64,
    /// Up to where in the recording the server holds it durably, in milliseconds. Never falls.
    pub safe_ms: u64,
    /// Bytes that the server holds durably. Never falls.
    pub safe_bytes: u64,
    /// Bytes kept here because they are not acknowledged yet: `size_bytes - safe_bytes`.
    pub pending_bytes: u64,
    /// Storage of the bytes that are not acknowledged.
    pub storage: SpoolStorage,
    /// Why nothing is being sent just now, if so. Nothing is lost meanwhile.
    pub waiting: Option<Waiting>,
}

/// Why the upload pauses. Nothing is lost meanwhile: the bytes are kept and sent later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The browser says that there is no network.
    Offline,
    /// The last attempt failed or the server asked for patience.
    Retry {
        /// Milliseconds until the next attempt, counted from when this was reported.
        in_ms: u64,
    },
    /// The sign-in is being renewed.
    SignIn,
}

/// Something worth knowing that does not end the recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// The microphone could not be opened; recording goes on without it.
    NoMicrophone(RecorderError),
    /// A tab's or system's sound was asked for, and the person or the browser did not share it.
    NoSharedAudio,
    /// The microphone or the shared sound ended; recording goes on without it.
    AudioEnded,
    /// More than this many bytes wait to be sent: the network is slower than the recording.
    Backlog {
        /// Bytes not acknowledged yet.
        pending_bytes: u64,
    },
    /// The server could not be told that the recording has stopped; it finds out from the upload.
    StopNotAnnounced,
    /// Nothing can be kept on this device: what is not sent yet is lost if the page crashes.
    NotDurable,
    /// The device has less than this left for the browser.
    StorageLow {
        /// Bytes that the browser still gives.
        left_bytes: u64,
    },
    /// The device has no room left: new bytes are in memory until the server has them.
    StorageFull,
    /// The server has not answered once since recording began, or what answers is no tus server: the address may be
    /// wrong. Recording goes on, and it is tried again for as long as it takes.
    Unreachable,
    /// No bytes have come from the encoder for a while.
    NoData {
        /// For how long, in milliseconds.
        silent_ms: u64,
    },
    /// The encoder is slower than the source and drops pictures: the recording is shorter than the time that has passed.
    EncoderSlow {
        /// Difference in milliseconds.
        behind_ms: u64,
    },
    /// The canvas now shows pictures from another origin: it is not recorded any more.
    TaintedCanvas,
    /// The encoder was silent and was replaced: the recording continues in a further part.
    Restarted,
    /// The server had ended the upload, or takes no more in one: what follows is a further part of the recording.
    Continued,
    /// The last picture of a part that the server had closed cannot be shown without what is before it, and was left
    /// out.
    LeftOut {
        /// In bytes.
        bytes: u64,
    },
    /// The picture has ended: its track was stopped.
    VideoEnded,
    /// The device slept: that time is missing.
    Slept {
        /// For how long, in milliseconds.
        asleep_ms: u64,
    },
    /// The encoder reported a fault; what it had written is kept and uploaded.
    Encoder(String),
}

impl Warning {
    /// A stable word for programs, in `snake_case`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoMicrophone(_) => "no_microphone",
            Self::NoSharedAudio => "no_shared_audio",
            Self::AudioEnded => "audio_ended",
            Self::Backlog { .. } => "backlog",
            Self::StopNotAnnounced => "stop_not_announced",
            Self::NotDurable => "not_durable",
            Self::StorageLow { .. } => "storage_low",
            Self::StorageFull => "storage_full",
            Self::Unreachable => "unreachable",
            Self::NoData { .. } => "no_data",
            Self::EncoderSlow { .. } => "encoder_slow",
            Self::TaintedCanvas => "tainted_canvas",
            Self::Restarted => "restarted",
            Self::Continued => "continued",
            Self::LeftOut { .. } => "left_out",
            Self::VideoEnded => "video_ended",
            Self::Slept { .. } => "slept",
            Self::Encoder(_) => "encoder",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NoMicrophone(why) => {
                f.write_str("Recording goes on without the microphone. ")?;
                return why.fmt(f);
            }
            Self::NoSharedAudio => {
                "Recording goes on without sound: none was shared. Tick “share audio” when choosing what to share."
            }
            Self::AudioEnded => "The sound has ended. Recording goes on without it.",
            Self::Backlog { pending_bytes } => {
                let megabytes = (pending_bytes / 1_000_000).to_string();
                let end = " MB are kept here and sent later.";
                return text::write(
                    f,
                    &[
                        "The network is slower than the recording: ",
                        &megabytes,
                        end,
                    ],
                );
            }
            Self::StopNotAnnounced => {
                "The server could not be told yet that recording has stopped."
            }
            Self::NotDurable => {
                "Nothing can be kept on this device: keep this page open until everything is sent."
            }
            Self::StorageLow { left_bytes } => {
                let megabytes = (left_bytes / 1_000_000).to_string();
                let end = " MB left for the recording. Make room, or let the network catch up.";
                return text::write(f, &["This device has only ", &megabytes, end]);
            }
            Self::StorageFull => {
                "This device has no room left: keep this page open until the network has caught up."
            }
            Self::Unreachable => return RecorderError::Unreachable.fmt(f),
            Self::NoData { silent_ms } => {
                let seconds = (silent_ms / 1_000).to_string();
                let end = " s. Check what is being recorded.";
                return text::write(f, &["Nothing has been recorded for ", &seconds, end]);
            }
            Self::EncoderSlow { behind_ms } => {
                let seconds = (behind_ms / 1_000).to_string();
                let end = " s behind. Record a smaller picture or fewer pictures per second.";
                let text = "The browser's encoder is too slow and drops pictures: it is ";
                return text::write(f, &[text, &seconds, end]);
            }
            Self::TaintedCanvas => return RecorderError::TaintedCanvas.fmt(f),
            Self::Restarted => {
                "The browser's encoder stopped responding and was replaced. The recording continues in a further part."
            }
            Self::Continued => {
                "The server closed the upload. The recording continues as a further part."
            }
            Self::LeftOut { bytes } => {
                let end = " bytes before the recording continued were left out: they cannot be played alone.";
                return text::write(f, &["The last ", &bytes.to_string(), end]);
            }
            Self::VideoEnded => "The picture has ended: its track was stopped.",

            Self::Slept { asleep_ms } => {
                let seconds = (asleep_ms / 1_000).to_string();
                let end = " s; that time is not in the recording.";
                return text::write(f, &["This device slept for ", &seconds, end]);
            }
            Self::Encoder(detail) => {
                let end = "). What was recorded is kept.";
                return text::write(f, &["The browser's encoder failed (", detail, end]);
            }
        };
        f.write_str(text)
    }
}

/// How a recording ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The recording's id on our server, of its first part if there are several; nothing with another tus server.
    pub recording_id: Option<String>,
    /// The upload's URL, of its last part if there are several.
    pub upload_url: String,
    /// The parts in order: ids on our server, upload URLs on another one. Empty unless there are several.
    pub parts: Vec<String>,
    /// Length in milliseconds, without pauses; all parts together.
    pub recorded_ms: u64,
    /// Size in bytes; all parts together.
    pub size_bytes: u64,
    /// What the browser really recorded, for example `video/webm;codecs=vp9,opus`.
    pub mime_type: String,
}
