//! HTTP client of the central server.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use reqwest::{Body, Certificate, Client, Method, StatusCode, header};
use sortie_api::Recording;
use sortie_server::CapturedPicture;
use sortie_tus::client::{Command, Response};

use super::Target;
use super::rate_limiter::RateLimiter;
use crate::clock::monotonic;

/// Timeout of connection setup.
const CONNECTING: Duration = Duration::from_secs(10);
/// Timeout of an answer that requires no work.
const ANSWER: Duration = Duration::from_secs(30);
/// Timeout of hashing a recording: 10 GB from a slow disk.
const HASHING: Duration = Duration::from_secs(600);
/// Bytes per read and per piece of a body.
const PIECE: u64 = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub(super) enum CentralError {
    #[error("the server cannot be asked: {0}")]
    Unreachable(#[from] reqwest::Error),
    #[error("the server answers {0}")]
    Status(StatusCode),
}

impl CentralError {
    /// Whether the server refuses the token, or its scopes do not permit the request.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        )
    }
}

/// Client of the central server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Central {
    client: Client,
    target: Target,
    limiter: Option<Arc<Mutex<RateLimiter>>>,
}

/// Source of request bodies.
#[derive(Clone)]
pub(super) struct Bytes {
    pub(super) file: Arc<File>,
    /// Offset of the stream in the file.
    pub(super) from: u64,
    /// Bytes of the current request that were sent.
    pub(super) sent: Arc<AtomicU64>,
}

