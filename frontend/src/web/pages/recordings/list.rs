use leptos::either::Either;
use leptos::prelude::*;

use super::filters::RecordingFilters;
use super::row::RecordingRow;
use super::shelf::{LIST, Scope, Shelf};
use crate::web::components::{Confirm, Fetching, Glyph, Icon, Pager, Spoken, Table};

/// The list itself: filters, rows, pages, and the dialog that asks before anything is deleted.
#[component]
pub(super) fn RecordingList(
    /// The list.
    shelf: Shelf,
    /// The id of the heading that names it.
    named_by: &'static str,
) -> impl IntoView {
    view! {
        <p class="visually-hidden" role="status">
            {move || shelf.announcement()}
        </p>
        <Spoken text=shelf.changes() />
        <RecordingFilters shelf=shelf />
        <div id=LIST tabindex="-1">
            <Fetching asked=shelf.page.asked() bars=5 />
            <Show when=move || shelf.is_empty()>
                <Empty shelf=shelf />
            </Show>
            <Show when=move || shelf.has_rows()>
                <Chosen shelf=shelf />
                <Rows shelf=shelf named_by=named_by />
            </Show>
        </div>
        <Pager
            place=shelf.place
            next=shelf.page.next()
        />
        <Confirm asked=shelf.asked />
    }
}

/// What stands where there are no rows.
#[component]
fn Empty(shelf: Shelf) -> impl IntoView {
    let words = match shelf.scope {
        Scope::Mine => "No recordings",
        Scope::All | Scope::Appliance => "No recordings found",
    };
    let hint = move || {
        if shelf.is_filtered() {
            Either::Left(view! {
                <p class="quiet">"No matches. Try other words or clear the filters."</p>
                <button type="button" class="button" on:click=move |_| shelf.place.clear()>
                    "Show all"
                </button>
            })
        } else {
            Either::Right(
                view! { <p class="quiet">"Your recordings appear here as soon as you start one."</p> },
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
    let is_all = move || count() > 0 && count() == shelf.page.rows().len();
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

/// The rows.
#[component]
fn Rows(shelf: Shelf, named_by: &'static str) -> impl IntoView {
    let columns: &[&str] = match shelf.scope {
        Scope::Mine => &["*Selection", "Name", "Status", "#Duration", "#Size", ""],
        Scope::All | Scope::Appliance => &[
            "*Selection",
            "ID",
            "Session",
            "User",
            "#Duration",
            "#Size",
            "Status",
            "",
        ],
    };
    let class = match shelf.scope {
        Scope::Mine => "recordings",
        Scope::All | Scope::Appliance => "recordings recordings-all",
    };
    let rows = move || {
        view! {
            <For each=move || shelf.page.rows() key=|row| row.id.clone() let:row>
                <RecordingRow shelf=shelf first=row />
            </For>
        }
    };
    view! { <Table named_by=named_by columns=columns class=class rows=rows /> }
}
