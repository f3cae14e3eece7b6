//! Which recorded time an acknowledged number of bytes stands for.

use std::collections::VecDeque;

/// Remembers, for each chunk not yet acknowledged, how long the recording was when the chunk was handed over.
///
/// The bytes up to a chunk's end hold everything up to that time at most: the encoder may keep some frames
/// back. The promise "safe up to m:ss" can so be early by what the encoder delays, a few frames.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Ends of chunks: bytes from the beginning, recorded time in milliseconds. Both rise.
    marks: VecDeque<(u64, u64)>,
    size_bytes: u64,
    safe_bytes: u64,
    safe_ms: u64,
}

impl Ledger {
    /// A chunk of `bytes` was handed over when the recording was `recorded_ms` long.
    pub(crate) fn recorded(&mut self, bytes: u64, recorded_ms: u64) {
        if bytes > 0 {
            self.size_bytes += bytes;
            self.marks.push_back((self.size_bytes, recorded_ms));
        }
    }

    /// The server holds `bytes` from the beginning. A smaller number than before is ignored.
    pub(crate) fn acknowledged(&mut self, bytes: u64) {
        self.safe_bytes = self.safe_bytes.max(bytes.min(self.size_bytes));
        while let Some(&(end, recorded_ms)) = self.marks.front()
            && end <= self.safe_bytes
        {
            self.safe_ms = recorded_ms;
            self.marks.pop_front();
        }
    }

    /// The server holds everything, and the recording is this long: time after the last chunk's end is safe,
    /// too.
    pub(crate) fn complete(&mut self, recorded_ms: u64) {
        self.acknowledged(self.size_bytes);
        self.safe_ms = self.safe_ms.max(recorded_ms);
    }

    /// Bytes recorded.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Bytes the server holds.
    pub(crate) fn safe_bytes(&self) -> u64 {
        self.safe_bytes
    }

    /// Bytes the server does not hold yet.
    pub(crate) fn pending_bytes(&self) -> u64 {
        self.size_bytes - self.safe_bytes
    }

    /// Recorded time that the server does not hold yet, in milliseconds.
    pub(crate) fn pending_ms(&self) -> u64 {
        let last = self.marks.back();
        last.map_or(0, |(_, recorded_ms)| {
            recorded_ms.saturating_sub(self.safe_ms)
        })
    }

    /// Up to where in the recording the server holds it, in milliseconds.
    pub(crate) fn safe_ms(&self) -> u64 {
        self.safe_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ledger: &mut Ledger, acknowledged: u64, safe_ms: u64, pending_bytes: u64) {
        ledger.acknowledged(acknowledged);
        assert_eq!(
            (ledger.safe_ms(), ledger.pending_bytes()),
            (safe_ms, pending_bytes)
        );
    }

    fn three_chunks() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.recorded(100, 1_000);
        ledger.recorded(50, 2_000);
        ledger.recorded(200, 3_100);
        ledger
    }

    #[test]
    fn only_whole_chunks_count_as_safe_time() {
        let mut ledger = three_chunks();
        check(&mut ledger, 0, 0, 350);
        check(&mut ledger, 99, 0, 251);
        check(&mut ledger, 100, 1_000, 250);
        check(&mut ledger, 349, 2_000, 1);
        check(&mut ledger, 350, 3_100, 0);
    }

    #[test]
    fn pending_time_falls_with_acknowledged_chunks() {
        let mut ledger = three_chunks();
        assert_eq!(ledger.pending_ms(), 3_100);
        ledger.acknowledged(150);
        assert_eq!(ledger.pending_ms(), 1_100);
        ledger.acknowledged(350);
        assert_eq!(ledger.pending_ms(), 0);
    }

    #[test]
    fn what_is_acknowledged_is_forgotten() {
        let mut ledger = three_chunks();
        ledger.acknowledged(150);
        assert_eq!(ledger.marks, [(350, 3_100)]);
    }

    #[test]
    fn nothing_falls_and_nothing_exceeds_what_was_recorded() {
        let mut ledger = three_chunks();
        check(&mut ledger, 150, 2_000, 200);
        check(&mut ledger, 20, 2_000, 200);
        check(&mut ledger, 9_999, 3_100, 0);
        assert_eq!((ledger.safe_bytes(), ledger.size_bytes()), (350, 350));
    }

    #[test]
    fn a_complete_recording_is_safe_to_its_end() {
        let mut ledger = three_chunks();
        ledger.complete(3_400);
        assert_eq!((ledger.safe_ms(), ledger.pending_bytes()), (3_400, 0));
    }

    #[test]
    fn an_empty_chunk_leaves_no_mark() {
        let mut ledger = Ledger::default();
        ledger.recorded(0, 1_000);
        assert!(ledger.marks.is_empty());
    }
}
