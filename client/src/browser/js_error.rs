//! Values that JavaScript throws.

use js_sys::Reflect;
use wasm_bindgen::JsValue;

/// Name and message of an `Error` or a `DOMException`; empty where a thrown value has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JsError {
    /// For programs, such as `NotAllowedError`.
    pub(crate) name: String,
    /// For developers, in the browser's language.
    pub(crate) message: String,
}

impl JsError {
    pub(crate) fn read(value: &JsValue) -> Self {
        let text = |key: &str| {
            // `Reflect::get` throws for a thrown string or number.
            Reflect::get(value, &JsValue::from_str(key))
                .ok()
                .and_then(|text| text.as_string())
        };
        Self {
            name: text("name").unwrap_or_default(),
            message: text("message")
                .or_else(|| value.as_string())
                .unwrap_or_default(),
        }
    }

    /// Returns the message, or the name without one.
    pub(crate) fn text(self) -> String {
        if self.message.is_empty() {
            self.name
        } else {
            self.message
        }
    }
}
