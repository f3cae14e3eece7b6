//! Download of a recording: range and conditional requests (RFC 9110, sections 13 and 14).

mod clip;
mod conditions;
mod digest;
mod format;
mod names;
mod range;
mod seek_index;

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sortie_api::{ProblemCode, RecordingStatus};

use super::{ApiError, ApiResult, HttpState};
pub(in crate::http) use clip::{copy_as_mp4, part, send as send_clip};
pub(in crate::http) use conditions::has_version;
use conditions::{Outcome, Validators};
pub(in crate::http) use format::{is_mp4_wanted, is_named};
pub(in crate::http) use names::{content_disposition, has_visible, is_deceptive, plain_filename};
use range::Selection;
pub(in crate::http) use seek_index::read_index;

use crate::db::RecordingRow;
use crate::storage::Presigned;
use crate::uploads::with_extension;

/// Validity of a presigned URL. A download that has started may take longer.
const PRESIGNED_FOR: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Disposition {
    Inline,
    Attachment,
    /// Received bytes of a failed recording, for saving.
    Raw,
}

impl Disposition {
    fn is_attachment(self) -> bool {
        self != Self::Inline
    }

    fn name(self) -> &'static str {
        if self.is_attachment() {
            "attachment"
        } else {
            "inline"
        }
    }
}

/// Extension of an answer that delivers bytes or their URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Sent {
    /// The whole file, or its presigned URL.
    Whole,
    Part,
}

impl Sent {
    fn of(range: &Range<u64>, size: u64) -> Self {
        match *range == (0..size) {
            true => Self::Whole,
            false => Self::Part,
        }
    }
}

/// Builds an answer with the extension [`Sent`].
fn delivery(sent: Sent, response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    response.extensions_mut().insert(sent);
    response
}

fn media_type(format: &str) -> &'static str {
    match format {
        "webm" => "video/webm",
        "mkv" => "video/x-matroska",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}

/// Checks that the recording's status permits this delivery.
pub(in crate::http) fn check_state(row: &RecordingRow, disposition: Disposition) -> ApiResult<()> {
    let not_ready = |detail: String| Err(ApiError::new(ProblemCode::NotReady, detail));
    if row.deleting {
        return not_ready("This recording is being deleted.".to_owned());
    }
    match (row.status, disposition) {
        (RecordingStatus::Ready, Disposition::Inline | Disposition::Attachment)
        | (RecordingStatus::Failed, Disposition::Raw) => Ok(()),
        (RecordingStatus::Trashed, _) => not_ready(
            "This recording is in the trash. Restore it to play or download it.".to_owned(),
        ),
        (RecordingStatus::Ready, Disposition::Raw) => {
            not_ready("This recording has not failed. Use the download instead.".to_owned())
        }
        (RecordingStatus::Failed, _) => {
            let reason = row
                .failure
                .as_deref()
                .unwrap_or("The recording could not be finished.");
            not_ready(format!("This recording cannot be played. {reason}"))
        }
        (
            RecordingStatus::Recording | RecordingStatus::Uploading | RecordingStatus::Processing,
            _,
        ) => {
            not_ready("This recording is not ready yet. Try again when it is complete.".to_owned())
        }
    }
}

/// Answers with a copy of a recording as MP4.
pub(in crate::http) async fn serve_mp4(
    state: &HttpState,
    row: &RecordingRow,
    method: &Method,
    request: &HeaderMap,
    disposition: Disposition,
) -> ApiResult<Response> {
    let copy = copy_as_mp4(state, row).await?;
    let filename = row.filename.chars().filter(|c| !is_deceptive(*c));
    let filename: String = filename.collect();
    let filename = with_extension(&filename, copy.container.extension());
    send_clip(state, row, copy, method, request, disposition, &filename).await
}

