//! Bucket storage: S3 and compatible stores, Azure Blob Storage, Google Cloud Storage.
//!
//! An object in a bucket cannot be appended to or changed. So a growing recording is a multipart upload of parts of
//! equal size (some stores require that). Its first part is held back until the end because the head is patched there.
//! Acknowledged bytes that the store does not have yet are staged on the local disk:
//!
//! ```text
//! <staging>/<id>/00000.part    the first part, held back
//! <staging>/<id>/00007.part    a full part that is immutable or being uploaded; removed once the store has it
//! <staging>/<id>/00008.part    the staged tail
//! <staging>/<id>/excerpts      index checkpoints of the parts that were uploaded
//! <staging>/<id>/index         snapshot of the index; a shortcut, see `storage/snapshots.rs`
//! <staging>/<id>/state.json    the multipart upload and its confirmed parts
//! ```
//!
//! A part is uploaded only once it is *immutable*: finishing will neither cut nor patch it, whatever follows. Finishing
//! uploads the remaining parts and completes the upload, at a cost that does not depend on the length.
//!
//! Alternative not taken: small objects that are copied together at the end, which would cost a request per part.

mod assembly;
mod checkpoints;
mod credentials;
mod error_messages;
mod folder;
mod keys;
mod listing;
mod location;
mod probe;
mod remote;
mod replicated;
mod snapshot;
mod staged;
mod state;
mod writer;

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as BlockingMutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use sortie_media::HEAD_ROOM;
use tokio::sync::Mutex;

use super::snapshots::{SnapshotPermits, Snapshots};
use super::stored::CHECK;
use super::{
    ObjectKind, Presigned, Presigner, Reopened, Replicated, Storage, StorageError, Stored,
    UploadLeases, UploadWriter, blocking,
};
use crate::clock::Clock;
use assembly::{Assembly, StagingLock};
use keys::Keys;
pub(crate) use location::BucketLocation;
#[cfg(test)]
pub(crate) use remote::ListedUpload;
pub(crate) use remote::Remote;
use remote::{read_error, write_error};
use replicated::ReplicatedUploads;
use staged::{Staged, StagedStream};
use state::State;
use writer::BucketWriter;

/// Bytes per read of a growing recording.
const READ_SIZE: u64 = 256 * 1024;
/// Timeout of a readiness check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Storage in a bucket: the back ends `s3`, `azure` and `gcs`.
pub(crate) struct BucketStorage {
    location: BucketLocation,
    remote: Arc<Remote>,
    keys: Keys,
    /// In-process locks, by recording id: the background work of a dropped writer may still run.
    locks: BlockingMutex<HashMap<String, Weak<Mutex<()>>>>,
    snapshots: SnapshotPermits,
    /// Shared growing objects, if several servers use the bucket.
    replicas: Option<ReplicatedUploads>,
}

impl BucketStorage {
    /// Opens a bucket and its staging folder, which is created if necessary. Sends no request to the store. With
    /// `leases`, several servers may share growing objects.
    pub(crate) fn open(
        location: BucketLocation,
        clock: Arc<dyn Clock>,
        leases: Option<Arc<dyn UploadLeases>>,
    ) -> Result<Self, StorageError> {
        crate::net::tls::choose_tls();
        let staging = &location.common().staging;
        std::fs::create_dir_all(staging)?;
        folder::clear(staging)?;
        let remote = Arc::new(Remote::open(&location, clock).map_err(read_error)?);
        let keys = Keys::new(&location.common().prefix, staging);
        let replicas =
            leases.map(|leases| ReplicatedUploads::open(leases, Arc::clone(&remote), &keys));
        Ok(Self {
            remote,
            keys,
            locks: BlockingMutex::default(),
            snapshots: SnapshotPermits::default(),
            replicas: replicas.transpose()?,
            location,
        })
    }

