//! Strip of the last 24 hours.

use std::sync::Arc;

use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use sortie_api::ApplianceHistory;

use super::store::ApplianceStore;
use crate::appliance::{Day, Segment, SegmentKind};
use crate::player::position;
use crate::web::address::{Link, use_app_navigate};
use crate::web::dom;
use crate::web::server_data::ServerData;

const ROUTE: &str = "/api/appliance/history";
const HEADING: &str = "day-heading";
const HOUR_MS: i64 = 3_600_000;
/// Distance in pixels at which a click hits a short recording.
const TOLERANCE_PX: i64 = 6;
const LEGEND: [(&str, &str); 5] = [
    ("day-recorded", "Recorded"),
    ("day-idle", "Nothing recorded"),
    ("day-no-signal", "No signal"),
    ("day-dropped", "Frames dropped"),
    ("day-unknown", "Unknown"),
];

/// Recorded time, times without a signal and dropped frames of the last 24 hours. A click or Enter plays.
#[component]
pub(super) fn DayStrip(appliance: ApplianceStore) -> impl IntoView {
    let history = ServerData::new(|api| async move { api.get::<ApplianceHistory>(ROUTE).await });
    let state = Memo::new(move |_| {
        appliance.with(|now| {
            let file = now.file.as_ref().map(|file| file.filename.clone());
            (now.signal.state, file)
        })
    });
    Effect::new(move |_| {
        appliance.changes.track();
        state.track();
        history.poll();
    });
    let day = Memo::new(move |_| history.with(|history| Arc::new(Day::new(history, dom::time_ms))));
    // Time of the cursor; `None` until it is used.
    let cursor_ms = RwSignal::new(None::<i64>);
    let strip = NodeRef::<html::Div>::new();
    let navigate = StoredValue::new_local(use_app_navigate());
    let play = move |ms: i64, tolerance_ms: i64| {
        let address = day.with_untracked(|day| {
            let (segment, at_ms) = day.as_ref()?.recorded(ms, tolerance_ms)?;
            address(segment, at_ms)
        });
        if let Some(address) = address {
            navigate.with_value(|navigate| navigate(&address, Default::default()));
        }
    };
    // Time and tolerance at a position of the pointer.
    let at_pointer = move |event: &web_sys::MouseEvent| {
        let bounds = strip.get_untracked()?.get_bounding_client_rect();
        let width = bounds.width().max(1.0);
        let share = (f64::from(event.client_x()) - bounds.left()) / width;
        #[expect(clippy::cast_possible_truncation, reason = "a width in pixels")]
        let width = width as i64;
        day.with_untracked(|day| {
            let day = day.as_ref()?;
            let tolerance_ms = (day.to_ms - day.from_ms) / width * TOLERANCE_PX;
            Some((day.at(share), tolerance_ms))
        })
    };
    let on_click = move |event: ev::MouseEvent| {
        if let Some((ms, tolerance_ms)) = at_pointer(&event) {
            cursor_ms.set(Some(ms));
            play(ms, tolerance_ms);
        }
    };
    let on_move = move |event: ev::PointerEvent| {
        if event.pointer_type() != "touch"
            && let Some((ms, tolerance_ms)) = at_pointer(&event)
        {
            let hit_ms = day.with_untracked(|day| {
                let (_, at_ms) = day.as_ref()?.recorded(ms, tolerance_ms)?;
                Some(at_ms)
            });
            cursor_ms.set(Some(hit_ms.unwrap_or(ms)));
        }
    };
    let on_key = move |event: ev::KeyboardEvent| {
        if event.ctrl_key() || event.alt_key() || event.meta_key() {
            return;
        }
        let Some(day) = day.get_untracked() else {
            return;
        };
        let now_ms = cursor_ms.get_untracked().unwrap_or(day.to_ms);
        let next_ms = match event.key().as_str() {
            "ArrowRight" | "ArrowUp" => day.step(now_ms, true),
            "ArrowLeft" | "ArrowDown" => day.step(now_ms, false),
            "PageUp" => now_ms + HOUR_MS,
            "PageDown" => now_ms - HOUR_MS,
            "Home" => day.from_ms,
            "End" => day.to_ms,
            "Enter" | " " => {
                event.prevent_default();
                return play(now_ms, 0);
            }
            _ => return,
        };
        event.prevent_default();
        cursor_ms.set(Some(next_ms.clamp(day.from_ms, day.to_ms)));
    };
    let minutes = |day: &Day, ms: i64| ((ms - day.from_ms) / 60_000).to_string();
    let value = move || {
        let day = day.get()?;
        Some(minutes(&day, cursor_ms.get().unwrap_or(day.to_ms)))
    };
    let spoken = move || Some(moment(&*day.get()?, cursor_ms.get()?));
    let is_known = Memo::new(move |_| day.with(Option::is_some));
    view! {
        <section class="card day-card" aria-labelledby=HEADING>
            <div class="day-head">
                <h2 id=HEADING class="card-heading">
                    "Last 24 hours"
                </h2>
                <p class="day-moment quiet digits" aria-hidden="true">
                    {move || spoken().unwrap_or_default()}
                </p>
            </div>
            <Show
                when=move || is_known.get()
                fallback=move || view! { <p class="quiet">{move || history.problem().get().unwrap_or_else(|| "Loading…".to_owned())}</p> }
            >
                <div
                    node_ref=strip
                    class="day-strip"
                    role="slider"
                    tabindex="0"
                    aria-label="Last 24 hours"
                    aria-describedby="day-help"
                    aria-valuemin="0"
                    aria-valuemax=move || day.get().map(|day| minutes(&day, day.to_ms))
                    aria-valuenow=value
                    aria-valuetext=move || spoken().unwrap_or_else(|| "Now".to_owned())
                    on:click=on_click
                    on:pointermove=on_move
                    on:keydown=on_key
                >
                    {move || day.get().map(|day| segments(&day))}
                    {move || {
                        let day = day.get()?;
                        let left = percent(day.share(cursor_ms.get()?));
                        Some(view! { <span class="day-cursor" style:left=left></span> })
                    }}
                </div>
                <div class="day-axis quiet digits" aria-hidden="true">
                    {move || day.get().map(|day| axis(&day))}
                </div>
                <p id="day-help" class="visually-hidden">
                    "Arrow keys move from part to part, Page Up and Page Down by an hour. Enter plays a recorded part."
                </p>
                <ul class="day-legend quiet" aria-hidden="true">
                    {LEGEND
                        .map(|(class, name)| {
                            view! {
                                <li>
                                    <span class=format!("day-key {class}")></span>
                                    {name}
                                </li>
                            }
                        })}
                </ul>
                <DayList day=day />
            </Show>
        </section>
    }
}

