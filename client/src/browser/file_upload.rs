//! Upload of a complete sequence of bytes: a recoverable recording, or a file.

use std::cell::Cell;
use std::rc::Rc;

use futures_channel::oneshot;
use sortie_tus::client::{Config, FailureReason, Notice, Start};
use web_sys::Blob;

use super::checksum::Checksums;
use super::credentials::Credentials;
use super::now_ms;
use super::server::Server;
use super::spool::Spool;
use super::uploader::Uploader;
use crate::numbers::whole;
use crate::recorder::{
    BegunUpload, RecordingSession, creation, failure, last_segment, refused_status, waiting_for,
};
use crate::{Authorization, Done, ErrorCode, Labels, RecorderError, Refusal, Target, Waiting};

/// Progress of an upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UploadProgress {
    /// Size of the upload in bytes.
    pub size_bytes: u64,
    /// Bytes that the server holds durably.
    pub safe_bytes: u64,
    /// Why nothing is being sent, if so.
    pub waiting: Option<Waiting>,
}

/// Destination and credentials of an upload.
pub(super) struct FileUpload {
    pub(super) target: Target,
    pub(super) access: Rc<Credentials>,
    /// URL of the worker's script, if not the one in this module.
    worker_url: Option<String>,
}

impl FileUpload {
    pub(super) fn new(
        target: Target,
        authorization: Authorization,
        worker_url: Option<String>,
    ) -> Self {
        let access = Credentials::new(authorization, &target);
        Self {
            target,
            access,
            worker_url,
        }
    }

    /// Begins an upload of `size` bytes for a recording with these labels.
    pub(super) async fn begin(
        &self,
        size: u64,
        filename: &str,
        mime_type: &str,
        continues: Option<&str>,
        labels: &Labels,
    ) -> Result<(Start, Option<BegunUpload>), RecorderError> {
        let (base, session) = match &self.target {
            Target::Server { base, session } => (base, session),
            Target::Tus { endpoint } => {
                return Ok((creation(endpoint, filename, mime_type, continues), None));
            }
        };
        let server = Server::new(base.clone(), Rc::clone(&self.access));
        let in_session = |id: Option<&String>| RecordingSession {
            id: id.cloned(),
            labels: labels.clone(),
        };
        let session = session.as_ref();
        let mut begun = server.begin(in_session(session), continues).await;
        // The recording that it continues was deleted.
        if matches!(begun, Err(RecorderError::Refused(_))) && continues.is_some() {
            begun = server.begin(in_session(session), None).await;
        }
        // The session has ended, but its recording is still accepted in another session.
        if matches!(begun, Err(RecorderError::Refused(_))) && session.is_some() {
            begun = server.begin(in_session(None), None).await;
        }
        let begun = begun?;
        if size > begun.max_size_bytes {
            return Err(RecorderError::TooLarge);
        }
        Ok((begun.start(), Some(begun)))
    }

    /// Returns the creation of an upload under `filename`. Our server keeps the file name of recordings that are
    /// created by tus.
    fn creation(&self, filename: &str, mime_type: &str) -> Start {
        let (base, session) = match &self.target {
            Target::Server { base, session } => (base, session),
            Target::Tus { endpoint } => return creation(endpoint, filename, mime_type, None),
        };
        let endpoint = format!("{base}/api/uploads");
        let mut start = creation(&endpoint, filename, mime_type, None);
        if let (Start::Create { metadata, .. }, Some(session)) = (&mut start, session) {
            // An id of our server always fits.
            let _too_long = metadata.insert("session_id", session.as_str());
        }
        start
    }

    /// Returns our server's refusal to record into the session; `None` for other failures.
    fn refused(&self, reason: FailureReason) -> Option<RecorderError> {
        let Target::Server {
            session: Some(_), ..
        } = &self.target
        else {
            return None;
        };
        let code = match refused_status(reason)? {
            403 => ErrorCode::Forbidden,
            404 => ErrorCode::NotFound,
            409 => ErrorCode::SessionNotRunning,
            _ => return None,
        };
        let detail =
            "The server does not record into this session. Check that it exists and has not ended.";
        let mut refusal = Refusal::of_status(refused_status(reason)?, detail.to_owned());
        refusal.code = code;
        Some(refusal.into())
    }

