use leptos::prelude::*;

use super::{Glyph, Icon};

/// What went wrong, announced at once, with a button to try again.
#[component]
pub(in crate::web) fn ErrorNotice(
    /// What happened and what to do.
    #[prop(into)]
    sentence: Signal<String>,
    /// What the button says.
    #[prop(default = "Try again")]
    action: &'static str,
    /// What the button does.
    #[prop(into)]
    on_action: Callback<()>,
) -> impl IntoView {
    view! {
        <div class="notice notice-problem" role="alert">
            <Icon glyph=Glyph::Alert />
            <p>{sentence}</p>
            <button type="button" class="button" on:click=move |_| on_action.run(())>
                {action}
            </button>
        </div>
    }
}

/// Grey bars where something is about to be.
#[component]
pub(in crate::web) fn Loading(
    /// What is being loaded, for a screen reader.
    label: &'static str,
    /// How many bars.
    #[prop(default = 3)]
    bars: usize,
) -> impl IntoView {
    view! {
        <div class="skeleton" role="status">
            <span class="visually-hidden">{label}</span>
            {(0..bars).map(|_| view! { <div class="skeleton-bar" aria-hidden="true"></div> }).collect_view()}
        </div>
    }
}
