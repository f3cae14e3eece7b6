use futures_util::FutureExt;
use gloo_net::http::Method;
use leptos::prelude::*;
use sortie_api::{DeletionReason, RetentionPreview, RetentionRun, StorageReport};

use crate::format;
use crate::growth::bars;
use crate::web::api::Api;
use crate::web::components::{Cell, Columns, Confirm, Fetching, Glyph, Icon, Moment, Question};
use crate::web::dom;
use crate::web::loaded::Loaded;

/// So many days the chart has.
const DAYS: u16 = 90;
/// So many of those that go next are shown.
const SHOWN: usize = 20;

/// What the recordings take up, and what goes by itself.
#[component]
pub(super) fn StorageTab() -> impl IntoView {
    let report =
        Loaded::new(|api| async move { api.get::<StorageReport>("/api/admin/storage").await });
    let preview =
        Loaded::new(|api| async move { api.get::<RetentionPreview>("/api/admin/retention").await });
    report.load();
    preview.load();
    view! {
        <h2 class="lead">"Storage"</h2>
        <Fetching
            problem=report.problem()
            is_waiting=Signal::derive(move || report.is_waiting())
            on_retry=move |()| report.load()
        />
        {move || report.get().map(|report| view! { <Report report=report /> })}
        <h3 class="lead">"What goes next"</h3>
        <Fetching
            problem=preview.problem()
            is_waiting=Signal::derive(move || preview.is_waiting())
            on_retry=move |()| preview.load()
        />
        <CleanUp preview=preview report=report />
    }
}

#[component]
fn Report(report: StorageReport) -> impl IntoView {
    let owners = report.by_user.clone();
    let most = owners.iter().map(|owner| owner.bytes).max().unwrap_or(0);
    let has_owners = !owners.is_empty();
    let figure = |name: &'static str, value: String| {
        view! {
            <div class="card figure">
                <dt>{name}</dt>
                <dd>{value}</dd>
            </div>
        }
    };
    view! {
        <dl class="figure-row">
            {figure("Used", format::size(report.used_bytes))}
            {report.free_bytes.map(|bytes| figure("Free", format::size(bytes)))}
            {figure("Recordings", report.recordings.to_string())}
        </dl>
        {report
            .total_bytes
            .zip(report.free_bytes)
            .map(|(total, free)| {
                let full = format::percent(total.saturating_sub(free), total);
                view! {
                    <p class="disk">
                        <Share share=full />
                        {format!("The disk of {} is {full} % full.", format::size(total))}
                    </p>
                }
            })}
        <p class="quiet lead">{format!("{}: {}", report.backend, report.path)}</p>
        <Growth report=report />
        <Show when=move || has_owners>
            <h3 id="owners-heading" class="lead">"By user"</h3>
            <table class="table" role="table" aria-labelledby="owners-heading">
                <Columns titles=&["User", "Share", "Size", "Recordings"] />
                <tbody role="rowgroup">
                    {owners
                        .clone()
                        .into_iter()
                        .map(|owner| {
                            let name = owner.username.clone().unwrap_or_else(|| owner.user_id.clone());
                            let list = crate::query::address(
                                "/admin/recordings",
                                &[("user_id", &owner.user_id)],
                            );
                            view! {
                                <tr role="row">
                                    <td role="cell" class="cell-name">
                                        <a class="row-link" href=list>{name}</a>
                                    </td>
                                    <Cell label="" class="cell-share">
                                        <Share share=format::percent(owner.bytes, most) />
                                    </Cell>
                                    <Cell label="Size">{format::size(owner.bytes)}</Cell>
                                    <Cell label="Recordings">{owner.recordings}</Cell>
                                </tr>
                            }
                        })
                        .collect_view()}
                </tbody>
            </table>
        </Show>
    }
}

/// A bar; the number stands beside it.
#[component]
fn Share(
    /// In percent.
    share: u8,
) -> impl IntoView {
    view! {
        <svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" focusable="false">
            <rect class="share-all" width="100" height="4" />
            <rect class="share-part" width=share.to_string() height="4" />
        </svg>
    }
}

/// What was recorded, day by day.
#[component]
fn Growth(report: StorageReport) -> impl IntoView {
    let bars = bars(&report.growth, &dom::today(), DAYS);
    let bytes = bars.iter().map(|bar| bar.bytes).sum();
    let most = bars.iter().map(|bar| bar.bytes).max().unwrap_or(0);
    let summary = format!(
        "{} recorded in {DAYS} days, {} at most on one day",
        format::size(bytes),
        format::size(most)
    );
    let rows: Vec<_> = bars
        .iter()
        .filter(|bar| bar.recordings > 0)
        .cloned()
        .collect();
    view! {
        <figure class="card growth">
            <figcaption>
                <strong>"Growth"</strong>
                " "
                <span class="quiet">{summary.clone()}</span>
            </figcaption>
            <svg
                class="growth-chart"
                role="img"
                aria-label=summary
                viewBox=format!("0 0 {} 100", u32::from(DAYS) * 4)
                preserveAspectRatio="none"
            >
                {bars
                    .iter()
                    .enumerate()
                    .map(|(position, bar)| {
                        view! {
                            <rect
                                class="share-part"
                                x=(position * 4).to_string()
                                y=(100 - bar.height).to_string()
                                width="3"
                                height=bar.height.to_string()
                            >
                                <title>{format!("{}: {}", bar.day, format::size(bar.bytes))}</title>
                            </rect>
                        }
                    })
                    .collect_view()}
            </svg>
            <details>
                <summary>"As a table"</summary>
                <table class="table" role="table" aria-label="Growth">
                    <Columns titles=&["Day", "Size", "Recordings"] />
                    <tbody role="rowgroup">
                        {rows
                            .into_iter()
                            .map(|bar| {
                                view! {
                                    <tr role="row">
                                        <Cell label="Day">{bar.day}</Cell>
                                        <Cell label="Size">{format::size(bar.bytes)}</Cell>
                                        <Cell label="Recordings">{bar.recordings}</Cell>
                                    </tr>
                                }
                            })
                            .collect_view()}
                    </tbody>
                </table>
            </details>
        </figure>
    }
}

