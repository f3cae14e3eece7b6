//! Sessions of an embedding platform: `/api/sessions`.

use std::collections::HashSet;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sortie_api::{
    NewSession, ProblemCode, RecordingRequirement, RecordingToken, Session, SessionStatus,
    SessionUpdate,
};

use crate::accounts::RECORDING_TOKEN_LIFE;
use crate::clock::rfc3339;
use crate::db::{
    Action, DatabaseError, Editor, SessionChange, SessionFilter, SessionRow, SessionUpdated,
};
use crate::http::extract::caller::Caller;
use crate::http::extract::json::JsonBody;
use crate::http::extract::paging::ListQuery;
use crate::http::extract::query;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};
use crate::labels::{self, LabelKind, Labels, LabelsChange};

const LIMIT_DEFAULT: u32 = 200;
/// Sessions of one user that have not ended and whose recording is required; each is checked every few seconds.
/// Administrators may have more.
const REQUIRED_MAX: u64 = 1000;
/// Tag of the list in cursors.
const ORDER: &str = "session";

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/sessions" => list,
        POST "/api/sessions" => create,
        GET "/api/sessions/{id}" => show,
        PATCH "/api/sessions/{id}" => update,
        DELETE "/api/sessions/{id}" => delete,
        POST "/api/sessions/{id}/stop" => stop,
        POST "/api/sessions/{id}/token" => token,
    }
}

/// Returns the API form of a session; `auto_on` is the setting auto-record.
pub(in crate::http) fn view(row: SessionRow, auto_on: bool) -> Session {
    let is_running = row.status == SessionStatus::Running;
    Session {
        auto_record: row.should_start(auto_on),
        recording_policy: if row.is_auto_recorded(auto_on) {
            "auto"
        } else {
            ""
        }
        .to_owned(),
        auto_record_override: row.auto_record,
        recording: if row.recording_required {
            RecordingRequirement::Required
        } else {
            RecordingRequirement::Optional
        },
        recording_missing_since: row.missing_since_ms.filter(|_| is_running).map(rfc3339),
        metadata: row.labels.metadata(),
        external_id: row.labels.external_id,
        id: row.id,
        user_id: row.user_id,
        username: None,
        app_id: row.app_id,
        status: row.status,
        created_at: rfc3339(row.created_ms),
        ended_at: row.ended_ms.map(rfc3339),
    }
}

async fn answer(state: &HttpState, row: SessionRow) -> ApiResult<Json<Session>> {
    Ok(Json(view(
        row,
        state.database.settings().auto_record().await?,
    )))
}

/// Returns a session that the caller may access.
pub(in crate::http) async fn allowed(
    state: &HttpState,
    caller: &Caller,
    id: &str,
) -> ApiResult<SessionRow> {
    let found = match query::can_be_id(id) {
        true => state.database.sessions().get(id).await?,
        false => None,
    };
    let session = found.ok_or_else(|| ApiError::not_found("This session does not exist."))?;
    if !caller.may_access(&session.user_id) || !caller.reaches_session(id) {
        state
            .audit_denial(&caller.actor(), Action::SessionAccess, id, "")
            .await;
        return Err(ApiError::forbidden("This session belongs to another user."));
    }
    Ok(session)
}

