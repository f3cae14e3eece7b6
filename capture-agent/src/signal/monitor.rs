//! Debounced state machine of the signal.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Config, Evidence, Input, Output, Picture, Signal};

/// Derives the state of the input from observations.
///
/// Call order:
///
/// 1. [`handle_input`](Self::handle_input) for each input, and
///    [`handle_timeout`](Self::handle_timeout) at the time of the last
///    [`poll_timeout`](Self::poll_timeout);
/// 2. [`poll_output`](Self::poll_output) until it returns `None`;
/// 3. [`poll_timeout`](Self::poll_timeout) for the latest time of the next call.
///
/// Times are of any monotonic clock; a time before the last one counts as the last one. A late call decides the same as
/// a punctual one.
///
/// Changes are at least [`Config::debounce`] apart, except the loss of the device, which is reported immediately and
/// once.
#[derive(Debug)]
pub struct Monitor {
    config: Config,
    now: Duration,
    /// Evidence of the device; `None` without one.
    evidence: Option<Evidence>,
    settled: Signal,
    /// Observed state that differs from the stable one, and the time since which it is observed.
    candidate: Option<(Signal, Duration)>,
    /// Time at which a grabber without frames has no signal.
    stall_at: Option<Duration>,
    query_at: Option<Duration>,
    query_wanted: bool,
    changes: VecDeque<Output>,
}

enum Timer {
    Settle,
    Stall,
    Query,
}

impl Monitor {
    /// Creates a monitor without a device.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            now: Duration::ZERO,
            evidence: None,
            settled: Signal::NoDevice,
            candidate: None,
            stall_at: None,
            query_at: None,
            query_wanted: false,
            changes: VecDeque::new(),
        }
    }

    /// Returns the state at the last call.
    #[must_use]
    pub fn signal(&self) -> Signal {
        self.settled
    }

    /// Processes an observation at `now`. Ignores inputs that do not match the device's evidence, or come from a lost
    /// device.
    pub fn handle_input(&mut self, now: Duration, input: Input) {
        self.advance(now);
        match (input, self.evidence) {
            (Input::DeviceFound(evidence), _) => self.found(evidence),
            (Input::DeviceLost, Some(_)) => self.lost(),
            // Discards earlier readings: the signal after the event may be a different one. The debounce restarts with
            // the next reading.
            (Input::SourceChange, Some(Evidence::Timings | Evidence::Announced)) => {
                self.candidate = None;
                self.query(self.now);
            }
            (Input::Timings(reading), Some(Evidence::Timings | Evidence::Announced)) => {
                self.observe(reading.into(), self.now)
            }
            (Input::Frame { mode, picture }, Some(Evidence::Frames)) => {
                self.stall_at = Some(self.now.saturating_add(self.config.stall_after));
                let observed = match picture {
                    Picture::Content => Signal::Steady(mode),
                    Picture::NoSignalPattern => Signal::NoSignal,
                };
                self.observe(observed, self.now);
            }
            (Input::Starting, Some(Evidence::Frames)) => self.stall_at = None,
            (
                Input::DeviceLost
                | Input::SourceChange
                | Input::Starting
                | Input::Timings(_)
                | Input::Frame { .. },
                _,
            ) => {}
        }
        // Without a debounce the observation takes effect now.
        self.advance(now);
    }

    /// Advances the time to `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.advance(now);
    }

    /// Returns the time at which [`handle_timeout`](Self::handle_timeout) must be called unless an input comes before;
    /// `None` if only an input can change the state.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.next_timer().map(|(at, _)| at)
    }

    /// Returns the next command, changes in order first.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.changes
            .pop_front()
            .or_else(|| std::mem::take(&mut self.query_wanted).then_some(Output::Query))
    }

    fn found(&mut self, evidence: Evidence) {
        self.evidence = Some(evidence);
        self.candidate = None;
        self.stall_at = None;
        self.query_at = None;
        match evidence {
            Evidence::Timings | Evidence::Announced => self.query(self.now),
            // A grabber's stream takes longer to start than the debounce: suppresses a short "no signal" before the
            // first frame.
            Evidence::Frames => {
                self.stall_at = Some(self.now.saturating_add(self.config.stall_after))
            }
        }
    }

    fn lost(&mut self) {
        self.evidence = None;
        self.candidate = None;
        self.stall_at = None;
        self.query_at = None;
        self.query_wanted = false;
        self.settle(Signal::NoDevice, self.now);
    }

    fn query(&mut self, at: Duration) {
        self.query_wanted = true;
        let interval = match self.evidence {
            Some(Evidence::Announced) => self.config.check_interval,
            _ => self.config.query_interval,
        };
        let interval = interval.max(MIN_QUERY_INTERVAL);
        self.query_at = Some(at.saturating_add(interval));
    }

    /// Records an observation of the device.
    fn observe(&mut self, observed: Signal, at: Duration) {
        if observed.is_same_as(&self.settled) {
            self.candidate = None;
        } else if !self
            .candidate
            .is_some_and(|(candidate, _)| observed.is_same_as(&candidate))
        {
            self.candidate = Some((observed, at));
        }
    }

    fn settle(&mut self, to: Signal, at: Duration) {
        let from = std::mem::replace(&mut self.settled, to);
        if from != to {
            self.changes.push_back(Output::Changed { from, to, at });
        }
    }

    fn next_timer(&self) -> Option<(Duration, Timer)> {
        let settle = self
            .candidate
            .map(|(_, since)| (since.saturating_add(self.config.debounce), Timer::Settle));
        let stall = self.stall_at.map(|at| (at, Timer::Stall));
        let query = self.query_at.map(|at| (at, Timer::Query));
        // `min_by_key` returns the first of equals: a stable state takes effect before a stall at the same time.
        [settle, stall, query]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    /// Fires the timers due until `until`, in order.
    fn advance(&mut self, until: Duration) {
        let until = until.max(self.now);
        while let Some((at, timer)) = self.next_timer().filter(|(at, _)| *at <= until) {
            match timer {
                Timer::Settle => {
                    if let Some((to, _)) = self.candidate.take() {
                        self.settle(to, at);
                    }
                }
                Timer::Stall => {
                    self.stall_at = None;
                    self.observe(Signal::NoSignal, at);
                }
                // Emits one query after a delay, not one per missed interval.
                Timer::Query => self.query(until),
            }
        }
        self.now = until;
    }
}

/// A shorter interval would be a busy loop.
const MIN_QUERY_INTERVAL: Duration = Duration::from_millis(1);
