use std::sync::Arc;

use futures_util::FutureExt;
use gloo_net::http::Method;
use leptos::prelude::*;
use sortie_api::{
    ConfirmClock, DeletionReason, PlannedDeletion, Recording, RetentionPreview, RetentionRun,
};

use crate::format;
use crate::retention_texts;
use crate::retention_texts::{amount, rule};
use crate::web::address::url;
use crate::web::api::Api;
use crate::web::components::{
    Cell, ConfirmDialog, Confirmation, FetchStatus, Glyph, Icon, LocalTime, Table,
};
use crate::web::dom;
use crate::web::server_data::{FetchState, ServerData};
use crate::web::submission::Submission;

/// Number of deletion candidates in the table.
const SHOWN: usize = 20;
/// Heading, which takes the focus after an action.
const HEADING: &str = "next-heading";

/// Deletion candidates and the button that deletes them.
#[component]
pub(in crate::web) fn CleanUp(
    /// Storage report, reloaded after a clean-up.
    report: FetchState,
    /// Changes when the candidates may have changed.
    #[prop(optional, into)]
    news: Signal<u32>,
) -> impl IntoView {
    let preview =
        ServerData::new(
            |api| async move { api.get::<RetentionPreview>("/api/admin/retention").await },
        );
    Effect::new(move |before: Option<()>| {
        news.track();
        match before {
            None => preview.load(),
            Some(()) => preview.poll(),
        }
    });
    let confirmation = RwSignal::new(None::<Confirmation>);
    let outcome = RwSignal::new(None::<String>);
    let ask = move |_| {
        let Some(now) = preview.get_untracked().filter(|now| now.due.count > 0) else {
            return;
        };
        outcome.set(None);
        confirmation.set(Some(Confirmation {
            heading: "Clean up the storage?".to_owned(),
            subject: amount(&now),
            consequence: "will be permanently deleted. Protected recordings stay.".to_owned(),
            action: "Clean Up",
            second: None,
            work: Arc::new(move |api: Api, _| {
                async move {
                    let run = api
                        .request::<RetentionRun>(Method::POST, "/api/admin/retention/run", &())
                        .await?;
                    let _ = outcome.try_set(Some(retention_texts::outcome(&run)));
                    Ok(())
                }
                .boxed_local()
            }),
            done: Arc::new(move || {
                // Moves the focus to the list of candidates.
                dom::focus(HEADING);
                preview.load();
                report.again.run(());
            }),
        }));
    };
    let is_due = Memo::new(move |_| preview.with(|now| now.due.count > 0));
    let text = move || {
        if is_due.get() == Some(true) {
            preview.with(amount)
        } else {
            Some("Nothing to clean up".to_owned())
        }
    };
    let kept = Memo::new(move |_| {
        preview
            .with(|now| retention_texts::kept(&now.unforwarded))
            .flatten()
    });
    let rows = move || {
        let rows = preview.with(|now| {
            let next = now.next.iter().cloned().zip(now.reasons.iter().cloned());
            next.take(SHOWN).map(next_row).collect_view()
        });
        rows.unwrap_or_default()
    };
    view! {
        <h3 id=HEADING class="lead" tabindex="-1">
            "Next clean-up"
        </h3>
        <FetchStatus state=preview.fetch_state() />
        <ClockNotice preview=preview />
        {move || {
            preview
                .get()
                .map(|now| {
                    view! {
                        <p>
                            {rule(&now)} " "
                            {now.next_run_at.map(|at| view! { "Next check: " <LocalTime at=at /> })}
                        </p>
                    }
                })
        }}
        <p class="lead saved" role="status">
            {outcome}
        </p>
        <Show when=move || is_due.get().is_some()>
            <div class="lead clean-up">
                <button
                    type="button"
                    class="button"
                    aria-disabled=move || (is_due.get() != Some(true)).to_string()
                    aria-describedby="clean-up-amount"
                    on:click=ask
                >
                    <Icon glyph=Glyph::Trash />
                    "Clean Up Storage"
                </button>
                <p id="clean-up-amount">{text}</p>
            </div>
            <p class="lead">{kept}</p>
        </Show>
        <Show when=move || is_due.get() == Some(true)>
            <Table named_by=HEADING columns=&["Recording", "Recorded", "#Size", "Reason"] rows=rows />
        </Show>
        <OtherFilesList preview=preview />
        <ConfirmDialog confirmation=confirmation />
    }
}

