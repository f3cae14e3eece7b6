//! Sending a part of a recording, or a copy in another format.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, BoxStream, Stream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use sortie_api::ProblemCode;
use sortie_media::{Clip, ClipBody, NoRemux};

use super::{
    Disposition, Sent, Validators, check_conditions, content_disposition, delivery, read_index,
    select_range,
};
use crate::db::RecordingRow;
use crate::http::{ApiError, ApiResult, HttpState};
use crate::storage::{Storage, StorageError, blocking};

/// Returns a copy of a recording as MP4.
pub(in crate::http) async fn copy_as_mp4(state: &HttpState, row: &RecordingRow) -> ApiResult<Clip> {
    // The semaphore is never closed.
    let _permit = state.caches.indexes.acquire().await;
    let index = read_index(state, row).await?;
    blocking(move || Ok(index.to_mp4())).await?.map_err(no_copy)
}

/// Returns a part of a recording, in the format of the recording or as MP4.
pub(in crate::http) async fn part(
    state: &HttpState,
    row: &RecordingRow,
    times_ms: Range<u64>,
    as_mp4: bool,
) -> ApiResult<Clip> {
    // The semaphore is never closed.
    let _permit = state.caches.indexes.acquire().await;
    let index = read_index(state, row).await?;
    let duration_ms = index.duration_ms();
    let clip = blocking(move || {
        Ok(match as_mp4 {
            true => index.clip_as_mp4(times_ms.start, times_ms.end),
            false => Ok(index.clip(times_ms.start, times_ms.end)),
        })
    });
    clip.await?.map_err(no_copy)?.ok_or_else(|| {
        ApiError::invalid(format!(
            "The recording is {duration_ms} milliseconds long and has no picture in this range. start_ms must be less."
        ))
    })
}

fn no_copy(reason: NoRemux) -> ApiError {
    let detail = format!("{reason} Download the recording in its own format instead.");
    ApiError::new(ProblemCode::NotAcceptable, detail)
}

/// Answers with the bytes of a clip, or a range of them. A clip whose size is not known has no ranges: its bytes are made
/// while they are sent.
pub(in crate::http) async fn send(
    state: &HttpState,
    row: &RecordingRow,
    mut clip: Clip,
    method: &Method,
    request: &HeaderMap,
    disposition: Disposition,
    filename: &str,
) -> ApiResult<Response> {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(clip.container.mime_type()),
    );
    headers.insert(
        header::CONTENT_DISPOSITION,
        content_disposition(disposition.name(), filename),
    );
    let Some(size) = size(state, row, &clip).await? else {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
        if *method != Method::GET {
            // An empty body would state a length of 0.
            let nothing = Body::from_stream(stream::empty::<io::Result<Bytes>>());
            return Ok((StatusCode::OK, headers, nothing).into_response());
        }
        let body = bytes(state, row, clip, 0..u64::MAX).await?;
        return Ok(delivery(Sent::Whole, (StatusCode::OK, headers, body)));
    };
    let tag = format!("{}-{}-{}", row.id, clip.start_ms, clip.end_ms);
    let validators = Validators::new(&tag, row.completed_ms.unwrap_or_default());
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.extend(validators.headers());
    let Some(range_applies) = check_conditions(&validators, request)? else {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    };
    if *method != Method::GET {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
        return Ok((StatusCode::OK, headers).into_response());
    }
    let wanted = request.get(header::RANGE).filter(|_| range_applies);
    let (status, range) = select_range(wanted, size, &mut headers)?;
    let length = range.end - range.start;
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let sent = Sent::of(&range, size);
    let remain = clip.skip_to(range.start).unwrap_or(0);
    let body = bytes(state, row, clip, remain..remain.saturating_add(length)).await?;
    Ok(delivery(sent, (status, headers, body)))
}

/// Largest part of a file that is read to find the end of a clip.
const TAIL_MAX: u64 = 16 << 20;