impl Central {
    pub(super) fn new(target: Target) -> Result<Self, CentralError> {
        // Fails if the process has a provider already, which is harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authorities = target.authorities.as_deref().unwrap_or_default();
        let client = Client::builder()
            .tls_certs_merge(Certificate::from_pem_bundle(authorities)?)
            .connect_timeout(CONNECTING)
            // A redirect could lead the token to another server.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("sortie-capture-agent/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let limiter = target
            .bytes_per_second
            .map(|bytes| Arc::new(Mutex::new(RateLimiter::new(bytes))));
        Ok(Self {
            client,
            target,
            limiter,
        })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    fn request(&self, method: Method, url: &str) -> reqwest::RequestBuilder {
        let token = self.target.token.expose();
        self.client.request(method, url).bearer_auth(token)
    }

    /// Sends the request of an upload command; `None` if no answer came. The upload machine owns the timeout.
    pub(super) async fn upload(&self, command: &Command, bytes: &Bytes) -> Option<Response> {
        let http = command.http()?;
        let method = Method::from_bytes(http.method.as_bytes()).ok()?;
        let mut request = self.request(method, http.url);
        for (name, value) in http.headers {
            request = request.header(name, value);
        }
        bytes.sent.store(0, Ordering::Relaxed);
        let length = http.body.end - http.body.start;
        request = request.header(header::CONTENT_LENGTH, length);
        if length > 0 {
            request = request.body(self.body(bytes, http.body));
        }
        let answer = request.send().await;
        let answer = answer
            .inspect_err(|error| tracing::debug!("{}: {error}", http.method))
            .ok()?;
        let header = |name: &str| answer.headers().get(name)?.to_str().ok();
        Some(Response::from_headers(answer.status().as_u16(), header))
    }

    fn body(&self, bytes: &Bytes, range: Range<u64>) -> Body {
        let (bytes, limiter) = (bytes.clone(), self.limiter.clone());
        let range = bytes.from + range.start..bytes.from + range.end;
        let pieces = stream::try_unfold(range, move |range| {
            let (bytes, limiter) = (bytes.clone(), limiter.clone());
            async move {
                let end = range.end.min(range.start + PIECE);
                let length = usize::try_from(end - range.start).unwrap_or(0);
                if length == 0 {
                    return Ok::<_, io::Error>(None);
                }
                if let Some(limiter) = &limiter {
                    let wait = limiter
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .take(monotonic(), length);
                    tokio::time::sleep(wait).await;
                }
                let file = Arc::clone(&bytes.file);
                let read = tokio::task::spawn_blocking(move || {
                    let mut piece = vec![0; length];
                    file.read_exact_at(&mut piece, range.start)?;
                    Ok::<_, io::Error>(piece)
                });
                let piece = read.await.map_err(io::Error::other)??;
                bytes.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
                Ok(Some((piece, end..range.end)))
            }
        });
        Body::wrap_stream(pieces)
    }

    /// Checks the scopes `read` and `record` of the token.
    pub(super) async fn check_token(&self) -> Result<(), CentralError> {
        let read = format!("{}/api/recordings?limit=1", self.target.url);
        // Requests an upload that does not exist: 404 means that the token may record.
        let record = format!("{}/api/uploads/none", self.target.url);
        for (method, url) in [(Method::GET, read), (Method::HEAD, record)] {
            let request = self.request(method, &url).header("tus-resumable", "1.0.0");
            let status = request.timeout(ANSWER).send().await?.status();
            if !status.is_success() && status != StatusCode::NOT_FOUND {
                return Err(CentralError::Status(status));
            }
        }
        Ok(())
    }

    /// Returns a recording; `None` if the server has none with this ID.
    pub(super) async fn recording(&self, id: &str) -> Result<Option<Recording>, CentralError> {
        let url = format!("{}/api/recordings/{id}", self.target.url);
        let answer = self
            .request(Method::GET, &url)
            .timeout(ANSWER)
            .send()
            .await?;
        match answer.status() {
            StatusCode::OK => Ok(Some(answer.json().await?)),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(CentralError::Status(status)),
        }
    }

    /// Returns the SHA-256 of the server's file (RFC 9530); `None` if the server does not report it.
    pub(super) async fn hash(&self, id: &str) -> Result<Option<[u8; 32]>, CentralError> {
        let url = format!("{}/api/recordings/{id}/stream", self.target.url);
        let request = self
            .request(Method::HEAD, &url)
            .header("want-repr-digest", "sha-256=10");
        let answer = request.timeout(HASHING).send().await?;
        if answer.status() != StatusCode::OK {
            return Err(CentralError::Status(answer.status()));
        }
        let digest = answer.headers().get("repr-digest");
        Ok(digest.and_then(|digest| sha_256(digest.to_str().ok()?)))
    }

    /// Adds a picture to a recording; the server skips one that it has. `false` if it refuses this picture, or has no
    /// such recording or route.
    pub(super) async fn add_picture(
        &self,
        id: &str,
        picture: CapturedPicture,
    ) -> Result<bool, CentralError> {
        if let Some(limiter) = &self.limiter {
            let wait = limiter
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(monotonic(), picture.bytes.len());
            tokio::time::sleep(wait).await;
        }
        let url = format!(
            "{}/api/recordings/{id}/pictures?at_ms={}",
            self.target.url, picture.at_ms
        );
        let request = self
            .request(Method::POST, &url)
            .header(header::CONTENT_TYPE, "image/jpeg")
            .body(picture.bytes);
        let status = request.timeout(ANSWER).send().await?.status();
        match status {
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS => Err(CentralError::Status(status)),
            _ if status.is_success() => Ok(true),
            _ if status.is_client_error() => Ok(false),
            _ => Err(CentralError::Status(status)),
        }
    }

    /// Deletes a recording. A recording that does not exist is no error.
    pub(super) async fn delete(&self, id: &str) -> Result<(), CentralError> {
        let url = format!("{}/api/recordings/{id}", self.target.url);
        let answer = self
            .request(Method::DELETE, &url)
            .timeout(ANSWER)
            .send()
            .await?;
        match answer.status() {
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(()),
            status => Err(CentralError::Status(status)),
        }
    }
}

/// Parses `sha-256=:…:` from a dictionary (RFC 9530, section 3; RFC 9651, section 3.2).
fn sha_256(digests: &str) -> Option<[u8; 32]> {
    let ours = digests.split(',').find_map(|member| {
        let value = member.trim().strip_prefix("sha-256=:")?;
        value.strip_suffix(':')
    })?;
    STANDARD.decode(ours).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_parsed_among_others_and_invalid_is_none() {
        let zeros = format!("sha-256=:{}:", STANDARD.encode([0; 32]));
        assert_eq!(sha_256(&zeros), Some([0; 32]));
        assert_eq!(sha_256(&format!("sha-512=:AA==:, {zeros}")), Some([0; 32]));
        assert_eq!(sha_256("sha-256=:AA==:"), None);
        assert_eq!(sha_256(&zeros.replace(':', "")), None);
        assert_eq!(sha_256(""), None);
    }
}
