//! Frames of audio that wait for the end of a fragment.

use super::time::{distance, units};
use super::track::Flushed;
use crate::mp4::FragmentSample;

/// Timestamps of WebM are rounded to a millisecond: up to this distance, they follow from the number of samples.
const TOLERANCE_NS: i64 = 1_000_000;

/// Frames of audio that wait for the end of a fragment.
#[derive(Debug)]
pub(super) struct AudioQueue {
    timescale: u32,
    frames: Vec<AudioFrame>,
    data: Vec<u8>,
    /// Time behind the last frame by its number of samples.
    next: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct AudioFrame {
    time: u64,
    duration: u32,
    size: u32,
}

impl AudioQueue {
    pub(super) fn new(timescale: u32) -> Self {
        Self {
            timescale,
            frames: Vec::new(),
            data: Vec::new(),
            next: None,
        }
    }

    /// Adds a frame. `ns`: recorded time; `None` if it follows the last frame. `discard_ns`: time at the end that is not
    /// played.
    pub(super) fn push(&mut self, ns: Option<i64>, samples: u32, discard_ns: u64, data: &[u8]) {
        let recorded = ns.map(|ns| units(ns, self.timescale));
        let tolerance = units(TOLERANCE_NS, self.timescale);
        let time = match (recorded, self.next) {
            (Some(recorded), Some(next)) if recorded.abs_diff(next) > tolerance => recorded,
            (Some(recorded), None) => recorded,
            (_, next) => next.unwrap_or(0),
        };
        let first = self.frames.last().map_or(0, |last| last.time + 1);
        let time = time.max(first);
        if let Some(last) = self.frames.last_mut() {
            last.duration = distance(last.time, time);
        }
        let discard = i64::try_from(discard_ns).map_or(0, |ns| units(ns, self.timescale));
        let discard = u32::try_from(discard).unwrap_or(0);
        self.frames.push(AudioFrame {
            time,
            duration: samples.saturating_sub(discard).max(1),
            size: u32::try_from(data.len()).unwrap_or(u32::MAX),
        });
        self.data.extend_from_slice(data);
        self.next = Some(time.saturating_add(samples.into()));
    }

    pub(super) fn flush(&mut self) -> Option<Flushed> {
        let time = self.frames.first()?.time;
        let samples = self.frames.drain(..).map(|frame| FragmentSample {
            duration: frame.duration,
            size: frame.size,
            offset: 0,
            keyframe: true,
        });
        Some(Flushed {
            time,
            shown: time,
            samples: samples.collect(),
            data: std::mem::take(&mut self.data),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// Times and durations of frames of 20 ms at these milliseconds.
    fn queued(times_ms: &[i64]) -> (u64, Vec<u32>) {
        let mut queue = AudioQueue::new(48_000);
        for ms in times_ms {
            queue.push(Some(ms * MS), 960, 0, &[1]);
        }
        let flushed = queue.flush().expect("frames");
        let durations = flushed.samples.iter().map(|sample| sample.duration);
        (flushed.time, durations.collect())
    }

    #[test]
    fn rounded_times_become_exact() {
        assert_eq!(queued(&[7, 27, 48, 67]), (336, vec![960; 4]));
    }

    #[test]
    fn gaps_are_kept() {
        assert_eq!(queued(&[0, 20, 100, 120]), (0, vec![960, 3840, 960, 960]));
        assert_eq!(queued(&[0, 20, 35]), (0, vec![960, 720, 960]));
        assert_eq!(queued(&[50, 0]), (2400, vec![1, 960]));
    }

    #[test]
    fn discarded_samples_shorten_the_last_frame() {
        let mut queue = AudioQueue::new(48_000);
        queue.push(Some(0), 960, 5 * MS.unsigned_abs(), &[1]);
        assert_eq!(queue.flush().expect("a frame").samples[0].duration, 720);
        // The next fragment continues behind the whole frame.
        queue.push(None, 960, 0, &[1]);
        assert_eq!(queue.flush().expect("a frame").time, 960);
    }
}
