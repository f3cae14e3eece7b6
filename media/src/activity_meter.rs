//! Bytes of dependent frames over time, from which the activity follows.

use serde::{Deserialize, Serialize};

use crate::activity::{Activity, BUCKET_LIMIT};

/// Time after a keyframe, in ms, whose frames are not counted: encoders refine the quality of the keyframe, with up to as
/// many bytes.
const SETTLING_MS: u64 = 500;
/// Shortest distance between keyframes, in ms, at which frames are not counted. With more keyframes, too little of the
/// recording would be left.
const SETTLING_DISTANCE_MS: u64 = 2 * SETTLING_MS;
/// Longest time after a keyframe, in seconds, in which encoders with a constant bit rate refine its quality.
const REFINEMENT: usize = 3;
/// Nothing happens beside a keyframe if the rates there are smaller than this fraction of the keyframe.
const CALM: u64 = 4;
/// Latest second that is counted; later ones have a hostile timestamp.
const LAST_SECOND: u64 = 1 << 40;
/// Runs of more samples than this are counted as a whole.
const SHORT_RUN: u32 = 64;

/// Collector of the bytes of non-key frames per second. A recording without a non-key frame is counted by its keyframes.
///
/// Memory is at most 16 KiB: when the buckets are used up, each two neighbours are merged into one with the busier
/// second of both.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ActivityMeter {
    /// Time units per second.
    second: u64,
    /// A bucket holds `1 << shift` seconds.
    shift: u32,
    /// Bytes of the busiest second in each bucket.
    buckets: Vec<u32>,
    /// The second that is being counted, and its bytes.
    number: u64,
    bytes: u64,
    /// Time of this second that is not counted, in time units.
    uncounted: u64,
    last_keyframe: Option<u64>,
    /// End of the time that is not counted.
    settled_at: u64,
    /// Size of a keyframe in this second; 0 without one.
    keyframe_bytes: u64,
    refinement: Refinement,
    /// Whether a frame that depends on another one was found.
    has_dependent: bool,
}

/// Seconds from a keyframe on whose bytes may be a refinement of the keyframe.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Refinement {
    /// Rate of the second before the keyframe.
    before: u32,
    /// Number of the second with the keyframe.
    start: u64,
    keyframe_bytes: u64,
    /// Rates of the seconds from `start` on; empty without a keyframe.
    rates: Vec<u32>,
    peaks: Peaks,
}

impl Refinement {
    /// Returns the seconds with their rates, given the rate of the second that follows.
    ///
    /// Up to the usual size of a refinement, bytes are taken for one; while that is unknown, up to the size of the
    /// keyframe.
    fn end(&mut self, after: u32) -> Vec<(u64, u32)> {
        let rates = std::mem::take(&mut self.rates);
        let Some(&peak) = rates.iter().max() else {
            return Vec::new();
        };
        let calm = self.before.max(after);
        // The first picture needs more refinement than later keyframes.
        if self.start > 0 && u64::from(calm) < self.keyframe_bytes / CALM {
            self.peaks.add(peak, self.keyframe_bytes);
        }
        let (limit, steady) = match self.peaks.usual(self.keyframe_bytes) {
            // With a constant bit rate, a refinement is as large as a change beside it.
            Some(usual) if usual >= self.keyframe_bytes / 2 => {
                (usual.saturating_mul(3) / 2, self.before.min(after))
            }
            Some(usual) => (usual.saturating_mul(3) / 2, calm),
            None => (self.keyframe_bytes, calm),
        };
        let refined = |rate: u32| match u64::from(rate) < limit {
            true => rate.min(steady),
            false => rate,
        };
        let rates: Vec<_> = (self.start..).zip(rates.into_iter().map(refined)).collect();
        self.before = rates.last().map_or(self.before, |&(_, rate)| rate);
        rates
    }
}

/// Sizes of refinements relative to their keyframes: a histogram in steps of a quarter octave around 1.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Peaks {
    counts: [u32; 32],
    total: u32,
}

