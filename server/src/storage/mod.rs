//! Where recordings' bytes live. Semantics of storing only: nothing here knows HTTP, tus or containers.
//!
//! An object is [`sortie_media::HEAD_ROOM`] bytes of ours followed by the stream as it was received. While
//! it grows it has exactly one [`Writer`].

mod local;

use std::io;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use sortie_media::Patch;

pub(crate) use local::LocalStorage;

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

/// The one who may write to a growing object.
///
/// Every method leaves the object as it was if it fails. Dropping a writer loses nothing durable.
#[async_trait]
pub(crate) trait Writer: Send {
    /// Adds bytes at the end. They may be lost in a crash until [`Writer::sync`] has returned.
    async fn append(&mut self, bytes: Vec<Bytes>) -> Result<(), StorageError>;

    /// Overwrites bytes that are there. They may be lost in a crash until [`Writer::sync`] has returned.
    async fn patch(&mut self, patches: Vec<Patch>) -> Result<(), StorageError>;

    /// Makes everything durable.
    async fn sync(&mut self) -> Result<(), StorageError>;

    /// How much of the stream is there, without the head room.
    fn stream_length(&self) -> u64;

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

    /// Whether it can be written to, read and deleted from now.
    async fn check(&self) -> Result<(), StorageError>;
}
