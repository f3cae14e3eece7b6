//! Resolution of `Location` headers.

/// Resolves `location` against the URL of the request (RFC 3986, section 5.2, for the forms that servers use: a full
/// URL, `//host/path`, `/path`, or a name relative to the endpoint).
///
/// The endpoint may itself be relative, as in a browser; the result is then relative, too.
pub(super) fn resolve(endpoint: &str, location: &str) -> String {
    // Searches bytes: searching strings would add a kilobyte to the recorder's WebAssembly module.
    let find = |text: &str, wanted: &[u8]| text.bytes().position(|it| wanted.contains(&it));
    let endpoint = &endpoint[..find(endpoint, b"?#").unwrap_or(endpoint.len())];
    let authority = match find(endpoint, b":") {
        Some(colon) if endpoint[colon..].starts_with("://") => colon + 3,
        _ => 0,
    };
    let path = match find(&endpoint[authority..], b"/") {
        Some(slash) => authority + slash,
        None if authority == 0 => 0,
        None => endpoint.len(),
    };
    if has_scheme(location) {
        location.to_owned()
    } else if location.starts_with("//") {
        let scheme = &endpoint[..authority.saturating_sub(2)];
        scheme.to_owned() + location
    } else if location.starts_with('/') {
        // A relative endpoint has no origin to prepend.
        let origin = if authority == 0 {
            ""
        } else {
            &endpoint[..path]
        };
        origin.to_owned() + location
    } else {
        match endpoint[path..].bytes().rposition(|it| it == b'/') {
            Some(slash) => endpoint[..=path + slash].to_owned() + location,
            None if authority == 0 => location.to_owned(),
            None => [endpoint, "/", location].concat(),
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
