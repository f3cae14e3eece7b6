use leptos::prelude::*;

use super::{ErrorNotice, Loading};

/// The head of a table. The roles are spelled out because narrow screens show tables as cards, and browsers forget
/// that a table is one when its `display` changes.
#[component]
pub(in crate::web) fn Columns(
    /// What the columns are called; one without a name has the actions.
    titles: &'static [&'static str],
) -> impl IntoView {
    let cell = |title: &'static str| {
        let title = match title {
            "" => view! { <span class="visually-hidden">"Actions"</span> }.into_any(),
            title => title.into_any(),
        };
        view! {
            <th role="columnheader" scope="col">
                {title}
            </th>
        }
    };
    view! {
        <thead role="rowgroup">
            <tr role="row">{titles.iter().copied().map(cell).collect_view()}</tr>
        </thead>
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

/// What stands there while something is asked for and when that went wrong.
#[component]
pub(in crate::web) fn Fetching(
    /// What went wrong.
    problem: RwSignal<Option<String>>,
    /// Nothing is there yet.
    #[prop(into)]
    is_waiting: Signal<bool>,
    /// Asks again.
    #[prop(into)]
    on_retry: Callback<()>,
) -> impl IntoView {
    view! {
        <Show when=move || problem.with(Option::is_some)>
            <ErrorNotice
                sentence=Signal::derive(move || problem.get().unwrap_or_default())
                on_action=on_retry
            />
        </Show>
        <Show when=move || is_waiting.get()>
            <Loading label="Loading" bars=4 />
        </Show>
    }
}
