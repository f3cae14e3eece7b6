use leptos::prelude::*;

use super::{Glyph, Icon};
use crate::web::address::Link;
use crate::web::list_query::ListQuery;

/// Links to the first, the previous and the next page of a list. The previous page is known if it was visited in this
/// tab.
#[component]
pub(in crate::web) fn Pager(
    query: ListQuery,
    /// API path of the next page.
    next: Signal<Option<String>>,
) -> impl IntoView {
    let is_later = move || !query.cursor().is_empty();
    let previous = Memo::new(move |_| query.previous().filter(|_| is_later()));
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
                    previous
                        .get()
                        .map(|previous| {
                            view! {
                                <Link to=previous attr:class="button">
                                    <Icon glyph=Glyph::Previous />
                                    "Previous page"
                                </Link>
                            }
                        })
                }}
                {move || {
                    next.get()
                        .map(|next| {
                            let next = query.after(&next);
                            let address = next.clone();
                            view! {
                                <Link
                                    to=next
                                    attr:class="button pager-next"
                                    on:click=move |_| query.leave_for(&address)
                                >
                                    "Next page"
                                    <Icon glyph=Glyph::Next />
                                </Link>
                            }
                        })
                }}
            </nav>
        </Show>
    }
}
