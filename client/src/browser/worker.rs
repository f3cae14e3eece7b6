//! Worker of the page: stores files, holds locks, sends ticks.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use futures_channel::oneshot;
use gloo_events::EventListener;
use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageEvent, Url};

use super::object::{array, blob};
use super::time::within;
use crate::SpoolStorage;
use crate::recorder::TICK_MS;
use crate::spool::StoreFailure;

/// The worker's script; `client/npm` serves the same file for pages that allow no `blob:` workers.
const SCRIPT: &str = include_str!(concat!(env!("OUT_DIR"), "/worker.js"));
/// Longest time of a storage operation. Slow disks are slower than expected.
const TIMEOUT_MS: u32 = 15_000;
/// Longest time to open the storage. New bytes wait in memory meanwhile. Five seconds were too short on an overloaded
/// machine.
const OPEN_TIMEOUT_MS: u32 = 15_000;

type Answer = Result<JsValue, StoreFailure>;
type Ticked = dyn Fn();

/// Worker of this page, shared by all its recorders.
pub(super) struct Worker {
    worker: web_sys::Worker,
    asked: RefCell<Vec<(u32, oneshot::Sender<Answer>)>>,
    next: Cell<u32>,
    dead: Cell<bool>,
    ticked: RefCell<Vec<Weak<Ticked>>>,
    listeners: RefCell<Vec<EventListener>>,
}

/// Subscription to ticks.
pub(super) struct Ticking {
    worker: Rc<Worker>,
    _listener: Rc<Ticked>,
}

thread_local! {
    static SHARED: RefCell<Option<Rc<Worker>>> = const { RefCell::new(None) };
}

impl Worker {
    /// Returns the page's worker; `None` if the browser allows none. `url` is its script for pages that allow no other.
    pub(super) fn shared(url: Option<&str>) -> Option<Rc<Self>> {
        SHARED.with_borrow_mut(|shared| {
            if shared.as_ref().is_none_or(|it| it.dead.get()) {
                *shared = Self::start(url);
            }
            shared.clone()
        })
    }

    fn start(url: Option<&str>) -> Option<Rc<Self>> {
        let worker = match url {
            Some(url) => web_sys::Worker::new(url),
            // The URL lives as long as the page.
            None => web_sys::Worker::new(&script_url()?),
        };
        let this = Rc::new(Self {
            worker: worker.ok()?,
            asked: RefCell::default(),
            next: Cell::default(),
            dead: Cell::default(),
            ticked: RefCell::default(),
            listeners: RefCell::default(),
        });
        let (on_message, on_error) = (Rc::downgrade(&this), Rc::downgrade(&this));
        *this.listeners.borrow_mut() = vec![
            EventListener::new(&this.worker, "message", move |event| {
                if let Some(this) = on_message.upgrade() {
                    this.heard(event);
                }
            }),
            // The script could not be fetched, or a policy forbids it.
            EventListener::new(&this.worker, "error", move |_| {
                if let Some(this) = on_error.upgrade() {
                    this.dead.set(true);
                    this.asked.borrow_mut().clear();
                }
            }),
        ];
        Some(this)
    }

    fn heard(&self, event: &web_sys::Event) {
        let event: &MessageEvent = event.unchecked_ref();
        let answer: Array = event.data().unchecked_into();
        if answer.length() == 0 {
            return self.tick();
        }
        let id = answer.get(0).as_f64();
        let mut asked = self.asked.borrow_mut();
        let Some(at) = asked.iter().position(|it| Some(f64::from(it.0)) == id) else {
            return;
        };
        let (_, sender) = asked.swap_remove(at);
        let _receiver_dropped = sender.send(match answer.get(2).as_string() {
            None => Ok(answer.get(1)),
            Some(name) if name == "QuotaExceededError" => Err(StoreFailure::Full),
            Some(_) => Err(StoreFailure::Broken),
        });
    }

    /// Sends a request; `worker.js` lists them.
    pub(super) fn ask(
        &self,
        name: &str,
        arguments: &[JsValue],
    ) -> impl Future<Output = Answer> + use<> {
        self.ask_within(TIMEOUT_MS, name, arguments)
    }

    fn ask_within(
        &self,
        timeout_ms: u32,
        name: &str,
        arguments: &[JsValue],
    ) -> impl Future<Output = Answer> + use<> {
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        let (sender, receiver) = oneshot::channel();
        self.asked.borrow_mut().push((id, sender));
        let request = array(&[id.into(), name.into()]);
        for argument in arguments {
            request.push(argument);
        }
        if self.dead.get() || self.worker.post_message(&request).is_err() {
            self.asked.borrow_mut().retain(|it| it.0 != id);
        }
        async move {
            let answer = within(timeout_ms, receiver).await;
            answer
                .and_then(Result::ok)
                .unwrap_or(Err(StoreFailure::Broken))
        }
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
        drop(self.ask(name, arguments));
    }

    /// Calls `listener` every [`TICK_MS`], in hidden pages, too.
    pub(super) fn ticking(self: &Rc<Self>, listener: impl Fn() + 'static) -> Ticking {
        let listener: Rc<Ticked> = Rc::new(listener);
        let first = self.ticked.borrow().is_empty();
        self.ticked.borrow_mut().push(Rc::downgrade(&listener));
        if first {
            self.tell("tick", &[TICK_MS.into()]);
        }
        Ticking {
            worker: Rc::clone(self),
            _listener: listener,
        }
    }

    fn tick(&self) {
        // A copy, because a listener may unregister during the call.
        let listeners: Vec<_> = {
            let listeners = self.ticked.borrow();
            listeners.iter().filter_map(Weak::upgrade).collect()
        };
        for listener in listeners {
            listener();
        }
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        let mut ticked = self.worker.ticked.borrow_mut();
        // This listener is still counted while it is dropped.
        ticked.retain(|it| it.strong_count() > 0 && !it.ptr_eq(&Rc::downgrade(&self._listener)));
        if ticked.is_empty() {
            self.worker.tell("tick", &[0.into()]);
        }
    }
}

fn script_url() -> Option<String> {
    let blob = blob(&array(&[SCRIPT.into()]), "text/javascript")?;
    Url::create_object_url_with_blob(&blob).ok()
}
