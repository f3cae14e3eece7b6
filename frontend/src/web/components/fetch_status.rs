use leptos::prelude::*;

use super::{ErrorNotice, Glyph, Icon, Loading};
use crate::web::server_data::FetchState;

/// Loading and error state of a request.
#[component]
pub(in crate::web) fn FetchStatus(
    state: FetchState,
    /// Number of skeleton bars.
    #[prop(default = 4)]
    bars: usize,
) -> impl IntoView {
    let problem = state.problem;
    view! {
        <Show when=move || problem.with(Option::is_some)>
            <ErrorNotice
                message=Signal::derive(move || problem.get().unwrap_or_default())
                on_action=state.again
            />
        </Show>
        <Show when=move || state.is_waiting.get()>
            <Loading label="Loading" bars=bars />
        </Show>
    }
}

#[component]
pub(in crate::web) fn RefreshButton(state: FetchState) -> impl IntoView {
    view! {
        <button
            type="button"
            class="button"
            aria-busy=move || state.is_busy.get().to_string()
            on:click=move |_| state.again.run(())
        >
            <span class:spinning=move || state.is_busy.get()>
                <Icon glyph=Glyph::RefreshButton />
            </span>
            "Refresh"
        </button>
    }
}