impl Peaks {
    /// Step of equal sizes.
    const EQUAL: f64 = 20.0;
    /// Smallest number of refinements from which the usual size follows.
    const LEAST: u32 = 3;

    fn add(&mut self, peak: u32, keyframe_bytes: u64) {
        let ratio = f64::from(peak) / keyframe_bytes.max(1) as f64;
        let step = (ratio.log2() * 4.0 + Self::EQUAL).round().clamp(0.0, 31.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 31"
        )]
        let count = &mut self.counts[step as usize];
        *count = count.saturating_add(1);
        self.total = self.total.saturating_add(1);
    }

    /// Returns the size after a keyframe of this size that three of four refinements do not exceed; `None` while it is
    /// unknown.
    fn usual(&self, keyframe_bytes: u64) -> Option<u64> {
        if self.total < Self::LEAST {
            return None;
        }
        let mut left = self.total - self.total.div_ceil(4);
        let mut step = 0.0;
        for &count in &self.counts {
            if count > left {
                break;
            }
            left -= count;
            step += 1.0;
        }
        let usual = keyframe_bytes as f64 * ((step - Self::EQUAL) / 4.0).exp2();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive; saturates"
        )]
        Some(usual as u64)
    }
}

impl ActivityMeter {
    pub(crate) fn new(second: u64) -> Self {
        Self {
            second: second.max(1),
            ..Self::default()
        }
    }

