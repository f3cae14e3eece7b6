//! The debounced state machine.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Config, Evidence, Input, Output, Picture, Signal};

/// Decides what the state of an input is from what is observed of it.
///
/// Call order, as often as there is something to say:
///
/// 1. [`handle_input`](Self::handle_input) with what happened, or
///    [`handle_timeout`](Self::handle_timeout) when the time of the last
///    [`poll_timeout`](Self::poll_timeout) has come;
/// 2. [`poll_output`](Self::poll_output) until it returns `None`;
/// 3. [`poll_timeout`](Self::poll_timeout) for when to call again at the latest.
///
/// Time is that of any monotonic clock since any fixed moment; where it goes backwards it is taken
/// as standing still. Being called late changes nothing about what is decided.
///
/// Every change other than to [`Signal::NoDevice`] comes at least [`Config::debounce`] after the
/// change before it; the loss of the device is reported at once, and only once.
#[derive(Debug)]
pub struct Monitor {
    config: Config,
    now: Duration,
    /// What the device is judged by; `None` while there is none.
    evidence: Option<Evidence>,
    settled: Signal,
    /// What has been observed without exception since when, if it is not what is settled.
    candidate: Option<(Signal, Duration)>,
    /// When a device judged by its frames has gone without one for too long.
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
    /// Starts without a device.
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

    /// What is believed at the time of the last call.
    #[must_use]
    pub fn signal(&self) -> Signal {
        self.settled
    }

    /// Takes in what was observed at `now`. What does not fit the device's evidence, or comes from
    /// a device that is gone, is ignored.
    pub fn handle_input(&mut self, now: Duration, input: Input) {
        self.advance(now);
        match (input, self.evidence) {
            (Input::DeviceFound(evidence), _) => self.found(evidence),
            (Input::DeviceLost, Some(_)) => self.lost(),
            // What was measured before the event says nothing about what comes after it, not
            // even that the two are the same: the waiting starts again with the next reading.
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
                    Picture::NoSignalCard => Signal::NoSignal,
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
        // With no debounce what was observed is due at once.
        self.advance(now);
    }

    /// Lets time pass until `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.advance(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called unless something happens
    /// before; `None` while only an input can change anything.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.next_timer().map(|(at, _)| at)
    }

    /// The next thing to do, changes in their order first.
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
            // Starting a stream takes a grabber longer than the debounce: no "no signal" that
            // would only flash up before the first frame.
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

    /// The device was found to be in a state.
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
        // `min_by_key` takes the first of equals: what has been held long enough is settled
        // before a stall of the same moment speaks against it.
        [settle, stall, query]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    /// Fires what became due until `until`, in the order in which it became due.
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
                // However late this is: one question, not one for each interval missed.
                Timer::Query => self.query(until),
            }
        }
        self.now = until;
    }
}

/// Shorter would be a busy loop.
const MIN_QUERY_INTERVAL: Duration = Duration::from_millis(1);
