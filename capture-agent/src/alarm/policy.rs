//! When alarms are raised and cleared.

use std::time::Duration;

use sortie_api::{ApplianceAlarm, RaisedAlarm};

/// The recorder has recovered when its thread has moved within this time.
const RECORDER_ALIVE: Duration = Duration::from_secs(5);
/// Smallest change of the wall clock that counts as a jump. Time servers step a clock by less.
const JUMP: Duration = Duration::from_secs(60);
/// Time after the last jump until its alarm is cleared.
const JUMP_SHOWN: Duration = Duration::from_secs(3600);
/// Percentage points below the limit at which the alarm of the disk is cleared.
const DISK_HYSTERESIS: u64 = 10;

/// Limits of [`Alarms`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest time without an iteration of the recorder's thread.
    pub silence: Duration,
    /// Largest share in percent that unforwarded recordings may have of the space for recordings; `None`: no alarm.
    pub disk_percent: Option<u64>,
    /// Longest forward lag; `None`: no alarm. Cleared at half of it.
    pub lag: Option<Duration>,
}

/// State of an appliance at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Unix time in ms.
    pub wall_ms: i64,
    /// Time since the last iteration of the recorder's thread.
    pub silent_for: Duration,
    /// Bytes that the central server has not confirmed; 0 without forwarding.
    pub unforwarded_bytes: u64,
    /// Free bytes below the storage threshold and above the reserve; `None` if unknown.
    pub room_bytes: Option<u64>,
    /// Age of the oldest recorded data that the central server does not have; zero without forwarding.
    pub lag: Duration,
}

/// Alarm that was raised or cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    pub alarm: RaisedAlarm,
    /// `false`: cleared.
    pub is_raised: bool,
}

/// Raised alarms. Each has a limit at which it is raised and a lower one at which it is cleared, so that a value near a
/// limit does not raise it again and again.
#[derive(Debug)]
pub struct Alarms {
    limits: Limits,
    raised: Vec<RaisedAlarm>,
    /// Monotonic time and wall time of the last observation.
    last: Option<(Duration, i64)>,
    jumped_at: Option<Duration>,
}

/// Relation of a value to the two limits of its alarm.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Raise,
    Between,
    Clear,
}

impl Level {
    fn of<T: PartialOrd>(value: T, raise: T, clear: T) -> Self {
        if value >= raise {
            Self::Raise
        } else if value <= clear {
            Self::Clear
        } else {
            Self::Between
        }
    }
}

impl Alarms {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            raised: Vec::new(),
            last: None,
            jumped_at: None,
        }
    }

    /// Returns the raised alarms in the order of [`ApplianceAlarm::ALL`].
    #[must_use]
    pub fn raised(&self) -> &[RaisedAlarm] {
        &self.raised
    }

    /// Processes an observation at `now` of a monotonic clock, and returns what it changed.
    pub fn observe(&mut self, now: Duration, observed: &Observation) -> Vec<Transition> {
        let jump = self.jump(now, observed.wall_ms);
        let mut transitions = Vec::new();
        for alarm in ApplianceAlarm::ALL {
            let level = match alarm {
                ApplianceAlarm::RecorderSilent => {
                    let clear = RECORDER_ALIVE.min(self.limits.silence / 2);
                    Level::of(observed.silent_for, self.limits.silence, clear)
                }
                ApplianceAlarm::DiskNearlyFull => self.disk(observed),
                ApplianceAlarm::ForwardLag => match self.limits.lag {
                    Some(limit) => Level::of(observed.lag, limit, limit / 2),
                    None => Level::Clear,
                },
                ApplianceAlarm::ClockJump => self.jump_level(now),
            };
            let at = self.raised.iter().position(|it| it.alarm == alarm);
            match (level, at) {
                (Level::Raise, None) => {
                    let alarm = describe(alarm, observed, jump);
                    self.raised.push(alarm.clone());
                    transitions.push(Transition {
                        alarm,
                        is_raised: true,
                    });
                }
                (Level::Clear, Some(at)) => transitions.push(Transition {
                    alarm: self.raised.remove(at),
                    is_raised: false,
                }),
                // A further jump replaces the text of the first.
                (Level::Raise, Some(at)) if alarm == ApplianceAlarm::ClockJump && jump != 0 => {
                    if let Some(raised) = self.raised.get_mut(at) {
                        *raised = describe(alarm, observed, jump);
                    }
                }
                _ => {}
            }
        }
        let order = |it: &RaisedAlarm| ApplianceAlarm::ALL.iter().position(|one| *one == it.alarm);
        self.raised.sort_by_key(order);
        transitions
    }

    fn disk(&self, observed: &Observation) -> Level {
        let Some(limit) = self.limits.disk_percent else {
            return Level::Clear;
        };
        let Some(room) = observed.room_bytes else {
            return Level::Between;
        };
        let waiting = u128::from(observed.unforwarded_bytes);
        let all = waiting + u128::from(room);
        // Free space without any waiting recording is no matter of forwarding.
        let percent = (waiting * 100).checked_div(all).unwrap_or(0);
        let clear = limit.saturating_sub(DISK_HYSTERESIS);
        Level::of(percent, u128::from(limit), u128::from(clear))
    }

    /// Returns the change of the wall clock in ms since the last observation; 0 if it is below [`JUMP`].
    fn jump(&mut self, now: Duration, wall_ms: i64) -> i64 {
        let last = self.last.replace((now, wall_ms));
        let Some((then, wall_then_ms)) = last else {
            return 0;
        };
        let passed_ms = i64::try_from(now.saturating_sub(then).as_millis()).unwrap_or(i64::MAX);
        let change = wall_ms
            .saturating_sub(wall_then_ms)
            .saturating_sub(passed_ms);
        if u128::from(change.unsigned_abs()) < JUMP.as_millis() {
            return 0;
        }
        self.jumped_at = Some(now);
        change
    }

    fn jump_level(&self, now: Duration) -> Level {
        match self.jumped_at {
            Some(at) if now < at.saturating_add(JUMP_SHOWN) => Level::Raise,
            _ => Level::Clear,
        }
    }
}

