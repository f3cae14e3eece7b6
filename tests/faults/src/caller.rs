//! Test client of the server's API.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sortie_api::Recording;

use crate::process::{ADMIN, PASSWORD};

/// Upper bound of a request; reaching it means that the server hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Installs a TLS provider. The tests do not use TLS, but `reqwest`, built with the server's features, requires one.
fn choose_tls() {
    // An error means that a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A signed-in client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller {
    http: reqwest::Client,
    origin: String,
    token: String,
}

impl Caller {
    /// Signs in as the administrator.
    pub async fn sign_in(origin: &str) -> Result<Self> {
        Self::sign_in_as(origin, ADMIN, PASSWORD).await
    }

    pub async fn sign_in_as(origin: &str, username: &str, password: &str) -> Result<Self> {
        choose_tls();
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let answer = http
            .post(format!("{origin}/api/auth/login"))
            .json(&json!({ "username": username, "password": password }))
            .send()
            .await?
            .error_for_status()?;
        let tokens: Value = answer.json().await?;
        Ok(Self {
            http,
            origin: origin.to_owned(),
            token: tokens["access_token"]
                .as_str()
                .context("no token")?
                .to_owned(),
        })
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// The same user with another base URL, such as that of a proxy.
    pub fn through(&self, origin: &str) -> Self {
        Self {
            // A separate connection pool.
            http: reqwest::Client::new(),
            origin: origin.to_owned(),
            token: self.token.clone(),
        }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.origin))
            .bearer_auth(&self.token)
    }

    /// Starts a tus request.
    pub fn tus(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).header("Tus-Resumable", "1.0.0")
    }

    /// Creates an upload of known or deferred length; returns its ID.
    pub async fn create(&self, length: Option<u64>) -> Result<String> {
        let request = self.tus(Method::POST, "/api/uploads");
        let request = match length {
            Some(length) => request.header("Upload-Length", length),
            None => request.header("Upload-Defer-Length", "1"),
        };
        let answer = request.send().await?;
        ensure!(
            answer.status() == StatusCode::CREATED,
            "the creation is answered with {}",
            explain(answer).await
        );
        let location = answer.headers().get("location").context("no Location")?;
        let id = location.to_str()?.rsplit('/').next().unwrap_or_default();
        Ok(id.to_owned())
    }

    /// Sends bytes; returns the answer of any status.
    pub async fn patch(
        &self,
        id: &str,
        offset: u64,
        bytes: Bytes,
        declared: Option<u64>,
    ) -> reqwest::Result<Response> {
        let mut request = self
            .tus(Method::PATCH, &format!("/api/uploads/{id}"))
            .header("Content-Type", "application/offset+octet-stream")
            .header("Upload-Offset", offset)
            .body(bytes);
        if let Some(length) = declared {
            request = request.header("Upload-Length", length);
        }
        request.send().await
    }

    /// Offset of an upload; `None` if it does not exist.
    pub async fn offset(&self, id: &str) -> Result<Option<u64>> {
        let answer = self
            .tus(Method::HEAD, &format!("/api/uploads/{id}"))
            .send()
            .await?;
        match answer.status() {
            StatusCode::OK => Ok(Some(upload_offset(&answer).context("no Upload-Offset")?)),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status => bail!("HEAD is answered with {status}"),
        }
    }

    /// Deletes a complete or incomplete upload; returns whether it existed.
    pub async fn delete(&self, id: &str) -> Result<bool> {
        let answer = self
            .tus(Method::DELETE, &format!("/api/uploads/{id}"))
            .send()
            .await?;
        match answer.status() {
            StatusCode::NO_CONTENT => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => bail!("DELETE is answered with {}", explain(answer).await),
        }
    }

    /// A recording; `None` if it does not exist.
    pub async fn recording(&self, id: &str) -> Result<Option<Recording>> {
        let answer = self
            .request(Method::GET, &format!("/api/recordings/{id}"))
            .send()
            .await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(answer.error_for_status()?.json().await?))
    }

    /// All recordings of the only user.
    pub async fn recordings(&self) -> Result<Vec<Recording>> {
        let mut all = Vec::new();
        let mut path = Some("/api/recordings?limit=500".to_owned());
        while let Some(this) = path.take() {
            let answer = self
                .request(Method::GET, &this)
                .send()
                .await?
                .error_for_status()?;
            path = answer.headers().get("link").and_then(|link| {
                let (url, rest) = link.to_str().ok()?.strip_prefix('<')?.split_once('>')?;
                rest.contains("next").then(|| url.to_owned())
            });
            all.extend(answer.json::<Vec<Recording>>().await?);
        }
        Ok(all)
    }

    /// Waits until a recording is `ready` or `failed`.
    pub async fn completed(&self, id: &str, timeout: Duration) -> Result<Recording> {
        let waiting = async {
            loop {
                let row = self.recording(id).await?.context("the recording is gone")?;
                if row.completed_at.is_some() {
                    return Ok(row);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(timeout, waiting)
            .await
            .with_context(|| format!("recording {id} is not finished after {timeout:?}"))?
    }
}

/// `Upload-Offset` of an answer.
pub fn upload_offset(answer: &Response) -> Option<u64> {
    answer
        .headers()
        .get("upload-offset")?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Formats an answer for an error message.
pub async fn explain(answer: Response) -> String {
    let status = answer.status();
    let body = answer.text().await.unwrap_or_default();
    format!("{status}: {body}")
}
