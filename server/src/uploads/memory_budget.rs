//! Memory budget: process-wide limit of received bytes that are not written yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::batch::BATCH;
use super::buffer_pool::{Buffer, BufferPool};

/// Limit of the bytes of all uploads together: enough to keep disks busy, and negligible in an idle server. A body
/// without a permit is not read.
const BUDGET: usize = 4 * 1024 * 1024;

/// Memory budget of all uploads. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct MemoryBudget {
    free: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    buffers: BufferPool,
}

/// Permit to hold received bytes in memory; returned to the budget when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    bytes: OwnedSemaphorePermit,
    buffers: BufferPool,
}

impl Permit {
    pub(super) fn bytes(&self) -> usize {
        self.bytes.num_permits()
    }

    /// Returns a buffer for the bytes of this permit, unless they are few.
    pub(super) fn buffer(&self) -> Option<Buffer> {
        self.buffers.buffer(self.bytes())
    }

    /// Ties the permit to bytes: it is returned when the last copy of the bytes is dropped.
    pub(super) fn attach(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Permitted {
            bytes,
            _permit: self,
        })
    }
}

struct Permitted {
    bytes: Bytes,
    _permit: Permit,
}

impl AsRef<[u8]> for Permitted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Counts one waiting body until it is dropped.
struct Waiting<'b>(&'b AtomicUsize);

impl<'b> Waiting<'b> {
    fn begin(count: &'b AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl MemoryBudget {
    pub(super) fn new() -> Self {
        Self {
            free: Arc::new(Semaphore::new(BUDGET)),
            waiting: Arc::default(),
            buffers: BufferPool::default(),
        }
    }

    /// Whether a body waits for a permit.
    pub(super) fn is_contended(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Waits for a permit of at most one batch. Permits are granted in the order of the calls.
    pub(super) async fn permit(&self, bytes: usize) -> Permit {
        let bytes = u32::try_from(bytes.clamp(1, BATCH)).unwrap_or(1);
        // The semaphore grants freed permits to its waiters first, so this does not overtake them.
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_many_owned(bytes) {
            return self.granted(permit);
        }
        let _waiting = Waiting::begin(&self.waiting);
        match Arc::clone(&self.free).acquire_many_owned(bytes).await {
            Ok(permit) => self.granted(permit),
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }

    fn granted(&self, bytes: OwnedSemaphorePermit) -> Permit {
        Permit {
            bytes,
            buffers: self.buffers.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::time::Instant;

    use super::*;
    use crate::uploads::batch::Batch;

    #[tokio::test]
    async fn permit_is_returned_with_last_copy_of_its_bytes() {
        let budget = MemoryBudget::new();
        let mut batches: Vec<Batch> = Vec::new();
        for _ in 0..BUDGET / BATCH {
            let mut batch = Batch::default();
            // A longer body takes one permit for each batch.
            batch.begin(budget.permit(10 * BATCH).await, Instant::now());
            batch.push(Bytes::from_static(b"one"), Instant::now());
            batch.push(Bytes::from_static(b"two"), Instant::now());
            batches.push(batch);
        }
        assert!(budget.permit(1).now_or_never().is_none(), "exhausted");
        let bytes = batches.pop().expect("a batch").take(true);
        assert_eq!(bytes.concat(), b"onetwo");
        let copies = bytes.clone();
        drop(bytes);
        assert!(budget.permit(1).now_or_never().is_none(), "a copy remains");
        drop(copies);
        assert!(budget.permit(BATCH).now_or_never().is_some());
        let kept = batches.pop().expect("a batch").take(false);
        let permits = [0, 1].map(|_| budget.permit(BATCH).now_or_never());
        assert!(
            permits.iter().all(Option::is_some),
            "returned before the bytes are dropped"
        );
        assert_eq!(kept.concat(), b"onetwo");
    }
}
