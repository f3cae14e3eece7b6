//! What JavaScript sees: a class `Recorder`, plain objects and real `Error`s.
//!
//! Thin bindings only: every decision is taken in Rust, behind [`crate::Recorder`].

mod options;
mod recoverable_recording;
mod value;
mod watch;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;

use gloo_events::EventListener as DomListener;
use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use web_sys::{AbortSignal, Blob, MediaStream};

pub use recoverable_recording::RecoverableRecording;

pub use self::watch::{OrderListener, SessionWatcher, TroubleListener, WatchOptions};
use crate::later::{later, unless};
use crate::{Done, Event, EventListener, RecorderError, Source, State, StopReason};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("js/types.d.ts");

#[wasm_bindgen]
extern "C" {
    /// The options object of the constructor.
    #[wasm_bindgen(typescript_type = "RecorderOptions")]
    pub type RecorderOptions;
    /// Where to, and who asks.
    #[wasm_bindgen(typescript_type = "TargetOptions & SpoolOptions")]
    pub type RecoverOptions;
    /// The options of `start`.
    #[wasm_bindgen(typescript_type = "StartOptions")]
    pub type StartOptions;
    /// The options of an upload.
    #[wasm_bindgen(typescript_type = "UploadOptions")]
    pub type UploadOptions;
    /// The options of `uploadFile`.
    #[wasm_bindgen(typescript_type = "UploadFileOptions")]
    pub type UploadFileOptions;
    /// `Promise<RecoverableRecording[]>`.
    #[wasm_bindgen(typescript_type = "Promise<RecoverableRecording[]>")]
    pub type PromiseLeftovers;
    /// `Promise<Blob[]>`.
    #[wasm_bindgen(typescript_type = "Promise<Blob[]>")]
    pub type PromiseBlobs;
    /// The name of an event.
    #[wasm_bindgen(typescript_type = "keyof RecorderEvents")]
    pub type EventName;
    /// A listener.
    #[wasm_bindgen(typescript_type = "(event: any) => void")]
    pub type Listener;
    /// `Promise<void>`.
    #[wasm_bindgen(typescript_type = "Promise<void>")]
    pub type PromiseVoid;
    /// `Promise<RecorderDone>`.
    #[wasm_bindgen(typescript_type = "Promise<RecorderDone>")]
    pub type PromiseDone;
}

/// Records one source once and uploads while recording.
///
/// A recorder that has been started goes on until it is stopped, aborted or done, even if nothing refers to
/// it any more: a garbage collector must not end a recording.
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
    /// How it ended, once it has.
    outcome: RefCell<Option<Result<Done, RecorderError>>>,
    listeners: RefCell<Vec<(String, Function)>>,
    own_listener: RefCell<Option<EventListener>>,
    signal: RefCell<Option<DomListener>>,
    /// Itself, while it runs.
    alive: RefCell<Option<Rc<Self>>>,
}

#[wasm_bindgen]
impl Recorder {
    /// A recorder in state `idle`.
    ///
    /// # Errors
    /// A `TypeError` that names the option which is missing or wrong.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &RecorderOptions) -> Result<Self, JsValue> {
        let (options, source) = options::read(options)?;
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

    /// Recordings that a page has left behind on this device, oldest first: not those that another tab has in its
    /// hands. Without storage there are none.
    ///
    /// Rejects with a `TypeError` that names the option which is missing or wrong.
    pub fn recover(options: &RecoverOptions) -> PromiseLeftovers {
        or_reject(|| {
            let recovery = options::recovery(options)?;
            Ok(promise(async move {
                let found = crate::recover(recovery).await;
                let found = found
                    .into_iter()
                    .map(RecoverableRecording::new)
                    .map(JsValue::from);
                Ok(found.collect::<Array>().into())
            }))
        })
    }

    /// Asks for permission where that is needed, and begins. Resolves when it records. When the source could
    /// not be opened, it may be called again.
    pub fn start(&self, options: Option<StartOptions>) -> PromiseVoid {
        or_reject(|| {
            let signal = options::signal(options.as_ref().map(AsRef::as_ref))?;
            let shared = Rc::clone(&self.shared);
            let wrong_state = RecorderError::WrongState(shared.recorder.state());
            let is_second = shared.opening.replace(true);
            if !is_second {
                shared.abort_with(signal);
            }
            Ok(promise(async move {
                if is_second {
                    return Err(wrong_state);
                }
                let opened = shared.open().await;
                shared.opening.set(false);
                opened?;
                shared.recorded().await.map(|()| JsValue::UNDEFINED)
            }))
        })
    }

    /// Makes recorded time stand still.
    pub fn pause(&self) -> PromiseVoid {
        let paused = self.shared.recorder.pause();
        promise(async move { paused.map(|()| JsValue::UNDEFINED) })
    }

    /// Goes on after a pause.
    pub fn resume(&self) -> PromiseVoid {
        let resumed = self.shared.recorder.resume();
        promise(async move { resumed.map(|()| JsValue::UNDEFINED) })
    }

