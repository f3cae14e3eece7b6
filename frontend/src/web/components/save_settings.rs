use leptos::prelude::*;

/// Submit button of a settings form, with the result.
#[component]
pub(in crate::web) fn SaveSettings(
    /// Whether the button is disabled. It stays focusable.
    #[prop(into)]
    is_off: Signal<bool>,
    success: RwSignal<&'static str>,
    problem: RwSignal<Option<String>>,
) -> impl IntoView {
    view! {
        <button type="submit" class="button button-primary" aria-disabled=move || is_off.get().to_string()>
            "Save Settings"
        </button>
        <p class="saved" role="status">
            {success}
        </p>
        <p class="problem-text" role="alert">
            {problem}
        </p>
    }
}
