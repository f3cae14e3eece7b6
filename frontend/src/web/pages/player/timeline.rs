use leptos::ev;
use leptos::html;
use leptos::prelude::*;

use super::playback::Playback;
use super::shortcuts;
use super::storyboard::Storyboard;
use crate::format;
use crate::player::clip_range::ClipRange;
use crate::player::marker_list::{self, PlacedMarker};
use crate::player::timeline::Scale;
use crate::player::{key_map, position, timeline_picture};
use crate::web::dom::WidthObserver;

/// Pointer over the timeline.
#[derive(Clone, Copy, PartialEq)]
struct Pointer {
    /// Pixels from the left edge.
    x: i64,
    is_dragging: bool,
    /// Position at which the drag began, if it selects a clip.
    clip_from_ms: Option<u64>,
}

/// Slider over all parts: activity, idle spans, buffered ranges, markers and position.
#[component]
pub(super) fn Timeline(playback: Playback, markers: Memo<Vec<PlacedMarker>>) -> impl IntoView {
    let element = NodeRef::<html::Div>::new();
    let width = RwSignal::new(0_i64);
    let observer = StoredValue::new_local(None::<WidthObserver>);
    Effect::new(move |_| {
        if let Some(element) = element.get() {
            observer.set_value(WidthObserver::new(&element, move |px| {
                if width.try_get_untracked().is_some_and(|before| before != px) {
                    width.try_set(px);
                }
            }));
        }
    });
    on_cleanup(move || observer.set_value(None));
    let scale = move || Scale {
        duration_ms: playback.duration_ms(),
        width_px: width.get(),
    };

    let pointer = RwSignal::new(None::<Pointer>);
    let time_at = move |x: i64| {
        let scale = scale();
        let marker_ms =
            markers.with(|markers| scale.snap(x, markers.iter().map(|placed| placed.position_ms)));
        marker_ms.unwrap_or_else(|| scale.time_ms(x))
    };
    let shown_ms = move || match pointer.get() {
        Some(pointer) if pointer.is_dragging && pointer.clip_from_ms.is_none() => {
            time_at(pointer.x)
        }
        _ => playback.position_ms.get(),
    };
    let hint = move || {
        let time_ms = time_at(pointer.get()?.x);
        let clock = format::clock(time_ms);
        let name = markers.with(|markers| {
            let marker = markers.iter().find(|placed| placed.position_ms == time_ms);
            marker.map(|placed| marker_list::label(&placed.marker).to_owned())
        });
        let is_idle = || playback.review.with(|review| review.is_idle(time_ms));
        Some(match name {
            Some(name) => format!("{clock} · {name}"),
            None if is_idle() => format!("{clock} · Idle"),
            None => clock,
        })
    };
    let storyboard = Storyboard::new(playback.timeline);
    let frame = Memo::new(move |_| storyboard.url_at(time_at(pointer.get()?.x)));
    // Sets properties directly: the position changes with every frame.
    Effect::new(move |said: Option<Option<(u64, u64)>>| {
        let element = element.get()?;
        let (shown_ms, scale) = (shown_ms(), scale());
        let pointer_x = pointer.get().map_or(0, |pointer| pointer.x);
        let style = web_sys::HtmlElement::style(&element);
        for (name, x) in [("--played", scale.x(shown_ms)), ("--pointer", pointer_x)] {
            // Cannot fail for these names.
            let _ = style.set_property(name, &format!("{x}px"));
        }
        let (second, duration_s) = (shown_ms / 1000, scale.duration_ms / 1000);
        if said.flatten() != Some((second, duration_s)) {
            let texts = [
                ("aria-valuenow", second.to_string()),
                ("aria-valuemax", duration_s.to_string()),
                (
                    "aria-valuetext",
                    position::spoken(second * 1000, scale.duration_ms),
                ),
            ];
            for (name, text) in texts {
                let _ = element.set_attribute(name, &text);
            }
        }
        Some((second, duration_s))
    });

    let drag = move || {
        pointer
            .get_untracked()
            .filter(|pointer| pointer.is_dragging)
    };
    let clip_from_ms = move || drag()?.clip_from_ms;
    let move_to = move |event: &ev::PointerEvent, is_dragging: bool| {
        let Some(element) = element.get_untracked() else {
            return;
        };
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let left = element.get_bounding_client_rect().left() as i64;
        let x = (i64::from(event.client_x()) - left).clamp(0, width.get_untracked());
        pointer.set(Some(Pointer {
            x,
            is_dragging,
            clip_from_ms: clip_from_ms(),
        }));
        storyboard.load();
    };
    let is_dragging = move || drag().is_some();
    // Selects the clip, or moves the position.
    let follow = move || match clip_from_ms() {
        Some(from_ms) => {
            let pointer = pointer.get_untracked();
            let to_ms = pointer.map_or(from_ms, |pointer| untrack(|| time_at(pointer.x)));
            playback.clip.set(ClipRange::between(from_ms, to_ms));
        }
        None => playback.scrub(untrack(shown_ms)),
    };
    let on_down = move |event: ev::PointerEvent| {
        if event.button() != 0 {
            return;
        }
        if let Some(element) = element.get_untracked() {
            // Without the capture, a drag ends at the edge of the element.
            let _ = element.set_pointer_capture(event.pointer_id());
        }
        move_to(&event, true);
        if event.shift_key() {
            let from_ms = untrack(shown_ms);
            pointer.update(|pointer| {
                if let Some(pointer) = pointer {
                    pointer.clip_from_ms = Some(from_ms);
                }
            });
        }
        follow();
    };
    let on_move = move |event: ev::PointerEvent| {
        move_to(&event, is_dragging());
        if is_dragging() {
            follow();
        }
    };
    let on_up = move |event: ev::PointerEvent| {
        if is_dragging() {
            move_to(&event, true);
            let target_ms = untrack(shown_ms);
            let selects_clip = clip_from_ms().is_some();
            pointer.set(None);
            if !selects_clip {
                playback.seek(target_ms);
            }
        }
    };
    let on_leave = move |_| {
        if !is_dragging() {
            pointer.set(None);
        }
    };
    let on_key = move |event: ev::KeyboardEvent| {
        if let Some(action) = key_map::timeline_action(&event.key())
            && !shortcuts::has_modifier(&event)
        {
            event.prevent_default();
            shortcuts::seek(playback, action);
        }
    };

    let bars = Memo::new(move |_| {
        playback.review.with(|review| {
            markers.with(|markers| timeline_picture::bars(review, markers, &scale()))
        })
    });
    let picture = move || {
        let buffered = playback.buffered.get();
        let scale = scale();
        let spans = playback
            .review
            .with(|review| timeline_picture::spans(review, &buffered, &scale));
        bars.with(|bars| timeline_picture::svg(&(spans + bars), &scale))
    };
    view! {
        <div
            class="timeline"
            node_ref=element
            role="slider"
            tabindex="0"
            aria-label="Position"
            aria-valuemin="0"
            data-hint=hint
            on:pointerdown=on_down
            on:pointermove=on_move
            on:pointerup=on_up
            on:pointercancel=move |_| pointer.set(None)
            on:pointerleave=on_leave
            on:keydown=on_key
        >
            <div class="timeline-picture" aria-hidden="true" inner_html=picture></div>
            <div
                class="timeline-played"
                aria-hidden="true"
                inner_html=move || bars.with(|bars| timeline_picture::svg(bars, &scale()))
            ></div>
            {move || {
                let span = playback.clip_span()?;
                let (left, right) = (scale().x(span.start_ms), scale().x(span.end_ms));
                let (left, width) = (format!("{left}px"), format!("{}px", right - left));
                // Not the attribute `style`, which the policy of the page forbids.
                Some(view! { <span class="timeline-clip" style:left=left style:width=width></span> })
            }}
            <span class="timeline-thumb"></span>
            <Show when=move || frame.with(Option::is_some)>
                <img class="timeline-frame" src=frame alt="" />
            </Show>
        </div>
    }
}
