use leptos::prelude::*;

use super::{ErrorNotice, Glyph, Icon, Loading, Pager};
use crate::web::list_query::ListQuery;
use crate::web::server_data::FetchState;

/// Table with explicit roles: narrow screens show rows as cards, and browsers drop the table semantics when `display`
/// changes.
#[component]
pub(in crate::web) fn Table(
    /// ID of the heading that labels the table.
    named_by: &'static str,
    /// Column headings. An empty one is the column of actions; the prefix `#` marks numbers and `*` check boxes.
    columns: &'static [&'static str],
    #[prop(default = "")] class: &'static str,
    #[prop(into)] rows: ViewFn,
) -> impl IntoView {
    let head = columns.iter().copied().map(|column| {
        let (class, is_hidden, name) = match column.split_at_checked(1) {
            None => ("number", true, "Actions"),
            Some(("#", name)) => ("number", false, name),
            Some(("*", name)) => ("cell-check", true, name),
            Some(_) => ("", false, column),
        };
        view! {
            <th role="columnheader" scope="col" class=class>
                <span class:visually-hidden=is_hidden>{name}</span>
            </th>
        }
    });
    let head = head.collect_view();
    view! {
        <table class=format!("table {class}") role="table" aria-labelledby=named_by>
            <thead role="rowgroup">
                <tr role="row">{head}</tr>
            </thead>
            <tbody role="rowgroup">{move || rows.run()}</tbody>
        </table>
    }
}

/// Cell that repeats its column heading on narrow screens.
#[component]
pub(in crate::web) fn Cell(
    label: &'static str,
    #[prop(default = "")] class: &'static str,
    children: Children,
) -> impl IntoView {
    view! {
        <td role="cell" class=class data-label=label>
            {children()}
        </td>
    }
}

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
