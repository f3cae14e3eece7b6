//! Promises for JavaScript.

use std::pin::Pin;

use js_sys::Promise;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use super::error::error;
use crate::RecorderError;

/// Returns a promise that settles with `outcome`.
pub(super) fn promise(
    outcome: impl Future<Output = Result<JsValue, RecorderError>> + 'static,
) -> Promise {
    // Boxed: one copy of the code that polls it serves all calls.
    let outcome: Pin<Box<dyn Future<Output = _>>> = Box::pin(outcome);
    future_to_promise(async move { outcome.await.map_err(|it| error(&it)) })
}
