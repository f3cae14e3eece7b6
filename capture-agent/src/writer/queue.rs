//! What waits for the disk: bounded in bytes, and never waited on by the one who fills it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Decides which frames are let in when the disk does not keep up.
///
/// A frame that is left out takes all that follow with it until the next keyframe, for they are differences to
/// it. So once there is room again, a keyframe is asked for.
#[derive(Debug)]
pub struct Admission {
    /// How many bytes may wait.
    limit: usize,
    /// Whether a frame was left out since the last keyframe.
    torn: bool,
    asked: bool,
    dropped: u64,
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is let in.
    Take,
    /// It is left out.
    Drop,
    /// It is left out, and the encoder should make a keyframe now.
    DropAndAsk,
}

impl Admission {
    /// Lets `limit` bytes wait.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            torn: false,
            asked: false,
            dropped: 0,
        }
    }

    /// Decides about a frame of `size` bytes while `waiting` bytes wait.
    pub fn judge(&mut self, size: usize, keyframe: bool, waiting: usize) -> Verdict {
        // Something that is larger than all the room must pass when nothing else is in its way.
        let fits = waiting == 0 || waiting.saturating_add(size) <= self.limit;
        if fits && (keyframe || !self.torn) {
            (self.torn, self.asked) = (false, false);
            return Verdict::Take;
        }
        self.dropped += 1;
        self.torn = true;
        // Asked for too early, it would only be dropped itself.
        if waiting <= self.limit / 2 && !self.asked {
            self.asked = true;
            return Verdict::DropAndAsk;
        }
        // It came, and was too late or too large: there must be another.
        if keyframe {
            self.asked = false;
        }
        Verdict::Drop
    }

    /// A new file begins, with a keyframe.
    pub fn reset(&mut self) {
        (self.torn, self.asked) = (false, false);
    }

    /// How many frames were left out.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// A queue whose items know how many bytes they keep.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
}

/// What a reader of the queue gets.
pub(super) enum Next<T> {
    Item(T),
    /// Nothing came for a while.
    Nothing,
    /// Nothing will come any more.
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
        // No code that could panic runs under the lock.
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

    /// Waits for the next item, for at most `patience`.
    pub(super) fn pop(&self, patience: Duration) -> Next<T> {
        let waiting = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        let (mut state, _) = self
            .changed
            .wait_timeout_while(self.state(), patience, waiting)
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
    fn a_keyframe_is_asked_for_once_there_is_room() {
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
    fn a_keyframe_that_came_too_early_is_asked_for_again() {
        let mut admission = Admission::new(100);
        assert_eq!(admission.judge(60, false, 50), Verdict::DropAndAsk);
        assert_eq!(admission.judge(60, true, 50), Verdict::Drop);
        assert_eq!(admission.judge(60, false, 50), Verdict::DropAndAsk);
    }

    proptest! {
        #[test]
        fn what_is_taken_can_be_decoded_and_fits(
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
