use std::sync::Arc;

use gloo_net::http::Method;
use leptos::ev;
use leptos::prelude::*;
use sortie_api::{
    NewWebhook, Webhook, WebhookEvent, WebhookTestResult, WebhookUpdate, WebhookWithSecret,
};

use self::deliveries::FailedDeliveries;
use crate::format;
use crate::list_page::Page;
use crate::query;
use crate::web::api::item_path;
use crate::web::components::{
    Cell, CheckField, ConfirmDialog, Confirmation, FormActions, FormDialog, Glyph, Icon,
    PagedTable, RefreshButton, ShownOnce, TextField, removing,
};
use crate::web::dom;
use crate::web::list_query::ListQuery;
use crate::web::server_data::ServerData;
use crate::web::submission::Submission;

mod deliveries;

const ROUTE: &str = "/api/admin/webhooks";
const HEADING: &str = "panel-heading";
const INSTRUCTION: &str = "Copy the secret now: it is not shown again.";

/// Dialog of the tab.
#[derive(Clone, PartialEq)]
enum Dialog {
    Create,
    /// Secret of a new webhook, or after its rotation.
    Secret(String),
    FailedDeliveries(Webhook),
}

/// Webhooks with their state, test and failed deliveries.
#[component]
pub(super) fn WebhooksTab() -> impl IntoView {
    let query = ListQuery::here();
    let address =
        Memo::new(move |_| query::address(ROUTE, &[("limit", "50"), ("cursor", &query.cursor())]));
    let webhooks = ServerData::<Page<Webhook>>::list(address);
    let dialog = RwSignal::new(None::<Dialog>);
    let confirmation = RwSignal::new(None::<Confirmation>);
    let notice = RwSignal::new(None::<Result<String, String>>);
    let row = move |webhook: Webhook| {
        view! {
            <WebhookRow
                webhook=webhook
                webhooks=webhooks
                dialog=dialog
                confirmation=confirmation
                notice=notice
            />
        }
    };
    let close = move |()| dialog.set(None);
    view! {
        <div class="page-head">
            <h2 id=HEADING tabindex="-1">"Webhooks"</h2>
            <div class="page-actions">
                <RefreshButton state=webhooks.fetch_state() />
                <button
                    type="button"
                    class="button button-primary"
                    on:click=move |_| dialog.set(Some(Dialog::Create))
                >
                    "Create webhook"
                </button>
            </div>
        </div>
        <p class="quiet lead">"Requests to other systems when sessions and recordings change."</p>
        <p class="saved" role="status">
            {move || notice.get().and_then(Result::ok)}
        </p>
        <p class="problem-text" role="alert">
            {move || notice.get().and_then(Result::err)}
        </p>
        <PagedTable
            query=query
            state=webhooks.fetch_state()
            count=webhooks.count()
            next=webhooks.next()
            named_by=HEADING
            columns=&["URL", "Events", "State", "#Waiting", "#Failed", ""]
            rows=move || webhooks.rows().into_iter().map(row).collect_view()
            empty="No webhooks"
            hint="Create one for a system that follows recordings."
        />
        <FormDialog
            is_open=Signal::derive(move || dialog.get().is_some())
            on_close=close
            named_by="webhook-heading"
        >
            {move || match dialog.get() {
                None => ().into_any(),
                Some(Dialog::Create) => {
                    view! { <WebhookForm dialog=dialog webhooks=webhooks /> }.into_any()
                }
                Some(Dialog::Secret(secret)) => {
                    view! {
                        <h2 id="webhook-heading">"Secret of the webhook"</h2>
                        <ShownOnce instruction=INSTRUCTION secret=secret on_done=close />
                    }
                        .into_any()
                }
                Some(Dialog::FailedDeliveries(webhook)) => {
                    view! { <FailedDeliveries webhook=webhook webhooks=webhooks on_close=close /> }
                        .into_any()
                }
            }}
        </FormDialog>
        <ConfirmDialog confirmation=confirmation />
    }
}

