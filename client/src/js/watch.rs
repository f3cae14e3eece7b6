//! A session's orders, for pages that record a session whenever the server's policy says so.

use js_sys::Function;
use wasm_bindgen::prelude::*;

use super::{options, value};
use crate::SessionOrder;

#[wasm_bindgen]
extern "C" {
    /// Who watches which session.
    #[wasm_bindgen(typescript_type = "TargetOptions")]
    pub type WatchOptions;
    /// Is called with `start` when the session is to be recorded, and with `end` when it has ended.
    #[wasm_bindgen(typescript_type = "(order: 'start' | 'end') => void")]
    pub type OrderListener;
}

/// Watches a session until it is freed or the session has ended.
#[wasm_bindgen]
#[derive(Debug)]
pub struct SessionWatcher {
    _watching: crate::SessionWatcher,
}

#[wasm_bindgen]
impl SessionWatcher {
    /// Begins to watch.
    ///
    /// # Errors
    /// A `TypeError` that names the option which is missing or wrong.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &WatchOptions, on_order: OrderListener) -> Result<Self, JsValue> {
        let (base, session, authorization) = options::watched(options)?;
        let on_order: Function = on_order.unchecked_into();
        let watching = crate::SessionWatcher::new(base, session, authorization, move |order| {
            let order = match order {
                SessionOrder::Start => "start",
                SessionOrder::End => "end",
            };
            if let Err(thrown) = on_order.call1(&JsValue::UNDEFINED, &order.into()) {
                value::report(&thrown);
            }
        });
        Ok(Self {
            _watching: watching,
        })
    }
}