    /// Waits for the in-process lock of a recording.
    async fn lock(&self, id: &str) -> StagingLock {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| lock.strong_count() > 0);
            locks.get(id).and_then(Weak::upgrade).unwrap_or_else(|| {
                let lock = Arc::new(Mutex::new(()));
                locks.insert(id.to_owned(), Arc::downgrade(&lock));
                lock
            })
        };
        Arc::new(lock.lock_owned().await)
    }

    fn writer(
        &self,
        id: &str,
        folder: PathBuf,
        staged: Staged,
        state: State,
        lock: StagingLock,
    ) -> Box<dyn UploadWriter> {
        let snapshots = Snapshots::new(
            snapshot::path_in(&folder),
            staged.stream_length(),
            self.snapshots.clone(),
        );
        let assembly = Assembly::new(
            Arc::clone(&self.remote),
            self.keys.clone(),
            id,
            folder,
            state,
            lock,
        );
        Box::new(BucketWriter::new(Arc::new(assembly), staged).with_snapshots(snapshots))
    }

    fn leases(&self) -> Option<Arc<dyn UploadLeases>> {
        self.replicas.as_ref().map(ReplicatedUploads::leases)
    }

    async fn staged_length(&self, id: &str) -> Result<u64, StorageError> {
        if let Some(replicas) = &self.replicas
            && let Some(length) = replicas.length(id).await?
        {
            return Ok(length);
        }
        let folder = self.keys.folder(id)?;
        blocking(move || Staged::measure(&folder, &State::load(&folder)?)).await
    }

    /// Folder with the staged parts of a recording that this server receives.
    async fn growing_folder(&self, id: &str) -> Result<PathBuf, StorageError> {
        if let Some(replicas) = &self.replicas
            && let folder = replicas.folder(id)?
            && tokio::fs::try_exists(&folder).await?
        {
            return Ok(folder);
        }
        self.keys.folder(id)
    }

    /// Reads staged bytes of a growing recording. Parts that only the store has cannot be read.
    async fn read_growing(
        &self,
        id: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, StorageError> {
        let folder = self.growing_folder(id).await?;
        let loaded = folder.clone();
        let part_size = blocking(move || Ok(State::load(&loaded)?.part_size)).await?;
        let pieces = stream::try_unfold(range, move |range| {
            let folder = folder.clone();
            async move {
                if range.is_empty() {
                    return Ok(None);
                }
                let end = range.end.min(range.start.saturating_add(READ_SIZE));
                let reading = move || staged::read_growing(&folder, part_size, range.start..end);
                let read = tokio::task::spawn_blocking(reading).await;
                let bytes = read.map_err(io::Error::other)??;
                let next = range.start + bytes.len() as u64;
                Ok(Some((bytes, next..range.end)))
            }
        });
        Ok(pieces.boxed())
    }

    async fn delete_growing(&self, id: &str) -> Result<(), StorageError> {
        let folder = self.keys.folder(id)?;
        let _lock = self.lock(id).await;
        if let Some(replicas) = &self.replicas
            && replicas.delete(id).await?
        {
            return Ok(());
        }
        let state = blocking({
            let folder = folder.clone();
            move || match State::load(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                state => state.map(Some),
            }
        })
        .await?;
        if let Some(upload) = state.and_then(|state| state.upload) {
            let key = self.keys.finished(id, &upload.extension)?;
            self.remote
                .abort(&key, &upload.id)
                .await
                .map_err(write_error)?;
        }
        blocking(move || folder::remove(&folder)).await
    }
}

