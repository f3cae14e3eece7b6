//! Worker of the page: stores files, holds locks, sends uploads and ticks.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use futures_channel::oneshot;
use gloo_events::EventListener;
use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::MessageEvent;

use super::blob_range::Slice;
use super::fetch::Call;
use super::now_ms;
use super::object::{array, object, property, set};
use super::time::within;
use super::worker_script;
use crate::SpoolStorage;
use crate::numbers::saturated;
use crate::recorder::TICK_MS;
use crate::spool::StoreFailure;

/// Longest time of a storage operation. Longer than [`SILENCE_MS`], so that another worker repeats it.
const TIMEOUT_MS: u32 = 30_000;
/// Longest time to open the storage. New bytes wait in memory meanwhile. Five seconds were too short on an overloaded
/// machine.
const OPEN_TIMEOUT_MS: u32 = 15_000;
/// Silence of a ticking worker after which it counts as ended. Browsers end workers without an event when memory is short.
/// Longer than the slowest write of a working disk.
const SILENCE_MS: f64 = 20_000.0;
/// Shortest interval of ticks. Each message of the worker is one.
const MIN_TICK_MS: f64 = 0.8 * TICK_MS as f64;
/// Crashes within [`CRASHES_MS`] after which the page does the work itself for as long.
const MAX_CRASHES: u32 = 5;
const CRASHES_MS: f64 = 300_000.0;

type Answer = Result<JsValue, String>;
type Listener = dyn Fn(&WorkerEvent);

/// Event of a ticking worker.
#[derive(Debug)]
pub(super) enum WorkerEvent {
    /// [`TICK_MS`] have passed.
    Tick,
    /// The browser has refused the worker; [`Worker::refusal`] has the reason.
    Refused,
    /// The worker has ended; [`Worker::shared`] starts another one.
    Crashed,
}

/// The worker ended before it answered.
#[derive(Debug)]
pub(super) struct WorkerEnded;

/// Worker of this page, shared by all its recorders.
pub(super) struct Worker {
    worker: web_sys::Worker,
    /// URL of its script, if not the one in this module.
    url: Option<String>,
    asked: RefCell<Vec<(u32, oneshot::Sender<Answer>)>>,
    next: Cell<u32>,
    is_dead: Cell<bool>,
    /// Whether it has sent a message.
    has_answered: Cell<bool>,
    /// Time of the last message, or of the start.
    last_message_ms: Cell<f64>,
    last_tick_ms: Cell<f64>,
    listeners: RefCell<Vec<Weak<Listener>>>,
    dom_listeners: RefCell<Vec<EventListener>>,
}

/// Subscription to the events of a ticking worker.
pub(super) struct Ticking {
    worker: Rc<Worker>,
    _listener: Rc<Listener>,
}

/// Worker of this page and the reason for having none.
struct Shared {
    worker: Option<Rc<Worker>>,
    refusal: Option<Refusal>,
    /// Whether a worker has ever sent a message, and the URL of the last one's script.
    has_answered: bool,
    url: Option<String>,
    crashes: u32,
    last_crash_ms: f64,
}

/// Refusal of a worker.
struct Refusal {
    /// URL of the script.
    url: Option<String>,
    /// Text of the browser.
    text: String,
    /// Time at which another attempt is made.
    until_ms: f64,
}

thread_local! {
    static SHARED: RefCell<Shared> = const {
        RefCell::new(Shared {
            worker: None,
            refusal: None,
            has_answered: false,
            url: None,
            crashes: 0,
            last_crash_ms: 0.0,
        })
    };
}

