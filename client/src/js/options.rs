//! Reads the options object.

use js_sys::{Function, Promise, Reflect, TypeError};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, Blob, HtmlCanvasElement, MediaStream};

use super::value;
use crate::numbers::{saturated, whole};
use crate::{
    Authorization, Options, Recovery, RenewalFailed, ScreenOptions, Source, Target, UploadProgress,
};

/// Reads everything, or throws a `TypeError` that names the first option that is wrong.
pub(super) fn read(object: &JsValue) -> Result<(Options, Source), JsValue> {
    let object = Fields(object);
    let mut options = Options::new(read_target(&object)?);
    options.authorization = authorization(&object)?;
    let rate = |name| object.get(name, "a positive number", |it| positive(&it).map(saturated));
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
    let most = |name| object.get(name, "a positive number", |it| positive(&it).map(whole));
    options.max_duration_ms = most("maxDuration")?;
    options.max_size_bytes = most("maxSize")?;
    if let Some(filename) = object.text("filename")? {
        options.filename = filename;
    }
    options.owner = object.text("owner")?;
    options.worker_url = object.text("workerUrl")?;
    options.durable = object.optional_flag("durable")?.unwrap_or(true);
    options.keep_awake = object.optional_flag("keepAwake")?.unwrap_or(true);
    Ok((options, source(&object)?))
}

/// Reads which session of our server is to be watched, and who asks.
pub(super) fn watched(object: &JsValue) -> Result<(String, String, Authorization), JsValue> {
    match target(object)? {
        (
            Target::Server {
                base,
                session: Some(session),
            },
            authorization,
        ) => Ok((base, session, authorization)),
        _ => Err(wrong("server and session must be given")),
    }
}

/// Which recordings to look for.
pub(super) fn recovery(object: &JsValue) -> Result<Recovery, JsValue> {
    let (target, authorization) = target(object)?;
    let object = Fields(object);
    Ok(Recovery {
        target,
        authorization,
        owner: object.text("owner")?,
        worker_url: object.text("workerUrl")?,
    })
}

/// Where to, and who asks.
pub(super) fn target(object: &JsValue) -> Result<(Target, Authorization), JsValue> {
    let object = Fields(object);
    Ok((read_target(&object)?, authorization(&object)?))
}

/// Who wants to hear of an upload's progress, and what ends it.
pub(super) fn upload(
    object: Option<&JsValue>,
) -> Result<(impl Fn(UploadProgress) + use<>, Option<AbortSignal>), JsValue> {
    let listener = match object {
        Some(object) => Fields(object).function("onProgress")?,
        None => None,
    };
    let tell = move |progress: UploadProgress| {
        if let Some(listener) = &listener {
            let value = value::upload_progress(&progress);
            if let Err(thrown) = listener.call1(&JsValue::UNDEFINED, &value) {
                value::report(&thrown);
            }
        }
    };
    Ok((tell, signal(object)?))
}

/// The `signal` of some options.
pub(super) fn signal(object: Option<&JsValue>) -> Result<Option<AbortSignal>, JsValue> {
    let read = |it: JsValue| it.dyn_into().ok();
    object.map_or(Ok(None), |object| {
        Fields(object).get("signal", "an AbortSignal", read)
    })
}

/// What a file is to be called.
pub(super) fn filename(file: &Blob, object: &JsValue) -> Result<String, JsValue> {
    let own = || Reflect::get(file, &"name".into()).ok()?.as_string();
    let given = Fields(object).text("filename")?;
    Ok(given.or_else(own).unwrap_or_else(|| "file".to_owned()))
}

fn authorization(object: &Fields<'_>) -> Result<Authorization, JsValue> {
    let function = object.function("getToken")?;
    Ok(function.map_or_else(Authorization::default, |function| {
        Authorization::bearer(move || token(function.clone()))
    }))
}

