//! When to record: pure, without I/O and without a clock.

use std::collections::VecDeque;
use std::time::Duration;

use sortie_api::RecorderProblem;

use crate::problem::Problem;
use crate::signal::{Mode, Signal};

/// How patient a [`Controller`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For how long nothing may become durable while it records.
    pub silence: Duration,
    /// How long to wait after a first failure; each that follows doubles it, up to 64 times.
    pub retry: Duration,
    /// A signal that comes back within this goes on with its session.
    pub gap: Duration,
}

impl Default for Patience {
    /// 10 s, 500 ms and 60 s.
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(10),
            retry: Duration::from_millis(500),
            gap: Duration::from_secs(60),
        }
    }
}

/// Who wanted a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Somebody pressed Start.
    Hand,
    /// There is a signal, and auto-record is on.
    Signal,
}

/// What a [`Controller`] is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The state of the input, whenever it changes.
    Signal(Signal),
    /// Auto-record is on or off.
    Auto(bool),
    /// Somebody pressed Start.
    Start,
    /// Somebody pressed Stop.
    Stop,
    /// Whether the disk has more free space than the reserve.
    Room(bool),
    /// Whether storage use is above the threshold and only recordings that are not forwarded yet could be deleted.
    Backlog(bool),
    /// Bytes have become durable.
    Written,
    /// The pipeline gets something else than it was started for, and the signal has not changed yet.
    Changed,
    /// The pipeline that was to stop has come to its end; its file is finished or about to be.
    Stopped,
    /// The pipeline could not be started, or stands still.
    Broken {
        /// Why.
        reason: Problem,
        /// Whether another encoder may do better.
        encoder: bool,
    },
}

/// What a [`Controller`] wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Start a pipeline for this mode, and with its first frame a file. [`Input::Broken`] if that fails.
    Start {
        /// What arrives.
        mode: Mode,
        /// Who wanted it.
        cause: Cause,
        /// Whether it begins another session; if not, its file belongs to the one before.
        new_session: bool,
    },
    /// Let what is under way come out, finish the file, and say [`Input::Stopped`].
    Stop,
    /// The pipeline stands still: throw it away, finish the file. Nothing more is to be said.
    Abandon,
    /// The encoder in use is not to be tried again, unless nothing else works.
    PassOver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// A pipeline runs.
    Running {
        mode: Mode,
        /// When something last became durable, or when it was started.
        alive: Duration,
    },
    Stopping,
}

/// Decides when to record, from what arrives, what is wanted and what goes wrong.
///
/// Call order, as often as there is something to say: [`handle_input`](Self::handle_input), or
/// [`handle_timeout`](Self::handle_timeout) when the time of [`poll_timeout`](Self::poll_timeout) has come; then
/// [`poll_output`](Self::poll_output) until it returns `None`. Time is that of any monotonic clock.
///
/// - It records while there is a steady signal, room, and somebody or auto-record wants it.
/// - Start by hand holds until Stop by hand, over losses of the signal. Stop by hand holds against auto-record until
///   the signal has gone once.
/// - A change of mode, a loss of the signal and a failure end the file; the next belongs to the same session.
/// - There is never more than one pipeline.
#[derive(Debug)]
pub struct Controller {
    patience: Patience,
    signal: Signal,
    auto: bool,
    /// Started by hand, and not stopped yet.
    by_hand: bool,
    /// Stopped by hand while the signal that is there was there.
    declined: bool,
    room: bool,
    backlog: bool,
    phase: Phase,
    /// Whether there is a session that goes on.
    session: bool,
    /// When recording ended for lack of a signal: the session goes on for a while.
    ended: Option<Duration>,
    /// Failures since something became durable.
    failures: u32,
    retry_at: Option<Duration>,
    problem: Option<Problem>,
    outputs: VecDeque<Output>,
}

impl Controller {
    /// Begins without a signal, with auto-record off and room on the disk.
    #[must_use]
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
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

    /// What arrives, as it was told last.
    #[must_use]
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// Whether auto-record is on.
    #[must_use]
    pub fn auto(&self) -> bool {
        self.auto
    }

    /// Whether a pipeline runs.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// Whether a recording is wanted, under way or not.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.by_hand || (self.auto && !self.declined)
    }

    /// What keeps it from recording, or kept it last.
    #[must_use]
    pub fn problem(&self) -> Option<Problem> {
        match (self.room, self.backlog) {
            (false, _) => Some(Problem::new(RecorderProblem::DiskFull, NO_ROOM)),
            (true, true) => Some(Problem::new(RecorderProblem::NotForwarded, NOT_FORWARDED)),
            (true, false) => self.problem.clone(),
        }
    }

    /// Takes in what happened at `now`.
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
                    // By then it is known what arrives; a change begins at once.
                    self.retry_at = Some(now.saturating_add(self.patience.retry));
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

    /// Lets time pass until `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        if let Phase::Running { alive, .. } = self.phase
            && now >= alive.saturating_add(self.patience.silence)
        {
            let seconds = self.patience.silence.as_secs();
            let words = format!("no picture was written for {seconds} s");
            let reason = Problem::new(RecorderProblem::NoPicture, words);
            self.broken(now, reason, false);
        }
        if self.retry_at.is_some_and(|at| now >= at) {
            self.retry_at = None;
        }
        self.decide(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called unless something happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let silence = match self.phase {
            Phase::Running { alive, .. } => Some(alive.saturating_add(self.patience.silence)),
            Phase::Idle | Phase::Stopping => None,
        };
        [silence, self.retry_at].into_iter().flatten().min()
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn signal_is(&mut self, now: Duration, signal: Signal) {
        let lost = matches!(self.signal, Signal::Steady(_)) && !matches!(signal, Signal::Steady(_));
        self.signal = signal;
        // Another try is worth it at once: what was wrong may have gone with the old signal.
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
        let wait = self.patience.retry * 2_u32.pow(self.failures.min(6));
        self.failures = self.failures.saturating_add(1);
        // The first time another encoder may take over without any wait.
        self.retry_at = (!encoder || self.failures > 1).then(|| now.saturating_add(wait));
    }

    /// Brings what is done in line with what is wanted.
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
                let over = gap.is_some_and(|ended| now.saturating_sub(ended) > self.patience.gap);
                // By hand it is one session until Stop, however long the signal is away.
                let new_session = !self.session || (over && !self.by_hand);
                self.session = true;
                self.phase = Phase::Running { mode, alive: now };
                self.outputs.push_back(Output::Start {
                    mode,
                    cause: if self.by_hand {
                        Cause::Hand
                    } else {
                        Cause::Signal
                    },
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
