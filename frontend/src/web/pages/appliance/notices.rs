use leptos::prelude::*;
use sortie_api::SignalState;

use super::store::ApplianceStore;
use crate::appliance::dropped;
use crate::connection::Connection;
use crate::web::components::{ErrorNotice, Glyph, Icon};
use crate::web::dom;

/// Frames that went missing this long ago are no warning any more; the figure stays.
const RECENT_MS: u64 = 60_000;

/// What needs to be said above everything else: that the device is gone, and what keeps it from recording well.
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
            <Dropped appliance=appliance />
        </div>
    }
}

/// The device does not answer.
#[component]
fn Lost(appliance: ApplianceStore) -> impl IntoView {
    let is_unreachable = Memo::new(move |_| appliance.is_unreachable());
    let is_given_up = Memo::new(move |_| appliance.connection.get() == Connection::GivenUp);
    let countdown = move || {
        view! {
            <div class="notice notice-problem">
                <Icon glyph=Glyph::Unplugged />
                // Only this is read out, once: not each second.
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
                    sentence="The device still cannot be reached. Check its power and its network, then reload the page."
                    action="Reload"
                    on_action=move |()| dom::reload()
                />
            </Show>
        </Show>
    }
}

/// What keeps it from recording, or went wrong last.
#[component]
fn RecordingFailure(appliance: ApplianceStore) -> impl IntoView {
    let problem = Memo::new(move |_| {
        appliance
            .with(|now| {
                // That there is no device the signal says already.
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

/// Frames that have gone missing of late.
#[derive(Clone, Copy)]
struct News {
    /// How many were missing before, and how many of them because of the disk.
    since: (u64, u64),
    frames: u64,
    by_disk: u64,
    /// When it was heard of last.
    at_ms: u64,
}

/// Frames are going missing.
#[component]
fn Dropped(appliance: ApplianceStore) -> impl IntoView {
    let frames = Memo::new(move |_| {
        appliance
            .with(|now| (now.dropped_frames, now.dropped_by_disk))
            .unwrap_or_default()
    });
    let is_known = Memo::new(move |_| appliance.state.with(Option::is_some));
    // What was missing before somebody looked is no news; nor is a device that was started anew. All that goes missing
    // while the notice stands is counted together.
    let news = RwSignal::new(None::<News>);
    Effect::new(move |before: Option<Option<(u64, u64)>>| {
        let now = is_known.get().then(|| frames.get());
        if let (Some(Some(before)), Some(now)) = (before, now)
            && now.0 > before.0
        {
            news.update(|news| {
                let (since, since_disk) = news.map_or(before, |news| news.since);
                *news = Some(News {
                    since: (since, since_disk),
                    frames: now.0.saturating_sub(since),
                    by_disk: now.1.saturating_sub(since_disk),
                    at_ms: dom::monotonic_ms(),
                });
            });
        }
        now
    });
    // Looked at whenever the device says something, which it does every second while it records.
    Effect::new(move |_| {
        appliance.state.track();
        let is_old = news.with_untracked(|news| {
            news.is_some_and(|news| dom::monotonic_ms() > news.at_ms + RECENT_MS)
        });
        if is_old {
            news.set(None);
        }
    });
    let words = move || news.get().map(|news| dropped(news.frames, news.by_disk));
    view! {
        <Show when=move || news.with(Option::is_some)>
            <div class="notice notice-problem">
                <Icon glyph=Glyph::Alert />
                <p>{words}</p>
            </div>
        </Show>
    }
}
