//! Capture from an idle device with a signal, while its live picture is watched.

use std::time::Duration;

use crate::pipeline::Running;
use crate::problem::Problem;
use crate::signal::Mode;

/// Time for which the device stays open after the last request, so that a page that fetches single pictures does not
/// reopen it each time.
const GRACE: Duration = Duration::from_secs(5);
/// Delay after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Preview {
    running: Option<(Mode, Running)>,
    watched_until: Duration,
    retry_at: Duration,
    problem: Option<Problem>,
}

impl Preview {
    pub(super) fn running(&self) -> Option<&Running> {
        self.running.as_ref().map(|(_, running)| running)
    }

    /// Reason why the preview does not run.
    pub(super) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// Keeps the preview running for a while.
    pub(super) fn request(&mut self, now: Duration) {
        self.watched_until = now + GRACE;
    }

    /// Releases the device for a recording.
    pub(super) fn release(&mut self) {
        self.running = None;
    }

    /// Handles a failure of the running preview; `false` if none runs.
    pub(super) fn fail(&mut self, now: Duration, problem: Problem) -> bool {
        let was_running = self.running.take().is_some();
        if was_running {
            self.problem = Some(problem);
            self.retry_at = now + RETRY_INTERVAL;
        }
        was_running
    }

    /// Ends the preview when it is not watched, or the idle device does not have a signal of the preview's mode.
    /// Starts it otherwise.
    pub(super) fn update(
        &mut self,
        now: Duration,
        idle: Option<Mode>,
        start: impl FnOnce() -> Result<Running, Problem>,
    ) {
        let is_watched = now < self.watched_until;
        let Some(mode) = idle.filter(|_| is_watched) else {
            // A later viewer tries again immediately.
            (self.running, self.problem, self.retry_at) = (None, None, now);
            return;
        };
        if self
            .running
            .as_ref()
            .is_some_and(|(running, _)| running.is_same_as(&mode))
            || now < self.retry_at
        {
            return;
        }
        // The device serves only one program at a time.
        self.running = None;
        match start() {
            Ok(running) => (self.running, self.problem) = (Some((mode, running)), None),
            Err(problem) => {
                self.problem = Some(problem);
                self.retry_at = now + RETRY_INTERVAL;
            }
        }
    }
}
