//! Recorded time that corresponds to an acknowledged number of bytes.

use std::collections::VecDeque;

/// Recorded time at the end of each chunk that is not acknowledged.
///
/// The bytes up to the end of a chunk hold at most that time, because the encoder may hold some frames back. The safe
/// time may be ahead by a few frames.
#[derive(Debug, Default)]
pub(super) struct Acknowledgements {
    /// Ends of chunks: offset in bytes and recorded time in ms, both ascending.
    marks: VecDeque<(u64, u64)>,
    size_bytes: u64,
    safe_bytes: u64,
    safe_ms: u64,
}

impl Acknowledgements {
    /// Adds a chunk of `bytes` that arrived when the recording was `recorded_ms` long.
    pub(super) fn recorded(&mut self, bytes: u64, recorded_ms: u64) {
        if bytes > 0 {
            self.size_bytes += bytes;
            self.marks.push_back((self.size_bytes, recorded_ms));
        }
    }

    /// Limits the recorded time: the recording is only this long, so chunks end at most there.
    pub(super) fn limit_time(&mut self, recorded_ms: u64) {
        for (_, mark_ms) in &mut self.marks {
            *mark_ms = recorded_ms.min(*mark_ms);
        }
        self.safe_ms = recorded_ms.min(self.safe_ms);
    }

    /// Records that the server holds the first `bytes`. Smaller numbers than before are ignored.
    pub(super) fn acknowledged(&mut self, bytes: u64) {
        self.safe_bytes = self.safe_bytes.max(bytes.min(self.size_bytes));
        while let Some(&(end, recorded_ms)) = self.marks.front()
            && end <= self.safe_bytes
        {
            self.safe_ms = recorded_ms;
            self.marks.pop_front();
        }
    }

    /// Records that the server holds all bytes of a recording of this length, including the time after the last chunk.
    pub(super) fn complete(&mut self, recorded_ms: u64) {
        self.acknowledged(self.size_bytes);
        self.safe_ms = self.safe_ms.max(recorded_ms);
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(super) fn safe_bytes(&self) -> u64 {
        self.safe_bytes
    }

    pub(super) fn pending_bytes(&self) -> u64 {
        self.size_bytes - self.safe_bytes
    }

    /// Returns the recorded time that the server does not hold, in ms.
    pub(super) fn pending_ms(&self) -> u64 {
        let last = self.marks.back();
        last.map_or(0, |(_, recorded_ms)| {
            recorded_ms.saturating_sub(self.safe_ms)
        })
    }

    /// Returns the recorded time that the server holds, in ms.
    pub(super) fn safe_ms(&self) -> u64 {
        self.safe_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        acknowledgements: &mut Acknowledgements,
        acknowledged: u64,
        safe_ms: u64,
        pending_bytes: u64,
    ) {
        acknowledgements.acknowledged(acknowledged);
        assert_eq!(
            (acknowledgements.safe_ms(), acknowledgements.pending_bytes()),
            (safe_ms, pending_bytes)
        );
    }

    fn three_chunks() -> Acknowledgements {
        let mut acknowledgements = Acknowledgements::default();
        acknowledgements.recorded(100, 1_000);
        acknowledgements.recorded(50, 2_000);
        acknowledgements.recorded(200, 3_100);
        acknowledgements
    }

    #[test]
    fn only_whole_chunks_count_as_safe_time() {
        let mut acknowledgements = three_chunks();
        check(&mut acknowledgements, 0, 0, 350);
        check(&mut acknowledgements, 99, 0, 251);
        check(&mut acknowledgements, 100, 1_000, 250);
        check(&mut acknowledgements, 349, 2_000, 1);
        check(&mut acknowledgements, 350, 3_100, 0);
    }

    #[test]
    fn pending_time_falls_with_acknowledged_chunks() {
        let mut acknowledgements = three_chunks();
        assert_eq!(acknowledgements.pending_ms(), 3_100);
        acknowledgements.acknowledged(150);
        assert_eq!(acknowledgements.pending_ms(), 1_100);
        acknowledgements.acknowledged(350);
        assert_eq!(acknowledgements.pending_ms(), 0);
    }

    #[test]
    fn acknowledged_chunks_are_forgotten() {
        let mut acknowledgements = three_chunks();
        acknowledgements.acknowledged(150);
        assert_eq!(acknowledgements.marks, [(350, 3_100)]);
    }

    #[test]
    fn acknowledgement_never_falls_or_exceeds_the_size() {
        let mut acknowledgements = three_chunks();
        check(&mut acknowledgements, 150, 2_000, 200);
        check(&mut acknowledgements, 20, 2_000, 200);
        check(&mut acknowledgements, 9_999, 3_100, 0);
        assert_eq!(
            (acknowledgements.safe_bytes(), acknowledgements.size_bytes()),
            (350, 350)
        );
    }

    #[test]
    fn complete_recording_is_safe_to_its_end() {
        let mut acknowledgements = three_chunks();
        acknowledgements.complete(3_400);
        assert_eq!(
            (acknowledgements.safe_ms(), acknowledgements.pending_bytes()),
            (3_400, 0)
        );
    }

    #[test]
    fn empty_chunk_leaves_no_mark() {
        let mut acknowledgements = Acknowledgements::default();
        acknowledgements.recorded(0, 1_000);
        assert!(acknowledgements.marks.is_empty());
    }

    #[test]
    fn limited_time_lowers_pending_and_safe_time() {
        let mut acknowledgements = three_chunks();
        acknowledgements.acknowledged(150);
        acknowledgements.limit_time(1_500);
        assert_eq!(
            (acknowledgements.safe_ms(), acknowledgements.pending_ms()),
            (1_500, 0)
        );
        check(&mut acknowledgements, 350, 1_500, 0);
    }
}
