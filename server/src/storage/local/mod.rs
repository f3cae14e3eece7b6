//! Local storage: recordings are files in one folder.
//!
//! A growing object is `<id>.part`; finishing renames it to `<id>.<extension>`. Both are playable.

mod commit;
mod snapshot;
mod writer;

use std::fs::{File, Metadata, OpenOptions, ReadDir};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sortie_media::HEAD_ROOM;

use super::regular_file::open_regular;
use super::snapshots::SnapshotPermits;
use super::stored::CHECK;
use super::{
    ObjectKind, Reopened, SeekableStream, Storage, StorageError, Stored, UploadWriter, blocking,
};
use commit::Committer;
pub use snapshot::remove as remove_snapshot;
use writer::LocalWriter;

/// Extension of a growing object.
const GROWING: &str = "part";
/// Bytes per read of a download: large enough to make the switch to a blocking thread negligible, small enough for a
/// thousand concurrent downloads.
const READ_SIZE: u64 = 256 * 1024;
/// Directory entries per batch of a listing.
const LIST_BATCH: usize = 1000;

/// Storage in a local folder: the back end `local`.
#[derive(Clone, Debug)]
pub(crate) struct LocalStorage {
    folder: Arc<Path>,
    committer: Arc<Committer>,
    snapshots: SnapshotPermits,
}

impl LocalStorage {
    /// Opens `folder`, creating it if necessary.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, StorageError> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            folder: folder.into(),
            committer: Arc::default(),
            snapshots: SnapshotPermits::default(),
        })
    }

    /// Returns the file of `path`, which must be a plain name and thus cannot lead out of the folder.
    fn file(&self, path: &str) -> Result<PathBuf, StorageError> {
        let mut parts = Path::new(path).components();
        match (parts.next(), parts.next()) {
            (Some(std::path::Component::Normal(_)), None) => Ok(self.folder.join(path)),
            _ => Err(StorageError::Missing),
        }
    }
}

/// Reads directly into the buffer that is sent to the socket, without a copy and without zeroing it first.
fn read(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    let wanted = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut buffer = Vec::with_capacity(wanted);
    while buffer.len() < wanted {
        let at = range.start + buffer.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut buffer), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The capacity may exceed the requested one.
    buffer.truncate(wanted);
    Ok(buffer.into())
}