    /// Sends all bytes of `spool` and returns the upload's URL. Dropping the future ends the sending and leaves the
    /// server as it is.
    pub(super) async fn send(
        &self,
        start: Start,
        spool: &Rc<Spool>,
        on_progress: impl Fn(UploadProgress) + 'static,
    ) -> Result<String, RecorderError> {
        let (sender, receiver) = oneshot::channel();
        let sender = Cell::new(Some(sender));
        let acknowledged = Rc::new(Cell::new(0));
        let acknowledging = Rc::clone(&acknowledged);
        let progress = Cell::new(UploadProgress {
            size_bytes: spool.end(),
            ..UploadProgress::default()
        });
        let uploader = Uploader::new(
            start,
            Rc::clone(spool),
            Rc::clone(&self.access),
            Checksums::new(&self.target),
            self.worker_url.clone(),
            Config::default(),
            Box::new(move |notice| {
                let before = progress.get();
                let mut now = before;
                let mut is_over = false;
                match notice {
                    Notice::Acknowledged { offset } => {
                        now.safe_bytes = now.safe_bytes.max(offset);
                        acknowledging.set(now.safe_bytes);
                    }
                    Notice::Waiting { until, reason } => {
                        now.waiting = Some(waiting_for(whole(now_ms()), until, reason));
                    }
                    Notice::Resumed => now.waiting = None,
                    Notice::Done | Notice::Failed { .. } | Notice::NeverAnswered => {
                        is_over = true;
                    }
                    _ => {}
                }
                if now != before {
                    progress.set(now);
                    on_progress(now);
                }
                if is_over && let Some(sender) = sender.take() {
                    let _receiver_dropped = sender.send(notice);
                }
            }),
        );
        uploader.end();
        match receiver.await.map_err(|_| RecorderError::Aborted)? {
            Notice::Failed { reason } => {
                let refused = uploader
                    .url()
                    .is_none()
                    .then(|| self.refused(reason))
                    .flatten();
                return Err(
                    uploader.explain(refused.unwrap_or_else(|| failure(reason, &self.target)))
                );
            }
            // The upload has not begun, so the caller may retry.
            Notice::NeverAnswered => return Err(RecorderError::Unreachable),
            _ => {}
        }
        let safe_bytes = acknowledged.get();
        if safe_bytes < spool.end() {
            // Browsers send an empty body for a blob that they cannot read.
            return Err(RecorderError::Storage);
        }
        Ok(uploader.url().unwrap_or_default())
    }
}

/// Uploads a file and returns the outcome. Dropping the future ends the sending and leaves the server as it is.
///
/// # Errors
/// The server is unreachable at the beginning, which takes some seconds to determine, refuses the upload, or does not
/// accept its size.
pub async fn upload_file(
    file: &Blob,
    filename: &str,
    target: Target,
    authorization: Authorization,
    on_progress: impl Fn(UploadProgress) + 'static,
) -> Result<Done, RecorderError> {
    let transfer = FileUpload::new(target, authorization, None);
    let size_bytes = whole(file.size());
    if size_bytes == 0 {
        return Err(RecorderError::Empty);
    }
    let start = transfer.creation(filename, &file.type_());
    let spool = Spool::of(0, [file.clone()]);
    let is_ours = matches!(transfer.target, Target::Server { .. });
    let upload_url = transfer.send(start, &spool, on_progress).await?;
    Ok(Done {
        recording_id: is_ours.then(|| last_segment(&upload_url).to_owned()),
        upload_url,
        parts: Vec::new(),
        recorded_ms: 0,
        size_bytes,
        mime_type: file.type_(),
    })
}
