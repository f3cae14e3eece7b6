//! The class `Recorder`.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::ready;
use std::rc::Rc;

use futures_channel::oneshot;
use gloo_events::EventListener as DomListener;
use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;
use web_sys::{AbortSignal, MediaStream};

use super::error::call;
use super::event::{name, progress, value};
use super::options::{Fields, wrong};
use super::promise::promise;
use super::recorder_options;
use super::value::done;
use crate::browser::object::number;
use crate::{Done, Event, EventListener, MarkKind, RecorderError, Source, State, StopReason};

/// Records one source once and uploads while recording.
///
/// A recorder that has been started continues until it is stopped, aborted or done, even without references to it: a
/// garbage collection must not end a recording.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Recorder {
    shared: Rc<Shared>,
}

struct Shared {
    recorder: crate::Recorder,
    source: RefCell<Option<Source>>,
    opening: Cell<bool>,
    aborted: Cell<bool>,
    /// Outcome, once the recording has ended.
    outcome: RefCell<Option<Result<Done, RecorderError>>>,
    listeners: RefCell<Vec<(String, Function)>>,
    own_listener: RefCell<Option<EventListener>>,
    signal: RefCell<Option<DomListener>>,
    /// Reference to itself while it runs, so that it is not dropped.
    alive: RefCell<Option<Rc<Self>>>,
}

#[wasm_bindgen]
impl Recorder {
    /// Creates a recorder in state `idle`.
    ///
    /// # Errors
    /// A `TypeError` that names the option which is missing or wrong.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &JsValue) -> Result<Self, JsValue> {
        let (options, source) = recorder_options::read(options)?;
        let shared = Rc::new(Shared {
            recorder: crate::Recorder::new(options),
            source: RefCell::new(Some(source)),
            opening: Cell::default(),
            aborted: Cell::default(),
            outcome: RefCell::default(),
            listeners: RefCell::default(),
            own_listener: RefCell::default(),
            signal: RefCell::default(),
            alive: RefCell::default(),
        });
        let this = Rc::downgrade(&shared);
        let listener = shared.recorder.on_event(move |event| {
            if let Some(shared) = this.upgrade() {
                shared.dispatch(&event);
            }
        });
        shared.own_listener.replace(Some(listener));
        Ok(Self { shared })
    }

    /// Asks for permission where needed, and starts. Resolves when it records. When the source could not be opened, it
    /// may be called again.
    pub fn start(&self, options: &JsValue) -> Promise {
        let signal = Fields(options).signal();
        let shared = Rc::clone(&self.shared);
        let wrong_state = RecorderError::WrongState(shared.recorder.state());
        let is_second = shared.opening.replace(true);
        if !is_second {
            shared.abort_with(signal);
        }
        promise(async move {
            if is_second {
                return Err(wrong_state);
            }
            let opened = shared.open().await;
            shared.opening.set(false);
            opened?;
            shared.recorded().await.map(|()| JsValue::UNDEFINED)
        })
    }

    /// Pauses the recording; paused time does not count.
    pub fn pause(&self) -> Promise {
        let paused = self.shared.recorder.pause();
        promise(ready(paused.map(|()| JsValue::UNDEFINED)))
    }

    /// Resumes after a pause.
    pub fn resume(&self) -> Promise {
        let resumed = self.shared.recorder.resume();
        promise(ready(resumed.map(|()| JsValue::UNDEFINED)))
    }

    /// Stops the recording. Resolves when the server holds all of it; every further call settles in the same way. While
    /// the recorder is starting, cancels the start and rejects with `aborted`. With `sessionEnded` the reason is the
    /// end of the session.
    pub fn stop(&self, session_ended: Option<bool>) -> Promise {
        let reason = if session_ended == Some(true) {
            StopReason::SessionEnded
        } else {
            StopReason::User
        };
        let shared = Rc::clone(&self.shared);
        if shared.opening.get() {
            shared.abort();
        }
        let stopped = shared.recorder.stop(reason);
        promise(async move {
            stopped?;
            shared.done().await.map(|it| done(&it))
        })
    }

    /// Marks the current moment. Resolves with the length of the recording in milliseconds.
    ///
    /// # Errors
    /// A `TypeError` for an unknown kind.
    pub fn mark(&self, text: &str, kind: &str) -> Result<Promise, JsValue> {
        let kind = MarkKind::ALL.iter().find(|it| it.name() == kind);
        let kind = *kind.ok_or_else(|| wrong("kind must be a kind of marker"))?;
        let marked = self.shared.recorder.mark(text, kind);
        Ok(promise(ready(marked.map(number))))
    }

    /// Ends the recording and discards it, on the server too.
    pub fn abort(&self) -> Promise {
        self.shared.abort();
        promise(ready(Ok(JsValue::UNDEFINED)))
    }

    /// Sets the owner of the copy on this device, if the options have none.
    #[wasm_bindgen(js_name = setOwner)]
    pub fn set_owner(&self, owner: &str) {
        self.shared.recorder.set_owner(owner);
    }

    /// Calls `listener` for every event of this name.
    pub fn on(&self, name: &str, listener: &Function) {
        let listener = (name.to_owned(), listener.clone());
        self.shared.listeners.borrow_mut().push(listener);
    }

    /// State: `idle`, `starting`, `recording`, `paused`, `stopping`, `uploading`, `done`, `failed` or `aborted`.
    #[wasm_bindgen(getter)]
    pub fn state(&self) -> String {
        self.shared.recorder.state().name().to_owned()
    }

    /// Progress of recording and upload.
    #[wasm_bindgen(getter)]
    pub fn progress(&self) -> JsValue {
        progress(&self.shared.recorder.progress())
    }

    /// MIME type that the browser records; known once it records.
    #[wasm_bindgen(getter, js_name = mimeType)]
    pub fn mime_type(&self) -> Option<String> {
        self.shared.recorder.mime_type()
    }

    /// Recording id on our server; known once the recording exists.
    #[wasm_bindgen(getter, js_name = recordingId)]
    pub fn recording_id(&self) -> Option<String> {
        self.shared.recorder.recording_id()
    }

    /// Stream being recorded, for a preview.
    #[wasm_bindgen(getter)]
    pub fn stream(&self) -> Option<MediaStream> {
        self.shared.recorder.stream()
    }

    /// Whether the server does not hold all bytes yet.
    #[wasm_bindgen(getter, js_name = hasUnsent)]
    pub fn has_unsent(&self) -> bool {
        self.shared.recorder.has_unsent()
    }

    /// Resolves with the bytes that the server has not acknowledged, to save after a failure.
    pub fn unsent(&self) -> Promise {
        let unsent = self.shared.recorder.unsent();
        promise(async move { Ok(unsent.await.map(JsValue::from).unwrap_or_default()) })
    }
}