    /// Adds a frame of `bytes` at `time`.
    pub(crate) fn frame(&mut self, time: u64, keyframe: bool, bytes: u64) {
        // In decoding order times are not monotonic: an earlier frame counts for the open second.
        let number = self.number(time);
        if number > self.number {
            self.close_second();
            self.close_gap(number);
            self.number = number;
            let start = number.saturating_mul(self.second);
            self.uncounted = self.settled_at.saturating_sub(start).min(self.second);
        }
        if !keyframe && !self.has_dependent {
            // Until now, keyframes were counted.
            *self = Self {
                has_dependent: true,
                number,
                keyframe_bytes: self.keyframe_bytes,
                uncounted: self.uncounted,
                last_keyframe: self.last_keyframe,
                settled_at: self.settled_at,
                ..Self::new(self.second)
            };
        }
        if keyframe {
            self.keyframe(time, bytes);
        } else if time >= self.settled_at {
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    fn keyframe(&mut self, time: u64, bytes: u64) {
        self.keyframe_bytes = self.keyframe_bytes.max(bytes);
        if !self.has_dependent {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        let previous = self.last_keyframe.replace(time);
        let distance = previous.map_or(u64::MAX, |previous| time.saturating_sub(previous));
        if distance >= self.units(SETTLING_DISTANCE_MS) {
            let settling = self.units(SETTLING_MS);
            self.settled_at = time.saturating_add(settling);
            // The rest lies in the next second.
            let left = self.second - time % self.second;
            self.uncounted = self.uncounted.saturating_add(settling.min(left));
        }
    }

    fn units(&self, ms: u64) -> u64 {
        let units = u128::from(self.second) * u128::from(ms) / 1000;
        u64::try_from(units).unwrap_or(u64::MAX)
    }

    /// Adds `count` frames of `bytes` each, the first at `time`, each `step` after the previous.
    pub(crate) fn run(&mut self, time: u64, step: u64, count: u32, keyframe: bool, bytes: u64) {
        if count <= SHORT_RUN {
            for n in 0..u64::from(count) {
                let time = time.saturating_add(step.saturating_mul(n));
                self.frame(time, keyframe, bytes);
            }
            return;
        }
        self.frame(time, keyframe, bytes);
        if keyframe && self.has_dependent {
            return;
        }
        let length = step.saturating_mul(u64::from(count - 1));
        let to = self.number(time.saturating_add(length)).max(self.number);
        let frames = match step {
            0 => u64::from(count),
            step => self.second.div_ceil(step),
        };
        let rate = saturated(bytes.saturating_mul(frames));
        self.close_second();
        self.end_refinement(rate);
        let last = self.bucket(to);
        let first = usize::try_from(self.number >> self.shift).unwrap_or(last);
        for bucket in &mut self.buckets[first.min(last)..=last] {
            *bucket = (*bucket).max(rate);
        }
        self.number = to;
    }

    fn number(&self, time: u64) -> u64 {
        (time / self.second).min(LAST_SECOND)
    }

    /// Closes the open second.
    fn close_second(&mut self) {
        let (number, rate) = (self.number, self.rate());
        (self.bytes, self.uncounted) = (0, 0);
        let keyframe_bytes = std::mem::take(&mut self.keyframe_bytes);
        if keyframe_bytes > 0 && self.has_dependent {
            // The keyframe ends the refinement of the one before, whose last second is the steady one.
            let previous = self.refinement.rates.last().copied();
            self.end_refinement(previous.unwrap_or(0));
            self.refinement.start = number;
            self.refinement.keyframe_bytes = keyframe_bytes;
            self.refinement.rates.push(rate);
        } else if (1..REFINEMENT).contains(&self.refinement.rates.len()) {
            self.refinement.rates.push(rate);
        } else {
            self.end_refinement(rate);
            self.refinement.before = rate;
            self.set(number, rate);
        }
    }

    /// Bytes of the open second, extrapolated over the time that is not counted.
    fn rate(&self) -> u32 {
        let counted = self.second.saturating_sub(self.uncounted);
        if !self.has_dependent || counted < self.second / 4 {
            return saturated(self.bytes);
        }
        let rate = u128::from(self.bytes) * u128::from(self.second) / u128::from(counted.max(1));
        u32::try_from(rate).unwrap_or(u32::MAX)
    }

    /// Handles the seconds without a frame between the open second, which is closed, and `next`.
    fn close_gap(&mut self, next: u64) {
        if next - self.number > 1 {
            self.end_refinement(0);
            self.refinement.before = 0;
        }
    }

    fn end_refinement(&mut self, after: u32) {
        for (number, rate) in self.refinement.end(after) {
            self.set(number, rate);
        }
    }

    fn set(&mut self, number: u64, rate: u32) {
        if rate > 0 {
            let bucket = self.bucket(number);
            self.buckets[bucket] = self.buckets[bucket].max(rate);
        }
    }

    /// Returns the bucket of a second, after merging buckets until it exists.
    fn bucket(&mut self, number: u64) -> usize {
        while number >> self.shift >= BUCKET_LIMIT as u64 {
            self.buckets = merged(&self.buckets);
            self.shift += 1;
        }
        let bucket = usize::try_from(number >> self.shift).unwrap_or(BUCKET_LIMIT - 1);
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        bucket
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.buckets.capacity() * size_of::<u32>()) as u64
    }

    /// Returns the activity of a recording of this duration.
    pub(crate) fn activity(&self, duration_ms: u64) -> Activity {
        let mut closed = self.clone();
        closed.close_second();
        let last = closed.refinement.rates.last().copied();
        closed.end_refinement(last.unwrap_or(0));
        Activity::of_rates(closed.shift, &closed.buckets, duration_ms)
    }
}

fn saturated(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn merged(buckets: &[u32]) -> Vec<u32> {
    let pairs = buckets.chunks(2);
    pairs
        .map(|pair| pair.iter().copied().max().unwrap_or(0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: u64 = 10;
    const BUSY: u64 = 50_000;

    fn meter(frames: impl IntoIterator<Item = (u64, bool, u64)>) -> ActivityMeter {
        let mut meter = ActivityMeter::new(1000);
        for (time, keyframe, bytes) in frames {
            meter.frame(time, keyframe, bytes);
        }
        meter
    }

    /// Ten frames a second for `seconds`, with a keyframe every `distance` seconds, followed by two large frames.
    fn stream(seconds: u64, distance: u64, busy: impl Fn(u64) -> bool) -> ActivityMeter {
        meter((0..seconds * 10).map(|n| {
            let since_keyframe = n % (distance * 10);
            let bytes = match since_keyframe {
                0 => 40_000,
                1..=2 => 5_000,
                _ if busy(n / 10) => BUSY / 10,
                _ => IDLE,
            };
            (n * 100, since_keyframe == 0, bytes)
        }))
    }

    fn idle(meter: &ActivityMeter, duration_ms: u64) -> Vec<(u64, u64)> {
        let summary = meter.activity(duration_ms).summary();
        summary
            .idle_ms
            .iter()
            .map(|&(from, to)| (from / 1000, to / 1000))
            .collect()
    }

    #[test]
    fn keyframes_and_their_refinement_are_not_activity() {
        for distance in [4, 6, 10] {
            let meter = stream(60, distance, |second| (20..30).contains(&second));
            let idle = idle(&meter, 60_000);
            // A refinement beside the change cannot be told from the change.
            let (Some(&(0, end)), Some(&(start, 60)), 2) = (idle.first(), idle.last(), idle.len())
            else {
                panic!("{distance}: {idle:?}")
            };
            let edges = (18..=20).contains(&end) && (30..=31).contains(&start);
            assert!(edges, "{distance}: {idle:?}");
        }
    }

    #[test]
    fn time_without_frames_is_idle() {
        let frames = (0..600).filter(|n| !(100..400).contains(n));
        let meter = meter(frames.map(|n| (n * 100, n == 0, BUSY / 10)));
        assert_eq!(idle(&meter, 70_000), [(10, 40), (60, 70)]);
    }

    #[test]
    fn keyframes_count_if_there_are_no_others() {
        let frames = (0..600).filter(|n| !(100..400).contains(n));
        let meter = meter(frames.map(|n| (n * 100, true, BUSY / 10)));
        assert_eq!(idle(&meter, 60_000), [(10, 40)]);
    }

    #[test]
    fn long_recording_has_merged_buckets() {
        let hours = 5;
        let meter = stream(hours * 3600, 10, |second| second % 3600 < 600);
        let activity = meter.activity(hours * 3_600_000);
        let summary = activity.summary();
        assert_eq!((summary.bucket_ms, summary.levels.len()), (8000, 2250));
        assert_eq!(summary.idle_ms.len(), 5);
        let active = summary.active_ms / 1000;
        assert!((3000..3100).contains(&active), "{active}");
    }

    #[test]
    fn hostile_times_are_bounded() {
        let mut meter = ActivityMeter::new(1);
        for time in [0, u64::MAX, 5, u64::MAX - 1] {
            meter.frame(time, false, u64::MAX);
            meter.run(time, u64::MAX, u32::MAX, false, u64::MAX);
            meter.run(time, 0, u32::MAX, time == 5, 1);
        }
        assert!(meter.memory_bytes() <= 64 << 10);
        let summary = meter.activity(u64::MAX).summary();
        assert!(summary.levels.len() <= BUCKET_LIMIT);
        assert!(summary.active_ms > 0);
    }

    #[test]
    fn long_run_equals_its_frames() {
        for (step, seconds) in [(10, 1000), (2500, 30_000)] {
            let (mut one, mut all) = (ActivityMeter::new(1000), ActivityMeter::new(1000));
            let count = seconds * 1000 / step;
            one.frame(0, true, 1000);
            all.frame(0, true, 1000);
            (1..count).for_each(|n| one.frame(n * step, false, 300));
            let left = u32::try_from(count - 1).expect("few");
            all.run(step, step, left, false, 300);
            let [one, all] = [one, all].map(|meter| meter.activity(seconds * 1000).summary());
            assert_eq!(one.bucket_ms, all.bucket_ms);
            if step < 1000 {
                assert_eq!(one.idle_ms, all.idle_ms);
            }
        }
    }
}
