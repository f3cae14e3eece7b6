use leptos::prelude::*;
use sortie_api::{RecordingStatus, User};

use super::store::{RecordingsStore, Scope};
use crate::library::filters::{DATES, LENGTHS, RANGE, SOURCES};
use crate::list_page::{ORDERS, Page};
use crate::query;
use crate::status_texts;
use crate::web::components::{Choice, DayField, Glyph, Icon, SearchField};
use crate::web::server_data::ServerData;

const STATUSES: [RecordingStatus; 5] = [
    RecordingStatus::Recording,
    RecordingStatus::Uploading,
    RecordingStatus::Processing,
    RecordingStatus::Ready,
    RecordingStatus::Failed,
];

/// Search field of a list, applied while the user types.
#[component]
pub(super) fn Search(store: RecordingsStore) -> impl IntoView {
    let hint = match store.scope {
        Scope::Mine | Scope::Appliance => "Search",
        Scope::All => "Search, also by user",
    };
    view! {
        <form class="library-search" role="search" on:submit=|event| event.prevent_default()>
            <SearchField query=store.query name="q" label="Search" hint=hint is_live=true />
        </form>
    }
}

/// Buttons for the view as cards or as a list.
#[component]
pub(super) fn ViewSwitch(store: RecordingsStore) -> impl IntoView {
    let button = |is_grid: bool, label: &'static str, glyph: Glyph| {
        view! {
            <button
                type="button"
                class="button button-segment"
                aria-label=label
                title=label
                aria-pressed=move || (store.is_grid.get() == is_grid).to_string()
                on:click=move |_| store.set_grid(is_grid)
            >
                <Icon glyph=glyph />
            </button>
        }
    };
    view! {
        <div class="segments" role="group" aria-label="View">
            {button(true, "Grid", Glyph::Grid)}
            {button(false, "List", Glyph::List)}
        </div>
    }
}

/// Filters and order of a list, the choice of all rows, and the place in the list.
#[component]
pub(super) fn Toolbar(store: RecordingsStore) -> impl IntoView {
    let query = store.query;
    let choices = |pairs: Vec<(&str, &str)>| {
        let pairs = pairs.into_iter();
        pairs
            .map(|(value, text)| (value.to_owned(), text.to_owned()))
            .collect::<Vec<_>>()
    };
    let statuses = Signal::derive(move || {
        let trash = (store.app.trash_days() > 0).then_some(RecordingStatus::Trashed);
        let statuses = STATUSES.into_iter().chain(trash);
        let choice = |status| {
            let key = status_texts::status_class(status).to_owned();
            (key, status_texts::status(status).to_owned())
        };
        statuses.map(choice).collect::<Vec<_>>()
    });
    let dates = DATES.iter().map(|(key, text, _)| (*key, *text));
    let dates = dates.chain([(RANGE, "From … to …")]).collect();
    let lengths = LENGTHS
        .iter()
        .map(|(key, text, ..)| (*key, *text))
        .collect();
    let orders = ORDERS.iter().map(|(key, text, ..)| (*key, *text)).collect();
    let is_range =
        Memo::new(move |_| query.get("date") == RANGE || query.is_filtered(&["from", "to"]));
    let is_unwatched = Memo::new(move |_| query.get("unwatched") == "true");
    let is_filtered = Memo::new(move |_| store.is_filtered());
    view! {
        <div class="chips" role="group" aria-label="Filters">
            <ChooseAll store=store />
            <Choice query=query name="status" label="Status" all="Any status" choices=statuses />
            <Choice query=query name="date" label="Date" all="Any date" choices=choices(dates) />
            <Show when=move || is_range.get()>
                <DayField query=query name="from" label="From" />
                <DayField query=query name="to" label="To" />
            </Show>
            <Choice query=query name="length" label="Length" all="Any length" choices=choices(lengths) />
            <Choice query=query name="source" label="Source" all="Any source" choices=choices(SOURCES.to_vec()) />
            <button
                type="button"
                class="chip"
                aria-pressed=move || is_unwatched.get().to_string()
                on:click=move |_| query.set("unwatched", if is_unwatched.get_untracked() { "" } else { "true" })
            >
                "Unwatched"
            </button>
            {(store.scope == Scope::All)
                .then(|| view! { <UserField store=store /> })}
            <Choice query=query name="sort" label="Order" choices=choices(orders) />
            <Show when=move || is_filtered.get()>
                <button type="button" class="button button-quiet" on:click=move |_| query.clear()>
                    "Clear filters"
                </button>
            </Show>
            <p class="library-range quiet digits">{move || store.range()}</p>
        </div>
    }
}

/// Check box for all rows of the page.
#[component]
fn ChooseAll(store: RecordingsStore) -> impl IntoView {
    let count = Memo::new(move |_| store.selected().len());
    let is_all = move || count.get() > 0 && count.get() == store.page.rows().len();
    let is_some = move || count.get() > 0 && !is_all();
    view! {
        <Show when=move || store.has_rows()>
            <input
                type="checkbox"
                class="choose-all"
                aria-label="Select all on this page"
                title="Select all on this page"
                prop:checked=is_all
                prop:indeterminate=is_some
                on:change=move |event| store.select_all(event_target_checked(&event))
            />
        </Show>
    }
}

/// Filter by owner, with suggestions by name and mail address.
#[component]
fn UserField(store: RecordingsStore) -> impl IntoView {
    const OFFERED: &str = "filter-users";
    let typed = RwSignal::new(String::new());
    let address = Memo::new(move |_| {
        let typed = typed.get();
        query::address("/api/admin/users", &[("limit", "20"), ("q", typed.trim())])
    });
    let users = ServerData::<Page<User>>::list(address);
    let offered = move || {
        let users = users.rows().into_iter();
        users
            .map(|user| view! { <option value=user.username></option> })
            .collect_view()
    };
    view! {
        <SearchField query=store.query name="user_id" label="User" hint="Any user" list=OFFERED typed=typed />
        <datalist id=OFFERED>{offered}</datalist>
    }
}
