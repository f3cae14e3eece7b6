//! State machine that decides when to record. No I/O and no clock.

use std::collections::VecDeque;
use std::time::Duration;

use sortie_api::RecorderProblem;

use crate::problem::Problem;
use crate::signal::{Mode, Signal};

/// Timeouts of a [`Controller`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Longest time without durable bytes before a recording fails.
    pub silence: Duration,
    /// Delay after the first failure; doubles with each further one, up to 64 times.
    pub retry: Duration,
    /// Longest loss of the signal within one session.
    pub gap: Duration,
}

impl Default for Timeouts {
    /// Returns 10 s, 500 ms and 60 s.
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(10),
            retry: Duration::from_millis(500),
            gap: Duration::from_secs(60),
        }
    }
}

/// Cause of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The user pressed Start.
    Hand,
    /// A signal arrived while auto-record was on.
    Signal,
}

/// Input of a [`Controller`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// New state of the input signal.
    Signal(Signal),
    /// Auto-record was turned on or off.
    Auto(bool),
    /// The user pressed Start.
    Start,
    /// The user pressed Stop.
    Stop,
    /// Whether the disk has more free space than the reserve.
    Room(bool),
    /// Whether storage use is above the threshold and only recordings that are not forwarded yet could be deleted.
    Backlog(bool),
    /// Bytes of the file became durable.
    Written,
    /// The pipeline receives another signal than it was started for; the new signal is not known yet.
    Changed,
    /// The stopped pipeline has ended; its file is finished or about to be.
    Stopped,
    /// The pipeline could not be started, or stalled.
    Broken {
        reason: Problem,
        /// Whether another encoder may work.
        encoder: bool,
    },
}

/// Command of a [`Controller`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Start a pipeline for this mode; its first frame begins a file. [`Input::Broken`] reports a failure.
    Start {
        mode: Mode,
        cause: Cause,
        /// Whether it begins a session; otherwise its file belongs to the current one.
        new_session: bool,
    },
    /// Deliver the last frames, finish the file, then report [`Input::Stopped`].
    Stop,
    /// Drop the stalled pipeline and finish the file, without a report.
    Abandon,
    /// Do not use the current encoder again while another works.
    PassOver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Running {
        mode: Mode,
        /// Time of the last durable bytes, or of the start.
        alive: Duration,
    },
    Stopping,
}

/// Decides when to record, from the signal, the user's requests and failures.
///
/// Call [`handle_input`](Self::handle_input) for each input, and [`handle_timeout`](Self::handle_timeout) at the time
/// of [`poll_timeout`](Self::poll_timeout); then [`poll_output`](Self::poll_output) until it returns `None`. Times are
/// of any monotonic clock.
///
/// - It records while there is a steady signal and room on the disk, and the user or auto-record requests it.
/// - A manual start lasts until a manual stop, across losses of the signal. A manual stop overrides auto-record until the
///   signal has been lost once.
/// - A change of mode, a loss of the signal and a failure end the file; the next one belongs to the same session.
/// - At most one pipeline exists at a time.
#[derive(Debug)]
pub struct Controller {
    timeouts: Timeouts,
    signal: Signal,
    auto: bool,
    /// Whether the user has started recording and not stopped it since.
    by_hand: bool,
    /// Whether the user has stopped recording during the current signal.
    declined: bool,
    room: bool,
    backlog: bool,
    phase: Phase,
    /// Whether a session is open.
    session: bool,
    /// Time of the loss of the signal that ended recording: the session stays open for a while.
    ended: Option<Duration>,
    /// Failures since bytes became durable.
    failures: u32,
    retry_at: Option<Duration>,
    problem: Option<Problem>,
    outputs: VecDeque<Output>,
}

