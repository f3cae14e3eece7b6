//! Guard that decides whether the wall clock is trusted for deletions. Pure: readings are arguments.
//!
//! A wrong clock makes every recording look old. Therefore the wall clock is compared with the monotonic clock while
//! the server runs, and with the last trusted wall time at the start. On a disagreement nothing is deleted
//! automatically until the clocks agree again or an administrator confirms the time.

use std::time::Duration;

use crate::clock::{EARLIEST_MS, TOLERANCE_MS};

const HOUR_MS: i64 = 60 * 60 * 1000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Largest jump ahead that is accepted once the same time has passed: a paused virtual machine causes such a jump.
const BELIEVED_MAX_MS: i64 = 6 * HOUR_MS;

/// Reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Unix time in ms.
    pub(crate) wall_ms: i64,
    /// Time since an arbitrary moment.
    pub(crate) monotonic: Duration,
}

/// Disagreement of the clocks that stops deletions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The wall clock is ahead by this many ms.
    Ahead(i64),
    /// The wall clock is behind by this many ms.
    Behind(i64),
}

/// Comparison of the wall clock with the monotonic clock.
#[derive(Clone, Debug)]
pub(crate) struct ClockGuard {
    /// Last trusted reading; `None` if no reading was trusted yet.
    trusted: Option<Reading>,
    /// No reading of this process was trusted yet: the server may have been down until now.
    starting: bool,
    /// Longest absence that is accepted without a confirmation.
    absence_ms: i64,
    /// Current doubt, with the monotonic reading at which it began.
    doubt: Option<(Doubt, Duration)>,
}

/// Longest absence accepted at a start, for a retention of that many days. At most a third of the retention may be lost
/// to a clock that is wrong from the start.
pub(crate) fn believed_absence_ms(retention_days: u32) -> i64 {
    match retention_days {
        0 => 7 * DAY_MS,
        days => (i64::from(days) * DAY_MS / 3).min(7 * DAY_MS),
    }
}

impl ClockGuard {
    /// Creates the guard at a start of the server. `last_trusted_ms` is the last wall time that the previous run
    /// trusted; `now` is the monotonic reading.
    pub(crate) fn new(last_trusted_ms: Option<i64>, absence_ms: i64, now: Duration) -> Self {
        Self {
            trusted: last_trusted_ms.map(|wall_ms| Reading {
                wall_ms,
                monotonic: now,
            }),
            starting: true,
            absence_ms,
            doubt: None,
        }
    }

    /// Records a reading; returns the doubt about it.
    pub(crate) fn observe(&mut self, now: Reading) -> Option<Doubt> {
        let Some(doubt) = self.doubt_about(now) else {
            self.trust(now);
            return None;
        };
        let since = match self.doubt {
            Some((before, since)) if before.is_near(doubt) => since,
            _ => now.monotonic,
        };
        if let Doubt::Ahead(by_ms) = doubt
            && !self.starting
            && by_ms <= BELIEVED_MAX_MS
            && milliseconds(now.monotonic.saturating_sub(since)) >= by_ms
        {
            self.trust(now);
            return None;
        }
        self.doubt = Some((doubt, since));
        Some(doubt)
    }

    /// Trusts this reading: an administrator has confirmed it, or a trusted server shows the same time.
    pub(crate) fn trust(&mut self, now: Reading) {
        self.trusted = Some(now);
        self.starting = false;
        self.doubt = None;
    }

    /// Whether a wall time that another server trusts now equals this server's.
    pub(crate) fn agrees(now: Reading, other_ms: i64) -> bool {
        now.wall_ms.abs_diff(other_ms) <= TOLERANCE_MS.unsigned_abs()
    }

