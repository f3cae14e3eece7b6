//! Writer of a growing file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sortie_media::{HEAD_ROOM, Patch, Snapshot};

use super::commit::{Failure, Writes};
use super::{LocalStorage, snapshot, sync_folder};
use crate::storage::snapshots::Snapshots;
use crate::storage::stored::COPY;
use crate::storage::{Finishing, RAW_EXTENSION, StorageError, UploadWriter, blocking};

/// Pending bytes up to this size wait for the next call: a small chunk is written and synced in one step.
const PENDING: usize = 256 * 1024;

/// A growing file.
///
/// Writes are deferred until `sync`, or until they exceed [`PENDING`]: a small chunk then needs one switch to a
/// blocking thread for its bytes, its patches and `fdatasync` together.
pub(super) struct LocalWriter {
    storage: LocalStorage,
    file: Arc<File>,
    path: PathBuf,
    /// Length of the file, pending writes included.
    length: u64,
    /// Length of the file, pending writes excluded.
    written: u64,
    /// Length that survives a power cut.
    durable: u64,
    pending: Writes,
    /// A write that runs while more bytes arrive.
    writing: Option<Writing>,
    snapshots: Snapshots,
}

/// A write on a blocking thread.
struct Writing {
    task: tokio::task::JoinHandle<io::Result<()>>,
    /// Length of the file after the write.
    length: u64,
}

impl LocalWriter {
    pub(super) fn new(storage: LocalStorage, file: File, path: PathBuf, length: u64) -> Self {
        let stream_length = length.saturating_sub(HEAD_ROOM);
        Self {
            snapshots: Snapshots::new(
                snapshot::path_of(&path),
                stream_length,
                storage.snapshots.clone(),
            ),
            storage,
            file: Arc::new(file),
            path,
            length,
            written: length,
            durable: length,
            pending: Writes::default(),
            writing: None,
        }
    }

    /// Records the result of a write. A failed write discards the writes deferred behind it.
    fn complete_write(
        &mut self,
        length: u64,
        done: Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        match done {
            Ok(()) => self.written = length,
            Err(_) => {
                self.pending = Writes::default();
                self.length = self.written;
            }
        }
        done
    }

    /// Waits for the running write.
    async fn wait(&mut self) -> Result<(), StorageError> {
        let Some(writing) = &mut self.writing else {
            return Ok(());
        };
        let done = match (&mut writing.task).await {
            Ok(done) => done.map_err(StorageError::from),
            Err(error) => Err(StorageError::Io(io::Error::other(error))),
        };
        let length = writing.length;
        self.writing = None;
        self.complete_write(length, done)
    }

    /// Writes the deferred writes.
    async fn write(&mut self) -> Result<(), StorageError> {
        self.wait().await?;
        let (file, written) = (Arc::clone(&self.file), self.written);
        let writes = std::mem::take(&mut self.pending);
        let done = blocking(move || writes.write(&file, written)).await;
        self.complete_write(self.length, done)
    }

    /// Starts writing the deferred writes; the next call reports an error.
    async fn begin_write(&mut self) -> Result<(), StorageError> {
        self.wait().await?;
        let (file, written) = (Arc::clone(&self.file), self.written);
        let writes = std::mem::take(&mut self.pending);
        let task = tokio::task::spawn_blocking(move || {
            writes.write(&file, written)?;
            // The disk writes while more bytes arrive, which shortens the sync.
            writes.begin_writeback(&file);
            Ok(())
        });
        self.writing = Some(Writing {
            task,
            length: self.length,
        });
        Ok(())
    }

