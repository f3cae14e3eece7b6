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
    /// Called with the error when the session cannot be watched.
    #[wasm_bindgen(typescript_type = "(error: RecorderError) => void")]
    pub type TroubleListener;
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
    pub fn new(
        options: &WatchOptions,
        on_order: OrderListener,
        on_trouble: TroubleListener,
    ) -> Result<Self, JsValue> {
        let (base, session, authorization) = options::watched(options)?;
        let on_order: Function = on_order.unchecked_into();
        let on_trouble: Function = on_trouble.unchecked_into();
        let watching = crate::SessionWatcher::with_trouble(
            base,
            session,
            authorization,
            move |order| {
                let order = match order {
                    SessionOrder::Start => "start",
                    SessionOrder::End => "end",
                };
                call(&on_order, &order.into());
            },
            move |error| call(&on_trouble, &value::error(&error)),
        );
        Ok(Self {
            _watching: watching,
        })
    }
}

fn call(listener: &Function, argument: &JsValue) {
    if let Err(thrown) = listener.call1(&JsValue::UNDEFINED, argument) {
        value::report(&thrown);
    }
}
