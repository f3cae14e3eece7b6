//! Opens screens, cameras and microphones.

use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DisplayMediaStreamConstraints, MediaDevices, MediaStream, MediaStreamConstraints};

use super::super::js_error::JsError;
use super::super::window;
use super::{ScreenOptions, tracks};
use crate::{Device, RecorderError};

/// Opens a screen, window or tab.
pub(super) async fn screen(options: ScreenOptions) -> Result<MediaStream, RecorderError> {
    let devices = devices(Device::Screen)?;
    if !has_method(&devices, "getDisplayMedia") {
        return Err(RecorderError::Unsupported("screen capture".to_owned()));
    }
    let constraints = DisplayMediaStreamConstraints::new();
    constraints.set_video_bool(true);
    constraints.set_audio_bool(options.audio);
    // Missing in web-sys' dictionary. Browsers that do not know them ignore them.
    set(
        &constraints,
        "preferCurrentTab",
        options.prefer_current_tab.into(),
    );
    set(
        &constraints,
        "systemAudio",
        if options.audio { "include" } else { "exclude" }.into(),
    );
    set(&constraints, "surfaceSwitching", "include".into());
    let stream = settle(
        Device::Screen,
        devices.get_display_media_with_constraints(&constraints),
    )
    .await?;
    for track in tracks(&stream.get_video_tracks()) {
        // Keeps text sharp: without it encoders trade sharpness for motion.
        set(&track, "contentHint", "detail".into());
    }
    Ok(stream)
}

/// Opens a camera, with a microphone if `microphone` is set. Without the microphone it returns the reason.
pub(super) async fn camera(
    microphone: bool,
) -> Result<(MediaStream, Option<RecorderError>), RecorderError> {
    match (
        user_media(Device::Camera, true, microphone).await,
        microphone,
    ) {
        (Ok(stream), _) => Ok((stream, None)),
        (Err(error), false) => Err(error),
        // The browser does not report which of the two was refused. If the camera alone can be opened, it was the
        // microphone.
        (Err(error), true) => {
            let stream = user_media(Device::Camera, true, false).await?;
            Ok((stream, Some(error.with(Device::Microphone))))
        }
    }
}

/// Opens a microphone without a camera.
pub(super) async fn microphone() -> Result<MediaStream, RecorderError> {
    user_media(Device::Microphone, false, true).await
}

async fn user_media(
    device: Device,
    video: bool,
    audio: bool,
) -> Result<MediaStream, RecorderError> {
    let devices = devices(device)?;
    let constraints = MediaStreamConstraints::new();
    constraints.set_video_bool(video);
    constraints.set_audio_bool(audio);
    settle(
        device,
        devices.get_user_media_with_constraints(&constraints),
    )
    .await
}

async fn settle(
    device: Device,
    asked: Result<Promise, JsValue>,
) -> Result<MediaStream, RecorderError> {
    let answer = match asked {
        Ok(promise) => JsFuture::from(promise).await,
        Err(thrown) => Err(thrown),
    };
    let refused = |thrown: JsValue| {
        let JsError { name, message } = JsError::read(&thrown);
        RecorderError::from_capture(device, &name, &message)
    };
    answer.and_then(JsCast::dyn_into).map_err(refused)
}

/// Returns the browser's media devices, which do not exist on insecure pages.
pub(super) fn devices(device: Device) -> Result<MediaDevices, RecorderError> {
    let window = window();
    match window.navigator().media_devices() {
        Ok(devices) if !JsValue::from(devices.clone()).is_undefined() => Ok(devices),
        _ if !window.is_secure_context() => Err(RecorderError::InsecureContext),
        _ => Err(RecorderError::from_capture(device, "NotSupportedError", "")),
    }
}

/// Whether `object` has a method; web-sys throws for a missing one.
pub(super) fn has_method(object: &Object, name: &str) -> bool {
    Reflect::get(object, &name.into()).is_ok_and(|it| it.is_function())
}

fn set(object: &Object, key: &str, value: JsValue) {
    // Fails only for frozen objects; this object is new.
    let _frozen = Reflect::set(object, &key.into(), &value);
}
