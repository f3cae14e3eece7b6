//! The receive loop: from a request's body to an upload.
//!
//! Every body goes through [`Receiver::run`]: memory permit, batch, destination. The destination of a plain body is its
//! upload. A checksummed body goes to a spool first and, once its checksum is verified, from there to its upload, so
//! that no byte of a wrong or truncated one counts.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use sortie_tus::header::Checksum;
use sortie_tus::server::{Admission, Refusal, UploadLength};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batch::Batcher;
use super::checksum::{Digest, Spool};
use super::error::UploadError;
use super::memory_budget::{MemoryBudget, Permit};
use super::ownership::{Ownership, Receiving};
use super::quota::Counter;
use super::registry::UploadEntry;
use super::spool_quota::SpoolShare;
use super::upload::Upload;
use crate::storage::StorageError;

/// The bytes of a request.
pub(crate) type Body = Pin<Box<dyn Stream<Item = Result<Bytes, axum::Error>> + Send>>;

/// A long body is made durable at this interval while it arrives.
const SYNC_EVERY: u64 = 16 * 1024 * 1024;
/// … and at this interval while the recording is watched live.
const SYNC_WATCHED_EVERY: Duration = Duration::from_millis(500);

/// Limits of reading and discarding a refused body.
const DRAIN_BYTES: usize = 16 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Why receiving a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    Interrupted,
    Preempted,
    ShuttingDown,
    TooLong,
    OverQuota(u64),
    SpoolFull,
}

impl End {
    /// Returns the error that the sender receives, unless the body is complete. `offset`: durable bytes of the upload.
    pub(super) fn error(
        self,
        offset: u64,
        length: UploadLength,
        max_size: u64,
    ) -> Option<UploadError> {
        Some(match self {
            Self::Complete => return None,
            Self::Interrupted => UploadError::Interrupted { offset },
            Self::Preempted => UploadError::Preempted,
            Self::ShuttingDown => UploadError::ShuttingDown,
            Self::OverQuota(max) => UploadError::OverQuota { max },
            Self::SpoolFull => UploadError::SpoolFull,
            Self::TooLong => match length {
                UploadLength::Known(length) => Refusal::BeyondLength { length },
                UploadLength::Deferred => Refusal::TooLarge { max_size },
            }
            .into(),
        })
    }
}

/// Limits of the bytes accepted from a body.
#[derive(Clone, Copy)]
pub(super) struct Limits<'a> {
    /// Bytes up to the upload's length or the largest recording.
    pub(super) bytes: u64,
    /// Quota counter of the owner, if there is a quota.
    pub(super) quota: Option<&'a Counter>,
}

/// A request's body, or a verified copy of it, and its batches.
pub(super) struct Incoming<'b> {
    pub(super) body: &'b mut Body,
    pub(super) batcher: Batcher,
}

/// Outcome of receiving into an upload.
pub(super) struct Received {
    pub(super) end: End,
    /// Durable bytes of the upload.
    pub(super) offset: u64,
}

/// Result of one wait for a body.
enum Next {
    Bytes(Bytes),
    /// The batch must be written now.
    Flush,
    End(End),
}

/// Destination of received bytes.
trait Destination {
    /// Truncates `bytes` to the accepted length; returns the reason for refusing the rest, which ends the body.
    fn accept(&mut self, bytes: &mut Bytes) -> Option<End>;

    /// Processes accepted bytes while they are in the CPU cache.
    fn inspect(&mut self, bytes: &[u8]);

    /// Whether written bytes keep their memory permit until they are dropped.
    fn holds_permits(&self) -> bool;

    /// Writes a batch of accepted bytes.
    fn write(
        &mut self,
        pieces: Vec<Bytes>,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;
}

pub(super) struct Receiver {
    memory: MemoryBudget,
    closing: CancellationToken,
    /// Folder for spools: its disk has space for recordings.
    spool_folder: PathBuf,
    max_size: u64,
}

impl Receiver {
    pub(super) fn new(closing: CancellationToken, spool_folder: PathBuf, max_size: u64) -> Self {
        Self {
            memory: MemoryBudget::new(),
            closing,
            spool_folder,
            max_size,
        }
    }

