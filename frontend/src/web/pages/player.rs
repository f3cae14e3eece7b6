//! Player page of one recording.

mod playback;
mod video;

use leptos::either::Either;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_params_map;
use sortie_api::{Recording, RecordingStatus};

use self::playback::Playback;
use super::NotFoundPage;
use super::appliance::VIDEO_RECORDING;
use crate::format;
use crate::parts::{self, TimelinePart};
use crate::status_texts;
use crate::web::address::{Link, use_app_navigate};
use crate::web::api;
use crate::web::app_context::AppContext;
use crate::web::components::{
    ConfirmDialog, Confirmation, Duration, ErrorNotice, Glyph, Heading, Icon, Loading, LocalTime,
    RequireSignIn, StatusBadge,
};
use crate::web::download;
use crate::web::last_list::LastList;
use crate::web::poll::poll_while;
use crate::web::recorder_store::RecorderStore;

/// Path of the list of own recordings.
const MINE: &str = "/recordings";
/// Polling interval of an unfinished recording; shorter than in lists, because the user is waiting.
const POLL_MS: u32 = 1_000;

/// Rebuilt when the recording ID in the address changes.
#[component]
pub(in crate::web) fn PlayerPage() -> impl IntoView {
    let app = AppContext::expect();
    let is_off = Memo::new(move |_| app.recording_enabled() == Some(false));
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("id")).unwrap_or_default());
    move || {
        if is_off.get() {
            return Either::Left(view! { <NotFoundPage /> });
        }
        let id = id.get();
        Either::Right(view! {
            <RequireSignIn>
                <Player id=id.clone() />
            </RequireSignIn>
        })
    }
}

/// State of the request for the recording.
#[derive(Clone, PartialEq)]
enum LoadState {
    Loading,
    Problem(String),
    NoSuchRecording,
    Recording,
}

#[component]
fn Player(id: String) -> impl IntoView {
    let app = AppContext::expect();
    let id = StoredValue::new(id);
    let load_state = RwSignal::new(LoadState::Loading);
    let recording = RwSignal::new(None::<Recording>);
    let is_loading = StoredValue::new(false);

    let load = move || {
        if is_loading.get_value() {
            return;
        }
        is_loading.set_value(true);
        spawn_local(async move {
            let answer = app.api().recording(&id.get_value()).await;
            // The page may have been closed.
            if is_loading.try_set_value(false).is_some() {
                return;
            }
            match answer {
                Ok(fresh) => {
                    if recording.with_untracked(|recording| recording.as_ref() != Some(&fresh)) {
                        recording.set(Some(fresh));
                    }
                    load_state.set(LoadState::Recording);
                }
                Err(error) if error.is_not_found() => load_state.set(LoadState::NoSuchRecording),
                Err(error) => load_state.set(LoadState::Problem(app.explain(&error))),
            }
        });
    };
    load();
    let moves =
        move || recording.with(|recording| recording.as_ref().is_some_and(parts::is_moving));
    poll_while(moves, POLL_MS, load);

    let shown = Memo::new(move |_| load_state.get());
    move || {
        match shown.get() {
        LoadState::Loading => view! { <section class="page"><Loading label="Loading the recording" bars=2 /></section> }.into_any(),
        LoadState::NoSuchRecording => view! { <NotFoundPage /> }.into_any(),
        LoadState::Problem(message) => {
            view! {
                <section class="page">
                    <Heading title="Recording" />
                    <ErrorNotice
                        message=message
                        on_action=move |()| {
                            load_state.set(LoadState::Loading);
                            load();
                        }
                    />
                </section>
            }
            .into_any()
        }
        LoadState::Recording => recording
            .get_untracked()
            .map(|first| view! { <Watch first=first recording=recording /> })
            .into_any(),
    }
    }
}

