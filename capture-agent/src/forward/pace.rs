//! How fast bytes may leave.

use std::time::Duration;

/// A budget that fills up by the second. Time is that of any monotonic clock.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: u64,
    /// When what was taken so far is paid for.
    free_at: Duration,
}

impl Pace {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1),
            free_at: Duration::ZERO,
        }
    }

    /// Takes so many bytes at `now`; for how long to wait until they may leave. What was not used before is lost, so
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
    fn no_second_has_more_than_its_bytes() {
        let mut pace = Pace::new(1000);
        let (mut now, mut sent) = (Duration::from_secs(5), 0);
        while sent < 10_000 {
            now += pace.take(now, 250);
            sent += 250;
        }
        assert_eq!(now, Duration::from_millis(5000 + 9750));
        // After a rest there is no more than usual.
        now += Duration::from_secs(100);
        assert_eq!(pace.take(now, 250), Duration::ZERO);
        assert_eq!(pace.take(now, 250), Duration::from_millis(250));
    }
}
