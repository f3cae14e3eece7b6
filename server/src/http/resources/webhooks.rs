//! Webhooks and their deliveries: `/api/admin/webhooks`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sortie_api::{
    NewWebhook, ProblemCode, TestWebhook, TestWebhookData, Webhook, WebhookDelivery,
    WebhookDeliveryStatus, WebhookEvent, WebhookTestResult, WebhookUpdate, WebhookWithSecret,
};

use crate::clock::rfc3339;
use crate::config::Secret;
use crate::db::{Action, AuditEvent, DeliveryRow, NewWebhookRow, WebhookChange, WebhookRow};
use crate::http::extract::caller::{Admin, Caller};
use crate::http::extract::json::JsonBody;
use crate::http::extract::paging::{ListQuery, NoFilter};
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};
use crate::webhooks::{ENDPOINTS_MAX, Message, Outcome, check_url, host, new_secret};

/// Tags of the lists in cursors.
const ORDER: &str = "webhook";
const DELIVERY_ORDER: &str = "delivery";
/// Longest description in characters.
const DESCRIPTION_MAX: usize = 200;
/// Time for which the secret before a rotation signs too.
const OVERLAP_MS: i64 = 24 * 60 * 60 * 1000;

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/admin/webhooks" => list,
        POST "/api/admin/webhooks" => create,
        GET "/api/admin/webhooks/{id}" => show,
        PATCH "/api/admin/webhooks/{id}" => change,
        DELETE "/api/admin/webhooks/{id}" => delete,
        POST "/api/admin/webhooks/{id}/rotate-secret" => rotate,
        POST "/api/admin/webhooks/{id}/test" => test,
        GET "/api/admin/webhooks/{id}/deliveries" => deliveries,
        POST "/api/admin/webhooks/{id}/deliveries/{event}/resend" => resend,
    }
}

fn view(row: WebhookRow, now_ms: i64) -> Webhook {
    Webhook {
        id: row.id,
        url: row.url,
        description: row.description,
        events: row.events,
        enabled: row.enabled,
        disabled_reason: Some(row.disabled_reason).filter(|reason| !reason.is_empty()),
        created_at: rfc3339(row.created_ms),
        previous_secret_until: row
            .previous_until_ms
            .filter(|until| now_ms < *until)
            .map(rfc3339),
        pending: row.pending,
        failed: row.failed,
    }
}

fn delivery_view(row: DeliveryRow) -> WebhookDelivery {
    let is_pending = row.status == WebhookDeliveryStatus::Pending;
    WebhookDelivery {
        event_id: row.event_id,
        event: row.event,
        subject: row.subject,
        status: row.status,
        attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
        created_at: rfc3339(row.created_ms),
        next_attempt_at: is_pending.then(|| rfc3339(row.next_ms)),
        ended_at: row.ended_ms.map(rfc3339),
        last_status: row
            .last_status
            .and_then(|status| u16::try_from(status).ok()),
        last_error: Some(row.last_error).filter(|error| !error.is_empty()),
    }
}

fn no_such_webhook() -> ApiError {
    ApiError::not_found("This webhook does not exist. It may have been deleted.")
}

async fn find(state: &HttpState, id: &str) -> ApiResult<WebhookRow> {
    let row = state.database.webhooks().get(id).await?;
    row.ok_or_else(no_such_webhook)
}

/// Answer with the current state of a webhook.
async fn answer(state: &HttpState, id: &str) -> ApiResult<Response> {
    let webhook = view(find(state, id).await?, state.clock.now_ms());
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(webhook)).into_response())
}

/// Answer with a new secret.
async fn answer_with_secret(
    state: &HttpState,
    status: StatusCode,
    id: &str,
    secret: &Secret,
) -> ApiResult<Response> {
    let webhook = view(find(state, id).await?, state.clock.now_ms());
    let secret = secret.expose().to_owned();
    let body = Json(WebhookWithSecret { webhook, secret });
    Ok((status, [(header::CACHE_CONTROL, "no-store")], body).into_response())
}

