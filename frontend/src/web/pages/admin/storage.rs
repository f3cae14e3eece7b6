pub(in crate::web) mod clean_up;
mod daily_usage_chart;

use leptos::prelude::*;
use sortie_api::{QuotaUsage, StorageReport, UserUsage};

use self::clean_up::CleanUp;
use self::daily_usage_chart::DailyUsageChart;
use crate::format;
use crate::query;
use crate::status_texts;
use crate::web::address::url;
use crate::web::components::{Cell, FetchStatus, RefreshButton, Table};
use crate::web::server_data::ServerData;

/// Disk usage in percent above which the bar warns if no automatic deletion is configured.
const WORRYING_PERCENT: u8 = 90;

/// Storage report, own quota and clean-up.
#[component]
pub(super) fn StorageTab() -> impl IntoView {
    let report =
        ServerData::new(|api| async move { api.get::<StorageReport>("/api/admin/storage").await });
    report.load();
    view! {
        <div class="page-head">
            <h2>"Storage"</h2>
            <RefreshButton state=report.fetch_state() />
        </div>
        <FetchStatus state=report.fetch_state() />
        {move || report.get().map(|report| view! { <Report report=report /> })}
        <OwnUsage />
        <CleanUp report=report.fetch_state() />
    }
}

/// Usage of the signed-in user relative to the quotas; hidden without quotas.
#[component]
pub(in crate::web) fn OwnUsage() -> impl IntoView {
    let usage =
        ServerData::new(|api| async move { api.get::<QuotaUsage>("/api/storage/usage").await });
    usage.load();
    let is_limited = Memo::new(move |_| {
        usage
            .with(|now| now.quota_bytes.is_some() || now.quota_protected_bytes.is_some())
            .unwrap_or(false)
    });
    let line = |name: &'static str, used: u64, quota: u64| {
        let percent = format::percent(used, quota);
        let class = if percent > WORRYING_PERCENT {
            "share share-worrying"
        } else {
            "share"
        };
        view! {
            <p class="disk-words">
                <strong>{name}</strong>
                {format!(": {} of {} ({percent} %)", format::size(used), format::size(quota))}
            </p>
            <svg class=class viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false">
                <rect class="share-all" width="100" height="4" />
                <rect class="share-part" width=percent.to_string() height="4" />
            </svg>
        }
    };
    view! {
        <Show when=move || is_limited.get()>
            {move || {
                usage
                    .get()
                    .map(|now| {
                        view! {
                            <section class="card disk quota" aria-labelledby="quota-heading">
                                <h3 id="quota-heading">"Your quota"</h3>
                                {now.quota_bytes.map(|quota| line("Recordings", now.bytes, quota))}
                                {now
                                    .quota_protected_bytes
                                    .map(|quota| line("Protected recordings", now.protected_bytes, quota))}
                                <p class="quiet">
                                    {format!("{} of {} uploads open", now.open_uploads, now.uploads_per_user)}
                                </p>
                            </section>
                        }
                    })
            }}
        </Show>
    }
}

#[component]
fn Report(report: StorageReport) -> impl IntoView {
    let figure = |name: &'static str, value: String| {
        view! {
            <div class="card figure">
                <dt>{name}</dt>
                <dd>{value}</dd>
            </div>
        }
    };
    let statuses = report.by_status.iter().map(|usage| {
        let class = status_texts::status_class(usage.status);
        view! {
            <a class=format!("badge badge-{class}") href=url(&query::address("/admin/recordings", &[("status", class)]))>
                <span class="badge-dot" aria-hidden="true"></span>
                {format!("{} {}", usage.count, status_texts::status(usage.status))}
            </a>
        }
    });
    let statuses = statuses.collect_view();
    let owners = report.by_user.clone();
    view! {
        <dl class="figure-row">
            {figure("Used", format::size(report.used_bytes))}
            {report.free_bytes.map(|bytes| figure("Free", format::size(bytes)))}
            {figure("Recordings", report.recordings.to_string())}
        </dl>
        <div class="card disk">
            <Disk report=report.clone() />
            <p class="badges">{statuses}</p>
        </div>
        <DailyUsageChart report=report />
        {(!owners.is_empty()).then(|| view! { <Owners owners=owners /> })}
    }
}

/// Disk usage and the threshold of automatic deletion.
#[component]
fn Disk(report: StorageReport) -> impl IntoView {
    let location = format!("{}: {}", report.backend, report.path);
    let (Some(total), Some(free)) = (report.total_bytes, report.free_bytes) else {
        return view! { <p>{location}</p> }.into_any();
    };
    let full = format::percent(total.saturating_sub(free), total);
    let high = report.retention.high_percent;
    let class = if full > high.unwrap_or(WORRYING_PERCENT) {
        "share share-worrying"
    } else {
        "share"
    };
    let threshold = high.map(|high| format!(" Above {high} %, the oldest recordings are deleted."));
    view! {
        <p class="disk-words">
            <strong>{format!("{full} % of {} in use.", format::size(total))}</strong>
            {threshold}
        </p>
        <svg class=class viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false">
            <rect class="share-all" width="100" height="4" />
            <rect class="share-part" width=full.to_string() height="4" />
            {high
                .map(|high| {
                    view! { <rect class="share-mark" x=high.to_string() width="0.4" height="4" /> }
                })}
        </svg>
        <p class="quiet">{location}</p>
    }
    .into_any()
}

#[component]
fn Owners(owners: Vec<UserUsage>) -> impl IntoView {
    let most = owners.iter().map(|owner| owner.bytes).max().unwrap_or(0);
    let rows = move || {
        owners
            .iter()
            .cloned()
            .map(|owner| owner_row(owner, most))
            .collect_view()
    };
    view! {
        <h3 id="owners-heading" class="lead">
            "By user"
        </h3>
        <Table named_by="owners-heading" columns=&["User", "Share", "#Size", "#Recordings"] class="owners" rows=rows />
    }
}

fn owner_row(owner: UserUsage, most: u64) -> impl IntoView {
    let name = owner.username.unwrap_or(owner.user_id);
    let list = url(&query::address("/admin/recordings", &[("user_id", &name)]));
    let share = format::percent(owner.bytes, most).to_string();
    view! {
        <tr role="row">
            <td role="cell" class="cell-name">
                <a class="row-link" href=list>
                    {name}
                </a>
            </td>
            // The size column repeats this value as text.
            <td role="cell" class="cell-share">
                <svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false">
                    <rect class="share-all" width="100" height="4" />
                    <rect class="share-part" width=share height="4" />
                </svg>
            </td>
            <Cell label="Size" class="number">
                {format::size(owner.bytes)}
            </Cell>
            <Cell label="Recordings" class="number">
                {owner.recordings.to_string()}
            </Cell>
        </tr>
    }
}
