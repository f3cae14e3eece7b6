//! Growing recordings that several servers share.
//!
//! The staging folder is local to one machine, so with several servers it is only a copy. Acknowledged bytes are in the
//! bucket, beside the future object, and the manifest in the [`UploadLeases`] table says which of them count:
//!
//! ```text
//! <prefix><id>.part/<from>-<to>-<fence>            a span of the object, as acknowledged
//! <prefix><id>.part/excerpts-<from>-<to>-<fence>   a span of the checkpoint file
//! ```
//!
//! A writer puts a span, then checks that it still holds the lease, then acknowledges. A server that takes over
//! increments the fencing token first and lists spans second, so it finds every acknowledged byte. A span that a former
//! holder puts later carries the old token and is not in the new manifest.
//!
//! A takeover copies the bytes that are not in the multipart upload to the server's own staging folder: two parts at
//! most, whatever the length. From then on the recording is handled as with one server. Many small spans are merged
//! from time to time.
//!
//! Alternative not taken: asking the former holder to release the lease. The former holder may hang.

mod manifest;
mod upload;
mod writer;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use rustix::fs::{FlockOperation, flock};
use sortie_media::HEAD_ROOM;

use super::assembly::{Assembly, StagingLock};
use super::checkpoints;
use super::keys::Keys;
use super::remote::{Remote, read_error};
use super::staged::{Staged, StagedStream, part_file};
use super::state::State;
use super::writer::BucketWriter;
use crate::storage::{
    Reopened, Replicated, StaleLease, StorageError, UploadLeases, UploadWriter, blocking,
};
use manifest::{Kind, Manifest, Span};
pub(super) use upload::ReplicatedUpload;
use writer::ReplicatedWriter;

/// Name prefix of the staging folder of one server, within the common one.
pub(super) const CACHE: &str = ".server-";
/// Spans that are fetched concurrently. Each can be as long as a part.
const FETCHES: usize = 4;

/// Fencing tokens of a server's writers, by recording.
type Held = Arc<Mutex<HashMap<String, i64>>>;

fn locked(held: &Held) -> MutexGuard<'_, HashMap<String, i64>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shared recordings, as seen by one server.
pub(super) struct ReplicatedUploads {
    leases: Arc<dyn UploadLeases>,
    remote: Arc<Remote>,
    /// Names with the staging folder of this server.
    keys: Keys,
    /// The common staging folder: recordings that began with a single server are there.
    unshared: Keys,
    /// Recordings that this server writes to, with their fencing tokens.
    held: Held,
    /// Locked while the server runs, so that others recognise an unused folder.
    _lock: File,
}

impl ReplicatedUploads {
    pub(super) fn open(
        leases: Arc<dyn UploadLeases>,
        remote: Arc<Remote>,
        keys: &Keys,
    ) -> io::Result<Self> {
        clear(keys.staging())?;
        let (folder, lock) = own_folder(keys.staging())?;
        Ok(Self {
            leases,
            remote,
            keys: Keys::new(keys.prefix(), &folder),
            unshared: keys.clone(),
            held: Held::default(),
            _lock: lock,
        })
    }

    /// Staging folder of a recording that this server writes to.
    pub(super) fn folder(&self, id: &str) -> Result<PathBuf, StorageError> {
        self.keys.folder(id)
    }

    pub(super) fn leases(&self) -> Arc<dyn UploadLeases> {
        Arc::clone(&self.leases)
    }

    fn upload(&self, id: &str, folder: &Path, manifest: Manifest) -> Arc<ReplicatedUpload> {
        Arc::new(ReplicatedUpload::new(
            Arc::clone(&self.leases),
            Arc::clone(&self.remote),
            self.keys.clone(),
            id,
            folder,
            manifest,
        ))
    }

    fn writer(
        &self,
        id: &str,
        folder: PathBuf,
        staged: Staged,
        manifest: Manifest,
        lock: StagingLock,
    ) -> Box<dyn UploadWriter> {
        let state = manifest.state.clone();
        let replicated = self.upload(id, &folder, manifest);
        let assembly = Assembly::new(
            Arc::clone(&self.remote),
            self.keys.clone(),
            id,
            folder,
            state,
            lock,
        )
        .replicated(Arc::clone(&replicated));
        let assembly = Arc::new(assembly);
        let inner = BucketWriter::new(Arc::clone(&assembly), staged);
        locked(&self.held).insert(id.to_owned(), replicated.fence());
        Box::new(ReplicatedWriter::new(
            inner,
            assembly,
            replicated,
            Arc::clone(&self.held),
        ))
    }

