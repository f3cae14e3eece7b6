use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{FutureExt, LocalBoxFuture};
use leptos::html;
use leptos::prelude::*;
use sortie_api::{DeleteRecordings, DeletionStatus, Recording, RecordingCount, RecordingQuery};
use web_sys::{AbortController, AbortSignal};

use super::{Glyph, Icon, LiveRegion};
use crate::deletion_texts::{self, DialogTexts, SecondQuestion, Summary};
use crate::web::api::{Api, ApiError, deletion_path};
use crate::web::dom;
use crate::web::submission::Submission;

/// Number of the next dialog: a page may have several, and their IDs must differ.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Action that needs a confirmation.
#[derive(Clone)]
pub(in crate::web) struct Confirmation {
    /// Question: `Delete this recording?`
    pub(in crate::web) heading: String,
    /// Object of the action, in bold before `consequence`.
    pub(in crate::web) subject: String,
    /// Continuation of the sentence after `subject`.
    pub(in crate::web) consequence: String,
    /// Label of the button.
    pub(in crate::web) action: &'static str,
    /// Question after the first one.
    pub(in crate::web) second: Option<SecondQuestion>,
    pub(in crate::web) work: Work,
    /// Called after the action succeeded and the dialog was closed.
    pub(in crate::web) done: Arc<dyn Fn() + Send + Sync>,
}

/// Action of the dialog. Not a [`Callback`]: that is disposed with the row or button that created it, which may happen
/// before the action ends.
pub(in crate::web) type Work =
    Arc<dyn Fn(Api, Run) -> LocalBoxFuture<'static, Result<(), ApiError>> + Send + Sync>;

/// Progress and cancellation of a running action.
#[derive(Clone)]
pub(in crate::web) struct Run {
    /// Processed and total objects.
    progress: RwSignal<Option<(usize, usize)>>,
    is_cancelled: Rc<Cell<bool>>,
    controller: Option<AbortController>,
}

impl Run {
    fn new(progress: RwSignal<Option<(usize, usize)>>) -> Self {
        Self {
            progress,
            is_cancelled: Rc::default(),
            controller: AbortController::new().ok(),
        }
    }

    fn report(&self, done: usize, total: usize) {
        // The page may have been closed.
        let _ = self.progress.try_set(Some((done, total)));
    }

    /// Aborts requests of the action.
    fn abort_signal(&self) -> Option<AbortSignal> {
        self.controller.as_ref().map(AbortController::signal)
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.get()
    }

    fn cancel(&self) {
        self.is_cancelled.set(true);
        if let Some(controller) = &self.controller {
            controller.abort();
        }
    }
}

impl Confirmation {
    /// Confirms the deletion of these recordings; `name_of` is the name of a single one. `on_deleted` is called for each
    /// deleted recording, `done` with their number. Deleted recordings stay in the trash for `trash_days`.
    pub(in crate::web) fn delete(
        recordings: &[Recording],
        trash_days: u32,
        name_of: impl Fn(&Recording) -> String,
        on_deleted: impl Fn(String) + Send + Sync + Copy + 'static,
        done: impl Fn(usize) + Send + Sync + 'static,
    ) -> Self {
        let summary = Summary::of(recordings);
        let texts = match recordings {
            [one] => deletion_texts::dialog_texts_of_one(one, name_of(one), trash_days),
            _ => summary.dialog_texts(trash_days),
        };
        let request = DeleteRecordings {
            ids: recordings.iter().map(|row| row.id.clone()).collect(),
            unforwarded: summary.unforwarded(),
            ..DeleteRecordings::default()
        };
        Self::deleting(texts, request, summary.count(), on_deleted, done)
    }

    /// Confirms the deletion of all recordings that `filter` selects and the server has counted.
    pub(in crate::web) fn delete_matching(
        count: &RecordingCount,
        trash_days: u32,
        filter: RecordingQuery,
        all_users: bool,
        on_deleted: impl Fn(String) + Send + Sync + Copy + 'static,
        done: impl Fn(usize) + Send + Sync + 'static,
    ) -> Self {
        let summary = Summary::counted(count);
        let request = DeleteRecordings {
            filter: Some(filter),
            // No more than the dialog has named.
            at_most: u32::try_from(count.count).ok(),
            all_users,
            unforwarded: summary.unforwarded(),
            ..DeleteRecordings::default()
        };
        let texts = summary.dialog_texts(trash_days);
        Self::deleting(texts, request, summary.count(), on_deleted, done)
    }