/// Answers with a recording's bytes, or a redirect to a presigned URL.
pub(in crate::http) async fn serve(
    state: &HttpState,
    row: &RecordingRow,
    method: &Method,
    request: &HeaderMap,
    disposition: Disposition,
) -> ApiResult<Response> {
    check_state(row, disposition)?;
    let (media_type, size) = match disposition {
        // The size in the row may be wrong after a failure.
        Disposition::Raw => (
            "application/octet-stream",
            state.storage.size(&row.storage_path).await?,
        ),
        Disposition::Inline | Disposition::Attachment => {
            (media_type(&row.format), row.size_bytes.unsigned_abs())
        }
    };
    let validators = Validators::new(&row.id, row.completed_ms.unwrap_or_default());
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    headers.extend(validators.headers());
    let Some(range_applies) = check_conditions(&validators, request)? else {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    };
    let filename = row.filename.chars().filter(|c| !is_deceptive(*c));
    let filename: String = filename.collect();
    // The extension always matches the content type.
    let filename = match row.format.as_str() {
        // The container is unknown: a system might execute the file by the sender's extension.
        "" if !filename.to_ascii_lowercase().ends_with(".bin") => format!("{filename}.bin"),
        "" => filename,
        format => with_extension(&filename, format),
    };
    let content_disposition = content_disposition(disposition.name(), &filename);
    // Playback is not redirected: the page's policy allows media from its own origin only. A presigned URL is valid for
    // one method.
    if disposition.is_attachment()
        && method == Method::GET
        && let Some(presigner) = state.storage.presigner()
    {
        let presigned = Presigned {
            content_disposition: content_disposition.to_str().unwrap_or("attachment"),
            content_type: media_type,
            expires_in: PRESIGNED_FOR,
        };
        let url = presigner.presigned(&row.storage_path, presigned).await?;
        let headers = [
            (header::LOCATION, url),
            (header::CACHE_CONTROL, "no-store".to_owned()),
        ];
        return Ok(delivery(
            Sent::Whole,
            (StatusCode::TEMPORARY_REDIRECT, headers),
        ));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_DISPOSITION, content_disposition);
    // Ranges are defined for GET only (section 14.2).
    if *method != Method::GET {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
        // Only for HEAD: with a body, the object would be read twice.
        if digest::is_wanted(request) {
            let digest = state
                .caches
                .digests
                .repr_digest(&*state.storage, &row.storage_path, size)
                .await?;
            insert(&mut headers, digest::REPR_DIGEST, &digest);
        }
        return Ok((StatusCode::OK, headers).into_response());
    }
    let wanted = request.get(header::RANGE).filter(|_| range_applies);
    let (status, range) = select_range(wanted, size, &mut headers)?;
    headers.insert(
        header::CONTENT_LENGTH,
        HeaderValue::from(range.end - range.start),
    );
    let sent = Sent::of(&range, size);
    let bytes = state.storage.read(&row.storage_path, range).await?;
    Ok(delivery(sent, (status, headers, Body::from_stream(bytes))))
}

/// Returns status and bytes of the answer to a request for a file of `size` bytes, and adds `Content-Range`.
fn select_range(
    wanted: Option<&HeaderValue>,
    size: u64,
    headers: &mut HeaderMap,
) -> ApiResult<(StatusCode, Range<u64>)> {
    let wanted = wanted.and_then(|range| range.to_str().ok());
    match wanted.map_or(Selection::Whole, |range| range::select(range, size)) {
        Selection::Whole => Ok((StatusCode::OK, 0..size)),
        Selection::Part(range) => {
            let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            insert(headers, header::CONTENT_RANGE, &content_range);
            Ok((StatusCode::PARTIAL_CONTENT, range))
        }
        Selection::Unsatisfiable => {
            let error = ApiError::new(
                ProblemCode::RangeNotSatisfiable,
                format!("The file has {size} bytes; the range is outside of it."),
            );
            Err(match HeaderValue::from_str(&format!("bytes */{size}")) {
                Ok(content_range) => error.with_header(header::CONTENT_RANGE, content_range),
                Err(_) => error,
            })
        }
    }
}

/// Evaluates the conditions of a request. Returns whether `Range` applies; `None`: the client has this version (304).
fn check_conditions(validators: &Validators, request: &HeaderMap) -> ApiResult<Option<bool>> {
    match validators.evaluate(request) {
        Outcome::Failed => Err(ApiError::new(
            ProblemCode::PreconditionFailed,
            "The recording does not match the condition of the request. Repeat the request without If-Match.",
        )),
        Outcome::NotModified => Ok(None),
        Outcome::Send { range } => Ok(Some(range)),
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
