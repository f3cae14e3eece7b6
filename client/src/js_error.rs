//! Our errors as JavaScript's.

use js_sys::{Error, Reflect};
use wasm_bindgen::JsValue;

use crate::RecorderError;

/// A real `Error`, so that it has a stack and looks right in every console.
pub(crate) fn error(error: &RecorderError) -> JsValue {
    let value = Error::new(&error.to_string());
    value.set_name("RecorderError");
    // Fails only for frozen objects, and this is new.
    let _frozen = Reflect::set(&value, &"code".into(), &error.code().into());
    value.into()
}
