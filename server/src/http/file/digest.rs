//! `Repr-Digest` (RFC 9530): SHA-256 of a whole recording, for clients that verify their upload before they delete the
//! local copy.

use axum::http::{HeaderMap, HeaderName};

/// RFC 9530, section 3.
pub(in crate::http) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// RFC 9530, section 4.
const WANT_REPR_DIGEST: &str = "want-repr-digest";
/// The only supported algorithm of section 5.
const SHA_256: &str = "sha-256";

/// Whether a request wants the SHA-256: `sha-256` with a weight from 1 to 10; 0 excludes it.
pub(in crate::http) fn is_wanted(request: &HeaderMap) -> bool {
    let fields = request.get_all(WANT_REPR_DIGEST).iter();
    fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .filter_map(|member| member.split_once('='))
        .filter(|(algorithm, _)| algorithm.trim() == SHA_256)
        .filter_map(|(_, weight)| weight.trim().parse().ok())
        .any(|weight| matches!(weight, 1..=10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: &[&'static str], expected: bool) {
        let mut request = HeaderMap::new();
        for field in fields {
            request.append(
                WANT_REPR_DIGEST,
                axum::http::HeaderValue::from_static(field),
            );
        }
        assert_eq!(is_wanted(&request), expected, "{fields:?}");
    }

    #[test]
    fn digest_is_sent_for_a_positive_weight() {
        check(&["sha-256=10"], true);
        check(&["sha-512=3, sha-256=1"], true);
        check(&["sha-512=3", "unixsum=1,sha-256=5"], true);
        check(&["sha-256=0"], false);
        check(&["sha-256=11"], false);
        check(&["sha-256"], false);
        check(&["sha-512=10"], false);
        check(&[], false);
    }
}
