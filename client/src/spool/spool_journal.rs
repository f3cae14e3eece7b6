//! Keeps a recording durable while it is made.
//!
//! Reaction to a full device, in this order: acknowledged bytes are released sooner (smaller segments); then new bytes
//! stay in memory until the server holds all of them. After that the recorder pauses, and stops if the pause lasts too
//! long.

use super::facts::{Fact, Facts};
use super::layout::{Layout, Step};
use crate::queue::pop_first;

/// Failure of the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreFailure {
    /// The device's storage is full.
    Full,
    /// The storage does not answer or has lost its contents.
    Broken,
}

/// Change that is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// New bytes are in memory only.
    InMemory(StoreFailure),
    /// All bytes are durable again.
    Durable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The availability of a storage is not known yet.
    Opening,
    Durable,
    /// Bytes stay in memory until all are acknowledged.
    Full,
    /// Bytes stay in memory until the end.
    Memory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// After this step, the recording's bytes are durable up to this offset.
    Keep(u64),
    /// Releases space for the step that failed.
    MakeRoom,
    Other,
}

/// State machine of the spool: after every input, carry out [`poll`](Self::poll) and report the outcome with
/// [`done`](Self::done), one step at a time; then read [`available`](Self::available) and
/// [`poll_change`](Self::poll_change).
#[derive(Debug)]
pub(crate) struct SpoolJournal {
    mode: Mode,
    layout: Layout,
    queue: Vec<(Step, Purpose)>,
    under_way: bool,
    /// Whether there was no space for the next step, or for the one after it: the step is tried once more.
    again: bool,
    /// Ends of chunks and recorded times from before the storage was open.
    early: Vec<(u64, u64)>,
    end: u64,
    durable: u64,
    safe: u64,
    change: Option<Change>,
}

impl SpoolJournal {
    pub(crate) fn new() -> Self {
        Self {
            mode: Mode::Opening,
            layout: Layout::new(Facts::default()),
            queue: Vec::new(),
            under_way: false,
            again: false,
            early: Vec::new(),
            end: 0,
            durable: 0,
            safe: 0,
            change: None,
        }
    }

    /// Records whether there is a storage.
    pub(crate) fn opened(&mut self, is_there: bool) {
        if self.mode != Mode::Opening {
            return;
        }
        if !is_there {
            return self.give_up(StoreFailure::Broken);
        }
        self.mode = Mode::Durable;
        for (end, recorded_ms) in std::mem::take(&mut self.early) {
            self.keep(end, recorded_ms);
        }
    }

    /// Adds the bytes up to `end`, which arrived when the recording was `recorded_ms` long.
    pub(crate) fn chunk(&mut self, end: u64, recorded_ms: u64) {
        self.end = end;
        match self.mode {
            Mode::Opening => self.early.push((end, recorded_ms)),
            Mode::Durable => self.keep(end, recorded_ms),
            Mode::Full | Mode::Memory => {}
        }
    }

    /// Sets a fact about the recording.
    pub(crate) fn fact(&mut self, fact: Fact, value: &str) {
        // Otherwise the next journal contains it.
        if self.mode == Mode::Durable {
            let step = self.layout.fact(fact, value);
            // Many facts at once must not delay the bytes behind them.
            let waiting = self.queue.get_mut(usize::from(self.under_way)..);
            let last = waiting.and_then(|it| it.last_mut());
            if !last.is_some_and(|(last, _)| last.join(&step)) {
                self.queue.push((step, Purpose::Other));
            }
        } else {
            self.layout.know(fact, value);
        }
    }

    /// Records that the server holds the bytes below `offset`.
    pub(crate) fn acknowledged(&mut self, offset: u64) {
        self.safe = self.safe.max(offset);
        match self.mode {
            Mode::Durable => {
                let step = self.layout.acknowledged(offset);
                if !step.is_empty() {
                    self.queue.push((step, Purpose::Other));
                }
            }
            // Space may have become free, and bytes that the server holds need no copy.
            Mode::Full if self.safe >= self.end => {
                self.mode = Mode::Durable;
                self.durable = self.end;
                let steps = self.layout.restart(self.end);
                for step in steps {
                    self.queue.push((step, Purpose::Other));
                }
                self.change = Some(Change::Durable);
            }
            _ => {}
        }
    }

    /// Returns the next step, unless one is under way.
    pub(crate) fn poll(&mut self) -> Option<Step> {
        if self.mode == Mode::Opening || self.under_way {
            return None;
        }
        let (step, _) = self.queue.first()?;
        self.under_way = true;
        Some(step.clone())
    }

    /// Records the outcome of the step under way.
    pub(crate) fn done(&mut self, outcome: Result<(), StoreFailure>) {
        self.under_way = false;
        match outcome {
            Ok(()) => {
                let purpose = pop_first(&mut self.queue).map(|it| it.1);
                self.again &= purpose == Some(Purpose::MakeRoom);
                if let Some(Purpose::Keep(end)) = purpose {
                    self.durable = end;
                }
            }
            // Steps name file and offset, so repeating one is harmless.
            Err(StoreFailure::Full) if !self.again => {
                self.again = true;
                self.layout.shrink();
                let step = self.layout.acknowledged(self.safe);
                self.queue.insert(0, (step, Purpose::MakeRoom));
            }
            Err(failure) => self.give_up(failure),
        }
    }

