//! Calls to our own server other than uploads.

use std::rc::Rc;

use wasm_bindgen::JsValue;

use super::credentials::Credentials;
use super::fetch::{Call, Cancel};
use super::json;
use super::problem::Problem;
use super::time::{sleep, within};
use crate::recorder::{BegunUpload, RecordingSession};
use crate::wire::{Fields, NEW_SESSION, Started, resolve, start_recording, stop_recording};
use crate::{Authorization, RecorderError, Refusal, RenewalFailed, Target};

/// Longest time to an answer.
const TIMEOUT_MS: u32 = 20_000;
/// Wait after a 429 without `Retry-After`.
const BUSY_MS: u32 = 2_000;
/// Interval at which, during a wait, the caller is asked whether it still wants the answer.
const WAIT_STEP_MS: u32 = 500;

/// Creates a session for a page on our server at `base` (`""` for the page's own origin) and returns its id, to watch
/// it and to record into it.
///
/// # Errors
/// The server is unreachable, refuses, or the sign-in has expired.
pub async fn create_session(
    base: impl Into<String>,
    authorization: Authorization,
) -> Result<String, RecorderError> {
    let base = base.into();
    let access = Credentials::new(authorization, &Target::server(&base));
    Server::new(base, access).create_session().await
}

/// Callback that receives the remaining wait in milliseconds, and `None` at its end; returns whether the answer is
/// still wanted.
pub(super) type OnWait = Rc<dyn Fn(Option<u32>) -> bool>;

/// Client of our server for the recorder.
pub(super) struct Server {
    base: String,
    access: Rc<Credentials>,
    on_wait: OnWait,
}

impl Server {
    pub(super) fn new(base: String, access: Rc<Credentials>) -> Self {
        Self {
            base,
            access,
            on_wait: Rc::new(|_| true),
        }
    }

    /// Calls `on_wait` when the server asks for a wait.
    pub(super) fn telling(mut self, on_wait: OnWait) -> Self {
        self.on_wait = on_wait;
        self
    }

    /// Begins an upload: the next part of the recording `continues`, or a new recording. Without a session it creates
    /// one. A next part has the labels of its recording.
    pub(super) async fn begin(
        &self,
        session: RecordingSession,
        continues: Option<&str>,
    ) -> Result<BegunUpload, RecorderError> {
        let RecordingSession { id, labels } = session;
        let session = match id {
            Some(session) => session,
            None => self.create_session().await?,
        };
        let id = encode(&session);
        let path = format!("/api/sessions/{id}/recording/start");
        let external_id = labels.external_id.as_deref().map(json::string);
        let body = start_recording([
            ("continues", continues.map(json::string)),
            ("external_id", external_id),
            ("metadata", labels.metadata),
        ]);
        let started = self.post(&path, &body).await?;
        let started = Started::read(&started).ok_or_else(unknown_answer)?;
        Ok(BegunUpload {
            session,
            recording: started.recording_id,
            upload_url: resolve(&self.base, started.upload_url),
            max_size_bytes: started.max_size_bytes,
            silence_ms: started.silence_seconds.map(|it| it.saturating_mul(1_000)),
        })
    }

    async fn create_session(&self) -> Result<String, RecorderError> {
        let session = self.post("/api/sessions", NEW_SESSION).await?;
        session.text("id").ok_or_else(unknown_answer)
    }

    /// Sends a request and returns the object in the answer.
    pub(super) async fn post(&self, path: &str, body: &str) -> Result<JsValue, RecorderError> {
        let mut renewed = false;
        let (status, text, retry_after_ms) = loop {
            let (status, text, retry_after_ms) = self.attempt(path, body).await?;
            match (status, retry_after_ms) {
                (401, _) if !renewed => {
                    self.access.renew().await.map_err(signed_out)?;
                    renewed = true;
                }
                (429, _) | (503, Some(_)) => self.wait(retry_after_ms.unwrap_or(BUSY_MS)).await?,
                _ => break (status, text, retry_after_ms),
            }
        };
        match (status, json::object(&text)) {
            (401, _) => Err(RecorderError::SignedOut),
            (200..300, Some(answer)) => Ok(answer),
            // With status 200: the page of a proxy or a login portal.
            _ => {
                let problem = Problem {
                    status,
                    text,
                    retry_after_ms,
                };
                Err(problem.explain(unexpected(status)).into())
            }
        }
    }

    /// Waits for the time that the server asked for.
    async fn wait(&self, ms: u32) -> Result<(), RecorderError> {
        let mut left_ms = ms.max(1);
        let mut wanted = (self.on_wait)(Some(left_ms));
        while wanted && left_ms > 0 {
            let step_ms = left_ms.min(WAIT_STEP_MS);
            sleep(step_ms).await;
            left_ms -= step_ms;
            wanted = (self.on_wait)((left_ms > 0).then_some(left_ms));
        }
        if wanted {
            Ok(())
        } else {
            Err(RecorderError::Aborted)
        }
    }

    /// Returns status and body of the answer, and the wait that it asks for.
    async fn attempt(
        &self,
        path: &str,
        body: &str,
    ) -> Result<(u16, String, Option<u32>), RecorderError> {
        let mut call = Call::new("POST", &(self.base.clone() + path));
        call.json(body);
        let authorized = self.access.authorize(&mut call).await;
        authorized.map_err(signed_out)?;
        let cancel = Cancel::new();
        let answer = async {
            let answer = call
                .send(&cancel)
                .await
                .map_err(|_| RecorderError::Unreachable)?;
            let retry_after_ms = answer.retry_after_ms();
            Ok((answer.status(), answer.text().await, retry_after_ms))
        };
        let answer = within(TIMEOUT_MS, answer).await;
        answer.unwrap_or(Err(RecorderError::Unreachable))
    }
}

/// Returns path and body of the request that notifies the server of the end of a recording; the last bytes may still be in
/// transit.
pub(super) fn stop_announcement(begun: &BegunUpload) -> (String, String) {
    let path = "/api/sessions/".to_owned() + &encode(&begun.session) + "/recording/stop";
    (path, stop_recording(&json::string(&begun.recording)))
}

/// Returns the path of the markers of a recording.
pub(super) fn markers_path(recording: &str) -> String {
    "/api/recordings/".to_owned() + &encode(recording) + "/markers"
}

fn signed_out(failed: RenewalFailed) -> RecorderError {
    match failed {
        RenewalFailed::Refused => RecorderError::SignedOut,
        RenewalFailed::Unreachable => RecorderError::Unreachable,
    }
}

/// Error for a successful answer without the expected fields.
fn unknown_answer() -> RecorderError {
    unexpected(200).into()
}

/// Refusal by an answer without an explanation.
fn unexpected(status: u16) -> Refusal {
    let detail = "The server gave an unexpected answer (status ".to_owned()
        + &status.to_string()
        + "). Check the server's address, or try again in a moment.";
    Refusal::of_status(status, detail)
}

/// Encodes a session id, which comes from an embedding page and must not name another route.
pub(super) fn encode(segment: &str) -> String {
    js_sys::encode_uri_component(segment).into()
}
