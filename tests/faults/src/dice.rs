//! Chance that can be repeated: every decision of a run follows from its seed.

/// SplitMix64: small, good enough for choosing moments and sizes, and the same on every machine.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number in `from..to`; `from` if that is empty.
    pub fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.roll() % to.saturating_sub(from).max(1)
    }

    /// Whether something happens that happens `percent` times in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.within(0, 100) < percent
    }

    /// A size in `from..to`, small ones as often as large ones: each doubling is equally likely.
    pub fn size(&mut self, from: u64, to: u64) -> u64 {
        let (low, high) = (from.max(1).ilog2(), to.max(2).ilog2());
        let exponent = self.within(u64::from(low), u64::from(high) + 1);
        let base = 1_u64 << exponent;
        self.within(base, base * 2).clamp(from, to)
    }

    /// Other dice that depend on these.
    pub fn fork(&mut self) -> Self {
        Self(self.roll())
    }
}

/// Spreads a number's bits over all 64.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_falls_the_same_way() {
        let (mut one, mut two) = (Dice::new(7), Dice::new(7));
        assert!((0..100).all(|_| one.roll() == two.roll()));
        assert_ne!(Dice::new(7).roll(), Dice::new(8).roll());
    }

    #[test]
    fn sizes_stay_in_their_range_and_reach_both_ends() {
        let mut dice = Dice::new(1);
        let sizes: Vec<_> = (0..2000).map(|_| dice.size(10, 1_000_000)).collect();
        assert!(sizes.iter().all(|size| (10..=1_000_000).contains(size)));
        assert!(sizes.iter().any(|size| *size < 100));
        assert!(sizes.iter().any(|size| *size > 500_000));
    }
}
