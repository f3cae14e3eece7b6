//! Inputs and outputs of the recorder's state machine.

use super::begun_upload::BegunUpload;
use super::encoders::EncoderId;
use super::marks::NewMark;
use crate::{Labels, StopReason};

/// Interval of ticks.
pub(crate) const TICK_MS: u32 = 500;

/// Time of an input.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    /// Monotonic time in ms.
    pub(crate) steady_ms: f64,
    /// Unix time in ms, which continues while the device sleeps.
    pub(crate) wall_ms: u64,
}

/// Call of the recorder's user, or of the source that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Pause,
    Resume,
    Stop(StopReason),
    Abort,
    /// Upload the encoder's bytes now: the page is hidden or closed and may never run again.
    Flush,
}

/// Work for the adapter, to be carried out in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Create the spool of a part, which continues the recording of this id.
    OpenPart(usize, Option<String>),
    /// The answer goes to [`handle_begun`](super::machine::RecorderMachine::handle_begun).
    BeginUpload(BeginRequest),
    /// The answer goes to [`handle_encoder`](super::machine::RecorderMachine::handle_encoder).
    StartEncoder {
        encoder: EncoderId,
        /// Reopen the source, because the encoder in use is silent.
        renew_source: bool,
        is_paused: bool,
    },
    /// Use the reopened source from now on.
    UseRenewedSource,
    PauseEncoder(EncoderId),
    ResumeEncoder(EncoderId),
    /// Ask for the bytes that the encoder holds.
    FlushEncoder(EncoderId),
    /// Stop the encoder; its last bytes follow.
    StopEncoder(EncoderId),
    /// Stop the encoder and drop its bytes.
    DropEncoder(EncoderId),
    /// Release source and encoder.
    ReleaseSource,
    /// Upload the spool of a part.
    SendPart(Sending),
    /// The answer goes to [`handle_rest`](super::machine::RecorderMachine::handle_rest).
    ReadRest(usize, RestRequest),
    /// Upload the rest that was read.
    SendRest(Sending),
    /// No more bytes of the part follow.
    EndPart(usize),
    /// The server holds the part.
    RemovePart(usize),
    DeleteUpload(String),
    /// Store a marker with its part.
    KeepMark(usize, NewMark),
    /// Add a marker to the recording with this ID on our server. The answer goes to
    /// [`handle_mark_sent`](super::machine::RecorderMachine::handle_mark_sent).
    SendMark(String, NewMark),
    /// Store the number of a part's markers that need not be sent again.
    MarksSettled(usize, usize),
    /// Cancel all uploads, and delete them and those at the URLs.
    Discard(Vec<String>),
    /// The answer goes to [`handle_stop_announced`](super::machine::RecorderMachine::handle_stop_announced).
    AnnounceStop(BegunUpload),
    /// Tick from now on and keep the screen on.
    Watch,
    /// Report when the page is hidden or closed.
    WatchPage,
    /// Stop watching, and let `recover` have the spools unless they were removed.
    Unwatch,
    LeaveSpools,
    /// A tainted canvas is reported to
    /// [`handle_tainted_canvas`](super::machine::RecorderMachine::handle_tainted_canvas).
    CheckCanvas,
    /// The answer goes to [`handle_free_space`](super::machine::RecorderMachine::handle_free_space).
    CheckStorage,
    RepaintCanvas,
}

/// Destination of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkPlace {
    pub(crate) part: usize,
    /// Length of the recording at the end of the chunk, in ms.
    pub(crate) recorded_ms: u64,
}

/// Session to record into, and the labels of the recording there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordingSession {
    /// `None` creates a session.
    pub(crate) id: Option<String>,
    pub(crate) labels: Labels,
}

/// Request to our server to begin an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BeginRequest {
    pub(crate) session: RecordingSession,
    /// First part of the recording that the upload continues.
    pub(crate) continues: Option<String>,
}

/// Bytes of a part that are sent again as a file of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RestRequest {
    /// Offset in the part; the server holds the bytes before it.
    pub(crate) from: u64,
    /// The bytes may be the single picture that an encoder emits when it is stopped after a pause. In the middle of a
    /// cluster it does not play, so it is left out.
    pub(crate) may_be_picture: bool,
}

/// Rest of a part that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Bytes of front matter before it in the file.
    pub(crate) front: u64,
    /// Time of its first picture in the part in ms, if it could be read.
    pub(crate) media_ms: Option<u64>,
}

/// Upload of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    pub(crate) part: usize,
    /// The upload on our server; `None` with another tus server.
    pub(crate) begun: Option<BegunUpload>,
    /// First part of the recording that the upload continues.
    pub(crate) continues: Option<String>,
}
