//! Reproducible random numbers: every decision of a run derives from its seed.

/// Sufficient for choosing moments and sizes, and the same on every machine.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// Returns a number in `from..to`; `from` if the range is empty.
    pub fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.next_u64() % to.saturating_sub(from).max(1)
    }

    /// Returns `true` with a probability of `percent`.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.within(0, 100) < percent
    }

    /// Returns a size in `from..to`, uniformly distributed over its logarithm.
    pub fn size(&mut self, from: u64, to: u64) -> u64 {
        let (low, high) = (from.max(1).ilog2(), to.max(2).ilog2());
        let exponent = self.within(u64::from(low), u64::from(high) + 1);
        let base = 1_u64 << exponent;
        self.within(base, base * 2).clamp(from, to)
    }

    /// Returns an independent generator seeded from this one.
    pub fn fork(&mut self) -> Self {
        Self(self.next_u64())
    }
}

/// Finaliser of SplitMix64.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers() {
        let (mut one, mut two) = (SplitMix64::new(7), SplitMix64::new(7));
        assert!((0..100).all(|_| one.next_u64() == two.next_u64()));
        assert_ne!(SplitMix64::new(7).next_u64(), SplitMix64::new(8).next_u64());
    }

    #[test]
    fn sizes_stay_in_range_and_reach_both_ends() {
        let mut rng = SplitMix64::new(1);
        let sizes: Vec<_> = (0..2000).map(|_| rng.size(10, 1_000_000)).collect();
        assert!(sizes.iter().all(|size| (10..=1_000_000).contains(size)));
        assert!(sizes.iter().any(|size| *size < 100));
        assert!(sizes.iter().any(|size| *size > 500_000));
    }
}
