//! Writer of a shared recording.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sortie_media::{HEAD_ROOM, Patch};

use super::upload::ReplicatedUpload;
use super::{Held, locked};
use crate::storage::bucket::assembly::Assembly;
use crate::storage::bucket::writer::BucketWriter;
use crate::storage::{
    Finishing, ImmutablePrefix, IndexCheckpoint, LeasedWriter, Sealing, StorageError, UploadWriter,
};

/// A long body is put in spans of about this size, to bound the memory.
const SPAN: usize = 1024 * 1024;

/// Writer whose acknowledged bytes every server finds.
pub(super) struct ReplicatedWriter {
    /// The copy in the staging folder, and the task that uploads parts.
    inner: Option<BucketWriter>,
    assembly: Arc<Assembly>,
    replicated: Arc<ReplicatedUpload>,
    /// Length of the stream.
    length: u64,
    /// Length that another server recovers in a takeover.
    acknowledged: u64,
    /// Bytes that are not in the bucket yet.
    pending: Vec<Bytes>,
    pending_bytes: usize,
    /// Immutable prefix, to be reported once it is acknowledged.
    prefix: Option<ImmutablePrefix>,
    checkpoints: Vec<IndexCheckpoint>,
    /// Holds the recording's fencing token while the writer exists.
    registered: Held,
    /// The content of the bucket is in doubt. The recording must be opened again.
    broken: bool,
}

impl ReplicatedWriter {
    pub(super) fn new(
        inner: BucketWriter,
        assembly: Arc<Assembly>,
        replicated: Arc<ReplicatedUpload>,
        registered: Held,
    ) -> Self {
        let length = inner.stream_length();
        Self {
            inner: Some(inner),
            assembly,
            replicated,
            length,
            acknowledged: length,
            pending: Vec::new(),
            pending_bytes: 0,
            prefix: None,
            checkpoints: Vec::new(),
            registered,
            broken: false,
        }
    }

    fn inner(&mut self) -> Result<&mut BucketWriter, StorageError> {
        self.inner
            .as_mut()
            .filter(|_| !self.broken)
            .ok_or_else(|| in_doubt("an earlier write failed"))
    }

    async fn put_pending(&mut self) -> Result<(), StorageError> {
        self.pending_bytes = 0;
        let put = self.replicated.put(std::mem::take(&mut self.pending)).await;
        put.inspect_err(|_| self.broken = true)
    }

    /// Allows the upload of acknowledged parts only: parts that a former holder uploads late must be identical to those
    /// of its successor.
    async fn seal_acknowledged(&mut self) -> Result<(), StorageError> {
        let (acknowledged, checkpoints) =
            (self.acknowledged, std::mem::take(&mut self.checkpoints));
        let Some(prefix) = self.prefix.take() else {
            return Ok(());
        };
        let within = ImmutablePrefix {
            length: prefix.length.min(HEAD_ROOM + acknowledged),
            ..prefix
        };
        self.inner()?.seal(within, checkpoints).await
    }
}

fn in_doubt(why: &'static str) -> StorageError {
    StorageError::Io(std::io::Error::other(why))
}

#[async_trait]
impl UploadWriter for ReplicatedWriter {
    async fn append(&mut self, bytes: Vec<Bytes>) -> Result<(), StorageError> {
        self.inner()?.append(bytes.clone()).await?;
        self.length = self.inner()?.stream_length();
        self.pending_bytes += bytes.iter().map(Bytes::len).sum::<usize>();
        // Copies, because the received bytes hold memory permits until they are dropped.
        let copies = bytes.iter().map(|piece| Bytes::copy_from_slice(piece));
        self.pending.extend(copies);
        if self.pending_bytes >= SPAN {
            self.put_pending().await?;
        }
        Ok(())
    }

    /// Patches are not put into the bucket: a server that takes over derives them by indexing the same stream.
    async fn patch(&mut self, patches: Vec<Patch>) -> Result<(), StorageError> {
        self.inner()?.patch(patches).await
    }

    async fn sync(&mut self) -> Result<(), StorageError> {
        self.put_pending().await?;
        // Checked after the bytes are stored, so that a later holder finds everything that is acknowledged.
        self.replicated.require_lease().await?;
        self.acknowledged = self.length;
        self.seal_acknowledged().await?;
        let assembly = Arc::clone(&self.assembly);
        let merged = self.replicated.merge(|range| assembly.read(range)).await;
        // A failed merge loses nothing. A lost lease is reported by the next call.
        if let Err(error) = merged {
            tracing::debug!(upload = ?self.replicated, "pieces could not be merged yet: {error}");
        }
        Ok(())
    }

    fn stream_length(&self) -> u64 {
        self.length
    }

    fn leased(&mut self) -> Option<&mut dyn LeasedWriter> {
        Some(self)
    }

    fn sealing(&mut self) -> Option<&mut dyn Sealing> {
        Some(self)
    }

    async fn finish(mut self: Box<Self>, finishing: Finishing) -> Result<(), StorageError> {
        self.sync().await?;
        let Some(inner) = self.inner.take() else {
            return Err(in_doubt("the recording is finished already"));
        };
        Box::new(inner).finish(finishing).await?;
        self.replicated.clear().await
    }

    async fn keep_raw(mut self: Box<Self>) -> Result<(), StorageError> {
        self.sync().await?;
        let Some(inner) = self.inner.take() else {
            return Err(in_doubt("the recording is finished already"));
        };
        Box::new(inner).keep_raw().await?;
        self.replicated.clear().await
    }
}

#[async_trait]
impl LeasedWriter for ReplicatedWriter {
    fn fence(&self) -> i64 {
        self.replicated.fence()
    }

    async fn is_current(&mut self) -> Result<bool, StorageError> {
        self.replicated.is_held().await
    }
}

#[async_trait]
impl Sealing for ReplicatedWriter {
    async fn seal(
        &mut self,
        prefix: ImmutablePrefix,
        checkpoints: Vec<IndexCheckpoint>,
    ) -> Result<(), StorageError> {
        self.prefix = Some(prefix);
        self.checkpoints.extend(checkpoints);
        if self.acknowledged == self.length {
            self.seal_acknowledged().await?;
        }
        Ok(())
    }
}

impl Drop for ReplicatedWriter {
    /// Removes the copy in the staging folder, which is unused once another server has taken over.
    fn drop(&mut self) {
        // A later writer of the same recording may be registered.
        let (id, fence) = (&self.assembly.id, self.replicated.fence());
        let mut registered = locked(&self.registered);
        if registered.get(id) == Some(&fence) {
            registered.remove(id);
        }
        drop(registered);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        // Stops the upload task first.
        self.inner = None;
        let lock = Arc::clone(&self.assembly.lock);
        let folder = self.assembly.folder.clone();
        runtime.spawn_blocking(move || {
            // Remaining files are removed when another server starts, or this one opens the recording again.
            let _ = std::fs::remove_dir_all(folder);
            drop(lock);
        });
    }
}