    /// Whether all steps were carried out.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns the end of the bytes that may be sent: those that are durable, or that cannot become durable.
    pub(crate) fn available(&self) -> u64 {
        match self.mode {
            Mode::Opening | Mode::Durable => self.durable,
            Mode::Full | Mode::Memory => self.end,
        }
    }

    /// Whether a crash would lose the bytes that are not acknowledged.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.mode, Mode::Full | Mode::Memory)
    }

    pub(crate) fn poll_change(&mut self) -> Option<Change> {
        self.change.take()
    }

    fn keep(&mut self, end: u64, recorded_ms: u64) {
        let step = self.layout.chunk(end, recorded_ms, self.safe);
        self.queue.push((step, Purpose::Keep(end)));
    }

    fn give_up(&mut self, failure: StoreFailure) {
        self.mode = match failure {
            StoreFailure::Full => Mode::Full,
            StoreFailure::Broken => Mode::Memory,
        };
        self.again = false;
        self.queue.clear();
        self.early.clear();
        self.change = Some(Change::InMemory(failure));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a journal with an open storage and this many chunks of 1,000 bytes.
    fn journal(chunks: u64) -> SpoolJournal {
        let mut journal = SpoolJournal::new();
        journal.opened(true);
        for n in 1..=chunks {
            journal.chunk(n * 1_000, n);
        }
        journal
    }

    fn carry_out(journal: &mut SpoolJournal) -> usize {
        let mut steps = 0;
        while journal.poll().is_some() {
            journal.done(Ok(()));
            steps += 1;
        }
        steps
    }

    #[test]
    fn bytes_are_available_after_they_are_durable() {
        let mut journal = SpoolJournal::new();
        journal.fact(Fact::Upload, "/files/1");
        journal.chunk(1_000, 1);
        assert_eq!((journal.poll(), journal.available()), (None, 0));
        journal.opened(true);
        journal.chunk(2_000, 2);
        assert!(journal.poll().is_some());
        assert_eq!(journal.poll(), None, "one at a time");
        assert_eq!(journal.available(), 0);
        journal.done(Ok(()));
        assert_eq!(journal.available(), 1_000);
        assert!(!journal.is_idle());
        assert_eq!(carry_out(&mut journal), 1);
        assert!(journal.is_idle());
        assert_eq!(journal.available(), 2_000);
        assert_eq!(journal.poll_change(), None);
    }

    #[test]
    fn facts_that_wait_are_written_together() {
        let mut journal = journal(1);
        assert_eq!(carry_out(&mut journal), 1);
        for number in 0..100 {
            journal.fact(Fact::Mark, &number.to_string());
        }
        assert!(journal.poll().is_some(), "all that were not under way");
        journal.fact(Fact::Mark, "under way");
        journal.fact(Fact::Mark, "and one more");
        journal.chunk(2_000, 2);
        journal.fact(Fact::Mark, "behind bytes");
        journal.done(Ok(()));
        // The two facts, the bytes, the last fact.
        assert_eq!(carry_out(&mut journal), 3);
    }

    #[test]
    fn missing_storage_keeps_bytes_in_memory() {
        let mut journal = SpoolJournal::new();
        journal.chunk(1_000, 1);
        journal.opened(false);
        assert_eq!((journal.poll(), journal.available()), (None, 1_000));
        let change = Change::InMemory(StoreFailure::Broken);
        assert_eq!(journal.poll_change(), Some(change));
        journal.chunk(2_000, 2);
        journal.acknowledged(2_000);
        assert_eq!((journal.poll(), journal.available()), (None, 2_000));
        assert!(journal.is_in_memory());
    }

    #[test]
    fn full_device_is_retried_with_smaller_segments() {
        let mut journal = journal(2);
        assert!(journal.poll().is_some());
        journal.done(Err(StoreFailure::Full));
        assert_eq!(journal.poll_change(), None);
        // The release, then the two chunks.
        assert_eq!(carry_out(&mut journal), 3);
        assert_eq!(journal.available(), 2_000);
    }

    #[test]
    fn full_device_keeps_bytes_in_memory_until_acknowledged() {
        let mut journal = journal(2);
        assert!(journal.poll().is_some());
        journal.done(Err(StoreFailure::Full));
        assert!(journal.poll().is_some(), "giving back");
        journal.done(Ok(()));
        assert!(journal.poll().is_some(), "the same again");
        journal.done(Err(StoreFailure::Full));
        let change = Change::InMemory(StoreFailure::Full);
        assert_eq!(journal.poll_change(), Some(change));
        assert_eq!((journal.poll(), journal.available()), (None, 2_000));
        journal.chunk(3_000, 3);
        journal.acknowledged(2_000);
        assert!(journal.is_in_memory() && journal.poll().is_none());
        journal.acknowledged(3_000);
        assert_eq!(journal.poll_change(), Some(Change::Durable));
        assert_eq!(journal.available(), 3_000);
        journal.chunk(4_000, 4);
        assert_eq!(journal.available(), 3_000);
        assert_eq!(carry_out(&mut journal), 3);
        assert_eq!(journal.available(), 4_000);
    }

    #[test]
    fn broken_storage_is_not_used_again() {
        let mut journal = journal(3);
        assert!(journal.poll().is_some());
        journal.done(Err(StoreFailure::Broken));
        assert_eq!((journal.poll(), journal.available()), (None, 3_000));
        journal.acknowledged(3_000);
        journal.chunk(4_000, 4);
        assert_eq!((journal.poll(), journal.available()), (None, 4_000));
    }
}
