use leptos::prelude::*;

use crate::web::dom;

/// Date and time in the user's time zone and language.
#[component]
pub(in crate::web) fn LocalTime(
    /// RFC 3339.
    #[prop(into)]
    at: Signal<String>,
) -> impl IntoView {
    view! { <time datetime=move || at.get()>{move || dom::local_time(&at.get())}</time> }
}
