//! Storage of recordings. Nothing here knows HTTP, tus or containers.
//!
//! An object is a head of [`sortie_media::HEAD_ROOM`] bytes, written by this server, followed by the stream as
//! received. A growing object has exactly one [`UploadWriter`].
//!
//! Optional capabilities are optional traits: [`Replicated`] and [`LeasedWriter`] (several servers share
//! growing objects), [`Sealing`] (parts that leave the disk before the end), [`Presigner`] (downloads from the store).

#[cfg(feature = "s3")]
mod bucket;
#[cfg(all(test, feature = "s3"))]
pub(crate) mod conformance;
mod disk;
#[cfg(feature = "s3")]
mod leases;
mod local;
mod regular_file;
mod snapshots;
mod stored;

use std::io;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use sortie_media::{Finish, Patch, Snapshot};

#[cfg(feature = "s3")]
pub(crate) use bucket::{BucketLocation, BucketStorage};
pub(crate) use disk::{Disk, DiskMonitor};
#[cfg(feature = "s3")]
pub(crate) use leases::{UploadLease, UploadLeases};
pub(crate) use local::LocalStorage;
pub use local::remove_snapshot;
pub use regular_file::{open_regular, open_regular_with};
pub(crate) use stored::{ObjectKind, Stored};

#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// The disk is full, or a quota is reached.
    #[error("the storage is full")]
    Full(#[source] io::Error),
    /// The storage cannot be written to.
    #[error("the storage is read-only")]
    ReadOnly(#[source] io::Error),
    /// The object does not exist.
    #[error("the object is not in the storage")]
    Missing,
    /// Acknowledged bytes were removed from the storage by something other than this server. A retry does not help.
    #[error("acknowledged bytes are missing from the storage")]
    #[cfg_attr(
        not(feature = "s3"),
        expect(dead_code, reason = "a local growing file is complete or missing")
    )]
    Lost(#[source] io::Error),
    /// Another server has taken over the lease of the object; it finds every durable byte. See `storage/leases.rs`.
    #[error("another server has taken over")]
    #[cfg_attr(
        not(feature = "s3"),
        expect(dead_code, reason = "a local folder is not shared")
    )]
    Fenced,
    /// The shared store, or the database with the lease table, cannot be reached.
    #[error("the shared store or its lease table cannot be reached")]
    #[cfg_attr(
        not(feature = "s3"),
        expect(dead_code, reason = "a local folder is not shared")
    )]
    Unavailable(#[source] anyhow::Error),
    /// Any other I/O error.
    #[error("the storage failed")]
    Io(#[source] io::Error),
}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::Full(error),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly(error)
            }
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Io(error),
        }
    }
}

/// Runs blocking work outside the async worker threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(StorageError::Io(io::Error::other(error))),
    }
}

/// Changes that turn a growing object into a finished one; see [`sortie_media::Finish`].
#[derive(Debug)]
pub(crate) struct Finishing {
    /// Bytes of the object that are kept.
    pub(crate) keep: u64,
    /// Bytes appended behind them.
    pub(crate) append: Vec<u8>,
    /// Overwrites, applied once everything else is durable.
    pub(crate) patches: Vec<Patch>,
    /// Extension of the finished object, without the dot.
    pub(crate) extension: &'static str,
}

impl From<Finish> for Finishing {
    fn from(finish: Finish) -> Self {
        Self {
            keep: finish.keep,
            append: finish.append,
            patches: finish.patches,
            extension: finish.container.extension(),
        }
    }
}

/// Extension of an object whose container is unknown.
pub(crate) const RAW_EXTENSION: &str = "bin";

/// Leading bytes of a growing object that no longer change; see [`sortie_media::Indexer::immutable_prefix`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "s3"),
    expect(dead_code, reason = "only a bucket seals parts")
)]
pub(crate) struct ImmutablePrefix {
    /// Length of the prefix. Finishing keeps it and patches only its front matter.
    pub(crate) length: u64,
    /// Extension of the finished object; valid if `length` is not 0.
    pub(crate) extension: &'static str,
}

/// Bytes of the stream that the indexer needs to index it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexCheckpoint {
    /// Offset in the stream.
    pub(crate) position: u64,
    /// Bytes of the range; never empty.
    pub(crate) bytes: Vec<u8>,
}