/// The same as text: a list of all parts, with links to the recorded ones.
#[component]
fn DayList(day: Memo<Option<Arc<Day>>>) -> impl IntoView {
    let is_open = RwSignal::new(false);
    let details = NodeRef::<html::Details>::new();
    let lines = move || {
        let day = day.get().filter(|_| is_open.get())?;
        let lines = day.segments.iter().map(|segment| {
            let time = span(segment.from_ms, segment.to_ms);
            let text = segment.kind.name();
            match address(segment, segment.from_ms) {
                Some(to) => view! {
                    <li>
                        <Link to=to>
                            <span class="digits">{time}</span>
                            " "
                            {text}
                        </Link>
                    </li>
                }
                .into_any(),
                None => view! {
                    <li>
                        <span class="digits">{time}</span>
                        " "
                        {text}
                    </li>
                }
                .into_any(),
            }
        });
        let dropped = day.dropped.iter().map(|(from_ms, to_ms, frames)| {
            let plural = if *frames == 1 { "" } else { "s" };
            view! {
                <li>
                    <span class="digits">{span(*from_ms, *to_ms)}</span>
                    {format!(" {frames} frame{plural} dropped")}
                </li>
            }
            .into_any()
        });
        Some(view! { <ol class="day-list">{lines.chain(dropped).collect_view()}</ol> })
    };
    view! {
        <details
            node_ref=details
            class="day-text"
            on:toggle=move |_| is_open.set(details.get_untracked().is_some_and(|it| it.open()))
        >
            <summary>"Show as a list"</summary>
            {lines}
        </details>
    }
}

/// Address of the player at a time of a recorded segment.
fn address(segment: &Segment, at_ms: i64) -> Option<String> {
    let SegmentKind::Recorded { id, begin_ms } = &segment.kind else {
        return None;
    };
    let position_ms = u64::try_from(at_ms - begin_ms).unwrap_or(0);
    Some(format!(
        "/recordings/{id}?t={}",
        position::query_value(position_ms)
    ))
}

/// Describes the time at the cursor: `14:32:10, recorded`.
fn moment(day: &Day, ms: i64) -> String {
    let mut text = dom::local_clock(ms, true);
    if let Some(segment) = day.segment(ms) {
        text += ": ";
        text += segment.kind.name();
    }
    if let Some(frames) = day.dropped_at(ms) {
        let plural = if frames == 1 { "" } else { "s" };
        text += &format!(", {frames} frame{plural} dropped");
    }
    text
}

fn span(from_ms: i64, to_ms: i64) -> String {
    let (from, to) = (
        dom::local_clock(from_ms, false),
        dom::local_clock(to_ms, false),
    );
    match from == to {
        true => from,
        false => format!("{from}–{to}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.3}%", share * 100.0)
}

/// Left edge and width of a part.
fn place(day: &Day, from_ms: i64, to_ms: i64) -> (String, String) {
    let (from, to) = (day.share(from_ms), day.share(to_ms));
    (percent(from), percent(to - from))
}

fn segments(day: &Day) -> impl IntoView + use<> {
    let parts = day.segments.iter().map(|segment| {
        let class = match segment.kind {
            SegmentKind::Recorded { .. } => "day-part day-recorded",
            SegmentKind::Idle => "day-part day-idle",
            SegmentKind::NoSignal => "day-part day-no-signal",
            SegmentKind::Unknown => "day-part day-unknown",
        };
        (class, place(day, segment.from_ms, segment.to_ms))
    });
    let dropped = day.dropped.iter();
    let dropped =
        dropped.map(|(from_ms, to_ms, _)| ("day-part day-dropped", place(day, *from_ms, *to_ms)));
    parts
        .chain(dropped)
        .map(|(class, (left, width))| view! { <span class=class style:left=left style:width=width></span> })
        .collect_view()
}

/// Labels at every sixth hour of the local day.
fn axis(day: &Day) -> impl IntoView + use<> {
    let hours = dom::local_hours(day.from_ms, day.to_ms).into_iter();
    hours
        .filter(|(_, hour)| hour % 6 == 0)
        .map(|(ms, _)| {
            let left = percent(day.share(ms));
            view! {
                <span class="day-hour" style:left=left>
                    {dom::local_clock(ms, false)}
                </span>
            }
        })
        .collect_view()
}
