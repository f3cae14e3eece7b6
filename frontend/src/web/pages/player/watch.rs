use gloo_net::http::Method;
use leptos::either::EitherOf3;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_query_map;
use sortie_api::{Event, Recording, RecordingStatus};

use super::activity;
use super::fullscreen::Fullscreen;
use super::live::LiveStage;
use super::markers::Markers;
use super::panel::Panel;
use super::pictures;
use super::playback::Playback;
use super::shortcuts::{self, Help};
use super::stage::Stage;
use crate::parts::{self, TimelinePart};
use crate::player::position;
use crate::query;
use crate::status_texts;
use crate::web::address::{self, Link, use_app_navigate};
use crate::web::api::recording_path;
use crate::web::app_context::{AppContext, SignInState};
use crate::web::components::{ConfirmDialog, Confirmation, Glyph, Icon};
use crate::web::dom;
use crate::web::event_stream::{recording_event, subscribe};
use crate::web::last_list::LastList;
use crate::web::media_buffer::MediaBuffer;
use crate::web::submission::Submission;

/// Player, facts and actions of a recording.
#[component]
pub(super) fn Watch(
    first: Recording,
    recording: RwSignal<Option<Recording>>,
    /// Called when another page or program has deleted the recording.
    #[prop(into)]
    on_deleted: Callback<()>,
) -> impl IntoView {
    let app = AppContext::expect();
    let navigate = StoredValue::new_local(use_app_navigate());
    let last_list = LastList::expect();
    last_list.mark_opened(&first.id);
    let (list, list_name) = super::way_back();
    let back = StoredValue::new(list.clone());
    let confirmation = RwSignal::new(None);
    let problem = RwSignal::new(None::<String>);
    let last = StoredValue::new(first.clone());
    let row = Memo::new(move |_| recording.get().unwrap_or_else(|| last.get_value()));
    let timeline = Memo::new(move |_| row.with(parts::timeline));
    let is_playable =
        Memo::new(move |_| timeline.with(|parts| parts.iter().any(TimelinePart::is_playable)));

    let is_running =
        Memo::new(move |_| MediaBuffer::is_available() && row.with(|row| row.status.is_open()));

    let start_ms = use_query_map().with_untracked(|query| position::parse(&query.get("t")?));
    let playback = Playback::new(
        row,
        timeline,
        activity::load(timeline),
        start_ms.unwrap_or(0),
        on_deleted,
    );
    let markers = Markers::new(playback, confirmation);
    let fullscreen = Fullscreen::new(playback.video);
    let is_help_open = RwSignal::new(false);
    let id = StoredValue::new(first.id.clone());
    let copy_link = Callback::new(move |()| copy_link(&id.get_value(), playback));
    let help = Callback::new(move |()| is_help_open.set(true));
    Effect::new(move |was_playable: Option<bool>| {
        let is_playable = is_playable.get();
        if is_playable && was_playable != Some(true) {
            shortcuts::listen(playback, markers, fullscreen, copy_link, help);
        }
        is_playable
    });
    on_deletion(first.clone(), confirmation, on_deleted);
    pictures::add_missing(row, playback);

    let ask_to_delete = move |()| {
        let leave = move |_| {
            navigate.with_value(|navigate| navigate(&back.get_value(), Default::default()));
        };
        confirmation.set(Some(Confirmation::delete(
            &[row.get_untracked()],
            untrack(|| app.trash_days()),
            dom::title,
            move |id| last_list.remove_row(&id),
            leave,
        )));
    };
    let title = StoredValue::new(first.filename.clone());
    view! {
        <section
            class="page player"
            class:player-theatre=move || playback.preferences.is_theatre()
            aria-labelledby="page-heading"
        >
            <Link to=list attr:class="back-link">
                <Icon glyph=Glyph::Back />
                {list_name}
            </Link>
            <div class="player-grid">
                <div class="player-main">
                    <Show
                        when=move || is_playable.get()
                        fallback=move || {
                            view! {
                                <Show when=move || is_running.get() fallback=move || view! { <Waiting row=row recording=recording /> }>
                                    <LiveStage row=row playback=playback title=title.get_value() />
                                </Show>
                            }
                        }
                    >
                        <Stage
                            playback=playback
                            markers=markers
                            title=title.get_value()
                            fullscreen=fullscreen
                            on_copy_link=copy_link
                            on_help=help
                        />
                    </Show>
                </div>
                <Panel
                    first=first
                    row=row
                    recording=recording
                    playback=playback
                    markers=markers
                    problem=problem
                    on_delete=ask_to_delete
                />
            </div>
            <Help is_open=is_help_open />
            <ConfirmDialog confirmation=confirmation />
        </section>
    }
}

/// Message in place of the video of a recording that cannot be played yet, or not at all.
#[component]
fn Waiting(row: Memo<Recording>, recording: RwSignal<Option<Recording>>) -> impl IntoView {
    let text = Memo::new(move |_| row.with(status_texts::not_playable));
    let status = Memo::new(move |_| row.with(|row| row.status));
    let submission = Submission::new();
    let restore = move |_| {
        let path = recording_path(&row.with_untracked(|row| row.id.clone())) + "/restore";
        submission.send(
            move |api| async move { api.request::<Recording>(Method::POST, &path, &()).await },
            move |fresh| recording.set(Some(fresh)),
        );
    };
    view! {
        <div class="stage stage-message" role="status">
            {move || match status.get() {
                RecordingStatus::Failed => EitherOf3::A(view! { <Icon glyph=Glyph::Alert /> }),
                RecordingStatus::Trashed => EitherOf3::B(view! { <Icon glyph=Glyph::Trash /> }),
                _ => EitherOf3::C(view! { <span class="spinner" aria-hidden="true"></span> }),
            }}
            <p>{text}</p>
            <Show when=move || status.get() == RecordingStatus::Trashed>
                <p class="problem-text" role="alert">
                    {submission.problem}
                </p>
                <button type="button" class="button button-strong" disabled=submission.is_busy on:click=restore>
                    "Restore"
                </button>
            </Show>
        </div>
    }
}

/// Calls `on_deleted` when the recording is deleted elsewhere; the dialog of this page handles its own deletion.
fn on_deletion(
    recording: Recording,
    confirmation: RwSignal<Option<Confirmation>>,
    on_deleted: Callback<()>,
) {
    let app = AppContext::expect();
    let is_own = matches!(app.sign_in_untracked(), SignInState::SignedIn(user) if user.id == recording.user_id);
    let events = if is_own {
        "/api/events"
    } else {
        "/api/events?all=true"
    };
    let id = StoredValue::new(recording.id);
    subscribe(events, recording_event, move |event| {
        if let Event::RecordingDeleted(deleted) = event
            && id.try_with_value(|id| deleted.id == *id) == Some(true)
            && confirmation.with_untracked(Option::is_none)
        {
            on_deleted.run(());
        }
    });
}

/// Copies a link that opens the recording at the current second.
fn copy_link(id: &str, playback: Playback) {
    let position = position::query_value(playback.position_ms.get_untracked());
    let path = query::address(&format!("/recordings/{id}"), &[("t", &position)]);
    let origin = window().location().origin().unwrap_or_default();
    let copying = window()
        .navigator()
        .clipboard()
        .write_text(&(origin + &address::url(&path)));
    spawn_local(async move {
        let outcome = wasm_bindgen_futures::JsFuture::from(copying).await;
        let message = match outcome {
            Ok(_) => "Link copied",
            Err(_) => "The browser does not allow copying",
        };
        if playback.is_alive() {
            playback.show_message(message);
        }
    });
}