impl Shared {
    fn abort(&self) {
        self.aborted.set(true);
        self.recorder.abort();
    }

    fn abort_with(self: &Rc<Self>, signal: Option<AbortSignal>) {
        let Some(signal) = signal else { return };
        if signal.aborted() {
            return self.abort();
        }
        let this = Rc::downgrade(self);
        let listener = DomListener::once(&signal, "abort", move |_| {
            if let Some(shared) = this.upgrade() {
                shared.abort();
            }
        });
        self.signal.replace(Some(listener));
    }

    async fn open(self: &Rc<Self>) -> Result<(), RecorderError> {
        if self.aborted.get() {
            return Err(RecorderError::Aborted);
        }
        let wrong_state = || RecorderError::WrongState(self.recorder.state());
        let source = self.source.borrow().clone().ok_or_else(wrong_state)?;
        let opened = source.open().await;
        if self.aborted.get() {
            return Err(RecorderError::Aborted);
        }
        let opened = opened?;
        self.source.take();
        self.alive.replace(Some(Rc::clone(self)));
        self.recorder.start(opened)
    }

    async fn recorded(&self) -> Result<(), RecorderError> {
        if self.recorder.state() == State::Starting {
            self.first(|event| matches!(event, Event::State(State::Recording)))
                .await?;
        }
        Ok(())
    }

    async fn done(&self) -> Result<Done, RecorderError> {
        if let Some(outcome) = self.outcome.borrow().clone() {
            return outcome;
        }
        match self.first(|event| matches!(event, Event::Done(_))).await? {
            Event::Done(done) => Ok(done),
            _ => Err(RecorderError::Aborted),
        }
    }

    /// Waits for the next event that is `wanted`, or a failure.
    async fn first(&self, wanted: fn(&Event) -> bool) -> Result<Event, RecorderError> {
        let (sender, receiver) = oneshot::channel();
        let sender = Cell::new(Some(sender));
        let _listener = self.recorder.on_event(move |event| {
            if (wanted(&event) || matches!(event, Event::Failed(_)))
                && let Some(sender) = sender.take()
            {
                let _receiver_dropped = sender.send(event);
            }
        });
        match receiver
            .await
            .unwrap_or(Event::Failed(RecorderError::Aborted))
        {
            Event::Failed(error) => Err(error),
            event => Ok(event),
        }
    }

    fn dispatch(&self, event: &Event) {
        let outcome = match event {
            Event::Done(done) => Some(Ok(done.clone())),
            Event::Failed(error) => Some(Err(error.clone())),
            _ => None,
        };
        let is_last = outcome.is_some();
        if is_last {
            self.outcome.replace(outcome);
        }
        let name = name(event);
        // A copy: a listener may add and remove listeners.
        let listeners: Vec<_> = {
            let all = self.listeners.borrow();
            all.iter()
                .filter(|it| it.0 == name)
                .map(|it| it.1.clone())
                .collect()
        };
        if !listeners.is_empty() {
            let value = value(event);
            for listener in listeners {
                call(&listener, &value);
            }
        }
        if is_last {
            self.signal.take();
            self.alive.take();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.recorder.fmt(f)
    }
}
