//! Writer of a growing recording in a bucket.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as Key;
use sortie_media::{HEAD_ROOM, Patch, Snapshot};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::assembly::{Assembly, Goal, PARTS_IN_FLIGHT};
use super::folder;
use super::keys::media_type;
use super::remote::write_error;
use super::snapshot;
use super::staged::Staged;
use crate::storage::snapshots::Snapshots;
use crate::storage::{
    Finishing, ImmutablePrefix, IndexCheckpoint, RAW_EXTENSION, Sealing, StorageError,
    UploadWriter, blocking,
};

/// With this many full parts waiting, a sender is slowed down to the speed of the store.
const BACKLOG: u64 = 8;
/// Maximum wait of one write for the store. A write does not wait for a failing store: the staging folder takes the
/// bytes until its disk is full.
const SLOWDOWN: Duration = Duration::from_secs(5);

/// Pauses in seconds between checks for an object that a dead process may have requested; ten in total.
const APPEARANCE_PAUSES_S: [u64; 4] = [1, 2, 3, 4];

/// Writer of a growing object.
pub(super) struct BucketWriter {
    assembly: Arc<Assembly>,
    /// `None` after a call that was dropped: the staging folder must be read again.
    staged: Option<Staged>,
    length: u64,
    goal: watch::Sender<Goal>,
    uploading: Option<UploadTask>,
    /// `None` if other servers may take over the object: they have no access to this disk.
    snapshots: Option<Snapshots>,
}

/// Task that uploads immutable parts; it ends with its writer.
struct UploadTask {
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl BucketWriter {
    pub(super) fn new(assembly: Arc<Assembly>, staged: Staged) -> Self {
        Self {
            assembly,
            length: staged.length(),
            staged: Some(staged),
            goal: watch::Sender::new(Goal::default()),
            uploading: None,
            snapshots: None,
        }
    }

    /// Saves snapshots of the index, too.
    pub(super) fn with_snapshots(self, snapshots: Snapshots) -> Self {
        Self {
            snapshots: Some(snapshots),
            ..self
        }
    }

    /// Waits until no snapshot is being saved.
    async fn settle_snapshots(&mut self) {
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.settle().await;
        }
    }

    /// Runs blocking work on the staged parts.
    async fn with_staged<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Staged) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        let Some(mut staged) = self.staged.take() else {
            return Err(StorageError::Io(io::Error::other(
                "an earlier write was interrupted",
            )));
        };
        let lock = Arc::clone(&self.assembly.lock);
        let (staged, result) = blocking(move || {
            let result = work(&mut staged);
            drop(lock);
            Ok((staged, result))
        })
        .await?;
        self.length = staged.length();
        self.staged = Some(staged);
        Ok(result?)
    }

    /// Starts the upload task if it does not run.
    fn start_uploading(&mut self) {
        if self.uploading.is_some() {
            return;
        }
        let (assembly, goals) = (Arc::clone(&self.assembly), self.goal.subscribe());
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { assembly.fill(goals, stop).await }
        });
        self.uploading = Some(UploadTask {
            task,
            stop: stop.drop_guard(),
        });
    }

    /// Waits for a store that works but is slower than the sender.
    async fn slow_down(&self) {
        let waiting = |confirmed: u64| {
            let sealable = self.goal.borrow().parts.saturating_sub(1);
            sealable.saturating_sub(confirmed)
        };
        let mut progress = self.assembly.progress();
        let enough =
            progress.wait_for(|progress| progress.failing || waiting(progress.confirmed) < BACKLOG);
        let _ = tokio::time::timeout(SLOWDOWN, enough).await;
    }

    /// Stops the upload task.
    async fn stop_uploading(&mut self) {
        if let Some(UploadTask { task, stop }) = self.uploading.take() {
            drop(stop);
            let _ = task.await;
        }
    }

    /// Uploads everything from `start` on as one object of `length` bytes. Parts before `sealable` are immutable, so
    /// they stay valid if this attempt fails.
    async fn deliver(
        &self,
        start: u64,
        length: u64,
        sealable: u64,
        extension: &str,
    ) -> Result<(), StorageError> {
        let assembly = &self.assembly;
        let part_size = assembly.part_size;
        let sealed = assembly.state().await;
        if sealed.upload.is_none() && length <= part_size {
            let bytes = assembly.read(start..start + length).await?;
            return assembly
                .remote
                .put(&assembly.key(extension)?, bytes, media_type(extension))
                .await
                .map_err(write_error);
        }
        let (key, upload) = assembly.upload(extension).await?;
        // Each part is recorded separately, so that a retry uploads only those that are missing.
        stream::iter((1..sealable).filter(|index| !sealed.parts.contains_key(index)))
            .map(|index| assembly.seal(index, extension))
            .buffer_unordered(PARTS_IN_FLIGHT)
            .try_collect::<()>()
            .await?;
        let mut parts = assembly.state().await.parts;
        let count = length.div_ceil(part_size);
        // The first part is uploaded last: it contains the head.
        let missing: Vec<_> = (0..count)
            .rev()
            .filter(|index| !parts.contains_key(index))
            .collect();
        let put = |index: u64| {
            let (key, upload) = (&key, &upload);
            async move {
                let from = start + index * part_size;
                let to = (from + part_size).min(start + length);
                let bytes = assembly.read(from..to).await?;
                let part = assembly
                    .remote
                    .put_part(key, upload, index, bytes)
                    .await
                    .map_err(write_error)?;
                Ok::<_, StorageError>((index, part))
            }
        };
        let mut uploading = pin!(stream::iter(missing).map(put).buffered(PARTS_IN_FLIGHT));
        while let Some((index, part)) = uploading.try_next().await? {
            parts.insert(index, part);
        }
        assembly
            .remote
            .complete(&key, &upload, parts.into_values().collect())
            .await
            .map_err(write_error)
    }

    /// Whether the object appears within a few seconds. A store may still be completing an upload that a process
    /// requested before it died: it no longer knows the upload and shows the object later. Without parts no such
    /// request was sent.
    async fn appears(&self, key: &Key, length: u64) -> bool {
        if self.assembly.state().await.parts.is_empty() {
            return false;
        }
        for pause_s in APPEARANCE_PAUSES_S {
            tokio::time::sleep(Duration::from_secs(pause_s)).await;
            if matches!(self.assembly.remote.size(key).await, Ok(Some(size)) if size == length) {
                return true;
            }
        }
        false
    }

    /// Delivers the object, whatever an earlier attempt has done, and removes the staging folder.
    async fn conclude(
        &self,
        start: u64,
        length: u64,
        sealable: u64,
        extension: &str,
    ) -> Result<(), StorageError> {
        let mut delivered = self.deliver(start, length, sealable, extension).await;
        if let Err(error) = delivered {
            // The store may have completed the upload without its response arriving, perhaps in an earlier process.
            let key = self.assembly.key(extension)?;
            let size = self.assembly.remote.size(&key).await;
            delivered = match (size, error) {
                (Ok(Some(size)), _) if size == length => Ok(()),
                (Ok(None), StorageError::Missing) if self.appears(&key, length).await => Ok(()),
                (Ok(None), StorageError::Missing) => {
                    self.assembly.restart().await?;
                    self.deliver(start, length, sealable, extension).await
                }
                (_, error) => Err(error),
            };
        }
        delivered?;
        let folder = self.assembly.folder.clone();
        blocking(move || folder::remove(&folder)).await
    }
}

