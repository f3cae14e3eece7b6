//! Sessions: what is being watched.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sortie_api::{NewSession, ProblemCode, RecordingToken, Session, SessionStatus, SessionUpdate};

use crate::accounts::RECORDING_TOKEN_LIFE;
use crate::clock::rfc3339;
use crate::db::{Action, SessionFilter, SessionRow};
use crate::http::extract::caller::Caller;
use crate::http::extract::json::JsonBody;
use crate::http::extract::query;
use crate::http::layers::denials;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, AppState};

/// The most sessions of one answer.
const LIST_MAX: u32 = 500;
/// … when the caller does not say.
const LIST_LIMIT: u32 = 200;

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/sessions" => list,
        POST "/api/sessions" => create,
        GET "/api/sessions/{id}" => show,
        PATCH "/api/sessions/{id}" => change,
        DELETE "/api/sessions/{id}" => delete,
        POST "/api/sessions/{id}/stop" => stop,
        POST "/api/sessions/{id}/token" => token,
    }
}

/// A session as it is shown while auto-record is as it is.
pub(crate) fn shown(row: SessionRow, auto_on: bool) -> Session {
    Session {
        auto_record: row.auto_record(auto_on),
        recording_policy: if auto_on { "auto" } else { "" }.to_owned(),
        id: row.id,
        user_id: row.user_id,
        app_id: row.app_id,
        status: row.status,
        created_at: rfc3339(row.created_ms),
        ended_at: row.ended_ms.map(rfc3339),
    }
}

async fn answer(state: &AppState, row: SessionRow) -> ApiResult<Json<Session>> {
    Ok(Json(shown(row, state.database.auto_record().await?)))
}

/// The session, if the caller may have it.
pub(in crate::http) async fn allowed(
    state: &AppState,
    caller: &Caller,
    id: &str,
) -> ApiResult<SessionRow> {
    let found = match query::can_be_id(id) {
        true => state.database.session(id).await?,
        false => None,
    };
    let session = found.ok_or_else(|| ApiError::not_found("There is no such session."))?;
    if !caller.may_have(&session.user_id) || !caller.reaches_session(id) {
        denials::write(state, caller, Action::SessionAccess, id).await;
        return Err(ApiError::forbidden(
            "This session belongs to somebody else.",
        ));
    }
    Ok(session)
}

/// The session, if the caller may have it and it runs.
pub(in crate::http) async fn running(
    state: &AppState,
    caller: &Caller,
    id: &str,
) -> ApiResult<SessionRow> {
    let session = allowed(state, caller, id).await?;
    if session.status != SessionStatus::Running {
        return Err(ApiError::new(
            ProblemCode::SessionNotRunning,
            "This session is not running, so it cannot be recorded.",
        ));
    }
    Ok(session)
}

/// A session of the caller's own that runs from now on.
pub(in crate::http) async fn open(
    state: &AppState,
    caller: &Caller,
    app_id: &str,
) -> ApiResult<SessionRow> {
    let session = new_row(state, &caller.user_id, app_id, SessionStatus::Running);
    state
        .database
        .insert_session(&session, &caller.actor())
        .await?;
    Ok(session)
}

fn new_row(state: &AppState, user_id: &str, app_id: &str, status: SessionStatus) -> SessionRow {
    SessionRow {
        id: uuid::Uuid::now_v7().to_string(),
        user_id: user_id.to_owned(),
        app_id: app_id.to_owned(),
        status,
        auto_declined: false,
        created_ms: state.clock.now_ms(),
        ended_ms: None,
    }
}

async fn create(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(new): JsonBody<NewSession>,
) -> ApiResult<(StatusCode, Json<Session>)> {
    if new.app_id.trim().is_empty()
        || new.app_id.chars().count() > 200
        || new.app_id.chars().any(char::is_control)
    {
        return Err(ApiError::invalid(
            "app_id must have 1 to 200 characters and no control characters.",
        ));
    }
    let status = new.status.unwrap_or(SessionStatus::Running);
    if status.has_ended() {
        return Err(ApiError::invalid(
            "status of a new session must be creating or running.",
        ));
    }
    let user_id = new.user_id.as_deref().unwrap_or(&caller.user_id);
    if user_id != caller.user_id {
        if !caller.is_admin() {
            return Err(ApiError::forbidden(
                "Only an administrator can create a session for somebody else.",
            ));
        }
        if !query::can_be_id(user_id) || state.database.user(user_id).await?.is_none() {
            return Err(ApiError::invalid("user_id is nobody's."));
        }
    }
    let session = new_row(&state, user_id, &new.app_id, status);
    state
        .database
        .insert_session(&session, &caller.actor())
        .await?;
    Ok((StatusCode::CREATED, answer(&state, session).await?))
}

