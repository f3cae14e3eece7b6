use leptos::prelude::*;

use super::{FetchStatus, Pager, Table};
use crate::web::list_query::ListQuery;
use crate::web::server_data::FetchState;

/// Table of one page of a list, with loading, error and empty states.
#[component]
pub(in crate::web) fn PagedTable(
    query: ListQuery,
    /// State of the request for the list.
    state: FetchState,
    /// Rows on the page; `None` while loading.
    count: Signal<Option<usize>>,
    /// API path of the next page.
    next: Signal<Option<String>>,
    /// ID of the heading that labels the table.
    named_by: &'static str,
    columns: &'static [&'static str],
    #[prop(default = "")] class: &'static str,
    #[prop(into)] rows: ViewFn,
    /// Heading of the empty state.
    empty: &'static str,
    /// Advice for the empty state.
    #[prop(default = "")]
    hint: &'static str,
) -> impl IntoView {
    let is_empty = Memo::new(move |_| count.get() == Some(0) && next.with(Option::is_none));
    let has_rows = Memo::new(move |_| count.get().is_some_and(|count| count > 0));
    view! {
        <FetchStatus state=state />
        <Show when=move || is_empty.get()>
            <div class="empty card">
                <p class="empty-heading">{empty}</p>
                <p class="quiet">{hint}</p>
                <Show when=move || query.is_restricted()>
                    <button type="button" class="button" on:click=move |_| query.clear()>
                        "Show all"
                    </button>
                </Show>
            </div>
        </Show>
        {move || {
            has_rows
                .get()
                .then(|| view! { <Table named_by=named_by columns=columns class=class rows=rows.clone() /> })
        }}
        <Pager query=query next=next />
    }
}