impl Controller {
    /// Creates a controller without a signal, with auto-record off and space on the disk.
    #[must_use]
    pub fn new(timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            signal: Signal::NoDevice,
            auto: false,
            by_hand: false,
            declined: false,
            room: true,
            backlog: false,
            phase: Phase::Idle,
            session: false,
            ended: None,
            failures: 0,
            retry_at: None,
            problem: None,
            outputs: VecDeque::new(),
        }
    }

    #[must_use]
    pub fn signal(&self) -> Signal {
        self.signal
    }

    #[must_use]
    pub fn auto(&self) -> bool {
        self.auto
    }

    #[must_use]
    pub fn is_recording(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// Returns the cause of the recording in progress. A start by the user during an automatic recording makes it manual.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.is_recording().then(|| self.wanted_cause())
    }

    fn wanted_cause(&self) -> Cause {
        match self.by_hand {
            true => Cause::Hand,
            false => Cause::Signal,
        }
    }

    /// Whether a recording is requested, in progress or not.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.by_hand || (self.auto && !self.declined)
    }

    /// Returns the reason that prevents a recording, or ended the last one.
    #[must_use]
    pub fn problem(&self) -> Option<Problem> {
        match (self.room, self.backlog) {
            // The remedy for a full disk, to delete recordings, would delete the only copies.
            (_, true) => Some(Problem::new(RecorderProblem::NotForwarded, NOT_FORWARDED)),
            (false, false) => Some(Problem::new(RecorderProblem::DiskFull, NO_ROOM)),
            (true, false) => self.problem.clone(),
        }
    }

    /// Processes an input at `now`.
    pub fn handle_input(&mut self, now: Duration, input: Input) {
        match input {
            Input::Signal(signal) => self.signal_is(now, signal),
            Input::Auto(auto) => {
                self.auto = auto;
                self.declined = false;
            }
            Input::Start => {
                self.by_hand = true;
                self.declined = false;
                self.retry_at = None;
            }
            Input::Stop => {
                self.by_hand = false;
                self.declined = true;
                self.session = false;
                self.retry_at = None;
                self.problem = None;
            }
            Input::Room(room) => self.room = room,
            Input::Backlog(backlog) => self.backlog = backlog,
            Input::Written => {
                if let Phase::Running { alive, .. } = &mut self.phase {
                    *alive = now;
                    self.failures = 0;
                    self.problem = None;
                }
            }
            Input::Changed => {
                if matches!(self.phase, Phase::Running { .. }) {
                    self.phase = Phase::Stopping;
                    self.outputs.push_back(Output::Stop);
                    // The new signal is known by then; a known change starts immediately.
                    self.retry_at = Some(now.saturating_add(self.timeouts.retry));
                }
            }
            Input::Stopped => {
                if self.phase == Phase::Stopping {
                    self.phase = Phase::Idle;
                }
            }
            Input::Broken { reason, encoder } => self.broken(now, reason, encoder),
        }
        self.decide(now);
    }

    /// Advances the time to `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        if let Phase::Running { alive, .. } = self.phase
            && now >= alive.saturating_add(self.timeouts.silence)
        {
            let seconds = self.timeouts.silence.as_secs();
            let words = format!("no picture was written for {seconds} s");
            let reason = Problem::new(RecorderProblem::NoPicture, words);
            self.broken(now, reason, false);
        }
        if self.retry_at.is_some_and(|at| now >= at) {
            self.retry_at = None;
        }
        self.decide(now);
    }

    /// Returns the time at which [`handle_timeout`](Self::handle_timeout) must be called unless an input comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let silence = match self.phase {
            Phase::Running { alive, .. } => Some(alive.saturating_add(self.timeouts.silence)),
            Phase::Idle | Phase::Stopping => None,
        };
        [silence, self.retry_at].into_iter().flatten().min()
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn signal_is(&mut self, now: Duration, signal: Signal) {
        let lost = matches!(self.signal, Signal::Steady(_)) && !matches!(signal, Signal::Steady(_));
        self.signal = signal;
        // Retries immediately: the new signal may have removed the cause of the failure.
        self.retry_at = None;
        if lost {
            self.declined = false;
            self.ended = Some(now);
        }
    }

    fn broken(&mut self, now: Duration, reason: Problem, encoder: bool) {
        if self.phase == Phase::Idle {
            return;
        }
        self.outputs.push_back(Output::Abandon);
        if encoder {
            self.outputs.push_back(Output::PassOver);
        }
        self.phase = Phase::Idle;
        self.problem = Some(reason);
        let wait = self.timeouts.retry * 2_u32.pow(self.failures.min(6));
        self.failures = self.failures.saturating_add(1);
        // After the first failure another encoder starts without a delay.
        self.retry_at = (!encoder || self.failures > 1).then(|| now.saturating_add(wait));
    }

    /// Starts or stops according to the current state.
    fn decide(&mut self, now: Duration) {
        let wanted = match self.signal {
            Signal::Steady(mode) if self.is_wanted() && self.room && !self.backlog => Some(mode),
            _ => None,
        };
        match (self.phase, wanted) {
            (Phase::Running { mode, .. }, Some(wanted)) if wanted.is_same_as(&mode) => {}
            (Phase::Running { .. }, _) => {
                self.phase = Phase::Stopping;
                self.outputs.push_back(Output::Stop);
            }
            (Phase::Idle, Some(mode)) if self.retry_at.is_none() => {
                let gap = self.ended.take();
                let over = gap.is_some_and(|ended| now.saturating_sub(ended) > self.timeouts.gap);
                // A manual recording is one session until Stop, however long the signal is lost.
                let new_session = !self.session || (over && !self.by_hand);
                self.session = true;
                self.phase = Phase::Running { mode, alive: now };
                self.outputs.push_back(Output::Start {
                    mode,
                    cause: self.wanted_cause(),
                    new_session,
                });
            }
            (Phase::Idle | Phase::Stopping, _) => {}
        }
        if !self.is_wanted() {
            self.session = false;
        }
    }
}

const NO_ROOM: &str = "the disk is full";
const NOT_FORWARDED: &str = "recording is stopped because storage use is above the threshold and the remaining \
    recordings have not been sent to the central server yet";
