//! Pool of buffers that hold received bytes until they are written.
//!
//! A connection receives a body in pieces of one read each. A copy into one buffer for each batch releases the
//! connection's read buffer at once, so that it is reused for the next read. Otherwise every read allocates memory that
//! another thread releases, which costs more than the copy and fragments the heap.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Smallest capacity of a buffer: smaller batches are single pieces.
const CAPACITY_MIN: usize = 16 * 1024;
/// Limit of the bytes of unused buffers.
const UNUSED_MAX: usize = 2 * 1024 * 1024;

/// Unused buffers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct BufferPool(Arc<Mutex<Unused>>);

#[derive(Debug, Default)]
struct Unused {
    buffers: Vec<Vec<u8>>,
    /// Capacity of all buffers.
    bytes: usize,
}

/// Buffer that returns to its pool when dropped, or when the last copy of its [`Bytes`] is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    pool: BufferPool,
}

impl BufferPool {
    /// Returns an empty buffer for `size` bytes, or `None` if a buffer does not pay for so few.
    pub(super) fn buffer(&self, size: usize) -> Option<Buffer> {
        if size < CAPACITY_MIN {
            return None;
        }
        let capacity = size.next_power_of_two();
        let unused = self.unused().take(capacity);
        Some(Buffer {
            bytes: unused.unwrap_or_else(|| Vec::with_capacity(capacity)),
            pool: self.clone(),
        })
    }

    fn unused(&self) -> MutexGuard<'_, Unused> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unused {
    fn take(&mut self, capacity: usize) -> Option<Vec<u8>> {
        // The latest one is the most likely to be in the processor's cache.
        let last = self
            .buffers
            .iter()
            .rposition(|buffer| buffer.capacity() == capacity)?;
        self.bytes -= capacity;
        Some(self.buffers.remove(last))
    }

    fn put(&mut self, mut buffer: Vec<u8>) {
        let bytes = self.bytes + buffer.capacity();
        if bytes <= UNUSED_MAX {
            buffer.clear();
            self.bytes = bytes;
            self.buffers.push(buffer);
        }
    }
}

impl Buffer {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends bytes if they fit into the buffer.
    pub(super) fn append(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.bytes.capacity() - self.bytes.len();
        if fits {
            self.bytes.extend_from_slice(bytes);
        }
        fits
    }

    pub(super) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.pool.unused().put(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_is_used_again_after_the_last_copy_of_its_bytes() {
        let pool = BufferPool::default();
        let mut buffer = pool.buffer(60_000).expect("large enough");
        assert!(buffer.append(b"one") && buffer.append(b"two"));
        let place = buffer.bytes.as_ptr();
        let bytes = buffer.freeze();
        let copy = bytes.slice(3..);
        drop(bytes);
        let other = pool.buffer(60_000).expect("large enough");
        assert_ne!(other.bytes.as_ptr(), place, "a copy remains");
        assert_eq!(&copy[..], b"two");
        drop(copy);
        let again = pool.buffer(60_000).expect("large enough");
        assert_eq!(again.bytes.as_ptr(), place);
        assert!(again.is_empty());
    }

    #[test]
    fn buffer_takes_no_more_than_its_capacity() {
        let mut buffer = BufferPool::default().buffer(CAPACITY_MIN).expect("enough");
        assert!(buffer.append(&[1; CAPACITY_MIN - 1]));
        assert!(!buffer.append(&[2; 2]));
        assert!(buffer.append(&[3]));
        assert_eq!(buffer.as_ref().len(), CAPACITY_MIN);
    }

    #[test]
    fn few_bytes_get_no_buffer() {
        assert!(BufferPool::default().buffer(CAPACITY_MIN - 1).is_none());
    }

    #[test]
    fn unused_buffers_are_limited() {
        let pool = BufferPool::default();
        let buffers: Vec<_> = (0..100).map(|_| pool.buffer(256 * 1024)).collect();
        drop(buffers);
        assert_eq!(pool.unused().bytes, UNUSED_MAX);
        assert_eq!(pool.unused().buffers.len(), UNUSED_MAX / (256 * 1024));
    }
}
