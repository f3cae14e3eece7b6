//! Activity of a recording: how much the picture changes over time, from the sizes of the encoded frames.
//!
//! # Idle or active
//!
//! A second is idle if its non-key frames have no more bytes than a threshold that follows from the recording itself:
//!
//! 1. At least [`SMALL`] bytes, which a blinking cursor or a clock does not exceed.
//! 2. Encoders spend bytes on each frame even if nothing changes; how many depends on codec, bit rate and picture. If the
//!    seconds form two groups, one much smaller than the other (Otsu's method on the logarithm), and the seconds of the
//!    smaller group hardly differ from their neighbours, that group is the noise of the encoder, and the threshold lies
//!    between the groups. The smaller group is divided again as long as it consists of two such groups.
//!
//! The bytes of real changes vary from second to second, or are at the limit of the encoder's rate control, where there is
//! no busier group. In neither case are they noise. If all seconds are equally large, the recording is active throughout.

/// Maximum number of buckets.
pub(crate) const BUCKET_LIMIT: usize = 4096;

/// Bytes per second that are always idle.
const SMALL: f64 = 1000.0;
/// An idle span is longer than this, in ms.
const IDLE_MS: u64 = 5000;
/// Steps of a code per doubling of the rate.
const STEPS: f64 = 14.0;
/// Rate of code 1.
const LEAST: f64 = 8.0;
/// Smallest distance between the medians of noise and changes, in octaves.
const SEPARATION: f64 = 1.5;
/// Smallest fraction of all seconds that is a group of changes; fewer are outliers.
const CHANGES: f64 = 0.05;
/// Largest median difference between neighbouring seconds of noise, in steps: 10 %.
const STEADY: u8 = 2;
/// Smallest rate that is shown with the highest level, relative to the threshold.
const LEVEL_SPAN: f64 = 32.0;
/// First byte of the encoded form.
const VERSION: u8 = 1;
const HEADER: usize = 10;

/// Bytes of non-key frames over time, for storage; about one byte a second.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Activity {
    /// A bucket holds `1 << shift` seconds.
    shift: u8,
    /// Logarithm of the bytes in the busiest second of each bucket; 0: none.
    codes: Vec<u8>,
    duration_ms: u64,
}

/// Levels and idle spans of an [`Activity`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActivitySummary {
    /// Length of a bucket in milliseconds: 1000 times a power of two.
    pub bucket_ms: u64,
    /// Activity of each bucket: 0 for none, 255 for that of the busiest; logarithmic.
    pub levels: Vec<u8>,
    /// Spans of more than five seconds in which nothing happens, as `(from, to)` in milliseconds, in order.
    pub idle_ms: Vec<(u64, u64)>,
    /// Duration without the idle spans, in milliseconds.
    pub active_ms: u64,
}

impl Activity {
    /// Creates the activity of buckets of `1 << shift` seconds with these bytes per second.
    pub(crate) fn of_rates(shift: u32, rates: &[u32], duration_ms: u64) -> Self {
        let mut activity = Self {
            shift: u8::try_from(shift).unwrap_or(u8::MAX),
            codes: rates.iter().map(|&rate| code(rate)).collect(),
            duration_ms,
        };
        while duration_ms.div_ceil(activity.bucket_ms()) > BUCKET_LIMIT as u64 {
            let pairs = activity.codes.chunks(2);
            activity.codes = pairs
                .map(|pair| pair.iter().copied().max().unwrap_or(0))
                .collect();
            activity.shift += 1;
        }
        // Nothing happens behind the last frame, and a frame behind the end is never shown.
        let buckets = duration_ms.div_ceil(activity.bucket_ms());
        let buckets = usize::try_from(buckets).unwrap_or(BUCKET_LIMIT);
        activity.codes.resize(buckets, 0);
        activity
    }

    fn bucket_ms(&self) -> u64 {
        1000u64.saturating_mul(1u64.checked_shl(self.shift.into()).unwrap_or(u64::MAX))
    }

