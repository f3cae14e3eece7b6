//! Bytes and time of a recording that consists of parts.

use super::acknowledgements::Acknowledgements;

/// Acknowledgements of each part. Recorded times count from the beginning of the recording, bytes from that of the
/// part.
#[derive(Debug)]
pub(super) struct PartProgress(Vec<Acknowledgements>);

impl Default for PartProgress {
    fn default() -> Self {
        Self(vec![Acknowledgements::default()])
    }
}

impl PartProgress {
    pub(super) fn add(&mut self) {
        self.0.push(Acknowledgements::default());
    }

    /// Adds a chunk of a part that arrived when the recording was `recorded_ms` long.
    pub(super) fn recorded(&mut self, number: usize, bytes: u64, recorded_ms: u64) {
        if let Some(part) = self.0.get_mut(number) {
            part.recorded(bytes, recorded_ms);
        }
    }

    /// Limits the recorded time: the recording is only this long.
    pub(super) fn limit_time(&mut self, recorded_ms: u64) {
        for part in &mut self.0 {
            part.limit_time(recorded_ms);
        }
    }

    /// Records that the server holds the first `bytes` of a part.
    pub(super) fn acknowledged(&mut self, number: usize, bytes: u64) {
        if let Some(part) = self.0.get_mut(number) {
            part.acknowledged(bytes);
        }
    }

    /// Records that the server holds all parts of a recording of this length.
    pub(super) fn complete(&mut self, recorded_ms: u64) {
        for part in &mut self.0 {
            part.acknowledged(u64::MAX);
        }
        if let Some(last) = self.0.last_mut() {
            last.complete(recorded_ms);
        }
    }

    pub(super) fn size_of(&self, number: usize) -> u64 {
        self.0.get(number).map_or(0, Acknowledgements::size_bytes)
    }

    pub(super) fn safe_bytes_of(&self, number: usize) -> u64 {
        self.0.get(number).map_or(0, Acknowledgements::safe_bytes)
    }

    /// Returns the recorded time of a part that the server does not hold, in ms.
    pub(super) fn pending_ms_of(&self, number: usize) -> u64 {
        self.0.get(number).map_or(0, Acknowledgements::pending_ms)
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.0.iter().map(Acknowledgements::size_bytes).sum()
    }

    pub(super) fn safe_bytes(&self) -> u64 {
        self.0.iter().map(Acknowledgements::safe_bytes).sum()
    }

    pub(super) fn pending_bytes(&self) -> u64 {
        self.0.iter().map(Acknowledgements::pending_bytes).sum()
    }

    /// Returns the recorded time that the server holds without a gap, in ms.
    pub(super) fn safe_ms(&self) -> u64 {
        let mut safe_ms = 0;
        for part in &self.0 {
            safe_ms = safe_ms.max(part.safe_ms());
            if part.pending_bytes() > 0 {
                break;
            }
        }
        safe_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares recorded and safe bytes, and safe time.
    #[track_caller]
    fn check(parts: &PartProgress, size: u64, safe: u64, safe_ms: u64) {
        let bytes = (parts.size_bytes(), parts.safe_bytes());
        assert_eq!((bytes, parts.safe_ms()), ((size, safe), safe_ms));
        assert_eq!(parts.pending_bytes(), size - safe);
    }

    #[test]
    fn progress_sums_all_parts() {
        let mut parts = PartProgress::default();
        parts.recorded(0, 100, 1_000);
        parts.acknowledged(0, 100);
        check(&parts, 100, 100, 1_000);
        parts.add();
        check(&parts, 100, 100, 1_000);
        // The last chunk of the first part may arrive after the first chunk of the second.
        parts.recorded(1, 50, 3_000);
        parts.recorded(0, 10, 2_000);
        check(&parts, 160, 100, 1_000);
        assert_eq!((parts.size_of(1), parts.safe_bytes_of(0)), (50, 100));
        assert_eq!((parts.pending_ms_of(0), parts.pending_ms_of(7)), (1_000, 0));
    }

    #[test]
    fn time_is_safe_up_to_the_first_gap() {
        let mut parts = PartProgress::default();
        parts.recorded(0, 100, 1_000);
        parts.recorded(0, 100, 2_000);
        parts.add();
        parts.recorded(1, 70, 3_000);
        parts.acknowledged(0, 100);
        parts.acknowledged(1, 70);
        check(&parts, 270, 170, 1_000);
        parts.acknowledged(0, 200);
        check(&parts, 270, 270, 3_000);
        parts.complete(3_300);
        check(&parts, 270, 270, 3_300);
    }

    #[test]
    fn complete_acknowledges_every_part() {
        let mut parts = PartProgress::default();
        parts.recorded(0, 100, 1_000);
        parts.add();
        parts.complete(1_500);
        check(&parts, 100, 100, 1_500);
    }

    #[test]
    fn unknown_part_changes_nothing() {
        let mut parts = PartProgress::default();
        parts.recorded(7, 100, 1_000);
        parts.acknowledged(7, 100);
        check(&parts, 0, 0, 0);
    }
}
