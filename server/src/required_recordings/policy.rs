//! Decides when the required recording of a session is missing, and when it is back. Pure: readings are arguments.

use std::collections::HashMap;
use std::time::Duration;

/// A delay between two observations above this is an absence of the server, not silence of senders.
const ABSENCE: Duration = Duration::from_secs(15);

/// State of a running session whose recording is required.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Observation {
    pub(super) session: String,
    /// Whether the recording is reported as missing.
    pub(super) is_missing: bool,
    /// Number of returns reported by any server.
    pub(super) resumes: i64,
    /// ID and durable bytes of each open recording.
    pub(super) recordings: Vec<(String, u64)>,
}

/// Change of a session that the audit log reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    /// No live byte has arrived for this time, at this number of returns.
    Missing { quiet: Duration, resumes: i64 },
    /// Live bytes arrive again.
    Resumed,
}

/// A session as last observed.
#[derive(Debug)]
struct Tracked {
    /// Monotonic reading of the last live byte, or of the moment from which silence counts.
    quiet_since: Duration,
    resumes: i64,
    recordings: HashMap<String, u64>,
}

/// Policy over all running sessions whose recording is required. Call [`Self::observe`] periodically with all of them.
///
/// Silence counts from the first observation at the earliest, and from the end of an absence: after a restart or a pause
/// of the server, senders have the whole time to return. What is reported is not kept here but in the database, so that it
/// survives a restart and several servers report it once. A server that learns of bytes late, because another one
/// receives them, reports a return only for bytes that are new to it; the limit must exceed that delay.
#[derive(Debug)]
pub(super) struct MissingPolicy {
    limit: Duration,
    last_schedule: Option<Duration>,
    sessions: HashMap<String, Tracked>,
}

