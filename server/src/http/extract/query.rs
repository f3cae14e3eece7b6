//! What lists have in common: how many, from where, and the `Link` to what follows (RFC 8288).

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::{ApiError, ApiResult};

/// The query parameter `limit`.
pub(in crate::http) fn limit(text: Option<&str>, default: u32, max: u32) -> ApiResult<u32> {
    let Some(text) = text else {
        return Ok(default);
    };
    text.parse()
        .ok()
        .filter(|limit| (1..=max).contains(limit))
        .ok_or_else(|| ApiError::invalid(format!("limit must be a whole number from 1 to {max}.")))
}

/// The query parameter `cursor`: `<number>.<id>` of the last row of the page before.
pub(in crate::http) fn cursor(text: &str) -> ApiResult<(i64, &str)> {
    text.split_once('.')
        .filter(|(_, id)| can_be_id(id))
        .and_then(|(number, id)| Some((number.parse().ok()?, id)))
        .ok_or_else(|| {
            ApiError::invalid("cursor is not one that this server gave; follow the Link header.")
        })
}

/// Whether a text from outside can be an id. None of ours has a NUL, and PostgreSQL refuses a text with one.
pub(in crate::http) fn can_be_id(text: &str) -> bool {
    text.len() <= 200 && !text.contains('\0')
}

/// A query parameter that is `true` or `false`; `false` when absent.
pub(in crate::http) fn flag(name: &str, text: Option<&str>) -> ApiResult<bool> {
    match text {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ApiError::invalid(format!("{name} must be true or false."))),
    }
}

/// A query parameter that is a time (RFC 3339), as milliseconds since 1970.
pub(in crate::http) fn time(name: &str, text: Option<&str>) -> ApiResult<Option<i64>> {
    text.map(|text| {
        // A `+` in a query is a blank; `2026-11-21T09:30:00+01:00` is so easily sent unescaped.
        let text = text.replace(' ', "+");
        text.parse::<jiff::Timestamp>()
            .map(|time| time.as_millisecond())
            .or_else(|error| last_days(&text).ok_or(error))
            .map_err(|_| {
                ApiError::invalid(format!(
                    "{name} must be a time as 2026-11-21T09:30:00Z (RFC 3339)."
                ))
            })
    })
    .transpose()
}

/// The last days of the year 9999, which forms and programs write for "no end", are outside of the library's range in
/// some time zones: they count as its last moment.
fn last_days(text: &str) -> Option<i64> {
    let rest = text.strip_prefix("9999-12-3")?.strip_prefix(['0', '1'])?;
    let day_before: jiff::Timestamp = format!("9999-12-29{rest}").parse().ok()?;
    (day_before.as_second() > 0).then(|| jiff::Timestamp::MAX.as_millisecond())
}

/// One page, never kept by a cache, with the address of the next one.
pub(in crate::http) fn page<T: Serialize>(rows: Json<Vec<T>>, next: Option<&str>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(next) =
        next.and_then(|next| HeaderValue::from_str(&format!("<{next}>; rel=\"next\"")).ok())
    {
        headers.insert(header::LINK, next);
    }
    (headers, rows).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_parameter_is_refused() {
        assert_eq!(limit(None, 10, 20).ok(), Some(10));
        assert_eq!(limit(Some("20"), 10, 20).ok(), Some(20));
        for wrong in ["0", "21", "-1", "", "ten", "1.5"] {
            assert!(limit(Some(wrong), 10, 20).is_err(), "{wrong}");
        }
        assert_eq!(cursor("-5.a.b").ok(), Some((-5, "a.b")));
        for wrong in ["", "5", ".a", "x.a", "5.\0"] {
            assert!(cursor(wrong).is_err(), "{wrong}");
        }
        assert_eq!(flag("all", Some("true")).ok(), Some(true));
        assert!(flag("all", Some("1")).is_err());
        let expected = Some(1_795_253_400_000);
        for right in ["2026-11-21T09:30:00Z", "2026-11-21T10:30:00 01:00"] {
            assert_eq!(time("from", Some(right)).ok(), Some(expected), "{right}");
        }
        let last = jiff::Timestamp::MAX.as_millisecond();
        for right in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999 01:00"] {
            assert_eq!(time("to", Some(right)).ok(), Some(Some(last)), "{right}");
        }
        for wrong in [
            "2026-11-21",
            "9999-12-32T00:00:00Z",
            "9999-12-31",
            "yesterday",
            "",
        ] {
            assert!(time("from", Some(wrong)).is_err(), "{wrong}");
        }
    }
}
