//! Public address of the server, and headers in which proxies describe the client.

use std::net::{IpAddr, SocketAddr};

use super::Reader;

/// Headers in which trusted proxies describe the client. Only one kind is read: a proxy passes on the other kind
/// unchanged from the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeaders {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ForwardedHeaders {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        const NAME: &str = "SORTIE_FORWARDED_HEADERS";
        match reader.text(NAME).as_deref() {
            None | Some("x-forwarded") => Self::XForwarded,
            Some("forwarded") => Self::Forwarded,
            Some(other) => {
                reader.wrong(
                    NAME,
                    format!("{other:?} is neither x-forwarded nor forwarded"),
                );
                Self::default()
            }
        }
    }
}

/// Address of the server in browsers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Whether browsers use HTTPS.
    pub https: bool,
    /// Host and port, in lower case; without the default port.
    pub host: String,
    /// Path of the server, such as `/recordings`; empty at the root.
    pub prefix: String,
}

impl PublicUrl {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        const NAME: &str = "SORTIE_PUBLIC_URL";
        let text = reader.text(NAME)?;
        let url = Self::parse(&text);
        if url.is_none() {
            reader.wrong(
                NAME,
                format!(
                    "{text:?} is not an address of a server; for example https://example.com or \
                     https://example.com/recordings. Its path consists of letters, digits, - _ . and /, and does not \
                     begin with /api"
                ),
            );
        }
        url
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once("://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let origin = super::origins::origin(&format!(
            "{}://{authority}",
            if https { "https" } else { "http" }
        ))?;
        let (_, host) = origin.split_once("://")?;
        let prefix = path.trim_end_matches('/');
        let is_plain = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        let mut segments = prefix.split('/').skip(1);
        // The path must remain unambiguous with and without the prefix.
        if prefix.split('/').nth(1) == Some("api") || !segments.all(is_plain) {
            return None;
        }
        Some(Self {
            https,
            host: host.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

/// URL at which other servers of the installation reach this one; empty if it is not set.
pub(super) fn read_replica_url(reader: &mut Reader<'_>, port: u16) -> String {
    const NAME: &str = "SORTIE_REPLICA_ADDRESS";
    let Some(text) = reader.text(NAME) else {
        return String::new();
    };
    let url = replica_url(text.trim(), port);
    url.unwrap_or_else(|| {
        reader.wrong(
            NAME,
            format!("{text:?} is no address of a server, such as 10.0.3.7 or recorder-2:8080"),
        );
        String::new()
    })
}

/// URL of an IP address or host, with or without a port.
fn replica_url(text: &str, port: u16) -> Option<String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(format!("http://{}", SocketAddr::new(ip, port)));
    }
    let url = super::origins::origin(&format!("http://{text}"))?;
    let (_, host) = url.split_once("://")?;
    // An IPv6 address with a port is in brackets.
    let has_port = host.rsplit(']').next()?.contains(':');
    Some(if has_port {
        url
    } else {
        format!("{url}:{port}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_address_has_scheme_host_and_optional_path() {
        for (text, expected) in [
            ("https://a.example", Some((true, "a.example", ""))),
            ("https://A.example:443/", Some((true, "a.example", ""))),
            (
                "http://a.example:8080/x/",
                Some((false, "a.example:8080", "/x")),
            ),
            (
                "https://[::1]:8443/x/y.z",
                Some((true, "[::1]:8443", "/x/y.z")),
            ),
            ("https://a.example/api", None),
            ("https://a.example/api/x", None),
            ("https://a.example//x", None),
            ("https://a.example/x?y", None),
            ("https://a.example/x%20y", None),
            ("https://a.example/../x", None),
            ("https://u@a.example", None),
            ("ftp://a.example", None),
            ("a.example", None),
            ("/x", None),
        ] {
            let parsed = PublicUrl::parse(text);
            let parsed = parsed
                .as_ref()
                .map(|it| (it.https, it.host.as_str(), it.prefix.as_str()));
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn replica_address_gets_the_port_of_the_server() {
        for (text, expected) in [
            ("10.0.3.7", Some("http://10.0.3.7:8080")),
            ("fd00::7", Some("http://[fd00::7]:8080")),
            ("[fd00::7]:9000", Some("http://[fd00::7]:9000")),
            ("recorder-2", Some("http://recorder-2:8080")),
            ("recorder-2:9000", Some("http://recorder-2:9000")),
            ("http://recorder-2", None),
            ("recorder-2/x", None),
            ("", None),
        ] {
            assert_eq!(replica_url(text, 8080).as_deref(), expected, "{text}");
        }
    }
}
