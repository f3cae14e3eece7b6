//! Conditional requests (RFC 9110, section 13).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue, header};
use axum_extra::headers::{
    ETag, HeaderMapExt as _, IfMatch, IfModifiedSince, IfNoneMatch, IfUnmodifiedSince, LastModified,
};

/// Whether the client has the version with this tag already (304).
pub(in crate::http) fn has_version(request: &HeaderMap, etag: &ETag) -> bool {
    let known = request.typed_get::<IfNoneMatch>();
    known.is_some_and(|known| !known.precondition_passes(etag))
}

/// Validators of a recording. Its bytes never change once it is complete, so both are strong.
pub(in crate::http) struct Validators {
    etag: Option<ETag>,
    /// Completion time in whole seconds.
    modified: SystemTime,
}

/// Result of the conditions of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Outcome {
    /// 412: the client expects another version.
    Failed,
    /// 304: the client has this version.
    NotModified,
    /// The file is sent; `range`: the header `Range` applies.
    Send { range: bool },
}

impl Validators {
    pub(in crate::http) fn new(id: &str, completed_ms: i64) -> Self {
        let seconds = completed_ms.max(0).unsigned_abs() / 1000;
        Self {
            etag: format!("\"{id}\"").parse().ok(),
            modified: UNIX_EPOCH + Duration::from_secs(seconds),
        }
    }

    /// `ETag` and `Last-Modified`.
    pub(in crate::http) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(etag) = &self.etag {
            headers.typed_insert(etag.clone());
        }
        headers.typed_insert(LastModified::from(self.modified));
        headers
    }

    /// Evaluates the conditions of a request in the order of section 13.2.2.
    pub(in crate::http) fn evaluate(&self, request: &HeaderMap) -> Outcome {
        let holds = |passes: &dyn Fn(&ETag) -> bool| self.etag.as_ref().is_some_and(passes);
        let expected = match request.typed_get::<IfMatch>() {
            Some(tags) => holds(&|etag| tags.precondition_passes(etag)),
            None => request
                .typed_get::<IfUnmodifiedSince>()
                .is_none_or(|since| since.precondition_passes(self.modified)),
        };
        if !expected {
            return Outcome::Failed;
        }
        let modified = match request.typed_get::<IfNoneMatch>() {
            Some(tags) => holds(&|etag| tags.precondition_passes(etag)),
            None => request
                .typed_get::<IfModifiedSince>()
                .is_none_or(|since| since.is_modified(self.modified)),
        };
        if !modified {
            return Outcome::NotModified;
        }
        Outcome::Send {
            range: self.range_applies(request.get(header::IF_RANGE)),
        }
    }

    /// Whether `If-Range` names this version exactly (section 13.1.5). `IfRange` of the crate `headers` also accepts a
    /// later date.
    fn range_applies(&self, if_range: Option<&HeaderValue>) -> bool {
        let headers = self.headers();
        if_range.is_none_or(|condition| headers.values().any(|validator| validator == condition))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    /// Example of the specification, and a second before and after.
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[track_caller]
    fn check(fields: &[(HeaderName, &str)], expected: Outcome) {
        let mut request = HeaderMap::new();
        for (name, value) in fields {
            let value = HeaderValue::from_str(value).expect("a value");
            request.append(name, value);
        }
        let validators = Validators::new("id", 784_111_777_999);
        assert_eq!(validators.evaluate(&request), expected, "{fields:?}");
    }

    const SEND: Outcome = Outcome::Send { range: true };
    const WHOLE: Outcome = Outcome::Send { range: false };

    #[test]
    fn request_without_conditions_is_sent() {
        check(&[], SEND);
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for (tags, expected) in [
            ("\"id\"", Outcome::NotModified),
            ("W/\"id\"", Outcome::NotModified),
            ("\"a\", \"id\"", Outcome::NotModified),
            ("\"a\",W/\"id\" ,\"b\"", Outcome::NotModified),
            ("*", Outcome::NotModified),
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
        check(&two, Outcome::NotModified);
        // The tag takes precedence over the date.
        let both = [
            (header::IF_NONE_MATCH, "\"a\""),
            (header::IF_MODIFIED_SINCE, AFTER),
        ];
        check(&both, SEND);
    }

    #[test]
    fn if_modified_since_accepts_every_date_format() {
        for (since, expected) in [
            (BEFORE, SEND),
            (THEN, Outcome::NotModified),
            (AFTER, Outcome::NotModified),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Outcome::NotModified),
            ("Sun Nov  6 08:49:37 1994", Outcome::NotModified),
            ("yesterday", SEND),
            ("784111777", SEND),
            ("", SEND),
        ] {
            check(&[(header::IF_MODIFIED_SINCE, since)], expected);
        }
    }

    #[test]
    fn if_match_is_evaluated_first() {
        for (tags, expected) in [
            ("\"id\"", SEND),
            ("*", SEND),
            ("\"a\", \"id\"", SEND),
            ("W/\"id\"", Outcome::Failed),
            ("\"other\"", Outcome::Failed),
        ] {
            check(&[(header::IF_MATCH, tags)], expected);
        }
        for (since, expected) in [
            (BEFORE, Outcome::Failed),
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
        check(&both, Outcome::Failed);
        let both = [(header::IF_MATCH, "*"), (header::IF_NONE_MATCH, "\"id\"")];
        check(&both, Outcome::NotModified);
    }

    #[test]
    fn range_applies_to_the_exact_version_only() {
        for (condition, expected) in [
            ("\"id\"", SEND),
            (THEN, SEND),
            ("W/\"id\"", WHOLE),
            ("\"other\"", WHOLE),
            ("*", WHOLE),
            (BEFORE, WHOLE),
            (AFTER, WHOLE),
            ("nonsense", WHOLE),
        ] {
            check(&[(header::IF_RANGE, condition)], expected);
        }
    }
}
