//! Queue in front of the disk: bounded in bytes, with a non-blocking producer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Decides which frames are admitted when the disk is too slow.
///
/// After a dropped frame, all frames up to the next keyframe are dropped as well, because they depend on it. A keyframe
/// is requested as soon as there is space.
#[derive(Debug)]
pub struct Admission {
    /// Bytes that may be queued.
    limit: usize,
    /// Whether a frame was dropped since the last keyframe.
    torn: bool,
    asked: bool,
    dropped: u64,
}

/// Decision on a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Take,
    Drop,
    /// Drop it, and request a keyframe from the encoder.
    DropAndAsk,
}

impl Admission {
    /// Limit of queued bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            torn: false,
            asked: false,
            dropped: 0,
        }
    }

    /// Decides on a frame of `size` bytes while `waiting` bytes are queued.
    pub fn judge(&mut self, size: usize, keyframe: bool, waiting: usize) -> Verdict {
        // A frame larger than the limit is admitted into an empty queue.
        let fits = waiting == 0 || waiting.saturating_add(size) <= self.limit;
        if fits && (keyframe || !self.torn) {
            (self.torn, self.asked) = (false, false);
            return Verdict::Take;
        }
        self.dropped += 1;
        self.torn = true;
        // A keyframe that comes too early would be dropped as well.
        if waiting <= self.limit / 2 && !self.asked {
            self.asked = true;
            return Verdict::DropAndAsk;
        }
        // The requested keyframe came too late or was too large: another is needed.
        if keyframe {
            self.asked = false;
        }
        Verdict::Drop
    }

    /// Starts a new file, with a keyframe.
    pub fn reset(&mut self) {
        (self.torn, self.asked) = (false, false);
    }

    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Queue of items with a known size in bytes.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
}

pub(super) enum Next<T> {
    Item(T),
    Nothing,
    /// The queue is closed and empty.
    Closed,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                bytes: 0,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // No code under the lock can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn bytes(&self) -> usize {
        self.state().bytes
    }

    pub(super) fn push(&self, item: T, bytes: usize) {
        let mut state = self.state();
        if !state.closed {
            state.items.push_back((item, bytes));
            state.bytes += bytes;
            self.changed.notify_one();
        }
    }

    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Waits for the next item, at most for `timeout`.
    pub(super) fn pop(&self, timeout: Duration) -> Next<T> {
        let waiting = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.state(), timeout, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        match state.items.pop_front() {
            Some((item, bytes)) => {
                state.bytes -= bytes;
                Next::Item(item)
            }
            None if state.closed => Next::Closed,
            None => Next::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keyframe_is_requested_once_space_is_free() {
        let mut admission = Admission::new(100);
        assert_eq!(admission.judge(60, true, 0), Verdict::Take);
        assert_eq!(admission.judge(60, false, 60), Verdict::Drop);
        assert_eq!(
            admission.judge(10, false, 60),
            Verdict::Drop,
            "a difference to what is missing"
        );
        assert_eq!(admission.judge(10, false, 50), Verdict::DropAndAsk);
        assert_eq!(
            admission.judge(10, false, 0),
            Verdict::Drop,
            "asked already"
        );
        assert_eq!(admission.judge(10, true, 0), Verdict::Take);
        assert_eq!(admission.judge(10, false, 10), Verdict::Take);
        assert_eq!(admission.dropped(), 4);
    }

    #[test]
    fn early_keyframe_is_requested_again() {
        let mut admission = Admission::new(100);
        assert_eq!(admission.judge(60, false, 50), Verdict::DropAndAsk);
        assert_eq!(admission.judge(60, true, 50), Verdict::Drop);
        assert_eq!(admission.judge(60, false, 50), Verdict::DropAndAsk);
    }

    proptest! {
        #[test]
        fn admitted_frames_are_decodable_and_within_limit(
            frames in prop::collection::vec((1..200_usize, any::<bool>(), 0..150_usize), 0..100),
        ) {
            let mut admission = Admission::new(100);
            let (mut whole, mut dropped) = (true, 0);
            for (size, keyframe, waiting) in frames {
                match admission.judge(size, keyframe, waiting) {
                    Verdict::Take => {
                        prop_assert!(keyframe || whole);
                        prop_assert!(waiting == 0 || waiting + size <= 100);
                        whole = true;
                    }
                    Verdict::Drop | Verdict::DropAndAsk => {
                        whole = false;
                        dropped += 1;
                    }
                }
            }
            prop_assert_eq!(admission.dropped(), dropped);
        }
    }
}