    /// Receives a body into an upload and makes it durable, whatever ended it.
    ///
    /// A storage error closes the upload: its index may be ahead of the stored bytes. The next request recovers the
    /// upload from the stored bytes.
    pub(super) async fn receive(
        &self,
        entry: &UploadEntry,
        open: &mut Option<Upload>,
        mut incoming: Incoming<'_>,
        ownership: &mut Ownership<'_>,
        limits: Limits<'_>,
    ) -> Result<Received, UploadError> {
        let upload = open.as_mut().ok_or(UploadError::Unknown)?;
        let mut destination = UploadDestination::new(entry, upload, ownership, limits);
        let mut received = self.run(&mut incoming, ownership, &mut destination).await;
        if received.is_ok() {
            let rest = incoming.batcher.take(destination.holds_permits());
            if !rest.is_empty()
                && let Err(error) = destination.upload.append(rest).await
            {
                received = Err(error);
            }
        }
        drop(destination);
        if let Err(error) = upload.sync().await {
            *open = None;
            return Err(error.into());
        }
        entry.record_progress(upload);
        let offset = upload.offset();
        match received {
            Ok(end) => Ok(Received { end, offset }),
            Err(error) => {
                *open = None;
                Err(error.into())
            }
        }
    }

    /// Receives a checksummed body and returns a copy of it once its checksum is verified. At most one batch of the
    /// copy is in memory; a longer or slower body is spooled.
    pub(super) async fn verify(
        &self,
        checksum: &Checksum,
        mut incoming: Incoming<'_>,
        ownership: &mut Ownership<'_>,
        offset: u64,
        admission: Admission,
        share: SpoolShare,
    ) -> Result<(Body, Batcher), UploadError> {
        // A newer request at the same offset preempts this one; one at another offset is refused.
        let _receiving = ownership.receive_at(offset);
        let length = incoming.batcher.remaining();
        let mut destination = SpoolDestination {
            digest: Digest::new(checksum.algorithm()),
            spool: Spool::new(self.spool_folder.clone()),
            remaining: admission.max_bytes,
            share,
        };
        let end = self.run(&mut incoming, ownership, &mut destination).await?;
        if let Some(error) = end.error(offset, admission.length, self.max_size) {
            return Err(error);
        }
        let SpoolDestination {
            digest, mut spool, ..
        } = destination;
        if digest.finish() != checksum.digest() {
            return Err(Refusal::ChecksumMismatch.into());
        }
        if spool.is_used() {
            spool.spill(incoming.batcher.take(true)).await?;
            return Ok((spool.replay().await?, Batcher::new(length)));
        }
        // The copy keeps the permit of its bytes.
        let (pieces, permit) = incoming.batcher.into_parts();
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        let body = futures_util::stream::iter(pieces.into_iter().map(Ok)).boxed();
        Ok((body, Batcher::with_permit(length, permit)))
    }

    /// Receives a body into a destination, in batches. The last batch is left in `incoming`.
    async fn run(
        &self,
        incoming: &mut Incoming<'_>,
        ownership: &mut Ownership<'_>,
        destination: &mut impl Destination,
    ) -> Result<End, StorageError> {
        loop {
            let mut bytes = match self.next(incoming, ownership).await {
                Next::Bytes(bytes) => bytes,
                Next::Flush => {
                    let batch = incoming.batcher.take(destination.holds_permits());
                    if !batch.is_empty() {
                        destination.write(batch).await?;
                    }
                    continue;
                }
                Next::End(end) => return Ok(end),
            };
            let refused = destination.accept(&mut bytes);
            if incoming.batcher.is_full_with(bytes.len()) {
                let batch = incoming.batcher.take(destination.holds_permits());
                destination.write(batch).await?;
            }
            destination.inspect(&bytes);
            incoming.batcher.push(bytes);
            if let Some(end) = refused {
                return Ok(end);
            }
        }
    }

    /// Waits for a memory permit, then for the next bytes of a body.
    async fn next(&self, incoming: &mut Incoming<'_>, ownership: &mut Ownership<'_>) -> Next {
        // A body is not read before its batch has a permit, except while waiting for an idle sender.
        if let Some(size) = incoming.batcher.needs_permit() {
            match self.permit(size, ownership).await {
                Ok(permit) => incoming.batcher.begin(permit),
                Err(end) => return Next::End(end),
            }
        }
        loop {
            let next = self.next_piece(incoming.body, ownership);
            let next = match incoming.batcher.next_check() {
                None => next.await,
                Some(check) => match tokio::time::timeout_at(check, next).await {
                    Ok(next) => next,
                    Err(_) if incoming.batcher.may_wait(&self.memory) => continue,
                    Err(_) => return Next::Flush,
                },
            };
            incoming.batcher.resume();
            return match next {
                Ok(bytes) => Next::Bytes(bytes),
                Err(end) => Next::End(end),
            };
        }
    }

