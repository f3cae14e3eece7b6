//! TLS of accepted connections.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Body;
use axum::http::uri::Authority;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Answer;

/// First byte of a TLS connection: a handshake record (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
const REFUSAL: &str = r#"{"type":"about:blank","title":"Bad request","status":400,"code":"bad_request","detail":"This port speaks HTTPS. Send the request to an address that begins with https://."}"#;

/// TLS configuration of a server, with its certificate. Cheap to clone; the certificate can be replaced while connections are
/// open, which keep theirs.
#[derive(Clone, Debug)]
pub struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

/// Marks a request that arrived over TLS, in its extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encrypted;

impl Tls {
    /// Creates a configuration for [`crate::Server::with_tls`].
    #[must_use]
    pub fn new(config: ServerConfig) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(config))))
    }

    /// Replaces the configuration for new connections.
    pub fn replace(&self, config: ServerConfig) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    pub(super) async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// Whether the client begins with TLS and not with plain HTTP. Waits for its first byte.
pub(super) async fn begins_with_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0] == HANDSHAKE),
    }
}

/// Answers plain HTTP at a port that speaks HTTPS: pages are redirected, other requests refused, because a redirect would
/// hide that their credentials were sent without encryption.
#[derive(Clone)]
pub(super) struct PlainHttp;

impl Answer for PlainHttp {
    async fn answer(self, request: Request<Body>) -> Response {
        let host = request.headers().get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
        let is_page = matches!(*request.method(), Method::GET | Method::HEAD)
            && !request.headers().contains_key(header::AUTHORIZATION);
        match host {
            Some(host) if is_page => {
                let path = request.uri().path_and_query();
                let path = path.map_or("/", |path| path.as_str());
                let location = format!("https://{host}{path}");
                (
                    StatusCode::PERMANENT_REDIRECT,
                    [(header::LOCATION, location)],
                )
                    .into_response()
            }
            _ => {
                let kind = [(header::CONTENT_TYPE, "application/problem+json")];
                (StatusCode::BAD_REQUEST, kind, REFUSAL).into_response()
            }
        }
    }
}
