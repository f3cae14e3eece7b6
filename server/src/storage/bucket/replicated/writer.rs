//! A writer whose bytes any server can go on from.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sortie_media::{HEAD_ROOM, Patch};

use super::upload::Share;
use super::{Held, locked};
use crate::storage::bucket::assembly::Assembly;
use crate::storage::bucket::writer::S3Writer;
use crate::storage::{Excerpt, Finishing, Settled, StorageError, Writer};

/// A long body is put in spans of about this size, so that it does not pile up here.
const SPAN: usize = 1024 * 1024;

/// A growing object.
pub(super) struct SharedWriter {
    /// The same object in the staging folder, and the task that fills the multipart upload.
    inner: Option<S3Writer>,
    assembly: Arc<Assembly>,
    share: Arc<Share>,
    /// The stream's length.
    length: u64,
    /// How much of it is known to be there for whoever takes over.
    held: u64,
    /// What is not in the bucket yet.
    pending: Vec<Bytes>,
    pending_bytes: usize,
    /// What is settled, once it is held.
    settled: Option<Settled>,
    excerpts: Vec<Excerpt>,
    /// Where its number is noted as long as it lives.
    registered: Held,
    /// What is in the bucket is in doubt. Only opening it again helps.
    broken: bool,
}

impl SharedWriter {
    pub(super) fn new(
        inner: S3Writer,
        assembly: Arc<Assembly>,
        share: Arc<Share>,
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
            settled: None,
            excerpts: Vec::new(),
            registered,
            broken: false,
        }
    }

    fn inner(&mut self) -> Result<&mut S3Writer, StorageError> {
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
        let (held, excerpts) = (self.held, std::mem::take(&mut self.excerpts));
        let Some(settled) = self.settled.take() else {
            return Ok(());
        };
        let within = Settled {
            length: settled.length.min(HEAD_ROOM + held),
            ..settled
        };
        self.inner()?.settle(within, excerpts).await
    }
}

fn in_doubt(why: &'static str) -> StorageError {
    StorageError::Io(std::io::Error::other(why))
}

#[async_trait]
impl Writer for SharedWriter {
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

    fn fence(&self) -> Option<i64> {
        Some(self.share.fence())
    }

    async fn is_current(&mut self) -> Result<bool, StorageError> {
        self.share.is_held().await
    }

    fn seals(&self) -> bool {
        true
    }

    async fn settle(
        &mut self,
        settled: Settled,
        excerpts: Vec<Excerpt>,
    ) -> Result<(), StorageError> {
        self.settled = Some(settled);
        self.excerpts.extend(excerpts);
        if self.held == self.length {
            self.pass_on().await?;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>, finishing: Finishing) -> Result<(), StorageError> {
        self.sync().await?;
        let Some(inner) = self.inner.take() else {
            return Err(in_doubt("it is finished already"));
        };
        Box::new(inner).finish(finishing).await?;
        self.share.clear().await
    }

    async fn keep_as_it_came(mut self: Box<Self>) -> Result<(), StorageError> {
        self.sync().await?;
        let Some(inner) = self.inner.take() else {
            return Err(in_doubt("it is finished already"));
        };
        Box::new(inner).keep_as_it_came().await?;
        self.share.clear().await
    }
}

impl Drop for SharedWriter {
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
