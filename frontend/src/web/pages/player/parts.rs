use leptos::prelude::*;

use super::playback::Playback;
use crate::format;
use crate::parts::TimelinePart;
use crate::status_texts;
use crate::web::address::url;
use crate::web::api;
use crate::web::app_context::AppContext;
use crate::web::components::{Duration, Glyph, Icon};
use crate::web::download;

/// List of the parts; absent for a recording of one part.
#[component]
pub(super) fn Parts(
    playback: Playback,
    /// Receives the error of a download.
    problem: RwSignal<Option<String>>,
) -> impl IntoView {
    let timeline = playback.timeline;
    let has_several = Memo::new(move |_| timeline.with(|parts| parts.len() > 1));
    let current = Memo::new(move |_| playback.current.get());
    view! {
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
                        <PartRow
                            part=part
                            timeline=timeline
                            current=current
                            on_play=move |id: String| playback.play_part(&id)
                            problem=problem
                        />
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
