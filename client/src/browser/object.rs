//! Objects, arrays and blobs of JavaScript.
//!
//! `Reflect` with a name as an argument, and few constructors: every method of `web_sys` in use is one more import of the
//! WebAssembly module, and all imports are part of what a page fetches.

use js_sys::{Array, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag};

/// Returns a property; `None` if `object` is no object.
pub(crate) fn property(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into()).ok()
}

/// Sets a property. Fails only for frozen objects, so callers pass objects of their own.
pub(crate) fn set(object: &JsValue, name: &str, value: &JsValue) {
    let _frozen = Reflect::set(object, &name.into(), value);
}

/// Creates an object.
pub(crate) fn object(properties: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new().into();
    for (name, value) in properties {
        set(&object, name, value);
    }
    object
}

/// Returns a number.
#[expect(
    clippy::cast_precision_loss,
    reason = "JavaScript numbers are doubles; values stay far below 2^53"
)]
pub(crate) fn number(value: u64) -> JsValue {
    JsValue::from_f64(value as f64)
}

/// Creates an array.
pub(super) fn array(values: &[JsValue]) -> Array {
    values.iter().collect()
}

/// Creates a blob of `parts`, which are blobs, strings or byte arrays.
pub(super) fn blob(parts: &Array, mime_type: &str) -> Option<Blob> {
    let options: BlobPropertyBag = object(&[("type", mime_type.into())]).unchecked_into();
    Blob::new_with_blob_sequence_and_options(parts, &options).ok()
}

/// Returns the bytes from `start` up to `end`.
#[expect(
    clippy::cast_precision_loss,
    reason = "a recording is far smaller than 2^53 bytes"
)]
pub(super) fn slice(blob: &Blob, start: u64, end: u64) -> Option<Blob> {
    blob.slice_with_f64_and_f64(start as f64, end as f64).ok()
}
