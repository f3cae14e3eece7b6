//! Downloading a file that only a signed-in person gets.

use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::JsCast;
use sortie_api::RecordingStatus;

use super::api;
use super::app_context::AppContext;

/// Handles a click on a link to [`api::download_url`] or, for a failed recording, to [`api::raw_url`].
///
/// A link alone would save the server's refusal as a file when the sign-in has expired meanwhile. So the server is
/// asked for the recording first, which renews the sign-in, and then the browser downloads.
pub(super) fn start(
    event: &ev::MouseEvent,
    app: AppContext,
    id: String,
    problem: RwSignal<Option<String>>,
) {
    event.prevent_default();
    problem.set(None);
    spawn_local(async move {
        match app.api().recording(&id).await {
            Ok(recording) => {
                let path = match recording.status {
                    RecordingStatus::Failed => api::raw_url(&id),
                    _ => api::download_url(&id),
                };
                save(&path, &recording.filename);
            }
            Err(error) => {
                // The page may have been left meanwhile; then there is nobody to tell.
                let _ = problem.try_set(Some(app.explain(&error)));
            }
        }
    });
}

/// Downloads what is at `address`, after the sign-in has been renewed if need be.
pub(super) fn start_file(
    app: AppContext,
    address: String,
    filename: &'static str,
    problem: RwSignal<Option<String>>,
) {
    problem.set(None);
    spawn_local(async move {
        match app.api().me().await {
            Ok(_) => save(&address, filename),
            Err(error) => {
                let _ = problem.try_set(Some(app.explain(&error)));
            }
        }
    });
}

/// Lets the browser download, without leaving the page and without asking whether to leave it.
fn save(address: &str, filename: &str) {
    let Ok(element) = document().create_element("a") else {
        return;
    };
    let Ok(link) = element.dyn_into::<web_sys::HtmlAnchorElement>() else {
        return;
    };
    link.set_href(address);
    link.set_download(filename);
    link.click();
}

/// Saves bytes that are only here.
pub(super) fn save_blob(bytes: &web_sys::Blob, filename: &str) {
    let Ok(address) = web_sys::Url::create_object_url_with_blob(bytes) else {
        return;
    };
    save(&address, filename);
    // The download holds on to the bytes by itself once it has begun.
    let _ = web_sys::Url::revoke_object_url(&address);
}