/// Returns a running session that the caller may access.
pub(in crate::http) async fn running(
    state: &HttpState,
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

/// Creates a running session of the caller.
pub(in crate::http) async fn open(
    state: &HttpState,
    caller: &Caller,
    app_id: &str,
) -> ApiResult<SessionRow> {
    insert(state, caller, new_session(state, &caller.user_id, app_id)).await
}

/// Returns a new running session.
fn new_session(state: &HttpState, user_id: &str, app_id: &str) -> SessionRow {
    SessionRow {
        id: uuid::Uuid::now_v7().to_string(),
        user_id: user_id.to_owned(),
        app_id: app_id.to_owned(),
        status: SessionStatus::Running,
        auto_declined: false,
        created_ms: state.clock.now_ms(),
        ended_ms: None,
        auto_record: None,
        recording_required: false,
        missing_since_ms: None,
        labels: Labels::default(),
    }
}

/// Error for a value that its owner may not change.
pub(in crate::http) fn set_by_administrator(name: &str) -> ApiError {
    ApiError::forbidden(format!(
        "Your organization has set the {name}, so only an administrator can change it."
    ))
}

fn no_such_user() -> ApiError {
    ApiError::invalid("user_id is not the ID of a user.")
}

fn external_id_taken(error: DatabaseError) -> ApiError {
    match error {
        DatabaseError::Taken => ApiError::new(
            ProblemCode::AlreadyExists,
            "Another session of this user has the same external_id. Find it with ?external_id=, or choose another ID.",
        ),
        other => other.into(),
    }
}

/// Stores a new session.
async fn insert(state: &HttpState, caller: &Caller, session: SessionRow) -> ApiResult<SessionRow> {
    let sessions = state.database.sessions();
    let inserted = sessions.insert(&session, &caller.actor()).await;
    if inserted.map_err(external_id_taken)? {
        return Ok(session);
    }
    let user_id = &session.user_id;
    // The user was deleted during the request.
    Err(if *user_id == caller.user_id {
        ApiError::unauthenticated(
            "Your user account no longer exists. Sign in with another account.",
        )
    } else {
        no_such_user()
    })
}

async fn create(
    State(state): State<HttpState>,
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
                "Only an administrator can create a session for another user.",
            ));
        }
        if !query::can_be_id(user_id) || state.database.users().get(user_id).await?.is_none() {
            return Err(no_such_user());
        }
    }
    let session = SessionRow {
        status,
        auto_record: new.auto_record,
        recording_required: new.recording == Some(RecordingRequirement::Required),
        labels: Labels::new(new.external_id, new.metadata)?,
        ..new_session(&state, user_id, &new.app_id)
    };
    if session.recording_required {
        check_required(&state, &caller, user_id).await?;
    }
    let session = insert(&state, &caller, session).await?;
    Ok((StatusCode::CREATED, answer(&state, session).await?))
}

/// Checks that a user may have another session whose recording is required.
async fn check_required(state: &HttpState, caller: &Caller, user_id: &str) -> ApiResult<()> {
    if caller.is_admin() || state.database.sessions().count_required(user_id).await? < REQUIRED_MAX
    {
        return Ok(());
    }
    Err(ApiError::new(
        ProblemCode::TooManyRequests,
        format!(
            "This user has {REQUIRED_MAX} sessions whose recording is required and that have not ended. End some of them."
        ),
    ))
}

#[derive(Deserialize)]
struct SessionQuery {
    status: Option<String>,
    all: Option<String>,
    external_id: Option<String>,
    metadata: Option<String>,
}

