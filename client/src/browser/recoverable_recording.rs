//! Recoverable recordings: found in the spool after a crash, uploaded, saved or discarded.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use js_sys::Array;
use sortie_tus::client::Start;
use sortie_tus::header;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag};

use super::blob_range::{Bytes, StoredFile};
use super::continued_file::FrontMatter;
use super::fetch::{Call, Cancel};
use super::file_upload::{FileUpload, UploadProgress};
use super::object::array;
use super::server::{Server, markers_path};
use super::spool::Spool;
use super::worker::Worker;
use crate::container::file_extension;
use crate::numbers::whole;
use crate::recorder::{is_temporary, last_segment};
use crate::spool::{Fact, HEAD_FILE, RecoveredSpool};
use crate::{Authorization, Done, Labels, RecorderError, SpoolStorage, Target};

/// State of a recoverable recording on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnServer {
    /// The upload waits for the remaining bytes.
    Resumable,
    /// The server has finished the recording without the remaining bytes, has deleted it, or does not give this user
    /// access.
    Closed,
    /// The server does not know the recording.
    Unknown,
    /// The server did not answer.
    Unreachable,
}

impl OnServer {
    /// Returns a stable identifier for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Resumable => "resumable",
            Self::Closed => "closed",
            Self::Unknown => "unknown",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Recordings to look for, and credentials.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// Destination of the recordings; its session is ignored.
    pub target: Target,
    /// Credentials of the requests.
    pub authorization: Authorization,
    /// Owner of the recordings, as in [`Options::owner`](crate::Options::owner).
    pub owner: Option<String>,
    /// URL of the worker's script, as in [`Options::worker_url`](crate::Options::worker_url).
    pub worker_url: Option<String>,
}

/// Recording that a crashed or closed page has left in the spool. It is locked for other tabs until this is dropped.
pub struct RecoverableRecording {
    worker: Rc<Worker>,
    folder: String,
    recovered: RecoveredSpool,
    transfer: FileUpload,
    on_server: Cell<OnServer>,
    /// Whether it was uploaded or discarded.
    is_gone: Cell<bool>,
}

/// Returns recoverable recordings, oldest first, except those that another tab uses. Recordings of which the server
/// holds all bytes are removed.
pub async fn recover(recovery: Recovery) -> Vec<RecoverableRecording> {
    let mut found = Vec::new();
    let Some(worker) = Worker::shared(recovery.worker_url.as_deref()) else {
        return found;
    };
    if worker.open().await == SpoolStorage::Memory {
        return found;
    }
    let folders = worker.ask("folders", &[]).await.unwrap_or_default();
    let Ok(folders) = folders.dyn_into::<Array>() else {
        return found;
    };
    for folder in folders.sort().iter().filter_map(|it| it.as_string()) {
        if worker.lock(&folder).await
            && let Some(leftover) = RecoverableRecording::read(&worker, folder, &recovery).await
            && !leftover.is_complete_on_server().await
        {
            found.push(leftover);
        }
    }
    found
}

impl RecoverableRecording {
    /// Reads a folder that is locked for this tab. A folder without usable bytes is removed.
    async fn read(worker: &Rc<Worker>, folder: String, recovery: &Recovery) -> Option<Self> {
        let name = JsValue::from(&folder);
        let looked = worker.ask("look", std::slice::from_ref(&name)).await;
        let recovered = looked.ok().map(|it| recovered(&it));
        if let Some(None) = &recovered {
            worker.tell("remove", std::slice::from_ref(&name));
        }
        let recovered = recovered
            .flatten()
            .filter(|it| belongs(it, &recovery.target, recovery.owner.as_deref()));
        let Some(recovered) = recovered else {
            worker.tell("unlock", &[name]);
            return None;
        };
        let target = match &recovery.target {
            Target::Server { base, .. } => Target::Server {
                base: base.clone(),
                session: recovered.facts.text(Fact::Session).map(str::to_owned),
            },
            other => other.clone(),
        };
        Some(Self {
            worker: Rc::clone(worker),
            folder,
            recovered,
            transfer: FileUpload::new(
                target,
                recovery.authorization.clone(),
                recovery.worker_url.clone(),
            ),
            on_server: Cell::new(OnServer::Unknown),
            is_gone: Cell::default(),
        })
    }

