//! Backoff between attempts.

use super::Millis;

/// Exponential backoff with full jitter: the n-th wait is random between a small minimum and a ceiling that doubles up
/// to a cap. Senders that lost the same server then do not all return simultaneously.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    base: Millis,
    cap: Millis,
    /// Number of failures since the last progress.
    pub(super) failures: u32,
    random: SplitMix64,
}

/// Shortest wait, which prevents a busy loop if requests fail immediately.
const FLOOR_MS: Millis = 50;

impl Backoff {
    pub(super) fn new(base: Millis, cap: Millis, seed: u64) -> Self {
        Self {
            base,
            cap,
            failures: 0,
            random: SplitMix64(seed),
        }
    }

    /// Counts a failure without a wait.
    pub(super) fn count(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Counts a failure and returns the wait after it.
    pub(super) fn next(&mut self) -> Millis {
        // 2^20 half seconds exceed any sensible cap, and the shift must stay below 64 bits.
        let ceiling = self
            .base
            .saturating_mul(1 << self.failures.min(20))
            .min(self.cap);
        self.count();
        let span = ceiling.saturating_sub(FLOOR_MS).saturating_add(1);
        FLOOR_MS.saturating_add(self.random.next() % span)
    }

    /// Resets the count after progress.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// SplitMix64 by Steele, Lea and Flood. Any seed, including 0, yields a good sequence; its slight bias under `%` does
/// not matter for waits.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_up_to_the_cap() {
        // Over many seeds, the largest wait approaches each ceiling and never exceeds it.
        let mut largest = [0; 10];
        for seed in 0..500 {
            let mut backoff = Backoff::new(500, 30_000, seed);
            for slot in &mut largest {
                *slot = backoff.next().max(*slot);
            }
        }
        let ceilings = [
            500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000,
        ];
        for (largest, ceiling) in largest.into_iter().zip(ceilings) {
            assert!(
                largest <= ceiling && largest > ceiling / 100 * 95,
                "{largest} of {ceiling}"
            );
        }
    }

    #[test]
    fn waits_are_spread_and_never_zero() {
        let waits: Vec<_> = (0..200)
            .map(|seed| Backoff::new(10_000, 10_000, seed).next())
            .collect();
        assert!(waits.iter().all(|wait| *wait >= FLOOR_MS));
        assert!(waits.iter().filter(|wait| **wait < 5_000).count() > 50);
        assert!(waits.iter().filter(|wait| **wait >= 5_000).count() > 50);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut backoff = Backoff::new(u64::MAX, u64::MAX, 1);
        for _ in 0..100 {
            backoff.next();
        }
        assert_eq!(backoff.failures, 100);
        backoff.reset();
        assert_eq!(backoff.failures, 0);
        let mut none = Backoff::new(0, 0, 1);
        assert_eq!(none.next(), FLOOR_MS);
    }
}
