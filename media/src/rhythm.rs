//! How regularly frames come: what an inspection reports of the main track.

/// Distance between two frames that counts as a gap. Screens stand still for a second without anything being
/// wrong.
const GAP_SECONDS: u64 = 2;
/// Gaps that are kept; of later ones only the number.
const GAP_LIMIT: usize = 64;

/// Times of frames and keyframes, in units of which `second` make one second.
#[derive(Debug, Clone)]
pub(crate) struct Rhythm {
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

/// What is said of a main track: the first with pictures, else the first with sound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pace {
    /// Frames in it.
    pub frames: u64,
    /// Frames that can be decoded without another one.
    pub keyframes: u64,
    /// Milliseconds between keyframes, on the average; 0 with fewer than two.
    pub keyframe_distance_ms: u64,
    /// Longest distance between two keyframes in milliseconds.
    pub longest_keyframe_distance_ms: u64,
    /// Times without a frame for two seconds or more, `(from, to)` in milliseconds: the first 64.
    pub gaps_ms: Vec<(u64, u64)>,
    /// How many such times there are.
    pub gap_count: u64,
}

impl Rhythm {
    pub(crate) fn new(second: u64) -> Self {
        Self {
            second: second.max(1),
            frames: 0,
            keyframes: 0,
            last: None,
            first_keyframe: None,
            last_keyframe: 0,
            longest: 0,
            gaps: Vec::new(),
            gap_count: 0,
        }
    }

    /// Notes `frames` that begin at `time`.
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
        // In decoding order times go back and forth.
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

    /// Notes `count` frames, the first at `time` and each `step` behind the one before.
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

    pub(crate) fn pace(&self) -> Pace {
        let ms = |time: u64| {
            let ms = u128::from(time) * 1000 / u128::from(self.second);
            u64::try_from(ms).unwrap_or(u64::MAX)
        };
        let span = self
            .last_keyframe
            .saturating_sub(self.first_keyframe.unwrap_or(0));
        Pace {
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
    fn keyframes_and_gaps() {
        let mut rhythm = Rhythm::new(1000);
        for time in [0, 500, 1000, 2999, 5000, 5500] {
            rhythm.frame(time, 1, time % 1000 == 0);
        }
        assert_eq!(
            rhythm.pace(),
            Pace {
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
    fn run_counts_like_its_frames() {
        for step in [10, 3000] {
            let (mut one, mut all) = (Rhythm::new(1000), Rhythm::new(1000));
            (0..100).for_each(|n| one.frame(n * step, 1, true));
            all.run(0, step, 100, true);
            assert_eq!(one.pace(), all.pace());
        }
    }

    #[test]
    fn gaps_are_counted_but_not_all_kept() {
        let mut rhythm = Rhythm::new(1);
        (0..1000).for_each(|n| rhythm.frame(n * 10, 1, false));
        let pace = rhythm.pace();
        assert_eq!((pace.gap_count, pace.gaps_ms.len()), (999, 64));
        assert_eq!(pace.keyframe_distance_ms, 0);
    }
}
