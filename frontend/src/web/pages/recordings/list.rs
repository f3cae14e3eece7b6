use leptos::either::Either;
use leptos::prelude::*;

use super::filters::RecordingFilters;
use super::row::RecordingRow;
use super::shelf::{LIST, Scope, Shelf};
use crate::web::components::{Confirm, ErrorNotice, Glyph, Icon, Loading, Pager};

/// The button that asks for the list again.
#[component]
pub(super) fn Refresh(shelf: Shelf) -> impl IntoView {
    view! {
        <button
            type="button"
            class="button"
            aria-busy=move || shelf.page.is_busy().to_string()
            on:click=move |_| shelf.page.load()
        >
            <span class:spinning=move || shelf.page.is_busy()>
                <Icon glyph=Glyph::Refresh />
            </span>
            "Refresh"
        </button>
    }
}

/// The list itself: filters, rows, pages, and the dialog that asks before anything is deleted.
#[component]
pub(super) fn RecordingList(
    /// The list.
    shelf: Shelf,
    /// The id of the heading that names it.
    named_by: &'static str,
) -> impl IntoView {
    let problem = shelf.page.problem();
    view! {
        <p class="visually-hidden" role="status">
            {move || shelf.announcement()}
        </p>
        <RecordingFilters shelf=shelf />
        <Show when=move || problem.with(Option::is_some)>
            <ErrorNotice
                sentence=Signal::derive(move || problem.get().unwrap_or_default())
                on_action=move |()| shelf.page.load()
            />
        </Show>
        <div id=LIST tabindex="-1">
            <Show when=move || shelf.page.is_waiting()>
                <Loading label="Loading the recordings" bars=5 />
            </Show>
            <Show when=move || shelf.is_empty()>
                <Empty shelf=shelf />
            </Show>
            <Show when=move || shelf.has_rows()>
                <Chosen shelf=shelf />
                <Table shelf=shelf named_by=named_by />
            </Show>
        </div>
        <Pager
            place=shelf.place
            next=Signal::derive(move || shelf.page.with(|page| page.next.clone()).flatten())
        />
        <Confirm asked=shelf.asked />
    }
}

/// What stands where there are no rows.
#[component]
fn Empty(shelf: Shelf) -> impl IntoView {
    let words = match shelf.scope {
        Scope::Mine => "No recordings",
        Scope::All => "No recordings found",
    };
    let hint = move || {
        if shelf.is_filtered() {
            Either::Left(view! {
                <p class="quiet">"No recording fits these filters."</p>
                <button type="button" class="button" on:click=move |_| shelf.place.clear()>
                    "Show all"
                </button>
            })
        } else {
            Either::Right(
                view! { <p class="quiet">"What is recorded appears here, even while it is still running."</p> },
            )
        }
    };
    view! {
        <div class="empty card">
            <Icon glyph=Glyph::Film />
            <p class="empty-heading">{words}</p>
            {hint}
        </div>
    }
}

/// What can be done with the rows that are chosen.
#[component]
fn Chosen(shelf: Shelf) -> impl IntoView {
    let chosen = Memo::new(move |_| shelf.chosen());
    let count = move || chosen.with(Vec::len);
    let is_all = move || count() > 0 && count() == shelf.rows().len();
    let is_some = move || count() > 0 && !is_all();
    view! {
        <div class="chosen">
            <span class="check">
                <input
                    id="choose-all"
                    type="checkbox"
                    prop:checked=is_all
                    prop:indeterminate=is_some
                    on:change=move |event| shelf.choose_all(event_target_checked(&event))
                />
                <label for="choose-all">"Select all on this page"</label>
            </span>
            <Show when=move || { count() > 0 }>
                <span class="quiet" role="status">
                    {move || format!("{} selected", count())}
                </span>
                <button
                    type="button"
                    class="button"
                    on:click=move |_| shelf.ask_to_delete(&chosen.get_untracked())
                >
                    <Icon glyph=Glyph::Trash />
                    "Delete selected"
                </button>
            </Show>
        </div>
    }
}

/// The rows. The roles are spelled out because narrow screens show the table as cards, and browsers forget that a
/// table is one when its `display` changes.
#[component]
fn Table(shelf: Shelf, named_by: &'static str) -> impl IntoView {
    let columns: &[(&str, &str)] = match shelf.scope {
        Scope::Mine => &[
            ("Name", ""),
            ("Status", ""),
            ("Duration", "number"),
            ("Size", "number"),
        ],
        Scope::All => &[
            ("ID", ""),
            ("Session", ""),
            ("User", ""),
            ("Duration", "number"),
            ("Size", "number"),
            ("Status", ""),
        ],
    };
    let class = match shelf.scope {
        Scope::Mine => "table recordings",
        Scope::All => "table recordings recordings-all",
    };
    view! {
        <table class=class role="table" aria-labelledby=named_by>
            <thead role="rowgroup">
                <tr role="row">
                    <th role="columnheader" scope="col" class="cell-check">
                        <span class="visually-hidden">"Selection"</span>
                    </th>
                    {columns
                        .iter()
                        .map(|(title, class)| {
                            view! {
                                <th role="columnheader" scope="col" class=*class>
                                    {*title}
                                </th>
                            }
                        })
                        .collect_view()}
                    <th role="columnheader" scope="col" class="number">
                        <span class="visually-hidden">"Actions"</span>
                    </th>
                </tr>
            </thead>
            <tbody role="rowgroup">
                <For each=move || shelf.rows() key=|row| row.id.clone() let:row>
                    <RecordingRow shelf=shelf first=row />
                </For>
            </tbody>
        </table>
    }
}