    /// Asks the server for the state of the upload. Returns whether the server holds all bytes; then the copy is
    /// removed.
    async fn is_complete_on_server(&self) -> bool {
        let Some(url) = self.upload_url() else {
            return false;
        };
        let (on_server, complete) = match self.head(url).await {
            Some((200..300, offset, length)) => {
                let all = Some(self.recovered.end);
                (OnServer::Resumable, offset == all && length == all)
            }
            // Requests for a delay say nothing about the upload.
            Some((408 | 425 | 429, ..)) => (OnServer::Unreachable, false),
            Some((400..500, ..)) => (OnServer::Closed, false),
            _ => (OnServer::Unreachable, false),
        };
        self.on_server.set(on_server);
        // A copy whose markers did not arrive waits for the next page.
        if complete
            && self
                .send_marks(self.recording_id(), self.settled_marks())
                .await
        {
            self.remove();
        }
        complete
    }

    /// Returns the number of markers that need not be sent again.
    fn settled_marks(&self) -> u64 {
        let facts = &self.recovered.facts;
        facts.number(Fact::MarksSettled).unwrap_or_default()
    }

    /// Adds the markers after the first `settled` ones to a recording on our server. Returns whether none is to be sent
    /// again.
    async fn send_marks(&self, recording: Option<&str>, settled: u64) -> bool {
        let (Target::Server { base, .. }, Some(recording)) = (&self.transfer.target, recording)
        else {
            return true;
        };
        let server = Server::new(base.clone(), Rc::clone(&self.transfer.access));
        let path = markers_path(recording);
        for (mark, number) in self.recovered.facts.all(Fact::Mark).zip(0..) {
            if number >= settled
                && let Err(error) = server.post(&path, mark).await
                && is_temporary(&error)
            {
                return false;
            }
        }
        true
    }

    /// Returns status, offset and length of the upload.
    async fn head(&self, url: &str) -> Option<(u16, Option<u64>, Option<u64>)> {
        let access = &self.transfer.access;
        for attempt in 0..2 {
            let mut call = Call::new("HEAD", url);
            call.header(header::TUS_RESUMABLE, header::VERSION.to_owned());
            access.authorize(&mut call).await.ok()?;
            let answer = call.send(&Cancel::new()).await.ok()?;
            if answer.status() == 401 && attempt == 0 {
                access.renew().await.ok()?;
                continue;
            }
            let number = |name| answer.header(name)?.parse().ok();
            let offset = number(header::UPLOAD_OFFSET);
            return Some((answer.status(), offset, number(header::UPLOAD_LENGTH)));
        }
        None
    }

    /// Identifier of the copy on this device.
    pub fn id(&self) -> &str {
        &self.folder
    }

    /// Recording id on our server.
    pub fn recording_id(&self) -> Option<&str> {
        self.recovered.facts.text(Fact::Recording)
    }

    /// URL of the upload.
    pub fn upload_url(&self) -> Option<&str> {
        self.recovered.facts.text(Fact::Upload)
    }

    /// MIME type, for example `video/webm;codecs=vp9,opus`; may be empty.
    pub fn mime_type(&self) -> &str {
        self.recovered.facts.text(Fact::Type).unwrap_or_default()
    }

    /// Labels of the recording; none if an older version has recorded it.
    pub fn labels(&self) -> Labels {
        let text = |fact| self.recovered.facts.text(fact).map(str::to_owned);
        Labels {
            external_id: text(Fact::ExternalId),
            metadata: text(Fact::Metadata),
        }
    }

    /// Unix time of the start in milliseconds.
    pub fn started_ms(&self) -> u64 {
        self.recovered
            .facts
            .number(Fact::Started)
            .unwrap_or_default()
    }

    /// Length in milliseconds.
    pub fn recorded_ms(&self) -> u64 {
        self.recovered.recorded_ms
    }