async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    query: ListQuery<SessionQuery>,
) -> ApiResult<Response> {
    let all = query::flag("all", query.filter.all.as_deref())?;
    if all && !caller.is_admin() {
        return Err(ApiError::forbidden(
            "Only administrators can list the sessions of all users.",
        ));
    }
    let filter = SessionFilter {
        user_id: (!all).then_some(caller.user_id),
        status: query.filter.status.as_deref().map(status).transpose()?,
        labels: labels::filter(
            LabelKind::Session,
            query.filter.external_id.as_deref(),
            query.filter.metadata.as_deref(),
        )?,
    };
    let (limit, after) = (query.limit_or(LIMIT_DEFAULT)?, query.after(ORDER)?);
    let page = state
        .database
        .sessions()
        .page(&filter, after.as_ref(), limit)
        .await?;
    let auto_on = state.database.settings().auto_record().await?;
    let rows = page.rows.into_iter().map(|row| view(row, auto_on));
    let mut sessions: Vec<_> = rows.collect();
    if all {
        let owners: HashSet<_> = sessions.iter().map(|it| it.user_id.as_str()).collect();
        let names = state.database.users().names(&owners).await?;
        for session in &mut sessions {
            session.username = names.get(&session.user_id).cloned();
        }
    }
    Ok(query.page(ORDER, sessions, page.next.as_ref()))
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
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Session>> {
    let row = allowed(&state, &caller, &id).await?;
    answer(&state, row).await
}

/// Updates a session, as an embedding platform reports it. Idempotent.
async fn update(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(update): JsonBody<SessionUpdate>,
) -> ApiResult<Json<Session>> {
    let before = allowed(&state, &caller, &id).await?;
    let change = SessionChange {
        auto_record: update.auto_record,
        recording_required: update
            .recording
            .map(|recording| recording == RecordingRequirement::Required)
            .filter(|required| *required != before.recording_required),
        labels: LabelsChange {
            external_id: update.external_id,
            metadata: update.metadata,
        },
    };
    if update.status.is_none() && update.recording.is_none() && change.is_empty() {
        return Err(ApiError::invalid(
            "Name at least one of status, auto_record, recording, external_id and metadata.",
        ));
    }
    Labels::default().changed(change.labels.clone())?;
    match change.recording_required {
        Some(true) => check_required(&state, &caller, &before.user_id).await?,
        Some(false) if !caller.is_admin() => {
            return Err(ApiError::forbidden(
                "Only an administrator can make a required recording optional.",
            ));
        }
        _ => {}
    }
    let (actor, now_ms) = (caller.actor(), state.clock.now_ms());
    let editor = Editor {
        actor: &actor,
        is_admin: caller.is_admin(),
    };
    let sessions = state.database.sessions();
    let updated = sessions.update(&id, update.status, &change, editor, now_ms);
    match (updated.await.map_err(external_id_taken)?, update.status) {
        (SessionUpdated::Gone, _) => {
            return Err(ApiError::not_found("This session does not exist."));
        }
        (SessionUpdated::NoTransition(now), _) => {
            return Err(ApiError::new(
                ProblemCode::Conflict,
                if now.has_ended() {
                    "This session has ended and cannot be resumed."
                } else {
                    "A running session cannot return to creating."
                },
            ));
        }
        (SessionUpdated::Locked(name), _) => return Err(set_by_administrator(name)),
        (
            SessionUpdated::Done {
                has_new_status: true,
            },
            Some(status),
        ) if status.has_ended() => end_recordings(&state, &caller, &id).await?,
        (SessionUpdated::Done { .. }, _) => {}
    }
    let row = allowed(&state, &caller, &id).await?;
    answer(&state, row).await
}

async fn stop(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<Session>> {
    allowed(&state, &caller, &id).await?;
    enter(&state, &caller, &id, SessionStatus::Stopped).await?;
    let row = allowed(&state, &caller, &id).await?;
    answer(&state, row).await
}

async fn delete(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let row = allowed(&state, &caller, &id).await?;
    enter(&state, &caller, &id, SessionStatus::Stopped).await?;
    state
        .database
        .sessions()
        .delete(&row, &caller.actor(), state.clock.now_ms())
        .await?;
    state.accounts.recording_tokens.session_ended(&id);
    Ok(StatusCode::NO_CONTENT)
}

/// Creates a recording token.
async fn token(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    let session = allowed(&state, &caller, &id).await?;
    if session.status.has_ended() {
        return Err(ApiError::new(
            ProblemCode::SessionNotRunning,
            "This session has ended, so it cannot be recorded.",
        ));
    }
    let token = state.accounts.recording_tokens.issue(&session)?;
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

/// Changes a session's status if the transition is allowed; returns whether it was. When a session ends, its recordings
/// accept bytes in flight only, and [`crate::uploads`] finishes them.
async fn enter(
    state: &HttpState,
    caller: &Caller,
    id: &str,
    status: SessionStatus,
) -> ApiResult<bool> {
    let (actor, now_ms) = (caller.actor(), state.clock.now_ms());
    let changed = state
        .database
        .sessions()
        .change(id, status, &actor, now_ms)
        .await?;
    if changed && status.has_ended() {
        end_recordings(state, caller, id).await?;
    }
    Ok(changed)
}

/// Stops the recordings of a session that has ended, and its recording tokens.
async fn end_recordings(state: &HttpState, caller: &Caller, id: &str) -> ApiResult<()> {
    let actor = caller.actor();
    state.accounts.recording_tokens.session_ended(id);
    for recording in state.database.recordings().open_of_session(id).await? {
        // The session has ended in any case; the reaper retries this recording.
        if let Err(error) = state.uploads.stop_with_session(&recording, &actor).await {
            tracing::warn!(
                recording,
                "cannot stop a recording of an ended session: {error}"
            );
        }
    }
    Ok(())
}
