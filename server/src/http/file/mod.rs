//! A recording's bytes over HTTP: ranges and conditions of RFC 9110, sections 13 and 14.

mod conditions;
mod digest;
mod multi_range;
mod range;
mod views;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sortie_api::{ProblemCode, RecordingStatus};

use super::resources::uploads::is_deceptive;
use super::{ApiError, ApiResult, AppState};
use conditions::{Validators, Verdict};
pub(crate) use digest::Digests;
use multi_range::Parts;
use range::Wanted;
pub(crate) use views::Views;

use crate::db::RecordingRow;
use crate::storage::Presigned;
use crate::uploads::with_extension;

/// How long the address of an object in the store holds: a download that has begun may take longer.
const PRESIGNED_FOR: Duration = Duration::from_secs(300);

/// What the browser does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Disposition {
    /// Plays it.
    Inline,
    /// Saves it.
    Attachment,
    /// Saves what arrived of a recording that has failed.
    Raw,
}

impl Disposition {
    /// Whether a browser saves it.
    fn is_attachment(self) -> bool {
        self != Self::Inline
    }
}

/// How much of a recording an answer brings, in its extensions; absent when it brings nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Sent {
    /// All of it, or its address in the store.
    Whole,
    /// Ranges of it.
    Part,
}

/// A response with the mark of what it brings.
fn marked(sent: Sent, response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    response.extensions_mut().insert(sent);
    response
}

/// RFC 6266 and RFC 8187: an ASCII name for the old, the true one for the others.
fn content_disposition(disposition: Disposition, filename: &str) -> HeaderValue {
    let plain: String = filename
        .chars()
        .map(|c| {
            if c.is_ascii() && !c.is_ascii_control() && !"\"\\%".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    let mut encoded = String::new();
    for byte in filename.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    let kind = match disposition {
        Disposition::Inline => "inline",
        Disposition::Attachment | Disposition::Raw => "attachment",
    };
    HeaderValue::from_str(&format!(
        "{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
    ))
    .unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

fn media_type(format: &str) -> &'static str {
    match format {
        "webm" => "video/webm",
        "mkv" => "video/x-matroska",
        "mp4" => "video/mp4",
        _ => "application/octet-stream",
    }
}

/// Refuses what cannot be had of a recording in its present state.
fn check_state(row: &RecordingRow, disposition: Disposition) -> ApiResult<()> {
    let not_ready = |detail: String| Err(ApiError::new(ProblemCode::NotReady, detail));
    if row.deleting {
        return not_ready("This recording is being deleted.".to_owned());
    }
    match (row.status, disposition) {
        (RecordingStatus::Ready, Disposition::Inline | Disposition::Attachment)
        | (RecordingStatus::Failed, Disposition::Raw) => Ok(()),
        (RecordingStatus::Ready, Disposition::Raw) => {
            not_ready("This recording has not failed. Download it as a file that plays.".to_owned())
        }
        (RecordingStatus::Failed, _) => {
            let reason = row
                .failure
                .as_deref()
                .unwrap_or("It could not be finished.");
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

/// Answers with a recording's bytes, or with where they are.
pub(in crate::http) async fn serve(
    state: &AppState,
    row: &RecordingRow,
    method: &Method,
    request: &HeaderMap,
    disposition: Disposition,
) -> ApiResult<Response> {
    check_state(row, disposition)?;
    let (media_type, size) = match disposition {
        // Whatever it was taken for, and however much is left of it.
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
    let range_applies = match validators.judge(request) {
        Verdict::Failed => {
            return Err(ApiError::new(
                ProblemCode::PreconditionFailed,
                "The recording is another one than the request is made for; ask again without If-Match.",
            ));
        }
        Verdict::Fresh => return Ok((StatusCode::NOT_MODIFIED, headers).into_response()),
        Verdict::Send { range } => range,
    };
    let filename = row.filename.chars().filter(|c| !is_deceptive(*c));
    // As the type says, whatever it was renamed to.
    let filename: String = filename.collect();
    let filename = match row.format.as_str() {
        // Data of an unknown container: the sender's ending could make a system run it.
        "" if !filename.to_ascii_lowercase().ends_with(".bin") => format!("{filename}.bin"),
        "" => filename,
        format => with_extension(&filename, format),
    };
    let content_disposition = content_disposition(disposition, &filename);
    // The player stays here: its page loads media from its own origin only. And such an address is signed
    // for one method.
    if disposition.is_attachment() && method == Method::GET {
        let presigned = Presigned {
            content_disposition: content_disposition.to_str().unwrap_or("attachment"),
            content_type: media_type,
            expires_in: PRESIGNED_FOR,
        };
        if let Some(url) = state
            .storage
            .presigned(&row.storage_path, presigned)
            .await?
        {
            let headers = [
                (header::LOCATION, url),
                (header::CACHE_CONTROL, "no-store".to_owned()),
            ];
            return Ok(marked(
                Sent::Whole,
                (StatusCode::TEMPORARY_REDIRECT, headers),
            ));
        }
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_DISPOSITION, content_disposition);
    // Ranges are defined for GET alone (section 14.2).
    if *method != Method::GET {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
        // With a body it would have to be read twice.
        if digest::is_wanted(request) {
            let digest = state
                .digests
                .repr_digest(&*state.storage, &row.storage_path, size)
                .await?;
            insert(&mut headers, digest::REPR_DIGEST, &digest);
        }
        return Ok((StatusCode::OK, headers).into_response());
    }
    let wanted = request
        .get(header::RANGE)
        .filter(|_| range_applies)
        .and_then(|range| range.to_str().ok())
        .map_or(Wanted::Whole, |range| range::wanted(range, size));
    let (status, range) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::One(range) => {
            let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            insert(&mut headers, header::CONTENT_RANGE, &content_range);
            (StatusCode::PARTIAL_CONTENT, range)
        }
        Wanted::Several(ranges) => {
            // Nobody can have written it into a recording beforehand.
            let boundary = uuid::Uuid::new_v4().simple().to_string();
            let parts = Parts::new(ranges, size, media_type, boundary);
            insert(&mut headers, header::CONTENT_TYPE, &parts.content_type());
            headers.insert(
                header::CONTENT_LENGTH,
                HeaderValue::from(parts.content_length()),
            );
            let storage = Arc::clone(&state.storage);
            let body = parts.body(storage, row.storage_path.clone()).await?;
            return Ok(marked(
                Sent::Part,
                (StatusCode::PARTIAL_CONTENT, headers, body),
            ));
        }
        Wanted::Unsatisfiable => {
            let error = ApiError::new(
                ProblemCode::RangeNotSatisfiable,
                format!("The recording has {size} bytes; the range lies outside of it."),
            );
            return Err(match HeaderValue::from_str(&format!("bytes */{size}")) {
                Ok(content_range) => error.with_header(header::CONTENT_RANGE, content_range),
                Err(_) => error,
            });
        }
    };
    headers.insert(
        header::CONTENT_LENGTH,
        HeaderValue::from(range.end - range.start),
    );
    let sent = if range == (0..size) {
        Sent::Whole
    } else {
        Sent::Part
    };
    let bytes = state.storage.read(&row.storage_path, range).await?;
    Ok(marked(sent, (status, headers, Body::from_stream(bytes))))
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reaches_old_and_new_browsers() {
        assert_eq!(
            content_disposition(Disposition::Attachment, "Grüße \"1\".webm"),
            "attachment; filename=\"Gr__e _1_.webm\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.webm"
        );
    }
}