/// Returns the size of a clip; `None` for a copy as MP4, and if the keyframe interval in which the clip ends is too long to
/// be read before the first byte is sent.
async fn size(state: &HttpState, row: &RecordingRow, clip: &Clip) -> ApiResult<Option<u64>> {
    if clip.size.is_some() {
        return Ok(clip.size);
    }
    let tail = clip.tail();
    let tail = tail.filter(|tail| tail.range.end - tail.range.start <= TAIL_MAX);
    let Some(mut tail) = tail else {
        return Ok(None);
    };
    let mut size = tail.offset;
    let mut pieces = state.storage.read(&row.storage_path, tail.range).await?;
    while !tail.body.is_complete()
        && let Some(piece) = pieces.try_next().await.map_err(StorageError::from)?
    {
        size = size.saturating_add(tail.body.push(&piece).len() as u64);
    }
    Ok(Some(size))
}

/// Returns a range of the bytes that a clip yields.
async fn bytes(
    state: &HttpState,
    row: &RecordingRow,
    clip: Clip,
    range: Range<u64>,
) -> ApiResult<Body> {
    let mut head = Bytes::from(clip.head);
    let mut reading = Reading {
        storage: Arc::clone(&state.storage),
        path: row.storage_path.clone(),
        ranges: VecDeque::from(clip.ranges),
        body: clip.body,
        pieces: stream::empty().boxed(),
        is_finished: false,
    };
    // Opened before the status is sent.
    reading.open().await?;
    if head.is_empty() {
        // The first frames show whether a copy is possible.
        head = match reading.next().await {
            Ok(first) => first.unwrap_or_default(),
            Err(Failure::Storage(error)) => return Err(error.into()),
            Err(Failure::Copy(reason)) => return Err(no_copy(reason)),
        };
    }
    let rest = stream::try_unfold(reading, async |mut reading| match reading.next().await {
        Ok(bytes) => Ok(bytes.map(|bytes| (bytes, reading))),
        Err(Failure::Storage(error)) => Err(io::Error::other(error)),
        Err(Failure::Copy(reason)) => Err(io::Error::other(reason)),
    });
    let all = stream::once(async { Ok(head) }).chain(rest);
    Ok(Body::from_stream(cut(all, range)))
}

/// Cuts a range out of a stream, and ends it there.
fn cut(
    bytes: impl Stream<Item = io::Result<Bytes>>,
    range: Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> {
    // Position of the next piece, and the stream.
    let state = (0, Box::pin(bytes));
    stream::try_unfold(state, move |(mut at, mut bytes)| {
        let Range { start, end } = range;
        async move {
            while at < end
                && let Some(mut piece) = bytes.try_next().await?
            {
                let length = piece.len() as u64;
                let within = |position: u64| {
                    let offset = position.saturating_sub(at).min(length);
                    usize::try_from(offset).unwrap_or(piece.len())
                };
                let cut = within(start)..within(end);
                at += length;
                piece = piece.slice(cut);
                if !piece.is_empty() {
                    return Ok(Some((piece, (at, bytes))));
                }
            }
            Ok(None)
        }
    })
}

/// State of the stream of a clip.
struct Reading {
    storage: Arc<dyn Storage>,
    path: String,
    ranges: VecDeque<Range<u64>>,
    body: ClipBody,
    pieces: BoxStream<'static, io::Result<Bytes>>,
    is_finished: bool,
}

/// Reason why a clip ends early.
enum Failure {
    Storage(StorageError),
    Copy(NoRemux),
}

impl Reading {
    /// Opens the next range; `false` if there is none.
    async fn open(&mut self) -> Result<bool, StorageError> {
        let Some(range) = self.ranges.pop_front() else {
            return Ok(false);
        };
        self.pieces = self.storage.read(&self.path, range).await?;
        Ok(true)
    }

    /// Returns the next bytes. Reads as fast as the client does, and not behind the end of the clip.
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while !self.is_finished {
            let piece = match self.body.is_complete() {
                true => None,
                false => {
                    let piece = self.pieces.try_next().await;
                    piece.map_err(|error| Failure::Storage(error.into()))?
                }
            };
            let bytes = match piece {
                Some(piece) => self.body.push(&piece),
                None if !self.body.is_complete()
                    && self.open().await.map_err(Failure::Storage)? =>
                {
                    continue;
                }
                None => {
                    self.is_finished = true;
                    self.body.finish()
                }
            };
            if !bytes.is_empty() {
                return Ok(Some(bytes.into()));
            }
            if let Some(reason) = self.body.failure() {
                // Ends the connection, so that the client does not take the part for the whole.
                return Err(Failure::Copy(reason.clone()));
            }
        }
        Ok(None)
    }
}
