use leptos::either::Either;
use leptos::ev;
use leptos::prelude::*;
use leptos::wasm_bindgen::JsCast;

use super::keys;
use super::row::RecordingRow;
use super::selection::SelectionBar;
use super::store::{LIST, RecordingsStore, Scope};
use super::toolbar::{Search, Toolbar, ViewSwitch};
use super::undo::UndoBar;
use crate::library::key_map::HELP;
use crate::web::components::{ConfirmDialog, FetchStatus, Glyph, Icon, LiveRegion, Pager};
use crate::web::dom;
use crate::web::pages::player::shortcuts::Help;

/// Library of recordings: heading, search, filters, rows, selection, pager and dialogs.
#[component]
pub(in crate::web) fn RecordingList(
    store: RecordingsStore,
    /// ID of the heading that labels the list.
    named_by: &'static str,
    /// Heading of the page or panel.
    heading: ViewFn,
    /// Buttons beside the search field.
    actions: ViewFn,
) -> impl IntoView {
    let help = RwSignal::new(false);
    keys::listen(store, help);
    close_menus(store);
    view! {
        <p class="visually-hidden" role="status">
            {move || store.announcement()}
        </p>
        <LiveRegion text=store.changes() />
        <div class="library-head">
            {heading.run()}
            <Search store=store />
            <div class="page-actions">
                <ViewSwitch store=store />
                <button
                    type="button"
                    class="button button-quiet button-keys"
                    aria-label="Keys"
                    title="Keys (?)"
                    on:click=move |_| help.set(true)
                >
                    <Icon glyph=Glyph::Help />
                </button>
                {actions.run()}
            </div>
        </div>
        <Toolbar store=store />
        <div id=LIST tabindex="-1">
            <FetchStatus state=store.page.fetch_state() bars=5 />
            <Show when=move || store.is_empty()>
                <Empty store=store />
            </Show>
            <Show when=move || store.has_rows()>
                <Rows store=store named_by=named_by />
            </Show>
        </div>
        <Pager query=store.query next=store.page.next() />
        <UndoBar store=store />
        <SelectionBar store=store />
        <ConfirmDialog confirmation=store.confirmation />
        <Help is_open=help keys=&HELP />
    }
}

/// Closes the menu of a row after a click elsewhere, and on Escape.
fn close_menus(store: RecordingsStore) {
    let clicks = window_event_listener(ev::pointerdown, move |event| {
        let target = event.target();
        let target = target.and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let is_menu = target.is_some_and(|it| matches!(it.closest(".cell-actions"), Ok(Some(_))));
        if !is_menu && store.open_menu.with_untracked(Option::is_some) {
            store.open_menu.set(None);
        }
    });
    let keys = window_event_listener(ev::keydown, move |event| {
        if event.key() == "Escape"
            && let Some(id) = store.open_menu.get_untracked()
        {
            store.open_menu.set(None);
            dom::focus(&format!("more-{id}"));
        }
    });
    on_cleanup(move || {
        clicks.remove();
        keys.remove();
    });
}

#[component]
fn Empty(store: RecordingsStore) -> impl IntoView {
    let text = match store.scope {
        Scope::Mine | Scope::Appliance => "No recordings",
        Scope::All => "No recordings found",
    };
    let hint = move || {
        if store.is_filtered() {
            let text = match store.is_trash() {
                true => "The trash has no such recordings.",
                false => "No matches. Try other words or clear the filters.",
            };
            Either::Left(view! {
                <p class="quiet">{text}</p>
                <button type="button" class="button" on:click=move |_| store.query.clear()>
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
            <p class="empty-heading">{text}</p>
            {hint}
        </div>
    }
}

/// Rows in groups of one day. Cards and list are the same table with other styles.
#[component]
fn Rows(store: RecordingsStore, named_by: &'static str) -> impl IntoView {
    let is_all = store.scope == Scope::All;
    let class = move || {
        let view = if store.is_grid.get() {
            "library-grid"
        } else {
            "library-list"
        };
        let scope = match store.scope {
            Scope::All => "library-all",
            Scope::Mine => "library-mine",
            Scope::Appliance => "library-mine library-appliance",
        };
        format!("library {view} {scope}")
    };
    let (name, when) = match store.scope {
        Scope::Appliance => ("Filename", "Date"),
        Scope::Mine | Scope::All => ("Title", "When"),
    };
    let days = Memo::new(move |_| store.days());
    let groups =
        move || days.with(|days| days.iter().map(|day| day.date.clone()).collect::<Vec<_>>());
    let rows_of = move |date: &str| {
        days.with(|days| {
            let day = days.iter().find(|day| day.date == date);
            day.map(|day| day.rows.clone()).unwrap_or_default()
        })
    };
    view! {
        <table class=class role="table" aria-labelledby=named_by>
            <thead role="rowgroup">
                <tr role="row">
                    <Column name="Selection" class="cell-check" is_hidden=true />
                    <Column name="Picture" class="cell-poster" is_hidden=true />
                    <Column name=name class="cell-name" />
                    {is_all
                        .then(|| {
                            view! {
                                <Column name="ID" class="cell-id" />
                                <Column name="Session" class="cell-session" />
                                <Column name="User" class="cell-user" />
                            }
                        })}
                    <SortColumn store=store name=when class="cell-when" keys=["", "oldest"] />
                    <SortColumn store=store name="Duration" class="number cell-duration" keys=["longest", "shortest"] />
                    <SortColumn store=store name="Size" class="number cell-size" keys=["largest", "smallest"] />
                    <Column name="Status" class="cell-status" />
                    <Column name="Actions" class="cell-actions" is_hidden=store.scope != Scope::Appliance />
                </tr>
            </thead>
            <For each=groups key=String::clone let:date>
                {
                    let name = if date.is_empty() { String::new() } else { dom::day_heading(&date) };
                    let date = StoredValue::new(date);
                    // The heading is no row of the table.
                    view! {
                        <tbody role="rowgroup" class="day" aria-label=name.clone() data-day=name>
                            <For each=move || date.with_value(|date| rows_of(date)) key=|row| row.id.clone() let:row>
                                <RecordingRow store=store first=row />
                            </For>
                        </tbody>
                    }
                }
            </For>
        </table>
    }
}

#[component]
fn Column(
    name: &'static str,
    class: &'static str,
    #[prop(optional)] is_hidden: bool,
) -> impl IntoView {
    view! {
        <th role="columnheader" scope="col" class=class>
            <span class:visually-hidden=is_hidden>{name}</span>
        </th>
    }
}

/// Column heading that sorts the list.
#[component]
fn SortColumn(
    store: RecordingsStore,
    name: &'static str,
    class: &'static str,
    /// Keys of the descending and the ascending order in the page's address.
    keys: [&'static str; 2],
) -> impl IntoView {
    let query = store.query;
    let [descending, ascending] = keys;
    let sort = move || {
        let key = query.get("sort");
        match () {
            () if key == descending => Some("descending"),
            () if key == ascending => Some("ascending"),
            () => None,
        }
    };
    let on_click = move |_| {
        let is_descending = query.get_untracked("sort") == descending;
        query.set("sort", if is_descending { ascending } else { descending });
    };
    view! {
        <th role="columnheader" scope="col" class=class aria-label=name aria-sort=sort>
            <button type="button" class="sort" on:click=on_click>
                {name}
            </button>
        </th>
    }
}
