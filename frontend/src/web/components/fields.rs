use leptos::prelude::*;

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
    #[prop(into)] label: String,
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