    fn doubt_about(&self, now: Reading) -> Option<Doubt> {
        if now.wall_ms < EARLIEST_MS {
            return Some(Doubt::Behind(EARLIEST_MS.saturating_sub(now.wall_ms)));
        }
        let trusted = self.trusted?;
        let passed = now.monotonic.saturating_sub(trusted.monotonic);
        let expected_ms = trusted.wall_ms.saturating_add(milliseconds(passed));
        let ahead_ms = now.wall_ms.saturating_sub(expected_ms);
        let allowed_ms = match self.starting {
            true => self.absence_ms,
            false => TOLERANCE_MS,
        };
        if ahead_ms > allowed_ms {
            return Some(Doubt::Ahead(ahead_ms));
        }
        // A clock that was set back has caught up once it is ahead of every earlier reading.
        if ahead_ms < -TOLERANCE_MS && now.wall_ms < trusted.wall_ms {
            return Some(Doubt::Behind(trusted.wall_ms.saturating_sub(now.wall_ms)));
        }
        None
    }
}

impl Doubt {
    /// Whether this is the jump already known, apart from drift.
    fn is_near(self, other: Self) -> bool {
        match (self, other) {
            (Self::Ahead(a), Self::Ahead(b)) => a.abs_diff(b) <= TOLERANCE_MS.unsigned_abs(),
            (Self::Behind(_), Self::Behind(_)) => true,
            _ => false,
        }
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: i64 = 1_795_253_400_000;
    const WEEK_MS: i64 = 7 * DAY_MS;

    /// Both clocks, set by a test.
    #[derive(Clone, Copy)]
    struct Clocks(Reading);

    impl Clocks {
        fn new() -> Self {
            Self(Reading {
                wall_ms: NOW_MS,
                monotonic: Duration::from_secs(1000),
            })
        }

        fn pass(&mut self, ms: i64) {
            self.0.wall_ms += ms;
            self.0.monotonic += Duration::from_millis(ms.unsigned_abs());
        }

        fn jump(&mut self, ms: i64) {
            self.0.wall_ms += ms;
        }
    }

    fn running() -> (ClockGuard, Clocks) {
        let clocks = Clocks::new();
        let mut guard = ClockGuard::new(Some(NOW_MS), WEEK_MS, clocks.0.monotonic);
        assert_eq!(guard.observe(clocks.0), None);
        (guard, clocks)
    }

    #[test]
    fn jump_ahead_is_doubted_until_reverted() {
        let (mut guard, mut clocks) = running();
        clocks.jump(400 * DAY_MS);
        assert_eq!(guard.observe(clocks.0), Some(Doubt::Ahead(400 * DAY_MS)));
        clocks.pass(30 * DAY_MS);
        assert_eq!(guard.observe(clocks.0), Some(Doubt::Ahead(400 * DAY_MS)));
        clocks.jump(-400 * DAY_MS);
        assert_eq!(guard.observe(clocks.0), None);
    }

    #[test]
    fn jump_of_an_hour_ahead_is_trusted_after_an_hour() {
        let (mut guard, mut clocks) = running();
        clocks.jump(HOUR_MS);
        assert_eq!(guard.observe(clocks.0), Some(Doubt::Ahead(HOUR_MS)));
        clocks.pass(HOUR_MS - 1);
        assert_eq!(guard.observe(clocks.0), Some(Doubt::Ahead(HOUR_MS)));
        clocks.pass(1);
        assert_eq!(guard.observe(clocks.0), None);
        clocks.jump(HOUR_MS);
        guard.observe(clocks.0);
        // A second jump starts the wait again.
        clocks.pass(HOUR_MS - 1);
        clocks.jump(HOUR_MS);
        guard.observe(clocks.0);
        clocks.pass(HOUR_MS);
        assert_eq!(guard.observe(clocks.0), Some(Doubt::Ahead(2 * HOUR_MS)));
    }

    #[test]
    fn jump_back_is_doubted_until_the_clock_has_caught_up() {
        let (mut guard, mut clocks) = running();
        clocks.jump(-HOUR_MS);
        assert_eq!(guard.observe(clocks.0), Some(Doubt::Behind(HOUR_MS)));
        clocks.pass(HOUR_MS - 1);
        assert_eq!(guard.observe(clocks.0), Some(Doubt::Behind(1)));
        clocks.pass(1);
        assert_eq!(guard.observe(clocks.0), None);
    }

    #[test]
    fn confirmation_ends_a_doubt() {
        let (mut guard, mut clocks) = running();
        clocks.jump(400 * DAY_MS);
        assert!(guard.observe(clocks.0).is_some());
        guard.trust(clocks.0);
        clocks.pass(DAY_MS);
        assert_eq!(guard.observe(clocks.0), None);
        clocks.jump(-400 * DAY_MS);
        assert!(guard.observe(clocks.0).is_some(), "of this jump only");
    }

    #[test]
    fn start_trusts_only_a_short_absence() {
        for (absent_ms, doubted) in [
            (0, false),
            (WEEK_MS, false),
            (WEEK_MS + 1, true),
            (400 * DAY_MS, true),
            (-TOLERANCE_MS, false),
            (-HOUR_MS, true),
            (-400 * DAY_MS, true),
        ] {
            let mut clocks = Clocks::new();
            let mut guard = ClockGuard::new(Some(NOW_MS), WEEK_MS, clocks.0.monotonic);
            clocks.jump(absent_ms);
            assert_eq!(guard.observe(clocks.0).is_some(), doubted, "{absent_ms}");
        }
    }

    #[test]
    fn machine_without_rtc_battery_is_trusted_once_its_clock_is_set() {
        let mut clocks = Clocks::new();
        let mut guard = ClockGuard::new(Some(NOW_MS), WEEK_MS, clocks.0.monotonic);
        clocks.jump(-NOW_MS);
        assert_eq!(guard.observe(clocks.0), Some(Doubt::Behind(EARLIEST_MS)));
        clocks.pass(60_000);
        assert!(guard.observe(clocks.0).is_some());
        clocks.jump(NOW_MS + DAY_MS);
        assert_eq!(guard.observe(clocks.0), None);
        // The first start has no earlier time to compare with.
        let mut clocks = Clocks::new();
        let mut guard = ClockGuard::new(None, WEEK_MS, clocks.0.monotonic);
        clocks.jump(-NOW_MS);
        assert!(guard.observe(clocks.0).is_some());
        clocks.jump(NOW_MS);
        assert_eq!(guard.observe(clocks.0), None);
    }

    #[test]
    fn trusted_absence_is_a_third_of_the_retention_within_bounds() {
        for (days, hours) in [(0, 168), (1, 8), (2, 16), (9, 72), (30, 168), (36_500, 168)] {
            assert_eq!(believed_absence_ms(days), hours * HOUR_MS, "{days}");
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Pass(i64),
        Jump(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..2 * HOUR_MS).prop_map(Step::Pass),
            (-500 * DAY_MS..500 * DAY_MS).prop_map(Step::Jump),
            (-TOLERANCE_MS..TOLERANCE_MS).prop_map(Step::Jump),
        ]
    }

    proptest! {
        /// A trusted clock is ahead of real time by no more than its small steps, the accepted jumps and its backward
        /// jumps.
        #[test]
        fn trusted_clock_is_never_far_ahead_of_real_time(steps in prop::collection::vec(step(), 1..80)) {
            let (mut guard, mut clocks) = running();
            let mut real_ms = NOW_MS;
            let mut allowed_ms = 0;
            for step in steps {
                match step {
                    Step::Pass(ms) => {
                        clocks.pass(ms);
                        real_ms += ms;
                    }
                    Step::Jump(ms) => {
                        clocks.jump(ms);
                        allowed_ms += TOLERANCE_MS + if ms > BELIEVED_MAX_MS { 0 } else { BELIEVED_MAX_MS };
                    }
                }
                if guard.observe(clocks.0).is_none() {
                    prop_assert!(clocks.0.wall_ms - real_ms <= allowed_ms);
                }
            }
        }

        /// No reading panics.
        #[test]
        fn extreme_readings_do_not_panic(readings in prop::collection::vec((any::<i64>(), any::<u64>()), 1..20), last in any::<Option<i64>>()) {
            let mut guard = ClockGuard::new(last, WEEK_MS, Duration::ZERO);
            for (wall_ms, millis) in readings {
                let monotonic = Duration::from_millis(millis);
                guard.observe(Reading { wall_ms, monotonic });
            }
        }
    }
}
