use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::Recording;

use super::{Glyph, Icon};
use crate::web::session::Session;

/// Asks whether a recording is really to be deleted, and deletes it.
///
/// A native modal dialog: the browser keeps the focus inside, closes it on Escape and gives the focus back.
#[component]
pub(in crate::web) fn ConfirmDelete(
    /// The recording to ask about; `None` keeps the dialog closed.
    asked: RwSignal<Option<Recording>>,
    /// Told the id of a recording that is gone.
    #[prop(into)]
    on_deleted: Callback<String>,
) -> impl IntoView {
    let session = Session::expect();
    let dialog = NodeRef::<html::Dialog>::new();
    let is_busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<String>);

    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        if asked.with(Option::is_some) {
            problem.set(None);
            if !dialog.open() {
                // Fails only for a dialog that is not in the document, where nobody could see it anyway.
                let _ = dialog.show_modal();
            }
        } else {
            dialog.close();
        }
    });

    let delete = move |_| {
        let Some(recording) = asked.get_untracked() else {
            return;
        };
        is_busy.set(true);
        problem.set(None);
        spawn_local(async move {
            let outcome = session.api().delete(&recording.id).await;
            // The page may have been left meanwhile.
            if is_busy.try_set(false).is_some() {
                return;
            }
            match outcome {
                Ok(()) => {
                    // Closed first: that gives the focus back, and whoever is told may move it on.
                    if let Some(dialog) = dialog.get_untracked() {
                        dialog.close();
                    }
                    on_deleted.run(recording.id);
                }
                Err(error) => problem.set(Some(session.explain(&error))),
            }
        });
    };

    let filename = move || {
        asked.with(|asked| {
            asked
                .as_ref()
                .map(|recording| recording.filename.clone())
                .unwrap_or_default()
        })
    };
    view! {
        <dialog
            node_ref=dialog
            class="dialog"
            aria-labelledby="delete-heading"
            aria-describedby="delete-text"
            on:close=move |_| asked.set(None)
        >
            <h2 id="delete-heading">"Delete this recording?"</h2>
            <p id="delete-text">
                <strong class="filename">{filename}</strong>
                " will be gone for good. This cannot be undone."
            </p>
            <p class="problem-text" role="alert">
                {problem}
            </p>
            <div class="dialog-actions">
                <button type="button" class="button" on:click=move |_| asked.set(None)>
                    "Cancel"
                </button>
                <button type="button" class="button button-strong" disabled=is_busy on:click=delete>
                    <Icon glyph=Glyph::Trash />
                    "Delete"
                </button>
            </div>
        </dialog>
    }
}