/// Text of an alarm. The numbers are those at which it was raised: a text that changes with each observation would be
/// announced and sent each time.
fn describe(alarm: ApplianceAlarm, observed: &Observation, jump_ms: i64) -> RaisedAlarm {
    let (message, advice) = match alarm {
        ApplianceAlarm::RecorderSilent => (
            format!(
                "The recorder has not responded for {}.",
                span(observed.silent_for)
            ),
            "Check the capture device and its cable. If the alarm stays, restart the service sortie-capture-agent.",
        ),
        ApplianceAlarm::DiskNearlyFull => (
            format!(
                "The disk is nearly full of recordings that the central server does not have: {} MB wait, {} MB are left.",
                observed.unforwarded_bytes / 1_000_000,
                observed.room_bytes.unwrap_or(0) / 1_000_000,
            ),
            "Check the connection to the central server and its free space, or save recordings elsewhere and delete them \
             here.",
        ),
        ApplianceAlarm::ForwardLag => (
            format!(
                "Recordings have waited for the central server for {}.",
                span(observed.lag)
            ),
            "Check the connection to the central server, its bandwidth, and the problem under Forwarding.",
        ),
        ApplianceAlarm::ClockJump => (
            format!(
                "The clock was set {} by {}.",
                if jump_ms < 0 { "back" } else { "forward" },
                span(Duration::from_millis(jump_ms.unsigned_abs())),
            ),
            "Check the time and the time server of the appliance. Names and dates of recordings follow its clock. The alarm \
             ends after an hour without a change.",
        ),
    };
    RaisedAlarm {
        alarm,
        message,
        advice: advice.to_owned(),
    }
}

