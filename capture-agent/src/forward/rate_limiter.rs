//! Bandwidth limit.

use std::time::Duration;

/// Rate limiter without bursts, on any monotonic clock.
#[derive(Debug)]
pub(super) struct RateLimiter {
    bytes_per_second: u64,
    /// Time at which all reserved bytes are sent.
    free_at: Duration,
}

impl RateLimiter {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1),
            free_at: Duration::ZERO,
        }
    }

    /// Reserves bytes at `now` and returns the delay before they may be sent. Unused bandwidth is not saved up, so
    /// there are no bursts.
    pub(super) fn take(&mut self, now: Duration, bytes: usize) -> Duration {
        let begin = self.free_at.max(now);
        let nanos = u128::try_from(bytes).unwrap_or(u128::MAX) * 1_000_000_000
            / u128::from(self.bytes_per_second);
        self.free_at = begin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        begin - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_never_exceeded() {
        let mut limiter = RateLimiter::new(1000);
        let (mut now, mut sent) = (Duration::from_secs(5), 0);
        while sent < 10_000 {
            now += limiter.take(now, 250);
            sent += 250;
        }
        assert_eq!(now, Duration::from_millis(5000 + 9750));
        // Idle time does not permit a burst.
        now += Duration::from_secs(100);
        assert_eq!(limiter.take(now, 250), Duration::ZERO);
        assert_eq!(limiter.take(now, 250), Duration::from_millis(250));
    }
}