    /// Encodes the activity in at most 4,106 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.codes.len());
        bytes.push(VERSION);
        bytes.push(self.shift);
        bytes.extend(self.duration_ms.to_le_bytes());
        bytes.extend(&self.codes);
        bytes
    }

    /// Decodes [`to_bytes`](Self::to_bytes); `None` for an unknown version or damaged bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (header, codes) = bytes.split_at_checked(HEADER)?;
        let activity = Self {
            shift: header[1],
            codes: codes.to_vec(),
            duration_ms: u64::from_le_bytes(header[2..].try_into().ok()?),
        };
        let buckets = activity.duration_ms.div_ceil(activity.bucket_ms());
        let is_valid =
            header[0] == VERSION && codes.len() <= BUCKET_LIMIT && buckets == codes.len() as u64;
        is_valid.then_some(activity)
    }

    /// Determines levels and idle spans.
    #[must_use]
    pub fn summary(&self) -> ActivitySummary {
        let bucket_ms = self.bucket_ms();
        let threshold = self.threshold();
        let is_idle = |&code: &u8| rate(code) <= threshold;
        let mut idle_ms = Vec::new();
        let mut at = 0u64;
        for span in self.codes.chunk_by(|a, b| is_idle(a) == is_idle(b)) {
            let start = at.saturating_mul(bucket_ms);
            at += span.len() as u64;
            let end = at.saturating_mul(bucket_ms).min(self.duration_ms);
            if span.first().is_some_and(is_idle) && end.saturating_sub(start) > IDLE_MS {
                idle_ms.push((start, end));
            }
        }
        let idle: u64 = idle_ms.iter().map(|(start, end)| end - start).sum();
        ActivitySummary {
            bucket_ms,
            levels: self.levels(threshold),
            idle_ms,
            active_ms: self.duration_ms - idle,
        }
    }

    fn levels(&self, threshold: f64) -> Vec<u8> {
        let busiest = self.codes.iter().copied().max().unwrap_or(0);
        let top = (rate(busiest) / threshold).max(LEVEL_SPAN).log2();
        let level = |&code: &u8| {
            let above = (rate(code) / threshold).log2();
            if above <= 0.0 {
                return 0;
            }
            to_u8(1.0 + 254.0 * above / top)
        };
        self.codes.iter().map(level).collect()
    }

    /// Rate up to which a bucket is idle, in bytes per second; see the [module](self).
    fn threshold(&self) -> f64 {
        // Differences between small rates are irrelevant.
        let least = code_of(SMALL);
        let codes: Vec<u8> = self.codes.iter().map(|&code| code.max(least)).collect();
        let (mut threshold, mut group) = (SMALL, codes.clone());
        let (mut is_first, least_changes) = (true, CHANGES * codes.len() as f64);
        while let Some(split) = otsu(&group) {
            let is_low = |code: &u8| *code <= split;
            let (low, high): (Vec<u8>, Vec<u8>) = group.iter().copied().partition(is_low);
            let is_outlier = !is_first && (high.len() as f64) < least_changes;
            let octaves = (f64::from(median(high)) - f64::from(median(low.clone()))) / STEPS;
            if octaves < SEPARATION || is_outlier {
                break;
            }
            let pairs = codes.windows(2).filter(|pair| pair.iter().all(is_low));
            let differences = pairs.map(|pair| pair[0].abs_diff(pair[1])).collect();
            if median(differences) <= STEADY {
                threshold = rate(split);
            }
            // Slow changes may be in the same group as the noise.
            (group, is_first) = (low, false);
        }
        threshold
    }
}

/// Returns the value that separates two groups best (Otsu's method): the largest of the lower group. `None` if all values
/// are equal.
fn otsu(values: &[u8]) -> Option<u8> {
    let mut counts = [0u32; 256];
    for &value in values {
        counts[usize::from(value)] += 1;
    }
    let (mut low, mut low_sum) = (0.0, 0.0);
    let total = values.len() as f64;
    let sum: f64 = values.iter().copied().map(f64::from).sum();
    let mut best = (0.0, None);
    // In a gap between the groups, every value separates equally well: the middle is used.
    let mut last_of_best = 0;
    for (value, &count) in (0u8..=255).zip(&counts) {
        low += f64::from(count);
        low_sum += f64::from(count) * f64::from(value);
        let high = total - low;
        if low == 0.0 || high == 0.0 {
            continue;
        }
        let distance = low_sum / low - (sum - low_sum) / high;
        let variance = low * high * distance * distance;
        if variance > best.0 {
            best = (variance, Some(value));
            last_of_best = value;
        } else if count == 0 && best.1.is_some() && last_of_best + 1 == value {
            last_of_best = value;
        }
    }
    best.1.map(|first| first + (last_of_best - first) / 2)
}

