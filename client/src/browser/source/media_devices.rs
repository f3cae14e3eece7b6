//! Opens screens, cameras and microphones.

use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{MediaDevices, MediaStream};

use super::super::js_error::JsError;
use super::super::object::{object, property, set};
use super::super::window;
use super::{ScreenOptions, tracks};
use crate::{Device, RecorderError};

/// Opens a screen, window or tab.
pub(super) async fn screen(options: ScreenOptions) -> Result<MediaStream, RecorderError> {
    let devices = devices(Device::Screen)?;
    if !has_method(&devices, "getDisplayMedia") {
        return Err(RecorderError::Unsupported("screen capture".to_owned()));
    }
    let system_audio = if options.audio { "include" } else { "exclude" };
    // Browsers ignore the names that they do not know.
    let constraints = object(&[
        ("video", true.into()),
        ("audio", options.audio.into()),
        ("preferCurrentTab", options.prefer_current_tab.into()),
        ("systemAudio", system_audio.into()),
        ("surfaceSwitching", "include".into()),
    ]);
    let asked = devices.get_display_media_with_constraints(constraints.unchecked_ref());
    let stream = settle(Device::Screen, asked).await?;
    for track in tracks(&stream.get_video_tracks()) {
        // Keeps text sharp: without it encoders trade sharpness for motion.
        set(&track, "contentHint", &"detail".into());
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
    let constraints = object(&[("video", video.into()), ("audio", audio.into())]);
    let asked = devices.get_user_media_with_constraints(constraints.unchecked_ref());
    settle(device, asked).await
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
pub(in crate::browser) fn has_method(object: &JsValue, name: &str) -> bool {
    property(object, name).is_some_and(|it| it.is_function())
}