fn read_target(object: &Fields<'_>) -> Result<Target, JsValue> {
    let session = object.text("session")?;
    match (object.text("server")?, object.text("endpoint")?) {
        (Some(mut base), None) => {
            while base.ends_with('/') {
                base.pop();
            }
            Ok(Target::Server { base, session })
        }
        (None, Some(endpoint)) if session.is_none() => Ok(Target::Tus { endpoint }),
        (None, Some(_)) => Err(wrong(
            "session needs server: another tus server has no sessions",
        )),
        (None, None) | (Some(_), Some(_)) => {
            Err(wrong("exactly one of server and endpoint must be given"))
        }
    }
}

fn source(object: &Fields<'_>) -> Result<Source, JsValue> {
    const EXPECTED: &str = "an HTMLCanvasElement, a MediaStream, 'screen' or 'camera'";
    let screen = ScreenOptions {
        audio: object.flag("audio")?,
        prefer_current_tab: object.flag("preferCurrentTab")?,
    };
    // Zero stands for the default.
    let fps = object
        .get("fps", "a positive number", |it| positive(&it))?
        .unwrap_or(0.0);
    let read = |value: JsValue| match value.as_string().as_deref() {
        Some("screen") => Some(Source::screen(screen)),
        Some("camera") => Some(Source::camera()),
        Some(_) => None,
        None => match value.dyn_into::<HtmlCanvasElement>() {
            Ok(canvas) => Some(Source::canvas(canvas, fps)),
            Err(value) => value.dyn_into::<MediaStream>().ok().map(Source::stream),
        },
    };
    let source = object.get("source", EXPECTED, read)?;
    let source = source.ok_or_else(|| must_be("source", EXPECTED))?;
    Ok(source.with_microphone(object.flag("microphone")?))
}

/// Asks the page for a token. A rejection refuses a recording that is to begin; one that runs asks again.
async fn token(function: Function) -> Result<String, RenewalFailed> {
    let answer = match function.call0(&JsValue::UNDEFINED) {
        Ok(answer) => JsFuture::from(Promise::resolve(&answer)).await,
        Err(thrown) => Err(thrown),
    };
    let (token, cause) = match answer {
        Ok(token) => {
            let token = token.as_string().filter(|it| !it.is_empty());
            let cause = token.is_none().then(|| wrong("getToken gave no token"));
            (token, cause.unwrap_or_default())
        }
        Err(thrown) => (None, thrown),
    };
    value::set_sign_in_cause(cause);
    token.ok_or(RenewalFailed::Refused)
}

struct Fields<'a>(&'a JsValue);

impl Fields<'_> {
    fn get<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(JsValue) -> Option<T>,
    ) -> Result<Option<T>, JsValue> {
        let value =
            Reflect::get(self.0, &name.into()).map_err(|_| wrong("options must be an object"))?;
        if value.is_undefined() || value.is_null() {
            return Ok(None);
        }
        read(value).map(Some).ok_or_else(|| must_be(name, expected))
    }

    fn text(&self, name: &str) -> Result<Option<String>, JsValue> {
        self.get(name, "a string", |it| it.as_string())
    }

    fn flag(&self, name: &str) -> Result<bool, JsValue> {
        self.optional_flag(name).map(Option::unwrap_or_default)
    }

    fn optional_flag(&self, name: &str) -> Result<Option<bool>, JsValue> {
        self.get(name, "true or false", |it| it.as_bool())
    }

    fn function(&self, name: &str) -> Result<Option<Function>, JsValue> {
        self.get(name, "a function", |it| it.dyn_into().ok())
    }
}

fn positive(value: &JsValue) -> Option<f64> {
    value.as_f64().filter(|number| *number > 0.0)
}

fn must_be(name: &str, expected: &str) -> JsValue {
    wrong(&[name, " must be ", expected].concat())
}

fn wrong(message: &str) -> JsValue {
    TypeError::new(message).into()
}
