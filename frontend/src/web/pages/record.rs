//! The start page: choose a source, preview and record.

mod controls;
mod preview;
mod progress;
mod recoverable_recordings;
mod source_options;

use leptos::either::EitherOf4;
use leptos::prelude::*;
use leptos::task::spawn_local;

use self::controls::Controls;
use self::preview::PreviewArea;
use self::progress::Figures;
use self::recoverable_recordings::RecoverableRecordings;
use self::source_options::SourceOptions;
use crate::recorder_texts;
use crate::web::address::{Link, use_app_navigate};
use crate::web::app_context::{AppContext, SignInState};
use crate::web::components::{ErrorNotice, Glyph, Heading, Icon, Loading, RequireSignIn};
use crate::web::download;
use crate::web::load::{self, LoadedPage};
use crate::web::recorder_store::RecorderStore;

#[component]
pub(in crate::web) fn RecordPage() -> impl IntoView {
    let app = AppContext::expect();
    let is_enabled = Memo::new(move |_| app.recording_enabled());
    // An appliance records its HDMI input instead of a screen.
    let is_appliance = Memo::new(move |_| app.is_appliance());
    let is_unreachable = Memo::new(move |_| matches!(app.sign_in(), SignInState::Unreachable(_)));
    move || match is_enabled.get() {
        Some(false) => EitherOf4::A(view! { <RecordingOff /> }),
        None if !is_unreachable.get() => EitherOf4::B(view! { <Loading label="Loading" /> }),
        Some(true) if is_appliance.get() => {
            EitherOf4::C(view! { <LoadedPage load=load::appliance /> })
        }
        _ => EitherOf4::D(view! { <LoadedPage load=load::recorder /> }),
    }
}

/// The recorder of this browser.
#[component]
pub(in crate::web) fn RecorderPage() -> impl IntoView {
    view! {
        <RequireSignIn>
            <Record />
        </RequireSignIn>
    }
}

/// Start page of a server without recording.
#[component]
fn RecordingOff() -> impl IntoView {
    view! {
        <section class="page page-narrow empty">
            <Icon glyph=Glyph::Info />
            <Heading title="Recording is turned off" />
            <p class="quiet">
                "This server does not record at the moment. Its administrator can turn recording on."
            </p>
        </section>
    }
}

#[component]
fn Record() -> impl IntoView {
    let recorder = RecorderStore::obtain();
    open_player_when_done(recorder);
    // Closes the preview when the user leaves; a recording continues.
    on_cleanup(move || recorder.close_preview());

    let is_running = Memo::new(move |_| recorder.has_unsent());
    view! {
        <section class="page record" class:record-running=move || is_running.get() aria-labelledby="page-heading">
            <Heading title="Record" />
            <p class="visually-hidden" role="status">
                {move || recorder_texts::announcement(recorder.state.get())}
            </p>
            <Notices />
            <RecoverableRecordings />
            <div class="record-grid">
                <div class="record-side card">
                    <Show when=move || is_running.get() fallback=SourceOptions>
                        <Figures />
                    </Show>
                </div>
                <div class="record-main">
                    <PreviewArea />
                    <Controls />
                </div>
            </div>
        </section>
    }
}

/// Opens the player when a recording completes while this page is shown. A recording that completed earlier is offered
/// as a link instead.
fn open_player_when_done(recorder: RecorderStore) {
    let navigate = use_app_navigate();
    Effect::new(move |was_done: Option<bool>| {
        let id = recorder
            .done
            .with(|done| done.as_ref().and_then(|done| done.recording_id.clone()));
        if let (Some(id), Some(false)) = (&id, was_done) {
            recorder.clear();
            navigate(&format!("/recordings/{id}"), Default::default());
        }
        id.is_some()
    });
}

/// Errors and hints above all other content.
#[component]
fn Notices() -> impl IntoView {
    let recorder = RecorderStore::expect();
    let failure = move || recorder.failure.get();
    let message =
        Signal::derive(move || failure().map(|failure| failure.message).unwrap_or_default());
    let has_unsent_bytes = move || failure().is_some_and(|failure| failure.has_unsent_bytes);
    let finished = Memo::new(move |_| {
        recorder
            .done
            .with(|done| done.as_ref().and_then(|done| done.recording_id.clone()))
    });

    view! {
        <div class="record-notices">
            <Show when=move || failure().is_some()>
                <ErrorNotice message=message action="Retry" on_action=move |()| recorder.start() />
            </Show>
            <Show when=has_unsent_bytes>
                <div class="notice">
                    <Icon glyph=Glyph::Download />
                    <p>"Part of the recording is not on the server. It is still on this device."</p>
                    <button
                        type="button"
                        class="button"
                        on:click=move |_| {
                            spawn_local(async move {
                                if let Some(rest) = recorder.unsent_bytes().await {
                                    download::save_blob(&rest, "recording-rest.webm");
                                }
                            });
                        }
                    >
                        "Download copy"
                    </button>
                </div>
            </Show>
            {move || {
                finished
                    .get()
                    .map(|id| {
                        view! {
                            <div class="notice" role="status">
                                <Icon glyph=Glyph::Shield />
                                <p>
                                    "Your recording is safe on the server. "
                                    {RecorderStore::end_reason(&id)}
                                </p>
                                <Link to=format!("/recordings/{id}") attr:class="button">
                                    "Watch it"
                                </Link>
                            </div>
                        }
                    })
            }}
        </div>
    }
}
