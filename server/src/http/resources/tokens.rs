//! API tokens: `/api/tokens` for one's own, `/api/admin/tokens` for everybody's.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sortie_api::{ApiToken, CreatedApiToken, NewApiToken, ProblemCode, TokenScope};

use crate::accounts::{MOST_API_TOKENS, TokenCreationError};
use crate::clock::rfc3339;
use crate::db::{Action, ApiTokenRow, AuditEvent};
use crate::http::extract::caller::{Admin, Caller};
use crate::http::extract::json::JsonBody;
use crate::http::routes::{Routes, names, routes};
use crate::http::{ApiError, ApiResult, AppState};

/// Rows of a page of everybody's tokens.
const PAGE: u32 = 100;
/// The most rows of a page.
const PAGE_MAX: u32 = 500;
/// The longest life that can be asked for, in days: ten years.
const LONGEST_LIFE: u32 = 3650;

/// The routes.
pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/tokens" => list,
        POST "/api/tokens" => create,
        DELETE "/api/tokens/{id}" => revoke,
        GET "/api/admin/tokens" => list_all,
    }
}

fn shown(row: ApiTokenRow, username: Option<String>) -> ApiToken {
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

async fn list(State(state): State<AppState>, caller: Caller) -> ApiResult<Response> {
    let rows = state.database.api_tokens_of(&caller.user_id).await?;
    let tokens: Vec<_> = rows.into_iter().map(|row| shown(row, None)).collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(tokens)).into_response())
}

async fn create(
    State(state): State<AppState>,
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
            "A token's name has 1 to 64 characters, no control characters and no white space around it.",
        ));
    }
    scopes.sort();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(ApiError::invalid(
            "A token has at least one scope: \"record\", \"read\" or \"admin\".",
        ));
    }
    if scopes.contains(&TokenScope::Admin) && !caller.is_admin() {
        return Err(ApiError::forbidden(
            "Only administrators can make a token with the scope \"admin\".",
        ));
    }
    if expires_in_days.is_some_and(|days| !(1..=LONGEST_LIFE).contains(&days)) {
        return Err(ApiError::invalid(format!(
            "expires_in_days must be a whole number from 1 to {LONGEST_LIFE}; leave it away for a token that does not expire."
        )));
    }
    let sign_in = caller.sign_in.as_deref();
    let (row, token) = state
        .accounts
        .create_api_token(&caller.user_id, sign_in, name, scopes, expires_in_days)
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
    state.database.audit(state.clock.now_ms(), &event).await?;
    let info = shown(row, None);
    Ok((
        StatusCode::CREATED,
        [(header::CACHE_CONTROL, "no-store")],
        Json(CreatedApiToken { info, token }),
    )
        .into_response())
}

impl From<TokenCreationError> for ApiError {
    fn from(error: TokenCreationError) -> Self {
        match error {
            TokenCreationError::TooMany => Self::new(
                ProblemCode::Conflict,
                format!("You have {MOST_API_TOKENS} tokens already. Revoke one first."),
            ),
            TokenCreationError::Token(error) => error.into(),
            TokenCreationError::Issue(error) => error.into(),
            TokenCreationError::Database(error) => error.into(),
        }
    }
}

async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let no_such_token = || ApiError::not_found("There is no such token. It may have been revoked.");
    let row = state
        .database
        .api_token(&id)
        .await?
        .ok_or_else(no_such_token)?;
    if !caller.may_have(&row.user_id) {
        return Err(ApiError::forbidden("This token belongs to somebody else."));
    }
    if !state.accounts.revoke_api_token(&row).await? {
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
    state.database.audit(state.clock.now_ms(), &event).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct PageQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

async fn list_all(
    State(state): State<AppState>,
    _: Admin,
    Query(query): Query<PageQuery>,
) -> ApiResult<Response> {
    let limit = match query.limit.as_deref() {
        None => PAGE,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=PAGE_MAX).contains(limit))
            .ok_or_else(|| {
                ApiError::invalid(format!(
                    "limit must be a whole number from 1 to {PAGE_MAX}."
                ))
            })?,
    };
    let cursor = match query.cursor.as_deref() {
        None => None,
        Some(cursor) => Some(
            cursor
                .split_once('.')
                .and_then(|(created, id)| Some((created.parse().ok()?, id)))
                .ok_or_else(|| {
                    ApiError::invalid(
                        "cursor is not one that this server gave; follow the Link header.",
                    )
                })?,
        ),
    };
    // One row more than asked for tells whether there is a next page.
    let mut rows = state.database.api_tokens(cursor, limit + 1).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let (true, Some((last, _))) = (more, rows.last()) {
        let next = format!(
            "</api/admin/tokens?limit={limit}&cursor={}.{}>; rel=\"next\"",
            last.created_ms, last.id
        );
        let next = HeaderValue::from_str(&next).map_err(ApiError::internal)?;
        headers.insert(header::LINK, next);
    }
    let tokens: Vec<_> = rows
        .into_iter()
        .map(|(row, username)| shown(row, Some(username)))
        .collect();
    Ok((headers, Json(tokens)).into_response())
}
