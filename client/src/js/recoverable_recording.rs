//! A recording that was left behind, as JavaScript sees it.

use std::rc::Rc;

use wasm_bindgen::prelude::*;

use super::{PromiseBlobs, PromiseDone, PromiseVoid, UploadOptions, options, promise};
use super::{or_reject, unless_aborted, value};

/// A recording whose page is gone. No other tab can have it until it is sent, discarded, freed or collected.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RecoverableRecording(Rc<crate::RecoverableRecording>);

impl RecoverableRecording {
    pub(super) fn new(leftover: crate::RecoverableRecording) -> Self {
        Self(Rc::new(leftover))
    }
}

#[wasm_bindgen]
impl RecoverableRecording {
    /// Names the copy on this device.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> String {
        self.0.id().to_owned()
    }

    /// The recording's id on our server.
    #[wasm_bindgen(getter, js_name = recordingId)]
    pub fn recording_id(&self) -> Option<String> {
        self.0.recording_id().map(str::to_owned)
    }

    /// Where the upload is.
    #[wasm_bindgen(getter, js_name = uploadUrl)]
    pub fn upload_url(&self) -> Option<String> {
        self.0.upload_url().map(str::to_owned)
    }

    /// What was recorded; may be empty.
    #[wasm_bindgen(getter, js_name = mimeType)]
    pub fn mime_type(&self) -> String {
        self.0.mime_type().to_owned()
    }

    /// When it began, in milliseconds since 1970.
    #[wasm_bindgen(getter, js_name = startedAt, unchecked_return_type = "number")]
    pub fn started_at(&self) -> JsValue {
        value::number(self.0.started_ms())
    }

    /// How long it is, in milliseconds.
    #[wasm_bindgen(getter, unchecked_return_type = "number")]
    pub fn recorded(&self) -> JsValue {
        value::number(self.0.recorded_ms())
    }

    /// How large it is, in bytes.
    #[wasm_bindgen(getter, js_name = sizeBytes, unchecked_return_type = "number")]
    pub fn size_bytes(&self) -> JsValue {
        value::number(self.0.size_bytes())
    }

    /// How much of it is on this device, in bytes.
    #[wasm_bindgen(getter, js_name = keptBytes, unchecked_return_type = "number")]
    pub fn kept_bytes(&self) -> JsValue {
        value::number(self.0.kept_bytes())
    }

    /// Bytes at the beginning of the recording that only the server has.
    #[wasm_bindgen(getter, js_name = missingBytes, unchecked_return_type = "number")]
    pub fn missing_bytes(&self) -> JsValue {
        value::number(self.0.missing_bytes())
    }

    /// What the server knew of it when it was found.
    #[wasm_bindgen(getter, js_name = onServer, unchecked_return_type = "OnServer")]
    pub fn on_server(&self) -> String {
        self.0.on_server().code().to_owned()
    }

    /// Sends the rest, going on from where the server is, and forgets it here. Resolves when the server holds all
    /// of it.
    pub fn upload(&self, options: Option<UploadOptions>) -> PromiseDone {
        or_reject(|| {
            let (tell, signal) = options::upload(options.as_ref().map(AsRef::as_ref))?;
            let leftover = Rc::clone(&self.0);
            let uploaded =
                async move { leftover.upload(tell).await.map(|done| value::done(&done)) };
            Ok(promise(unless_aborted(signal, Box::pin(uploaded))))
        })
    }

    /// What is here, in order: the beginning of the recording and what the server had not acknowledged. `playable`
    /// of the package makes a file of it that plays and seeks.
    pub fn parts(&self) -> PromiseBlobs {
        let leftover = Rc::clone(&self.0);
        promise(async move {
            let parts = leftover.parts().await?;
            let parts: js_sys::Array = parts.into_iter().map(JsValue::from).collect();
            Ok(parts.into())
        })
    }

    /// Forgets it here, and on the server if that waits for the rest.
    pub fn discard(&self) -> PromiseVoid {
        let leftover = Rc::clone(&self.0);
        promise(async move {
            leftover.discard().await;
            Ok(JsValue::UNDEFINED)
        })
    }
}
