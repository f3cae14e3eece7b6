//! The class `SessionWatcher`, for pages that record a session when the server's policy asks for it.

use js_sys::Function;
use wasm_bindgen::prelude::*;

use super::error::{call, error};
use super::options::{Fields, target, wrong};
use crate::{SessionOrder, Target};

/// Watches a session until it is freed or the session has ended.
#[wasm_bindgen]
#[derive(Debug)]
pub struct SessionWatcher {
    _watching: crate::SessionWatcher,
}

#[wasm_bindgen]
impl SessionWatcher {
    /// Starts watching. `on_order` is called with `start` when the session is to be recorded and with `end` when it has
    /// ended, `on_trouble` with the error when the session cannot be watched.
    ///
    /// # Errors
    /// A `TypeError` that names the missing or wrong option.
    #[wasm_bindgen(constructor)]
    pub fn new(
        options: &JsValue,
        on_order: Function,
        on_trouble: Function,
    ) -> Result<Self, JsValue> {
        let (target, authorization) = target(&Fields(options))?;
        let Target::Server {
            base,
            session: Some(session),
        } = target
        else {
            return Err(wrong("server and session must be given"));
        };
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
            move |trouble| call(&on_trouble, &error(&trouble)),
        );
        Ok(Self {
            _watching: watching,
        })
    }
}
