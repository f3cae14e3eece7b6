//! Multipart upload of one recording, and the task that uploads its parts.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as BlockingMutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use object_store::path::Path as Key;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;

use super::checkpoints::CheckpointFile;
use super::keys::{Keys, media_type};
use super::remote::{Remote, jittered, write_error};
use super::replicated::ReplicatedUpload;
use super::staged::{self, kept_file, part_file};
use super::state::{CheckpointMark, State, Upload};
use crate::storage::{StorageError, blocking};

/// Parts of one recording that are uploaded concurrently.
pub(super) const PARTS_IN_FLIGHT: usize = 2;
/// Uploaded parts of one recording of which a copy stays on the disk, so that viewers can seek back while it grows: 80 s
/// at 2.5 Mbit/s with parts of 8 MiB.
const KEPT_PARTS: usize = 3;
/// Backoff between attempts to upload a part of a growing recording.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Exclusive right to change the staged parts and the state of one recording.
pub(super) type StagingLock = Arc<OwnedMutexGuard<()>>;

/// State of a recording in the store, shared by its writer and the task that uploads its parts.
#[derive(Debug)]
pub(super) struct Assembly {
    /// Blocking work holds it as well, because it continues after its caller is dropped.
    pub(super) lock: StagingLock,
    pub(super) remote: Arc<Remote>,
    pub(super) keys: Keys,
    pub(super) id: String,
    pub(super) folder: PathBuf,
    pub(super) part_size: u64,
    state: Arc<Mutex<State>>,
    /// Length of the written checkpoints; they are made durable before a part is uploaded.
    mark: BlockingMutex<CheckpointMark>,
    progress: watch::Sender<Progress>,
    /// Lease and manifest, if several servers share the recording.
    replicated: Option<Arc<ReplicatedUpload>>,
}

/// Uploadable parts of the object.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Goal {
    /// Parts 1..n may be uploaded; part 0 is held back until the finish.
    pub(super) parts: u64,
    /// Extension of the finished object.
    pub(super) extension: &'static str,
}

/// Progress of the uploads.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Parts confirmed by the store.
    pub(super) confirmed: u64,
    /// Whether the last attempt failed.
    pub(super) failing: bool,
}

impl Assembly {
    pub(super) fn new(
        remote: Arc<Remote>,
        keys: Keys,
        id: &str,
        folder: PathBuf,
        state: State,
        lock: StagingLock,
    ) -> Self {
        Self {
            lock,
            remote,
            keys,
            id: id.to_owned(),
            folder,
            part_size: state.part_size,
            mark: BlockingMutex::new(state.checkpoints),
            progress: watch::Sender::new(Progress {
                confirmed: state.parts.len() as u64,
                failing: false,
            }),
            state: Arc::new(Mutex::new(state)),
            replicated: None,
        }
    }

    /// Adds the lease and manifest of a recording that other servers may take over.
    pub(super) fn replicated(self, replicated: Arc<ReplicatedUpload>) -> Self {
        Self {
            replicated: Some(replicated),
            ..self
        }
    }

    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(super) async fn state(&self) -> State {
        self.state.lock().await.clone()
    }

    /// Records the length of the written checkpoints.
    pub(super) fn set_mark(&self, mark: CheckpointMark) {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = mark;
    }

    pub(super) fn key(&self, extension: &str) -> Result<Key, StorageError> {
        self.keys.finished(&self.id, extension)
    }

    /// Returns the multipart upload, creating it on the first call.
    pub(super) async fn upload(&self, extension: &str) -> Result<(Key, String), StorageError> {
        let key = self.key(extension)?;
        let state = Arc::clone(&self.state).lock_owned().await;
        if let Some(upload) = &state.upload {
            if upload.extension != extension {
                return Err(StorageError::Io(io::Error::other(format!(
                    "the multipart upload of the recording is for {}, but it ends as {extension}",
                    upload.extension
                ))));
            }
            return Ok((key, upload.id.clone()));
        }
        let id = self
            .remote
            .begin(&key, media_type(extension))
            .await
            .map_err(write_error)?;
        let mut next = state.clone();
        next.upload = Some(Upload {
            id: id.clone(),
            extension: extension.to_owned(),
        });
        self.save(state, next).await?;
        Ok((key, id))
    }

