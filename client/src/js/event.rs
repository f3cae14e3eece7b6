//! Events of a recorder as JavaScript values.

use wasm_bindgen::JsValue;

use super::error::error;
use super::value::{done, waiting};
use crate::browser::object::{number, object};
use crate::{Event, Progress, RecorderError};

/// Name of an event.
pub(super) fn name(event: &Event) -> &'static str {
    match event {
        Event::State(_) => "statechange",
        Event::Progress(_) => "progress",
        Event::Warning(_) => "warning",
        Event::Stopped(_) => "stopped",
        Event::Done(_) => "done",
        // The page requested it, so it is no error.
        Event::Failed(RecorderError::Aborted) => "aborted",
        Event::Failed(_) => "error",
    }
}

/// Payload of an event.
pub(super) fn value(event: &Event) -> JsValue {
    match event {
        Event::State(state) => state.name().into(),
        Event::Progress(it) => progress(it),
        Event::Warning(warning) => object(&[
            ("code", warning.code().name().into()),
            ("message", warning.to_string().into()),
        ]),
        Event::Stopped(reason) => reason.code().into(),
        Event::Done(it) => done(it),
        Event::Failed(RecorderError::Aborted) => JsValue::NULL,
        Event::Failed(it) => error(it),
    }
}

pub(super) fn progress(progress: &Progress) -> JsValue {
    let bitrate = match progress.recorded_ms {
        0 => 0,
        recorded_ms => progress.size_bytes.saturating_mul(8_000) / recorded_ms,
    };
    object(&[
        ("recordedMs", number(progress.recorded_ms)),
        ("safeMs", number(progress.safe_ms)),
        ("sizeBytes", number(progress.size_bytes)),
        ("safeBytes", number(progress.safe_bytes)),
        ("pendingBytes", number(progress.pending_bytes)),
        ("bitrate", number(bitrate)),
        ("spool", progress.storage.code().into()),
        ("waiting", waiting(progress.waiting)),
    ])
}
