//! Checks of an endpoint's URL.

use std::net::IpAddr;

use reqwest::Url;

use super::address;

/// Longest URL in characters.
const LONGEST: usize = 2048;

/// Parses an endpoint's URL.
///
/// # Errors
/// A sentence for the administrator. It does not quote the URL, which may contain a secret.
pub(crate) fn check(text: &str, allow_private: bool) -> Result<Url, &'static str> {
    if text.chars().count() > LONGEST {
        return Err("url must have at most 2,048 characters.");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("url must not contain white space or control characters.");
    }
    let url = Url::parse(text)
        .map_err(|_| "url must be an absolute URL such as https://example.com/hooks.")?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        "http" => {
            return Err(
                "url must begin with https. Plain http is allowed if SORTIE_WEBHOOK_ALLOW_PRIVATE=true.",
            );
        }
        _ => return Err("url must begin with https."),
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("url must not contain a user name, a password or a fragment.");
    }
    if !allow_private && literal(&url).is_some_and(|address| !address::is_public(address)) {
        return Err(
            "url names an address that is not public. Private addresses are allowed if SORTIE_WEBHOOK_ALLOW_PRIVATE=true.",
        );
    }
    Ok(url)
}

/// Returns the IP address that a URL names without DNS.
fn literal(url: &Url) -> Option<IpAddr> {
    // The parser has normalised other notations of IPv4 addresses, such as 0x7f.1.
    let host = url.host_str()?;
    let host = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    host.parse().ok()
}

/// Returns the host of a URL, for logs: the path may contain a secret.
pub(crate) fn host(url: &str) -> String {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str);
    host.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_addresses_are_refused_in_every_notation() {
        for text in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.0.0.1/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[fe80::1]/",
            "https://169.254.169.254/latest/meta-data",
            "http://example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "https://ann:secret@example.com/",
            "https://example.com/#part",
            "https://exa mple.com/",
            "/hooks",
            "",
        ] {
            assert!(check(text, false).is_err(), "{text}");
        }
        let long = format!("https://example.com/{}", "a".repeat(2048));
        assert!(check(&long, true).is_err());
    }

    #[test]
    fn private_addresses_and_http_need_permission() {
        assert!(check("https://example.com/hooks?key=1", false).is_ok());
        assert!(check("https://1.1.1.1/", false).is_ok());
        assert!(check("http://127.0.0.1:9/", true).is_ok());
        assert!(check("ftp://127.0.0.1:9/", true).is_err());
    }

    #[test]
    fn host_leaves_out_the_path() {
        assert_eq!(host("https://example.com:8443/T0/secret"), "example.com");
        assert_eq!(host("nonsense"), "");
    }
}