#[cfg(feature = "s3")]
impl IndexCheckpoint {
    /// Returns the stream offset behind the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.bytes.len() as u64
    }
}

/// Exclusive writer of one growing object.
///
/// A failed call leaves the object as it was. Dropping a writer loses no durable byte.
#[async_trait]
pub(crate) trait UploadWriter: Send {
    /// Appends bytes; durable once [`UploadWriter::sync`] has returned.
    async fn append(&mut self, bytes: Vec<Bytes>) -> Result<(), StorageError>;

    /// Overwrites existing bytes; durable once [`UploadWriter::sync`] has returned.
    async fn patch(&mut self, patches: Vec<Patch>) -> Result<(), StorageError>;

    /// Starts writing appended bytes, so that their memory is released even if no other call follows soon. Does nothing
    /// in a writer that holds no appended bytes.
    async fn start_writing(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Makes everything written so far durable.
    async fn sync(&mut self) -> Result<(), StorageError>;

    /// Length of the stream, without the head.
    fn stream_length(&self) -> u64;

    /// Whether a snapshot of the index should be saved now: everything written is durable, and the last snapshot is far
    /// behind.
    fn wants_snapshot(&self) -> bool {
        false
    }

    /// Saves a snapshot of the index of everything written and sealed so far, in the background.
    fn save_snapshot(&mut self, _snapshot: Snapshot) {}

    /// Returns the lease under which this writer writes, if several servers share the object.
    fn leased(&mut self) -> Option<&mut dyn LeasedWriter> {
        None
    }

    /// Returns the sealing of finished parts, if this writer seals.
    fn sealing(&mut self) -> Option<&mut dyn Sealing> {
        None
    }

    /// Turns the growing object into a finished one. A power cut at any moment loses no durable byte.
    async fn finish(self: Box<Self>, finishing: Finishing) -> Result<(), StorageError>;

    /// Keeps the stream byte for byte as received, without the head: the container is unknown.
    async fn keep_raw(self: Box<Self>) -> Result<(), StorageError>;
}

/// A writer that holds a lease; see `storage/leases.rs`.
#[async_trait]
pub(crate) trait LeasedWriter: Send {
    /// Fencing token of the lease.
    fn fence(&self) -> i64;

    /// Whether the lease is still held. If not, nothing written from now on counts.
    async fn is_current(&mut self) -> Result<bool, StorageError>;
}

/// A writer that seals finished parts: until the object is finished, they can neither be patched nor read. The indexer
/// must not patch anything behind the front matter.
#[async_trait]
pub(crate) trait Sealing: Send {
    /// Reports the immutable prefix, and the bytes appended since the last call that the index needs: after a restart
    /// all others may read as zeros. Checkpoints may be repeated. Must be called after every append.
    async fn seal(
        &mut self,
        prefix: ImmutablePrefix,
        checkpoints: Vec<IndexCheckpoint>,
    ) -> Result<(), StorageError>;
}

/// A growing object that was opened again.
pub(crate) struct Reopened {
    /// Appends to the object.
    pub(crate) writer: Box<dyn UploadWriter>,
    /// Reads the stream, without the head.
    pub(crate) stream: Box<dyn SeekableStream>,
    /// Saved snapshot of the index of the beginning of the stream, if there is one.
    pub(crate) snapshot: Option<Vec<u8>>,
}

/// A stored stream that is read again after a restart. Blocking: call it outside the async worker threads.
pub(crate) trait SeekableStream: Send {
    /// Reads up to `buffer.len()` bytes at `position`; returns 0 at the end.
    fn read_at(&mut self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Response headers and lifetime of a presigned URL.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "s3"),
    expect(dead_code, reason = "only a bucket presigns URLs")
)]
pub(crate) struct Presigned<'a> {
    pub(crate) content_disposition: &'a str,
    pub(crate) content_type: &'a str,
    /// Lifetime of the URL.
    pub(crate) expires_in: Duration,
}

/// An upload whose lease was not renewed for a while. The server that holds it counts as dead only if the lease also
/// stays unrenewed for a while by the clock of the observing server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StaleLease {
    /// Id of the upload.
    pub(crate) id: String,
    /// Time of the last renewal, by the database's clock.
    pub(crate) renewed_ms: i64,
    /// All bytes have arrived; only the finish is missing.
    pub(crate) processing: bool,
}