    /// Size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.recovered.end
    }

    /// Bytes that are on this device. The server holds the others.
    pub fn kept_bytes(&self) -> u64 {
        self.recovered.end - self.recovered.start()
    }

    /// Bytes at the beginning of the recording that only the server has. A file that is saved from this device does not
    /// contain them.
    pub fn missing_bytes(&self) -> u64 {
        self.recovered.start()
    }

    /// State on the server when the recording was found.
    pub fn on_server(&self) -> OnServer {
        self.on_server.get()
    }

    /// Uploads the remaining bytes from the server's offset on and removes the copy. If the server has ended the
    /// upload, the copy becomes a new recording, or a further part if only the server has the beginning. Dropping the
    /// future ends the upload; the copy stays.
    ///
    /// # Errors
    /// [`RecorderError::Storage`] when the copy cannot be read, and errors of the server.
    pub async fn upload(
        &self,
        on_progress: impl Fn(UploadProgress) + 'static,
    ) -> Result<Done, RecorderError> {
        let on_progress: Rc<dyn Fn(UploadProgress)> = Rc::new(on_progress);
        let telling = || {
            let tell = Rc::clone(&on_progress);
            move |progress| tell(progress)
        };
        let resumed = match self.upload_url() {
            Some(url) => {
                let start = Start::Resume {
                    url: url.to_owned(),
                };
                let spool = self.spool()?;
                self.transfer.send(start, &spool, telling()).await
            }
            None => Err(RecorderError::Gone),
        };
        let is_whole = self.recovered.start() == 0;
        let facts = &self.recovered.facts;
        let mut parts = Vec::new();
        let (upload_url, recording) = match resumed {
            Err(RecorderError::Gone) => {
                let name = facts.text(Fact::Name).unwrap_or("recording");
                let name = format!("{name}.{}", file_extension(self.mime_type()));
                // Without its beginning, the file is a further part of the recording on the server.
                let own = self
                    .recording_id()
                    .or_else(|| self.upload_url().map(last_segment));
                let continues = if is_whole {
                    facts.text(Fact::Continues)
                } else {
                    facts.text(Fact::Continues).or(own)
                };
                let spool = if is_whole {
                    self.spool()?
                } else {
                    Spool::of(0, self.parts().await?)
                };
                let labels = self.labels();
                let begun =
                    self.transfer
                        .begin(spool.end(), &name, self.mime_type(), continues, &labels);
                let (start, begun) = begun.await?;
                let url = self.transfer.send(start, &spool, telling()).await?;
                let recording = begun.map(|it| it.recording);
                // A new recording gets all markers. The beginning of a part is not known in milliseconds, so those of the
                // rest go to the end of the recording that it continues.
                let (marked, settled) = match is_whole {
                    true => (recording.as_deref(), 0),
                    false => (self.recording_id(), self.settled_marks()),
                };
                self.send_marks(marked, settled).await;
                self.remove();
                if !is_whole {
                    let part = recording.clone().unwrap_or_else(|| url.clone());
                    parts = self
                        .recording_id()
                        .or_else(|| self.upload_url())
                        .map(str::to_owned)
                        .into_iter()
                        .chain([part])
                        .collect();
                }
                (url, recording)
            }
            resumed => {
                let url = resumed?;
                // The next page sends those that did not arrive.
                if self
                    .send_marks(self.recording_id(), self.settled_marks())
                    .await
                {
                    self.remove();
                }
                (url, self.recording_id().map(str::to_owned))
            }
        };
        Ok(Done {
            recording_id: recording,
            parts,
            upload_url,
            recorded_ms: self.recovered.recorded_ms,
            size_bytes: self.recovered.end,
            mime_type: self.mime_type().to_owned(),
        })
    }

    /// Returns the blobs of a file with the bytes on this device: all bytes of the recording, or its front matter and
    /// the bytes that the server had not acknowledged. The file then begins later than the recording by
    /// [`missing_bytes`](Self::missing_bytes), and has no gap. `playable` makes it play in every player.
    ///
    /// # Errors
    /// [`RecorderError::Storage`] when it cannot be read.
    pub async fn parts(&self) -> Result<Vec<Blob>, RecorderError> {
        let blobs = self.blobs().await?;
        if self.missing_bytes() == 0 {
            return Ok(blobs);
        }
        let head = self.front().await?;
        let Some(front) = FrontMatter::read(&head).await else {
            return Ok(blobs);
        };
        let tail: Array = blobs.into_iter().map(JsValue::from).collect();
        let tail = Blob::new_with_blob_sequence(&tail).map_err(|_| RecorderError::Storage)?;
        Ok(front.with(tail).await)
    }

    /// Returns the [`parts`](Self::parts) as one blob.
    ///
    /// # Errors
    /// [`RecorderError::Storage`] when it cannot be read.
    pub async fn bytes(&self) -> Result<Blob, RecorderError> {
        let parts: Array = self.parts().await?.into_iter().map(JsValue::from).collect();
        let options = BlobPropertyBag::new();
        options.set_type(self.mime_type());
        Blob::new_with_blob_sequence_and_options(&parts, &options)
            .map_err(|_| RecorderError::Storage)
    }

    /// Removes the copy, and the upload on the server if it waits for the remaining bytes.
    pub async fn discard(&self) {
        self.remove();
        if let (OnServer::Resumable, Some(url)) = (self.on_server.get(), self.upload_url()) {
            let mut call = Call::new("DELETE", url);
            call.header(header::TUS_RESUMABLE, header::VERSION.to_owned());
            if self.transfer.access.authorize(&mut call).await.is_ok() {
                // The server ends an upload that cannot be deleted now.
                let _unanswered = call.send(&Cancel::new()).await;
            }
        }
    }

    fn remove(&self) {
        if !self.is_gone.replace(true)
            && let Some(worker) = Worker::revived()
        {
            worker.tell("remove", &[self.folder.as_str().into()]);
        }
    }

    /// Returns the recorded bytes on this device.
    fn spool(&self) -> Result<Rc<Spool>, RecorderError> {
        Ok(Spool::of(self.recovered.start(), self.files()?))
    }

    fn files(&self) -> Result<Vec<Bytes>, RecorderError> {
        if self.is_gone.get() {
            return Err(RecorderError::Storage);
        }
        let segments = self.recovered.segments.iter();
        let file = |(name, range): &(String, Range<u64>)| {
            Bytes::File(StoredFile {
                folder: self.folder.clone(),
                name: name.clone(),
                size: range.end - range.start,
            })
        };
        Ok(segments.map(file).collect())
    }

    /// Returns the recorded bytes on this device as blobs.
    async fn blobs(&self) -> Result<Vec<Blob>, RecorderError> {
        let mut blobs = Vec::new();
        for file in self.files()? {
            blobs.push(blob(file).await?);
        }
        Ok(blobs)
    }

    async fn front(&self) -> Result<Blob, RecorderError> {
        let head = array(&[self.folder.as_str().into(), HEAD_FILE.into()]);
        let head = self
            .worker
            .ask("blob", &[array(&[head.into()]).into()])
            .await;
        let head = head.ok().and_then(|it| it.dyn_into().ok());
        head.ok_or(RecorderError::Storage)
    }
}

