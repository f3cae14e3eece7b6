//! A writer whose bytes any server can go on from.

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

/// A long body is put in spans of about this size, so that it does not pile up here.
const SPAN: usize = 1024 * 1024;

/// A growing object.
pub(super) struct ReplicatedWriter {
    /// The same object in the staging folder, and the task that fills the multipart upload.
    inner: Option<BucketWriter>,
    assembly: Arc<Assembly>,
    share: Arc<ReplicatedUpload>,
    /// The stream's length.
    length: u64,
    /// How much of it is known to be there for whoever takes over.
    held: u64,
    /// What is not in the bucket yet.
    pending: Vec<Bytes>,
    pending_bytes: usize,
    /// What is settled, once it is held.
    prefix: Option<ImmutablePrefix>,
    checkpoints: Vec<IndexCheckpoint>,
    /// Where its number is noted as long as it lives.
    registered: Held,
    /// What is in the bucket is in doubt. Only opening it again helps.
    broken: bool,
}

impl ReplicatedWriter {
    pub(super) fn new(
        inner: BucketWriter,
        assembly: Arc<Assembly>,
        share: Arc<ReplicatedUpload>,
        registered: Held,
    ) -> Self {
        let length = inner.stream_length();
        Self {
            inner: Some(inner),
            assembly,
            share,
            length,
            held: length,
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
        let put = self.share.put(std::mem::take(&mut self.pending)).await;
        put.inspect_err(|_| self.broken = true)
    }

    /// Lets the multipart upload have what is held; never more: what a server that has lost the recording sends there
    /// late must not differ from what its successor sends.
    async fn pass_on(&mut self) -> Result<(), StorageError> {
        let (held, checkpoints) = (self.held, std::mem::take(&mut self.checkpoints));
        let Some(prefix) = self.prefix.take() else {
            return Ok(());
        };
        let within = ImmutablePrefix {
            length: prefix.length.min(HEAD_ROOM + held),
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
        // Copies: the receiver lends its memory until the bytes are written, and waits for it.
        let copies = bytes.iter().map(|piece| Bytes::copy_from_slice(piece));
        self.pending.extend(copies);
        if self.pending_bytes >= SPAN {
            self.put_pending().await?;
        }
        Ok(())
    }

    /// Not put anywhere: whoever takes over finds out the same by indexing the same stream.
    async fn patch(&mut self, patches: Vec<Patch>) -> Result<(), StorageError> {
        self.inner()?.patch(patches).await
    }

    async fn sync(&mut self) -> Result<(), StorageError> {
        self.put_pending().await?;
        // After the bytes are there: what is answered then is found by whoever takes over later.
        self.share.hold().await?;
        self.held = self.length;
        self.pass_on().await?;
        let assembly = Arc::clone(&self.assembly);
        let merged = self.share.merge(|range| assembly.read(range)).await;
        // Nothing is lost if that fails, unless somebody else has taken over; but that is for the next call.
        if let Err(error) = merged {
            tracing::debug!(?self.share, "pieces stay many for now: {error}");
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
            return Err(in_doubt("it is finished already"));
        };
        Box::new(inner).finish(finishing).await?;
        self.share.clear().await
    }

    async fn keep_raw(mut self: Box<Self>) -> Result<(), StorageError> {
        self.sync().await?;
        let Some(inner) = self.inner.take() else {
            return Err(in_doubt("it is finished already"));
        };
        Box::new(inner).keep_raw().await?;
        self.share.clear().await
    }
}

#[async_trait]
impl LeasedWriter for ReplicatedWriter {
    fn fence(&self) -> i64 {
        self.share.fence()
    }

    async fn is_current(&mut self) -> Result<bool, StorageError> {
        self.share.is_held().await
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
        if self.held == self.length {
            self.pass_on().await?;
        }
        Ok(())
    }
}

impl Drop for ReplicatedWriter {
    /// Removes the copy in the staging folder: many a recording is taken over by another server and not seen again.
    fn drop(&mut self) {
        // Unless a later writer of the same recording is noted there.
        let (id, fence) = (&self.assembly.id, self.share.fence());
        let mut registered = locked(&self.registered);
        if registered.get(id) == Some(&fence) {
            registered.remove(id);
        }
        drop(registered);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        // Ends the uploading first.
        self.inner = None;
        let ownership = Arc::clone(&self.assembly.ownership);
        let folder = self.assembly.folder.clone();
        runtime.spawn_blocking(move || {
            // What stays is cleared away when another server starts, or this one opens the recording again.
            let _ = std::fs::remove_dir_all(folder);
            drop(ownership);
        });
    }
}
