//! Writes a growing file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sortie_media::{HEAD_ROOM, Patch};

use super::commit::{Committer, Failure, Writes};
use super::sync_folder;
use crate::storage::stored::COPY;
use crate::storage::{Finishing, RAW_EXTENSION, StorageError, UploadWriter, blocking};

/// How much may wait to be written with what follows: a small chunk is written and made durable in one go.
const PENDING: usize = 256 * 1024;

/// A growing file.
///
/// What is to be written waits until it is to be durable, or until it is much: a small chunk is one trip to a
/// thread that may block, for its bytes, its patches and `fdatasync` together.
pub(super) struct LocalWriter {
    file: Arc<File>,
    path: PathBuf,
    folder: Arc<Path>,
    committer: Arc<Committer>,
    /// The file's length, with what waits.
    length: u64,
    /// And without: where the file itself ends.
    written: u64,
    /// How much of it is known to survive a power cut.
    durable: u64,
    /// What waits.
    pending: Writes,
    /// What is being written while more arrives.
    writing: Option<Writing>,
}

/// A write on a thread that may block.
struct Writing {
    task: tokio::task::JoinHandle<io::Result<()>>,
    /// The file's length after it.
    length: u64,
}

impl LocalWriter {
    pub(super) fn new(
        file: File,
        path: PathBuf,
        folder: Arc<Path>,
        committer: Arc<Committer>,
        length: u64,
    ) -> Self {
        Self {
            file: Arc::new(file),
            path,
            folder,
            committer,
            length,
            written: length,
            durable: length,
            pending: Writes::default(),
            writing: None,
        }
    }

    /// Counts what a write has brought; a failed one takes what waited for it with it.
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

    /// Waits for the write that is under way.
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

    /// Writes what waits.
    async fn write(&mut self) -> Result<(), StorageError> {
        self.wait().await?;
        let (file, written) = (Arc::clone(&self.file), self.written);
        let writes = std::mem::take(&mut self.pending);
        let done = blocking(move || writes.write(&file, written)).await;
        self.complete_write(self.length, done)
    }

    /// Begins to write what waits; an error shows at the next call.
    async fn begin_write(&mut self) -> Result<(), StorageError> {
        self.wait().await?;
        let (file, written) = (Arc::clone(&self.file), self.written);
        let writes = std::mem::take(&mut self.pending);
        let task = tokio::task::spawn_blocking(move || {
            writes.write(&file, written)?;
            // The disk is at work while more arrives, and less is left to do when it has to be durable.
            writes.begin_writeback(&file);
            Ok(())
        });
        self.writing = Some(Writing {
            task,
            length: self.length,
        });
        Ok(())
    }

    /// The same if it is much.
    async fn write_much(&mut self) -> Result<(), StorageError> {
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
            self.pending.push(position, piece);
        }
        self.write_much().await
    }

    async fn patch(&mut self, patches: Vec<Patch>) -> Result<(), StorageError> {
        for patch in patches {
            check_patch(&patch, self.length)?;
            self.pending.push(patch.position, patch.bytes.into());
        }
        self.write_much().await
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
        let committed = self.committer.commit(file, writes, written, durable).await;
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

    async fn finish(mut self: Box<Self>, finishing: Finishing) -> Result<(), StorageError> {
        self.write().await?;
        blocking(move || {
            // The order matters: the head speaks of the index only once the index is durable.
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
            sync_folder(&self.folder)
        })
        .await
    }

    async fn keep_raw(mut self: Box<Self>) -> Result<(), StorageError> {
        self.write().await?;
        blocking(move || {
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
                // Half a copy on a full disk only keeps others from going on.
                let _ = std::fs::remove_file(&fresh);
            })?;
            std::fs::rename(&fresh, &path)?;
            std::fs::remove_file(&self.path)?;
            sync_folder(&self.folder)
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
