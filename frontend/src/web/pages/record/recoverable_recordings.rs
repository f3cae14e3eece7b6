use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::FutureExt;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_client::{OnServer, RecoverableRecording, Recovery, Target, UploadProgress, recover};

use crate::format;
use crate::web::address::{url, use_app_navigate};
use crate::web::app_context::{AppContext, SignInState};
use crate::web::components::{ConfirmDialog, Confirmation, Glyph, Icon, LiveRegion};
use crate::web::download;
use crate::web::recorder_store::RecorderStore;

/// Recordings in this browser's spool that a crash or a closed page left incomplete.
#[component]
pub(super) fn RecoverableRecordings() -> impl IntoView {
    let app = AppContext::expect();
    let recorder = RecorderStore::expect();
    let found: RwSignal<Vec<Rc<RecoverableRecording>>, LocalStorage> =
        RwSignal::new_local(Vec::new());
    let user = Memo::new(move |_| match app.sign_in() {
        SignInState::SignedIn(user) => Some(user.id.clone()),
        _ => None,
    });
    Effect::new(move || {
        // Hides recordings of the previous user.
        found.set(Vec::new());
        let Some(owner) = user.get() else { return };
        spawn_local(async move {
            let recordings = recover(Recovery {
                target: Target::server(url("")),
                authorization: recorder.authorization(),
                owner: Some(owner.clone()),
                worker_url: None,
            })
            .await;
            if user.try_get_untracked().flatten() == Some(owner) {
                found.set(recordings.into_iter().map(Rc::new).collect());
            }
        });
    });
    let remove = move |id: String| found.update(|found| found.retain(|it| it.id() != id));
    move || {
        let found = found.get();
        found
            .into_iter()
            .map(|recording| view! { <RecoverableRecordingNotice recording remove /> })
            .collect_view()
    }
}

/// Notice with the actions for one recording.
#[component]
fn RecoverableRecordingNotice(
    recording: Rc<RecoverableRecording>,
    /// Removes the recording from the list.
    remove: impl Fn(String) + Copy + Send + Sync + 'static,
) -> impl IntoView {
    let navigate = use_app_navigate();
    let sent = RwSignal::new(None::<u64>);
    let failure = RwSignal::new(None::<String>);
    let size = recording.size_bytes();
    let mut message = format!(
        "Unfinished {} recording found on this device.",
        format::length(recording.recorded_ms())
    );
    let missing = recording.missing_bytes();
    if missing > 0 {
        message += &format!(
            " {} of it are on the server only: a downloaded copy lacks them.",
            format::size(missing)
        );
    }
    let can_send = recording.on_server() != OnServer::Closed || recording.kept_bytes() == size;
    let is_busy = Memo::new(move |_| sent.with(Option::is_some));
    let recording = StoredValue::new_local(recording);

    let send = move |_| {
        let recording = recording.get_value();
        let navigate = navigate.clone();
        failure.set(None);
        sent.set(Some(0));
        spawn_local(async move {
            let tell = move |progress: UploadProgress| {
                let _gone = sent.try_set(Some(progress.safe_bytes));
            };
            match recording.upload(tell).await {
                Ok(done) => {
                    remove(recording.id().to_owned());
                    if let Some(id) = done.recording_id {
                        navigate(&format!("/recordings/{id}"), Default::default());
                    }
                }
                Err(error) => {
                    let _gone = (sent.try_set(None), failure.try_set(Some(error.to_string())));
                }
            }
        });
    };
    let save = move |_| {
        let recording = recording.get_value();
        spawn_local(async move {
            match recording.bytes().await {
                Ok(bytes) => download::save_blob(&bytes, "recording-rest.webm"),
                Err(error) => {
                    let _gone = failure.try_set(Some(error.to_string()));
                }
            }
        });
    };
    let confirmation = RwSignal::new(None::<Confirmation>);
    let discard = move |_| {
        let id = recording.with_value(|it| it.id().to_owned());
        confirmation.set(Some(Confirmation {
            heading: "Discard this recording?".to_owned(),
            subject: String::new(),
            consequence: "This deletes the copy here and the part on the server.".to_owned(),
            action: "Discard",
            second: None,
            work: Arc::new(move |_, _| {
                let recording = recording.get_value();
                async move {
                    recording.discard().await;
                    Ok(())
                }
                .boxed_local()
            }),
            done: Arc::new(move || remove(id.clone())),
        }));
    };
    // In steps of ten percent, to limit announcements.
    let spoken = Signal::derive(move || {
        let Some(sent) = sent.get() else {
            return String::new();
        };
        format!("Upload: {} %", format::percent(sent, size) / 10 * 10)
    });
    view! {
        <div class="notice">
            <Icon glyph=Glyph::Shield />
            <LiveRegion text=spoken />
            <p role=move || sent.with(Option::is_none).then_some("status")>
                {move || {
                    failure
                        .get()
                        .or_else(|| {
                            let sent = sent.get()?;
                            Some(format!("{} of {} are on the server.", format::size(sent), format::size(size)))
                        })
                        .unwrap_or_else(|| message.clone())
                }}
            </p>
            <Show when=move || can_send>
                <button type="button" class="button" disabled=is_busy on:click=send.clone()>
                    "Upload now"
                </button>
            </Show>
            <button type="button" class="button" disabled=is_busy on:click=save>
                "Download copy"
            </button>
            <button type="button" class="button" disabled=is_busy on:click=discard>
                "Discard"
            </button>
            <ConfirmDialog confirmation />
        </div>
    }
}
