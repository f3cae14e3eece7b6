//! Whether a request's conditions hold for a file: RFC 9110, section 13.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::clock::http_date;

/// What tells one version of a file from another. A finished recording never changes, so both are strong.
pub(in crate::http) struct Validators {
    etag: String,
    /// When it was finished, in whole seconds since 1970.
    modified_s: i64,
    modified: String,
}

/// What the conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Verdict {
    /// 412: it is not what the sender takes it for.
    Failed,
    /// 304: the sender has it already.
    Fresh,
    /// It is sent; `range`: a `Range` counts.
    Send { range: bool },
}

impl Validators {
    pub(in crate::http) fn new(id: &str, completed_ms: i64) -> Self {
        Self {
            etag: format!("\"{id}\""),
            modified_s: completed_ms.div_euclid(1000),
            modified: http_date(completed_ms).unwrap_or_default(),
        }
    }

    /// `ETag` and `Last-Modified`.
    pub(in crate::http) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let value = |text: &str| HeaderValue::from_str(text).ok();
        let etag = value(&self.etag).map(|etag| (header::ETAG, etag));
        let modified = value(&self.modified).map(|time| (header::LAST_MODIFIED, time));
        etag.into_iter().chain(modified)
    }

    /// Evaluates the conditions in their order (section 13.2.2).
    pub(in crate::http) fn judge(&self, request: &HeaderMap) -> Verdict {
        let date = |name| {
            let text = request.get(name)?.to_str().ok()?;
            seconds(httpdate::parse_http_date(text.trim()).ok()?)
        };
        let failed = match list(request, &header::IF_MATCH) {
            // A weak tag never matches here (section 13.1.1).
            Some(list) => !self.is_named(&list, false),
            None => date(header::IF_UNMODIFIED_SINCE).is_some_and(|since| self.modified_s > since),
        };
        if failed {
            return Verdict::Failed;
        }
        let fresh = match list(request, &header::IF_NONE_MATCH) {
            Some(list) => self.is_named(&list, true),
            None => date(header::IF_MODIFIED_SINCE).is_some_and(|since| self.modified_s <= since),
        };
        if fresh {
            return Verdict::Fresh;
        }
        // A range of another version than the one asked about would be patched into the wrong file. An exact
        // match, of a strong tag or of our own date (section 13.1.5).
        let range = request.get(header::IF_RANGE).is_none_or(|condition| {
            let condition = condition.to_str().unwrap_or_default().trim();
            condition == self.etag || condition == self.modified
        });
        Verdict::Send { range }
    }

    /// Whether a list of entity tags names this one.
    fn is_named(&self, list: &str, weakly: bool) -> bool {
        let mut tags = list.split(',').map(|tag| tag.trim_matches([' ', '\t']));
        tags.any(|tag| {
            let strong = tag.strip_prefix("W/").filter(|_| weakly).unwrap_or(tag);
            tag == "*" || strong == self.etag
        })
    }
}

/// A list that may come in several fields (section 5.2).
fn list(request: &HeaderMap, name: &HeaderName) -> Option<String> {
    let fields = request.get_all(name).iter();
    let fields: Vec<_> = fields.map(|it| it.to_str().unwrap_or_default()).collect();
    (!fields.is_empty()).then(|| fields.join(","))
}

fn seconds(time: SystemTime) -> Option<i64> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's own example, and a second before and after.
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[track_caller]
    fn check(fields: &[(HeaderName, &str)], expected: Verdict) {
        let mut request = HeaderMap::new();
        for (name, value) in fields {
            let value = HeaderValue::from_str(value).expect("a value");
            request.append(name, value);
        }
        let validators = Validators::new("id", 784_111_777_999);
        assert_eq!(validators.judge(&request), expected, "{fields:?}");
    }

    const SEND: Verdict = Verdict::Send { range: true };
    const WHOLE: Verdict = Verdict::Send { range: false };

    #[test]
    fn without_conditions_it_is_sent() {
        check(&[], SEND);
    }

    #[test]
    fn tags_that_must_not_match() {
        for (tags, expected) in [
            ("\"id\"", Verdict::Fresh),
            ("W/\"id\"", Verdict::Fresh),
            ("\"a\", \"id\"", Verdict::Fresh),
            ("\"a\",W/\"id\" ,\"b\"", Verdict::Fresh),
            ("*", Verdict::Fresh),
            ("\"other\"", SEND),
            ("id", SEND),
            ("w/\"id\"", SEND),
            ("", SEND),
        ] {
            check(&[(header::IF_NONE_MATCH, tags)], expected);
        }
        let two = [
            (header::IF_NONE_MATCH, "\"a\""),
            (header::IF_NONE_MATCH, "\"id\""),
        ];
        check(&two, Verdict::Fresh);
        // The tag counts, the date does not.
        let both = [
            (header::IF_NONE_MATCH, "\"a\""),
            (header::IF_MODIFIED_SINCE, AFTER),
        ];
        check(&both, SEND);
    }

    #[test]
    fn dates_in_every_form() {
        for (since, expected) in [
            (BEFORE, SEND),
            (THEN, Verdict::Fresh),
            (AFTER, Verdict::Fresh),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Verdict::Fresh),
            ("Sun Nov  6 08:49:37 1994", Verdict::Fresh),
            ("yesterday", SEND),
            ("784111777", SEND),
            ("", SEND),
        ] {
            check(&[(header::IF_MODIFIED_SINCE, since)], expected);
        }
    }

    #[test]
    fn what_must_match_comes_first() {
        for (tags, expected) in [
            ("\"id\"", SEND),
            ("*", SEND),
            ("\"a\", \"id\"", SEND),
            ("W/\"id\"", Verdict::Failed),
            ("\"other\"", Verdict::Failed),
        ] {
            check(&[(header::IF_MATCH, tags)], expected);
        }
        for (since, expected) in [
            (BEFORE, Verdict::Failed),
            (THEN, SEND),
            (AFTER, SEND),
            ("never", SEND),
        ] {
            check(&[(header::IF_UNMODIFIED_SINCE, since)], expected);
        }
        let both = [
            (header::IF_MATCH, "\"other\""),
            (header::IF_NONE_MATCH, "\"id\""),
        ];
        check(&both, Verdict::Failed);
        let both = [(header::IF_MATCH, "*"), (header::IF_NONE_MATCH, "\"id\"")];
        check(&both, Verdict::Fresh);
    }

    #[test]
    fn a_range_counts_for_the_same_version_only() {
        for (condition, expected) in [
            ("\"id\"", SEND),
            (THEN, SEND),
            ("W/\"id\"", WHOLE),
            ("\"other\"", WHOLE),
            ("*", WHOLE),
            (BEFORE, WHOLE),
            // Later is not the same.
            (AFTER, WHOLE),
            ("nonsense", WHOLE),
        ] {
            check(&[(header::IF_RANGE, condition)], expected);
        }
    }
}
