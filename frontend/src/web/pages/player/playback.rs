use leptos::prelude::*;

use super::video::Video;
use crate::format;
use crate::parts::{self, TimelinePart};
use crate::status_texts;
use crate::web::address::url;
use crate::web::api;
use crate::web::app_context::AppContext;
use crate::web::components::{Duration, Glyph, Icon};
use crate::web::download;

/// Plays the parts of a recording in sequence; a recording without parts is its own single part.
#[component]
pub(super) fn Playback(
    timeline: Memo<Vec<TimelinePart>>,
    title: String,
    /// Receives the error of a download.
    problem: RwSignal<Option<String>>,
) -> impl IntoView {
    let title = StoredValue::new(title);
    let current = RwSignal::new(timeline.with_untracked(|parts| {
        let first = parts.iter().find(|part| part.is_playable());
        first.map(|part| part.id.clone()).unwrap_or_default()
    }));
    // The user starts the first part; the following parts start automatically.
    let autoplay = RwSignal::new(false);
    let play = move |id: String| {
        autoplay.set(true);
        current.set(id);
    };
    let play_next = Callback::new(move |()| {
        let next = timeline.with_untracked(|parts| {
            let next = current.with_untracked(|id| parts::next(parts, id));
            next.map(|part| part.id.clone())
        });
        if let Some(id) = next {
            play(id);
        }
    });
    let has_several = Memo::new(move |_| timeline.with(|parts| parts.len() > 1));
    let now = Memo::new(move |_| current.get());
    view! {
        {move || {
            view! {
                <Video id=now.get() title=title.get_value() autoplay=autoplay.get_untracked() on_ended=play_next />
            }
        }}
        <Show when=move || has_several.get()>
            <section class="parts" aria-labelledby="parts-heading">
                <h2 id="parts-heading">"Parts"</h2>
                <p class="visually-hidden" role="status">
                    {move || {
                        timeline
                            .with(|parts| {
                                let playing = parts.iter().find(|part| current.with(|id| *id == part.id));
                                playing.map(|part| format!("Part {} of {}", part.part, parts.len()))
                            })
                    }}
                </p>
                <ol>
                    <For each=move || timeline.get() key=|part| (part.id.clone(), part.is_playable()) let:part>
                        <PartRow part=part timeline=timeline current=now on_play=play problem=problem />
                    </For>
                </ol>
            </section>
        </Show>
    }
}

/// Row of a part: play button, download and start on the timeline.
#[component]
fn PartRow(
    part: TimelinePart,
    timeline: Memo<Vec<TimelinePart>>,
    current: Memo<String>,
    on_play: impl Fn(String) + Copy + Send + Sync + 'static,
    problem: RwSignal<Option<String>>,
) -> impl IntoView {
    let app = AppContext::expect();
    let id = StoredValue::new(part.id.clone());
    let row = Memo::new(move |_| {
        timeline.with(|parts| {
            let id = id.get_value();
            parts.iter().find(|part| part.id == id).cloned()
        })
    });
    let start = move || {
        let start_ms = row.get().map_or(0, |part| part.start_ms);
        format!("from {}", format::clock(start_ms))
    };
    let duration_ms = Memo::new(move |_| row.get().map_or(0, |part| part.duration_ms));
    let is_current = Memo::new(move |_| current.with(|current| *current == id.get_value()));
    let number = part.part;
    let status = status_texts::status(part.status);
    let playable = part.is_playable();
    view! {
        <li class="part" class:part-current=is_current>
            {if playable {
                view! {
                    <button
                        type="button"
                        class="button button-quiet"
                        aria-current=move || is_current.get().then_some("true")
                        on:click=move |_| on_play(id.get_value())
                    >
                        <Icon glyph=Glyph::Play />
                        {format!("Part {number}")}
                    </button>
                    <span class="quiet digits">{start} ", " <Duration duration_ms=duration_ms /></span>
                    <a
                        class="button button-quiet"
                        href=api::download_url(&part.id)
                        download
                        aria-label=format!("Download part {number}")
                        on:click=move |event| download::start(&event, app, id.get_value(), problem)
                    >
                        <Icon glyph=Glyph::Download />
                        "Download"
                    </a>
                }
                    .into_any()
            } else {
                view! {
                    <a href=url(&format!("/recordings/{}", part.id))>{format!("Part {number}")}</a>
                    <span class="quiet">{status}</span>
                }
                    .into_any()
            }}
        </li>
    }
}