    /// Replaces a multipart upload that the store no longer knows, if it had no parts.
    pub(super) async fn restart(&self) -> Result<(), StorageError> {
        let state = Arc::clone(&self.state).lock_owned().await;
        if !state.parts.is_empty() {
            return Err(StorageError::Lost(io::Error::other(format!(
                "the multipart upload of recording {} is gone from the store, and {} parts with it; does a \
                 lifecycle rule abort uploads too early?",
                self.id,
                state.parts.len()
            ))));
        }
        let mut next = state.clone();
        next.upload = None;
        self.save(state, next).await.map(|_| ())
    }

    /// Saves the state and then replaces the one in memory, even if the caller is dropped in between.
    async fn save(
        &self,
        mut state: OwnedMutexGuard<State>,
        next: State,
    ) -> Result<OwnedMutexGuard<State>, StorageError> {
        if let Some(replicated) = &self.replicated {
            replicated.save(&next).await?;
        }
        let (folder, lock) = (self.folder.clone(), Arc::clone(&self.lock));
        blocking(move || {
            next.save(&folder)?;
            *state = next;
            drop(lock);
            Ok(state)
        })
        .await
    }

    pub(super) async fn read(&self, range: Range<u64>) -> Result<Bytes, StorageError> {
        let (folder, part_size) = (self.folder.clone(), self.part_size);
        blocking(move || staged::read(&folder, part_size, range)).await
    }

    /// Uploads an immutable part, records that durably, and then removes the staged file from the staged parts. A copy
    /// of the last ones is kept for viewers.
    pub(super) async fn seal(&self, index: u64, extension: &str) -> Result<(), StorageError> {
        let (key, upload) = self.upload(extension).await?;
        let start = index * self.part_size;
        let bytes = self.read(start..start + self.part_size).await?;
        if let Some(replicated) = &self.replicated {
            replicated.require_lease().await?;
        }
        let part = self
            .remote
            .put_part(&key, &upload, index, bytes)
            .await
            .map_err(write_error)?;

        let state = Arc::clone(&self.state).lock_owned().await;
        let mark = *self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = state.clone();
        next.parts.insert(index, part);
        if mark != next.checkpoints {
            next.checkpoints = mark;
            let folder = self.folder.clone();
            blocking(move || CheckpointFile::sync(&folder)).await?;
        }
        let state = self.save(state, next).await?;
        let confirmed = state.parts.len() as u64;
        let older: Vec<_> = (state.parts.keys().rev())
            .skip(KEPT_PARTS)
            .take(PARTS_IN_FLIGHT)
            .copied()
            .collect();
        drop(state);
        self.progress.send_modify(|progress| {
            *progress = Progress {
                confirmed,
                failing: false,
            };
        });
        // A remaining file is removed when the recording is opened again.
        let folder = self.folder.clone();
        let _ = blocking(move || {
            for index in older {
                let _ = std::fs::remove_file(kept_file(&folder, index));
            }
            std::fs::rename(part_file(&folder, index), kept_file(&folder, index))
        })
        .await;
        Ok(())
    }

    /// Uploads parts as they become immutable, until it is stopped or the writer is dropped.
    pub(super) async fn fill(&self, mut goals: watch::Receiver<Goal>, stop: CancellationToken) {
        let confirmed = self.state().await.parts;
        let mut next = 1;
        let mut in_flight = FuturesUnordered::new();
        loop {
            let goal = *goals.borrow_and_update();
            while in_flight.len() < PARTS_IN_FLIGHT && next < goal.parts {
                if !confirmed.contains_key(&next) {
                    in_flight.push(self.seal_with_retries(next, goal.extension));
                }
                next += 1;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(()) = in_flight.next() => {}
                changed = goals.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Uploads a part, retrying without limit: its staged copy is durable.
    async fn seal_with_retries(&self, index: u64, extension: &str) {
        let mut pause = FIRST_PAUSE;
        while let Err(mut error) = self.seal(index, extension).await {
            if matches!(error, StorageError::Fenced) {
                return;
            }
            if matches!(error, StorageError::Missing) {
                match self.restart().await {
                    Ok(()) => continue,
                    Err(lost) => error = lost,
                }
            }
            self.progress
                .send_modify(|progress| progress.failing = true);
            tracing::warn!(
                recording = self.id,
                part = index,
                pause_s = pause.as_secs(),
                "cannot upload a part; it stays in the staging folder, will try again: {error}: {}",
                cause(&error)
            );
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn cause(error: &StorageError) -> String {
    std::error::Error::source(error).map_or_else(String::new, ToString::to_string)
}
