//! Pictures of a recording: `/api/recordings/{id}/pictures`, poster and storyboard.
//!
//! Each part of a recording has its own file and its own pictures. Storing one is not audited: the recording is. Reading
//! the storyboard counts as viewing the recording, the poster in a list does not.

mod storyboard;

use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::headers::{ETag, HeaderMapExt as _};
use serde::Deserialize;
use sortie_api::ProblemCode;

use super::access::{allowed, no_such_recording};
use super::moment::{OPEN_MAX_MS, latest_ms};
use super::serve::audit_view;
use crate::db::{PictureInsertion, PictureRow, RecordingRow};
use crate::http::extract::caller::Caller;
use crate::http::extract::json::read_body;
use crate::http::file::has_version;
use crate::http::{ApiError, ApiResult, HttpState};
use crate::picture::{BYTES_MAX, PictureKind, Size};

#[derive(Deserialize)]
pub(super) struct PictureQuery {
    at_ms: Option<String>,
}

/// Stores a picture, unless another one has the same interval.
pub(super) async fn create(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<PictureQuery>,
    request: Request,
) -> ApiResult<StatusCode> {
    let recording = allowed(&state, &caller, &id).await?;
    let at_ms = checked_time(&recording, query.at_ms.as_deref())?;
    let media_type = request.headers().get(header::CONTENT_TYPE);
    let media_type = media_type.and_then(|it| it.to_str().ok());
    let kind = media_type.and_then(|it| PictureKind::of_media_type(&it.to_ascii_lowercase()));
    let kind = kind.ok_or_else(|| {
        ApiError::new(
            ProblemCode::UnsupportedMediaType,
            "A picture is image/jpeg or image/webp.",
        )
    })?;
    let bytes = read_body(request, &state).await?;
    let size = checked_size(kind, &bytes)?;
    let owner = &recording.user_id;
    state.uploads.check_quota(owner, bytes.len() as u64).await?;
    let row = PictureRow {
        at_ms,
        kind,
        size,
        bytes: bytes.into(),
    };
    match state
        .database
        .pictures()
        .insert(&recording.id, &row)
        .await?
    {
        PictureInsertion::Done | PictureInsertion::Covered => Ok(StatusCode::NO_CONTENT),
        PictureInsertion::Gone => Err(no_such_recording()),
    }
}

/// Returns the picture that stands for the recording in lists: the newest one while it grows, then the one nearest to a
/// tenth of its length.
pub(super) async fn poster(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let row = readable(&state, &caller, &id).await?;
    poster_of(&state, &row, &row.id, &headers).await
}

/// Answers with the poster of a recording. `tag` is the beginning of its `ETag`.
pub(in crate::http) async fn poster_of(
    state: &HttpState,
    row: &RecordingRow,
    tag: &str,
    headers: &HeaderMap,
) -> ApiResult<Response> {
    let at_ms = match row.status.is_open() {
        true => OPEN_MAX_MS,
        false => row.duration_ms.unsigned_abs() / 10,
    };
    let picture = state.database.pictures().nearest(&row.id, at_ms).await?;
    let picture = picture.ok_or_else(|| ApiError::not_found("This recording has no picture."))?;
    Ok(sent(tag, picture, headers))
}

/// Returns the times of the pictures as WebVTT, with the address of each.
pub(super) async fn storyboard(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    let row = readable(&state, &caller, &id).await?;
    let mut pictures = state.database.pictures().times(&row.id).await?;
    let mut duration_ms = row.duration_ms.unsigned_abs();
    if row.status.is_open() {
        let received = state
            .uploads
            .progress(&row.id)
            .map_or(0, |it| it.duration_ms);
        duration_ms = duration_ms.max(received);
    } else {
        // A finished recording may be shorter than its sender assumed.
        pictures.retain(|(at_ms, _)| *at_ms <= duration_ms);
    }
    if pictures.is_empty() {
        return Err(ApiError::not_found("This recording has no pictures."));
    }
    audit_view(&state, &caller, &row.id).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/vtt; charset=utf-8"),
        (header::CACHE_CONTROL, "private, no-cache"),
    ];
    Ok((headers, storyboard::cues(&pictures, duration_ms)).into_response())
}

/// Returns one picture of the storyboard.
pub(super) async fn show(
    State(state): State<HttpState>,
    caller: Caller,
    Path((id, at_ms)): Path<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let row = readable(&state, &caller, &id).await?;
    let picture = match at_ms.parse() {
        Ok(at_ms) => state.database.pictures().at(&row.id, at_ms).await?,
        Err(_) => None,
    };
    let picture = picture.ok_or_else(|| {
        ApiError::not_found("This picture does not exist. Load the storyboard again.")
    })?;
    audit_view(&state, &caller, &row.id).await?;
    Ok(sent(&row.id, picture, &headers))
}

async fn readable(state: &HttpState, caller: &Caller, id: &str) -> ApiResult<RecordingRow> {
    let row = allowed(state, caller, id).await?;
    if row.deleting {
        return Err(no_such_recording());
    }
    Ok(row)
}

/// Checks that the time lies in the recording.
fn checked_time(row: &RecordingRow, text: Option<&str>) -> ApiResult<u64> {
    let latest = latest_ms(row);
    let at_ms = text.and_then(|text| text.parse().ok());
    at_ms.filter(|at_ms| *at_ms <= latest).ok_or_else(|| {
        ApiError::invalid(format!(
            "at_ms must be a time in the recording: a whole number of milliseconds up to {latest}."
        ))
    })
}

fn checked_size(kind: PictureKind, bytes: &[u8]) -> ApiResult<Size> {
    if bytes.len() > BYTES_MAX {
        let detail = "A picture has at most 64 KiB.";
        return Err(ApiError::new(ProblemCode::TooLarge, detail));
    }
    let size = Size::of(kind, bytes).ok_or_else(|| {
        ApiError::invalid(format!(
            "The body is not a complete picture of the type {}.",
            kind.media_type()
        ))
    })?;
    if !size.is_allowed() {
        return Err(ApiError::invalid(format!(
            "The picture has {} × {} pixels. It must fit into 320 × 180 or 180 × 320.",
            size.width, size.height
        )));
    }
    Ok(size)
}

fn sent(tag: &str, picture: PictureRow, request: &HeaderMap) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    // A picture never changes.
    let etag: Option<ETag> = format!("\"{tag}-{}\"", picture.at_ms).parse().ok();
    if let Some(etag) = etag {
        let is_known = has_version(request, &etag);
        headers.typed_insert(etag);
        if is_known {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
    }
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(picture.kind.media_type()),
    );
    (headers, Bytes::from(picture.bytes)).into_response()
}
