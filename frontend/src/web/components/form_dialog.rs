use leptos::html;
use leptos::prelude::*;

use crate::web::submission::Submission;

/// Modal dialog with a form. The native `<dialog>` traps the focus, closes on Escape and restores the focus.
#[component]
pub(in crate::web) fn FormDialog(
    is_open: Signal<bool>,
    /// Called when the user closes the dialog.
    #[prop(into)]
    on_close: Callback<()>,
    /// ID of its heading.
    named_by: &'static str,
    children: ChildrenFn,
) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        if is_open.get() {
            if !dialog.open() {
                // Fails only for a dialog outside of the document.
                let _ = dialog.show_modal();
            }
        } else {
            dialog.close();
        }
    });
    view! {
        <dialog node_ref=dialog class="dialog" aria-labelledby=named_by on:close=move |_| on_close.run(())>
            {children()}
        </dialog>
    }
}

/// End of a form in a dialog: error message, Cancel and submit buttons.
#[component]
pub(in crate::web) fn FormActions(
    /// Request that the form sends.
    submission: Submission,
    #[prop(into)] on_cancel: Callback<()>,
    /// Label of the submit button.
    action: &'static str,
) -> impl IntoView {
    view! {
        <p class="problem-text" role="alert">
            {submission.problem}
        </p>
        <div class="dialog-actions">
            <button type="button" class="button" on:click=move |_| on_cancel.run(())>
                "Cancel"
            </button>
            <button type="submit" class="button button-primary" disabled=submission.is_busy>
                {action}
            </button>
        </div>
    }
}
