use leptos::prelude::*;
use sortie_api::SignalState;

use super::alarms::AlarmNotices;
use super::store::ApplianceStore;
use crate::appliance::dropped;
use crate::connection::Connection;
use crate::web::components::{ErrorNotice, Glyph, Icon};
use crate::web::dom;

/// Time after the last missing frame until the warning disappears.
const RECENT_MS: u64 = 60_000;

/// Notices above all other content: lost connection, faults, missing frames.
#[component]
pub(super) fn Notices(appliance: ApplianceStore) -> impl IntoView {
    let announcement = Memo::new(move |_| appliance.announcement());
    view! {
        <p class="visually-hidden" role="status">
            {announcement}
        </p>
        <div class="appliance-notices">
            <Lost appliance=appliance />
            <RecordingFailure appliance=appliance />
            <AlarmNotices appliance=appliance />
            <Dropped appliance=appliance />
        </div>
    }
}

/// The device is unreachable.
#[component]
fn Lost(appliance: ApplianceStore) -> impl IntoView {
    let is_unreachable = Memo::new(move |_| appliance.is_unreachable());
    let is_given_up = Memo::new(move |_| appliance.connection.get() == Connection::GivenUp);
    let countdown = move || {
        view! {
            <div class="notice notice-problem">
                <Icon glyph=Glyph::Unplugged />
                // Announced once; the countdown is not.
                <p role="alert">"Can't reach the device. If it was recording, it probably still is."</p>
                <span class="digits countdown">{move || appliance.connection.get().progress()}</span>
                <button type="button" class="button" on:click=move |_| appliance.retry_now()>
                    "Try now"
                </button>
            </div>
        }
    };
    view! {
        <Show when=move || is_unreachable.get()>
            <Show when=move || is_given_up.get() fallback=countdown>
                <ErrorNotice
                    message="The device still cannot be reached. Check its power and its network, then reload the page."
                    action="Reload"
                    on_action=move |()| dom::reload()
                />
            </Show>
        </Show>
    }
}

/// Fault that prevents recording, or the last error.
#[component]
fn RecordingFailure(appliance: ApplianceStore) -> impl IntoView {
    let problem = Memo::new(move |_| {
        appliance
            .with(|now| {
                // The signal state already shows a missing device.
                let is_known = now.signal.state == SignalState::NoDevice && now.advice.is_none();
                let problem = now.problem.clone().filter(|_| !is_known)?;
                Some((problem, now.advice.clone()))
            })
            .flatten()
    });
    view! {
        {move || {
            problem
                .get()
                .map(|(problem, advice)| {
                    view! {
                        <div class="notice notice-problem" role="alert">
                            <Icon glyph=Glyph::Alert />
                            <p>
                                <strong>{format!("The recorder says: {problem}.")}</strong>
                                " "
                                {advice}
                            </p>
                        </div>
                    }
                })
        }}
    }
}

#[derive(Clone, Copy)]
struct MissingFrames {
    /// Missing frames before the notice, and those that the disk caused.
    since: (u64, u64),
    frames: u64,
    by_disk: u64,
    /// Time of the last report of missing frames.
    at_ms: u64,
}

/// Warning while frames are missing.
#[component]
fn Dropped(appliance: ApplianceStore) -> impl IntoView {
    let frames = Memo::new(move |_| {
        appliance
            .with(|now| (now.dropped_frames, now.dropped_by_disk))
            .unwrap_or_default()
    });
    let is_known = Memo::new(move |_| appliance.state.with(Option::is_some));
    // Ignores frames that were missing before the page was opened or before the device restarted. Counts all frames
    // while the notice is shown.
    let missing = RwSignal::new(None::<MissingFrames>);
    Effect::new(move |before: Option<Option<(u64, u64)>>| {
        let now = is_known.get().then(|| frames.get());
        if let (Some(Some(before)), Some(now)) = (before, now)
            && now.0 > before.0
        {
            missing.update(|missing| {
                let (since, since_disk) = missing.map_or(before, |missing| missing.since);
                *missing = Some(MissingFrames {
                    since: (since, since_disk),
                    frames: now.0.saturating_sub(since),
                    by_disk: now.1.saturating_sub(since_disk),
                    at_ms: dom::monotonic_ms(),
                });
            });
        }
        now
    });
    // The device reports once a second while it records.
    Effect::new(move |_| {
        appliance.state.track();
        let is_old = missing.with_untracked(|missing| {
            missing.is_some_and(|missing| dom::monotonic_ms() > missing.at_ms + RECENT_MS)
        });
        if is_old {
            missing.set(None);
        }
    });
    let text = move || {
        missing
            .get()
            .map(|missing| dropped(missing.frames, missing.by_disk))
    };
    view! {
        <Show when=move || missing.with(Option::is_some)>
            <div class="notice notice-problem">
                <Icon glyph=Glyph::Alert />
                <p>{text}</p>
            </div>
        </Show>
    }
}
