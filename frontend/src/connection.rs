//! Reachability of the device and the schedule of retries.

/// Seconds before each retry. An appliance restarts in about a minute.
const WAITS: [u32; 8] = [2, 4, 8, 15, 30, 30, 30, 30];
/// Probe interval while the event stream is open: a device that loses power leaves a connection that looks open.
const PROBE_WITH_EVENTS_S: u32 = 10;
/// Probe interval without an event stream.
const PROBE_S: u32 = 2;

/// State of the connection. The caller runs [`tick`](Self::tick) once a second while the page is visible, probes the
/// device when it returns `true`, and reports the result to [`on_answer`](Self::on_answer) or
/// [`on_failure`](Self::on_failure).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// The device answers requests.
    Reachable {
        /// Seconds since the last answer.
        quiet_s: u32,
    },
    /// The device does not answer; a retry is scheduled.
    Waiting {
        /// Number of failed retries.
        tries: usize,
        /// Seconds until the next retry.
        left_s: u32,
    },
    /// A retry is in flight.
    Trying {
        /// Failed retries before this one.
        tries: usize,
    },
    /// All retries have failed.
    GivenUp,
}

impl Default for Connection {
    fn default() -> Self {
        Self::Reachable { quiet_s: 0 }
    }
}

impl Connection {
    /// Advances by one second; returns whether the caller must probe the device. `has_events`: whether the event stream
    /// is open.
    pub fn tick(&mut self, has_events: bool) -> bool {
        match self {
            Self::Reachable { quiet_s } => {
                *quiet_s += 1;
                let most = if has_events {
                    PROBE_WITH_EVENTS_S
                } else {
                    PROBE_S
                };
                let is_due = *quiet_s >= most;
                if is_due {
                    *quiet_s = 0;
                }
                is_due
            }
            Self::Waiting { tries, left_s } => {
                *left_s = left_s.saturating_sub(1);
                let is_due = *left_s == 0;
                if is_due {
                    *self = Self::Trying { tries: *tries };
                }
                is_due
            }
            Self::Trying { .. } | Self::GivenUp => false,
        }
    }

    /// Records that the device answered or sent an event. Returns whether it was unreachable, so that all data must be
    /// loaded again.
    pub fn on_answer(&mut self) -> bool {
        let was_lost = self.is_unreachable();
        *self = Self::default();
        was_lost
    }

    /// Records that a probe failed.
    pub fn on_failure(&mut self) {
        let tries = match *self {
            Self::Reachable { .. } => 0,
            Self::Trying { tries } => tries + 1,
            Self::Waiting { .. } | Self::GivenUp => return,
        };
        *self = match WAITS.get(tries) {
            Some(&left_s) => Self::Waiting { tries, left_s },
            None => Self::GivenUp,
        };
    }

    /// Skips the waiting time; returns whether the caller must probe the device.
    pub fn retry_now(&mut self) -> bool {
        match *self {
            Self::Waiting { tries, .. } => *self = Self::Trying { tries },
            Self::Reachable { .. } | Self::Trying { .. } | Self::GivenUp => return false,
        }
        true
    }

    /// Whether the device is unreachable.
    pub fn is_unreachable(self) -> bool {
        !matches!(self, Self::Reachable { .. })
    }

    /// Progress of the retries; empty while the device answers and after the last retry.
    pub fn progress(self) -> String {
        let of = WAITS.len();
        match self {
            Self::Reachable { .. } | Self::GivenUp => String::new(),
            Self::Waiting { tries, left_s } => {
                format!("Trying again in {left_s} s (try {} of {of})", tries + 1)
            }
            Self::Trying { tries } => format!("Trying again now (try {} of {of})", tries + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the seconds until the next probe.
    fn seconds_until_probe(connection: &mut Connection, has_events: bool) -> u32 {
        (1..1000)
            .find(|_| connection.tick(has_events))
            .expect("it is never asked")
    }

    #[test]
    fn probes_are_more_frequent_without_events() {
        let mut connection = Connection::default();
        assert_eq!(
            seconds_until_probe(&mut connection, true),
            PROBE_WITH_EVENTS_S
        );
        assert_eq!(seconds_until_probe(&mut connection, false), PROBE_S);
        assert!(!connection.on_answer());
    }

    #[test]
    fn event_postpones_the_next_probe() {
        let mut connection = Connection::default();
        for _ in 1..PROBE_WITH_EVENTS_S {
            assert!(!connection.tick(true));
        }
        connection.on_answer();
        assert!(!connection.tick(true));
    }

    #[test]
    fn retries_end_and_an_answer_reconnects() {
        let mut connection = Connection::default();
        connection.on_failure();
        for (number, wait) in WAITS.into_iter().enumerate() {
            let progress = format!("Trying again in {wait} s (try {} of 8)", number + 1);
            assert_eq!(connection.progress(), progress);
            assert!(connection.is_unreachable());
            assert_eq!(seconds_until_probe(&mut connection, false), wait);
            assert_eq!(connection, Connection::Trying { tries: number });
            assert!(!connection.tick(false), "it is being asked already");
            connection.on_failure();
        }
        assert_eq!(connection, Connection::GivenUp);
        assert!(!connection.tick(false));
        assert!(!connection.retry_now(), "a reload is offered instead");
        assert!(connection.on_answer());
        assert_eq!(connection, Connection::default());
        assert_eq!(connection.progress(), "");
    }

    #[test]
    fn retry_now_skips_the_wait() {
        let mut connection = Connection::default();
        assert!(!connection.retry_now());
        connection.on_failure();
        assert!(connection.retry_now());
        assert_eq!(connection.progress(), "Trying again now (try 1 of 8)");
        // A late failure of an older probe.
        let mut waiting = Connection::Waiting {
            tries: 1,
            left_s: 3,
        };
        waiting.on_failure();
        assert_eq!(
            waiting,
            Connection::Waiting {
                tries: 1,
                left_s: 3
            }
        );
    }
}
