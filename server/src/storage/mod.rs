//! Where recordings' bytes live. Semantics of storing only: nothing here knows HTTP, tus or containers.
//!
//! An object is [`sortie_media::HEAD_ROOM`] bytes of ours followed by the stream as it was received. While
//! it grows it has exactly one [`Writer`].

#[cfg(feature = "s3")]
mod bucket;
#[cfg(all(test, feature = "s3"))]
mod conformance;
mod disk;
#[cfg(feature = "s3")]
mod ledger;
mod local;
mod regular_file;
mod stored;

use std::io;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use sortie_media::Patch;

#[cfg(feature = "s3")]
pub(crate) use bucket::{Place, S3Storage};
pub(crate) use disk::Disk;
#[cfg(feature = "s3")]
pub(crate) use ledger::{Entry, Ledger};
pub(crate) use local::LocalStorage;
pub use regular_file::{open_regular, open_regular_with};
pub(crate) use stored::{Stored, What};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// No room, or a quota is reached.
    #[error("the storage is full")]
    Full(#[source] io::Error),
    /// The storage cannot be written to.
    #[error("the storage is read-only")]
    ReadOnly(#[source] io::Error),
    /// The object is not there.
    #[error("the object is not in the storage")]
    Missing,
    /// Bytes that were acknowledged are gone for good: somebody removed them behind our back. Trying again does
    /// not help.
    #[error("the storage has lost what it had confirmed")]
    #[cfg_attr(
        not(feature = "s3"),
        expect(
            dead_code,
            reason = "a folder has all of a growing file or nothing of it"
        )
    )]
    Lost(#[source] io::Error),
    /// Another server has taken the object over; see `storage/ledger.rs`. What was durable is there for it.
    #[error("another server has taken over")]
    #[cfg_attr(
        not(feature = "s3"),
        expect(dead_code, reason = "a folder is one server's")
    )]
    Fenced,
    /// What several servers share cannot be reached: the store, or the database that says who may write.
    #[error("what several servers share cannot be reached")]
    #[cfg_attr(
        not(feature = "s3"),
        expect(dead_code, reason = "a folder is one server's")
    )]
    Unavailable(#[source] anyhow::Error),
    /// Anything else.
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

/// Runs blocking work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(StorageError::Io(io::Error::other(error))),
    }
}

/// How a growing object becomes a finished one; see [`sortie_media::Finish`].
#[derive(Debug)]
pub(crate) struct Finishing {
    /// How much of the object stays.
    pub(crate) keep: u64,
    /// What follows it.
    pub(crate) append: Vec<u8>,
    /// What changes in the middle, once the rest is durable.
    pub(crate) patches: Vec<Patch>,
    /// The file name's ending, without the dot.
    pub(crate) extension: &'static str,
}

/// The ending of an object whose container nobody knows.
pub(crate) const AS_IT_CAME: &str = "bin";

/// What of a growing object is final; see [`sortie_media::Indexer::settled`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "s3"),
    expect(dead_code, reason = "a folder needs none of it")
)]
pub(crate) struct Settled {
    /// Length of its beginning that finishing will keep, and that is patched in the front matter only.
    pub(crate) length: u64,
    /// The ending of the name that it will have. Counts as soon as `length` is not 0.
    pub(crate) extension: &'static str,
}

/// Bytes of the stream that are needed to index it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// Where in the stream.
    pub(crate) position: u64,
    /// At least one.
    pub(crate) bytes: Vec<u8>,
}

#[cfg(feature = "s3")]
impl Excerpt {
    /// The stream offset behind it.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.bytes.len() as u64
    }
}

/// The one who may write to a growing object.
///
/// Every method leaves the object as it was if it fails. Dropping a writer loses nothing durable.
#[async_trait]
pub(crate) trait Writer: Send {
    /// Adds bytes at the end. They may be lost in a crash until [`Writer::sync`] has returned.
    async fn append(&mut self, bytes: Vec<Bytes>) -> Result<(), StorageError>;

    /// Overwrites bytes that are there. They may be lost in a crash until [`Writer::sync`] has returned.
    async fn patch(&mut self, patches: Vec<Patch>) -> Result<(), StorageError>;

