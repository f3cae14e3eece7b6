//! How large a body may be.

use super::Config;

/// Limit for the next body: halves when a body does not get through, doubles when one of about that size did.
#[derive(Clone, Debug)]
pub(super) struct Sizing {
    min: u64,
    max: u64,
    limit: u64,
}

impl Sizing {
    pub(super) fn new(config: &Config) -> Self {
        // A limit of nothing would never send anything.
        let min = config.min_patch.max(1);
        let max = config.max_patch.max(min);
        Self {
            min,
            max,
            limit: config.initial_patch.clamp(min, max),
        }
    }

    /// Largest body to send now, in bytes; at least 1.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether a smaller body can be tried than one of `len` bytes.
    pub(super) fn can_shrink_below(&self, len: u64) -> bool {
        len > self.min
    }

    /// A body of `len` bytes got through. A small one says nothing about large ones.
    pub(super) fn succeeded(&mut self, len: u64) {
        if len >= self.limit.div_ceil(2) {
            self.limit = self.limit.saturating_mul(2).min(self.max);
        }
    }

    /// A body of `len` bytes did not get through. A small one that failed is reason to be careful, too, but
    /// not to make bodies of that size still smaller than the floor.
    pub(super) fn failed(&mut self, len: u64) {
        self.limit = (self.limit.min(len) / 2).max(self.min);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizing(min_patch: u64, initial_patch: u64, max_patch: u64) -> Sizing {
        Sizing::new(&Config {
            max_patch,
            min_patch,
            initial_patch,
            ..Config::default()
        })
    }

    #[test]
    fn grows_with_success_and_shrinks_with_failure() {
        let mut sizing = sizing(2, 8, 32);
        sizing.succeeded(8);
        assert_eq!(sizing.limit(), 16);
        sizing.succeeded(7);
        assert_eq!(
            sizing.limit(),
            16,
            "half a limit is needed to prove anything"
        );
        sizing.succeeded(8);
        sizing.succeeded(32);
        assert_eq!(sizing.limit(), 32, "never above the maximum");
        sizing.failed(32);
        assert_eq!(sizing.limit(), 16);
        sizing.failed(6);
        assert_eq!(sizing.limit(), 3, "half of what failed");
        sizing.failed(1);
        assert_eq!(sizing.limit(), 2, "never below the floor");
        assert!(sizing.can_shrink_below(3) && !sizing.can_shrink_below(2));
    }

    #[test]
    fn contradictory_numbers_still_send() {
        assert_eq!(sizing(0, 0, 0).limit(), 1);
        assert_eq!(sizing(10, 1, 5).limit(), 10);
    }
}
