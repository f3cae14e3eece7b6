//! Bytes and time of a recording that consists of several parts.

use crate::ledger::Ledger;

/// One [`Ledger`] for each part. Recorded times count from the beginning of the recording, bytes from that of the part.
#[derive(Debug)]
pub(crate) struct Parts(Vec<Ledger>);

impl Default for Parts {
    fn default() -> Self {
        Self(vec![Ledger::default()])
    }
}

impl Parts {
    /// Adds a part; its number, from 0.
    pub(crate) fn add(&mut self) -> usize {
        self.0.push(Ledger::default());
        self.0.len() - 1
    }

    /// A chunk of `bytes` of this part was handed over when the recording was `recorded_ms` long.
    pub(crate) fn recorded(&mut self, part: usize, bytes: u64, recorded_ms: u64) {
        if let Some(ledger) = self.0.get_mut(part) {
            ledger.recorded(bytes, recorded_ms);
        }
    }

    /// The server holds `bytes` of this part from its beginning.
    pub(crate) fn acknowledged(&mut self, part: usize, bytes: u64) {
        if let Some(ledger) = self.0.get_mut(part) {
            ledger.acknowledged(bytes);
        }
    }

    /// The server holds all parts, and the recording is this long.
    pub(crate) fn complete(&mut self, recorded_ms: u64) {
        for ledger in &mut self.0 {
            ledger.acknowledged(u64::MAX);
        }
        if let Some(last) = self.0.last_mut() {
            last.complete(recorded_ms);
        }
    }

    /// Bytes of this part that the server holds.
    pub(crate) fn safe_bytes_of(&self, part: usize) -> u64 {
        self.0.get(part).map_or(0, Ledger::safe_bytes)
    }

    /// Recorded time of this part that the server does not hold yet, in milliseconds.
    pub(crate) fn pending_ms_of(&self, part: usize) -> u64 {
        self.0.get(part).map_or(0, Ledger::pending_ms)
    }

    /// Bytes of the latest part.
    pub(crate) fn latest_bytes(&self) -> u64 {
        self.0.last().map_or(0, Ledger::size_bytes)
    }

    /// Bytes recorded.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.0.iter().map(Ledger::size_bytes).sum()
    }

    /// Bytes the server holds.
    pub(crate) fn safe_bytes(&self) -> u64 {
        self.0.iter().map(Ledger::safe_bytes).sum()
    }

    /// Bytes the server does not hold yet.
    pub(crate) fn pending_bytes(&self) -> u64 {
        self.0.iter().map(Ledger::pending_bytes).sum()
    }

    /// Up to where the server holds the recording without a gap, in milliseconds.
    pub(crate) fn safe_ms(&self) -> u64 {
        let mut safe_ms = 0;
        for ledger in &self.0 {
            safe_ms = safe_ms.max(ledger.safe_ms());
            if ledger.pending_bytes() > 0 {
                break;
            }
        }
        safe_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded, safe and pending bytes, and safe time.
    #[track_caller]
    fn check(parts: &Parts, size: u64, safe: u64, safe_ms: u64) {
        let bytes = (parts.size_bytes(), parts.safe_bytes());
        assert_eq!((bytes, parts.safe_ms()), ((size, safe), safe_ms));
        assert_eq!(parts.pending_bytes(), size - safe);
    }

    #[test]
    fn parts_add_up() {
        let mut parts = Parts::default();
        parts.recorded(0, 100, 1_000);
        parts.acknowledged(0, 100);
        check(&parts, 100, 100, 1_000);
        assert_eq!(parts.add(), 1);
        check(&parts, 100, 100, 1_000);
        // The last chunk of the first part may come after the first one of the second.
        parts.recorded(1, 50, 3_000);
        parts.recorded(0, 10, 2_000);
        check(&parts, 160, 100, 1_000);
        assert_eq!((parts.latest_bytes(), parts.safe_bytes_of(0)), (50, 100));
        assert_eq!((parts.pending_ms_of(0), parts.pending_ms_of(7)), (1_000, 0));
    }

    #[test]
    fn time_is_safe_up_to_the_first_gap() {
        let mut parts = Parts::default();
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
        let mut parts = Parts::default();
        parts.recorded(0, 100, 1_000);
        parts.add();
        parts.complete(1_500);
        check(&parts, 100, 100, 1_500);
    }

    #[test]
    fn unknown_part_changes_nothing() {
        let mut parts = Parts::default();
        parts.recorded(7, 100, 1_000);
        parts.acknowledged(7, 100);
        check(&parts, 0, 0, 0);
    }
}