    /// Ends the recording. Resolves when the server holds all of it; every further call settles in the same way.
    /// While it is starting this cancels it, and rejects with `aborted`. `sessionEnded` says that the session that was
    /// being watched is over.
    pub fn stop(&self, session_ended: Option<bool>) -> PromiseDone {
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
            shared.done().await.map(|done| value::done(&done))
        })
    }

    /// Ends the recording and discards it, on the server too.
    pub fn abort(&self) -> PromiseVoid {
        self.shared.abort();
        promise(async { Ok(JsValue::UNDEFINED) })
    }

    /// Sets the owner of the copy on this device, if the options gave none.
    #[wasm_bindgen(js_name = setOwner)]
    pub fn set_owner(&self, owner: &str) {
        self.shared.recorder.set_owner(owner);
    }

    /// Calls `listener` whenever the event happens.
    pub fn on(&self, name: &EventName, listener: &Listener) {
        if let (Some(name), Some(listener)) = (name.as_string(), listener.dyn_ref::<Function>()) {
            self.shared
                .listeners
                .borrow_mut()
                .push((name, listener.clone()));
        }
    }

    /// Takes a listener off.
    pub fn off(&self, name: &EventName, listener: &Listener) {
        let name = name.as_string().unwrap_or_default();
        let same = |it: &(String, Function)| it.0 == name && js_sys::Object::is(&it.1, listener);
        self.shared.listeners.borrow_mut().retain(|it| !same(it));
    }

    /// `idle`, `starting`, `recording`, `paused`, `stopping`, `uploading`, `done` or `failed`.
    #[wasm_bindgen(getter, unchecked_return_type = "RecorderState")]
    pub fn state(&self) -> String {
        self.shared.recorder.state().name().to_owned()
    }

    /// How far recording and uploading are.
    #[wasm_bindgen(getter, unchecked_return_type = "RecorderProgress")]
    pub fn progress(&self) -> JsValue {
        value::progress(&self.shared.recorder.progress())
    }

    /// What is really recorded, once it records.
    #[wasm_bindgen(getter, js_name = mimeType)]
    pub fn mime_type(&self) -> Option<String> {
        self.shared.recorder.mime_type()
    }

    /// The recording's id on our server, once it exists.
    #[wasm_bindgen(getter, js_name = recordingId)]
    pub fn recording_id(&self) -> Option<String> {
        self.shared.recorder.recording_id()
    }

    /// The stream being recorded, for a preview.
    #[wasm_bindgen(getter)]
    pub fn stream(&self) -> Option<MediaStream> {
        self.shared.recorder.stream()
    }

    /// Whether bytes would be lost if the page were closed now.
    #[wasm_bindgen(getter, js_name = hasUnsent)]
    pub fn has_unsent(&self) -> bool {
        self.shared.recorder.has_unsent()
    }

    /// What the server has not acknowledged, to save by hand after a failure.
    #[wasm_bindgen(getter)]
    pub fn unsent(&self) -> Option<Blob> {
        self.shared.recorder.unsent()
    }
}

/// Lets recordings have further parts: to be called when a recorder warns that it is `continued`.
#[wasm_bindgen(js_name = enableParts)]
pub fn enable_parts() {
    crate::browser::enable_parts();
}

/// Uploads a file that is there already. Resolves when the server holds all of it.
/// Rejects with a `TypeError` that names the option which is missing or wrong.
#[wasm_bindgen(js_name = uploadFile)]
pub fn upload_file(file: Blob, options: &UploadFileOptions) -> PromiseDone {
    or_reject(|| {
        let (target, authorization) = options::target(options)?;
        let (tell, signal) = options::upload(Some(options))?;
        let name = options::filename(&file, options)?;
        let uploaded = async move {
            let done = crate::upload_file(&file, &name, target, authorization, tell).await?;
            Ok(value::done(&done))
        };
        Ok(promise(unless_aborted(signal, Box::pin(uploaded))))
    })
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

    /// Waits for the first event from now on that is `wanted`, or a failure.
    async fn first(&self, wanted: fn(&Event) -> bool) -> Result<Event, RecorderError> {
        let (sender, receiver) = later();
        let sender = Cell::new(Some(sender));
        let _listener = self.recorder.on_event(move |event| {
            if (wanted(&event) || matches!(event, Event::Failed(_)))
                && let Some(sender) = sender.take()
            {
                sender.send(event);
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
        let (name, value) = value::event(event);
        // A copy: a listener may add and remove listeners.
        let listeners: Vec<_> = {
            let all = self.listeners.borrow();
            all.iter()
                .filter(|it| it.0 == name)
                .map(|it| it.1.clone())
                .collect()
        };
        for listener in listeners {
            if let Err(thrown) = listener.call1(&JsValue::UNDEFINED, &value) {
                value::report(&thrown);
            }
        }
        if is_last {
            self.signal.take();
            self.alive.take();
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.recorder.fmt(f)
    }
}

fn promise<P: JsCast>(
    outcome: impl Future<Output = Result<JsValue, RecorderError>> + 'static,
) -> P {
    promise_of(Box::pin(outcome)).unchecked_into()
}

/// Boxed, so that what is made of it is there once and not for each of them.
type Outcome = Pin<Box<dyn Future<Output = Result<JsValue, RecorderError>>>>;

fn promise_of(outcome: Outcome) -> Promise {
    future_to_promise(async move { outcome.await.map_err(|error| value::error(&error)) })
}

/// What a call that gives a promise throws, its promise is rejected with.
fn or_reject<P: JsCast>(call: impl FnOnce() -> Result<P, JsValue>) -> P {
    call().unwrap_or_else(|thrown| Promise::reject(&thrown).unchecked_into())
}

/// What comes of `work`, or `aborted` when the signal says so first: `work` is dropped then.
async fn unless_aborted(
    signal: Option<AbortSignal>,
    work: Outcome,
) -> Result<JsValue, RecorderError> {
    let Some(signal) = signal else {
        return work.await;
    };
    if signal.aborted() {
        return Err(RecorderError::Aborted);
    }
    let (sender, aborted) = later();
    let _listener = DomListener::once(&signal, "abort", |_| drop(sender));
    let outcome = unless(aborted, work).await;
    outcome.unwrap_or(Err(RecorderError::Aborted))
}