#[derive(Deserialize)]
struct ListQuery {
    status: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
    all: Option<String>,
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> ApiResult<Response> {
    let all = query::flag("all", query.all.as_deref())?;
    if all && !caller.is_admin() {
        return Err(ApiError::forbidden(
            "Only administrators see everybody's sessions.",
        ));
    }
    let limit = query::limit(query.limit.as_deref(), LIST_LIMIT, LIST_MAX)?;
    let filter = SessionFilter {
        user_id: (!all).then(|| caller.user_id.clone()),
        status: query.status.as_deref().map(status).transpose()?,
    };
    let cursor = query.cursor.as_deref().map(query::cursor).transpose()?;
    // One row more than asked for tells whether there is a next page.
    let mut rows = state.database.sessions(&filter, cursor, limit + 1).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|last| {
        let status = query
            .status
            .map_or_else(String::new, |status| format!("&status={status}"));
        let all = if all { "&all=true" } else { "" };
        format!(
            "/api/sessions?limit={limit}{status}{all}&cursor={}.{}",
            last.created_ms, last.id
        )
    });
    let auto_on = state.database.auto_record().await?;
    let page: Vec<_> = rows.into_iter().map(|row| shown(row, auto_on)).collect();
    Ok(query::page(Json(page), next.as_deref()))
}

fn status(text: &str) -> ApiResult<SessionStatus> {
    Ok(match text {
        "creating" => SessionStatus::Creating,
        "running" => SessionStatus::Running,
        "stopped" => SessionStatus::Stopped,
        "expired" => SessionStatus::Expired,
        "failed" => SessionStatus::Failed,
        _ => {
            return Err(ApiError::invalid(
                "status must be creating, running, stopped, expired or failed.",
            ));
        }
    })
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Session>> {
    let row = allowed(&state, &caller, &id).await?;
    answer(&state, row).await
}

/// What the embedding platform reports. Reporting the same again changes nothing.
async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(update): JsonBody<SessionUpdate>,
) -> ApiResult<Json<Session>> {
    allowed(&state, &caller, &id).await?;
    if !enter(&state, &caller, &id, update.status).await? {
        let now = allowed(&state, &caller, &id).await?;
        if now.status != update.status {
            return Err(ApiError::new(
                ProblemCode::Conflict,
                if now.status.has_ended() {
                    "This session has ended and stays so."
                } else {
                    "A session that runs does not go back to creating."
                },
            ));
        }
    }
    let row = allowed(&state, &caller, &id).await?;
    answer(&state, row).await
}

async fn stop(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Session>> {
    allowed(&state, &caller, &id).await?;
    enter(&state, &caller, &id, SessionStatus::Stopped).await?;
    let row = allowed(&state, &caller, &id).await?;
    answer(&state, row).await
}

async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let row = allowed(&state, &caller, &id).await?;
    enter(&state, &caller, &id, SessionStatus::Stopped).await?;
    state
        .database
        .delete_session(&row, &caller.actor(), state.clock.now_ms())
        .await?;
    state.accounts.session_ended(&id);
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a recording token of a session.
async fn token(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    let session = allowed(&state, &caller, &id).await?;
    if session.status.has_ended() {
        return Err(ApiError::new(
            ProblemCode::SessionNotRunning,
            "This session has ended, so there is nothing to record in it.",
        ));
    }
    let token = state.accounts.issue_recording_token(&session)?;
    tracing::info!(
        session = id,
        user_id = session.user_id,
        by = caller.user_id,
        "recording token issued"
    );
    let answer = RecordingToken {
        token,
        expires_in: RECORDING_TOKEN_LIFE.as_secs(),
    };
    let headers = [(header::CACHE_CONTROL, "no-store")];
    Ok((headers, Json(answer)).into_response())
}

/// Brings a session into another state, if that can follow. With its end its recordings take the last bytes
/// that are on their way and no more: [`crate::uploads`] finishes them soon, whatever their senders do.
async fn enter(
    state: &AppState,
    caller: &Caller,
    id: &str,
    status: SessionStatus,
) -> ApiResult<bool> {
    let (actor, now_ms) = (caller.actor(), state.clock.now_ms());
    let changed = state
        .database
        .change_session(id, status, &actor, now_ms)
        .await?;
    if changed && status.has_ended() {
        state.accounts.session_ended(id);
        for recording in state.database.open_recordings_of_session(id).await? {
            // The session has ended, whatever happens to one of its recordings; the reaper sees to it again.
            if let Err(error) = state.uploads.stop_with_session(&recording, &actor).await {
                tracing::warn!(recording, "a recording of an ended session: {error}");
            }
        }
    }
    Ok(changed)
}
