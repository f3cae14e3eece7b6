//! Lists of origins.

use super::Reader;

/// Reads comma-separated origins (RFC 6454, section 6.2) as browsers write them.
pub(super) fn read(reader: &mut Reader<'_>, name: &'static str) -> Vec<String> {
    let text = reader.text(name).unwrap_or_default();
    let mut origins = Vec::new();
    for given in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        match origin(given) {
            Some(origin) => origins.push(origin),
            None => reader.wrong(
                name,
                format!(
                    "{given:?} is not a site without a path; for example https://app.example.com"
                ),
            ),
        }
    }
    origins
}

/// In lower case and without the default port.
pub(super) fn origin(given: &str) -> Option<String> {
    let uri: axum::http::Uri = given.parse().ok()?;
    let authority = uri.authority()?;
    let plain = matches!(uri.path(), "" | "/")
        && uri.query().is_none()
        && !authority.as_str().contains('@')
        && !authority.host().is_empty()
        && authority
            .as_str()
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    let scheme = uri.scheme_str().filter(|_| plain)?;
    let default_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let host = authority.host().to_ascii_lowercase();
    // `a:` and `a:x` have no number after the colon.
    if authority.port_u16().is_none() && authority.as_str().len() > authority.host().len() {
        return None;
    }
    Some(match authority.port_u16() {
        Some(port) if port != default_port => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{host}"),
    })
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn origin_has_scheme_host_and_optional_port() {
        for (given, expected) in [
            ("https://app.example.com", Some("https://app.example.com")),
            (
                "HTTPS://App.Example.com:443/",
                Some("https://app.example.com"),
            ),
            ("http://localhost:3000", Some("http://localhost:3000")),
            ("http://[::1]:80", Some("http://[::1]")),
            ("https://a.example/path", None),
            ("https://a.example?q", None),
            ("https://user@a.example", None),
            ("https://*.example.com", None),
            ("https://a.example; script-src *", None),
            ("https://a:", None),
            ("ftp://a.example", None),
            ("a.example", None),
            ("*", None),
            ("null", None),
        ] {
            assert_eq!(origin(given).as_deref(), expected, "{given}");
        }
    }
}
