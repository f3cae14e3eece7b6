//! Uploads that need no recorder: recoverable recordings, and files.

use std::rc::Rc;

use futures_util::future::abortable;
use gloo_events::EventListener as DomListener;
use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use web_sys::{AbortSignal, Blob};

use super::error::call;
use super::options::{Fields, target};
use super::promise::promise;
use super::value::{done, waiting};
use crate::browser::object::{number, object, property};
use crate::{RecorderError, Recovery, UploadProgress};

/// Finds the recoverable recordings on this device, oldest first, except those that another tab has locked. Without
/// storage there are none.
///
/// # Errors
/// A `TypeError` that names the missing or wrong option.
#[wasm_bindgen]
pub fn recover(options: &JsValue) -> Result<Promise, JsValue> {
    let options = Fields(options);
    let (target, authorization) = target(&options)?;
    let recovery = Recovery {
        target,
        authorization,
        owner: options.text("owner"),
        worker_url: options.text("workerUrl"),
    };
    Ok(promise(async move {
        let found = crate::recover(recovery).await.into_iter();
        let found = found.map(|it| JsValue::from(RecoverableRecording(Rc::new(it))));
        Ok(found.collect::<Array>().into())
    }))
}

/// Counts the unfinished recordings on this device, of one owner or of all.
#[wasm_bindgen(js_name = deviceCopies)]
pub fn device_copies(options: &JsValue) -> Promise {
    let options = Fields(options);
    let (owner, worker_url) = (options.text("owner"), options.text("workerUrl"));
    promise(async move {
        let copies = crate::device_copies(owner.as_deref(), worker_url.as_deref()).await;
        Ok(JsValue::from(DeviceCopies(copies)))
    })
}

/// Unfinished recordings on this device.
#[wasm_bindgen]
#[derive(Debug)]
pub struct DeviceCopies(crate::DeviceCopies);

#[wasm_bindgen]
impl DeviceCopies {
    /// Number of recordings.
    #[wasm_bindgen(getter)]
    pub fn count(&self) -> usize {
        self.0.count()
    }

    /// Bytes on this device.
    #[wasm_bindgen(getter, js_name = sizeBytes)]
    pub fn size_bytes(&self) -> JsValue {
        number(self.0.size_bytes())
    }

    /// Removes them from this device.
    pub fn remove(&self) -> Promise {
        let copies = self.0.clone();
        promise(async move {
            copies.remove().await;
            Ok(JsValue::UNDEFINED)
        })
    }
}

/// Uploads a file. Resolves when the server holds all of it.
///
/// # Errors
/// A `TypeError` that names the missing or wrong option.
#[wasm_bindgen(js_name = uploadFile)]
pub fn upload_file(file: Blob, options: &JsValue) -> Result<Promise, JsValue> {
    let options = Fields(options);
    let (target, authorization) = target(&options)?;
    let report = progress_listener(&options);
    let own_name = || property(&file, "name")?.as_string();
    let name = options.text("filename").or_else(own_name);
    let name = name.unwrap_or_else(|| "file".to_owned());
    let uploaded = async move {
        let uploaded = crate::upload_file(&file, &name, target, authorization, report).await?;
        Ok(done(&uploaded))
    };
    Ok(promise(unless_aborted(options.signal(), uploaded)))
}

/// Awaits `work`; returns [`RecorderError::Aborted`] and drops `work` if the signal aborts first.
async fn unless_aborted(
    signal: Option<AbortSignal>,
    work: impl Future<Output = Result<JsValue, RecorderError>>,
) -> Result<JsValue, RecorderError> {
    let Some(signal) = signal else {
        return work.await;
    };
    if signal.aborted() {
        return Err(RecorderError::Aborted);
    }
    let (work, handle) = abortable(work);
    let _listener = DomListener::once(&signal, "abort", move |_| handle.abort());
    work.await.unwrap_or(Err(RecorderError::Aborted))
}

