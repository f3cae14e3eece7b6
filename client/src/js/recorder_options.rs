//! Reader of a recorder's options.

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{HtmlCanvasElement, MediaStream};

use super::options::{Fields, must_be, target};
use crate::numbers::{saturated, whole};
use crate::{Options, ScreenOptions, Source};

const POSITIVE: &str = "a positive number";
const SOURCE: &str = "an HTMLCanvasElement, a MediaStream, 'screen' or 'camera'";

/// Reads all options, or throws a `TypeError` that names the first missing or wrong one.
pub(super) fn read(options: &JsValue) -> Result<(Options, Source), JsValue> {
    let given = Fields(options);
    let (target, authorization) = target(&given)?;
    let mut options = Options::new(target);
    options.authorization = authorization;
    let rate = |name| given.get(name, POSITIVE, |it| positive(&it).map(saturated));
    if let Some(ms) = rate("timeslice")? {
        options.timeslice_ms = ms;
    }
    if let Some(rate) = rate("videoBitsPerSecond")? {
        options.video_bits_per_second = rate;
    }
    if let Some(rate) = rate("audioBitsPerSecond")? {
        options.audio_bits_per_second = rate;
    }
    if let Some(ms) = rate("keyFrameInterval")? {
        options.keyframe_interval_ms = ms;
    }
    let limit = |name| given.get(name, POSITIVE, |it| positive(&it).map(whole));
    options.max_duration_ms = limit("maxDuration")?;
    options.max_size_bytes = limit("maxSize")?;
    if let Some(filename) = given.text("filename")? {
        options.filename = filename;
    }
    options.owner = given.text("owner")?;
    options.worker_url = given.text("workerUrl")?;
    options.durable = flag(&given, "durable", true)?;
    options.keep_awake = flag(&given, "keepAwake", true)?;
    Ok((options, source(&given)?))
}

fn source(options: &Fields<'_>) -> Result<Source, JsValue> {
    let screen = ScreenOptions {
        audio: flag(options, "audio", false)?,
        prefer_current_tab: flag(options, "preferCurrentTab", false)?,
    };
    let fps = options.get("fps", POSITIVE, |it| positive(&it))?;
    let read = |value: JsValue| match value.as_string().as_deref() {
        Some("screen") => Some(Source::screen(screen)),
        Some("camera") => Some(Source::camera()),
        Some(_) => None,
        None => match value.dyn_into::<HtmlCanvasElement>() {
            // Zero means the default.
            Ok(canvas) => Some(Source::canvas(canvas, fps.unwrap_or(0.0))),
            Err(value) => value.dyn_into::<MediaStream>().ok().map(Source::stream),
        },
    };
    let source = options.get("source", SOURCE, read)?;
    let source = source.ok_or_else(|| must_be("source", SOURCE))?;
    Ok(source.with_microphone(flag(options, "microphone", false)?))
}

fn flag(options: &Fields<'_>, name: &str, default: bool) -> Result<bool, JsValue> {
    let value = options.get(name, "true or false", |it| it.as_bool())?;
    Ok(value.unwrap_or(default))
}

fn positive(value: &JsValue) -> Option<f64> {
    value.as_f64().filter(|number| *number > 0.0)
}
