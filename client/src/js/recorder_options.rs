//! Reader of a recorder's options.

use js_sys::JSON;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{HtmlCanvasElement, MediaStream};

use super::options::{Fields, target, wrong};
use crate::numbers::{saturated, whole};
use crate::{Labels, Options, ScreenOptions, Source};

/// Reads all options. Throws a `TypeError` for a wrong destination or source.
pub(super) fn read(options: &JsValue) -> Result<(Options, Source), JsValue> {
    let given = Fields(options);
    let (target, authorization) = target(&given)?;
    let number = |name| given.get(name).as_f64().filter(|it| *it > 0.0);
    let flag = |name| given.get(name).as_bool();
    let mut read = Options::new(target);
    read.authorization = authorization;
    read.labels = Labels {
        external_id: given.text("externalId"),
        metadata: metadata(&given.get("metadata"))?,
    };
    for (name, option) in [
        ("timeslice", &mut read.timeslice_ms),
        ("videoBitsPerSecond", &mut read.video_bits_per_second),
        ("audioBitsPerSecond", &mut read.audio_bits_per_second),
        ("keyFrameInterval", &mut read.keyframe_interval_ms),
    ] {
        if let Some(value) = number(name) {
            *option = saturated(value);
        }
    }
    read.max_duration_ms = number("maxDuration").map(whole);
    read.max_size_bytes = number("maxSize").map(whole);
    if let Some(filename) = given.text("filename") {
        read.filename = filename;
    }
    read.mime_type = given.text("mimeType");
    read.owner = given.text("owner");
    read.worker_url = given.text("workerUrl");
    read.durable = flag("durable") != Some(false);
    read.keep_awake = flag("keepAwake") != Some(false);
    read.pictures = flag("pictures") != Some(false);

    let is_set = |name| flag(name) == Some(true);
    let source = given.get("source");
    let source = match source.as_string().as_deref() {
        Some("screen") => Source::screen(ScreenOptions {
            audio: is_set("audio"),
            prefer_current_tab: is_set("preferCurrentTab"),
        }),
        Some("camera") => Source::camera(),
        _ => match source.dyn_into::<HtmlCanvasElement>() {
            // Zero means the default.
            Ok(canvas) => Source::canvas(canvas, number("fps").unwrap_or_default()),
            Err(other) => match other.dyn_into::<MediaStream>() {
                Ok(stream) => Source::stream(stream),
                Err(_) => return Err(wrong("source must be something to record")),
            },
        },
    };
    Ok((read, source.with_microphone(is_set("microphone"))))
}

/// Returns the metadata as JSON. Throws the exception of `JSON.stringify`, for example for a cycle.
fn metadata(value: &JsValue) -> Result<Option<String>, JsValue> {
    if !value.is_object() {
        return Ok(None);
    }
    Ok(JSON::stringify(value)?.as_string())
}
