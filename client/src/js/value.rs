//! Rust values as JavaScript objects.

use js_sys::Array;
use wasm_bindgen::JsValue;

use super::error::sign_in_cause;
use crate::browser::object::{number, object, set};
use crate::{Done, Waiting};

pub(super) fn waiting(waiting: Option<Waiting>) -> JsValue {
    match waiting {
        None => JsValue::NULL,
        Some(Waiting::Offline) => object(&[("reason", "offline".into())]),
        Some(Waiting::SignIn) => {
            object(&[("reason", "sign_in".into()), ("cause", sign_in_cause())])
        }
        Some(Waiting::Retry { in_ms }) => {
            object(&[("reason", "retry".into()), ("inMs", number(in_ms))])
        }
    }
}

pub(super) fn done(done: &Done) -> JsValue {
    let value = object(&[
        ("recordingId", done.recording_id.as_deref().into()),
        ("uploadUrl", done.upload_url.as_str().into()),
        ("recordedMs", number(done.recorded_ms)),
        ("sizeBytes", number(done.size_bytes)),
        ("mimeType", done.mime_type.as_str().into()),
    ]);
    if !done.parts.is_empty() {
        let parts: Array = done.parts.iter().map(JsValue::from).collect();
        set(&value, "parts", &parts);
    }
    value
}