    pub(super) async fn create(
        &self,
        id: &str,
        part_size: u64,
        lock: StagingLock,
    ) -> Result<Box<dyn UploadWriter>, StorageError> {
        let folder = self.keys.folder(id)?;
        let (staged, state) = blocking({
            let folder = folder.clone();
            move || Staged::create(&folder, part_size)
        })
        .await?;
        let manifest = Manifest::new(state);
        self.leases.create(id, &manifest.to_text()?).await?;
        Ok(self.writer(id, folder, staged, manifest, lock))
    }

    /// Takes over a recording; `None` if it has no lease.
    pub(super) async fn reopen(
        &self,
        id: &str,
        lock: StagingLock,
    ) -> Result<Option<Reopened>, StorageError> {
        let Some(lease) = self.leases.take_over(id).await? else {
            return Ok(None);
        };
        let manifest = Manifest::parse(&lease.manifest)?;
        if manifest.finished {
            return Err(StorageError::Missing);
        }
        let spans = self.spans(id).await?;
        let manifest = manifest.taken_over(lease.fence, &spans);
        let written = self
            .leases
            .write_manifest(id, lease.fence, &manifest.to_text()?)
            .await?;
        if !written {
            return Err(StorageError::Fenced);
        }
        let folder = self.keys.folder(id)?;
        self.fetch(id, &folder, &manifest).await?;
        let staged = blocking({
            let (folder, state) = (folder.clone(), manifest.state.clone());
            move || Staged::open(&folder, &state)
        })
        .await?;
        if staged.length() != manifest.length {
            return Err(StorageError::Io(io::Error::other(format!(
                "recording {id}: {} bytes were found, the manifest lists {}",
                staged.length(),
                manifest.length
            ))));
        }
        let stream = StagedStream::new(&folder, manifest.state.clone(), staged.length());
        let writer = self.writer(id, folder, staged, manifest, lock);
        Ok(Some(Reopened {
            writer,
            stream: Box::new(stream),
            snapshot: None,
        }))
    }

    /// Lists the spans of a recording in the bucket, in no order.
    async fn spans(&self, id: &str) -> Result<Vec<(Kind, Span)>, StorageError> {
        let folder = self.keys.growing_path(id);
        let objects: Vec<_> = self
            .remote
            .objects(&folder, None)
            .try_collect()
            .await
            .map_err(read_error)?;
        Ok(objects
            .iter()
            .filter_map(|object| Span::of_name(object.location.filename()?))
            .collect())
    }

    /// Fills a staging folder from the spans, except for the parts in the multipart upload.
    async fn fetch(
        &self,
        id: &str,
        folder: &Path,
        manifest: &Manifest,
    ) -> Result<(), StorageError> {
        blocking({
            let (folder, state) = (folder.to_owned(), manifest.state.clone());
            move || {
                match std::fs::remove_dir_all(&folder) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => std::fs::create_dir(&folder)?,
                }
                File::create(part_file(&folder, 0))?.set_len(HEAD_ROOM)?;
                state.save(&folder)
            }
        })
        .await?;
        let wanted = manifest.pieces.iter().map(|span| (Kind::Piece, *span));
        let wanted = wanted.chain(
            manifest
                .checkpoints
                .iter()
                .map(|span| (Kind::Checkpoints, *span)),
        );
        let fetches = stream::iter(wanted.collect::<Vec<_>>()).map(|(kind, span)| async move {
            let key = Keys::key(&span.path(kind, &self.keys.growing_path(id)))?;
            let range = 0..span.to - span.from;
            let body = self.remote.read(&key, range).await.map_err(read_error)?;
            let chunks: Vec<_> = body.try_collect().await?;
            let (folder, state) = (folder.to_owned(), manifest.state.clone());
            blocking(move || {
                let mut at = span.from;
                for chunk in chunks {
                    match kind {
                        Kind::Piece => write_parts(&folder, &state, at, &chunk)?,
                        Kind::Checkpoints => File::options()
                            .write(true)
                            .create(true)
                            .truncate(false)
                            .open(folder.join(checkpoints::FILE))?
                            .write_all_at(&chunk, at)?,
                    }
                    at += chunk.len() as u64;
                }
                Ok(())
            })
            .await
        });
        fetches.buffer_unordered(FETCHES).try_collect().await
    }

    /// Returns the acknowledged length of a recording's object; `None` if it has no lease.
    pub(super) async fn length(&self, id: &str) -> Result<Option<u64>, StorageError> {
        let Some(lease) = self.leases.find(id).await? else {
            return Ok(None);
        };
        let manifest = Manifest::parse(&lease.manifest)?;
        if manifest.finished {
            return Err(StorageError::Missing);
        }
        let spans = self.spans(id).await?;
        Ok(Some(manifest.taken_over(lease.fence, &spans).length))
    }

    /// Deletes a recording and its lease, preempting its writer; `false` if it has no lease.
    pub(super) async fn delete(&self, id: &str) -> Result<bool, StorageError> {
        let Some(lease) = self.leases.take_over(id).await? else {
            return Ok(false);
        };
        let manifest = Manifest::parse(&lease.manifest)?;
        if let Some(upload) = &manifest.state.upload {
            let key = self.keys.finished(id, &upload.extension)?;
            let aborted = self.remote.abort(&key, &upload.id).await;
            aborted.map_err(super::write_error)?;
        }
        upload::clear(&self.remote, &self.keys.growing_path(id)).await?;
        self.leases.delete(id).await?;
        let folder = self.keys.folder(id)?;
        blocking(move || crate::storage::bucket::folder::remove(&folder)).await?;
        Ok(true)
    }

    /// Removes the spans of a recording without a lease.
    pub(super) async fn sweep(&self, id: &str) -> Result<(), StorageError> {
        upload::clear(&self.remote, &self.keys.growing_path(id)).await
    }
}

