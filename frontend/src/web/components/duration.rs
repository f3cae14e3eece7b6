use leptos::prelude::*;

use crate::format;

/// Duration: a clock on the screen, words for screen readers.
#[component]
pub(in crate::web) fn Duration(#[prop(into)] duration_ms: Signal<u64>) -> impl IntoView {
    view! {
        <span class="digits" aria-hidden="true">
            {move || format::clock(duration_ms.get())}
        </span>
        <span class="visually-hidden">{move || format::duration_words(duration_ms.get())}</span>
    }
}
