//! Player page of one recording.

mod activity;
mod controls;
mod feeder;
mod fullscreen;
mod live;
mod markers;
mod panel;
mod parts;
mod pictures;
mod playback;
mod preferences;
mod share;
pub(super) mod shortcuts;
mod stage;
mod storyboard;
mod timeline;
mod watch;

use std::collections::BTreeSet;

use leptos::either::Either;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_params_map;
use sortie_api::Recording;

use self::watch::Watch;
use super::NotFoundPage;
use super::appliance::VIDEO_RECORDING;
use crate::parts::{self as recording_parts, TimelinePart};
use crate::web::address::Link;
use crate::web::api::ApiError;
use crate::web::app_context::AppContext;
use crate::web::components::{ErrorNotice, Glyph, Heading, Icon, Loading, RequireSignIn};
use crate::web::last_list::LastList;
use crate::web::poll::poll_while;

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
    /// It was loaded or listed before.
    Deleted,
    Recording,
}

#[component]
fn Player(id: String) -> impl IntoView {
    let app = AppContext::expect();
    let last_list = LastList::expect();
    let id = StoredValue::new(id);
    let load_state = RwSignal::new(LoadState::Loading);
    let recording = RwSignal::new(None::<Recording>);
    let is_loading = StoredValue::new(false);

    let on_deleted = move |()| {
        last_list.remove_row(&id.get_value());
        load_state.set(LoadState::Deleted);
    };
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
                Err(error) if error.is_not_found() => {
                    let was_known = recording.with_untracked(Option::is_some)
                        || last_list.has_row(&id.get_value());
                    if was_known {
                        on_deleted(());
                    } else {
                        load_state.set(LoadState::NoSuchRecording);
                    }
                }
                // The next poll tries again; a live view reconnects.
                Err(ApiError::Unreachable | ApiError::Unreadable(_))
                    if recording.with_untracked(Option::is_some) => {}
                Err(error) => load_state.set(LoadState::Problem(app.explain(&error))),
            }
        });
    };
    load();
    let moves = move || {
        recording.with(|recording| recording.as_ref().is_some_and(recording_parts::is_moving))
            && load_state.get() != LoadState::Deleted
    };
    poll_while(moves, POLL_MS, load);

    let shown = Memo::new(move |_| load_state.get());
    move || {
        match shown.get() {
            LoadState::Loading => view! { <section class="page"><Loading label="Loading the recording" bars=2 /></section> }.into_any(),
            LoadState::NoSuchRecording => view! { <NotFoundPage /> }.into_any(),
            LoadState::Deleted => view! { <DeletedPage /> }.into_any(),
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
                .map(|first| view! { <Watch first=first recording=recording on_deleted=on_deleted /> })
                .into_any(),
        }
    }
}

/// Page of a recording that was deleted while it was open, or after it was listed.
#[component]
fn DeletedPage() -> impl IntoView {
    let (list, list_name) = way_back();
    view! {
        <section class="page page-narrow empty">
            <Icon glyph=Glyph::Trash />
            <Heading title="This recording was deleted" />
            <Link to=list attr:class="button button-primary">
                <Icon glyph=Glyph::Back />
                {list_name}
            </Link>
        </section>
    }
}

/// Address, with filters and page, and name of the list that one came from.
fn way_back() -> (String, &'static str) {
    let app = AppContext::expect();
    if untrack(|| app.is_appliance()) {
        return ("/".to_owned(), VIDEO_RECORDING);
    }
    let list = LastList::expect()
        .address()
        .unwrap_or_else(|| MINE.to_owned());
    let name = if list.starts_with(MINE) {
        "My Recordings"
    } else {
        "All Recordings"
    };
    (list, name)
}

/// Calls a function once for each part, when it becomes playable.
fn for_each_part(timeline: Memo<Vec<TimelinePart>>, on_part: impl Fn(String) + 'static) {
    let known = StoredValue::new(BTreeSet::new());
    Effect::new(move |_| {
        let playable = timeline.with(|parts| {
            let playable = parts.iter().filter(|part| part.is_playable());
            playable.map(|part| part.id.clone()).collect::<Vec<_>>()
        });
        for id in playable {
            let is_new = known.try_update_value(|known| known.insert(id.clone()));
            if is_new == Some(true) {
                on_part(id);
            }
        }
    });
}
