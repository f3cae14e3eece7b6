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

/// Text field with a label.
#[component]
pub(in crate::web) fn TextField(
    /// ID, unique on the page.
    id: &'static str,
    label: &'static str,
    value: RwSignal<String>,
    /// Type of the `<input>`.
    #[prop(default = "text")]
    kind: &'static str,
    /// Value of the `autocomplete` attribute.
    #[prop(default = "off")]
    autocomplete: &'static str,
    /// Description below the field.
    #[prop(default = "")]
    hint: &'static str,
) -> impl IntoView {
    let hint_id = format!("{id}-hint");
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <input
                id=id
                class="input"
                type=kind
                autocomplete=autocomplete
                autocapitalize="none"
                spellcheck="false"
                aria-describedby=(!hint.is_empty()).then(|| hint_id.clone())
                prop:value=move || value.get()
                on:input=move |event| value.set(event_target_value(&event))
            />
            {(!hint.is_empty())
                .then(|| {
                    view! {
                        <p id=hint_id.clone() class="field-hint">
                            {hint}
                        </p>
                    }
                })}
        </div>
    }
}

/// Check box with a label.
#[component]
pub(in crate::web) fn CheckField(
    /// ID, unique on the page.
    id: &'static str,
    label: &'static str,
    value: RwSignal<bool>,
) -> impl IntoView {
    view! {
        <div class="check">
            <input
                id=id
                type="checkbox"
                prop:checked=move || value.get()
                on:change=move |event| value.set(event_target_checked(&event))
            />
            <label for=id>{label}</label>
        </div>
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
