//! Format of an answer: that of the recording, or MP4.

use axum::http::{HeaderMap, header};

use super::media_type;
use crate::http::{ApiError, ApiResult};

const MP4: &str = "video/mp4";
/// Precedence of a range that is one media type.
const NAMED: u8 = 2;

/// Whether a copy as MP4 is wanted of a recording in this format: by the query parameter `format`, or by an `Accept` that
/// has MP4 and excludes the format of the recording.
pub(in crate::http) fn is_mp4_wanted(
    query: Option<&str>,
    request: &HeaderMap,
    format: &str,
) -> ApiResult<bool> {
    let is_wanted = match query {
        Some("mp4") => true,
        None | Some("") => is_only_mp4_accepted(request, media_type(format)),
        Some(_) => return Err(ApiError::invalid("format must be mp4, or absent.")),
    };
    Ok(is_wanted && format != "mp4")
}

fn is_only_mp4_accepted(request: &HeaderMap, own: &str) -> bool {
    let accepts = |media_type| acceptance(request, media_type).is_some_and(|(_, it)| it > 0.0);
    accepts(MP4) && !accepts(own)
}

/// Whether `Accept` has this media type by its name. Ranges such as `*/*` do not count: every client sends them.
pub(in crate::http) fn is_named(request: &HeaderMap, media_type: &str) -> bool {
    let acceptance = acceptance(request, media_type);
    acceptance.is_some_and(|(precedence, quality)| precedence == NAMED && quality > 0.0)
}

/// Returns precedence and quality of the range that decides about a media type: the most specific one (RFC 9110, section
/// 12.5.1).
fn acceptance(request: &HeaderMap, media_type: &str) -> Option<(u8, f32)> {
    let fields = request.get_all(header::ACCEPT).iter();
    let fields = fields.filter_map(|field| field.to_str().ok());
    let ranges = fields.flat_map(|field| field.split(','));
    let weights = ranges.filter_map(|range| weight(range, media_type));
    weights.max_by_key(|(precedence, _)| *precedence)
}

/// Returns precedence and quality of a range of media types; `None` if it does not include the type.
fn weight(range: &str, media_type: &str) -> Option<(u8, f32)> {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next()?.to_ascii_lowercase();
    let precedence = match name.as_str() {
        "*/*" => 0,
        "video/*" if media_type.starts_with("video/") => 1,
        name => (name == media_type).then_some(NAMED)?,
    };
    let quality = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("q")
            .then(|| value.trim().parse().ok())?
    });
    Some((precedence, quality.unwrap_or(1.0)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(accept: &[&str], format: &str, expected: bool) {
        let mut request = HeaderMap::new();
        for value in accept {
            let value = HeaderValue::from_str(value).expect("a value");
            request.append(header::ACCEPT, value);
        }
        let wanted = is_mp4_wanted(None, &request, format).ok();
        assert_eq!(wanted, Some(expected), "{accept:?} {format}");
    }

    #[test]
    fn accept_selects_mp4_only_if_it_excludes_the_own_format() {
        check(&[], "webm", false);
        check(&["*/*"], "webm", false);
        check(&["video/*;q=0.5, text/html"], "webm", false);
        check(&["text/html"], "webm", false);
        check(&["video/mp4"], "webm", true);
        check(&["Video/MP4; codecs=avc1"], "mkv", true);
        check(&["video/mp4"], "mp4", false);
        check(&["video/mp4, */*;q=0.1"], "webm", false);
        check(&["video/mp4, video/webm;q=0"], "webm", true);
        check(&["video/webm;q=0", "*/*"], "webm", true);
        check(&["video/mp4;q=0"], "webm", false);
        check(&["video/mp4, video/webm"], "mkv", true);
    }

    #[test]
    fn query_selects_mp4() {
        let none = HeaderMap::new();
        assert_eq!(is_mp4_wanted(Some("mp4"), &none, "webm").ok(), Some(true));
        assert_eq!(is_mp4_wanted(Some("mp4"), &none, "mp4").ok(), Some(false));
        assert!(is_mp4_wanted(Some("avi"), &none, "webm").is_err());
    }
}