#[component]
fn WebhookRow(
    webhook: Webhook,
    webhooks: ServerData<Page<Webhook>>,
    dialog: RwSignal<Option<Dialog>>,
    confirmation: RwSignal<Option<Confirmation>>,
    notice: RwSignal<Option<Result<String, String>>>,
) -> impl IntoView {
    let submission = Submission::new();
    let path = StoredValue::new(item_path(ROUTE, &webhook.id));
    let url = StoredValue::new(webhook.url.clone());
    let (is_enabled, failed) = (webhook.enabled, webhook.failed);
    let events = match &webhook.events[..] {
        [] => "All".to_owned(),
        events => events
            .iter()
            .map(|event| event.name())
            .collect::<Vec<_>>()
            .join(", "),
    };
    // The row shows the message of a failed request in the tab's alert.
    Effect::new(move |_| {
        if let Some(problem) = submission.problem.get() {
            notice.set(Some(Err(problem)));
        }
    });
    let test = move |_| {
        notice.set(None);
        submission.send(
            async move |api| {
                let path = format!("{}/test", path.get_value());
                api.request::<WebhookTestResult>(Method::POST, &path, &())
                    .await
            },
            move |result| {
                let url = url.get_value();
                notice.set(Some(match result.error {
                    None => Ok(format!("{url} has received the test.")),
                    Some(error) => Err(format!("{url} has not received the test. {error}")),
                }));
            },
        );
    };
    let switch = move |_| {
        let update = WebhookUpdate {
            enabled: Some(!is_enabled),
            ..WebhookUpdate::default()
        };
        submission.send(
            async move |api| {
                let path = path.get_value();
                api.request::<Webhook>(Method::PATCH, &path, &update).await
            },
            move |_| {
                // The button is replaced with its row.
                dom::focus(HEADING);
                webhooks.load();
            },
        );
    };
    let rotate = move |_| {
        submission.send(
            async move |api| {
                let path = format!("{}/rotate-secret", path.get_value());
                api.request::<WebhookWithSecret>(Method::POST, &path, &())
                    .await
            },
            move |rotated| dialog.set(Some(Dialog::Secret(rotated.secret))),
        );
    };
    let question = Confirmation {
        heading: "Delete this webhook?".to_owned(),
        subject: webhook.url.clone(),
        consequence: "gets no further events, and waiting ones are not sent.".to_owned(),
        action: "Delete",
        second: None,
        work: removing(path.get_value()),
        done: Arc::new(move || {
            // The focused button is removed with its row.
            dom::focus(HEADING);
            webhooks.load();
        }),
    };
    let failures = {
        let webhook = webhook.clone();
        move |_| dialog.set(Some(Dialog::FailedDeliveries(webhook.clone())))
    };
    let named = move |action: &str| format!("{action} {}", url.get_value());
    let (state, class) = if is_enabled {
        ("Enabled", "badge badge-ready")
    } else {
        ("Disabled", "badge badge-failed")
    };
    view! {
        <tr role="row">
            <td role="cell" class="cell-name">
                <strong>{webhook.url.clone()}</strong>
                <span class="quiet">{webhook.description.clone()}</span>
            </td>
            <Cell label="Events">{events}</Cell>
            <Cell label="State">
                <span class=class>{state}</span>
                <span class="quiet">{webhook.disabled_reason.clone()}</span>
            </Cell>
            <Cell label="Waiting" class="number">
                {format::count(webhook.pending)}
            </Cell>
            <Cell label="Failed" class="number">
                {format::count(failed)}
            </Cell>
            <td role="cell" class="number cell-actions">
                <button
                    type="button"
                    class="button button-quiet"
                    aria-label=named("Test")
                    disabled=submission.is_busy
                    on:click=test
                >
                    "Test"
                </button>
                <Show when=move || failed != 0>
                    <button
                        type="button"
                        class="button button-quiet"
                        aria-label=named("Show failed events of")
                        on:click=failures.clone()
                    >
                        "Failed events"
                    </button>
                </Show>
                <button
                    type="button"
                    class="button button-quiet"
                    aria-label=named(if is_enabled { "Disable" } else { "Enable" })
                    disabled=submission.is_busy
                    on:click=switch
                >
                    {if is_enabled { "Disable" } else { "Enable" }}
                </button>
                <button
                    type="button"
                    class="button button-quiet"
                    aria-label=named("Create a new secret for")
                    disabled=submission.is_busy
                    on:click=rotate
                >
                    "New secret"
                </button>
                <button
                    type="button"
                    class="button button-quiet"
                    aria-label=named("Delete")
                    on:click=move |_| confirmation.set(Some(question.clone()))
                >
                    <Icon glyph=Glyph::Trash />
                    "Delete"
                </button>
            </td>
        </tr>
    }
}

/// Check box for each event.
const EVENTS: [(&str, WebhookEvent); 9] = [
    ("webhook-session-started", WebhookEvent::SessionStarted),
    ("webhook-session-ended", WebhookEvent::SessionEnded),
    ("webhook-recording-started", WebhookEvent::RecordingStarted),
    ("webhook-recording-ready", WebhookEvent::RecordingReady),
    ("webhook-recording-failed", WebhookEvent::RecordingFailed),
    (
        "webhook-recording-interrupted",
        WebhookEvent::RecordingInterrupted,
    ),
    ("webhook-recording-deleted", WebhookEvent::RecordingDeleted),
    ("webhook-recording-missing", WebhookEvent::RecordingMissing),
    ("webhook-recording-resumed", WebhookEvent::RecordingResumed),
];

#[component]
fn WebhookForm(
    dialog: RwSignal<Option<Dialog>>,
    webhooks: ServerData<Page<Webhook>>,
) -> impl IntoView {
    let submission = Submission::new();
    let (url, description) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let events = EVENTS.map(|(id, event)| (id, event, RwSignal::new(false)));
    let submit = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let new = NewWebhook {
            url: url.get_untracked().trim().to_owned(),
            description: description.get_untracked().trim().to_owned(),
            events: events
                .into_iter()
                .filter_map(|(_, event, is_set)| is_set.get_untracked().then_some(event))
                .collect(),
        };
        submission.send(
            async move |api| {
                api.request::<WebhookWithSecret>(Method::POST, ROUTE, &new)
                    .await
            },
            move |created| {
                dialog.set(Some(Dialog::Secret(created.secret)));
                webhooks.load();
            },
        );
    };
    view! {
        <h2 id="webhook-heading">"Create webhook"</h2>
        <form class="form" novalidate on:submit=submit>
            <TextField id="webhook-url" label="URL" kind="url" hint="https://…" value=url />
            <TextField
                id="webhook-description"
                label="Description"
                hint="What it is for"
                value=description
            />
            <fieldset class="fates">
                <legend>"Events (none selected: all)"</legend>
                {events
                    .map(|(id, event, is_set)| {
                        view! { <CheckField id=id label=event.name() value=is_set /> }
                    })
                    .collect_view()}
            </fieldset>
            <FormActions
                submission=submission
                on_cancel=move |()| dialog.set(None)
                action="Create webhook"
            />
        </form>
    }
}
