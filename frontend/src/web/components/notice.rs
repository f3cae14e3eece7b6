use leptos::prelude::*;

use super::{Glyph, Icon};

/// Error message with a button, announced immediately.
#[component]
pub(in crate::web) fn ErrorNotice(
    #[prop(into)] message: Signal<String>,
    /// Label of the button.
    #[prop(default = "Try again")]
    action: &'static str,
    #[prop(into)] on_action: Callback<()>,
) -> impl IntoView {
    view! {
        <div class="notice notice-problem" role="alert">
            <Icon glyph=Glyph::Alert />
            <p>{message}</p>
            <button type="button" class="button" on:click=move |_| on_action.run(())>
                {action}
            </button>
        </div>
    }
}

/// Skeleton while data is loading.
#[component]
pub(in crate::web) fn Loading(
    /// Announcement for screen readers.
    label: &'static str,
    #[prop(default = 3)] bars: usize,
) -> impl IntoView {
    view! {
        <div class="skeleton" role="status">
            <span class="visually-hidden">{label}</span>
            {(0..bars).map(|_| view! { <div class="skeleton-bar" aria-hidden="true"></div> }).collect_view()}
        </div>
    }
}