    /// Starts writing if the deferred writes exceed [`PENDING`].
    async fn write_if_large(&mut self) -> Result<(), StorageError> {
        if self.pending.size() > PENDING {
            self.begin_write().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl UploadWriter for LocalWriter {
    async fn append(&mut self, bytes: Vec<Bytes>) -> Result<(), StorageError> {
        for piece in bytes {
            let position = self.length;
            self.length += piece.len() as u64;
            self.pending.append(position, piece);
        }
        self.write_if_large().await
    }

    async fn patch(&mut self, patches: Vec<Patch>) -> Result<(), StorageError> {
        for patch in patches {
            check_patch(&patch, self.length)?;
            self.pending.patch(patch.position, patch.bytes.into());
        }
        self.write_if_large().await
    }

    async fn start_writing(&mut self) -> Result<(), StorageError> {
        if self.pending.size() > 0 {
            self.begin_write().await?;
        }
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), StorageError> {
        self.wait().await?;
        let writes = std::mem::take(&mut self.pending);
        let (file, written, durable) = (Arc::clone(&self.file), self.written, self.durable);
        let committed = self
            .storage
            .committer
            .commit(file, writes, written, durable)
            .await;
        match committed {
            Ok(()) => {
                self.written = self.length;
                self.durable = self.length;
                Ok(())
            }
            Err(Failure::NotWritten(error)) => {
                self.length = self.written;
                Err(error.into())
            }
            Err(Failure::NotDurable(error)) => {
                self.written = durable;
                self.length = durable;
                Err(error.into())
            }
        }
    }

    fn stream_length(&self) -> u64 {
        self.length - HEAD_ROOM
    }

    fn wants_snapshot(&self) -> bool {
        self.durable == self.length && self.snapshots.is_due(self.stream_length())
    }

    fn save_snapshot(&mut self, snapshot: Snapshot) {
        let (position, size) = (snapshot.position, snapshot.bytes.len());
        let growing = Arc::clone(&self.file);
        self.snapshots.save(position, size, move |path| {
            snapshot::save(path, &snapshot, &growing)
        });
    }

    async fn finish(mut self: Box<Self>, finishing: Finishing) -> Result<(), StorageError> {
        self.write().await?;
        self.snapshots.settle().await;
        blocking(move || {
            // From now on the bytes are no longer those that were indexed.
            snapshot::remove(&self.path);
            // The head may refer to the index only once the index is durable.
            let file = &self.file;
            file.set_len(finishing.keep)?;
            if let Err(error) = file.write_all_at(&finishing.append, finishing.keep) {
                file.set_len(finishing.keep)?;
                return Err(error);
            }
            file.sync_data()?;
            let length = finishing.keep + finishing.append.len() as u64;
            write_patches(file, &finishing.patches, length)?;
            file.sync_data()?;
            let path = self.path.with_extension(finishing.extension);
            std::fs::rename(&self.path, &path)?;
            sync_folder(&self.storage.folder)
        })
        .await
    }

    async fn keep_raw(mut self: Box<Self>) -> Result<(), StorageError> {
        self.write().await?;
        self.snapshots.settle().await;
        blocking(move || {
            snapshot::remove(&self.path);
            let path = self.path.with_extension(RAW_EXTENSION);
            let fresh = self.path.with_extension(COPY);
            let copy = || {
                let mut from = File::open(&self.path)?;
                from.seek(SeekFrom::Start(HEAD_ROOM))?;
                let mut to = File::create(&fresh)?;
                io::copy(&mut from.take(self.length - HEAD_ROOM), &mut to)?;
                to.sync_all()
            };
            copy().inspect_err(|_| {
                // A partial copy on a full disk would only take space from other recordings.
                let _ = std::fs::remove_file(&fresh);
            })?;
            std::fs::rename(&fresh, &path)?;
            std::fs::remove_file(&self.path)?;
            sync_folder(&self.storage.folder)
        })
        .await
    }
}

fn write_patches(file: &File, patches: &[Patch], length: u64) -> io::Result<()> {
    for patch in patches {
        check_patch(patch, length)?;
        file.write_all_at(&patch.bytes, patch.position)?;
    }
    Ok(())
}

fn check_patch(patch: &Patch, length: u64) -> io::Result<()> {
    let end = patch.position + patch.bytes.len() as u64;
    if end > length {
        return Err(io::Error::other(format!(
            "a patch reaches to {end}, beyond the file's {length} bytes"
        )));
    }
    Ok(())
}