impl Worker {
    /// Returns the page's worker; `None` if the browser refuses workers or they crash. `url` is its script for pages that
    /// allow no other.
    pub(super) fn shared(url: Option<&str>) -> Option<Rc<Self>> {
        SHARED.with_borrow_mut(|shared| {
            shared.worker.take_if(|it| it.is_dead.get());
            let is_refused = shared
                .refusal
                .as_ref()
                .is_some_and(|it| it.url.as_deref() == url && now_ms() < it.until_ms);
            if shared.worker.is_none() && !is_refused {
                match Self::start(url) {
                    Ok(worker) => shared.worker = Some(worker),
                    Err(exception) => {
                        let text = property(&exception, "message").and_then(|it| it.as_string());
                        shared.refusal = Some(Refusal {
                            url: url.map(str::to_owned),
                            text: text.unwrap_or_default(),
                            until_ms: f64::INFINITY,
                        });
                    }
                }
            }
            shared.worker.clone()
        })
    }

    /// Returns the page's worker if there is one.
    pub(super) fn existing() -> Option<Rc<Self>> {
        SHARED.with_borrow(|shared| shared.worker.clone().filter(|it| !it.is_dead()))
    }

    /// Returns the page's worker, or the next one if it has ended; `None` if no worker has ever answered.
    pub(super) fn revived() -> Option<Rc<Self>> {
        let url = SHARED.with_borrow(|shared| shared.has_answered.then(|| shared.url.clone()))?;
        Self::shared(url.as_deref())
    }

    /// Returns the browser's reason for refusing workers.
    pub(super) fn refusal() -> Option<String> {
        SHARED.with_borrow(|shared| Some(shared.refusal.as_ref()?.text.clone()))
    }

    fn start(url: Option<&str>) -> Result<Rc<Self>, JsValue> {
        let this = Rc::new(Self {
            worker: worker_script::start(url)?,
            url: url.map(str::to_owned),
            asked: RefCell::default(),
            next: Cell::default(),
            is_dead: Cell::default(),
            has_answered: Cell::default(),
            last_message_ms: Cell::new(now_ms()),
            last_tick_ms: Cell::default(),
            listeners: RefCell::default(),
            dom_listeners: RefCell::default(),
        });
        let (on_message, on_error) = (Rc::downgrade(&this), Rc::downgrade(&this));
        *this.dom_listeners.borrow_mut() = vec![
            EventListener::new(&this.worker, "message", move |event| {
                if let Some(this) = on_message.upgrade() {
                    this.handle_message(event);
                }
            }),
            EventListener::new(&this.worker, "error", move |event| {
                if let Some(this) = on_error.upgrade() {
                    let text = property(event, "message").and_then(|it| it.as_string());
                    this.end(text.unwrap_or_default());
                }
            }),
        ];
        Ok(this)
    }

    fn handle_message(&self, event: &web_sys::Event) {
        let event: &MessageEvent = event.unchecked_ref();
        let answers: Array = event.data().unchecked_into();
        self.last_message_ms.set(now_ms());
        if !self.has_answered.replace(true) {
            SHARED.with_borrow_mut(|shared| {
                shared.has_answered = true;
                shared.url.clone_from(&self.url);
            });
        }
        for answer in answers.iter() {
            self.handle_answer(&answer.unchecked_into());
        }
        if now_ms() - self.last_tick_ms.get() >= MIN_TICK_MS {
            self.last_tick_ms.set(now_ms());
            self.notify(&WorkerEvent::Tick);
        }
    }

    fn handle_answer(&self, answer: &Array) {
        let id = answer.get(0).as_f64();
        let mut asked = self.asked.borrow_mut();
        let Some(at) = asked.iter().position(|it| Some(f64::from(it.0)) == id) else {
            return;
        };
        let (_, sender) = asked.swap_remove(at);
        drop(asked);
        let _receiver_dropped = sender.send(match answer.get(2).as_string() {
            None => Ok(answer.get(1)),
            Some(name) => Err(name),
        });
    }

