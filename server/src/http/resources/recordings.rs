//! Recordings: list, look, play, download, delete.

use std::collections::{HashMap, HashSet};

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use sortie_api::{
    DeleteRecordings, DeletionStatus, ProblemCode, Recording, RecordingDeletion, RecordingPart,
    RecordingQuery, RecordingStatus, RecordingUpdate, Unforwarded,
};

use super::quota;
use super::uploads::{has_visible, is_deceptive};
use crate::clock::rfc3339;
use crate::db::{Action, AuditEvent, Changed, DatabaseError, RecordingRow, SessionRow, UploadKind};
use crate::http::extract::caller::Caller;
use crate::http::extract::json::JsonBody;
use crate::http::extract::paging;
use crate::http::extract::paging::ListQuery;
use crate::http::extract::query;
use crate::http::file;
use crate::http::file::{Disposition, Sent};
use crate::http::layers::denials;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, AppState};
use crate::left_out::Accounts;
use crate::uploads::with_extension;

/// Most recordings of one `POST /api/recordings/delete`.
const DELETIONS_MAX: usize = 1000;

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/recordings" => list,
        POST "/api/recordings/delete" => delete_many,
        GET "/api/recordings/{id}" => show,
        PATCH "/api/recordings/{id}" => change,
        DELETE "/api/recordings/{id}" => delete,
        GET "/api/recordings/{id}/download" => |state, caller, id, method, headers| {
            serve(state, caller, id, method, headers, Disposition::Attachment)
        },
        GET "/api/recordings/{id}/stream" => |state, caller, id, method, headers| {
            serve(state, caller, id, method, headers, Disposition::Inline)
        },
        GET "/api/recordings/{id}/raw" => |state, caller, id, method, headers| {
            serve(state, caller, id, method, headers, Disposition::Raw)
        },
    }
}

/// A row for a recording that begins now.
pub(in crate::http) fn new_row(
    state: &AppState,
    session_id: &str,
    user_id: &str,
    filename: Option<String>,
    upload_length: Option<u64>,
    upload_metadata: String,
) -> RecordingRow {
    let id = uuid::Uuid::now_v7().to_string();
    let created_ms = state.clock.now_ms();
    RecordingRow {
        storage_path: state.storage.growing_path(&id),
        storage_backend: state.storage.name().to_owned(),
        session_id: session_id.to_owned(),
        user_id: user_id.to_owned(),
        username: None,
        filename: filename.unwrap_or_else(|| default_filename(created_ms)),
        size_bytes: 0,
        duration_ms: 0,
        format: String::new(),
        status: RecordingStatus::Recording,
        failure: None,
        interrupted: false,
        upload_length: upload_length.and_then(|length| i64::try_from(length).ok()),
        upload_metadata,
        idempotency_key: None,
        kind: UploadKind::Recording,
        upload_concat: String::new(),
        final_id: None,
        protected: false,
        deleting: false,
        forward_pending: false,
        created_ms,
        completed_ms: None,
        part_of: None,
        part: 1,
        left_out: None,
        id,
    }
}

/// `recording_2026-11-21_09-30-00.webm`, in UTC.
pub(in crate::http) fn default_filename(created_ms: i64) -> String {
    let stamp: String = rfc3339(created_ms).chars().take(19).collect();
    format!(
        "recording_{}.webm",
        stamp.replace('T', "_").replace(':', "-")
    )
}