/// Reads `onProgress`.
fn progress_listener(options: &Fields<'_>) -> impl Fn(UploadProgress) + use<> {
    let listener = options.function("onProgress");
    move |progress: UploadProgress| {
        if let Some(listener) = &listener {
            let progress = object(&[
                ("sizeBytes", number(progress.size_bytes)),
                ("safeBytes", number(progress.safe_bytes)),
                ("waiting", waiting(progress.waiting)),
            ]);
            call(listener, &progress);
        }
    }
}

/// Recording that a closed or crashed page has left. It is locked for other tabs until it is uploaded, discarded, freed
/// or garbage-collected.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RecoverableRecording(Rc<crate::RecoverableRecording>);

#[wasm_bindgen]
impl RecoverableRecording {
    /// Identifier of the copy on this device.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> String {
        self.0.id().to_owned()
    }

    /// Recording id on our server.
    #[wasm_bindgen(getter, js_name = recordingId)]
    pub fn recording_id(&self) -> Option<String> {
        self.0.recording_id().map(str::to_owned)
    }

    /// URL of the upload, once it exists.
    #[wasm_bindgen(getter, js_name = uploadUrl)]
    pub fn upload_url(&self) -> Option<String> {
        self.0.upload_url().map(str::to_owned)
    }

    /// MIME type; may be empty.
    #[wasm_bindgen(getter, js_name = mimeType)]
    pub fn mime_type(&self) -> String {
        self.0.mime_type().to_owned()
    }

    /// External ID that the page gave the recording.
    #[wasm_bindgen(getter, js_name = externalId)]
    pub fn external_id(&self) -> Option<String> {
        self.0.labels().external_id
    }

    /// Metadata that the page gave the recording, as JSON.
    #[wasm_bindgen(getter)]
    pub fn metadata(&self) -> Option<String> {
        self.0.labels().metadata
    }

    /// Unix time of the start in milliseconds.
    #[wasm_bindgen(getter, js_name = startedAt)]
    pub fn started_at(&self) -> JsValue {
        number(self.0.started_ms())
    }

    /// Length of the recording in milliseconds.
    #[wasm_bindgen(getter, js_name = recordedMs)]
    pub fn recorded_ms(&self) -> JsValue {
        number(self.0.recorded_ms())
    }

    /// Size of the recording in bytes.
    #[wasm_bindgen(getter, js_name = sizeBytes)]
    pub fn size_bytes(&self) -> JsValue {
        number(self.0.size_bytes())
    }

    /// Number of bytes that are on this device.
    #[wasm_bindgen(getter, js_name = keptBytes)]
    pub fn kept_bytes(&self) -> JsValue {
        number(self.0.kept_bytes())
    }

    /// Bytes at the beginning of the recording that only the server has.
    #[wasm_bindgen(getter, js_name = missingBytes)]
    pub fn missing_bytes(&self) -> JsValue {
        number(self.0.missing_bytes())
    }

    /// State on the server when the recording was found.
    #[wasm_bindgen(getter, js_name = onServer)]
    pub fn on_server(&self) -> String {
        self.0.on_server().code().to_owned()
    }

    /// Uploads the remaining bytes from the server's offset on, and removes the copy. Resolves when the server holds
    /// all of it.
    pub fn upload(&self, options: &JsValue) -> Promise {
        let options = Fields(options);
        let report = progress_listener(&options);
        let recording = Rc::clone(&self.0);
        let uploaded = async move { recording.upload(report).await.map(|it| done(&it)) };
        promise(unless_aborted(options.signal(), uploaded))
    }

    /// Returns the bytes on this device in order: the beginning of the recording and the bytes that the server has not
    /// acknowledged. `playable` turns them into a file that plays and seeks.
    pub fn parts(&self) -> Promise {
        let recording = Rc::clone(&self.0);
        promise(async move {
            let parts = recording.parts().await?;
            let parts: Array = parts.into_iter().map(JsValue::from).collect();
            Ok(parts.into())
        })
    }

    /// Removes the copy, and the upload on the server if it waits for the remaining bytes.
    pub fn discard(&self) -> Promise {
        let recording = Rc::clone(&self.0);
        promise(async move {
            recording.discard().await;
            Ok(JsValue::UNDEFINED)
        })
    }
}
