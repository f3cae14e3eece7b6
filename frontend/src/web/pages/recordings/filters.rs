use leptos::prelude::*;
use sortie_api::{RecordingStatus, User};

use super::shelf::{Scope, Shelf};
use crate::listing::{ORDERS, Page};
use crate::query;
use crate::web::components::{Choice, DayField, Filters, SearchField};
use crate::web::loaded::Loaded;
use crate::words;

const STATUSES: [RecordingStatus; 5] = [
    RecordingStatus::Recording,
    RecordingStatus::Uploading,
    RecordingStatus::Processing,
    RecordingStatus::Ready,
    RecordingStatus::Failed,
];

/// What restricts and orders a list of recordings.
#[component]
pub(super) fn RecordingFilters(shelf: Shelf) -> impl IntoView {
    let place = shelf.place;
    let statuses = STATUSES
        .map(|status| {
            (
                words::status_class(status).to_owned(),
                words::status(status).to_owned(),
            )
        })
        .to_vec();
    let orders = ORDERS
        .map(|(key, words, ..)| (key.to_owned(), words.to_owned()))
        .to_vec();
    let hint = match shelf.scope {
        Scope::Mine => "Name, ID or session",
        Scope::All | Scope::Appliance => "Name, ID, session or user",
    };
    view! {
        <Filters place=place is_filtered=Signal::derive(move || shelf.is_filtered())>
            <SearchField place=place name="q" label="Search" hint=hint />
            <Choice place=place name="status" label="Status" all="All" choices=statuses.clone() />
            {(shelf.scope == Scope::All)
                .then(|| view! { <UserField shelf=shelf /> })}
            <DayField place=place name="from" label="From" />
            <DayField place=place name="to" label="To" />
            <Choice place=place name="sort" label="Order" choices=orders.clone() />
        </Filters>
    }
}

/// The owner, by name. Those whose name or mail address has what is typed are offered.
#[component]
fn UserField(shelf: Shelf) -> impl IntoView {
    const OFFERED: &str = "filter-users";
    let typed = RwSignal::new(String::new());
    let address = Memo::new(move |_| {
        let typed = typed.get();
        query::address("/api/admin/users", &[("limit", "20"), ("q", typed.trim())])
    });
    let users = Loaded::<Page<User>>::list(address);
    let offered = move || {
        let users = users.rows().into_iter();
        users
            .map(|user| view! { <option value=user.username></option> })
            .collect_view()
    };
    view! {
        <SearchField place=shelf.place name="user_id" label="User" hint="User name" list=OFFERED typed=typed />
        <datalist id=OFFERED>{offered}</datalist>
    }
}
