//! Normalises requests before they are routed, and answers before they are sent.
//!
//! Handlers see the client's address, scheme and host as reported by trusted proxies, a path without the public prefix
//! and without a trailing slash, and a short request ID. Forwarding headers of untrusted peers are removed.

mod forwarded;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header};
use axum::response::{IntoResponse as _, Response};
use sortie_api::ProblemCode;
use tower::ServiceExt as _;

use crate::config::{Config, ForwardedHeaders, PublicUrl, SignInConfig};
use crate::http::ApiError;
use crate::net::{Answer, Encrypted};
use forwarded::Forwarded;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Bytes of a client's request ID.
const REQUEST_ID_MAX: usize = 64;

/// Address of the client, in the request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct ClientAddress(pub(in crate::http) IpAddr);

/// Marks a request that does not name exactly one host, before a forwarded host replaces it.
#[derive(Clone, Copy)]
struct InvalidHost;

/// Whether a request has one header `Host`; none is allowed in other versions than HTTP/1.1 (RFC 9112, section 3.2).
fn has_valid_host(request: &Request) -> bool {
    match request.headers().get_all(header::HOST).iter().count() {
        0 => request.version() != Version::HTTP_11,
        count => count == 1,
    }
}

/// Refuses a request without exactly one host.
pub(super) fn invalid_host(request: &Request) -> Option<Response> {
    request.extensions().get::<InvalidHost>()?;
    let detail = "The request must have exactly one header Host.";
    Some(ApiError::new(ProblemCode::BadRequest, detail).into_response())
}

/// Configuration of the edge.
struct Edge {
    sign_in: SignInConfig,
    headers: ForwardedHeaders,
    public_url: Option<PublicUrl>,
}

pub(in crate::http) fn peer(extensions: &axum::http::Extensions) -> IpAddr {
    extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |info| {
            info.0.ip().to_canonical()
        })
}

/// Router behind the edge. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    edge: Arc<Edge>,
    router: Router,
}

impl App {
    pub(in crate::http) fn new(router: Router, config: &Config) -> Self {
        let edge = Arc::new(Edge {
            sign_in: config.sign_in.clone(),
            headers: config.forwarded_headers,
            public_url: config.public_url.clone(),
        });
        Self { edge, router }
    }
}

impl Answer for App {
    async fn answer(self, mut request: Request) -> Response {
        self.edge.normalise(&mut request);
        let answer = self.router.oneshot(request).await;
        let mut response = answer.unwrap_or_else(|never| match never {});
        self.edge.publish(&mut response);
        response
    }
}

impl Edge {
    fn normalise(&self, request: &mut Request) {
        if !has_valid_host(request) {
            request.extensions_mut().insert(InvalidHost);
        }
        let peer = peer(request.extensions());
        let client = if self.sign_in.trusts_forwarding(peer) {
            let trusts = |address| self.sign_in.trusts_forwarding(address);
            Forwarded::read(request.headers(), self.headers, peer, trusts)
        } else {
            Forwarded::direct(peer)
        };
        request
            .extensions_mut()
            .insert(ClientAddress(client.address));
        if let Some(uri) = self.own_uri(request.uri()) {
            *request.uri_mut() = uri;
        }
        let is_encrypted = request.extensions().get::<Encrypted>().is_some();
        let headers = request.headers_mut();
        for name in [
            X_FORWARDED_FOR,
            X_FORWARDED_HOST,
            X_FORWARDED_PROTO,
            header::FORWARDED,
        ] {
            headers.remove(name);
        }
        if let Some(host) = client
            .host
            .and_then(|host| HeaderValue::from_str(&host).ok())
        {
            headers.insert(header::HOST, host);
        }
        if is_encrypted || client.https || self.is_public_https(headers) {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        }
        let is_plain = |id: &HeaderValue| {
            let id = id.as_bytes();
            (1..=REQUEST_ID_MAX).contains(&id.len())
                && id
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        };
        let mut ids = headers.get_all(REQUEST_ID).iter();
        if !matches!((ids.next(), ids.next()), (Some(id), None) if is_plain(id)) {
            headers.remove(REQUEST_ID);
        }
    }

    /// Whether the request is for the host of a public URL with HTTPS.
    fn is_public_https(&self, headers: &HeaderMap) -> bool {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        self.public_url.as_ref().is_some_and(|url| {
            url.https
                && host.is_some_and(|host| {
                    host.strip_suffix(":443")
                        .unwrap_or(host)
                        .eq_ignore_ascii_case(&url.host)
                })
        })
    }

    fn prefix(&self) -> &str {
        self.public_url.as_ref().map_or("", |url| &url.prefix)
    }

    /// URI without the public prefix and without the trailing slash of an API path or share link; `None` if unchanged.
    fn own_uri(&self, uri: &Uri) -> Option<Uri> {
        let given = uri.path();
        let prefix = self.prefix();
        let mut path = match given.strip_prefix(prefix) {
            Some("") if !prefix.is_empty() => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => given,
        };
        if path.starts_with("/api/") || path.starts_with("/s/") {
            path = path.trim_end_matches('/');
        }
        if path == given {
            return None;
        }
        let path_and_query: PathAndQuery = match uri.query() {
            Some(query) => format!("{path}?{query}").parse().ok()?,
            None => path.parse().ok()?,
        };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).ok()
    }

    /// Adds the public prefix to the paths in an answer's headers.
    fn publish(&self, response: &mut Response) {
        let prefix = self.prefix();
        if prefix.is_empty() {
            return;
        }
        let headers = response.headers_mut();
        let rewrite = |value: &HeaderValue, mark: &str| {
            let text = value.to_str().ok()?;
            let (before, after) = text.split_at(text.find(mark)? + mark.len());
            let local = after.starts_with('/') && !after.starts_with("//");
            let done = format!("{before}{prefix}{after}");
            local.then(|| HeaderValue::from_str(&done).ok()).flatten()
        };
        for (name, mark) in [(header::LOCATION, ""), (header::LINK, "<")] {
            if let Some(value) = headers.get(&name).and_then(|value| rewrite(value, mark)) {
                headers.insert(name, value);
            }
        }
        let cookies: Vec<_> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .cloned()
            .collect();
        headers.remove(header::SET_COOKIE);
        for cookie in cookies {
            let cookie = rewrite(&cookie, "Path=").unwrap_or(cookie);
            headers.append(header::SET_COOKIE, cookie);
        }
    }
}

#[cfg(test)]
mod tests;
