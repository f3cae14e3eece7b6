use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::{AuditEntry, AuditResult, AuditVerification};

use crate::audit_actions::{self, ACTIONS};
use crate::format;
use crate::list_page::Page;
use crate::query;
use crate::web::address::url;
use crate::web::app_context::AppContext;
use crate::web::components::{
    Cell, Choice, DayField, Filters, LocalTime, PagedTable, RefreshButton, SearchField,
};
use crate::web::dom;
use crate::web::download;
use crate::web::list_query::ListQuery;
use crate::web::server_data::ServerData;

const ROUTE: &str = "/api/admin/audit";
const RESULTS: [(&str, &str); 3] = [("ok", "OK"), ("denied", "Denied"), ("failed", "Failed")];
const FILTERS: [&str; 6] = ["actor", "action", "subject", "result", "from", "to"];

/// API path of the log or of an export, with the current filters.
fn address(query: ListQuery, route: &str, more: &[(&str, &str)]) -> String {
    let values = FILTERS.map(|name| {
        let value = query.get(name);
        let value = match name {
            "from" => dom::start_of_day(&value, 0),
            "to" => dom::start_of_day(&value, 1),
            _ => value,
        };
        (name, value)
    });
    let mut parameters: Vec<_> = values
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    parameters.extend(more);
    query::address(route, &parameters)
}

/// Audit log with filters, export and verification.
#[component]
pub(super) fn AuditTab() -> impl IntoView {
    let query = ListQuery::here();
    let here = Memo::new(move |_| {
        address(
            query,
            ROUTE,
            &[("limit", "50"), ("cursor", &query.cursor())],
        )
    });
    let log = ServerData::<Page<AuditEntry>>::list(here);
    let owned = |(value, text): (&str, &str)| (value.to_owned(), text.to_owned());
    let mut actions = ACTIONS.map(owned).to_vec();
    actions.sort_by(|(_, one), (_, other)| one.cmp(other));
    let actions = StoredValue::new(actions);
    let results = StoredValue::new(RESULTS.map(owned).to_vec());
    view! {
        <div class="page-head">
            <h2 id="panel-heading">"Audit log"</h2>
            <div class="page-actions">
                <RefreshButton state=log.fetch_state() />
                <Export query=query format="jsonl" name="audit.jsonl" text="Export JSON Lines" />
                <Export query=query format="csv" name="audit.csv" text="Export CSV" />
            </div>
        </div>
        <Verify />
        <Filters query=query is_filtered=Signal::derive(move || query.is_filtered(&FILTERS))>
            <SearchField query=query name="actor" label="User" hint="User name or ID" />
            <Choice query=query name="action" label="Action" all="All" choices=actions.get_value() />
            <SearchField query=query name="subject" label="Object" hint="ID" />
            <Choice query=query name="result" label="Result" all="All" choices=results.get_value() />
            <DayField query=query name="from" label="From" />
            <DayField query=query name="to" label="To" />
        </Filters>
        <PagedTable
            query=query
            state=log.fetch_state()
            count=log.count()
            next=log.next()
            named_by="panel-heading"
            columns=&["#Number", "When", "User", "Action", "Object", "Result"]
            class="audit"
            rows=move || {
                log.rows().into_iter().map(|entry| view! { <Entry entry=entry /> }).collect_view()
            }
            empty="No entries found"
        />
    }
}

#[component]
fn Entry(entry: AuditEntry) -> impl IntoView {
    let (result, class) = match entry.result {
        AuditResult::Ok => ("OK", "badge badge-ready"),
        AuditResult::Denied => ("Denied", "badge badge-failed"),
        AuditResult::Failed => ("Failed", "badge badge-failed"),
    };
    let who = match (entry.actor_name.as_str(), entry.actor_id.as_str()) {
        ("", "") => "Unknown".to_owned(),
        ("", id) => id.to_owned(),
        (name, _) => name.to_owned(),
    };
    let from = match entry.address {
        Some(address) => format!("{} from {address}", entry.via.name()),
        None => entry.via.name().to_owned(),
    };
    let what = audit_actions::label(&entry.action);
    view! {
        <tr role="row">
            <Cell label="Number" class="number cell-seq">
                {entry.seq.to_string()}
            </Cell>
            <Cell label="When" class="cell-when">
                <LocalTime at=entry.at />
            </Cell>
            <Cell label="User">
                {who}
                <span class="quiet">{from}</span>
            </Cell>
            <Cell label="Action">
                {what}
                <code class=what.map(|_| "quiet")>{entry.action}</code>
            </Cell>
            <Cell label="Object" class="cell-which">
                <code>{entry.subject}</code>
                <span class="quiet">{entry.detail}</span>
            </Cell>
            <Cell label="Result" class="cell-result">
                <span class=class>{result}</span>
            </Cell>
        </tr>
    }
}

/// Link to an export of the filtered entries.
#[component]
fn Export(
    query: ListQuery,
    format: &'static str,
    name: &'static str,
    text: &'static str,
) -> impl IntoView {
    let app = AppContext::expect();
    let copy = move || {
        url(&address(
            query,
            "/api/admin/audit/export",
            &[("format", format)],
        ))
    };
    let problem = RwSignal::new(None::<String>);
    let start = move |event: ev::MouseEvent| {
        event.prevent_default();
        download::start_file(app, untrack(copy), name, problem);
    };
    view! {
        <a class="button" href=copy download=name on:click=start>
            {text}
        </a>
        <span class="problem-text" role="alert">
            {problem}
        </span>
    }
}

/// Verifies the hash chain of the log.
#[component]
fn Verify() -> impl IntoView {
    let app = AppContext::expect();
    let is_busy = RwSignal::new(false);
    let outcome = RwSignal::new(None::<Result<String, String>>);
    let verify = move |_| {
        is_busy.set(true);
        outcome.set(None);
        spawn_local(async move {
            let api = app.api();
            let answer = api
                .get::<AuditVerification>("/api/admin/audit/verify")
                .await;
            if is_busy.try_set(false).is_some() {
                return;
            }
            outcome.set(Some(match answer {
                Ok(found) => match found.first_bad_seq {
                    None if found.ok => {
                        Ok(format!("Verified: all {} entries are intact.", format::count(found.rows)))
                    }
                    None => Err("The log is not intact.".to_owned()),
                    Some(seq) => Err(format!(
                        "The log is not intact: the hash chain breaks at entry {seq}. That entry was changed, or an earlier one removed."
                    )),
                },
                Err(error) => Err(app.explain(&error)),
            }));
        });
    };
    view! {
        <div class="verify lead">
            <button type="button" class="button" disabled=is_busy on:click=verify>
                "Verify the log"
            </button>
            <p class="saved" role="status">
                {move || outcome.get().and_then(Result::ok)}
            </p>
            <p class="problem-text" role="alert">
                {move || outcome.get().and_then(Result::err)}
            </p>
        </div>
    }
}
