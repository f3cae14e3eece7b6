//! Storage that the browser grants to the page's origin.

use wasm_bindgen_futures::JsFuture;
use web_sys::StorageManager;

use super::object::property;
use super::{spawn, window};
use crate::numbers::whole;

/// Asks the browser not to clear this origin's storage when the device is full. Some browsers ask the user.
pub(super) fn persist() {
    let Some(asked) = storage().and_then(|it| it.persist().ok()) else {
        return;
    };
    spawn(async move {
        // The recording continues after a refusal, too.
        let _refused = JsFuture::from(asked).await;
    });
}

/// Returns the free bytes by the browser's estimate.
pub(super) async fn left_bytes() -> Option<u64> {
    let estimate = JsFuture::from(storage()?.estimate().ok()?).await.ok()?;
    let number = |name| property(&estimate, name)?.as_f64();
    Some(whole(number("quota")? - number("usage")?))
}

/// Returns the storage manager, which does not exist on insecure pages.
fn storage() -> Option<StorageManager> {
    let navigator = window().navigator();
    let storage = property(&navigator, "storage")?;
    storage.is_object().then(|| navigator.storage())
}
