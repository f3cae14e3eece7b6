//! Time in which this server could have received a request. Pure: readings are arguments.
//!
//! Silence of a sender is measured in this time. It stands still while the process is stopped, the machine suspended or
//! the reaper stalled: then it is not the sender that was silent.

use std::time::Duration;

/// Interval of the reaper's ticks.
pub(crate) const TICK: Duration = Duration::from_secs(5);
/// A tick that is late by no more than this is the scheduler's delay.
const LATE: Duration = Duration::from_secs(2);

/// Excludes the server's absence from a monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    last_tick: Option<Duration>,
    absent: Duration,
}

impl Attendance {
    /// Records a tick; `schedule` is [`Clock::schedule`](crate::clock::Clock::schedule). Returns how long the server
    /// was absent since the one before.
    pub(super) fn tick(&mut self, schedule: Duration) -> Duration {
        let Some(last) = self.last_tick.replace(schedule) else {
            return Duration::ZERO;
        };
        let gap = schedule.saturating_sub(last);
        if gap <= TICK + LATE {
            return Duration::ZERO;
        }
        let absent = gap - TICK;
        self.absent += absent;
        absent
    }

    /// Attended time at this monotonic reading.
    pub(super) fn at(&self, monotonic: Duration) -> Duration {
        monotonic.saturating_sub(self.absent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn late_tick_counts_as_one_interval() {
        let mut attendance = Attendance::default();
        let start = 1000 * SECOND;
        assert_eq!(attendance.tick(start), Duration::ZERO);
        assert_eq!(attendance.tick(start + 7 * SECOND), Duration::ZERO);
        assert_eq!(attendance.at(start + 7 * SECOND), start + 7 * SECOND);
        assert_eq!(attendance.tick(start + 3607 * SECOND), 3595 * SECOND);
        assert_eq!(attendance.at(start + 3607 * SECOND), start + 12 * SECOND);
    }

    proptest! {
        /// Whatever the ticks: attended time never goes back, never runs faster than real time and never skips more
        /// than one late interval.
        #[test]
        fn attended_time_is_bounded(gaps in prop::collection::vec(0_u64..10_000_000, 1..50)) {
            let mut attendance = Attendance::default();
            let mut now = 1000 * SECOND;
            attendance.tick(now);
            for gap in gaps {
                let before = attendance.at(now);
                let gap = Duration::from_millis(gap);
                now += gap;
                attendance.tick(now);
                let attended = attendance.at(now);
                prop_assert!(attended >= before);
                prop_assert!(attended - before <= gap);
                prop_assert!(attended - before <= TICK + LATE);
            }
        }
    }
}
