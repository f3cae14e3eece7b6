//! Short queues.

/// Removes the first entry. For queues of a few entries: a `VecDeque` would add its ring buffer to the program for each type
/// of entry.
pub(crate) fn pop_first<T>(queue: &mut Vec<T>) -> Option<T> {
    (!queue.is_empty()).then(|| queue.remove(0))
}