    async fn permit(&self, size: usize, ownership: &mut Ownership<'_>) -> Result<Permit, End> {
        tokio::select! {
            biased;
            () = ownership.preempted() => Err(End::Preempted),
            () = self.closing.cancelled() => Err(End::ShuttingDown),
            permit = self.memory.permit(size) => Ok(permit),
        }
    }

    async fn next_piece(
        &self,
        body: &mut Body,
        ownership: &mut Ownership<'_>,
    ) -> Result<Bytes, End> {
        let next = tokio::select! {
            biased;
            () = ownership.preempted() => return Err(End::Preempted),
            () = self.closing.cancelled() => return Err(End::ShuttingDown),
            next = body.next() => next,
        };
        match next {
            Some(Ok(bytes)) => Ok(bytes),
            None => Err(End::Complete),
            // A connection that is silent for too long also ends here; see `net/connections.rs`.
            Some(Err(_)) => Err(End::Interrupted),
        }
    }
}

/// An upload that receives a body.
struct UploadDestination<'a, 'l> {
    entry: &'a UploadEntry,
    upload: &'a mut Upload,
    receiving: Receiving<'l>,
    limits: Limits<'a>,
    /// Offset of the last sync.
    durable: u64,
    /// Time of the last sync.
    synced: Instant,
}

impl<'a, 'l> UploadDestination<'a, 'l> {
    fn new(
        entry: &'a UploadEntry,
        upload: &'a mut Upload,
        ownership: &Ownership<'l>,
        limits: Limits<'a>,
    ) -> Self {
        let durable = upload.offset();
        Self {
            entry,
            upload,
            receiving: ownership.receive_at(durable),
            limits,
            durable,
            synced: Instant::now(),
        }
    }
}

impl Destination for UploadDestination<'_, '_> {
    fn accept(&mut self, bytes: &mut Bytes) -> Option<End> {
        let fits = usize::try_from(self.limits.bytes).unwrap_or(usize::MAX);
        let fits = fits.min(bytes.len());
        let (granted, refused) = match self.limits.quota {
            Some(quota) => {
                let granted = quota.take(fits);
                let over = (granted < fits).then(|| End::OverQuota(quota.max()));
                (granted, over)
            }
            None => (fits, None),
        };
        let refused = refused.or_else(|| (fits < bytes.len()).then_some(End::TooLong));
        bytes.truncate(granted);
        if !self.receiving.advance(granted as u64) {
            bytes.clear();
            return Some(End::Preempted);
        }
        self.limits.bytes -= granted as u64;
        refused
    }

    fn inspect(&mut self, bytes: &[u8]) {
        self.upload.index(bytes);
    }

    fn holds_permits(&self) -> bool {
        !self.upload.seals()
    }

    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<(), StorageError> {
        self.upload.append(pieces).await?;
        self.upload.start_writing().await?;
        // Makes the progress of a single-request upload visible, and limits the loss in a crash.
        let is_due = self.upload.offset() - self.durable >= SYNC_EVERY
            || self.entry.live.is_watched() && self.synced.elapsed() >= SYNC_WATCHED_EVERY;
        if is_due {
            self.upload.sync().await?;
            self.synced = Instant::now();
            self.durable = self.upload.offset();
            self.entry.record_progress(self.upload);
        }
        Ok(())
    }
}

/// A spool that receives a checksummed body.
struct SpoolDestination {
    digest: Digest,
    spool: Spool,
    /// Bytes up to the upload's length or the largest recording.
    remaining: u64,
    /// Released once the body is verified: its bytes count for the upload from then on.
    share: SpoolShare,
}

impl Destination for SpoolDestination {
    fn accept(&mut self, bytes: &mut Bytes) -> Option<End> {
        let length = bytes.len() as u64;
        let refused = match self.remaining.checked_sub(length) {
            None => End::TooLong,
            Some(remaining) => match self.share.take(length) {
                Ok(()) => {
                    self.remaining = remaining;
                    return None;
                }
                Err(UploadError::OverQuota { max }) => End::OverQuota(max),
                Err(_) => End::SpoolFull,
            },
        };
        bytes.clear();
        Some(refused)
    }

    fn inspect(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    fn holds_permits(&self) -> bool {
        true
    }

    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<(), StorageError> {
        self.spool.spill(pieces).await
    }
}

/// Reads and discards a refused body for a while, so that its sender receives the answer: closing a connection with
/// unread bytes resets it, and the answer is lost.
pub(crate) async fn drain(mut body: Body) {
    let mut left = DRAIN_BYTES;
    let draining = async {
        while let Some(Ok(bytes)) = body.next().await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, draining).await;
}
