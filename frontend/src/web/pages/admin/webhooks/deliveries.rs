use gloo_net::http::Method;
use leptos::prelude::*;
use sortie_api::{Webhook, WebhookDelivery};

use super::ROUTE;
use crate::list_page::Page;
use crate::query;
use crate::web::api::item_path;
use crate::web::components::{Cell, FetchStatus, LocalTime, Table};
use crate::web::dom;
use crate::web::server_data::ServerData;
use crate::web::submission::Submission;

const HEADING: &str = "webhook-heading";

/// Newest failed events of a webhook, with a button to send each again.
#[component]
pub(super) fn FailedDeliveries(
    webhook: Webhook,
    webhooks: ServerData<Page<Webhook>>,
    #[prop(into)] on_close: Callback<()>,
) -> impl IntoView {
    let path = format!("{}/deliveries", item_path(ROUTE, &webhook.id));
    let list = query::address(&path, &[("status", "failed"), ("limit", "50")]);
    let deliveries = ServerData::<Page<WebhookDelivery>>::list(Memo::new(move |_| list.clone()));
    let submission = Submission::new();
    let path = StoredValue::new(path);
    let resend = move |event: String| {
        submission.send(
            async move |api| {
                let path = format!("{}/resend", item_path(&path.get_value(), &event));
                api.execute(Method::POST, &path, &()).await
            },
            move |()| {
                // The focused button is removed with its row.
                dom::focus(HEADING);
                deliveries.load();
                webhooks.load();
            },
        );
    };
    let row = move |delivery: WebhookDelivery| {
        let event = delivery.event_id.clone();
        let label = format!("Send again: {} of {}", delivery.event, delivery.subject);
        view! {
            <tr role="row">
                <Cell label="Event">
                    <strong>{delivery.event.clone()}</strong>
                    <code class="quiet">{delivery.subject.clone()}</code>
                </Cell>
                <Cell label="Failed">
                    {delivery.ended_at.map(|at| view! { <LocalTime at=at /> })}
                    <span class="quiet">{delivery.last_error.unwrap_or_default()}</span>
                </Cell>
                <td role="cell" class="number cell-actions">
                    <button
                        type="button"
                        class="button button-quiet"
                        aria-label=label
                        disabled=submission.is_busy
                        on:click=move |_| resend(event.clone())
                    >
                        "Send again"
                    </button>
                </td>
            </tr>
        }
    };
    let count = deliveries.count();
    view! {
        <h2 id=HEADING tabindex="-1">"Failed events"</h2>
        <p class="quiet">{webhook.url}</p>
        <FetchStatus state=deliveries.fetch_state() />
        <p role="status">
            {move || (count.get() == Some(0)).then_some("No failed events are left.")}
        </p>
        <Table
            named_by=HEADING
            columns=&["Event", "Failed", ""]
            rows=move || deliveries.rows().into_iter().map(row).collect_view()
        />
        <p class="problem-text" role="alert">
            {submission.problem}
        </p>
        <div class="dialog-actions">
            <button type="button" class="button button-primary" on:click=move |_| on_close.run(())>
                "Close"
            </button>
        </div>
    }
}
