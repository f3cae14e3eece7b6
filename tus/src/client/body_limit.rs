//! Limit for the size of request bodies.

use super::Config;

/// Adaptive body size limit: halves after a failed body, doubles after a successful body of about that size.
#[derive(Clone, Debug)]
pub(super) struct BodyLimit {
    min: u64,
    max: u64,
    /// Largest body to send now, in bytes; at least 1.
    pub(super) limit: u64,
}

impl BodyLimit {
    pub(super) fn new(config: &Config) -> Self {
        // A limit of 0 would never send anything.
        let min = config.min_patch.max(1);
        let max = config.max_patch.max(min);
        Self {
            min,
            max,
            limit: config.initial_patch.clamp(min, max),
        }
    }

    /// Whether the limit can fall below `len` bytes.
    pub(super) fn can_shrink_below(&self, len: u64) -> bool {
        len > self.min
    }

    /// Records a successful body of `len` bytes. A small body does not raise the limit.
    pub(super) fn succeeded(&mut self, len: u64) {
        if len >= self.limit.div_ceil(2) {
            self.limit = self.limit.saturating_mul(2).min(self.max);
        }
    }

    /// Records a failed body of `len` bytes. The failure of a small body lowers the limit, too, but never below the
    /// minimum.
    pub(super) fn failed(&mut self, len: u64) {
        self.limit = (self.limit.min(len) / 2).max(self.min);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizing(min_patch: u64, initial_patch: u64, max_patch: u64) -> BodyLimit {
        BodyLimit::new(&Config {
            max_patch,
            min_patch,
            initial_patch,
            ..Config::default()
        })
    }

    #[test]
    fn limit_grows_with_success_and_shrinks_with_failure() {
        let mut sizing = sizing(2, 8, 32);
        sizing.succeeded(8);
        assert_eq!(sizing.limit, 16);
        sizing.succeeded(7);
        assert_eq!(sizing.limit, 16, "half a limit is needed to prove anything");
        sizing.succeeded(8);
        sizing.succeeded(32);
        assert_eq!(sizing.limit, 32, "never above the maximum");
        sizing.failed(32);
        assert_eq!(sizing.limit, 16);
        sizing.failed(6);
        assert_eq!(sizing.limit, 3, "half of what failed");
        sizing.failed(1);
        assert_eq!(sizing.limit, 2, "never below the floor");
        assert!(sizing.can_shrink_below(3) && !sizing.can_shrink_below(2));
    }

    #[test]
    fn contradictory_config_still_sends() {
        assert_eq!(sizing(0, 0, 0).limit, 1);
        assert_eq!(sizing(10, 1, 5).limit, 10);
    }
}
