use leptos::prelude::*;

use super::store::ApplianceStore;
use crate::appliance::{central_server, dropped_details, frame_rate, time_left};
use crate::web::dom;

/// Frame rate, dropped frames, remaining time and central server.
#[component]
pub(super) fn Health(appliance: ApplianceStore) -> impl IntoView {
    let rate = Memo::new(move |_| {
        let fps = appliance.with(|now| now.measured_fps).flatten();
        let is_recording = appliance.is_recording();
        let details = match (is_recording, fps) {
            (false, _) => "Measured while recording.",
            (true, None) => "Measuring…",
            (true, Some(_)) => "Frames that reach the file, over the last 5 seconds.",
        };
        (frame_rate(fps), details.to_owned(), false)
    });
    let drops = Memo::new(move |_| {
        let (minute, total, by_disk) = appliance
            .with(|now| {
                (
                    now.dropped_last_minute,
                    now.dropped_frames,
                    now.dropped_by_disk,
                )
            })
            .unwrap_or_default();
        (
            format!("{minute} a minute"),
            dropped_details(total, by_disk),
            minute > 0,
        )
    });
    let left = Memo::new(move |_| {
        appliance
            .with(|now| {
                let space = now.space.as_ref()?;
                let (left, then) = time_left(space, now.threshold_percent);
                Some((left, then, space.hours_left < 1.0))
            })
            .flatten()
    });
    let central = Memo::new(move |_| {
        let is_recording = appliance.is_recording();
        appliance
            .with(|now| {
                let forwarding = now.forwarding.as_ref()?;
                let since = forwarding.behind_since.as_deref().map(dom::local_time);
                let text = central_server(forwarding, is_recording, since.as_deref());
                let is_behind = forwarding.unreachable || forwarding.behind_since.is_some();
                let details = match &forwarding.problem {
                    Some(problem) => problem.clone(),
                    None => match &forwarding.filename {
                        Some(name) => format!("Sending {name}."),
                        None => "Finished recordings are sent to it.".to_owned(),
                    },
                };
                Some((text, details, is_behind))
            })
            .flatten()
    });
    view! {
        <section class="card health" aria-label="Health">
            <dl class="health-facts">
                <Fact name="Frame rate" fact=Signal::derive(move || Some(rate.get())) />
                <Fact name="Dropped frames" fact=Signal::derive(move || Some(drops.get())) />
                <Fact name="Time left" fact=left.into() />
                <Fact name="Central server" fact=central.into() />
            </dl>
        </section>
    }
}

/// One figure with an explanation below it; nothing if it is unknown.
#[component]
fn Fact(
    name: &'static str,
    /// Value, explanation, and whether it needs attention.
    fact: Signal<Option<(String, String, bool)>>,
) -> impl IntoView {
    let is_known = Memo::new(move |_| fact.with(Option::is_some));
    let value = move || fact.get().map(|(value, ..)| value);
    let details = move || fact.get().map(|(_, details, _)| details);
    let is_worrying = move || fact.get().is_some_and(|(.., is_worrying)| is_worrying);
    view! {
        <Show when=move || is_known.get()>
            <div class="health-fact" class:health-worrying=is_worrying>
                <dt>{name}</dt>
                <dd class="health-value digits">{value}</dd>
                <dd class="health-details quiet">{details}</dd>
            </div>
        </Show>
    }
}