    fn deleting(
        texts: DialogTexts,
        request: DeleteRecordings,
        total: usize,
        on_deleted: impl Fn(String) + Send + Sync + Copy + 'static,
        done: impl Fn(usize) + Send + Sync + 'static,
    ) -> Self {
        let deleted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&deleted);
        Self {
            heading: texts.heading,
            subject: texts.subject,
            consequence: texts.consequence,
            action: texts.action,
            second: texts.second,
            work: Arc::new(move |api, run| {
                let (request, count) = (request.clone(), Arc::clone(&count));
                count.store(0, Ordering::Relaxed);
                let count_deleted = move |id: String| {
                    count.fetch_add(1, Ordering::Relaxed);
                    on_deleted(id);
                };
                async move {
                    match &request.ids[..] {
                        [id] => {
                            api.remove(&deletion_path(id, request.unforwarded)).await?;
                            count_deleted(id.clone());
                            Ok(())
                        }
                        _ => delete_many(&api, &request, total, &run, count_deleted).await,
                    }
                }
                .boxed_local()
            }),
            done: Arc::new(move || done(deleted.load(Ordering::Relaxed))),
        }
    }
}

/// Texts of the question that the dialog shows.
struct Question<'a> {
    heading: &'a str,
    subject: &'a str,
    consequence: &'a str,
    action: &'static str,
}

impl<'a> Question<'a> {
    fn of(confirmation: &'a Confirmation, is_second: bool) -> Self {
        match &confirmation.second {
            Some(second) if is_second => Self {
                heading: second.heading,
                subject: &second.subject,
                consequence: second.consequence,
                action: second.action,
            },
            _ => Self {
                heading: &confirmation.heading,
                subject: &confirmation.subject,
                consequence: &confirmation.consequence,
                action: confirmation.action,
            },
        }
    }
}

/// Deletes several recordings in one request. A cancellation is no error.
async fn delete_many(
    api: &Api,
    request: &DeleteRecordings,
    total: usize,
    run: &Run,
    count_deleted: impl Fn(String),
) -> Result<(), ApiError> {
    let (mut answered, mut failed, mut reason) = (0, 0, None);
    run.report(0, total);
    let outcome = api
        .delete_recordings(request, run.abort_signal().as_ref(), |deletion| {
            answered += 1;
            run.report(answered, total.max(answered));
            let is_gone = deletion.problem.as_ref().is_some_and(is_not_found);
            if deletion.status != DeletionStatus::Failed || is_gone {
                count_deleted(deletion.id);
            } else {
                failed += 1;
                reason = reason.take().or(deletion.problem);
            }
        })
        .await;
    if run.is_cancelled() {
        return Ok(());
    }
    outcome?;
    // Fewer may match a filter than were counted.
    let missing = match request.filter {
        None => total.saturating_sub(answered) + failed,
        Some(_) => failed,
    };
    if missing == 0 {
        return Ok(());
    }
    let reason = reason.map(|problem| problem.detail).unwrap_or_default();
    Err(ApiError::Partial(
        format!(
            "{missing} of {} recordings were not deleted. {reason}",
            total.max(answered)
        )
        .trim_end()
        .to_owned(),
    ))
}

fn is_not_found(problem: &sortie_api::Problem) -> bool {
    ApiError::Problem(problem.clone()).is_not_found()
}

/// Deletes the object at a path.
pub(in crate::web) fn removing(path: String) -> Work {
    Arc::new(move |api, _| {
        let path = path.clone();
        async move { api.remove(&path).await }.boxed_local()
    })
}

