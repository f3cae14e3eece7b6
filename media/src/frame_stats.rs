//! Statistics about the frames of a track: count, keyframes and gaps.

use serde::{Deserialize, Serialize};

/// Distance between two frames that counts as a gap. Shorter pauses are normal in screen recordings.
const GAP_SECONDS: u64 = 2;
/// Maximum number of listed gaps.
const GAP_LIMIT: usize = 64;

/// Collector of frame times; `second` is the number of time units per second.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct FrameTimes {
    second: u64,
    frames: u64,
    keyframes: u64,
    last: Option<u64>,
    first_keyframe: Option<u64>,
    last_keyframe: u64,
    longest: u64,
    gaps: Vec<(u64, u64)>,
    gap_count: u64,
}

/// Frame statistics of the main track: the first video track, else the first audio track.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameStats {
    /// Number of frames.
    pub frames: u64,
    /// Number of keyframes: frames that can be decoded without another one.
    pub keyframes: u64,
    /// Average distance between keyframes in milliseconds; 0 with fewer than two keyframes.
    pub keyframe_distance_ms: u64,
    /// Longest distance between two keyframes in milliseconds.
    pub longest_keyframe_distance_ms: u64,
    /// Gaps of two seconds or more, as `(from, to)` in milliseconds: the first 64.
    pub gaps_ms: Vec<(u64, u64)>,
    /// Number of gaps.
    pub gap_count: u64,
}

impl FrameTimes {
    pub(crate) fn new(second: u64) -> Self {
        Self {
            second: second.max(1),
            ..Self::default()
        }
    }

    /// Adds `frames` frames at `time`.
    pub(crate) fn frame(&mut self, time: u64, frames: u64, keyframe: bool) {
        self.frames = self.frames.saturating_add(frames);
        if let Some(last) = self.last
            && time.saturating_sub(last) >= GAP_SECONDS.saturating_mul(self.second)
        {
            self.gap_count += 1;
            if self.gaps.len() < GAP_LIMIT {
                self.gaps.push((last, time));
            }
        }
        // In decoding order, times are not monotonic.
        self.last = self.last.max(Some(time));
        if keyframe {
            self.keyframes = self.keyframes.saturating_add(frames);
            if self.first_keyframe.is_some() {
                self.longest = self.longest.max(time.saturating_sub(self.last_keyframe));
            }
            self.first_keyframe.get_or_insert(time);
            self.last_keyframe = self.last_keyframe.max(time);
        }
    }

    /// Adds `count` frames, the first at `time`, each `step` after the previous.
    pub(crate) fn run(&mut self, time: u64, step: u64, count: u32, keyframe: bool) {
        let Some(more) = count.checked_sub(1) else {
            return;
        };
        self.frame(time, 1, keyframe);
        if more == 0 {
            return;
        }
        let steps = u64::from(more);
        let end = time.saturating_add(step.saturating_mul(steps));
        if step >= GAP_SECONDS.saturating_mul(self.second) {
            self.gap_count = self.gap_count.saturating_add(steps);
            for n in 0..steps {
                if self.gaps.len() >= GAP_LIMIT {
                    break;
                }
                let from = time.saturating_add(step.saturating_mul(n));
                self.gaps.push((from, from.saturating_add(step)));
            }
        }
        self.frames = self.frames.saturating_add(steps);
        self.last = self.last.max(Some(end));
        if keyframe {
            self.keyframes = self.keyframes.saturating_add(steps);
            self.longest = self.longest.max(step);
            self.last_keyframe = self.last_keyframe.max(end);
        }
    }

    pub(crate) fn frame_stats(&self) -> FrameStats {
        let ms = |time: u64| {
            let ms = u128::from(time) * 1000 / u128::from(self.second);
            u64::try_from(ms).unwrap_or(u64::MAX)
        };
        let span = self
            .last_keyframe
            .saturating_sub(self.first_keyframe.unwrap_or(0));
        FrameStats {
            frames: self.frames,
            keyframes: self.keyframes,
            keyframe_distance_ms: ms(span / self.keyframes.saturating_sub(1).max(1)),
            longest_keyframe_distance_ms: ms(self.longest),
            gaps_ms: self.gaps.iter().map(|&(a, b)| (ms(a), ms(b))).collect(),
            gap_count: self.gap_count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_and_gaps_are_measured() {
        let mut frame_times = FrameTimes::new(1000);
        for time in [0, 500, 1000, 2999, 5000, 5500] {
            frame_times.frame(time, 1, time % 1000 == 0);
        }
        assert_eq!(
            frame_times.frame_stats(),
            FrameStats {
                frames: 6,
                keyframes: 3,
                keyframe_distance_ms: 2500,
                longest_keyframe_distance_ms: 4000,
                gaps_ms: vec![(2999, 5000)],
                gap_count: 1,
            }
        );
    }

    #[test]
    fn run_equals_its_single_frames() {
        for step in [10, 3000] {
            let (mut one, mut all) = (FrameTimes::new(1000), FrameTimes::new(1000));
            (0..100).for_each(|n| one.frame(n * step, 1, true));
            all.run(0, step, 100, true);
            assert_eq!(one.frame_stats(), all.frame_stats());
        }
    }

    #[test]
    fn gaps_are_counted_beyond_the_listed_ones() {
        let mut frame_times = FrameTimes::new(1);
        (0..1000).for_each(|n| frame_times.frame(n * 10, 1, false));
        let frame_stats = frame_times.frame_stats();
        assert_eq!(
            (frame_stats.gap_count, frame_stats.gaps_ms.len()),
            (999, 64)
        );
        assert_eq!(frame_stats.keyframe_distance_ms, 0);
    }
}
