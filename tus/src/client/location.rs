//! Resolution of `Location` headers.

/// Resolves `location` against the URL of the request (RFC 3986, section 5.2, for the forms that servers use: a full
/// URL, `//host/path`, `/path`, or a name relative to the endpoint).
///
/// The endpoint may itself be relative, as in a browser; the result is then relative, too.
pub(super) fn resolve(endpoint: &str, location: &str) -> String {
    let endpoint = endpoint.split(['?', '#']).next().unwrap_or_default();
    let absolute = endpoint
        .split_once(':')
        .and_then(|(scheme, rest)| Some((scheme, rest.strip_prefix("//")?)));
    let path = match absolute {
        Some((_, rest)) => {
            let host = rest.split('/').next().unwrap_or_default();
            rest.strip_prefix(host).unwrap_or_default()
        }
        None => endpoint,
    };
    // Empty if the endpoint is relative.
    let origin = endpoint.strip_suffix(path).unwrap_or_default();
    if has_scheme(location) {
        location.to_owned()
    } else if location.starts_with("//") {
        absolute.map_or_else(
            || location.to_owned(),
            |(scheme, _)| format!("{scheme}:{location}"),
        )
    } else if location.starts_with('/') {
        format!("{origin}{location}")
    } else {
        match path.rsplit_once('/') {
            Some((folder, _)) => format!("{origin}{folder}/{location}"),
            None if absolute.is_some() => format!("{origin}/{location}"),
            None => location.to_owned(),
        }
    }
}

/// Scheme syntax of RFC 3986, section 3.1.
fn has_scheme(url: &str) -> bool {
    let end = url.bytes().position(|it| it == b':').unwrap_or_default();
    let scheme = &url.as_bytes()[..end];
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_sent_by_servers_are_resolved() {
        #[track_caller]
        fn check(endpoint: &str, location: &str, expected: &str) {
            assert_eq!(resolve(endpoint, location), expected);
        }
        let full = "https://a.example:8443/tus/files?x=/y";
        check(full, "http://b.example/f/1", "http://b.example/f/1");
        check(full, "//b.example/f/1", "https://b.example/f/1");
        check(full, "/f/1?token=2", "https://a.example:8443/f/1?token=2");
        check(full, "1", "https://a.example:8443/tus/1");
        check("https://a.example/tus/", "1", "https://a.example/tus/1");
        check("https://a.example", "/f/1", "https://a.example/f/1");
        check("https://a.example", "1", "https://a.example/1");
        check("/tus/files", "/f/1", "/f/1");
        check("/tus/files", "1:2", "/tus/1:2");
        check("/tus/", "1", "/tus/1");
        check("files", "1", "1");
        check("/tus/", "//b.example/f/1", "//b.example/f/1");
    }
}
