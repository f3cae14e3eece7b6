//! API tokens: `/api/tokens` and `/api/admin/tokens`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sortie_api::{ApiToken, CreatedApiToken, NewApiToken, TokenScope};

use crate::clock::rfc3339;
use crate::db::{Action, ApiTokenRow, AuditEvent};
use crate::http::extract::caller::{Admin, Caller};
use crate::http::extract::json::JsonBody;
use crate::http::extract::paging::{ListQuery, NoFilter};
use crate::http::routes::{Routes, names, routes};
use crate::http::{ApiError, ApiResult, HttpState};

/// Tag of the list in cursors.
const ORDER: &str = "token";
/// Longest lifetime in days.
const LIFE_MAX: u32 = 3650;

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/tokens" => list,
        POST "/api/tokens" => create,
        DELETE "/api/tokens/{id}" => revoke,
        GET "/api/admin/tokens" => list_all,
    }
}

fn view(row: ApiTokenRow, username: Option<String>) -> ApiToken {
    ApiToken {
        id: row.id,
        name: row.name,
        user_id: row.user_id,
        username,
        scopes: row.scopes,
        prefix: row.prefix,
        created_at: rfc3339(row.created_ms),
        expires_at: row.expires_ms.map(rfc3339),
        last_used_at: row.last_used_ms.map(rfc3339),
    }
}

async fn list(State(state): State<HttpState>, caller: Caller) -> ApiResult<Response> {
    let rows = state.database.api_tokens().of(&caller.user_id).await?;
    let tokens: Vec<_> = rows.into_iter().map(|row| view(row, None)).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(tokens)).into_response())
}

async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    JsonBody(new): JsonBody<NewApiToken>,
) -> ApiResult<Response> {
    let NewApiToken {
        name,
        mut scopes,
        expires_in_days,
    } = new;
    let length = name.chars().count();
    if !(1..=64).contains(&length) || name.trim() != name || name.chars().any(char::is_control) {
        return Err(ApiError::invalid(
            "A token's name must have 1 to 64 characters, no control characters, and no leading or trailing white space.",
        ));
    }
    scopes.sort();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(ApiError::invalid(
            "A token needs at least one scope: \"record\", \"read\" or \"admin\".",
        ));
    }
    if scopes.contains(&TokenScope::Admin) && !caller.is_admin() {
        return Err(ApiError::forbidden(
            "Only administrators can create a token with the scope \"admin\".",
        ));
    }
    if expires_in_days.is_some_and(|days| !(1..=LIFE_MAX).contains(&days)) {
        return Err(ApiError::invalid(format!(
            "expires_in_days must be a whole number from 1 to {LIFE_MAX}; omit it for a token that does not expire."
        )));
    }
    let sign_in = caller.sign_in.as_deref();
    let (row, token) = state
        .accounts
        .api_tokens
        .create(&caller.user_id, sign_in, name, scopes, expires_in_days)
        .await?;
    tracing::info!(
        user_id = caller.user_id,
        token_id = row.id,
        scopes = ?row.scopes,
        "API token created"
    );
    let actor = caller.actor();
    let detail = format!("{:?} for {}", row.name, names(&row.scopes));
    let event = AuditEvent::done(&actor, Action::TokenCreate, &row.id).detail(&detail);
    state.audit(&event).await?;
    let info = view(row, None);
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(CreatedApiToken { info, token }),
    )
        .into_response())
}

async fn revoke(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let no_such_token =
        || ApiError::not_found("This token does not exist. It may have been revoked.");
    let row = state
        .database
        .api_tokens()
        .get(&id)
        .await?
        .ok_or_else(no_such_token)?;
    if !caller.may_access(&row.user_id) {
        return Err(ApiError::forbidden("This token belongs to another user."));
    }
    if !state.accounts.api_tokens.revoke(&row).await? {
        return Err(no_such_token());
    }
    tracing::info!(
        by = caller.user_id,
        user_id = row.user_id,
        token_id = id,
        "API token revoked"
    );
    let actor = caller.actor();
    let detail = format!("{:?} of {}", row.name, row.user_id);
    let event = AuditEvent::done(&actor, Action::TokenRevoke, &id).detail(&detail);
    state.audit(&event).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the tokens of all users.
async fn list_all(
    State(state): State<HttpState>,
    _: Admin,
    query: ListQuery<NoFilter>,
) -> ApiResult<Response> {
    let (limit, after) = (query.limit()?, query.after(ORDER)?);
    let page = state
        .database
        .api_tokens()
        .page(after.as_ref(), limit)
        .await?;
    let rows = page.rows.into_iter();
    let tokens = rows.map(|(row, username)| view(row, Some(username)));
    Ok(query.page(ORDER, tokens.collect(), page.next.as_ref()))
}
