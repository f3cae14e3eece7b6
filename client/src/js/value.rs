//! Rust values as JavaScript's.

use std::cell::RefCell;

use js_sys::{Array, Function, Object, Reflect};
use wasm_bindgen::prelude::*;

use crate::{Done, Event, Progress, RecorderError, UploadProgress, Waiting, js_error};

thread_local! {
    /// Value that the page's own `getToken` threw last, until a call succeeds.
    static SIGN_IN_CAUSE: RefCell<JsValue> = const { RefCell::new(JsValue::UNDEFINED) };
}

/// Keeps what `getToken` threw, as the `cause` of what follows from it; `undefined` when it has succeeded.
pub(super) fn set_sign_in_cause(cause: JsValue) {
    SIGN_IN_CAUSE.with(|it| it.replace(cause));
}

fn sign_in_cause() -> Option<JsValue> {
    SIGN_IN_CAUSE.with(|it| Some(it.borrow().clone()).filter(|it| !it.is_undefined()))
}

/// Our errors as JavaScript's.
pub(super) fn error(error: &RecorderError) -> JsValue {
    let value = js_error::error(error);
    if *error == RecorderError::SignedOut
        && let Some(cause) = sign_in_cause()
    {
        set(value.unchecked_ref(), "cause", cause);
    }
    value
}

#[wasm_bindgen]
extern "C" {
    // Made several times a second. With `Reflect` each field would take three calls instead of one.
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
pub(super) fn event(event: &Event) -> (&'static str, JsValue) {
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
        // It was asked for, so it is no error.
        Event::Failed(RecorderError::Aborted) => ("aborted", JsValue::NULL),
        Event::Failed(it) => ("error", error(it)),
    }
}

fn waiting(waiting: Option<Waiting>) -> JsValue {
    match waiting {
        None => JsValue::NULL,
        Some(Waiting::Offline) => object([("reason", "offline".into())]),
        Some(Waiting::SignIn) => {
            let cause = sign_in_cause().unwrap_or_default();
            object([("reason", "sign_in".into()), ("cause", cause)])
        }
        Some(Waiting::Retry { in_ms }) => {
            object([("reason", "retry".into()), ("inMs", number(in_ms))])
        }
    }
}

pub(super) fn upload_progress(progress: &UploadProgress) -> JsValue {
    object([
        ("sizeBytes", number(progress.size_bytes)),
        ("safeBytes", number(progress.safe_bytes)),
        ("waiting", waiting(progress.waiting)),
    ])
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

pub(super) fn done(done: &Done) -> JsValue {
    let value = object([
        ("recordingId", done.recording_id.as_deref().into()),
        ("uploadUrl", done.upload_url.as_str().into()),
        ("recorded", number(done.recorded_ms)),
        ("sizeBytes", number(done.size_bytes)),
        ("mimeType", done.mime_type.as_str().into()),
    ]);
    if !done.parts.is_empty() {
        let parts: Array = done.parts.iter().map(JsValue::from).collect();
        set(value.unchecked_ref(), "parts", parts.into());
    }
    value
}

/// Gives what a listener threw to the page's own error handling.
pub(super) fn report(thrown: &JsValue) {
    let global = js_sys::global();
    let report = Reflect::get(&global, &"reportError".into()).ok();
    if let Some(report) = report.and_then(|it| it.dyn_into::<Function>().ok()) {
        let _nothing_else_to_do = report.call1(&global, thrown);
    }
}

fn object<const N: usize>(fields: [(&str, JsValue); N]) -> JsValue {
    let object = Object::new();
    for (key, value) in fields {
        set(&object, key, value);
    }
    object.into()
}

fn set(object: &Object, key: &str, value: JsValue) {
    // Fails only for frozen objects, and these are new.
    let _frozen = Reflect::set(object, &key.into(), &value);
}

pub(super) fn number(value: u64) -> JsValue {
    JsValue::from_f64(float(value))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "JavaScript has no better number; 2^53 is far away"
)]
fn float(value: u64) -> f64 {
    value as f64
}
