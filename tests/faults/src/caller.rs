//! Talks to the server as a sender does.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sortie_api::Recording;

use crate::process::{ADMIN, PASSWORD};

/// No request of these tests takes long unless something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nothing here speaks TLS, but a `reqwest` that is built together with the server's wants to know whose it
/// would be.
fn choose_tls() {
    // An error says that somebody has chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Somebody who is signed in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller {
    http: reqwest::Client,
    origin: String,
    token: String,
}

impl Caller {
    /// Signs the administrator in.
    ///
    /// # Errors
    /// When that does not work.
    pub async fn sign_in(origin: &str) -> Result<Self> {
        Self::sign_in_as(origin, ADMIN, PASSWORD).await
    }

    /// Signs somebody in.
    ///
    /// # Errors
    /// When that does not work.
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

    /// The access token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The same person through another way, such as a proxy.
    pub fn through(&self, origin: &str) -> Self {
        Self {
            // Connections of its own.
            http: reqwest::Client::new(),
            origin: origin.to_owned(),
            token: self.token.clone(),
        }
    }

    /// A request.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.origin))
            .bearer_auth(&self.token)
    }

    /// A tus request.
    pub fn tus(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).header("Tus-Resumable", "1.0.0")
    }

    /// Creates an upload of known or deferred length and answers its id.
    ///
    /// # Errors
    /// When there is no answer, or not the right one.
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

    /// Sends bytes; the answer as it is.
    ///
    /// # Errors
    /// When there is none.
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

    /// Where an upload is; `None` if there is no such upload.
    ///
    /// # Errors
    /// When there is no answer, or not the right one.
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

    /// Deletes an upload, whether it is complete or not; whether there was one.
    ///
    /// # Errors
    /// When there is no answer, or not the right one.
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

    /// One recording; `None` if there is none.
    ///
    /// # Errors
    /// When there is no answer, or not the right one.
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

    /// All recordings of this caller, who is the only one here.
    ///
    /// # Errors
    /// When there is no answer, or not the right one.
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
    ///
    /// # Errors
    /// When it takes longer than `patience`, or there is no such recording.
    pub async fn completed(&self, id: &str, patience: Duration) -> Result<Recording> {
        let waiting = async {
            loop {
                let row = self.recording(id).await?.context("the recording is gone")?;
                if row.completed_at.is_some() {
                    return Ok(row);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(patience, waiting)
            .await
            .with_context(|| format!("recording {id} is not finished after {patience:?}"))?
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

/// An answer for a message.
pub async fn explain(answer: Response) -> String {
    let status = answer.status();
    let body = answer.text().await.unwrap_or_default();
    format!("{status}: {body}")
}
