use leptos::prelude::*;

use super::{Glyph, Icon};
use crate::web::address::Link;
use crate::web::list_query::ListQuery;

/// The ways to the first and to the next page of a list. The way back is the browser's own.
#[component]
pub(in crate::web) fn Pager(
    /// Where in the list this is.
    query: ListQuery,
    /// The API's address of the next page, if there is one.
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
