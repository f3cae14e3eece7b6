use leptos::prelude::*;

use super::{Glyph, Icon};
use crate::web::address::Link;
use crate::web::list_query::ListQuery;

/// Links to the first and to the next page of a list. The browser's Back button leads to the previous one.
#[component]
pub(in crate::web) fn Pager(
    query: ListQuery,
    /// API path of the next page.
    next: Signal<Option<String>>,
) -> impl IntoView {
    let is_later = move || !query.cursor().is_empty();
    view! {
        <Show when=move || is_later() || next.with(Option::is_some)>
            <nav class="pager" aria-label="Pages">
                <Show when=is_later>
                    <Link to=move || query.first() attr:class="button">
                        <Icon glyph=Glyph::Back />
                        "First page"
                    </Link>
                </Show>
                {move || {
                    next.get()
                        .map(|next| {
                            view! {
                                <Link to=query.after(&next) attr:class="button pager-next">
                                    "Next page"
                                </Link>
                            }
                        })
                }}
            </nav>
        </Show>
    }
}
