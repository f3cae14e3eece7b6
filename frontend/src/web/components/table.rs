use leptos::prelude::*;

use super::{ErrorNotice, Glyph, Icon, Loading, Pager};
use crate::web::list_query::ListQuery;
use crate::web::server_data::FetchState;

/// A table. The roles are spelled out because narrow screens show tables as cards, and browsers forget that a table
/// is one when its `display` changes.
#[component]
pub(in crate::web) fn Table(
    /// The id of the heading that names it.
    named_by: &'static str,
    /// What the columns are called; one without a name has the actions, one with a `#` before it numbers, and one with
    /// a `*` before it boxes to choose rows with.
    columns: &'static [&'static str],
    /// A class besides.
    #[prop(default = "")]
    class: &'static str,
    /// The rows.
    #[prop(into)]
    rows: ViewFn,
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

/// A cell that says what it is where the table's head is not shown.
#[component]
pub(in crate::web) fn Cell(
    /// The column.
    label: &'static str,
    /// A class besides.
    #[prop(default = "")]
    class: &'static str,
    children: Children,
) -> impl IntoView {
    view! {
        <td role="cell" class=class data-label=label>
            {children()}
        </td>
    }
}

/// A list of one kind of thing, page by page, with what stands there while it is asked for, when that went wrong and
/// when there is nothing.
#[component]
pub(in crate::web) fn PagedTable(
    /// Where in the list this is.
    query: ListQuery,
    /// The question for it.
    asked: FetchState,
    /// How many rows the page has, once that is known.
    count: Signal<Option<usize>>,
    /// The API's address of the next page, if there is one.
    next: Signal<Option<String>>,
    /// The id of the heading that names it.
    named_by: &'static str,
    /// As [`Table`] has them.
    columns: &'static [&'static str],
    /// A class besides.
    #[prop(default = "")]
    class: &'static str,
    /// The rows.
    #[prop(into)]
    rows: ViewFn,
    /// What to say where there are none.
    empty: &'static str,
    /// And what to do then.
    #[prop(default = "")]
    hint: &'static str,
) -> impl IntoView {
    let is_empty = Memo::new(move |_| count.get() == Some(0) && next.with(Option::is_none));
    let has_rows = Memo::new(move |_| count.get().is_some_and(|count| count > 0));
    view! {
        <FetchStatus asked=asked />
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

/// What stands there while something is asked for and when that went wrong.
#[component]
pub(in crate::web) fn FetchStatus(
    /// The question.
    asked: FetchState,
    /// How many bars stand for what is to come.
    #[prop(default = 4)]
    bars: usize,
) -> impl IntoView {
    let problem = asked.problem;
    view! {
        <Show when=move || problem.with(Option::is_some)>
            <ErrorNotice
                sentence=Signal::derive(move || problem.get().unwrap_or_default())
                on_action=asked.again
            />
        </Show>
        <Show when=move || asked.is_waiting.get()>
            <Loading label="Loading" bars=bars />
        </Show>
    }
}

/// The button that asks again.
#[component]
pub(in crate::web) fn RefreshButton(
    /// The question.
    asked: FetchState,
) -> impl IntoView {
    view! {
        <button
            type="button"
            class="button"
            aria-busy=move || asked.is_busy.get().to_string()
            on:click=move |_| asked.again.run(())
        >
            <span class:spinning=move || asked.is_busy.get()>
                <Icon glyph=Glyph::RefreshButton />
            </span>
            "Refresh"
        </button>
    }
}
