use leptos::html;
use leptos::prelude::*;

use crate::web::submission::Submission;

/// A native modal dialog with a form in it: the browser keeps the focus inside, closes it on Escape and gives the
/// focus back.
#[component]
pub(in crate::web) fn FormDialog(
    /// Whether it is open.
    is_open: Signal<bool>,
    /// Told when the person has closed it.
    #[prop(into)]
    on_close: Callback<()>,
    /// The id of the heading in it.
    named_by: &'static str,
    children: ChildrenFn,
) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        if is_open.get() {
            if !dialog.open() {
                // Fails only for a dialog that is not in the document, where nobody could see it anyway.
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

/// A labelled text field of a form.
#[component]
pub(in crate::web) fn TextField(
    /// Its id, unique on the page.
    id: &'static str,
    /// What it is called.
    label: &'static str,
    /// What is in it.
    value: RwSignal<String>,
    /// `text`, `email`, `password`, `number`.
    #[prop(default = "text")]
    kind: &'static str,
    /// What a browser may fill in.
    #[prop(default = "off")]
    autocomplete: &'static str,
    /// What to know about it.
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

/// A labelled check box of a form.
#[component]
pub(in crate::web) fn CheckField(
    /// Its id, unique on the page.
    id: &'static str,
    /// What it is called.
    label: &'static str,
    /// Whether it is set.
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

/// The end of a form in a sheet: why it could not be sent, and the two ways out.
#[component]
pub(in crate::web) fn FormActions(
    /// What the form sends.
    sending: Submission,
    /// Told when the person does not want it.
    #[prop(into)]
    on_cancel: Callback<()>,
    /// What the button says that sends it.
    action: &'static str,
) -> impl IntoView {
    view! {
        <p class="problem-text" role="alert">
            {sending.problem}
        </p>
        <div class="dialog-actions">
            <button type="button" class="button" on:click=move |_| on_cancel.run(())>
                "Cancel"
            </button>
            <button type="submit" class="button button-primary" disabled=sending.is_busy>
                {action}
            </button>
        </div>
    }
}
