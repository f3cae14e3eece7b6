use std::sync::Arc;

use futures_util::future::{FutureExt, LocalBoxFuture};
use leptos::html;
use leptos::prelude::*;
use sortie_api::Recording;

use super::{Glyph, Icon};
use crate::format;
use crate::web::api::{Api, ApiError, recording_path};
use crate::web::sending::Sending;

/// Something that is done only after the person has said yes.
#[derive(Clone)]
pub(in crate::web) struct Question {
    /// `Delete this recording?`
    pub(in crate::web) heading: String,
    /// What it is done to; stands before `consequence`.
    pub(in crate::web) subject: String,
    /// What happens then, in a sentence.
    pub(in crate::web) consequence: String,
    /// What the button says.
    pub(in crate::web) action: &'static str,
    /// Does it.
    pub(in crate::web) work: Work,
    /// Told when it is done and the dialog is closed.
    pub(in crate::web) done: Arc<dyn Fn() + Send + Sync>,
}

/// What is done after a yes. Not a [`Callback`]: that ends with the row or the button that asked, and those are gone
/// when it is done.
pub(in crate::web) type Work =
    Arc<dyn Fn(Api) -> LocalBoxFuture<'static, Result<(), ApiError>> + Send + Sync>;

impl Question {
    /// Whether to delete these recordings; `on_deleted` is told of each that is gone, `done` at the end.
    pub(in crate::web) fn delete(
        recordings: &[Recording],
        on_deleted: impl Fn(String) + Send + Sync + Copy + 'static,
        done: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let ids: Vec<_> = recordings.iter().map(|row| row.id.clone()).collect();
        let (heading, subject) = match recordings {
            [recording] => (
                "Delete this recording?".to_owned(),
                recording.filename.clone(),
            ),
            _ => {
                let bytes = recordings.iter().map(|row| row.size_bytes).sum();
                (
                    format!("Delete {} recordings?", recordings.len()),
                    format!(
                        "All {}, {} together,",
                        recordings.len(),
                        format::size(bytes)
                    ),
                )
            }
        };
        Self {
            heading,
            subject,
            consequence: "will be gone for good. This cannot be undone.".to_owned(),
            action: "Delete",
            work: Arc::new(move |api| {
                let ids = ids.clone();
                async move {
                    for id in ids {
                        api.remove(&recording_path(&id)).await?;
                        on_deleted(id);
                    }
                    Ok(())
                }
                .boxed_local()
            }),
            done: Arc::new(done),
        }
    }
}

/// Removes what is at this path.
pub(in crate::web) fn removing(path: String) -> Work {
    Arc::new(move |api| {
        let path = path.clone();
        async move { api.remove(&path).await }.boxed_local()
    })
}

/// Asks, and does it.
///
/// A native modal dialog: the browser keeps the focus inside, closes it on Escape and gives the focus back.
#[component]
pub(in crate::web) fn Confirm(
    /// What to ask; `None` keeps the dialog closed.
    asked: RwSignal<Option<Question>>,
) -> impl IntoView {
    let sending = Sending::new();
    let dialog = NodeRef::<html::Dialog>::new();

    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        if asked.with(Option::is_some) {
            sending.problem.set(None);
            if !dialog.open() {
                // Fails only for a dialog that is not in the document, where nobody could see it anyway.
                let _ = dialog.show_modal();
            }
        } else {
            dialog.close();
        }
    });

    let act = move |_| {
        let Some(question) = asked.get_untracked() else {
            return;
        };
        sending.send(
            move |api| (question.work)(api),
            move |()| {
                // Closed first: that gives the focus back, and whoever is told may move it on.
                if let Some(dialog) = dialog.get_untracked() {
                    dialog.close();
                }
                (question.done)();
            },
        );
    };

    let part = move |part: fn(&Question) -> String| {
        asked.with(|asked| asked.as_ref().map(part).unwrap_or_default())
    };
    view! {
        <dialog
            node_ref=dialog
            class="dialog"
            aria-labelledby="confirm-heading"
            aria-describedby="confirm-text"
            on:close=move |_| asked.set(None)
        >
            <h2 id="confirm-heading">{move || part(|asked| asked.heading.clone())}</h2>
            <p id="confirm-text">
                <strong class="filename">{move || part(|asked| asked.subject.clone())}</strong>
                " "
                {move || part(|asked| asked.consequence.clone())}
            </p>
            <p class="problem-text" role="alert">
                {sending.problem}
            </p>
            <div class="dialog-actions">
                <button type="button" class="button" on:click=move |_| asked.set(None)>
                    "Cancel"
                </button>
                <button type="button" class="button button-strong" disabled=sending.is_busy on:click=act>
                    <Icon glyph=Glyph::Trash />
                    {move || part(|asked| asked.action.to_owned())}
                </button>
            </div>
        </dialog>
    }
}
