//! Adapters of the browser: capture, sources, worker, fetch, storage. `crate::recorder` and `sortie_tus::client`
//! decide.

mod blob_range;
mod capture;
mod checksum;
#[cfg(feature = "compose")]
mod composition;
mod continued_file;
mod credentials;
mod device_copies;
mod event_dispatcher;
mod fetch;
mod file_upload;
mod js_error;
pub(crate) mod json;
pub(crate) mod object;
#[cfg(feature = "finish")]
mod playable;
mod problem;
mod quota;
mod recorder;
mod recoverable_recording;
mod server;
mod session_watcher;
mod source;
mod spool;
mod time;
mod uploader;
mod wake_lock;
mod worker;
mod worker_script;

use std::pin::Pin;

use wasm_bindgen::prelude::*;
use web_sys::{Document, VisibilityState, Window};

pub use capture::{is_type_supported, preferred_type};
#[cfg(feature = "compose")]
pub use composition::{CameraOverlay, Composition, Corner, DeviceChoice, Devices, Mask, Region};
pub use device_copies::{DeviceCopies, device_copies};
pub use event_dispatcher::EventListener;
pub use file_upload::{UploadProgress, upload_file};
#[cfg(feature = "finish")]
pub use playable::playable;
pub use recorder::Recorder;
pub use recoverable_recording::{OnServer, RecoverableRecording, Recovery, recover};
pub use server::create_session;
pub use session_watcher::SessionWatcher;
pub use source::{OpenSource, ScreenOptions, Source, screen_capture_supported};

#[wasm_bindgen]
extern "C" {
    /// Returns milliseconds of a monotonic clock.
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn now_ms() -> f64;

    // All of this requires a page. web-sys would look up the objects, and check their types, with every call.
    #[wasm_bindgen(thread_local_v2, js_name = window)]
    static WINDOW: Window;
    #[wasm_bindgen(thread_local_v2, js_name = document)]
    static DOCUMENT: Document;
}

/// Runs `future` in the background.
fn spawn(future: impl Future<Output = ()> + 'static) {
    spawn_boxed(Box::pin(future));
}

/// Not generic, so that all callers share its code.
fn spawn_boxed(future: Pin<Box<dyn Future<Output = ()>>>) {
    wasm_bindgen_futures::spawn_local(future);
}

fn window() -> Window {
    WINDOW.with(Clone::clone)
}

fn document() -> Document {
    DOCUMENT.with(Clone::clone)
}

/// Returns the URL for code without an address of its own.
fn absolute(url: &str) -> String {
    let base = document().base_uri().ok().flatten().unwrap_or_default();
    web_sys::Url::new_with_base(url, &base).map_or_else(|_| url.to_owned(), |it| it.href())
}

fn is_hidden() -> bool {
    document().visibility_state() == VisibilityState::Hidden
}
