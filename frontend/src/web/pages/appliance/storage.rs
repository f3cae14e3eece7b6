use gloo_timers::callback::Timeout;
use leptos::prelude::*;
use sortie_api::{AuditEntry, StorageReport};

use super::store::ApplianceStore;
use crate::appliance::{CleanUp as Past, Shares, clean_ups, hours_left};
use crate::format;
use crate::web::components::LocalTime;
use crate::web::pages::admin::storage::clean_up::CleanUp;
use crate::web::server_data::ServerData;

/// Latest deletions, including those by users.
const LOG: &str = "/api/admin/audit?action=recording.delete&limit=100";
/// Delay of the second report: the server caches its report for fifteen seconds.
const REPORT_MS: u32 = 15_500;
/// Number of past clean-ups in the list.
const SHOWN: usize = 5;

/// Disk usage, deletion candidates and past clean-ups.
#[component]
pub(super) fn StorageCard(appliance: ApplianceStore) -> impl IntoView {
    let report =
        ServerData::new(|api| async move { api.get::<StorageReport>("/api/admin/storage").await });
    let log = ServerData::new(|api| async move { api.get::<Vec<AuditEntry>>(LOG).await });
    let later = StoredValue::new_local(None::<Timeout>);
    Effect::new(move |_| {
        appliance.changes.track();
        report.poll();
        log.poll();
        later.set_value(Some(Timeout::new(REPORT_MS, move || report.poll())));
    });
    on_cleanup(move || later.set_value(None));
    let past = Memo::new(move |_| {
        let past = log.with(|entries| clean_ups(entries)).unwrap_or_default();
        past.into_iter().take(SHOWN).collect::<Vec<_>>()
    });
    view! {
        <section class="card room" aria-labelledby="room-heading">
            <h2 id="room-heading" class="card-heading">
                "Storage"
            </h2>
            <Disk appliance=appliance report=report />
            <CleanUp report=report.fetch_state() news=appliance.changes />
            <Show when=move || past.with(|past| !past.is_empty())>
                <h3 class="lead">"Cleaned up"</h3>
                <ul class="past">{move || past.get().into_iter().map(past_line).collect_view()}</ul>
            </Show>
        </section>
    }
}

fn past_line(past: Past) -> impl IntoView {
    let text = past.text();
    view! {
        <li>
            <span class="quiet">
                <LocalTime at=past.at />
            </span>
            " "
            {text}
        </li>
    }
}

/// Disk usage as a bar and as text.
#[component]
fn Disk(appliance: ApplianceStore, report: ServerData<StorageReport>) -> impl IntoView {
    let shares = Memo::new(move |_| {
        let recordings = report.with(|report| report.used_bytes)?;
        appliance
            .with(|now| {
                let growing = now.file.as_ref().map_or(0, |file| file.size_bytes);
                let space = now.space.as_ref()?;
                Some(Shares::new(space, recordings.saturating_add(growing)))
            })
            .flatten()
    });
    let hours = Memo::new(move |_| {
        let hours = appliance.with(|now| now.space.map(|space| space.hours_left));
        hours.flatten().map(hours_left)
    });
    let threshold = Memo::new(move |_| appliance.with(|now| now.threshold_percent).flatten());
    let bar = move || {
        let shares = shares.get()?;
        let (others, recordings) = shares.widths();
        let full = shares.full_percent();
        let is_over = threshold.get().is_some_and(|threshold| full > threshold);
        let mark = threshold.get().map(|threshold| {
            view! { <rect class="share-mark" x=(u32::from(threshold) * 10).to_string() width="4" height="40" /> }
        });
        let legend = [
            ("Recordings", "key key-recordings", shares.recordings),
            ("Other files", "key key-others", shares.others),
            ("Free", "key key-free", shares.free),
        ];
        let legend = legend.map(|(name, class, bytes)| {
            view! {
                <div>
                    <dt>
                        <span class=class aria-hidden="true"></span>
                        {name}
                    </dt>
                    <dd>{format::size(bytes)}</dd>
                </div>
            }
        });
        let marked = threshold
            .get()
            .map(|threshold| format!(" The oldest recordings are deleted above {threshold} %."));
        Some(view! {
            <p class="disk-words">
                <strong>{format!("{full} % of {} in use.", format::size(shares.total()))}</strong>
                {marked}
            </p>
            <svg
                class="share share-large"
                class:share-worrying=is_over
                viewBox="0 0 1000 40"
                preserveAspectRatio="none"
                aria-hidden="true"
                focusable="false"
            >
                <rect class="share-all" width="1000" height="40" />
                <rect class="share-others" width=others.to_string() height="40" />
                <rect class="share-part" x=others.to_string() width=recordings.to_string() height="40" />
                {mark}
            </svg>
            <dl class="facts legend">{legend}</dl>
        })
    };
    view! {
        {bar}
        <p class="hours">{move || hours.get().map(|hours| format!("{hours} at the present bit rate."))}</p>
    }
}
