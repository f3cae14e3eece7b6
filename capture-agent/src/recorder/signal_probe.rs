//! Capture from a grabber without a signal, while nothing is recorded: only its frames show when the signal returns.

use std::time::Duration;

use crate::pipeline::Running;
use crate::problem::Problem;

/// Interval between restarts of a probe without frames: some grabbers deliver only after their stream is restarted.
const RESTART_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct SignalProbe {
    running: Option<Running>,
    next_check: Duration,
    /// Frames delivered by the last check.
    frames: u64,
    problem: Option<Problem>,
}

impl SignalProbe {
    pub(super) fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    /// Reason why the probe could not be started.
    pub(super) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// Releases the device for a recording.
    pub(super) fn release(&mut self) {
        self.running = None;
    }

    /// Handles a failure of the running probe; `false` if none runs. It is restarted after the interval.
    pub(super) fn fail(&mut self, now: Duration) -> bool {
        let was_running = self.running.take().is_some();
        if was_running {
            self.next_check = now + RESTART_INTERVAL;
        }
        was_running
    }

    /// Ends the probe when it is not needed; otherwise starts it, or restarts one without frames.
    pub(super) fn update(
        &mut self,
        now: Duration,
        is_needed: bool,
        start: impl FnOnce() -> Result<Running, Problem>,
    ) {
        if !is_needed {
            *self = Self {
                next_check: now,
                ..Self::default()
            };
            return;
        }
        if now < self.next_check {
            return;
        }
        self.next_check = now + RESTART_INTERVAL;
        let before = self.frames;
        self.frames = self.running.as_ref().map_or(before, Running::frames);
        if self.frames != before {
            return;
        }
        // The device serves only one program at a time.
        self.running = None;
        match start() {
            Ok(running) => {
                self.frames = running.frames();
                (self.running, self.problem) = (Some(running), None);
            }
            Err(problem) => {
                self.frames = 0;
                self.problem = Some(problem);
            }
        }
    }
}