/// Player, facts and actions of a recording.
#[component]
fn Watch(first: Recording, recording: RwSignal<Option<Recording>>) -> impl IntoView {
    let app = AppContext::expect();
    let navigate = StoredValue::new_local(use_app_navigate());
    let last_list = LastList::expect();
    last_list.mark_opened(&first.id);
    let (list, list_name) = if untrack(|| app.is_appliance()) {
        ("/".to_owned(), VIDEO_RECORDING)
    } else {
        // Includes filters and page.
        let list = last_list.address().unwrap_or_else(|| MINE.to_owned());
        let name = if list.starts_with(MINE) {
            "My Recordings"
        } else {
            "All Recordings"
        };
        (list, name)
    };
    let back = StoredValue::new(list.clone());
    let confirmation = RwSignal::new(None);
    let problem = RwSignal::new(None::<String>);
    let last = StoredValue::new(first.clone());
    let row = Memo::new(move |_| recording.get().unwrap_or_else(|| last.get_value()));
    let is_ready = Memo::new(move |_| row.with(|row| row.status == RecordingStatus::Ready));
    let waiting_for = Memo::new(move |_| row.with(status_texts::not_playable));
    let duration_ms = Memo::new(move |_| row.with(parts::duration_ms));
    let size_bytes = Memo::new(move |_| row.with(parts::size_bytes));
    let timeline = Memo::new(move |_| row.with(parts::timeline));
    let is_playable =
        Memo::new(move |_| timeline.with(|parts| parts.iter().any(TimelinePart::is_playable)));
    let has_parts = Memo::new(move |_| row.with(|row| parts::count(row).is_some()));
    let is_failed = move || row.with(|row| row.status == RecordingStatus::Failed);

    let ask_to_delete = move |_| {
        let leave = move |_| {
            navigate.with_value(|navigate| navigate(&back.get_value(), Default::default()));
        };
        confirmation.set(Some(Confirmation::delete(
            &[row.get_untracked()],
            move |id| last_list.remove_row(&id),
            leave,
        )));
    };

    let id = StoredValue::new(first.id.clone());
    let filename = StoredValue::new(first.filename.clone());
    view! {
        <section class="page" aria-labelledby="page-heading">
            <Link to=list attr:class="back-link">
                <Icon glyph=Glyph::Back />
                {list_name}
            </Link>
            <div class="page-head">
                <Heading title=first.filename />
                <div class="page-actions">
                    <Show when=move || is_ready.get() && !has_parts.get()>
                        <a
                            class="button"
                            href=api::download_url(&id.get_value())
                            download=filename.get_value()
                            on:click=move |event| download::start(&event, app, id.get_value(), problem)
                        >
                            <Icon glyph=Glyph::Download />
                            "Download"
                        </a>
                    </Show>
                    <button type="button" class="button" on:click=ask_to_delete>
                        <Icon glyph=Glyph::Trash />
                        "Delete"
                    </button>
                </div>
            </div>
            {RecorderStore::end_reason(&first.id)
                .map(|reason| {
                    view! {
                        <div class="notice" role="status">
                            <Icon glyph=Glyph::Info />
                            <p>{reason}</p>
                        </div>
                    }
                })}
            <p class="problem-text" role="alert">
                {problem}
            </p>
            <Show
                when=move || is_playable.get()
                fallback=move || {
                    view! {
                        <div class="stage stage-message" role="status">
                            {move || {
                                if is_failed() {
                                    Either::Left(view! { <Icon glyph=Glyph::Alert /> })
                                } else {
                                    Either::Right(view! { <span class="spinner" aria-hidden="true"></span> })
                                }
                            }}
                            <p>{waiting_for}</p>
                        </div>
                    }
                }
            >
                <Playback timeline=timeline title=filename.get_value() problem=problem />
            </Show>
            {first
                .part_of
                .as_ref()
                .map(|whole| {
                    view! {
                        <p class="quiet">
                            {format!("Part {} of a longer recording. ", first.part)}
                            <Link to=format!("/recordings/{whole}")>"Watch all parts"</Link>
                        </p>
                    }
                })}
            <dl class="facts">
                <div>
                    <dt>"Recorded"</dt>
                    <dd>
                        <LocalTime at=first.created_at />
                    </dd>
                </div>
                <div>
                    <dt>"Duration"</dt>
                    <dd>
                        <Duration duration_ms=duration_ms />
                    </dd>
                </div>
                <div>
                    <dt>"Size"</dt>
                    <dd>{move || format::size(size_bytes.get())}</dd>
                </div>
                <div>
                    <dt>"Status"</dt>
                    <dd>
                        <StatusBadge recording=row.into() />
                    </dd>
                </div>
            </dl>
            <ConfirmDialog confirmation=confirmation />
        </section>
    }
}
