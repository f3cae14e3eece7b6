//! What the browser lets this origin keep.

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::StorageManager;

use super::window;
use crate::numbers::whole;

/// Asks the browser not to clear what is kept here when the device runs full. Some ask the person.
pub(super) fn persist() {
    let Some(asked) = storage().and_then(|it| it.persist().ok()) else {
        return;
    };
    spawn_local(async move {
        // A refusal changes nothing that could be done.
        let _refused = JsFuture::from(asked).await;
    });
}

/// Bytes that the browser still gives, by its own estimate.
pub(super) async fn left_bytes() -> Option<u64> {
    let estimate = JsFuture::from(storage()?.estimate().ok()?).await.ok()?;
    let number = |name| {
        Reflect::get(&estimate, &JsValue::from_str(name))
            .ok()?
            .as_f64()
    };
    Some(whole(number("quota")? - number("usage")?))
}

/// Not there on insecure pages.
fn storage() -> Option<StorageManager> {
    let navigator = window().navigator();
    let storage = Reflect::get(&navigator, &"storage".into()).ok()?;
    storage.is_object().then(|| navigator.storage())
}
