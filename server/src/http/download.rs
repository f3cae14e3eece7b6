//! A recording's bytes over HTTP: ranges and conditions of RFC 9110, sections 13 and 14.

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sortie_api::{ProblemCode, RecordingStatus};

use super::{ApiError, ApiResult, AppState};
use crate::catalog::RecordingRow;
use crate::storage::Presigned;

/// How long the address of an object in the store holds: a download that has begun may take longer.
const PRESIGNED_FOR: Duration = Duration::from_secs(300);

/// What the browser does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// Plays it.
    Inline,
    /// Saves it.
    Attachment,
}

/// What part of the file is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Range(Range<u64>),
    Unsatisfiable,
}

/// Reads `Range` for a file of `size` bytes. What is not one well-formed range of bytes is ignored, as
/// RFC 9110, section 14.2 allows; several ranges are answered with the whole file.
fn part(range: Option<&str>, size: u64) -> Part {
    let Some(spec) = range.and_then(|range| range.trim().strip_prefix("bytes=")) else {
        return Part::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Part::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number too large for us is larger than any file.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let range = match (first.is_empty(), last.is_empty()) {
        (true, true) => return Part::Whole,
        // The last so many bytes.
        (true, false) => match number(last) {
            Some(0) => return Part::Unsatisfiable,
            Some(count) => size.saturating_sub(count)..size,
            None => return Part::Whole,
        },
        (false, open) => {
            let Some(first) = number(first) else {
                return Part::Whole;
            };
            let end = if open {
                size
            } else {
                match number(last) {
                    Some(last) if last >= first => last.saturating_add(1).min(size),
                    _ => return Part::Whole,
                }
            };
            first..end
        }
    };
    if range.start >= size {
        Part::Unsatisfiable
    } else {
        Part::Range(range)
    }
}

/// Whether a request is for the beginning of the file: a player or a download manager asks for the rest
/// piece by piece.
pub(super) fn is_beginning(request: &HeaderMap) -> bool {
    let range = request
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    range.is_none_or(|range| range.trim().starts_with("bytes=0-"))
}

/// Whether a list of entity tags names this one (weak comparison: the file never changes).
fn names(list: &str, etag: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
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
        Disposition::Attachment => "attachment",
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

/// Answers with a ready recording's bytes, or with where they are.
pub(super) async fn serve(
    state: &AppState,
    row: &RecordingRow,
    method: &Method,
    request: &HeaderMap,
    disposition: Disposition,
) -> ApiResult<Response> {
    if row.deleting {
        return Err(ApiError::new(
            ProblemCode::NotReady,
            "This recording is being deleted.",
        ));
    }
    match row.status {
        RecordingStatus::Ready => {}
        RecordingStatus::Failed => {
            let reason = row
                .failure
                .as_deref()
                .unwrap_or("It could not be finished.");
            return Err(ApiError::new(
                ProblemCode::NotReady,
                format!("This recording cannot be played. {reason}"),
            ));
        }
        RecordingStatus::Recording | RecordingStatus::Uploading | RecordingStatus::Processing => {
            return Err(ApiError::new(
                ProblemCode::NotReady,
                "This recording is not ready yet. Try again when it is complete.",
            ));
        }
    }
    let size = row.size_bytes.unsigned_abs();
    let text = |name| {
        request
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let etag = format!("\"{}\"", row.id);
    let modified = jiff::Timestamp::from_millisecond(row.completed_ms.unwrap_or_default())
        .ok()
        .and_then(|time| {
            jiff::fmt::rfc2822::DateTimePrinter::new()
                .timestamp_to_rfc9110_string(&time)
                .ok()
        })
        .unwrap_or_default();

    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    headers.extend(
        HeaderValue::from_str(&etag)
            .ok()
            .map(|etag| (header::ETAG, etag)),
    );
    headers.extend(
        HeaderValue::from_str(&modified)
            .ok()
            .map(|time| (header::LAST_MODIFIED, time)),
    );

    let fresh = match text(header::IF_NONE_MATCH) {
        Some(list) => names(list, &etag),
        None => text(header::IF_MODIFIED_SINCE).is_some_and(|since| since == modified),
    };
    if fresh {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let content_disposition = content_disposition(disposition, &row.filename);
    // The player stays here: its page loads media from its own origin only. And such an address is signed
    // for one method.
    if disposition == Disposition::Attachment && method == Method::GET {
        let presigned = Presigned {
            content_disposition: content_disposition.to_str().unwrap_or("attachment"),
            content_type: media_type(&row.format),
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
            return Ok((StatusCode::TEMPORARY_REDIRECT, headers).into_response());
        }
    }
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(media_type(&row.format)),
    );
    headers.insert(header::CONTENT_DISPOSITION, content_disposition);
    // A range of another version than the one asked about would be patched into the wrong file.
    let range_applies =
        text(header::IF_RANGE).is_none_or(|condition| condition == etag || condition == modified);
    let range = text(header::RANGE).filter(|_| range_applies);
    let (status, range) = match part(range, size) {
        Part::Whole => (StatusCode::OK, 0..size),
        Part::Range(range) => {
            let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            headers.extend(
                HeaderValue::from_str(&content_range)
                    .ok()
                    .map(|it| (header::CONTENT_RANGE, it)),
            );
            (StatusCode::PARTIAL_CONTENT, range)
        }
        Part::Unsatisfiable => {
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
    let bytes = state.storage.read(&row.storage_path, range).await?;
    Ok((status, headers, Body::from_stream(bytes)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(range: &str, size: u64, expected: Part) {
        assert_eq!(part(Some(range), size), expected, "{range} of {size}");
    }

    #[test]
    fn ranges() {
        assert_eq!(part(None, 10), Part::Whole);
        check("bytes=0-0", 10, Part::Range(0..1));
        check("bytes=2-5", 10, Part::Range(2..6));
        check("bytes=2-", 10, Part::Range(2..10));
        check("bytes=2-99999999999999999999999", 10, Part::Range(2..10));
        check("bytes=-3", 10, Part::Range(7..10));
        check("bytes=-30", 10, Part::Range(0..10));
        check("bytes=10-", 10, Part::Unsatisfiable);
        check("bytes=-0", 10, Part::Unsatisfiable);
        check("bytes=0-", 0, Part::Unsatisfiable);
    }

    #[test]
    fn what_is_no_range_is_ignored() {
        for range in [
            "bytes=5-2",
            "bytes=-",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "chapters=1-2",
            "bytes 0-1",
            "",
        ] {
            check(range, 10, Part::Whole);
        }
    }

    #[test]
    fn a_name_reaches_old_and_new_browsers() {
        assert_eq!(
            content_disposition(Disposition::Attachment, "Grüße \"1\".webm"),
            "attachment; filename=\"Gr__e _1_.webm\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.webm"
        );
    }
}
