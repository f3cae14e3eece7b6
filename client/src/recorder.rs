//! The recorder: encodes a source and sends what comes out.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use web_sys::{Blob, MediaStream};

use crate::{Event, OpenSource, Options, Progress, RecorderError, State, StopReason};

/// Records one source once.
///
/// A handle: dropping it lets go of everything. Capture ends and nothing more is sent; what the server holds
/// by then stays there and becomes an *interrupted* recording. [`Recorder::abort`] discards that, too.
///
/// All calls return at once; what comes of them is told by [`Event`]s.
pub struct Recorder {
    inner: Rc<Inner>,
}

struct Inner {
    options: Options,
    state: Cell<State>,
    listeners: RefCell<Vec<std::rc::Weak<dyn Fn(Event)>>>,
}

/// Keeps an event listener registered; dropping it takes it off.
#[must_use = "dropping it takes the listener off; `forget` keeps it for as long as the recorder lives"]
pub struct EventListener {
    listener: Option<Rc<dyn Fn(Event)>>,
}

impl Recorder {
    /// A recorder in state `idle`.
    pub fn new(options: Options) -> Self {
        let state = Cell::default();
        Self {
            inner: Rc::new(Inner {
                options,
                state,
                listeners: RefCell::default(),
            }),
        }
    }

    /// Registers a listener for everything that happens from now on.
    pub fn on_event(&self, listener: impl Fn(Event) + 'static) -> EventListener {
        let listener: Rc<dyn Fn(Event)> = Rc::new(listener);
        self.inner
            .listeners
            .borrow_mut()
            .push(Rc::downgrade(&listener));
        EventListener {
            listener: Some(listener),
        }
    }

    /// Tells the server and begins to record.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] unless it is `idle`. Anything else comes as [`Event::Failed`].
    pub fn start(&self, source: OpenSource) -> Result<(), RecorderError> {
        let _ = (source, &self.inner.options);
        Err(RecorderError::WrongState(self.state()))
    }

    /// Makes recorded time stand still.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] unless it is `recording`.
    pub fn pause(&self) -> Result<(), RecorderError> {
        Err(RecorderError::WrongState(self.state()))
    }

    /// Goes on after a pause.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] unless it is `paused`.
    pub fn resume(&self) -> Result<(), RecorderError> {
        Err(RecorderError::WrongState(self.state()))
    }

    /// Ends the recording and sends the rest. While it is `starting` this discards it; afterwards it does
    /// nothing.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] when it is `idle`.
    pub fn stop(&self, reason: StopReason) -> Result<(), RecorderError> {
        let _ = reason;
        Err(RecorderError::WrongState(self.state()))
    }

    /// Ends the recording and discards it, on the server too. Does nothing once it is `done` or `failed`.
    pub fn abort(&self) {}

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.inner.state.get()
    }

    /// How far recording and uploading are, right now.
    pub fn progress(&self) -> Progress {
        Progress::default()
    }

    /// The stream being recorded, for a preview; nothing before the start and after the stop.
    pub fn stream(&self) -> Option<MediaStream> {
        None
    }

    /// What the browser really records, once it has begun.
    pub fn mime_type(&self) -> Option<String> {
        None
    }

    /// The recording's id on our server, once it exists.
    pub fn recording_id(&self) -> Option<String> {
        None
    }

    /// Whether bytes would be lost if the page were closed now: recording goes on, or not everything is
    /// acknowledged. For a `beforeunload` warning.
    pub fn has_unsent(&self) -> bool {
        false
    }

    /// What is kept here because the server has not acknowledged it: after a failure, the end of the
    /// recording to save by hand. Nothing when there is none.
    pub fn unsent(&self) -> Option<Blob> {
        None
    }
}

impl EventListener {
    /// Keeps the listener for good.
    pub fn forget(mut self) {
        if let Some(listener) = self.listener.take() {
            std::mem::forget(listener);
        }
    }
}
