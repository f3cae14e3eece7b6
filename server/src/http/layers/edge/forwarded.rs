//! The client of a request as proxies describe it: `X-Forwarded-…`, or `Forwarded` (RFC 7239).

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};

use super::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::config::ForwardedHeaders;

/// Description of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Forwarded {
    /// Nearest address that is not a trusted proxy.
    pub(in crate::http) address: IpAddr,
    /// Whether the client uses HTTPS.
    pub(in crate::http) https: bool,
    /// Host that the client requested, if a proxy has changed it.
    pub(in crate::http) host: Option<String>,
}

/// One proxy's description of its peer.
#[derive(Clone, Debug, Default)]
struct Hop {
    /// `None`: not an address.
    address: Option<IpAddr>,
    proto: Option<String>,
    host: Option<String>,
}

impl Forwarded {
    /// Client without a proxy.
    pub(in crate::http) fn direct(peer: IpAddr) -> Self {
        Self {
            address: peer,
            https: false,
            host: None,
        }
    }

    /// Reads the headers of `peer`, a trusted proxy. Only entries of trusted proxies are used: earlier ones may be
    /// forged by the client.
    pub(in crate::http) fn read(
        headers: &HeaderMap,
        kind: ForwardedHeaders,
        peer: IpAddr,
        trusts: impl Fn(IpAddr) -> bool,
    ) -> Self {
        let hops = match kind {
            ForwardedHeaders::XForwarded => x_forwarded(headers),
            ForwardedHeaders::Forwarded => elements(headers),
        };
        let mut client = Self::direct(peer);
        for hop in hops.into_iter().rev() {
            if !trusts(client.address) {
                break;
            }
            if let Some(proto) = &hop.proto {
                client.https = proto.eq_ignore_ascii_case("https");
            }
            if let Some(host) = hop.host {
                client.host = Some(host);
            }
            let Some(address) = hop.address else { break };
            client.address = address.to_canonical();
        }
        if kind == ForwardedHeaders::XForwarded {
            // The first entry describes the client.
            let first = |name| list(headers, name).into_iter().next();
            let proto = first(X_FORWARDED_PROTO);
            client.https = proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
            client.host = first(X_FORWARDED_HOST);
        }
        client.host = client.host.filter(|host| is_host(host));
        client
    }
}

fn list(headers: &HeaderMap, name: HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|entry| entry.trim().to_owned())
        .filter(|entry| !entry.is_empty())
        .collect()
}

fn x_forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let hop = |entry: String| Hop {
        address: address(&entry),
        ..Hop::default()
    };
    list(headers, X_FORWARDED_FOR)
        .into_iter()
        .map(hop)
        .collect()
}

/// Address without its port: `203.0.113.7`, `203.0.113.7:5678`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:5678`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|it| it.ip()))
        .ok()
        .or_else(|| {
            let inner = text.strip_prefix('[')?.strip_suffix(']')?;
            inner.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::V6)
        })
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 255
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
}

/// Elements of `Forwarded`. A malformed one is a hop without an address, so that earlier ones are ignored.
fn elements(headers: &HeaderMap) -> Vec<Hop> {
    let mut hops = Vec::new();
    for line in headers.get_all(header::FORWARDED) {
        let Ok(line) = line.to_str() else {
            hops.push(Hop::default());
            continue;
        };
        hops.extend(split(line, ',').iter().map(|it| element(it)));
    }
    hops
}

fn element(text: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in split(text, ';') {
        let Some((name, value)) = pair.split_once('=') else {
            return Hop::default();
        };
        let value = value.trim();
        let value = match value.strip_prefix('"') {
            Some(rest) => match rest.strip_suffix('"') {
                Some(quoted) => quoted.replace('\\', ""),
                None => return Hop::default(),
            },
            None if value.contains('"') => return Hop::default(),
            None => value.to_owned(),
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "for" => hop.address = address(&value),
            "proto" => hop.proto = Some(value),
            "host" => hop.host = Some(value),
            _ => {}
        }
    }
    hop
}

/// Splits at separators outside of quotes and drops empty pieces. Reads from the end, where the elements of the proxies
/// are: a quote that the client has left open must not include them.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut end, mut quoted) = (text.len(), false);
    for (at, character) in text.char_indices().rev() {
        let before = &text[..at];
        let backslashes = before.len() - before.trim_end_matches('\\').len();
        if character == '"' && backslashes.is_multiple_of(2) {
            quoted = !quoted;
        } else if character == separator && !quoted {
            pieces.push(&text[at + separator.len_utf8()..end]);
            end = at;
        }
    }
    pieces.push(&text[..end]);
    pieces.reverse();
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}
