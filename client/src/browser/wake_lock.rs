//! Screen wake lock.

use std::cell::RefCell;
use std::rc::Rc;

use gloo_events::EventListener;
use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::object::property;
use super::{document, is_hidden, spawn, window};

#[wasm_bindgen]
extern "C" {
    // Unstable in web-sys.
    type JsWakeLock;
    #[wasm_bindgen(method, catch)]
    fn request(this: &JsWakeLock, kind: &str) -> Result<Promise, JsValue>;
    type Sentinel;
    #[wasm_bindgen(method)]
    fn release(this: &Sentinel) -> Promise;
}

/// Keeps the screen on until it is dropped, where the browser supports it. Browsers release the lock when the page is
/// hidden; it is requested again when the page is visible.
pub(super) struct WakeLock {
    sentinel: Rc<RefCell<Option<Sentinel>>>,
    _listener: EventListener,
}

impl WakeLock {
    pub(super) fn new() -> Self {
        let sentinel = Rc::default();
        ask(&sentinel);
        let again = Rc::downgrade(&sentinel);
        let listener = EventListener::new(&document(), "visibilitychange", move |_| {
            if let Some(sentinel) = again.upgrade()
                && !is_hidden()
            {
                ask(&sentinel);
            }
        });
        Self {
            sentinel,
            _listener: listener,
        }
    }
}

impl Drop for WakeLock {
    fn drop(&mut self) {
        let_go(&self.sentinel);
    }
}

fn ask(sentinel: &Rc<RefCell<Option<Sentinel>>>) {
    let lock = property(&window().navigator(), "wakeLock");
    let Some(lock) = lock.filter(JsValue::is_object) else {
        return;
    };
    let Ok(asked) = lock.unchecked_into::<JsWakeLock>().request("screen") else {
        return;
    };
    let sentinel = Rc::downgrade(sentinel);
    spawn(async move {
        // Browsers refuse it on a low battery.
        if let Ok(given) = JsFuture::from(asked).await {
            let given: Sentinel = given.unchecked_into();
            match sentinel.upgrade() {
                Some(sentinel) => {
                    let_go(&sentinel);
                    sentinel.replace(Some(given));
                }
                None => drop(given.release()),
            }
        }
    });
}

fn let_go(sentinel: &RefCell<Option<Sentinel>>) {
    if let Some(sentinel) = sentinel.take() {
        drop(sentinel.release());
    }
}