fn checked_url(state: &HttpState, url: &str) -> ApiResult<String> {
    check_url(url, state.webhooks.allows_private())
        .map(String::from)
        .map_err(ApiError::invalid)
}

fn checked_description(text: String) -> ApiResult<String> {
    if text.chars().count() > DESCRIPTION_MAX || text.chars().any(char::is_control) {
        return Err(ApiError::invalid(
            "description must have at most 200 characters and no control characters.",
        ));
    }
    Ok(text)
}

fn checked_events(mut events: Vec<WebhookEvent>) -> Vec<WebhookEvent> {
    events.sort();
    events.dedup();
    events
}

async fn list(
    State(state): State<HttpState>,
    _: Admin,
    query: ListQuery<NoFilter>,
) -> ApiResult<Response> {
    let (limit, after) = (query.limit()?, query.after(ORDER)?);
    let page = state
        .database
        .webhooks()
        .page(after.as_ref(), limit)
        .await?;
    let now_ms = state.clock.now_ms();
    let rows = page.rows.into_iter().map(|row| view(row, now_ms)).collect();
    Ok(query.page(ORDER, rows, page.next.as_ref()))
}

async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    JsonBody(new): JsonBody<NewWebhook>,
) -> ApiResult<Response> {
    let url = checked_url(&state, &new.url)?;
    let description = checked_description(new.description)?;
    let events = checked_events(new.events);
    let secret = new_secret().map_err(ApiError::internal)?;
    let id = uuid::Uuid::new_v4().to_string();
    let actor = caller.actor();
    let detail = host(&url);
    let event = AuditEvent::done(&actor, Action::WebhookCreate, &id).detail(&detail);
    let new = NewWebhookRow {
        id: &id,
        url: &url,
        description: &description,
        events: &events,
        secret: &secret,
    };
    let now_ms = state.clock.now_ms();
    let most = i64::from(ENDPOINTS_MAX);
    let webhooks = state.database.webhooks();
    if !webhooks.insert(&new, most, now_ms, &event).await? {
        return Err(ApiError::new(
            ProblemCode::Conflict,
            format!("There are {ENDPOINTS_MAX} webhooks, the largest number. Delete one first."),
        ));
    }
    answer_with_secret(&state, StatusCode::CREATED, &id, &secret).await
}

async fn show(State(state): State<HttpState>, Path(id): Path<String>) -> ApiResult<Response> {
    answer(&state, &id).await
}

async fn change(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(update): JsonBody<WebhookUpdate>,
) -> ApiResult<Response> {
    find(&state, &id).await?;
    let mut changed = Vec::new();
    let mut name = |is_set: bool, text: &'static str| changed.extend(is_set.then_some(text));
    name(update.url.is_some(), "url");
    name(update.description.is_some(), "description");
    name(update.events.is_some(), "events");
    name(update.enabled == Some(true), "enabled");
    name(update.enabled == Some(false), "disabled");
    if changed.is_empty() {
        return answer(&state, &id).await;
    }
    let url = update.url.map(|url| checked_url(&state, &url));
    let description = update.description.map(checked_description);
    let change = WebhookChange {
        url: url.transpose()?,
        description: description.transpose()?,
        events: update.events.map(checked_events),
        enabled: update.enabled,
    };
    let actor = caller.actor();
    let mut detail = changed.join(", ");
    if let Some(url) = &change.url {
        detail += &format!(": {}", host(url));
    }
    let event = AuditEvent::done(&actor, Action::WebhookChange, &id).detail(&detail);
    let webhooks = state.database.webhooks();
    if !webhooks
        .change(&id, &change, state.clock.now_ms(), &event)
        .await?
    {
        return Err(no_such_webhook());
    }
    answer(&state, &id).await
}

