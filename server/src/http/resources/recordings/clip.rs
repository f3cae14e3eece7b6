//! A clip of a recording, and the index that it is cut by.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::headers::{ETag, HeaderMapExt as _};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use sortie_api::SeekIndex;
use sortie_media::{Clip, ClipBody};

use super::access::allowed;
use crate::db::{Action, AuditEvent, RecordingRow};
use crate::http::extract::caller::Caller;
use crate::http::file::{content_disposition, has_version, plain_filename, read_index};
use crate::http::{ApiError, ApiResult, HttpState};
use crate::storage::{Storage, StorageError, blocking};
use crate::uploads::with_extension;

#[derive(Deserialize)]
pub(super) struct ClipQuery {
    start_ms: Option<String>,
    end_ms: Option<String>,
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
    let etag: Option<ETag> = format!("W/\"{}-{}-index\"", row.id, row.size_bytes)
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
    let index = blocking(move || {
        let keyframes = index.keyframes();
        Ok(SeekIndex {
            duration_ms: index.duration_ms(),
            times_ms: keyframes.iter().map(|it| it.time_ms).collect(),
            positions: keyframes.iter().map(|it| it.position).collect(),
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
) -> ApiResult<Response> {
    let row = allowed(&state, &caller, &id).await?;
    let start_ms = milliseconds("start_ms", query.start_ms.as_deref())?;
    let end_ms = milliseconds("end_ms", query.end_ms.as_deref())?;
    if start_ms >= end_ms {
        return Err(ApiError::invalid("end_ms must be greater than start_ms."));
    }
    let clip = {
        // The semaphore is never closed.
        let _permit = state.caches.indexes.acquire().await;
        let index = read_index(&state, &row).await?;
        let duration_ms = index.duration_ms();
        let clip = blocking(move || Ok(index.clip(start_ms, end_ms))).await?;
        clip.ok_or_else(|| {
            ApiError::invalid(format!(
                "The recording is {duration_ms} milliseconds long and has no picture in this range. start_ms must be less."
            ))
        })?
    };
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(clip.container.mime_type()),
    );
    headers.insert(
        header::CONTENT_DISPOSITION,
        content_disposition("attachment", &filename(&row, &clip)),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    if let Some(size) = clip.size {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    }
    if method != Method::GET {
        // An empty body would state a length of 0.
        let nothing = Body::from_stream(stream::empty::<io::Result<Bytes>>());
        return Ok((StatusCode::OK, headers, nothing).into_response());
    }
    let span = format!("clip {}", span(&clip));
    let bytes = bytes(Arc::clone(&state.storage), row.storage_path, clip).await?;
    let actor = caller.actor();
    let event = AuditEvent::done(&actor, Action::Download, &row.id).detail(&span);
    state.audit(&event).await?;
    Ok((StatusCode::OK, headers, Body::from_stream(bytes)).into_response())
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

/// State of the stream of a clip.
struct Reading {
    storage: Arc<dyn Storage>,
    path: String,
    ranges: VecDeque<Range<u64>>,
    body: ClipBody,
    pieces: BoxStream<'static, io::Result<Bytes>>,
}

/// Returns the bytes of a clip. Reads as fast as the client does, and not behind the end of the clip.
async fn bytes(
    storage: Arc<dyn Storage>,
    path: String,
    clip: Clip,
) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static, StorageError> {
    let mut ranges = VecDeque::from(clip.ranges);
    // Opened before the status is sent.
    let pieces = match ranges.pop_front() {
        Some(range) => storage.read(&path, range).await?,
        None => stream::empty().boxed(),
    };
    let reading = Reading {
        storage,
        path,
        ranges,
        body: clip.body,
        pieces,
    };
    let rest = stream::try_unfold(reading, async |mut reading| {
        while !reading.body.is_complete() {
            let Some(piece) = reading.pieces.try_next().await? else {
                let Some(range) = reading.ranges.pop_front() else {
                    break;
                };
                let opened = reading.storage.read(&reading.path, range).await;
                reading.pieces = opened.map_err(io::Error::other)?;
                continue;
            };
            let bytes = reading.body.push(&piece);
            if !bytes.is_empty() {
                return Ok(Some((Bytes::from(bytes), reading)));
            }
        }
        Ok(None)
    });
    Ok(stream::once(async { Ok(Bytes::from(clip.head)) }).chain(rest))
}