#[async_trait]
impl Storage for BucketStorage {
    fn name(&self) -> &'static str {
        self.location.name()
    }

    fn growing_path(&self, id: &str) -> String {
        self.keys.growing_path(id)
    }

    fn finished_path(&self, id: &str, extension: &str) -> String {
        self.keys.finished_path(id, extension)
    }

    async fn create(&self, id: &str) -> Result<Box<dyn UploadWriter>, StorageError> {
        let lock = self.lock(id).await;
        let part_size = self.location.common().part_size;
        if let Some(replicas) = &self.replicas {
            return replicas.create(id, part_size, lock).await;
        }
        let folder = self.keys.folder(id)?;
        let (staged, state) = blocking({
            let folder = folder.clone();
            move || Staged::create(&folder, part_size)
        })
        .await?;
        Ok(self.writer(id, folder, staged, state, lock))
    }

    async fn reopen(&self, id: &str) -> Result<Reopened, StorageError> {
        let lock = self.lock(id).await;
        // A recording without a lease was begun by a single server: it is in the staging folder.
        if let Some(replicas) = &self.replicas
            && let Some(reopened) = replicas.reopen(id, Arc::clone(&lock)).await?
        {
            return Ok(reopened);
        }
        let folder = self.keys.folder(id)?;
        let (staged, state, snapshot) = blocking({
            let folder = folder.clone();
            move || {
                let mut state = State::load(&folder)?;
                let length = Staged::measure(&folder, &state)?;
                let saved = snapshot::load(&folder, length.saturating_sub(HEAD_ROOM));
                if let Some(saved) = &saved
                    && saved.checkpoints.position > state.checkpoints.position
                {
                    state.checkpoints = saved.checkpoints;
                }
                let staged = Staged::open(&folder, &state)?;
                Ok((staged, state, saved.map(|saved| saved.index)))
            }
        })
        .await?;
        let stream = Box::new(StagedStream::new(&folder, state.clone(), staged.length()));
        let writer = self.writer(id, folder, staged, state, lock);
        Ok(Reopened {
            writer,
            stream,
            snapshot,
        })
    }

    async fn growing_length(&self, id: &str) -> Result<u64, StorageError> {
        Ok(self.staged_length(id).await?.saturating_sub(HEAD_ROOM))
    }

    async fn growing_start(&self, id: &str) -> Result<u64, StorageError> {
        let folder = self.growing_folder(id).await?;
        blocking(move || {
            let state = State::load(&folder)?;
            let length = Staged::measure(&folder, &state)?;
            Ok(staged::readable_from(&folder, state.part_size, length))
        })
        .await
    }

    async fn size(&self, path: &str) -> Result<u64, StorageError> {
        if let Some(id) = self.keys.growing_id(path) {
            return self.staged_length(id).await;
        }
        let size = self.remote.size(&Keys::key(path)?).await;
        size.map_err(read_error)?.ok_or(StorageError::Missing)
    }

    async fn read(
        &self,
        path: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, StorageError> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        if let Some(id) = self.keys.growing_id(path) {
            return self.read_growing(id, range).await;
        }
        let key = Keys::key(path)?;
        self.remote.read(&key, range).await.map_err(read_error)
    }

    async fn delete(&self, path: &str) -> Result<(), StorageError> {
        if let Some(id) = self.keys.growing_id(path) {
            return self.delete_growing(id).await;
        }
        let key = Keys::key(path)?;
        self.remote.delete(&key).await.map_err(write_error)
    }

    fn list(&self) -> BoxStream<'static, Result<Stored, StorageError>> {
        listing::list(&self.remote, &self.keys, self.leases())
    }

    async fn remove(&self, stored: &Stored) -> Result<(), StorageError> {
        match &stored.kind {
            ObjectKind::Foreign => Ok(()),
            ObjectKind::Upload { upload, .. } => {
                let aborted = self.remote.abort(&Keys::key(&stored.path)?, upload).await;
                aborted.map_err(write_error)
            }
            ObjectKind::Temporary(_) if stored.path.starts_with('/') => {
                let path = PathBuf::from(&stored.path);
                blocking(move || {
                    let removed = if path.is_dir() {
                        std::fs::remove_dir_all(path)
                    } else {
                        std::fs::remove_file(path)
                    };
                    match removed {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                        result => result,
                    }
                })
                .await
            }
            ObjectKind::Growing(id) => {
                self.delete(&stored.path).await?;
                match &self.replicas {
                    Some(replicas) => replicas.sweep(id).await,
                    None => Ok(()),
                }
            }
            ObjectKind::Finished(_) | ObjectKind::Temporary(_) => self.delete(&stored.path).await,
        }
    }

    async fn missing(&self, paths: Vec<String>) -> Result<Vec<String>, StorageError> {
        listing::missing(&self.remote, paths).await
    }

    async fn check(&self) -> Result<(), StorageError> {
        let staging = self.keys.staging().join(CHECK);
        blocking(move || {
            std::fs::write(&staging, b"sortie")?;
            std::fs::remove_file(staging)
        })
        .await?;
        // A missing object is a successful answer.
        let key = Keys::key(&format!("{}{CHECK}", self.keys.prefix()))?;
        match tokio::time::timeout(CHECK_TIMEOUT, self.remote.size(&key)).await {
            Ok(answer) => answer.map(|_| ()).map_err(read_error),
            Err(_) => Err(StorageError::Io(io::ErrorKind::TimedOut.into())),
        }
    }

    async fn probe(&self) -> Result<(), StorageError> {
        probe::probe(&self.remote, &self.keys, &self.location).await
    }

    fn replicated(&self) -> Option<&dyn Replicated> {
        self.replicas.as_ref().map(|replicas| replicas as _)
    }

    fn presigner(&self) -> Option<&dyn Presigner> {
        self.location.redirects().then_some(self as _)
    }
}

#[async_trait]
impl Presigner for BucketStorage {
    async fn presigned(
        &self,
        path: &str,
        presigned: Presigned<'_>,
    ) -> Result<String, StorageError> {
        let key = Keys::key(path)?;
        self.remote
            .presigned(
                &key,
                presigned.content_disposition,
                presigned.content_type,
                presigned.expires_in,
            )
            .await
            .map_err(read_error)
    }
}
