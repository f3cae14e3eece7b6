//! Keeps looking at a grabber that has no signal: nothing else shows that it is back.

use std::sync::Mutex;
use std::time::Duration;

use super::super::{Event, Message};
use super::Driver;
use crate::pipeline::{Running, look_out};
use crate::problem::Problem;
use crate::signal::Signal;
use crate::source::Capture;

/// How often another lookout is tried, when it gives no frames: some grabbers need their stream started anew.
const ANEW: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Lookout {
    running: Option<Running>,
    /// When it is next looked whether that gives frames.
    at: Duration,
    /// How many it had given by the last time.
    frames: u64,
    /// Why there is none.
    problem: Option<Problem>,
}

impl Lookout {
    /// What looks, if anything does.
    pub(super) fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    /// Why nothing looks, if something should.
    pub(super) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// Lets go of the device: a recording needs it.
    pub(super) fn let_go(&mut self) {
        self.running = None;
    }

    /// It stands still: another one is tried later. `false` if nothing was looking.
    pub(super) fn give_up(&mut self, now: Duration) -> bool {
        let was_running = self.running.take().is_some();
        if was_running {
            self.at = now + ANEW;
        }
        was_running
    }

    /// Nothing is to be looked for.
    fn end(&mut self, now: Duration) {
        *self = Self {
            at: now,
            ..Self::default()
        };
    }

    /// Whether it is to be started, because it gives no frames. The device is free then.
    fn is_to_start(&mut self, now: Duration) -> bool {
        if now < self.at {
            return false;
        }
        self.at = now + ANEW;
        let before = self.frames;
        self.frames = self.running.as_ref().map_or(before, Running::frames);
        if self.frames == before {
            self.running = None;
        }
        self.running.is_none()
    }

    fn started(&mut self, outcome: Result<Running, Problem>) {
        (self.running, self.problem) = match outcome {
            Ok(running) => (Some(running), None),
            Err(problem) => (None, Some(problem)),
        };
        self.frames = self.running.as_ref().map_or(0, Running::frames);
    }
}

impl<E: FnMut(Event) + Send + 'static> Driver<E> {
    /// Looks as long as there is no signal, and nothing is recorded.
    pub(super) fn look_out(&mut self, now: Duration) {
        let has_none = self.monitor.signal() == Signal::NoSignal;
        if self.run.is_some() || !has_none || !self.watch.is_grabber() {
            self.lookout.end(now);
        } else if self.lookout.is_to_start(now) {
            let started = self.start_lookout();
            self.lookout.started(started);
        }
    }

    fn start_lookout(&mut self) -> Result<Running, Problem> {
        let opened = match self.handle.test_input() {
            Some(input) => Ok((Capture::Test(input.clone()), input.mode())),
            None => self.watch.source().open(self.setup.mode),
        };
        let (capture, mode) = opened.map_err(|error| Problem::from(&error))?;
        self.runs += 1;
        let (run, handle) = (self.runs, Mutex::new(self.handle.clone()));
        let looks = self.setup.no_signal_after.is_some();
        let lookout = look_out(&capture, mode, looks, move |notice| {
            if let Ok(handle) = handle.lock() {
                handle.tell(Message::Notice(run, notice));
            }
        });
        lookout.map_err(|error| error.problem())
    }
}
