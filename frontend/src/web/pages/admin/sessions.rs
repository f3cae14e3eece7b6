use gloo_timers::callback::Timeout;
use leptos::prelude::*;
use sortie_api::{Event, RecordingRequirement, Session, SessionStatus};

use crate::list_page::Page;
use crate::query;
use crate::web::address::url;
use crate::web::components::{
    Cell, Choice, Filters, LocalTime, PagedTable, RefreshButton, SearchField,
};
use crate::web::event_stream::{any_event, subscribe};
use crate::web::list_query::ListQuery;
use crate::web::server_data::ServerData;

const ROUTE: &str = "/api/sessions";
/// Events within this time reload the list once.
const DEBOUNCE_MS: u32 = 500;
const STATUSES: [SessionStatus; 5] = [
    SessionStatus::Creating,
    SessionStatus::Running,
    SessionStatus::Stopped,
    SessionStatus::Expired,
    SessionStatus::Failed,
];
const FILTERS: [&str; 3] = ["status", "external_id", "metadata"];

/// Value of the filter and label of a status.
fn status_texts(status: SessionStatus) -> (&'static str, &'static str) {
    match status {
        SessionStatus::Creating => ("creating", "Creating"),
        SessionStatus::Running => ("running", "Running"),
        SessionStatus::Stopped => ("stopped", "Stopped"),
        SessionStatus::Expired => ("expired", "Expired"),
        SessionStatus::Failed => ("failed", "Failed"),
    }
}

/// List of all users' sessions, which follows their changes. A required recording that is missing is marked.
#[component]
pub(super) fn SessionsTab() -> impl IntoView {
    let query = ListQuery::here();
    let address = Memo::new(move |_| {
        let values = FILTERS.map(|name| query.get(name));
        let cursor = query.cursor();
        let mut parameters = vec![("all", "true"), ("limit", "50"), ("cursor", &*cursor)];
        parameters.extend(FILTERS.into_iter().zip(values.iter().map(|value| &**value)));
        query::address(ROUTE, &parameters)
    });
    let sessions = ServerData::<Page<Session>>::list(address);
    let reload = StoredValue::new_local(None::<Timeout>);
    subscribe("/api/events?all=true", any_event, move |event| {
        if let Event::Hello(_) | Event::Session(_) | Event::SessionDeleted(_) = event
            && reload.try_with_value(Option::is_none) == Some(true)
        {
            reload.try_set_value(Some(Timeout::new(DEBOUNCE_MS, move || {
                reload.try_set_value(None);
                sessions.poll();
            })));
        }
    });
    on_cleanup(move || reload.set_value(None));
    let statuses = STATUSES.map(status_texts);
    let statuses = statuses.map(|(value, text)| (value.to_owned(), text.to_owned()));
    let statuses = StoredValue::new(statuses.to_vec());
    view! {
        <div class="page-head">
            <h2 id="panel-heading">"Sessions"</h2>
            <div class="page-actions">
                <RefreshButton state=sessions.fetch_state() />
            </div>
        </div>
        <Filters query=query is_filtered=Signal::derive(move || query.is_filtered(&FILTERS))>
            <Choice query=query name="status" label="Status" all="All" choices=statuses.get_value() />
            <SearchField query=query name="external_id" label="External ID" hint="Exactly" />
            <SearchField query=query name="metadata" label="Metadata" hint="key=value" />
        </Filters>
        <PagedTable
            query=query
            state=sessions.fetch_state()
            count=sessions.count()
            next=sessions.next()
            named_by="panel-heading"
            columns=&["Session", "User", "App", "Status", "Recording", "Created"]
            rows=move || {
                sessions
                    .rows()
                    .into_iter()
                    .map(|session| view! { <SessionRow session=session /> })
                    .collect_view()
            }
            empty="No sessions found"
        />
    }
}

#[component]
fn SessionRow(session: Session) -> impl IntoView {
    let (_, status) = status_texts(session.status);
    let user = match session.username {
        Some(name) => {
            let address = query::address("/admin/users", &[("q", &*name)]);
            view! { <a href=url(&address)>{name}</a> }.into_any()
        }
        // The user was deleted.
        None => view! { <code>{session.user_id}</code> }.into_any(),
    };
    let recording = match (session.recording_missing_since, session.recording) {
        (Some(since), _) => view! {
            <span class="badge badge-failed">"Recording missing"</span>
            <span class="quiet">"since "<LocalTime at=since /></span>
        }
        .into_any(),
        (None, RecordingRequirement::Required) => view! { "Required" }.into_any(),
        (None, RecordingRequirement::Optional) => view! { "Optional" }.into_any(),
    };
    view! {
        <tr role="row">
            <Cell label="Session" class="cell-which">
                <code>{session.id}</code>
                <span class="quiet">{session.external_id}</span>
            </Cell>
            <Cell label="User">{user}</Cell>
            <Cell label="App">{session.app_id}</Cell>
            <Cell label="Status">{status}</Cell>
            <Cell label="Recording">{recording}</Cell>
            <Cell label="Created" class="cell-when">
                <LocalTime at=session.created_at />
            </Cell>
        </tr>
    }
}
