//! A clip of a recording, and the index that it is cut by.

use std::ops::Range;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::headers::{ETag, HeaderMapExt as _};
use serde::Deserialize;
use sortie_api::SeekIndex;
use sortie_media::Clip;

use super::access::allowed;
use super::serve::audit;
use crate::db::{Action, RecordingRow};
use crate::http::extract::caller::Caller;
use crate::http::file::{
    self, Disposition, Sent, has_version, is_mp4_wanted, plain_filename, read_index,
};
use crate::http::{ApiError, ApiResult, HttpState};
use crate::storage::blocking;
use crate::uploads::with_extension;

#[derive(Deserialize)]
pub(super) struct ClipQuery {
    start_ms: Option<String>,
    end_ms: Option<String>,
    format: Option<String>,
}

/// Returns the keyframes of a recording.
pub(super) async fn index(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    request: HeaderMap,
) -> ApiResult<Response> {
    let row = allowed(&state, &caller, &id).await?;
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    // Weak, because the answer may be compressed.
    let etag: Option<ETag> = format!("W/\"{}-{}-index2\"", row.id, row.size_bytes)
        .parse()
        .ok();
    let etag = etag.filter(|_| row.status == sortie_api::RecordingStatus::Ready && !row.deleting);
    if let Some(etag) = etag {
        let is_known = has_version(&request, &etag);
        headers.typed_insert(etag);
        if is_known {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
    }
    // The semaphore is never closed.
    let _permit = state.caches.indexes.acquire().await;
    let index = read_index(&state, &row).await?;
    let size_bytes = row.size_bytes.unsigned_abs();
    let index = blocking(move || {
        let keyframes = index.keyframes();
        Ok(SeekIndex {
            duration_ms: index.duration_ms(),
            times_ms: keyframes.iter().map(|it| it.time_ms).collect(),
            positions: keyframes.iter().map(|it| it.position).collect(),
            media_type: index.media_type(),
            size_bytes,
        })
    });
    Ok((headers, Json(index.await?)).into_response())
}

/// Sends a part of a recording as a file of its own, from a keyframe on.
pub(super) async fn clip(
    State(state): State<HttpState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ClipQuery>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let row = allowed(&state, &caller, &id).await?;
    let start_ms = milliseconds("start_ms", query.start_ms.as_deref())?;
    let end_ms = milliseconds("end_ms", query.end_ms.as_deref())?;
    check_span(&(start_ms..end_ms))?;
    let as_mp4 = is_mp4_wanted(query.format.as_deref(), &headers, &row.format)?;
    let clip = file::part(&state, &row, start_ms..end_ms, as_mp4).await?;
    let filename = filename(&row, &clip);
    let span = format!("clip {}", span(&clip));
    let attachment = Disposition::Attachment;
    let mut response =
        file::send_clip(&state, &row, clip, &method, &headers, attachment, &filename).await?;
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("Accept"));
    if let Some(sent) = response.extensions().get::<Sent>() {
        let is_whole = *sent == Sent::Whole;
        audit(&state, &caller, Action::Download, &row.id, &span, is_whole).await?;
    }
    Ok(response)
}

/// Checks the range of a clip.
pub(in crate::http) fn check_span(times_ms: &Range<u64>) -> ApiResult<()> {
    match times_ms.is_empty() {
        false => Ok(()),
        true => Err(ApiError::invalid("end_ms must be greater than start_ms.")),
    }
}

fn milliseconds(name: &str, text: Option<&str>) -> ApiResult<u64> {
    let ms = text.and_then(|text| text.parse().ok());
    ms.ok_or_else(|| ApiError::invalid(format!("{name} must be a whole number of milliseconds.")))
}

/// Name by title and range, such as `Checkout test 00.01.05-00.02.10.webm`.
fn filename(row: &RecordingRow, clip: &Clip) -> String {
    let extension = clip.container.extension();
    let whole = with_extension(&row.filename, extension);
    let stem = whole
        .rsplit_once('.')
        .map_or(whole.as_str(), |(stem, _)| stem);
    let title = row.library.title.as_deref().unwrap_or(stem);
    let title = plain_filename(&title.replace(['/', '\\'], "-"));
    let title = title.unwrap_or_else(|| "Recording".to_owned());
    format!("{title} {}.{extension}", span(clip).replace(':', "."))
}

/// Range of a clip: `00:01:05-00:02:10`.
fn span(clip: &Clip) -> String {
    let clock = |ms: u64| {
        let seconds = ms / 1000;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
    };
    format!("{}-{}", clock(clip.start_ms), clock(clip.end_ms))
}
