//! Frames of video that wait for the end of a fragment.

use super::time::{distance, units};
use super::track::Flushed;
use crate::mp4::FragmentSample;

/// The customary timescale of video.
pub(super) const TIMESCALE: u32 = 90_000;
/// Assumed frame duration if there is one frame only.
const FIRST_GUESS: u32 = TIMESCALE / 30;
/// Negative offset that is rounding, not reordering.
const ROUNDING: i64 = 90;

/// Frames of video that wait for the end of a fragment.
#[derive(Debug, Default)]
pub(super) struct VideoQueue {
    frames: Vec<VideoFrame>,
    data: Vec<u8>,
    /// Latest presentation time.
    latest: Option<u64>,
    /// Distance that decoding needs to presentation because of B-frames, from the first fragment.
    delay: Option<u64>,
    /// Whether a frame was shown before one that precedes it.
    is_reordered: bool,
    /// First possible decoding time.
    next: u64,
    typical_duration: u32,
}

#[derive(Debug, Clone, Copy)]
struct VideoFrame {
    /// Presentation time.
    time: u64,
    size: u32,
    keyframe: bool,
}

impl VideoQueue {
    pub(super) fn new() -> Self {
        Self {
            typical_duration: FIRST_GUESS,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, ns: i64, keyframe: bool, data: &[u8]) {
        let time = units(ns, TIMESCALE);
        self.is_reordered |= self.latest.is_some_and(|latest| time < latest);
        self.latest = self.latest.max(Some(time));
        self.frames.push(VideoFrame {
            time,
            size: u32::try_from(data.len()).unwrap_or(u32::MAX),
            keyframe,
        });
        self.data.extend_from_slice(data);
    }

    /// Whether a frame at this time is shown behind all others, so that a fragment may begin with it.
    pub(super) fn is_newest(&self, ns: i64) -> bool {
        self.latest
            .is_none_or(|latest| units(ns, TIMESCALE) > latest)
    }

    /// Distance of decoding and presentation.
    pub(super) fn delay(&self) -> u64 {
        self.delay.unwrap_or(0)
    }

    /// Returns the frames. `next_ns`: time of the next frame, or the end of the recording, if known.
    pub(super) fn flush(&mut self, next_ns: Option<i64>) -> Option<Flushed> {
        let first = *self.frames.first()?;
        let frames = std::mem::take(&mut self.frames);
        let mut sorted: Vec<_> = frames.iter().map(|frame| frame.time).collect();
        sorted.sort_unstable();
        let delay = *self.delay.get_or_insert_with(|| {
            let delays = sorted.iter().zip(&frames);
            let delays = delays.map(|(decoded, frame)| decoded.saturating_sub(frame.time));
            delays.max().unwrap_or(0)
        });
        // Two frames at the same time would have a duration of 0, which players take for the end.
        for decoded in &mut sorted {
            *decoded = (*decoded).max(self.next);
            self.next = *decoded + 1;
        }
        let last = sorted.last().copied().unwrap_or(0);
        let next = next_ns.map(|ns| units(ns, TIMESCALE));
        // Behind the last B-frame, the next frame in the order of decoding is shown later.
        let next = next.filter(|&next| next > last);
        if let [.., before, last] = sorted.as_slice() {
            self.typical_duration = distance(*before, *last);
        }
        let until = match next {
            Some(next) if !self.is_reordered => next,
            Some(next) => next.min(last + u64::from(self.typical_duration)),
            None => last + u64::from(self.typical_duration),
        };
        let ends = sorted.iter().skip(1).copied().chain([until]);
        let samples = frames.iter().zip(sorted.iter().zip(ends));
        let samples = samples.map(|(frame, (&decoded, end))| FragmentSample {
            duration: distance(decoded, end),
            size: frame.size,
            offset: offset(frame.time.saturating_add(delay), decoded),
            keyframe: frame.keyframe,
        });
        Some(Flushed {
            time: sorted.first().copied().unwrap_or(0),
            shown: first.time.saturating_add(delay),
            samples: samples.collect(),
            data: std::mem::take(&mut self.data),
        })
    }
}

/// Composition offset of a frame.
fn offset(shown: u64, decoded: u64) -> i32 {
    let offset = i128::from(shown) - i128::from(decoded);
    if (-i128::from(ROUNDING)..0).contains(&offset) {
        return 0;
    }
    i32::try_from(offset).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// Decoding times and presentation times in milliseconds, and the distance between both.
    fn flushed(times_ms: &[i64], next_ms: Option<i64>) -> (Vec<u64>, Vec<i64>, u64) {
        let mut queue = VideoQueue::new();
        for (index, ms) in times_ms.iter().enumerate() {
            queue.push(ms * MS, index == 0, &[1]);
        }
        let flushed = queue.flush(next_ms.map(|ms| ms * MS)).expect("frames");
        let mut time = flushed.time;
        let (mut decoded, mut shown) = (vec![time / 90], Vec::new());
        for sample in &flushed.samples {
            shown.push((time.cast_signed() + i64::from(sample.offset)) / 90);
            time += u64::from(sample.duration);
            decoded.push(time / 90);
        }
        (decoded, shown, queue.delay() / 90)
    }

    #[test]
    fn frames_in_order_last_until_the_next() {
        let expected = (vec![0, 33, 67, 90], vec![0, 33, 67], 0);
        assert_eq!(flushed(&[0, 33, 67], Some(90)), expected);
        // Without a next frame, as long as the one before.
        let expected = (vec![0, 33, 67, 101], vec![0, 33, 67], 0);
        assert_eq!(flushed(&[0, 33, 67], None), expected);
    }

    #[test]
    fn frames_out_of_order_are_decoded_before_they_are_shown() {
        let times = [0, 120, 40, 80, 240, 160, 200];
        let (decoded, shown, delay) = flushed(&times, Some(360));
        assert_eq!(decoded, [0, 40, 80, 120, 160, 200, 240, 280]);
        assert_eq!(delay, 40);
        assert_eq!(shown, times.map(|ms| ms + 40));
    }

    #[test]
    fn frames_at_the_same_time_have_durations() {
        let mut queue = VideoQueue::new();
        for _ in 0..3 {
            queue.push(MS, true, &[1]);
        }
        let flushed = queue.flush(None).expect("frames");
        let samples = flushed.samples.iter();
        assert!(samples.clone().all(|sample| sample.duration == 1));
        assert!(samples.clone().all(|sample| sample.offset == 0));
    }
}