/// Makes creations, renames and removals in a folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Lists a folder in batches, outside the async worker threads. Skips entries that are removed meanwhile, and names
/// that are not UTF-8: they are not ours.
pub(super) fn entries(
    folder: PathBuf,
    describe: impl Fn(&str, &Metadata) -> io::Result<Stored> + Clone + Send + 'static,
) -> BoxStream<'static, Result<Stored, StorageError>> {
    let batches = stream::try_unfold(None::<ReadDir>, move |reading| {
        let (folder, describe) = (folder.clone(), describe.clone());
        blocking(move || {
            let mut reading = match reading {
                Some(reading) => reading,
                None => std::fs::read_dir(&folder)?,
            };
            let mut batch = Vec::new();
            while batch.len() < LIST_BATCH {
                let Some(entry) = reading.next().transpose()? else {
                    break;
                };
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                let described = entry
                    .metadata()
                    .and_then(|metadata| describe(name, &metadata));
                match described {
                    Ok(stored) => batch.push(stored),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok((!batch.is_empty()).then_some((batch, Some(reading))))
        })
    });
    batches
        .map_ok(|batch| stream::iter(batch.into_iter().map(Ok)))
        .try_flatten()
        .boxed()
}

/// Returns the time of the last change of a file, Unix time in ms.
pub(super) fn modified_ms(metadata: &Metadata) -> i64 {
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let since = modified.duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

#[async_trait]
impl Storage for LocalStorage {
    fn name(&self) -> &'static str {
        "local"
    }

    fn growing_path(&self, id: &str) -> String {
        format!("{id}.{GROWING}")
    }

    fn finished_path(&self, id: &str, extension: &str) -> String {
        format!("{id}.{extension}")
    }

    async fn create(&self, id: &str) -> Result<Box<dyn UploadWriter>, StorageError> {
        let path = self.file(&self.growing_path(id))?;
        let storage = self.clone();
        let writer = blocking(move || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)?;
            file.set_len(HEAD_ROOM)?;
            file.sync_all()?;
            sync_folder(&storage.folder)?;
            Ok(LocalWriter::new(storage, file, path, HEAD_ROOM))
        })
        .await?;
        Ok(Box::new(writer))
    }

    async fn reopen(&self, id: &str) -> Result<Reopened, StorageError> {
        let path = self.file(&self.growing_path(id))?;
        let storage = self.clone();
        blocking(move || {
            let file = OpenOptions::new().read(true).write(true).open(&path)?;
            let mut length = file.metadata()?.len();
            // State after a crash between creating the file and reserving its head.
            if length < HEAD_ROOM {
                file.set_len(HEAD_ROOM)?;
                length = HEAD_ROOM;
            }
            // After a crash of this process bytes may be in the page cache only. They are made durable before their
            // offset is reported.
            file.sync_all()?;
            let stream = Box::new(StoredStream(file.try_clone()?));
            let snapshot = snapshot::load(&path, &file, length - HEAD_ROOM);
            let writer = LocalWriter::new(storage, file, path, length);
            Ok(Reopened {
                writer: Box::new(writer),
                stream,
                snapshot,
            })
        })
        .await
    }

    async fn growing_length(&self, id: &str) -> Result<u64, StorageError> {
        Ok(self
            .size(&self.growing_path(id))
            .await?
            .saturating_sub(HEAD_ROOM))
    }

    async fn size(&self, path: &str) -> Result<u64, StorageError> {
        let path = self.file(path)?;
        blocking(move || Ok(open_regular(&path)?.metadata()?.len())).await
    }

    async fn read(
        &self,
        path: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, StorageError> {
        let path = self.file(path)?;
        let file = blocking(move || open_regular(&path)).await?;
        let pieces = stream::try_unfold((Arc::new(file), range), |(file, range)| async move {
            let end = range.end.min(range.start.saturating_add(READ_SIZE));
            if range.start >= end {
                return Ok(None);
            }
            let reading = Arc::clone(&file);
            let read = tokio::task::spawn_blocking(move || read(&reading, range.start..end));
            let bytes = read.await.map_err(io::Error::other)??;
            Ok(Some((bytes, (file, end..range.end))))
        });
        Ok(pieces.boxed())
    }

    async fn delete(&self, path: &str) -> Result<(), StorageError> {
        let path = self.file(path)?;
        let folder = Arc::clone(&self.folder);
        blocking(move || {
            snapshot::remove(&path);
            match std::fs::remove_file(path) {
                Ok(()) => sync_folder(&folder),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            }
        })
        .await
    }

    fn list(&self) -> BoxStream<'static, Result<Stored, StorageError>> {
        entries(self.folder.to_path_buf(), |name, metadata| {
            let kind = if metadata.is_file() {
                ObjectKind::of_name(name)
            } else {
                ObjectKind::Foreign
            };
            Ok(Stored {
                path: name.to_owned(),
                kind,
                size_bytes: metadata.len(),
                modified_ms: modified_ms(metadata),
            })
        })
    }

    async fn remove(&self, stored: &Stored) -> Result<(), StorageError> {
        match stored.kind {
            ObjectKind::Foreign | ObjectKind::Upload { .. } => Ok(()),
            _ => self.delete(&stored.path).await,
        }
    }

    async fn missing(&self, paths: Vec<String>) -> Result<Vec<String>, StorageError> {
        let storage = self.clone();
        blocking(move || {
            let mut missing = Vec::new();
            for path in paths {
                let exists = match storage.file(&path) {
                    Ok(file) => file.try_exists()?,
                    Err(_) => false,
                };
                if !exists {
                    missing.push(path);
                }
            }
            Ok(missing)
        })
        .await
    }

    async fn check(&self) -> Result<(), StorageError> {
        // A unique name: another server, or a cancelled check, may run concurrently.
        let name = format!("{CHECK}-{}", uuid::Uuid::new_v4().simple());
        let path = self.folder.join(name);
        blocking(move || {
            let written = std::fs::write(&path, b"sortie").and_then(|()| std::fs::read(&path));
            // Failed checks must not fill the folder with files.
            let removed = std::fs::remove_file(&path);
            let read = written?;
            removed?;
            if read == b"sortie" {
                Ok(())
            } else {
                Err(io::Error::other(
                    "the bytes read differ from the bytes written",
                ))
            }
        })
        .await
    }
}

/// Stream of a reopened file.
struct StoredStream(File);

impl SeekableStream for StoredStream {
    fn read_at(&mut self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(buffer, HEAD_ROOM + position)
    }
}
