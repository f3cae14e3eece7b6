//! Downloads of files that need a sign-in.

use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::JsCast;
use sortie_api::RecordingStatus;

use super::api;
use super::app_context::AppContext;

/// Click handler of links to [`api::download_url`] and, for failed recordings, to [`api::raw_url`].
///
/// A plain link would save the error response as a file after the sign-in has expired. The handler fetches the
/// recording first, which renews the sign-in.
pub(super) fn start(
    event: &ev::MouseEvent,
    app: AppContext,
    id: String,
    problem: RwSignal<Option<String>>,
) {
    event.prevent_default();
    start_all(app, vec![id], problem);
}

/// Downloads the files of recordings one after the other. The browser asks whether the page may save several files.
pub(super) fn start_all(app: AppContext, ids: Vec<String>, problem: RwSignal<Option<String>>) {
    problem.set(None);
    spawn_local(async move {
        for id in ids {
            match app.api().recording(&id).await {
                Ok(recording) => {
                    let path = match recording.status {
                        RecordingStatus::Failed => api::raw_url(&id),
                        _ => api::download_url(&id),
                    };
                    save(&path, &recording.filename);
                }
                Err(error) => {
                    // The page may have been closed.
                    let _ = problem.try_set(Some(app.explain(&error)));
                }
            }
        }
    });
}

/// Renews the sign-in if needed and downloads a file.
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

/// Clicks a temporary link: downloads without leaving the page and without a `beforeunload` question.
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

/// Saves bytes of this page as a file.
pub(super) fn save_blob(bytes: &web_sys::Blob, filename: &str) {
    let Ok(address) = web_sys::Url::create_object_url_with_blob(bytes) else {
        return;
    };
    save(&address, filename);
    // The download keeps the bytes after it has started.
    let _ = web_sys::Url::revoke_object_url(&address);
}
