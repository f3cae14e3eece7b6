//! Events of a recorder as JavaScript values.

use wasm_bindgen::JsValue;

use super::error::error;
use super::value::{done, number, waiting};
use crate::browser::object::object;
use crate::{Event, Progress, RecorderError};

/// An event's name and payload.
pub(super) fn name_and_value(event: &Event) -> (&'static str, JsValue) {
    match event {
        Event::State(state) => ("statechange", state.name().into()),
        Event::Progress(it) => ("progress", progress(it)),
        Event::Warning(warning) => {
            let message = warning.to_string();
            (
                "warning",
                object(&[
                    ("code", warning.code().name().into()),
                    ("message", message.into()),
                ]),
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
