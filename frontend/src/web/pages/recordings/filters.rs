use leptos::prelude::*;
use sortie_api::{RecordingStatus, User};

use super::store::{RecordingsStore, Scope};
use crate::list_page::{ORDERS, Page};
use crate::query;
use crate::status_texts;
use crate::web::components::{Choice, DayField, Filters, SearchField};
use crate::web::server_data::ServerData;

const STATUSES: [RecordingStatus; 5] = [
    RecordingStatus::Recording,
    RecordingStatus::Uploading,
    RecordingStatus::Processing,
    RecordingStatus::Ready,
    RecordingStatus::Failed,
];

/// Filters and order of a list of recordings.
#[component]
pub(super) fn RecordingFilters(store: RecordingsStore) -> impl IntoView {
    let query = store.query;
    let statuses = STATUSES
        .map(|status| {
            (
                status_texts::status_class(status).to_owned(),
                status_texts::status(status).to_owned(),
            )
        })
        .to_vec();
    let orders = ORDERS
        .map(|(key, text, ..)| (key.to_owned(), text.to_owned()))
        .to_vec();
    let hint = match store.scope {
        Scope::Mine => "Name, ID or session",
        Scope::All | Scope::Appliance => "Name, ID, session or user",
    };
    view! {
        <Filters query=query is_filtered=Signal::derive(move || store.is_filtered())>
            <SearchField query=query name="q" label="Search" hint=hint />
            <Choice query=query name="status" label="Status" all="All" choices=statuses.clone() />
            {(store.scope == Scope::All)
                .then(|| view! { <UserField store=store /> })}
            <DayField query=query name="from" label="From" />
            <DayField query=query name="to" label="To" />
            <Choice query=query name="sort" label="Order" choices=orders.clone() />
        </Filters>
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
        <SearchField query=store.query name="user_id" label="User" hint="User name" list=OFFERED typed=typed />
        <datalist id=OFFERED>{offered}</datalist>
    }
}
