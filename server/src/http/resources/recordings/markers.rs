//! Markers of a recording: `/api/recordings/{id}/markers`.
//!
//! Each part of a recording has its own file and its own markers. A marker at the end of a part, where the next part
//! begins, is derived and not stored.

mod vtt;

pub(super) use vtt::timestamp;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sortie_api::{Marker, MarkerKind, MarkerUpdate, NewMarker, ProblemCode};

use super::access::{allowed, no_such_recording};
use super::moment::latest_ms;
use crate::clock::rfc3339;
use crate::db::{MARKERS_MAX, MarkerChange, MarkerInsertion, MarkerRow, RecordingRow};
use crate::http::extract::caller::Caller;
use crate::http::extract::json::JsonBody;
use crate::http::{ApiError, ApiResult, HttpState};

/// Limit of a text, in characters.
const TEXT_MAX: usize = 500;
/// Limit of an ID that the sender chooses, in bytes.
const OWN_ID_MAX: usize = 64;

pub(super) async fn list(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    let row = allowed(&state, &caller, &id).await?;
    let markers = all(&state, &row).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(markers)).into_response())
}

/// Returns the markers as the chapters of a WebVTT file.
pub(super) async fn chapters(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    let row = allowed(&state, &caller, &id).await?;
    let markers = all(&state, &row).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/vtt; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let chapters = vtt::chapters(&markers, duration_ms(&state, &row));
    Ok((headers, chapters).into_response())
}

pub(super) async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(new): JsonBody<NewMarker>,
) -> ApiResult<(StatusCode, Json<Marker>)> {
    let recording = allowed(&state, &caller, &id).await?;
    check_text(&new.text)?;
    let latest_ms = latest_ms(&recording);
    let (id, time_ms) = match new.id {
        None => (uuid::Uuid::now_v7().to_string(), new.time_ms),
        Some(id) => (own_id(&recording, &id)?, new.time_ms.min(latest_ms)),
    };
    check_time(latest_ms, time_ms)?;
    let row = MarkerRow {
        id,
        time_ms,
        kind: new.kind,
        text: new.text,
        created_ms: state.clock.now_ms(),
        username: Some(caller.username.clone()),
    };
    let markers = state.database.markers();
    match markers.insert(&recording.id, &row, &caller.actor()).await? {
        MarkerInsertion::Done => Ok((StatusCode::CREATED, Json(marker(row)))),
        MarkerInsertion::Exists(first) => Ok((StatusCode::OK, Json(marker(first)))),
        MarkerInsertion::Gone => Err(no_such_recording()),
        MarkerInsertion::TooMany => Err(ApiError::new(
            ProblemCode::Conflict,
            format!("This recording has {MARKERS_MAX} markers. Delete some first."),
        )),
    }
}

pub(super) async fn update(
    State(state): State<HttpState>,
    caller: Caller,
    Path((id, marker_id)): Path<(String, String)>,
    JsonBody(update): JsonBody<MarkerUpdate>,
) -> ApiResult<Json<Marker>> {
    let recording = allowed(&state, &caller, &id).await?;
    if let Some(text) = &update.text {
        check_text(text)?;
    }
    if let Some(time_ms) = update.time_ms {
        check_time(latest_ms(&recording), time_ms)?;
    }
    let change = MarkerChange {
        time_ms: update.time_ms,
        text: update.text.as_deref(),
    };
    let (markers, now_ms) = (state.database.markers(), state.clock.now_ms());
    let current = markers.get(&recording.id, &marker_id).await?;
    let current = current.ok_or_else(no_such_marker)?;
    let is_same = change.time_ms.is_none_or(|it| it == current.time_ms)
        && change.text.is_none_or(|it| it == current.text);
    if is_same {
        return Ok(Json(marker(current)));
    }
    let actor = caller.actor();
    let changed = markers.change(&recording.id, &marker_id, change, &actor, now_ms);
    if !changed.await? {
        return Err(no_such_marker());
    }
    let row = markers.get(&recording.id, &marker_id).await?;
    Ok(Json(marker(row.ok_or_else(no_such_marker)?)))
}

pub(super) async fn delete(
    State(state): State<HttpState>,
    caller: Caller,
    Path((id, marker_id)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let recording = allowed(&state, &caller, &id).await?;
    let (markers, now_ms) = (state.database.markers(), state.clock.now_ms());
    // No ID contains NUL, which PostgreSQL refuses.
    let deleted = !marker_id.contains('\0')
        && markers
            .delete(&recording.id, &marker_id, &caller.actor(), now_ms)
            .await?;
    if deleted {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(no_such_marker())
}

fn no_such_marker() -> ApiError {
    ApiError::not_found("This marker does not exist. It may have been deleted.")
}

fn check_text(text: &str) -> ApiResult<()> {
    if text.chars().count() <= TEXT_MAX && !text.chars().any(|c| c.is_control() && c != '\n') {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "text must have at most {TEXT_MAX} characters, and no control characters besides line breaks."
    )))
}

/// Returns the unique ID of a marker whose sender has chosen an ID, which is unique in its recording.
fn own_id(row: &RecordingRow, id: &str) -> ApiResult<String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=OWN_ID_MAX).contains(&id.len()) && id.chars().all(is_allowed) {
        return Ok(format!("{}.{id}", row.id));
    }
    Err(ApiError::invalid(format!(
        "id must have 1 to {OWN_ID_MAX} letters, digits, hyphens and underscores."
    )))
}

/// Checks that the time lies in the recording.
fn check_time(latest: u64, time_ms: u64) -> ApiResult<()> {
    if time_ms <= latest {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "time_ms is behind the end of the recording. It must be at most {latest}."
    )))
}

fn duration_ms(state: &HttpState, row: &RecordingRow) -> u64 {
    let progress = match row.status.is_open() {
        true => state.uploads.progress(&row.id),
        false => None,
    };
    progress.map_or_else(|| row.duration_ms.unsigned_abs(), |it| it.duration_ms)
}

fn marker(row: MarkerRow) -> Marker {
    Marker {
        id: row.id,
        time_ms: row.time_ms,
        text: row.text,
        kind: row.kind,
        username: row.username.filter(|_| row.kind == MarkerKind::Note),
        created_at: rfc3339(row.created_ms),
    }
}

/// Returns the stored and the derived markers of a recording in the order of time. A finished recording may be shorter
/// than its sender assumed: later markers are at its end.
async fn all(state: &HttpState, row: &RecordingRow) -> ApiResult<Vec<Marker>> {
    let stored = state.database.markers().of(&row.id).await?;
    let mut markers: Vec<_> = stored.into_iter().map(marker).collect();
    if !row.status.is_open() {
        let end = row.duration_ms.unsigned_abs();
        for marker in &mut markers {
            marker.time_ms = marker.time_ms.min(end);
        }
    }
    let first = row.part_of.as_deref().unwrap_or(&row.id);
    let parts = state.database.parts().of(&[first]).await?;
    if let Some(next) = parts.iter().find(|part| part.part > row.part) {
        markers.push(Marker {
            id: format!("part-{}", next.part),
            time_ms: duration_ms(state, row),
            text: format!("Part {}", next.part),
            kind: MarkerKind::Part,
            username: None,
            created_at: rfc3339(next.created_ms),
        });
    }
    Ok(markers)
}