/// Files in the folder of an appliance that are no recordings, with the reasons.
#[component]
fn OtherFilesList(preview: ServerData<RetentionPreview>) -> impl IntoView {
    let other = Memo::new(move |_| {
        preview
            .with(|now| now.other_files.clone())
            .unwrap_or_default()
    });
    let summary =
        Memo::new(move |_| other.with(|other| retention_texts::other_files(&other.total)));
    view! {
        <Show when=move || summary.with(Option::is_some)>
            <details class="lead">
                <summary>{summary}</summary>
                <ul class="past">
                    {move || {
                        other
                            .get()
                            .files
                            .into_iter()
                            .map(|file| {
                                view! {
                                    <li>
                                        <bdi>{file.name}</bdi>
                                        ", "
                                        {format::size(file.bytes)}
                                        ". "
                                        <span class="quiet">{file.reason}</span>
                                    </li>
                                }
                            })
                            .collect_view()
                    }}
                </ul>
            </details>
        </Show>
    }
}

/// Notice while automatic deletion is held back because the clock may be wrong; administrators can confirm the time.
#[component]
fn ClockNotice(preview: ServerData<RetentionPreview>) -> impl IntoView {
    let submission = Submission::new();
    let hold = Memo::new(move |_| preview.with(|now| now.hold.clone()).flatten());
    let undated = Memo::new(move |_| preview.with(|now| now.undated).unwrap_or(0));
    let confirm = move |undated: bool| {
        submission.send(
            async move |api| {
                let body = ConfirmClock { undated };
                api.execute(Method::POST, "/api/admin/retention/confirm-clock", &body)
                    .await
            },
            move |()| {
                dom::focus(HEADING);
                preview.load();
            },
        );
    };
    view! {
        {move || {
            hold.get()
                .map(|hold| {
                    view! {
                        <div class="notice notice-problem lead" role="alert">
                            <Icon glyph=Glyph::Alert />
                            <p>
                                <strong>"Automatic deletion is paused. "</strong>
                                {hold.message}
                                " The server's clock shows "
                                <LocalTime at=hold.now />
                                "."
                            </p>
                            <button
                                type="button"
                                class="button"
                                disabled=submission.is_busy
                                on:click=move |_| confirm(false)
                            >
                                "The clock is right"
                            </button>
                        </div>
                    }
                })
        }}
        {move || {
            let undated = undated.get();
            (undated > 0)
                .then(|| {
                    let text = match undated {
                        1 => "1 recording has an impossible creation time and is kept.".to_owned(),
                        _ => format!("{undated} recordings have an impossible creation time and are kept."),
                    };
                    view! {
                        <div class="notice lead">
                            <Icon glyph=Glyph::Info />
                            <p>{text}</p>
                            <button
                                type="button"
                                class="button"
                                disabled=submission.is_busy
                                on:click=move |_| confirm(true)
                            >
                                "Allow their deletion"
                            </button>
                        </div>
                    }
                })
        }}
        <p class="problem-text" role="alert">
            {submission.problem}
        </p>
    }
}

fn next_row((row, plan): (Recording, PlannedDeletion)) -> impl IntoView {
    let reason = match plan.reason {
        DeletionReason::Age => "Too old",
        DeletionReason::DiskFull => "The disk is too full",
        DeletionReason::Trash => "Its time in the trash is over",
    };
    view! {
        <tr role="row">
            <td role="cell" class="cell-name">
                <a class="row-link" href=url(&format!("/recordings/{}", row.id))>
                    {row.filename}
                </a>
            </td>
            <Cell label="Recorded">
                <LocalTime at=row.created_at />
            </Cell>
            <Cell label="Size" class="number">
                {format::size(row.size_bytes)}
            </Cell>
            <Cell label="Reason">{reason}</Cell>
        </tr>
    }
}