/// Duration in its largest unit.
fn span(time: Duration) -> String {
    // Rounded: of a clock set by an hour, a millisecond may have passed.
    let seconds = time.saturating_add(Duration::from_millis(500)).as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        silence: Duration::from_secs(60),
        disk_percent: Some(80),
        lag: Some(Duration::from_secs(3600)),
    };
    const CALM: Observation = Observation {
        wall_ms: 1_700_000_000_000,
        silent_for: Duration::ZERO,
        unforwarded_bytes: 0,
        room_bytes: Some(1000),
        lag: Duration::ZERO,
    };

    fn names(alarms: &Alarms) -> Vec<&'static str> {
        let raised = alarms.raised().iter();
        raised.map(|raised| raised.alarm.name()).collect()
    }

    #[test]
    fn each_alarm_is_raised_and_cleared_with_its_text() {
        let mut alarms = Alarms::new(LIMITS);
        assert_eq!(alarms.observe(Duration::ZERO, &CALM), []);
        let bad = Observation {
            wall_ms: CALM.wall_ms - 7_200_000,
            silent_for: Duration::from_secs(61),
            unforwarded_bytes: 900_000_000,
            room_bytes: Some(100_000_000),
            lag: Duration::from_secs(3600),
        };
        let raised = alarms.observe(Duration::from_secs(1), &bad);
        let texts: Vec<&str> = raised.iter().map(|it| it.alarm.message.as_str()).collect();
        assert_eq!(
            texts,
            [
                "The recorder has not responded for 61 seconds.",
                "The disk is nearly full of recordings that the central server does not have: 900 MB wait, 100 MB are left.",
                "Recordings have waited for the central server for 60 minutes.",
                "The clock was set back by 2 hours.",
            ]
        );
        let later = Observation {
            wall_ms: bad.wall_ms + 1000,
            ..CALM
        };
        let cleared = alarms.observe(Duration::from_secs(2), &later);
        assert!(cleared.iter().all(|it| !it.is_raised) && cleared.len() == 3);
        assert_eq!(names(&alarms), ["clock_jump"]);
        let later = Observation {
            wall_ms: bad.wall_ms + 3_600_000,
            ..CALM
        };
        alarms.observe(Duration::from_secs(3601), &later);
        assert_eq!(names(&alarms), [""; 0]);
    }

    #[test]
    fn disabled_limits_and_missing_forwarding_raise_nothing() {
        let mut alarms = Alarms::new(Limits {
            disk_percent: None,
            lag: None,
            ..LIMITS
        });
        let bad = Observation {
            unforwarded_bytes: 900,
            room_bytes: Some(0),
            lag: Duration::MAX,
            ..CALM
        };
        assert_eq!(alarms.observe(Duration::ZERO, &bad), []);
        let full = Observation {
            room_bytes: Some(0),
            ..CALM
        };
        let mut alarms = Alarms::new(LIMITS);
        assert_eq!(alarms.observe(Duration::ZERO, &full), []);
    }

    fn observation() -> impl Strategy<Value = Observation> {
        (
            any::<i64>(),
            0..100_u64,
            any::<u64>(),
            any::<Option<u64>>(),
            0..7200_u64,
        )
            .prop_map(|(wall_ms, silent, unforwarded_bytes, room_bytes, lag)| {
                Observation {
                    wall_ms,
                    silent_for: Duration::from_secs(silent),
                    unforwarded_bytes,
                    room_bytes,
                    lag: Duration::from_secs(lag),
                }
            })
    }

    proptest! {
        /// Compares each alarm with the definition: the last value outside the band of hysteresis decides.
        #[test]
        fn last_value_outside_hysteresis_decides(
            steps in prop::collection::vec((0..4000_u64, observation()), 0..40),
        ) {
            let mut alarms = Alarms::new(LIMITS);
            let (mut now, mut last) = (Duration::ZERO, None::<(Duration, i64)>);
            let mut expected = [false; 4];
            let mut jumped = None;
            for (passed, observed) in steps {
                now += Duration::from_secs(passed);
                let before = names(&alarms);
                let transitions = alarms.observe(now, &observed);
                let mut decide = |at: usize, raise: bool, clear: bool| {
                    expected[at] = (expected[at] || raise) && !clear;
                };
                decide(0, observed.silent_for.as_secs() >= 60, observed.silent_for.as_secs() <= 5);
                if let Some(room) = observed.room_bytes {
                    let waiting = u128::from(observed.unforwarded_bytes);
                    let all = (waiting + u128::from(room)).max(1);
                    decide(1, waiting * 100 / all >= 80, waiting * 100 / all <= 70);
                }
                decide(2, observed.lag.as_secs() >= 3600, observed.lag.as_secs() <= 1800);
                if let Some((then, wall)) = last {
                    let by = i128::from(observed.wall_ms.saturating_sub(wall))
                        - i128::try_from((now - then).as_millis()).unwrap();
                    if by.abs() >= 60_000 {
                        jumped = Some(now);
                    }
                }
                last = Some((now, observed.wall_ms));
                expected[3] = jumped.is_some_and(|at| now < at + Duration::from_secs(3600));
                let is = ApplianceAlarm::ALL.map(|alarm| names(&alarms).contains(&alarm.name()));
                prop_assert_eq!(is, expected);
                // Transitions are exactly the differences.
                for transition in &transitions {
                    let name = transition.alarm.alarm.name();
                    prop_assert_eq!(before.contains(&name), !transition.is_raised);
                    prop_assert_eq!(names(&alarms).contains(&name), transition.is_raised);
                }
                let changed = ApplianceAlarm::ALL.iter().filter(|alarm| {
                    before.contains(&alarm.name()) != names(&alarms).contains(&alarm.name())
                });
                prop_assert_eq!(changed.count(), transitions.len());
            }
        }

        #[test]
        fn clock_that_drifts_by_less_than_a_minute_raises_nothing(
            steps in prop::collection::vec((0..100_u64, -59_000..59_000_i64), 0..40),
        ) {
            let mut alarms = Alarms::new(LIMITS);
            let (mut now, mut wall_ms) = (Duration::ZERO, 0);
            for (passed, drift) in steps {
                now += Duration::from_secs(passed);
                wall_ms += i64::try_from(passed).unwrap() * 1000 + drift;
                prop_assert_eq!(alarms.observe(now, &Observation { wall_ms, ..CALM }), vec![]);
            }
        }
    }
}
