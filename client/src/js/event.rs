//! Events of a recorder as JavaScript values.

use js_sys::Object;
use wasm_bindgen::prelude::*;

use super::error::error;
use super::value::{done, float, object, waiting};
use crate::{Event, Progress, RecorderError};

#[wasm_bindgen]
extern "C" {
    // Created several times per second. With `Reflect` each field would take three calls instead of one.
    type ProgressObject;
    #[wasm_bindgen(method, setter)]
    fn set_recorded(this: &ProgressObject, ms: f64);
    #[wasm_bindgen(method, setter, js_name = safeUntil)]
    fn set_safe_until(this: &ProgressObject, ms: f64);
    #[wasm_bindgen(method, setter, js_name = sizeBytes)]
    fn set_size_bytes(this: &ProgressObject, bytes: f64);
    #[wasm_bindgen(method, setter, js_name = safeBytes)]
    fn set_safe_bytes(this: &ProgressObject, bytes: f64);
    #[wasm_bindgen(method, setter, js_name = pendingBytes)]
    fn set_pending_bytes(this: &ProgressObject, bytes: f64);
    #[wasm_bindgen(method, setter)]
    fn set_bitrate(this: &ProgressObject, bits_per_second: f64);
    #[wasm_bindgen(method, setter)]
    fn set_spool(this: &ProgressObject, store: &str);
    #[wasm_bindgen(method, setter)]
    fn set_waiting(this: &ProgressObject, waiting: &JsValue);
}

/// An event's name and payload.
pub(super) fn name_and_value(event: &Event) -> (&'static str, JsValue) {
    match event {
        Event::State(state) => ("statechange", state.name().into()),
        Event::Progress(it) => ("progress", progress(it)),
        Event::Warning(warning) => {
            let message = warning.to_string();
            (
                "warning",
                object([("code", warning.code().into()), ("message", message.into())]),
            )
        }
        Event::Stopped(reason) => ("stopped", reason.code().into()),
        Event::Done(it) => ("done", done(it)),
        // The page requested it, so it is no error.
        Event::Failed(RecorderError::Aborted) => ("aborted", JsValue::NULL),
        Event::Failed(it) => ("error", error(it)),
    }
}

pub(super) fn progress(progress: &Progress) -> JsValue {
    let bitrate = match progress.recorded_ms {
        0 => 0,
        recorded_ms => progress.size_bytes.saturating_mul(8_000) / recorded_ms,
    };
    let object: ProgressObject = Object::new().unchecked_into();
    object.set_recorded(float(progress.recorded_ms));
    object.set_safe_until(float(progress.safe_ms));
    object.set_size_bytes(float(progress.size_bytes));
    object.set_safe_bytes(float(progress.safe_bytes));
    object.set_pending_bytes(float(progress.pending_bytes));
    object.set_bitrate(float(bitrate));
    object.set_spool(progress.storage.code());
    object.set_waiting(&waiting(progress.waiting));
    object.into()
}
