//! Attended time: time in which this server could have received a request.
//!
//! The silence of a sender is measured in attended time. It does not advance while the process is stopped, the machine
//! is suspended or the reaper is stalled: the sender is not silent then.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::registry::locked;
use crate::clock::Clock;

/// Interval of the reaper's ticks.
pub(crate) const TICK: Duration = Duration::from_secs(5);
/// A tick that is at most this late is a scheduling delay and no absence.
const LATE: Duration = Duration::from_secs(2);

/// Clock of attended time.
pub(super) struct AttendedClock {
    clock: Arc<dyn Clock>,
    attendance: Mutex<Attendance>,
}

impl AttendedClock {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            attendance: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        // Lock before reading the clock: a reading taken before a concurrent tick would count as ahead of it.
        let attendance = locked(&self.attendance);
        attendance.at(self.clock.monotonic())
    }

    /// Records a tick. Returns how long the server was absent since the previous one.
    pub(super) fn tick(&self) -> Duration {
        locked(&self.attendance).tick(self.clock.schedule())
    }
}

/// Excludes the server's absence from a monotonic clock. Pure: readings are arguments.
#[derive(Debug, Default)]
struct Attendance {
    last_tick: Option<Duration>,
    absent: Duration,
}

impl Attendance {
    /// Records a tick; `schedule` is [`Clock::schedule`]. Returns how long the server was absent since the previous
    /// one.
    fn tick(&mut self, schedule: Duration) -> Duration {
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
    fn at(&self, monotonic: Duration) -> Duration {
        monotonic.saturating_sub(self.absent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn late_tick_advances_one_interval() {
        let mut attendance = Attendance::default();
        let start = 1000 * SECOND;
        assert_eq!(attendance.tick(start), Duration::ZERO);
        assert_eq!(attendance.tick(start + 7 * SECOND), Duration::ZERO);
        assert_eq!(attendance.at(start + 7 * SECOND), start + 7 * SECOND);
        assert_eq!(attendance.tick(start + 3607 * SECOND), 3595 * SECOND);
        assert_eq!(attendance.at(start + 3607 * SECOND), start + 12 * SECOND);
    }

    proptest! {
        /// Attended time never decreases, never runs faster than real time and never skips more than one late interval.
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