#[async_trait]
impl Replicated for ReplicatedUploads {
    async fn is_shared(&self, id: &str) -> Result<bool, StorageError> {
        Ok(!tokio::fs::try_exists(self.unshared.folder(id)?).await?)
    }

    async fn renew(&self, id: &str) -> Result<bool, StorageError> {
        let fence = locked(&self.held).get(id).copied();
        match fence {
            Some(fence) => self.leases.renew(id, fence).await,
            None => Ok(true),
        }
    }

    async fn stale(&self, silence: Duration) -> Result<Vec<StaleLease>, StorageError> {
        self.leases.stale(silence).await
    }

    async fn claim(&self, stale: &StaleLease) -> Result<bool, StorageError> {
        self.leases.claim(stale).await
    }

    async fn release(&self, id: &str) -> Result<(), StorageError> {
        self.leases.delete(id).await
    }
}

/// Writes bytes at their offset in the object, except for parts that the store has.
fn write_parts(folder: &Path, state: &State, mut at: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let (index, within) = (at / state.part_size, at % state.part_size);
        let room = usize::try_from(state.part_size - within).unwrap_or(usize::MAX);
        let (fits, rest) = bytes.split_at(room.min(bytes.len()));
        if !state.parts.contains_key(&index) {
            File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(part_file(folder, index))?
                .write_all_at(fits, within)?;
        }
        at += fits.len() as u64;
        bytes = rest;
    }
    Ok(())
}

/// Creates and locks the staging folder of this server.
fn own_folder(staging: &Path) -> io::Result<(PathBuf, File)> {
    loop {
        let folder = staging.join(format!("{CACHE}{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder)?;
        // Before it is locked, a starting server may take the folder for an unused one.
        match File::open(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            lock => {
                let lock = lock?;
                if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() && folder.exists()
                {
                    return Ok((folder, lock));
                }
            }
        }
    }
}

/// Removes the folders of servers that no longer run: they are copies.
fn clear(staging: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(staging)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(CACHE) {
            continue;
        }
        match File::open(entry.path()) {
            Ok(folder) => {
                if flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    // Another server may clear the same folder concurrently.
                    let _ = std::fs::remove_dir_all(entry.path());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_stopped_servers_are_cleared() -> io::Result<()> {
        let staging = tempfile::tempdir()?;
        let [used, left, other] =
            [".server-a", ".server-b", "id"].map(|name| staging.path().join(name));
        for folder in [&used, &left, &other] {
            std::fs::create_dir(folder)?;
        }
        let lock = File::open(&used)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        clear(staging.path())?;
        assert!(used.exists() && !left.exists() && other.exists());
        Ok(())
    }

    #[test]
    fn bytes_are_written_to_their_parts() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let mut state = State::new(10);
        state.parts.insert(1, String::new());
        write_parts(folder.path(), &state, 7, b"abcdefghijklmnop")?;
        assert_eq!(
            std::fs::read(part_file(folder.path(), 0))?,
            b"\0\0\0\0\0\0\0abc"
        );
        assert!(!part_file(folder.path(), 1).exists());
        assert_eq!(std::fs::read(part_file(folder.path(), 2))?, b"nop");
        Ok(())
    }
}