/// Modal dialog that confirms and runs an action.
///
/// The native `<dialog>` traps the focus, closes on Escape and restores the focus. Closing it cancels the running
/// action.
#[component]
pub(in crate::web) fn ConfirmDialog(
    /// Action to confirm; `None` closes the dialog.
    confirmation: RwSignal<Option<Confirmation>>,
) -> impl IntoView {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let heading_id = format!("confirm-heading-{number}");
    let text_id = format!("confirm-text-{number}");
    let (labelled_by, described_by) = (heading_id.clone(), text_id.clone());
    // Button that closes the dialog; it has the focus while the action runs.
    let cancel_id = format!("confirm-cancel-{number}");
    let cancel = StoredValue::new(cancel_id.clone());
    let submission = Submission::new();
    let dialog = NodeRef::<html::Dialog>::new();
    let progress = RwSignal::new(None::<(usize, usize)>);
    // Whether the second question is shown.
    let is_second = RwSignal::new(false);
    let run = StoredValue::new_local(None::<Run>);

    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        if confirmation.with(Option::is_some) {
            submission.problem.set(None);
            progress.set(None);
            is_second.set(false);
            if !dialog.open() {
                // Fails only for a dialog outside of the document.
                let _ = dialog.show_modal();
            }
        } else {
            dialog.close();
        }
    });

    let act = move |_| {
        let Some(question) = confirmation.get_untracked() else {
            return;
        };
        if question.second.is_some() && !is_second.get_untracked() {
            is_second.set(true);
            // A double click must not answer both questions.
            cancel.with_value(|id| dom::focus(id));
            return;
        }
        let now = Run::new(progress);
        run.set_value(Some(now.clone()));
        // The focused button is disabled next.
        cancel.with_value(|id| dom::focus(id));
        submission.send(
            move |api| (question.work)(api, now),
            move |()| {
                // Closing restores the focus; `done` may move it afterwards.
                if let Some(dialog) = dialog.get_untracked() {
                    dialog.close();
                }
                (question.done)();
            },
        );
    };
    let on_close = move |_| {
        if let Some(run) = run.try_update_value(Option::take).flatten() {
            run.cancel();
        }
        confirmation.set(None);
    };

    let part = move |part: fn(Question<'_>) -> String| {
        confirmation.with(|confirmation| {
            let confirmation = confirmation.as_ref();
            let question = confirmation.map(|it| Question::of(it, is_second.get()));
            question.map(part).unwrap_or_default()
        })
    };
    let second = Memo::new(move |_| match is_second.get() {
        true => part(|question| format!("{} {}", question.subject, question.consequence)),
        false => String::new(),
    });
    let far = Memo::new(move |_| {
        progress
            .get()
            .map(|(done, total)| format!("{done} of {total} deleted"))
            .unwrap_or_default()
    });
    view! {
        <dialog
            node_ref=dialog
            class="dialog"
            aria-labelledby=labelled_by
            aria-describedby=described_by
            on:close=on_close
        >
            <h2 id=heading_id>{move || part(|question| question.heading.to_owned())}</h2>
            <p id=text_id>
                <strong class="filename">{move || part(|question| question.subject.to_owned())}</strong>
                " "
                {move || part(|question| question.consequence.to_owned())}
            </p>
            <Show when=move || progress.with(Option::is_some)>
                <div class="sending">
                    <progress
                        class="progress"
                        max=move || progress.get().map_or(1, |(_, total)| total)
                        value=move || progress.get().map_or(0, |(done, _)| done)
                        aria-label="Deleted"
                    ></progress>
                    <p class="quiet digits" aria-hidden="true">
                        {far}
                    </p>
                </div>
            </Show>
            <LiveRegion text=far />
            <LiveRegion text=second />
            <p class="problem-text" role="alert">
                {submission.problem}
            </p>
            <div class="dialog-actions">
                <button type="button" id=cancel_id class="button" on:click=move |_| confirmation.set(None)>
                    "Cancel"
                </button>
                <button type="button" class="button button-strong" disabled=submission.is_busy on:click=act>
                    <Icon glyph=Glyph::Trash />
                    {move || part(|question| question.action.to_owned())}
                </button>
            </div>
        </dialog>
    }
}
