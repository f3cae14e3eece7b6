use leptos::prelude::*;

use crate::format;
use crate::web::dom;

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

/// Date and time in the user's time zone and language.
#[component]
pub(in crate::web) fn LocalTime(
    /// RFC 3339.
    #[prop(into)]
    at: Signal<String>,
) -> impl IntoView {
    view! { <time datetime=move || at.get()>{move || dom::local_time(&at.get())}</time> }
}