async fn delete(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let row = find(&state, &id).await?;
    let actor = caller.actor();
    let detail = host(&row.url);
    let event = AuditEvent::done(&actor, Action::WebhookDelete, &id).detail(&detail);
    let now_ms = state.clock.now_ms();
    if !state
        .database
        .webhooks()
        .delete(&id, now_ms, &event)
        .await?
    {
        return Err(no_such_webhook());
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn rotate(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    find(&state, &id).await?;
    let secret = new_secret().map_err(ApiError::internal)?;
    let now_ms = state.clock.now_ms();
    let until_ms = now_ms.saturating_add(OVERLAP_MS);
    let actor = caller.actor();
    let event = AuditEvent::done(&actor, Action::WebhookRotate, &id);
    let webhooks = state.database.webhooks();
    if !webhooks
        .rotate(&id, &secret, until_ms, now_ms, &event)
        .await?
    {
        return Err(no_such_webhook());
    }
    answer_with_secret(&state, StatusCode::OK, &id, &secret).await
}

/// Sends the event `webhook.test` and returns the result. Also for a disabled webhook; failures are not retried.
async fn test(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<WebhookTestResult>> {
    let row = find(&state, &id).await?;
    // An attempt lasts up to 15 s.
    let _permit = state.caches.webhook_tests.try_acquire().map_err(|_| {
        ApiError::new(
            ProblemCode::TooManyRequests,
            "Other tests of webhooks are in progress. Try again in a moment.",
        )
    })?;
    let actor = caller.actor();
    state
        .audit(&AuditEvent::done(&actor, Action::WebhookTest, &id))
        .await?;
    let now_ms = state.clock.now_ms();
    let event_id = format!("evt_{}", uuid::Uuid::new_v4().simple());
    let body = serde_json::to_string(&TestWebhook {
        event: "webhook.test".to_owned(),
        timestamp: rfc3339(now_ms),
        data: TestWebhookData { webhook_id: id },
    });
    let body = body.map_err(ApiError::internal)?;
    let message = Message {
        url: &row.url,
        id: &event_id,
        body: &body,
        now_ms,
    };
    let outcome = state.webhooks.send(&message, row.secrets(now_ms)).await;
    let (status, error) = outcome.answer();
    Ok(Json(WebhookTestResult {
        delivered: matches!(outcome, Outcome::Delivered(_)),
        status,
        error: Some(error.to_owned()).filter(|error| !error.is_empty()),
        event_id,
    }))
}

#[derive(Deserialize)]
struct DeliveryFilter {
    status: Option<String>,
}

async fn deliveries(
    State(state): State<HttpState>,
    Path(id): Path<String>,
    query: ListQuery<DeliveryFilter>,
) -> ApiResult<Response> {
    let status = match query.filter.status.as_deref() {
        None | Some("") => None,
        Some("pending") => Some(WebhookDeliveryStatus::Pending),
        Some("delivered") => Some(WebhookDeliveryStatus::Delivered),
        Some("failed") => Some(WebhookDeliveryStatus::Failed),
        Some(_) => {
            return Err(ApiError::invalid(
                "status must be pending, delivered or failed.",
            ));
        }
    };
    find(&state, &id).await?;
    let (limit, after) = (query.limit()?, query.after(DELIVERY_ORDER)?);
    let deliveries = state.database.webhook_deliveries();
    let page = deliveries.page(&id, status, after.as_ref(), limit).await?;
    let rows = page.rows.into_iter().map(delivery_view).collect();
    Ok(query.page(DELIVERY_ORDER, rows, page.next.as_ref()))
}

async fn resend(
    State(state): State<HttpState>,
    caller: Caller,
    Path((id, event_id)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let row = find(&state, &id).await?;
    if !row.enabled {
        return Err(ApiError::new(
            ProblemCode::Conflict,
            "This webhook is disabled. Enable it first.",
        ));
    }
    let actor = caller.actor();
    let event = AuditEvent::done(&actor, Action::WebhookResend, &id).detail(&event_id);
    let now_ms = state.clock.now_ms();
    let deliveries = state.database.webhook_deliveries();
    if !deliveries.resend(&id, &event_id, now_ms, &event).await? {
        return Err(ApiError::not_found(
            "This webhook has no delivery of this event. Old deliveries are deleted.",
        ));
    }
    Ok(StatusCode::ACCEPTED)
}