    /// Records that the worker has ended. Without a message before, the browser has refused its script.
    fn end(&self, text: String) {
        if self.is_dead.replace(true) {
            return;
        }
        self.worker.terminate();
        let is_refused = SHARED.with_borrow_mut(|shared| {
            let now = now_ms();
            if now - shared.last_crash_ms > CRASHES_MS {
                shared.crashes = 0;
            }
            shared.crashes += 1;
            shared.last_crash_ms = now;
            let is_first = !shared.has_answered;
            let is_refused = is_first || shared.crashes > MAX_CRASHES;
            if is_refused {
                shared.refusal = Some(Refusal {
                    url: self.url.clone(),
                    text,
                    until_ms: if is_first {
                        f64::INFINITY
                    } else {
                        now + CRASHES_MS
                    },
                });
            }
            is_refused
        });
        let asked = self.asked.take();
        self.notify(&if is_refused {
            WorkerEvent::Refused
        } else {
            WorkerEvent::Crashed
        });
        // Each receiver learns that there is no answer.
        drop(asked);
    }

    /// Ticks in place of a ticking worker that is silent, because a slow disk holds it or it has ended.
    pub(super) fn tick_if_silent(&self) {
        let now = now_ms();
        if now - self.last_tick_ms.get() > 2.0 * f64::from(TICK_MS) {
            self.last_tick_ms.set(now);
            self.notify(&WorkerEvent::Tick);
        }
    }

