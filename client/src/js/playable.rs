//! The function `playable`.

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;

use super::promise::promise;

/// Turns the `parts()` of a recoverable recording into a file that plays and seeks. Rejects with a `RecorderError`:
/// `storage` if they cannot be read, `not_playable` if they hold no whole picture.
#[wasm_bindgen]
pub fn playable(parts: &Array) -> Promise {
    let parts: Vec<_> = parts.iter().filter_map(|it| it.dyn_into().ok()).collect();
    promise(async move { crate::playable(&parts).await.map(JsValue::from) })
}
