//! JSON by the browser's parser.

use js_sys::JSON;
use wasm_bindgen::JsValue;

use super::object::property;
use crate::numbers::whole;
use crate::wire::Fields;

/// Parses an object; `None` for other values.
pub(crate) fn object(text: &str) -> Option<JsValue> {
    JSON::parse(text).ok().filter(JsValue::is_object)
}

/// Returns a string as JSON.
pub(super) fn string(text: &str) -> String {
    JSON::stringify(&text.into())
        .map(String::from)
        .unwrap_or_default()
}

impl Fields for JsValue {
    fn text(&self, name: &str) -> Option<String> {
        property(self, name)?.as_string()
    }

    fn number(&self, name: &str) -> Option<u64> {
        let number = property(self, name)?.as_f64()?;
        (number >= 0.0).then(|| whole(number))
    }

    fn is_true(&self, name: &str) -> bool {
        property(self, name).and_then(|it| it.as_bool()) == Some(true)
    }
}