    /// Ends a ticking worker that is silent for too long. Called at times at which the page is not frozen.
    pub(super) fn end_if_silent(&self) {
        let is_expected = !self.has_answered.get() || !self.listeners.borrow().is_empty();
        if is_expected && now_ms() - self.last_message_ms.get() > SILENCE_MS {
            self.end(String::new());
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.is_dead.get()
    }

    fn post(&self, name: &str, arguments: &[JsValue]) -> (u32, oneshot::Receiver<Answer>) {
        self.post_with(name, arguments, &[])
    }

    fn post_with(
        &self,
        name: &str,
        arguments: &[JsValue],
        transferred: &[JsValue],
    ) -> (u32, oneshot::Receiver<Answer>) {
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        let (sender, receiver) = oneshot::channel();
        self.asked.borrow_mut().push((id, sender));
        let request = array(&[id.into(), name.into()]);
        for argument in arguments {
            request.push(argument);
        }
        let posted = (self.worker).post_message_with_transfer(&request, &array(transferred));
        if self.is_dead.get() || posted.is_err() {
            self.asked.borrow_mut().retain(|it| it.0 != id);
        }
        (id, receiver)
    }

    /// Sends a request; `worker.js` lists them.
    pub(super) fn ask(
        &self,
        name: &str,
        arguments: &[JsValue],
    ) -> impl Future<Output = Result<JsValue, StoreFailure>> + use<> {
        self.ask_within(TIMEOUT_MS, name, arguments)
    }

    fn ask_within(
        &self,
        timeout_ms: u32,
        name: &str,
        arguments: &[JsValue],
    ) -> impl Future<Output = Result<JsValue, StoreFailure>> + use<> {
        let (_, receiver) = self.post(name, arguments);
        async move {
            match within(timeout_ms, receiver).await {
                Some(Ok(Ok(answer))) => Ok(answer),
                Some(Ok(Err(name))) if name == "QuotaExceededError" => Err(StoreFailure::Full),
                _ => Err(StoreFailure::Broken),
            }
        }
    }

    /// Sends an HTTP request, with a checksum of its body if `has_checksum`. Returns the ID for [`cancel`](Self::cancel)
    /// and the answer: status, headers and text of an error; `None` if the server did not answer.
    pub(super) fn send(
        &self,
        call: &Call,
        body: Option<&Slice>,
        has_checksum: bool,
    ) -> (
        u32,
        impl Future<Output = Result<Option<Array>, WorkerEnded>> + use<>,
    ) {
        let [url, init] = request(call);
        set(&init, "parts", &body.map(Slice::parts).into());
        set(&init, "hasChecksum", &has_checksum.into());
        let (id, receiver) = self.post("send", &[url, init]);
        (id, async move {
            let answer = receiver.await.map_err(|_| WorkerEnded)?;
            Ok(answer.ok().map(JsCast::unchecked_into))
        })
    }

    /// Encodes a frame as a small picture and sends it. Returns the status of the answer; `None` if there was none.
    pub(super) async fn send_picture(&self, call: &Call, frame: JsValue) -> Option<u16> {
        let [url, init] = request(call);
        let (_, receiver) = self.post_with("picture", &[url, init, frame.clone()], &[frame]);
        let status = receiver.await.ok()?.ok()?.as_f64()?;
        saturated(status).try_into().ok()
    }

    /// Aborts a request of [`send`](Self::send).
    pub(super) fn cancel(&self, id: u32) {
        self.asked.borrow_mut().retain(|it| it.0 != id);
        self.tell("cancel", &[id.into()]);
    }

    /// Returns the bytes of `parts` as one blob. There is no time limit: large files take long.
    pub(super) fn read(&self, parts: &Array) -> impl Future<Output = Option<JsValue>> + use<> {
        let (_, receiver) = self.post("blob", &[parts.clone().into()]);
        async move { receiver.await.ok()?.ok() }
    }

    /// Opens the storage and returns its kind.
    pub(super) async fn open(&self) -> SpoolStorage {
        let kind = self.ask_within(OPEN_TIMEOUT_MS, "open", &[]).await;
        match kind.ok().and_then(|it| it.as_string()).as_deref() {
            Some("opfs") => SpoolStorage::Opfs,
            Some("indexeddb") => SpoolStorage::IndexedDb,
            _ => SpoolStorage::Memory,
        }
    }

    /// Locks a folder; `false` if another tab has locked it.
    pub(super) async fn lock(&self, folder: &str) -> bool {
        let locked = self.ask("lock", &[folder.into()]).await;
        locked.is_ok_and(|it| it.is_truthy())
    }

    /// Sends a request without waiting for the answer.
    pub(super) fn tell(&self, name: &str, arguments: &[JsValue]) {
        let (id, _) = self.post(name, arguments);
        self.asked.borrow_mut().retain(|it| it.0 != id);
    }

    /// Calls `listener` every [`TICK_MS`], in hidden pages, too, and when the worker ends.
    pub(super) fn ticking(self: &Rc<Self>, listener: impl Fn(&WorkerEvent) + 'static) -> Ticking {
        let listener: Rc<Listener> = Rc::new(listener);
        let first = self.listeners.borrow().is_empty();
        self.last_message_ms.set(now_ms());
        self.listeners.borrow_mut().push(Rc::downgrade(&listener));
        if first {
            self.tell("tick", &[TICK_MS.into()]);
        }
        Ticking {
            worker: Rc::clone(self),
            _listener: listener,
        }
    }

    fn notify(&self, event: &WorkerEvent) {
        // A copy, because a listener may unregister during the call.
        let listeners: Vec<_> = {
            let listeners = self.listeners.borrow();
            listeners.iter().filter_map(Weak::upgrade).collect()
        };
        for listener in listeners {
            listener(event);
        }
    }
}

/// Returns URL and options of a request for the worker.
fn request(call: &Call) -> [JsValue; 2] {
    let headers = call.headers.iter();
    let headers: Array = headers
        .map(|(name, value)| array(&[(*name).into(), value.into()]))
        .collect();
    let init = object(&[("method", call.method.into()), ("headers", headers.into())]);
    // A worker from a blob has no address of its own.
    [super::absolute(&call.url).into(), init]
}

impl Drop for Ticking {
    fn drop(&mut self) {
        let mut listeners = self.worker.listeners.borrow_mut();
        // This listener is still counted while it is dropped.
        listeners.retain(|it| it.strong_count() > 0 && !it.ptr_eq(&Rc::downgrade(&self._listener)));
        if listeners.is_empty() {
            self.worker.tell("tick", &[0.into()]);
        }
    }
}
