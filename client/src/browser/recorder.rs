//! Recorder: encodes a source and uploads while recording. [`RecorderMachine`](crate::recorder::RecorderMachine)
//! decides; the modules here carry its commands out.

mod core;
mod encoder;
mod part;
mod pictures;
mod rest;

use std::fmt;
use std::rc::Rc;

use web_sys::{Blob, MediaStream};

use self::core::Core;
use super::event_dispatcher::EventListener;
use super::source::OpenSource;
use crate::recorder::Call;
use crate::{Event, MarkKind, Options, Progress, RecorderError, State, StopReason};

/// Records one source once.
///
/// All calls return immediately; [`Event`]s report their outcome.
///
/// Dropping the handle releases everything: capture ends and nothing more is sent. The bytes on the server stay there
/// and become an *interrupted* recording. [`Recorder::abort`] discards them, too.
pub struct Recorder {
    core: Rc<Core>,
}

impl Recorder {
    /// Creates a recorder in state `idle`.
    pub fn new(options: Options) -> Self {
        Self {
            core: Core::new(options),
        }
    }

    /// Registers a listener for all events from now on.
    pub fn on_event(&self, listener: impl Fn(Event) + 'static) -> EventListener {
        self.core.listen(listener)
    }

    /// Begins the recording on the server and starts the encoder.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] unless it is `idle`; the source is dropped then. [`Event::Failed`] reports other
    /// failures.
    pub fn start(&self, source: OpenSource) -> Result<(), RecorderError> {
        self.core.start(source)
    }

    /// Pauses the recording; paused time does not count.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] unless it is `recording`.
    pub fn pause(&self) -> Result<(), RecorderError> {
        self.core.call(Call::Pause)
    }

    /// Resumes after a pause.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] unless it is `paused`.
    pub fn resume(&self) -> Result<(), RecorderError> {
        self.core.call(Call::Resume)
    }

    /// Stops recording and uploads the remaining bytes. While it is `starting` this discards the recording; once it has
    /// been stopped this does nothing.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] when it is `idle`.
    pub fn stop(&self, reason: StopReason) -> Result<(), RecorderError> {
        self.core.call(Call::Stop(reason))
    }

    /// Marks the current moment on our server, with a text of at most 500 characters, and returns the length of the recording
    /// in milliseconds. The marker is kept on the device like the recording until the server has it.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] unless it is `recording` or `paused`; [`RecorderError::Refused`] for a text that is
    /// too long, more than 1,000 markers, or another tus server.
    pub fn mark(&self, text: &str, kind: MarkKind) -> Result<u64, RecorderError> {
        self.core.mark(text, kind)
    }

    /// Ends the recording and discards it, on the server too; [`Event::Failed`] with [`RecorderError::Aborted`]
    /// follows. Does nothing in a final state.
    pub fn abort(&self) {
        let _over = self.core.call(Call::Abort);
    }

    /// Sets the owner of the copy on this device, for a caller that learns it with the first token. Does nothing if the
    /// owner is known.
    pub fn set_owner(&self, owner: &str) {
        self.core.set_owner(owner);
    }

    /// State of the recorder.
    pub fn state(&self) -> State {
        self.core.read(|machine| machine.state())
    }

    /// Progress of recording and upload.
    pub fn progress(&self) -> Progress {
        self.core.progress()
    }

    /// Stream being recorded, for a preview; `None` before the start and after the stop.
    pub fn stream(&self) -> Option<MediaStream> {
        self.core.stream()
    }

    /// MIME type that the browser records, for example `video/webm;codecs=vp9,opus`; known once it records.
    pub fn mime_type(&self) -> Option<String> {
        self.core
            .read(|machine| machine.mime_type().map(str::to_owned))
    }

    /// Recording id on our server, of the first part if there are several; known once the recording exists.
    pub fn recording_id(&self) -> Option<String> {
        self.core.read(|machine| machine.recording_id())
    }

    /// Whether closing the page now would lose bytes, for a `beforeunload` warning.
    pub fn has_unsent(&self) -> bool {
        self.core.read(|machine| machine.has_unsent())
    }

    /// Bytes that the server has not acknowledged, to save after a failure. They begin at [`Progress::safe_bytes`] or
    /// before. `None` when the server holds all bytes, or
    /// when they cannot be read.
    pub fn unsent(&self) -> impl Future<Output = Option<Blob>> + use<> {
        self.core.unsent()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