/// Reads a file of the spool.
async fn blob(file: Bytes) -> Result<Blob, RecorderError> {
    let spool = Spool::of(0, [file]);
    let bytes = match spool.slice(0, spool.end()) {
        Some(bytes) => bytes.read("").await,
        None => None,
    };
    bytes
        .filter(|it| whole(it.size()) == spool.end())
        .ok_or(RecorderError::Storage)
}

impl Drop for RecoverableRecording {
    fn drop(&mut self) {
        self.worker.tell("unlock", &[self.folder.as_str().into()]);
    }
}

impl fmt::Debug for RecoverableRecording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoverableRecording")
            .field("folder", &self.folder)
            .field("recovered", &self.recovered)
            .finish_non_exhaustive()
    }
}

fn belongs(recovered: &RecoveredSpool, target: &Target, owner: Option<&str>) -> bool {
    let facts = &recovered.facts;
    let there = match target {
        Target::Server { base, .. } => facts.text(Fact::Server) == Some(base),
        Target::Tus { endpoint } => facts.text(Fact::Endpoint) == Some(endpoint),
    };
    there && facts.text(Fact::Owner) == owner
}

/// Reads the worker's description of a folder.
pub(super) fn recovered(looked: &JsValue) -> Option<RecoveredSpool> {
    let looked: &Array = looked.dyn_ref()?;
    let pairs = |at| {
        let list: Array = looked.get(at).dyn_into().unwrap_or_default();
        let pairs = list.iter().filter_map(|it| {
            let pair: Array = it.dyn_into().ok()?;
            Some((pair.get(0).as_string()?, pair.get(1)))
        });
        pairs.collect::<Vec<_>>()
    };
    let files: Vec<_> = pairs(0)
        .into_iter()
        .filter_map(|(name, size)| Some((name, whole(size.as_f64()?))))
        .collect();
    let journals: Vec<_> = pairs(1)
        .into_iter()
        .filter_map(|(name, text)| Some((name, text.as_string()?)))
        .collect();
    RecoveredSpool::read(&files, &journals)
}