#[async_trait]
impl UploadWriter for BucketWriter {
    async fn append(&mut self, bytes: Vec<Bytes>) -> Result<(), StorageError> {
        if self.uploading.is_some() {
            self.slow_down().await;
        }
        self.with_staged(move |staged| staged.append(&bytes)).await
    }

    async fn patch(&mut self, patches: Vec<Patch>) -> Result<(), StorageError> {
        self.with_staged(move |staged| staged.patch(&patches)).await
    }

    async fn sync(&mut self) -> Result<(), StorageError> {
        self.with_staged(Staged::sync).await
    }

    fn stream_length(&self) -> u64 {
        self.length - HEAD_ROOM
    }

    fn wants_snapshot(&self) -> bool {
        let is_due = |snapshots: &Snapshots| snapshots.is_due(self.stream_length());
        self.snapshots.as_ref().is_some_and(is_due)
            && self.staged.as_ref().is_some_and(Staged::is_durable)
    }

    fn save_snapshot(&mut self, snapshot: Snapshot) {
        let (Some(snapshots), Some(staged)) = (&mut self.snapshots, &self.staged) else {
            return;
        };
        let mark = staged.checkpoint_mark();
        let folder = self.assembly.folder.clone();
        let lock = Arc::clone(&self.assembly.lock);
        let (position, size) = (snapshot.position, snapshot.bytes.len());
        snapshots.save(position, size, move |_| {
            let saved = snapshot::save(&folder, &snapshot, mark);
            drop(lock);
            saved
        });
    }

    fn sealing(&mut self) -> Option<&mut dyn Sealing> {
        Some(self)
    }

    async fn finish(mut self: Box<Self>, finishing: Finishing) -> Result<(), StorageError> {
        self.stop_uploading().await;
        self.settle_snapshots().await;
        let Finishing {
            keep,
            append,
            patches,
            extension,
        } = finishing;
        let length = keep + append.len() as u64;
        let part_size = self.assembly.part_size;
        let sealed = self.assembly.state().await.parts;
        if let Some((last, _)) = sealed.last_key_value()
            && keep < (last + 1) * part_size
        {
            return Err(StorageError::Io(io::Error::other(format!(
                "part {last} is in the store, but only {keep} bytes are kept"
            ))));
        }
        self.with_staged(move |staged| staged.conclude(keep, append, &patches))
            .await?;
        self.conclude(0, length, keep / part_size, extension).await
    }

    async fn keep_raw(mut self: Box<Self>) -> Result<(), StorageError> {
        self.stop_uploading().await;
        if !self.assembly.state().await.parts.is_empty() {
            // No part of raw data is immutable, so these parts belong to a recording, possibly of an earlier version.
            return Err(StorageError::Io(io::Error::other(
                "parts of a recording that cannot be finished are in the store already",
            )));
        }
        self.settle_snapshots().await;
        self.sync().await?;
        self.conclude(HEAD_ROOM, self.stream_length(), 0, RAW_EXTENSION)
            .await
    }
}

#[async_trait]
impl Sealing for BucketWriter {
    async fn seal(
        &mut self,
        prefix: ImmutablePrefix,
        checkpoints: Vec<IndexCheckpoint>,
    ) -> Result<(), StorageError> {
        let mark = self
            .with_staged(move |staged| staged.add_checkpoints(&checkpoints))
            .await?;
        self.assembly.set_mark(mark);
        let parts = prefix.length / self.assembly.part_size;
        if parts > 1 {
            self.goal.send_if_modified(|goal| {
                let more = parts > goal.parts;
                *goal = Goal {
                    parts: parts.max(goal.parts),
                    extension: prefix.extension,
                };
                more
            });
            self.start_uploading();
        }
        Ok(())
    }
}
