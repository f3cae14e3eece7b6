//! Sign-ins: `/api/auth/sign-ins` and `/api/admin/users/{id}/sign-ins`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sortie_api::SignIn;

use super::users;
use crate::clock::rfc3339;
use crate::db::{Action, AuditEvent};
use crate::http::extract::caller::{Admin, Caller};
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/auth/sign-ins" => list_own,
        DELETE "/api/auth/sign-ins" => end_other_sign_ins,
        DELETE "/api/auth/sign-ins/{id}" => end,
        GET "/api/admin/users/{id}/sign-ins" => list_of_user,
        DELETE "/api/admin/users/{id}/sign-ins" => end_of_user,
    }
}

async fn list(state: &HttpState, caller: &Caller, user_id: &str) -> ApiResult<Response> {
    let sign_ins = state.accounts.sign_ins.list(user_id).await?;
    let sign_ins = sign_ins.into_iter().map(|(row, expires_ms)| SignIn {
        current: caller.sign_in.as_ref() == Some(&row.id),
        id: row.id,
        created_at: rfc3339(row.created_ms),
        last_used_at: rfc3339(row.last_used_ms),
        expires_at: rfc3339(expires_ms),
        address: row.address,
        user_agent: row.user_agent,
    });
    let sign_ins: Vec<_> = sign_ins.collect();
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(sign_ins)).into_response())
}

async fn list_own(State(state): State<HttpState>, caller: Caller) -> ApiResult<Response> {
    list(&state, &caller, &caller.user_id).await
}

async fn list_of_user(
    State(state): State<HttpState>,
    Admin(caller): Admin,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    users::existing(&state, &id).await?;
    list(&state, &caller, &id).await
}

/// Ends all sign-ins of the caller except the current one.
async fn end_other_sign_ins(
    State(state): State<HttpState>,
    caller: Caller,
) -> ApiResult<StatusCode> {
    let keep = caller.sign_in.as_deref();
    state
        .accounts
        .sign_ins
        .end_all(&caller.user_id, keep)
        .await?;
    audit(&state, &caller, &caller.user_id, "all other sign-ins ended").await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let no_such_sign_in = || ApiError::not_found("This sign-in does not exist. It may have ended.");
    let row = state.database.sign_ins().get(&id).await?;
    let row = row.ok_or_else(no_such_sign_in)?;
    if !caller.may_access(&row.user_id) {
        return Err(ApiError::forbidden("This sign-in belongs to another user."));
    }
    if !state.accounts.sign_ins.end(&id).await? {
        return Err(no_such_sign_in());
    }
    audit(&state, &caller, &row.user_id, &format!("{id} ended")).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end_of_user(
    State(state): State<HttpState>,
    Admin(caller): Admin,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    users::existing(&state, &id).await?;
    state.accounts.sign_ins.end_all(&id, None).await?;
    audit(&state, &caller, &id, "all sign-ins ended").await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn audit(state: &HttpState, caller: &Caller, user_id: &str, detail: &str) -> ApiResult<()> {
    tracing::info!(by = caller.user_id, user_id, "{detail}");
    let actor = caller.actor();
    let event = AuditEvent::done(&actor, Action::SignInEnd, user_id).detail(detail);
    Ok(state.audit(&event).await?)
}
