//! Recordings: `/api/recordings`, `/api/admin/recordings` and `/api/sessions/{id}/recording`.

mod access;
mod form;
mod list;
mod new;
mod present;
mod serve;
mod session;

use std::collections::HashSet;

use axum::Json;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use sortie_api::{
    DeleteRecordings, DeletionStatus, ProblemCode, Recording, RecordingDeletion, RecordingUpdate,
    Unforwarded,
};

use super::{sessions, storage};
use crate::db::{Changed, Editor, RecordingChange, RecordingRow};
use crate::http::extract::caller::Caller;
use crate::http::extract::json::JsonBody;
use crate::http::file::{Disposition, has_visible, is_deceptive};
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};
use crate::labels::{Labels, LabelsChange};
use crate::uploads::with_extension;
use access::no_such_recording;
pub(in crate::http) use access::{allowed, continued, owned};
pub(in crate::http) use new::new_row;
pub(in crate::http) use present::with_parts;
use serve::serve;

/// Largest number of recordings of one `POST /api/recordings/delete`.
const DELETIONS_MAX: usize = 1000;

pub(in crate::http) fn routes() -> Routes {
    routes! { POST "/api/sessions/{id}/recording/upload" => session::upload }
        .layer(DefaultBodyLimit::disable())
        .merge(routes! {
            POST "/api/sessions/{id}/recording/start" => session::start,
            POST "/api/sessions/{id}/recording/stop" => session::stop,
            GET "/api/recordings" => list::list,
            GET "/api/admin/recordings" => list::list_all,
            POST "/api/recordings/delete" => delete_many,
            GET "/api/recordings/{id}" => show,
            PATCH "/api/recordings/{id}" => update,
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
        })
}

async fn show(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    let row = allowed(&state, &caller, &id).await?;
    Ok((
        [(header::CACHE_CONTROL, "no-store")],
        Json(present::in_full(&state, row).await?),
    )
        .into_response())
}

async fn update(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(update): JsonBody<RecordingUpdate>,
) -> ApiResult<Json<Recording>> {
    let row = allowed(&state, &caller, &id).await?;
    let labels = LabelsChange {
        external_id: update.external_id,
        metadata: update.metadata,
    };
    Labels::default().changed(labels.clone())?;
    let filename = update.filename.as_deref();
    let filename = filename.map(|name| renamed(&row, name)).transpose()?;
    let change = RecordingChange {
        protected: update.protected.filter(|it| *it != row.protected),
        filename: filename.as_deref().filter(|it| *it != row.filename),
        labels,
    };
    let limit = match change.protected {
        Some(true) if !caller.is_admin() => storage::protected_limit(&state).await,
        _ => None,
    };
    let (actor, now_ms) = (caller.actor(), state.clock.now_ms());
    let editor = Editor {
        actor: &actor,
        is_admin: caller.is_admin(),
    };
    let recordings = state.database.recordings();
    match recordings
        .change(&row, &change, limit, editor, now_ms)
        .await?
    {
        Changed::Done => {}
        Changed::Gone => return Err(no_such_recording()),
        Changed::OverQuota => {
            return Err(ApiError::protection_over_quota(
                limit.map_or(0, |limit| limit.bytes),
            ));
        }
        Changed::Locked(name) => return Err(sessions::set_by_administrator(name)),
    }
    let row = allowed(&state, &caller, &id).await?;
    Ok(Json(present::in_full(&state, row).await?))
}

/// Checks a new file name and sets the extension of the format, once that is known.
fn renamed(row: &RecordingRow, name: &str) -> ApiResult<String> {
    check_filename(name)?;
    Ok(match row.format.as_str() {
        "" => name.to_owned(),
        format => with_extension(name, format),
    })
}

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
        "filename must have 1 to 200 characters, no / or \\, no control characters, no invisible characters, no bidirectional \
         controls, no leading dot, and no leading or trailing white space.",
    ))
}

#[derive(Deserialize)]
struct DeleteQuery {
    unforwarded: Option<String>,
}

async fn delete(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<DeleteQuery>,
) -> ApiResult<StatusCode> {
    let unforwarded = match query.unforwarded.as_deref() {
        None | Some("keep") => Unforwarded::Keep,
        Some("delete") => Unforwarded::Delete,
        Some(_) => return Err(ApiError::invalid("unforwarded must be keep or delete.")),
    };
    delete_one(&state, &caller, &id, unforwarded).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_one(
    state: &HttpState,
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

/// Rejects the deletion of the only copy of a recording that is to be forwarded.
pub(in crate::http) fn check_forwarded(row: &RecordingRow) -> ApiResult<()> {
    if !row.forward_pending {
        return Ok(());
    }
    Err(ApiError::new(
        ProblemCode::NotForwarded,
        "This recording is not on the central server yet, so this is its only copy. Wait until it is forwarded, or \
         delete it with unforwarded=delete.",
    ))
}

/// Deletes recordings one after the other and streams a line of NDJSON for each.
///
/// The next deletion starts when the client has read the line before, so that a client that disconnects stops the rest.
/// A deletion that has started is completed.
async fn delete_many(
    State(state): State<HttpState>,
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
        // Turns off nginx's buffering of the answer.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