/// A recording as it is shown, with what is under way.
fn shown(state: &AppState, row: RecordingRow) -> Recording {
    let mut size_bytes = row.size_bytes.unsigned_abs();
    let mut duration_ms = row.duration_ms.unsigned_abs();
    let mut format = row.format;
    let (mut status, mut failure) = (row.status, row.failure);
    if row.deleting {
        status = RecordingStatus::Failed;
        failure = Some(
            "It is being deleted, but the storage did not answer yet; this is tried again."
                .to_owned(),
        );
    }
    if row.status.is_open()
        && let Some(progress) = state.uploads.progress(&row.id)
        // Else another server has gone on with it.
        && progress.size_bytes >= size_bytes
    {
        size_bytes = progress.size_bytes;
        duration_ms = progress.duration_ms;
        format = progress.format.to_owned();
    }
    Recording {
        id: row.id,
        session_id: row.session_id,
        user_id: row.user_id,
        username: row.username,
        filename: row.filename,
        size_bytes,
        #[expect(clippy::cast_precision_loss, reason = "exact below 285,000 years")]
        duration_seconds: duration_ms as f64 / 1000.0,
        format,
        storage_backend: row.storage_backend,
        storage_path: row.storage_path,
        status,
        failure,
        interrupted: row.interrupted,
        protected: row.protected,
        deleting: row.deleting,
        forward_pending: row.forward_pending,
        created_at: rfc3339(row.created_ms),
        completed_at: row.completed_ms.map(rfc3339),
        note: Accounts::from_text(row.left_out.as_deref()).note(),
        received_bytes: None,
        left_out: Vec::new(),
        hidden: Vec::new(),
        part_of: row.part_of,
        part: u32::try_from(row.part).unwrap_or(1),
        parts: Vec::new(),
    }
}

fn part_of(recording: &Recording) -> RecordingPart {
    RecordingPart {
        id: recording.id.clone(),
        part: recording.part,
        status: recording.status,
        size_bytes: recording.size_bytes,
        duration_seconds: recording.duration_seconds,
    }
}

/// Recordings as they are shown, each first part with the list of its parts.
pub(crate) async fn shown_with_parts(
    state: &AppState,
    rows: Vec<RecordingRow>,
) -> Result<Vec<Recording>, DatabaseError> {
    let first: Vec<&str> = rows
        .iter()
        .filter(|row| row.part_of.is_none())
        .map(|row| row.id.as_str())
        .collect();
    let mut further: HashMap<String, Vec<RecordingPart>> = HashMap::new();
    for row in state.database.further_parts(&first).await? {
        let Some(first) = row.part_of.clone() else {
            continue;
        };
        let part = part_of(&shown(state, row));
        further.entry(first).or_default().push(part);
    }
    Ok(rows
        .into_iter()
        .map(|row| {
            let mut recording = shown(state, row);
            if let Some(parts) = further.remove(&recording.id) {
                recording.parts.push(part_of(&recording));
                recording.parts.extend(parts);
            }
            recording
        })
        .collect())
}

/// One recording as it is shown, with the list of its parts.
async fn shown_in_full(state: &AppState, row: RecordingRow) -> ApiResult<Recording> {
    let accounts = Accounts::from_text(row.left_out.as_deref());
    let received = (row.completed_ms.and(row.upload_length)).map(i64::unsigned_abs);
    let mut shown = shown_with_parts(state, vec![row]).await?;
    let mut shown = shown.pop().ok_or_else(no_such_recording)?;
    shown.received_bytes = received;
    shown.left_out = accounts.left_out;
    shown.hidden = accounts.hidden;
    Ok(shown)
}

/// Id of the first part of the recording that a new recording of this session continues.
pub(in crate::http) async fn continued(
    state: &AppState,
    caller: &Caller,
    session: &SessionRow,
    id: &str,
) -> ApiResult<String> {
    let row = allowed(state, caller, id).await?;
    if row.session_id != session.id || row.deleting {
        return Err(ApiError::not_found(
            "This session has no such recording to continue. Start a new recording.",
        ));
    }
    if row.user_id != session.user_id {
        return Err(ApiError::new(
            ProblemCode::Conflict,
            "The recording to continue belongs to another user than the session. Start a new recording.",
        ));
    }
    Ok(row.part_of.unwrap_or(row.id))
}

/// The recording, if the caller may have it.
pub(in crate::http) async fn allowed(
    state: &AppState,
    caller: &Caller,
    id: &str,
) -> ApiResult<RecordingRow> {
    let row = owned(state, caller, id).await?;
    if row.kind == UploadKind::Partial {
        return Err(no_such_recording());
    }
    Ok(row)
}

fn no_such_recording() -> ApiError {
    ApiError::not_found("There is no such recording. It may have been deleted.")
}