    /// Sees to it that the memory of appended bytes is free again soon, whatever follows; else they may wait for what
    /// does.
    async fn write_out(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Makes everything durable.
    async fn sync(&mut self) -> Result<(), StorageError>;

    /// How much of the stream is there, without the head room.
    fn stream_length(&self) -> u64;

    /// The number under which it writes, where several servers share a storage; see `storage/ledger.rs`.
    fn fence(&self) -> Option<i64> {
        None
    }

    /// Whether it is still the one who may write. If not, nothing that it does counts any more.
    async fn is_current(&mut self) -> Result<bool, StorageError> {
        Ok(true)
    }

    /// Whether what is settled is put out of reach: it can neither be patched nor be read again until the
    /// object is finished. Then [`Writer::settle`] must be called after every append, and the index must do
    /// without patches behind the front matter.
    fn seals(&self) -> bool {
        false
    }

    /// Says what is settled, and which of the bytes appended since the last call an index needs: all others
    /// may be read as zeros after a restart. Excerpts that were given before may be given again.
    async fn settle(
        &mut self,
        _settled: Settled,
        _excerpts: Vec<Excerpt>,
    ) -> Result<(), StorageError> {
        Ok(())
    }

    /// Makes it a finished object. What was durable before stays so, whenever the power is cut.
    async fn finish(self: Box<Self>, finishing: Finishing) -> Result<(), StorageError>;

    /// Gives up on the container: keeps the stream byte for byte as it came, without the head room.
    async fn keep_as_it_came(self: Box<Self>) -> Result<(), StorageError>;
}

/// A growing object that is opened again, and what is in it.
pub(crate) struct Reopened {
    /// Goes on writing.
    pub(crate) writer: Box<dyn Writer>,
    /// Reads the stream (without the head room) from its beginning.
    pub(crate) stream: Box<dyn SeekableStream>,
}

/// A stream that is read again after a restart. Blocking: call it off the async threads.
pub(crate) trait SeekableStream: Send {
    /// Fills as much of `buffer` as there is at `position`; 0 at the end.
    fn read_at(&mut self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// What a client gets that reads an object from the store itself.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "s3"),
    expect(dead_code, reason = "a folder needs none of it")
)]
pub(crate) struct Presigned<'a> {
    /// The value of `Content-Disposition`.
    pub(crate) content_disposition: &'a str,
    /// The value of `Content-Type`.
    pub(crate) content_type: &'a str,
    /// How long the address holds.
    pub(crate) expires_in: Duration,
}

/// An object whose holder seems to be gone. Only a holder that is silent for a while by the clock of the observing
/// server, too, is gone: a living one is heard again within that time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stale {
    /// Id of the upload.
    pub(crate) id: String,
    /// When its holder was last heard, by the database's clock.
    pub(crate) heard_ms: i64,
    /// Everything has arrived; only its finish is missing.
    pub(crate) processing: bool,
}

/// A place for recordings.
#[async_trait]
pub(crate) trait Storage: Send + Sync {
    /// The name in rows and in `SORTIE_RECORDING_STORAGE_BACKEND`.
    fn name(&self) -> &'static str;

    /// The path that a growing object of this id has.
    fn growing_path(&self, id: &str) -> String;

    /// The path that it has once it is finished.
    fn finished_path(&self, id: &str, extension: &str) -> String;

    /// Makes a new growing object, durably empty.
    async fn create(&self, id: &str) -> Result<Box<dyn Writer>, StorageError>;

    /// Opens a growing object after a restart.
    async fn reopen(&self, id: &str) -> Result<Reopened, StorageError>;

    /// Whether several servers share this growing object; then one that is opened again is taken from whoever had it.
    async fn is_shared(&self, _id: &str) -> Result<bool, StorageError> {
        Ok(false)
    }

    /// Somebody writes here to a growing object, however slowly: it is not abandoned.
    async fn keep(&self, _id: &str) -> Result<(), StorageError> {
        Ok(())
    }

    /// Growing objects whose server seems to be gone; see `storage/ledger.rs`.
    async fn stale(&self, _silence: Duration) -> Result<Vec<Stale>, StorageError> {
        Ok(Vec::new())
    }

    /// Takes the right to finish a stale object; `false` if its server is there after all or another one has it.
    async fn claim(&self, _stale: &Stale) -> Result<bool, StorageError> {
        Ok(false)
    }

    /// The recording's row says that it is complete, or it is gone.
    async fn forget(&self, _id: &str) -> Result<(), StorageError> {
        Ok(())
    }

    /// How much of the stream of a growing object is there.
    async fn growing_length(&self, id: &str) -> Result<u64, StorageError>;

    /// An object's size.
    async fn size(&self, path: &str) -> Result<u64, StorageError>;

    /// Reads a part of an object.
    async fn read(
        &self,
        path: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>, StorageError>;

    /// Removes an object, growing or finished, durably. One that is not there is no error.
    async fn delete(&self, path: &str) -> Result<(), StorageError>;

    /// Everything that lies here, in no order, however much it is: for the sweep. What is not ours is in it.
    fn list(&self) -> BoxStream<'static, Result<Stored, StorageError>>;

    /// Removes what was listed, unless it is [`What::Foreign`]. What is not there any more is no error.
    async fn remove(&self, stored: &Stored) -> Result<(), StorageError>;

    /// Those of these paths, of which there are at most some thousand, that have no object.
    async fn missing(&self, paths: Vec<String>) -> Result<Vec<String>, StorageError>;

    /// Whether it can be used now. Cheap: it is asked every few seconds.
    async fn check(&self) -> Result<(), StorageError>;

    /// Whether it can be written to, read and deleted from; if not, with what to do about it. For the start.
    async fn probe(&self) -> Result<(), StorageError> {
        self.check().await
    }

    /// An address under which a client may read an object without us; `None`: only through us.
    async fn presigned(
        &self,
        _path: &str,
        _presigned: Presigned<'_>,
    ) -> Result<Option<String>, StorageError> {
        Ok(None)
    }
}
