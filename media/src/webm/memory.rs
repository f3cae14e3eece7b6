//! Memory use of the scanner.

use super::Scanner;
use super::scanner::Step;
use crate::ebml::ids;

/// Largest payload that is kept, and number of cues, after [`Scanner::reduce_memory`].
const SHORT_LIMIT: usize = 64 << 10;
const SHORT_CUES: usize = 256;
/// Upper bound for the size of a CuePoint.
const CUE_BYTES: u64 = 64;

impl Scanner {
    /// Returns the heap size without queued patches.
    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.buf.capacity() + self.timeline.cues.memory_bytes()) as u64
    }

    /// Returns the heap memory that finishing allocates in addition.
    pub(crate) fn finish_bytes(&self) -> u64 {
        CUE_BYTES * self.timeline.cues.len() as u64
    }

    /// Thins the cues and limits the bytes of Tracks that are parsed.
    pub(crate) fn reduce_memory(&mut self) {
        self.timeline.cues.limit(SHORT_CUES);
        match self.step {
            Step::Collect { element, want } if want > SHORT_LIMIT && element.id == ids::TRACKS => {
                if self.buf.len() >= SHORT_LIMIT {
                    self.collected(element);
                } else {
                    self.step = Step::Collect {
                        element,
                        want: SHORT_LIMIT,
                    };
                }
            }
            Step::Collect { .. } => {}
            _ => self.buf = Vec::new(),
        }
    }
}
