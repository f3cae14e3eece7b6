use leptos::prelude::*;

/// The end of a form of settings: the button, and what became of pressing it.
#[component]
pub(in crate::web) fn SaveSettings(
    /// Whether pressing it would do nothing now.
    #[prop(into)]
    is_off: Signal<bool>,
    /// What has been done.
    told: RwSignal<&'static str>,
    /// What went wrong.
    problem: RwSignal<Option<String>>,
) -> impl IntoView {
    view! {
        <button type="submit" class="button button-primary" aria-disabled=move || is_off.get().to_string()>
            "Save Settings"
        </button>
        <p class="saved" role="status">
            {told}
        </p>
        <p class="problem-text" role="alert">
            {problem}
        </p>
    }
}
