//! Values of query parameters.

use crate::http::error::{ApiError, ApiResult};

/// Limit of a text, in characters.
const TEXT_MAX: usize = 200;
/// Limit of a text that is compared exactly, in bytes.
const EXACT_MAX: usize = 800;

/// Whether a text can be an ID. IDs have no NUL, and PostgreSQL rejects a text with one.
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
        // An unescaped `+` of `2026-11-21T09:30:00+01:00` is decoded as a space.
        let text = text.replace(' ', "+");
        text.parse::<jiff::Timestamp>()
            .map(|time| time.as_millisecond())
            .or_else(|error| last_days(&text).ok_or(error))
            .map_err(|_| {
                ApiError::invalid(format!(
                    "{name} must be a time like 2026-11-21T09:30:00Z (RFC 3339)."
                ))
            })
    })
    .transpose()
}

/// Maps the last two days of the year 9999, which forms and programs use for "no end", to the largest timestamp: in
/// some time zones they are outside the library's range.
fn last_days(text: &str) -> Option<i64> {
    let rest = text.strip_prefix("9999-12-3")?.strip_prefix(['0', '1'])?;
    let day_before: jiff::Timestamp = format!("9999-12-29{rest}").parse().ok()?;
    (day_before.as_second() > 0).then(|| jiff::Timestamp::MAX.as_millisecond())
}

/// A query parameter that is a short text; `None` if it is absent or empty, as an unused field of a form is.
pub(in crate::http) fn text(name: &str, value: Option<&str>) -> ApiResult<Option<String>> {
    let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    if value.chars().count() > TEXT_MAX || value.chars().any(char::is_control) {
        return Err(ApiError::invalid(format!(
            "{name} must have at most {TEXT_MAX} characters and no control characters."
        )));
    }
    Ok(Some(value.to_owned()))
}

/// A query parameter that is compared exactly; `None` if it is absent or empty.
pub(in crate::http) fn long_text(name: &str, value: Option<&str>) -> ApiResult<Option<String>> {
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    if value.len() > EXACT_MAX || value.chars().any(char::is_control) {
        return Err(ApiError::invalid(format!(
            "{name} must have at most {EXACT_MAX} bytes and no control characters."
        )));
    }
    Ok(Some(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_parameters_are_rejected() {
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