/// The upload, be it a recording or a piece of one, if the caller may have it.
pub(in crate::http) async fn owned(
    state: &AppState,
    caller: &Caller,
    id: &str,
) -> ApiResult<RecordingRow> {
    let found = match query::can_be_id(id) {
        true => state.database.recording(id).await?,
        false => None,
    };
    let row = found.ok_or_else(no_such_recording)?;
    if !caller.may_have(&row.user_id) || !caller.reaches_session(&row.session_id) {
        denials::write(state, caller, Action::Access, id).await;
        return Err(ApiError::forbidden(
            "This recording belongs to somebody else.",
        ));
    }
    Ok(row)
}

async fn list(
    State(state): State<AppState>,
    caller: Caller,
    query: ListQuery<RecordingQuery>,
) -> ApiResult<Response> {
    paging::recordings(&state, &query, Some(&caller.user_id)).await
}

async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    let row = allowed(&state, &caller, &id).await?;
    Ok((
        [(header::CACHE_CONTROL, "no-store")],
        Json(shown_in_full(&state, row).await?),
    )
        .into_response())
}

/// Protects, gives free, renames.
async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(update): JsonBody<RecordingUpdate>,
) -> ApiResult<Json<Recording>> {
    let row = allowed(&state, &caller, &id).await?;
    let filename = update.filename.as_deref();
    let filename = filename.map(|name| renamed(&row, name)).transpose()?;
    let filename = filename.as_deref();
    let mut changes = Vec::new();
    match update.protected {
        Some(true) if !row.protected => changes.push("protected".to_owned()),
        Some(false) if row.protected => changes.push("no longer protected".to_owned()),
        _ => {}
    }
    if let Some(filename) = filename.filter(|filename| *filename != row.filename) {
        changes.push(format!("renamed from {} to {filename}", row.filename));
    }
    if !changes.is_empty() {
        let (actor, detail) = (caller.actor(), changes.join("; "));
        let event = AuditEvent::done(&actor, Action::Change, &row.id).detail(&detail);
        let now_ms = state.clock.now_ms();
        let limit = match update.protected {
            Some(true) if !caller.is_admin() => quota::protected_limit(&state).await,
            _ => None,
        };
        let changed = |changed| match changed {
            Changed::Done => Ok(()),
            Changed::Gone => Err(no_such_recording()),
            Changed::OverQuota => Err(quota::protected_exceeded(
                limit.map_or(0, |limit| limit.bytes),
            )),
        };
        // All parts of a recording are protected, or none.
        let protected = match &row.part_of {
            Some(first) if update.protected.is_some() => {
                let event = AuditEvent::done(&actor, Action::Change, first).detail(&detail);
                let change = state.database.change_recording(
                    first,
                    update.protected,
                    None,
                    limit,
                    &event,
                    now_ms,
                );
                changed(change.await?)?;
                None
            }
            _ => update.protected,
        };
        if protected.is_some() || filename.is_some() {
            let change = state
                .database
                .change_recording(&row.id, protected, filename, limit, &event, now_ms);
            changed(change.await?)?;
        }
    }
    let row = allowed(&state, &caller, &id).await?;
    Ok(Json(shown_in_full(&state, row).await?))
}

/// The name that a recording gets: with the ending of its format, once that is known.
fn renamed(row: &RecordingRow, name: &str) -> ApiResult<String> {
    check_filename(name)?;
    Ok(match row.format.as_str() {
        "" => name.to_owned(),
        format => with_extension(name, format),
    })
}

/// See [`RecordingUpdate::filename`].
fn check_filename(name: &str) -> ApiResult<()> {
    let length = name.chars().count();
    if (1..=200).contains(&length)
        && name.trim() == name
        && !name.starts_with('.')
        && !name.contains(['/', '\\'])
        && has_visible(name)
        && !name.chars().any(|c| c.is_control() || is_deceptive(c))
    {
        return Ok(());
    }
    Err(ApiError::invalid(
        "filename must have 1 to 200 characters, no / or \\, no control characters, none that are invisible or change the \
         direction of writing, no leading dot and no white space around it.",
    ))
}

