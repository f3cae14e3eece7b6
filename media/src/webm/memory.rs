//! Memory of a scanner.

use super::Scanner;
use super::scanner::Step;
use crate::ebml::ids;

/// Bytes of the largest payload that is kept once memory is short, and entries of the index.
const SHORT_LIMIT: usize = 64 << 10;
const SHORT_CUES: usize = 256;
/// Bytes of an entry of the index in the finished file, at most.
const CUE_BYTES: u64 = 64;

impl Scanner {
    /// Bytes on the heap, without patches that wait.
    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.buf.capacity() + self.timeline.cues.memory_bytes()) as u64
    }

    /// Bytes that finishing needs on top.
    pub(crate) fn finish_bytes(&self) -> u64 {
        CUE_BYTES * self.timeline.cues.len() as u64
    }

    /// Makes the index coarser, and reads no more of the tracks than the beginning.
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
