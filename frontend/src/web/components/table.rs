use leptos::prelude::*;

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