#[derive(Deserialize)]
struct DeletionQuery {
    unforwarded: Option<String>,
}

async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<DeletionQuery>,
) -> ApiResult<StatusCode> {
    let unforwarded = match query.unforwarded.as_deref() {
        None | Some("keep") => Unforwarded::Keep,
        Some("delete") => Unforwarded::Delete,
        Some(_) => return Err(ApiError::invalid("unforwarded must be keep or delete.")),
    };
    delete_one(&state, &caller, &id, unforwarded).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a recording that the caller may delete.
async fn delete_one(
    state: &AppState,
    caller: &Caller,
    id: &str,
    unforwarded: Unforwarded,
) -> ApiResult<()> {
    let row = allowed(state, caller, id).await?;
    if unforwarded == Unforwarded::Keep {
        check_forwarded(&row)?;
    }
    state.uploads.delete(&row.id, &caller.actor()).await?;
    tracing::info!(recording = id, user = caller.username, "recording deleted");
    Ok(())
}

/// Refuses to delete the only copy of a recording that is to be forwarded.
pub(super) fn check_forwarded(row: &RecordingRow) -> ApiResult<()> {
    if !row.forward_pending {
        return Ok(());
    }
    Err(ApiError::new(
        ProblemCode::NotForwarded,
        "This recording has not been sent to the central server yet, so this is its only copy. Wait until it has \
         been sent, or delete it with unforwarded=delete.",
    ))
}

/// Deletes recordings one after the other and streams an NDJSON line for each.
///
/// The next deletion starts only when the client takes the line of the one before, so a client that disconnects
/// stops the rest. The deletion under way is completed.
async fn delete_many(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(request): JsonBody<DeleteRecordings>,
) -> ApiResult<Response> {
    let DeleteRecordings {
        mut ids,
        unforwarded,
    } = request;
    if !(1..=DELETIONS_MAX).contains(&ids.len()) {
        return Err(ApiError::invalid(format!(
            "ids must name 1 to {DELETIONS_MAX} recordings."
        )));
    }
    let mut known = HashSet::new();
    ids.retain(|id| known.insert(id.clone()));
    let lines = stream::iter(ids).then(move |id| {
        let (state, caller) = (state.clone(), caller.clone());
        async move {
            let deleted = match caller.check_again(&state).await {
                Ok(()) => delete_one(&state, &caller, &id, unforwarded).await,
                Err(error) => Err(error),
            };
            let problem = deleted.err();
            let deletion = RecordingDeletion {
                id,
                status: match problem {
                    None => DeletionStatus::Deleted,
                    Some(_) => DeletionStatus::Failed,
                },
                problem: problem.map(ApiError::into_problem),
            };
            let mut line = serde_json::to_vec(&deletion)?;
            line.push(b'\n');
            Ok::<_, serde_json::Error>(line)
        }
    });
    let mut response = Body::from_stream(lines).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx collects an answer before it passes it on, unless told not to.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Serves a recording and writes an audit row: for each whole download, and for anything else once for each person,
/// recording and hour, whatever its ranges.
async fn serve(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
    disposition: Disposition,
) -> ApiResult<Response> {
    let row = allowed(&state, &caller, &id).await?;
    let response = file::serve(&state, &row, &method, &headers, disposition).await?;
    if let Some(sent) = response.extensions().get::<Sent>() {
        let action = match disposition {
            Disposition::Inline => Action::View,
            Disposition::Attachment | Disposition::Raw => Action::Download,
        };
        let now_ms = state.clock.now_ms();
        let is_first = state
            .views
            .is_first(now_ms, &caller.user_id, action, &row.id);
        if is_first || (action == Action::Download && *sent == Sent::Whole) {
            let actor = caller.actor();
            let event = AuditEvent::done(&actor, action, &row.id);
            if let Err(error) = state.database.audit(now_ms, &event).await {
                state.views.forget(&caller.user_id, action, &row.id);
                return Err(error.into());
            }
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_name_carries_the_time() {
        assert_eq!(
            default_filename(1_795_253_400_250),
            "recording_2026-11-21_09-30-00.webm"
        );
    }
}
