//! The recorder: encodes a source and sends what comes out.

mod core;
mod parts;
mod upload;
mod watch;

#[cfg(feature = "js")]
pub(crate) use self::parts::enable as enable_parts;
pub(super) use self::parts::last_segment;
pub(super) use self::upload::{creation, failure, waiting_for};

use std::fmt;
use std::rc::Rc;

use web_sys::{Blob, MediaStream};

use self::core::Core;
use super::event_dispatcher::EventListener;
use super::source::OpenSource;
use crate::machine::Input;
use crate::{Event, Options, Progress, RecorderError, State, StopReason};

/// Records one source once.
///
/// All calls return at once; what comes of them is told by [`Event`]s.
///
/// A handle: dropping it lets go of everything. Capture ends and nothing more is sent; what the server holds
/// by then stays there and becomes an *interrupted* recording. [`Recorder::abort`] discards that, too.
pub struct Recorder {
    core: Rc<Core>,
}

impl Recorder {
    /// A recorder in state `idle`.
    pub fn new(options: Options) -> Self {
        Self {
            core: Core::new(options),
        }
    }

    /// Registers a listener for everything that happens from now on.
    pub fn on_event(&self, listener: impl Fn(Event) + 'static) -> EventListener {
        self.core.listen(listener)
    }

    /// Tells the server and begins to record.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] unless it is `idle`; the source is dropped then. Anything else comes as
    /// [`Event::Failed`].
    pub fn start(&self, source: OpenSource) -> Result<(), RecorderError> {
        self.core.start(source)
    }

    /// Makes recorded time stand still.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] unless it is `recording`.
    pub fn pause(&self) -> Result<(), RecorderError> {
        self.core.input(Input::Pause)
    }

    /// Goes on after a pause.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] unless it is `paused`.
    pub fn resume(&self) -> Result<(), RecorderError> {
        self.core.input(Input::Resume)
    }

    /// Ends the recording and sends the rest. While it is `starting` this discards it; once it has been
    /// stopped this does nothing.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] when it is `idle`.
    pub fn stop(&self, reason: StopReason) -> Result<(), RecorderError> {
        self.core.input(Input::Stop(reason))
    }

    /// Ends the recording and discards it, on the server too; [`RecorderError::Aborted`] follows as an event.
    /// Does nothing once it is `done` or `failed`.
    pub fn abort(&self) {
        self.core.news(Input::Abort);
    }

    /// Sets the owner of the copy on this device, for a caller that learns it only with the first token. Does nothing
    /// when the owner is known already.
    pub fn set_owner(&self, owner: &str) {
        self.core.set_owner(owner);
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.core.state()
    }

    /// How far recording and uploading are, right now.
    pub fn progress(&self) -> Progress {
        self.core.progress()
    }

    /// The stream being recorded, for a preview; nothing before the start and after the stop.
    pub fn stream(&self) -> Option<MediaStream> {
        self.core.stream()
    }

    /// What the browser really records, for example `video/webm;codecs=vp9,opus`; known once it records.
    pub fn mime_type(&self) -> Option<String> {
        self.core.mime_type()
    }

    /// The recording's id on our server, once it exists.
    pub fn recording_id(&self) -> Option<String> {
        self.core.recording_id()
    }

    /// Whether bytes would be lost if the page were closed now: recording goes on, or not everything is
    /// acknowledged. For a `beforeunload` warning.
    pub fn has_unsent(&self) -> bool {
        self.core.has_unsent()
    }

    /// What is kept here because the server has not acknowledged it: after a failure, the end of the
    /// recording to save by hand. It starts at [`Progress::safe_bytes`] at the latest. Nothing when all is sent.
    pub fn unsent(&self) -> Option<Blob> {
        self.core.unsent()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.core.let_go();
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
