use gloo_timers::callback::Timeout;
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen_futures::JsFuture;
use web_sys::HtmlVideoElement;

use crate::web::api;
use crate::web::app_context::AppContext;

/// Duration in milliseconds above which a seek is indicated.
const SEEK_SHOWN_MS: u32 = 200;
/// Target of the initial seek in seconds; not 0, because browsers skip a seek to the current position.
const INDEX_SEEK_S: f64 = 0.001;
/// Tolerance for equal positions in seconds.
const SAME_POSITION_S: f64 = 0.01;

/// State of the browser's index of the file.
///
/// Chromium reads the index at the end of a WebM with the first seek. Another seek before that has finished aborts it,
/// and Chromium then reads the whole file up to the target, which takes as long as playback on a slow network. The
/// player therefore issues the first seek itself. A user's seek during that time reloads the file, with this seek as
/// the first one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Index {
    /// No metadata yet. The browser keeps the position that is set meanwhile and begins there.
    Unknown,
    /// The first seek is in progress, to this position.
    Reading(f64),
    /// The index is read; seeks work normally.
    Read,
}

/// Video element. After an expired sign-in it renews the sign-in and continues at the same position.
#[component]
pub(super) fn Video(
    id: String,
    title: String,
    autoplay: bool,
    on_ended: Callback<()>,
) -> impl IntoView {
    let app = AppContext::expect();
    let element = NodeRef::<html::Video>::new();
    let problem = RwSignal::new(None::<String>);
    let is_seeking = RwSignal::new(false);
    let seek_timer = StoredValue::new_local(None::<Timeout>);
    let index = StoredValue::new(Index::Unknown);
    // Position of the last error. A file that cannot be played fails at the same position again.
    let broke_off_at = StoredValue::new(None::<f64>);
    let source = api::stream_url(&id);

    // Reloads the file and continues at `position`.
    let load_at = move |video: &HtmlVideoElement, position: f64| {
        let was_playing = !video.paused();
        index.set_value(Index::Unknown);
        video.load();
        video.set_current_time(position);
        if was_playing && let Ok(playing) = video.play() {
            // The browser may require a click to play; the user then uses the controls.
            spawn_local(async move {
                let _ = JsFuture::from(playing).await;
            });
        }
    };
    let on_error = move |_| {
        let Some(video) = element.get_untracked() else {
            return;
        };
        let position = video.current_time();
        if broke_off_at.get_value() == Some(position) {
            is_seeking.set(false);
            problem.set(Some(
                "This browser cannot play the recording. Download it and play it with another program.".to_owned(),
            ));
            return;
        }
        broke_off_at.set_value(Some(position));
        let id = id.clone();
        spawn_local(async move {
            match app.api().recording(&id).await {
                Ok(_) => load_at(&video, position),
                Err(error) => {
                    let _ = problem.try_set(Some(app.explain(&error)));
                }
            }
        });
    };
    let on_metadata = move |_| {
        let (Some(video), Index::Unknown) = (element.get_untracked(), index.get_value()) else {
            return;
        };
        let position = video.current_time().max(INDEX_SEEK_S);
        index.set_value(Index::Reading(position));
        // A seek to a position that was set before the metadata has begun already.
        if !video.seeking() {
            video.set_current_time(position);
        }
    };
    let on_seeking = move |_| {
        let Some(video) = element.get_untracked() else {
            return;
        };
        let target = video.current_time();
        match index.get_value() {
            Index::Unknown => {}
            Index::Reading(position) if (target - position).abs() < SAME_POSITION_S => {}
            Index::Reading(_) => {
                is_seeking.set(true);
                load_at(&video, target);
            }
            Index::Read => seek_timer.set_value(Some(Timeout::new(SEEK_SHOWN_MS, move || {
                let is_on = element
                    .try_get_untracked()
                    .flatten()
                    .is_some_and(|video| video.seeking());
                let _ = is_seeking.try_set(is_on);
            }))),
        }
    };
    let on_seeked = move |_| {
        if matches!(index.get_value(), Index::Reading(_)) {
            index.set_value(Index::Read);
        }
        seek_timer.set_value(None);
        is_seeking.set(false);
    };
    on_cleanup(move || seek_timer.set_value(None));
    view! {
        <div class="stage">
            <video
                node_ref=element
                class="stage-video"
                src=source
                controls
                playsinline
                autoplay=autoplay
                preload="metadata"
                aria-label=title
                on:error=on_error
                on:loadedmetadata=on_metadata
                on:seeking=on_seeking
                on:seeked=on_seeked
                on:ended=move |_| on_ended.run(())
            ></video>
            <p class="seeking" class:seeking-on=is_seeking role="status">
                {move || is_seeking.get().then_some("Seeking…")}
            </p>
        </div>
        <p class="problem-text" role="alert">
            {problem}
        </p>
    }
}
