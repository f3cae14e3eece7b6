//! One recording, to watch.

use leptos::either::Either;
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::components::A;
use leptos_router::hooks::{use_navigate, use_params_map};
use sortie_api::{Recording, RecordingStatus};
use wasm_bindgen_futures::JsFuture;

use super::NotFoundPage;
use super::appliance::VIDEO_RECORDING;
use crate::format;
use crate::listing::is_moving;
use crate::web::api;
use crate::web::components::{
    Confirm, Duration, ErrorNotice, Gate, Glyph, Heading, Icon, Loading, Moment, Question,
    StatusBadge,
};
use crate::web::download;
use crate::web::poll::poll_while;
use crate::web::session::Session;
use crate::words;

/// How often a recording that is not finished is asked for. Shorter than in the list: somebody waits for it.
const POLL_MS: u32 = 1_000;

/// The player. Another recording's address builds it anew.
#[component]
pub(in crate::web) fn PlayerPage() -> impl IntoView {
    let session = Session::expect();
    let is_off = Memo::new(move |_| session.recording_enabled() == Some(false));
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get("id")).unwrap_or_default());
    move || {
        if is_off.get() {
            return Either::Left(view! { <NotFoundPage /> });
        }
        let id = id.get();
        Either::Right(view! {
            <Gate>
                <Player id=id.clone() />
            </Gate>
        })
    }
}

/// What is known about the recording.
#[derive(Clone, PartialEq)]
enum Known {
    Nothing,
    Problem(String),
    NoSuchRecording,
    Recording,
}

#[component]
fn Player(id: String) -> impl IntoView {
    let session = Session::expect();
    let id = StoredValue::new(id);
    let known = RwSignal::new(Known::Nothing);
    let recording = RwSignal::new(None::<Recording>);
    let is_asking = StoredValue::new(false);

    let ask = move || {
        if is_asking.get_value() {
            return;
        }
        is_asking.set_value(true);
        spawn_local(async move {
            let answer = session.api().recording(&id.get_value()).await;
            // The page may have been left meanwhile.
            if is_asking.try_set_value(false).is_some() {
                return;
            }
            match answer {
                Ok(fresh) => {
                    if recording.with_untracked(|recording| recording.as_ref() != Some(&fresh)) {
                        recording.set(Some(fresh));
                    }
                    known.set(Known::Recording);
                }
                Err(error) if error.is_not_found() => known.set(Known::NoSuchRecording),
                Err(error) => known.set(Known::Problem(session.explain(&error))),
            }
        });
    };
    ask();
    let moves = move || {
        recording.with(|recording| {
            recording
                .as_ref()
                .is_some_and(|recording| is_moving(recording.status))
        })
    };
    poll_while(moves, POLL_MS, ask);

    let shown = Memo::new(move |_| known.get());
    move || {
        match shown.get() {
        Known::Nothing => view! { <section class="page"><Loading label="Loading the recording" bars=2 /></section> }.into_any(),
        Known::NoSuchRecording => view! { <NotFoundPage /> }.into_any(),
        Known::Problem(sentence) => {
            view! {
                <section class="page">
                    <Heading title="Recording" />
                    <ErrorNotice
                        sentence=sentence
                        on_action=move |()| {
                            known.set(Known::Nothing);
                            ask();
                        }
                    />
                </section>
            }
            .into_any()
        }
        Known::Recording => recording
            .get_untracked()
            .map(|first| view! { <Watch first=first recording=recording /> })
            .into_any(),
    }
    }
}

/// The recording and what can be done with it.
#[component]
fn Watch(first: Recording, recording: RwSignal<Option<Recording>>) -> impl IntoView {
    let session = Session::expect();
    let navigate = StoredValue::new_local(use_navigate());
    let (list, list_name) = if untrack(|| session.is_appliance()) {
        ("/", VIDEO_RECORDING)
    } else {
        ("/recordings", "My Recordings")
    };
    let asked = RwSignal::new(None);
    let problem = RwSignal::new(None::<String>);
    let last = StoredValue::new(first.clone());
    let row = Memo::new(move |_| recording.get().unwrap_or_else(|| last.get_value()));
    let is_ready = Memo::new(move |_| row.with(|row| row.status == RecordingStatus::Ready));
    let waiting_for = Memo::new(move |_| row.with(words::not_playable));
    let duration_ms =
        Memo::new(move |_| row.with(|row| format::seconds_to_ms(row.duration_seconds)));
    let size_bytes = Memo::new(move |_| row.with(|row| row.size_bytes));
    let is_failed = move || row.with(|row| row.status == RecordingStatus::Failed);

    let ask_to_delete = move |_| {
        let leave = move || navigate.with_value(|navigate| navigate(list, Default::default()));
        asked.set(Some(Question::delete(
            &[row.get_untracked()],
            |_| {},
            leave,
        )));
    };

    let id = StoredValue::new(first.id.clone());
    let filename = StoredValue::new(first.filename.clone());
    view! {
        <section class="page" aria-labelledby="page-heading">
            <A href=list attr:class="back-link">
                <Icon glyph=Glyph::Back />
                {list_name}
            </A>
            <div class="page-head">
                <Heading title=first.filename />
                <div class="page-actions">
                    <Show when=move || is_ready.get()>
                        <a
                            class="button"
                            href=api::download_path(&id.get_value())
                            download=filename.get_value()
                            on:click=move |event| download::start(&event, session, id.get_value(), problem)
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
            <p class="problem-text" role="alert">
                {problem}
            </p>
            <Show
                when=move || is_ready.get()
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
                <Video id=id.get_value() title=filename.get_value() />
            </Show>
            <dl class="facts">
                <div>
                    <dt>"Recorded"</dt>
                    <dd>
                        <Moment at=first.created_at />
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
            <Confirm asked=asked />
        </section>
    }
}

/// The picture. Where the sign-in expires in mid-play, it is renewed and the picture goes on where it was.
#[component]
fn Video(id: String, title: String) -> impl IntoView {
    let session = Session::expect();
    let element = NodeRef::<html::Video>::new();
    let problem = RwSignal::new(None::<String>);
    // Where playing broke off last: a file that cannot be played at all breaks off at the same place for ever.
    let broke_off_at = StoredValue::new(None::<f64>);
    let source = api::stream_path(&id);

    let on_error = move |_| {
        let Some(video) = element.get_untracked() else {
            return;
        };
        let position = video.current_time();
        if broke_off_at.get_value() == Some(position) {
            problem.set(Some(
                "This browser cannot play the recording. Download it and play it with another program.".to_owned(),
            ));
            return;
        }
        broke_off_at.set_value(Some(position));
        let was_playing = !video.paused();
        let id = id.clone();
        spawn_local(async move {
            match session.api().recording(&id).await {
                Ok(_) => {
                    video.load();
                    video.set_current_time(position);
                    if was_playing && let Ok(playing) = video.play() {
                        // The browser may refuse to play without a click; the controls are there for that.
                        let _ = JsFuture::from(playing).await;
                    }
                }
                Err(error) => {
                    let _ = problem.try_set(Some(session.explain(&error)));
                }
            }
        });
    };
    view! {
        <div class="stage">
            <video
                node_ref=element
                class="stage-video"
                src=source
                controls
                playsinline
                preload="metadata"
                aria-label=title
                on:error=on_error
            ></video>
        </div>
        <p class="problem-text" role="alert">
            {problem}
        </p>
    }
}
