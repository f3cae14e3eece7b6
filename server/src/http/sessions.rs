//! Sessions: what is being watched.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use sortie_api::{NewSession, ProblemCode, Session, SessionStatus};

use super::access::{Routes, routes};
use super::caller::Caller;
use super::json::JsonBody;
use super::{ApiError, ApiResult, AppState};
use crate::catalog::SessionRow;
use crate::clock::rfc3339;

/// The most sessions of one answer.
const LIST_LIMIT: u32 = 200;

pub(super) fn routes() -> Routes {
    routes! {
        GET "/api/sessions" => list,
        POST "/api/sessions" => create,
        GET "/api/sessions/{id}" => show,
        DELETE "/api/sessions/{id}" => delete,
        POST "/api/sessions/{id}/stop" => stop,
    }
}

fn shown(row: SessionRow) -> Session {
    Session {
        id: row.id,
        user_id: row.user_id,
        app_id: row.app_id,
        status: row.status,
        recording_policy: String::new(),
        auto_record: false,
        created_at: rfc3339(row.created_ms),
        ended_at: row.ended_ms.map(rfc3339),
    }
}

/// The session, if the caller may have it.
pub(super) async fn allowed(state: &AppState, caller: &Caller, id: &str) -> ApiResult<SessionRow> {
    let session = state
        .catalog
        .session(id)
        .await?
        .ok_or_else(|| ApiError::not_found("There is no such session."))?;
    if !caller.may_have(&session.user_id) {
        return Err(ApiError::forbidden(
            "This session belongs to somebody else.",
        ));
    }
    Ok(session)
}

/// The session, if the caller may have it and it runs.
pub(super) async fn running(state: &AppState, caller: &Caller, id: &str) -> ApiResult<SessionRow> {
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
pub(super) async fn open(state: &AppState, user_id: &str, app_id: &str) -> ApiResult<SessionRow> {
    let session = SessionRow {
        id: uuid::Uuid::now_v7().to_string(),
        user_id: user_id.to_owned(),
        app_id: app_id.to_owned(),
        status: SessionStatus::Running,
        created_ms: state.clock.now_ms(),
        ended_ms: None,
    };
    state.catalog.insert_session(&session).await?;
    Ok(session)
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
    if !matches!(status, SessionStatus::Creating | SessionStatus::Running) {
        return Err(ApiError::invalid(
            "status of a new session must be creating or running.",
        ));
    }
    let user_id = match new.user_id {
        Some(user_id) if user_id != caller.user_id => {
            if !caller.is_admin() {
                return Err(ApiError::forbidden(
                    "Only an administrator can create a session for somebody else.",
                ));
            }
            if state.catalog.user(&user_id).await?.is_none() {
                return Err(ApiError::invalid("user_id is nobody's."));
            }
            user_id
        }
        _ => caller.user_id,
    };
    let session = SessionRow {
        id: uuid::Uuid::now_v7().to_string(),
        user_id,
        app_id: new.app_id,
        status,
        created_ms: state.clock.now_ms(),
        ended_ms: None,
    };
    state.catalog.insert_session(&session).await?;
    Ok((StatusCode::CREATED, Json(shown(session))))
}

async fn list(State(state): State<AppState>, caller: Caller) -> ApiResult<Json<Vec<Session>>> {
    let rows = state
        .catalog
        .sessions_of(&caller.user_id, LIST_LIMIT)
        .await?;
    Ok(Json(rows.into_iter().map(shown).collect()))
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Session>> {
    Ok(Json(shown(allowed(&state, &caller, &id).await?)))
}

async fn stop(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Session>> {
    allowed(&state, &caller, &id).await?;
    end(&state, &caller, &id).await?;
    Ok(Json(shown(allowed(&state, &caller, &id).await?)))
}

async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    allowed(&state, &caller, &id).await?;
    end(&state, &caller, &id).await?;
    state.catalog.delete_session(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends a session; its recordings take the last bytes and no more.
async fn end(state: &AppState, caller: &Caller, id: &str) -> ApiResult<()> {
    state
        .catalog
        .end_session(id, SessionStatus::Stopped, state.clock.now_ms())
        .await?;
    for recording in state.catalog.open_recordings_of_session(id).await? {
        state.ingest.stop(&recording, &caller.actor()).await?;
    }
    Ok(())
}
