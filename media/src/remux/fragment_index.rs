//! Places of keyframes in the output.

use crate::mp4::{SyncSample, random_access};

/// Most entries: those of 18 hours with a fragment every two seconds. Longer files have no index.
const LIMIT: usize = 1 << 15;

/// Places of the keyframes that fragments begin with.
#[derive(Debug, Default)]
pub(super) struct FragmentIndex {
    samples: Vec<SyncSample>,
    is_full: bool,
}

impl FragmentIndex {
    pub(super) fn add(&mut self, sample: SyncSample) {
        if self.samples.len() >= LIMIT {
            // A reader takes a list for complete.
            self.samples = Vec::new();
            self.is_full = true;
        }
        if !self.is_full {
            self.samples.push(sample);
        }
    }

    /// Encodes the index; empty if there is none.
    pub(super) fn to_bytes(&self, track_id: u32) -> Vec<u8> {
        match self.samples.as_slice() {
            [] => Vec::new(),
            samples => random_access(track_id, samples),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_that_would_be_too_long_is_left_out() {
        let mut index = FragmentIndex::default();
        let sample = SyncSample {
            time: 0,
            moof: 0,
            traf: 1,
        };
        (0..LIMIT).for_each(|_| index.add(sample));
        assert!(!index.to_bytes(1).is_empty());
        (0..2 * LIMIT).for_each(|_| index.add(sample));
        assert!(index.to_bytes(1).is_empty());
        assert_eq!(index.samples.capacity(), 0);
    }
}
