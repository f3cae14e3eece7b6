//! The central server, as far as it is asked.

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
use sortie_tus::client::{Command, Response};

use super::Target;
use super::pace::Pace;
use crate::clock::monotonic;

/// How long a connection may take to come about.
const CONNECTING: Duration = Duration::from_secs(10);
/// How long an answer may take that needs no work.
const ANSWER: Duration = Duration::from_secs(30);
/// How long it may take a server to read a recording: ten gigabytes from a slow disk.
const HASHING: Duration = Duration::from_secs(600);
/// How much is read and sent at once.
const PIECE: u64 = 64 << 10;

/// Why the server was of no help.
#[derive(Debug, thiserror::Error)]
pub(super) enum CentralError {
    /// No answer.
    #[error("the server cannot be asked: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// Not the one that was hoped for.
    #[error("the server answers {0}")]
    Status(StatusCode),
}

/// A connection to the server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Central {
    client: Client,
    target: Target,
    pace: Option<Arc<Mutex<Pace>>>,
}

/// The bytes that requests take theirs from.
#[derive(Clone)]
pub(super) struct Bytes {
    pub(super) file: Arc<File>,
    /// Where in the file the stream begins.
    pub(super) from: u64,
    /// How many bytes of the request under way have left.
    pub(super) sent: Arc<AtomicU64>,
}

impl Central {
    pub(super) fn new(target: Target) -> Result<Self, CentralError> {
        // Fails if the process has one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authorities = target.authorities.as_deref().unwrap_or_default();
        let client = Client::builder()
            .tls_certs_merge(Certificate::from_pem_bundle(authorities)?)
            .connect_timeout(CONNECTING)
            // What a server answers from elsewhere is not what was asked for.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("sortie-capture-agent/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let pace = target
            .bytes_per_second
            .map(|bytes| Arc::new(Mutex::new(Pace::new(bytes))));
        Ok(Self {
            client,
            target,
            pace,
        })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    fn request(&self, method: Method, url: &str) -> reqwest::RequestBuilder {
        let token = self.target.token.expose();
        self.client.request(method, url).bearer_auth(token)
    }

    /// Does what the upload machine says; `None` when there was no answer. How long it may take, the machine knows.
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
        Some(Response::read(answer.status().as_u16(), header))
    }

    fn body(&self, bytes: &Bytes, range: Range<u64>) -> Body {
        let (bytes, pace) = (bytes.clone(), self.pace.clone());
        let range = bytes.from + range.start..bytes.from + range.end;
        let pieces = stream::try_unfold(range, move |range| {
            let (bytes, pace) = (bytes.clone(), pace.clone());
            async move {
                let end = range.end.min(range.start + PIECE);
                let length = usize::try_from(end - range.start).unwrap_or(0);
                if length == 0 {
                    return Ok::<_, io::Error>(None);
                }
                if let Some(pace) = &pace {
                    let wait = pace
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

    /// What the server says of a recording; `None` when it has none of this id.
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

    /// The SHA-256 of the file that the server has (RFC 9530); `None` when it does not tell.
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

    /// Deletes a recording; one that is not there is no error.
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

/// Reads `sha-256=:…:` out of a dictionary (RFC 9530, section 3; RFC 9651, section 3.2).
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
    fn a_hash_is_found_among_others_and_nonsense_is_none() {
        let zeros = format!("sha-256=:{}:", STANDARD.encode([0; 32]));
        assert_eq!(sha_256(&zeros), Some([0; 32]));
        assert_eq!(sha_256(&format!("sha-512=:AA==:, {zeros}")), Some([0; 32]));
        assert_eq!(sha_256("sha-256=:AA==:"), None);
        assert_eq!(sha_256(&zeros.replace(':', "")), None);
        assert_eq!(sha_256(""), None);
    }
}