/// What would be deleted now, and the button that does it.
#[component]
fn CleanUp(preview: Loaded<RetentionPreview>, report: Loaded<StorageReport>) -> impl IntoView {
    let asked = RwSignal::new(None::<Question>);
    let outcome = RwSignal::new(None::<String>);
    let ask = move |_| {
        let Some(now) = preview.get() else { return };
        outcome.set(None);
        asked.set(Some(Question {
            heading: "Clean up the storage?".to_owned(),
            subject: amount(&now),
            consequence: "will be gone for good. Protected recordings stay.".to_owned(),
            action: "Clean Up",
            work: Callback::new(move |api: Api| {
                async move {
                    let run = api
                        .ask::<RetentionRun>(Method::POST, "/api/admin/retention/run", &())
                        .await?;
                    outcome.set(Some(told(&run)));
                    Ok(())
                }
                .boxed_local()
            }),
            done: Callback::new(move |()| {
                preview.load();
                report.load();
            }),
        }));
    };
    let is_due = move || preview.with(|now| now.due.count > 0).unwrap_or(false);
    let next = move || {
        preview
            .with(|now| {
                now.next
                    .iter()
                    .cloned()
                    .zip(now.reasons.clone())
                    .take(SHOWN)
                    .collect::<Vec<_>>()
            })
            .unwrap_or_default()
    };
    view! {
        {move || preview.get().map(|now| view! { <p>{rule(&now)}</p> })}
        {move || {
            preview
                .get()
                .and_then(|now| now.next_run_at)
                .map(|at| view! { <p class="quiet">"Runs by itself next: "<Moment at=at /></p> })
        }}
        <p class="lead" role="status">
            {outcome}
        </p>
        <Show
            when=is_due
            fallback=move || preview.with(|_| view! { <p class="quiet">"Nothing is to be deleted now."</p> })
        >
            <p class="lead">
                <button type="button" class="button" on:click=ask>
                    <Icon glyph=Glyph::Trash />
                    "Clean Up Storage"
                </button>
                " "
                {move || preview.with(amount)}
            </p>
            <table class="table" role="table" aria-label="What goes next">
                <Columns titles=&["Recording", "Recorded", "Size", "Reason"] />
                <tbody role="rowgroup">
                    {move || {
                        next()
                            .into_iter()
                            .map(|(row, plan)| {
                                let reason = match plan.reason {
                                    DeletionReason::Age => "Too old",
                                    DeletionReason::Room => "The disk is too full",
                                };
                                view! {
                                    <tr role="row">
                                        <td role="cell" class="cell-name">
                                            <a class="row-link" href=format!("/recordings/{}", row.id)>
                                                {row.filename}
                                            </a>
                                        </td>
                                        <Cell label="Recorded"><Moment at=row.created_at /></Cell>
                                        <Cell label="Size">{format::size(row.size_bytes)}</Cell>
                                        <Cell label="Reason">{reason}</Cell>
                                    </tr>
                                }
                            })
                            .collect_view()
                    }}
                </tbody>
            </table>
        </Show>
        <Confirm asked=asked />
    }
}

fn amount(now: &RetentionPreview) -> String {
    let more = if now.more { "More than " } else { "" };
    let plural = if now.due.count == 1 { "" } else { "s" };
    format!(
        "{more}{} recording{plural}, {}",
        now.due.count,
        format::size(now.due.bytes)
    )
}

fn rule(now: &RetentionPreview) -> String {
    let age = match now.days {
        0 => "Recordings are kept however old they are.".to_owned(),
        1 => "Recordings older than one day are deleted.".to_owned(),
        days => format!("Recordings older than {days} days are deleted."),
    };
    match now.high_percent.zip(now.low_percent) {
        None => age,
        Some((high, low)) => format!(
            "{age} When the disk is more than {high} % full, the oldest go until it is {low} % full."
        ),
    }
}

fn told(run: &RetentionRun) -> String {
    let mut told = format!(
        "{} deleted, {} freed.",
        run.deleted,
        format::size(run.bytes)
    );
    if !run.failed.is_empty() {
        told += &format!(
            " {} could not be deleted yet; that is tried again.",
            run.failed.len()
        );
    }
    if run.more {
        told += " There is more: clean up again, or leave it to the hourly run.";
    }
    told
}