fn median(mut values: Vec<u8>) -> u8 {
    let middle = values.len() / 2;
    if values.is_empty() {
        return 0;
    }
    *values.select_nth_unstable(middle).1
}

/// Encodes a number of bytes per second, with an error of at most 2.5 %. Values above 2.3 MB are equal.
fn code(rate: u32) -> u8 {
    match rate {
        0 => 0,
        rate => code_of(rate.into()),
    }
}

fn code_of(rate: f64) -> u8 {
    to_u8(1.0 + STEPS * (rate.max(LEAST) / LEAST).log2())
}

/// Decodes [`code`].
fn rate(code: u8) -> f64 {
    match code {
        0 => 0.0,
        code => LEAST * ((f64::from(code) - 1.0) / STEPS).exp2(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is limited to the range of the type"
)]
fn to_u8(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(rates: &[u32]) -> Activity {
        Activity::of_rates(0, rates, rates.len() as u64 * 1000)
    }

    /// Idle seconds of a recording.
    fn idle(rates: &[u32]) -> Vec<(u64, u64)> {
        let summary = activity(rates).summary();
        let spans = summary.idle_ms.iter();
        spans.map(|(from, to)| (from / 1000, to / 1000)).collect()
    }

    /// Varying rates around `mean`.
    fn varying(mean: u32, seconds: usize) -> Vec<u32> {
        let wave = [60, 140, 90, 170, 75, 110, 50, 130];
        let waves = wave.iter().cycle().take(seconds);
        waves.map(|percent| mean / 100 * percent).collect()
    }

    #[test]
    fn codes_keep_the_rate() {
        for rate_in in [8, 9, 100, 4321, 1_000_000, 2_000_000] {
            let error = rate(code(rate_in)) / f64::from(rate_in) - 1.0;
            assert!(error.abs() < 0.026, "{rate_in}: {error}");
        }
        assert_eq!((code(0), code(1), code(u32::MAX)), (0, 1, 255));
    }

    #[test]
    fn small_rates_are_idle() {
        let cursor = [vec![400; 20], varying(90_000, 10), vec![900; 6]].concat();
        assert_eq!(idle(&cursor), [(0, 20), (30, 36)]);
        assert_eq!(idle(&[vec![950; 20], vec![0; 40]].concat()), [(0, 60)]);
    }

    #[test]
    fn noise_is_idle() {
        for floor in [3_000, 15_000, 60_000] {
            let rates = [
                vec![floor; 30],
                varying(floor * 8, 20),
                vec![floor / 100 * 107; 10],
            ];
            assert_eq!(idle(&rates.concat()), [(0, 30), (50, 60)], "{floor}");
        }
    }

    #[test]
    fn noise_of_two_levels_is_idle() {
        let rates = [vec![2000; 30], vec![5000; 20], varying(90_000, 20)];
        assert_eq!(idle(&rates.concat()), [(0, 50)]);
    }

    #[test]
    fn constant_or_varying_video_is_active() {
        assert_eq!(idle(&[125_000; 100]), []);
        assert_eq!(idle(&varying(40_000, 100)), []);
        let camera_and_video = [varying(30_000, 50), varying(300_000, 50)];
        assert_eq!(idle(&camera_and_video.concat()), []);
    }

    #[test]
    fn only_spans_of_more_than_five_seconds_are_idle() {
        let rates = [
            vec![9000; 3],
            vec![0; 5],
            vec![9000; 3],
            vec![0; 6],
            vec![9000],
        ]
        .concat();
        assert_eq!(idle(&rates), [(11, 17)]);
        let summary = activity(&rates).summary();
        assert_eq!(summary.active_ms, 12_000);
        assert!(summary.levels[3] == 0 && summary.levels[0] > 0);
    }

    #[test]
    fn bytes_are_decoded() {
        let activity = activity(&varying(10_000, 77));
        let bytes = activity.to_bytes();
        assert_eq!(Activity::from_bytes(&bytes), Some(activity));
        for damaged in [&bytes[..9], &bytes[..20], &[], &[0; 10], &[1, 255, 1, 2, 3]] {
            assert_eq!(Activity::from_bytes(damaged), None, "{damaged:?}");
        }
        assert_eq!(Activity::default().summary().levels, []);
    }
}
