//! Values that JavaScript throws.

use wasm_bindgen::JsValue;

use super::object::property;

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
        let text = |name| property(value, name)?.as_string();
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