/// A storage of recordings.
#[async_trait]
pub(crate) trait Storage: Send + Sync {
    /// Name of the storage in rows and in `SORTIE_RECORDING_STORAGE_BACKEND`.
    fn name(&self) -> &'static str;

    /// Path of the growing object with this id.
    fn growing_path(&self, id: &str) -> String;

    /// Path of the finished object with this id.
    fn finished_path(&self, id: &str, extension: &str) -> String;

    /// Creates a growing object, empty and durable.
    async fn create(&self, id: &str) -> Result<Box<dyn UploadWriter>, StorageError>;

    /// Opens an existing growing object. An object that several servers share is taken over from its holder.
    async fn reopen(&self, id: &str) -> Result<Reopened, StorageError>;

    /// Length of the stream of a growing object.
    async fn growing_length(&self, id: &str) -> Result<u64, StorageError>;

    /// Lowest position of a growing object that [`read`](Self::read) can return, besides its head.
    async fn growing_start(&self, _id: &str) -> Result<u64, StorageError> {
        Ok(0)
    }

    /// Size of an object.
    async fn size(&self, path: &str) -> Result<u64, StorageError>;

    /// Reads a range of an object.
    async fn read(
        &self,
        path: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, StorageError>;

    /// Deletes an object, growing or finished, durably. A missing object is no error.
    async fn delete(&self, path: &str) -> Result<(), StorageError>;

    /// Lists all objects, in no order and with bounded memory, foreign ones included. Used by garbage collection.
    fn list(&self) -> BoxStream<'static, Result<Stored, StorageError>>;

    /// Removes a listed object, unless it is [`ObjectKind::Foreign`]. A missing object is no error.
    async fn remove(&self, stored: &Stored) -> Result<(), StorageError>;

    /// Returns those of at most a few thousand paths that have no object.
    async fn missing(&self, paths: Vec<String>) -> Result<Vec<String>, StorageError>;

    /// Checks that the storage is usable. Cheap: called every few seconds.
    async fn check(&self) -> Result<(), StorageError>;

    /// Checks at startup that the storage can be written, read and deleted from; an error says how to repair it.
    async fn probe(&self) -> Result<(), StorageError> {
        self.check().await
    }

    /// Returns the interface for sharing growing objects with other servers, if this storage is configured for it.
    fn replicated(&self) -> Option<&dyn Replicated> {
        None
    }

    /// Returns the interface for downloads directly from the store, if this storage is configured for them.
    fn presigner(&self) -> Option<&dyn Presigner> {
        None
    }
}

/// A storage whose growing objects are shared by several servers. One server at a time holds the lease of an upload;
/// see `storage/leases.rs`.
#[async_trait]
pub(crate) trait Replicated: Send + Sync {
    /// Whether this growing object is shared. An object begun by a single server is in that server's staging folder and
    /// is not shared.
    async fn is_shared(&self, id: &str) -> Result<bool, StorageError>;

    /// Renews the lease of an upload that this server writes to, if it holds one; `false` if another server has taken it
    /// over.
    async fn renew(&self, id: &str) -> Result<bool, StorageError>;

    /// Returns uploads whose lease was not renewed within `silence`.
    async fn stale(&self, silence: Duration) -> Result<Vec<StaleLease>, StorageError>;

    /// Claims a stale upload for this server; `false` if the lease was renewed or claimed by another server meanwhile.
    async fn claim(&self, stale: &StaleLease) -> Result<bool, StorageError>;

    /// Deletes the lease of a recording that is complete or deleted.
    async fn release(&self, id: &str) -> Result<(), StorageError>;
}

/// A storage that can hand out URLs under which a client downloads an object directly.
#[async_trait]
pub(crate) trait Presigner: Send + Sync {
    /// Returns a presigned URL of an object.
    async fn presigned(&self, path: &str, presigned: Presigned<'_>)
    -> Result<String, StorageError>;
}

/// Whether other servers share this growing object.
pub(crate) async fn is_shared(storage: &dyn Storage, id: &str) -> Result<bool, StorageError> {
    match storage.replicated() {
        Some(replicated) => replicated.is_shared(id).await,
        None => Ok(false),
    }
}
