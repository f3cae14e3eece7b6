//! What JavaScript sees of [`crate::playable`]: a module of its own, loaded when somebody wants to save a recording.

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use web_sys::Blob;

use crate::js_error::error;

#[wasm_bindgen]
extern "C" {
    /// `Blob[]`.
    #[wasm_bindgen(typescript_type = "Blob[]")]
    pub type Blobs;
    /// `Promise<Blob>`.
    #[wasm_bindgen(typescript_type = "Promise<Blob>")]
    pub type PromiseBlob;
}

/// Makes a file that plays and seeks of the `parts()` of a leftover. Rejects with a `RecorderError`: `storage` when
/// they cannot be read, `not_playable` when there is not one whole picture among them.
#[wasm_bindgen]
pub fn playable(parts: &Blobs) -> PromiseBlob {
    let parts: Vec<Blob> = parts
        .unchecked_ref::<Array>()
        .iter()
        .filter_map(|it| it.dyn_into().ok())
        .collect();
    let promise: Promise = future_to_promise(async move {
        let file = crate::playable(&parts).await;
        file.map(JsValue::from).map_err(|it| error(&it))
    });
    promise.unchecked_into()
}