impl MissingPolicy {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            last_schedule: None,
            sessions: HashMap::new(),
        }
    }

    /// Takes the state of all sessions at a monotonic reading; returns what to report, by session. `schedule` is
    /// [`crate::clock::Clock::schedule`].
    pub(super) fn observe(
        &mut self,
        now: Duration,
        schedule: Duration,
        observations: &[Observation],
    ) -> Vec<(String, Alarm)> {
        let last = self.last_schedule.replace(schedule);
        let was_absent = last.is_some_and(|last| schedule.saturating_sub(last) > ABSENCE);
        let mut before = std::mem::take(&mut self.sessions);
        let mut alarms = Vec::new();
        for observation in observations {
            let mut tracked = Tracked {
                quiet_since: now,
                resumes: observation.resumes,
                recordings: observation.recordings.iter().cloned().collect(),
            };
            if let Some(before) = before.remove(&observation.session) {
                let is_live = observation.recordings.iter().any(|(id, bytes)| {
                    *bytes > before.recordings.get(id).copied().unwrap_or_default()
                });
                if is_live && observation.is_missing {
                    alarms.push((observation.session.clone(), Alarm::Resumed));
                }
                // Another server has seen bytes of which this one does not know yet.
                let is_live_elsewhere = observation.resumes != before.resumes;
                if !is_live && !is_live_elsewhere && !was_absent {
                    tracked.quiet_since = before.quiet_since.min(now);
                    let quiet = now - tracked.quiet_since;
                    if quiet >= self.limit && !observation.is_missing {
                        alarms.push((
                            observation.session.clone(),
                            Alarm::Missing {
                                quiet,
                                resumes: observation.resumes,
                            },
                        ));
                    }
                }
            }
            self.sessions.insert(observation.session.clone(), tracked);
        }
        alarms
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LIMIT: Duration = Duration::from_secs(30);
    const TICK: u64 = 5;

    fn session(is_missing: bool, resumes: i64, bytes: Option<u64>) -> Vec<Observation> {
        vec![Observation {
            session: "s".to_owned(),
            is_missing,
            resumes,
            recordings: bytes
                .map(|bytes| ("r".to_owned(), bytes))
                .into_iter()
                .collect(),
        }]
    }

    /// One session and the flag in the database.
    struct Run {
        policy: MissingPolicy,
        now: Duration,
        is_missing: bool,
    }

    impl Run {
        fn new() -> Self {
            Self {
                policy: MissingPolicy::new(LIMIT),
                now: 1000 * SECOND,
                is_missing: false,
            }
        }

        /// Advances by a number of seconds, in one step, and observes.
        fn after(&mut self, seconds: u64, bytes: Option<u64>) -> Option<Alarm> {
            self.now += Duration::from_secs(seconds);
            let observed = session(self.is_missing, 0, bytes);
            let mut alarms = self.policy.observe(self.now, self.now, &observed);
            assert!(alarms.len() <= 1, "{alarms:?}");
            let alarm = alarms.pop().map(|(_, alarm)| alarm);
            match alarm {
                Some(Alarm::Missing { .. }) => self.is_missing = true,
                Some(Alarm::Resumed) => self.is_missing = false,
                None => {}
            }
            alarm
        }
    }

    #[test]
    fn session_without_a_recording_is_missing_once_and_resumes_with_bytes() {
        let mut run = Run::new();
        assert_eq!(run.after(0, None), None);
        for _ in 0..5 {
            assert_eq!(run.after(TICK, None), None);
        }
        assert_eq!(
            run.after(TICK, None),
            Some(Alarm::Missing {
                quiet: LIMIT,
                resumes: 0
            })
        );
        assert_eq!(run.after(TICK, None), None);
        assert_eq!(
            run.after(TICK, Some(0)),
            None,
            "an empty recording is not live"
        );
        assert_eq!(run.after(TICK, Some(10)), Some(Alarm::Resumed));
        assert_eq!(run.after(TICK, Some(20)), None);
    }

    #[test]
    fn restart_repeats_no_alarm_and_waits_for_new_bytes() {
        let mut run = Run::new();
        run.is_missing = true;
        assert_eq!(run.after(0, Some(500)), None, "bytes of before the restart");
        assert_eq!(run.after(TICK, Some(500)), None);
        assert_eq!(run.after(TICK, Some(501)), Some(Alarm::Resumed));
    }

    #[test]
    fn absence_restarts_the_silence_of_all_sessions() {
        let mut policy = MissingPolicy::new(LIMIT);
        let many: Vec<_> = (0..1000)
            .map(|number| Observation {
                session: number.to_string(),
                ..Observation::default()
            })
            .collect();
        let at = |seconds: u64| Duration::from_secs(1000 + seconds);
        assert!(policy.observe(at(0), at(0), &many).is_empty());
        assert!(policy.observe(at(25), at(5), &many).is_empty());
        assert!(policy.observe(at(3600), at(3600), &many).is_empty());
        assert!(policy.observe(at(3629), at(3605), &many).is_empty());
        assert_eq!(policy.observe(at(3630), at(3606), &many).len(), 1000);
    }

    #[test]
    fn ended_sessions_are_forgotten() {
        let mut policy = MissingPolicy::new(LIMIT);
        policy.observe(SECOND, SECOND, &session(false, 0, None));
        policy.observe(2 * SECOND, 2 * SECOND, &[]);
        assert!(policy.sessions.is_empty());
    }

    proptest! {
        /// An alarm follows a silence of at least the limit, and no silence much longer than the limit is without one.
        #[test]
        fn alarm_follows_silence_of_the_limit(steps in prop::collection::vec((0_u64..60, 0_u64..3), 1..80)) {
            let mut run = Run::new();
            let (mut bytes, mut quiet) = (0, Duration::ZERO);
            run.after(0, Some(bytes));
            for (seconds, grown) in steps {
                bytes += grown;
                let was_missing = run.is_missing;
                let alarm = run.after(seconds, Some(bytes));
                let absent = Duration::from_secs(seconds) > ABSENCE;
                quiet = if grown > 0 || absent { Duration::ZERO } else { quiet + Duration::from_secs(seconds) };
                let expected = match (was_missing, grown > 0) {
                    (true, true) => Some(Alarm::Resumed),
                    (false, false) if quiet >= LIMIT => Some(Alarm::Missing { quiet, resumes: 0 }),
                    _ => None,
                };
                prop_assert_eq!(alarm, expected);
            }
        }

        /// Two servers on one database, one of which learns of bytes up to ten seconds late: reports alternate, a missing
        /// recording is reported after a silence only, and a return after new bytes only.
        #[test]
        fn late_server_causes_no_false_report(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0_usize..3), 1..120),
        ) {
            let mut servers = [MissingPolicy::new(LIMIT), MissingPolicy::new(LIMIT)];
            let (mut is_missing, mut resumes) = (false, 0);
            // Bytes after each step, and the step up to which each server knows them.
            let (mut history, mut known) = (vec![0_u64], [0, 0]);
            for (grows, late_first, delay) in steps {
                let newest = history[history.len() - 1];
                history.push(newest + u64::from(grows));
                let now = Duration::from_secs(1000 + TICK * history.len() as u64);
                for server in if late_first { [1, 0] } else { [0, 1] } {
                    let late = if server == 1 { delay } else { 0 };
                    known[server] = known[server].max((history.len() - 1).saturating_sub(late));
                    let bytes = history[known[server]];
                    // Steps of silence up to the last step that this server knows.
                    let known_steps = &history[..=known[server]];
                    let quiet = known_steps.iter().rev().take_while(|it| **it == bytes).count() - 1;
                    let silence = Duration::from_secs(TICK * quiet as u64);
                    let observed = session(is_missing, resumes, Some(bytes));
                    for (_, alarm) in servers[server].observe(now, now, &observed) {
                        match alarm {
                            Alarm::Missing { .. } => {
                                prop_assert!(!is_missing);
                                prop_assert!(silence >= LIMIT - Duration::from_secs(2 * TICK));
                                is_missing = true;
                            }
                            Alarm::Resumed => {
                                prop_assert!(is_missing);
                                prop_assert!(silence <= Duration::from_secs(2 * TICK));
                                is_missing = false;
                                resumes += 1;
                            }
                        }
                    }
                }
            }
        }
    }
}
