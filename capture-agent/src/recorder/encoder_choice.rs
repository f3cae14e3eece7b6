//! Choice of the encoder.

use std::time::Duration;

use sortie_api::RecorderProblem;

use crate::encoder::{self, Candidate};
use crate::problem::Problem;
use crate::signal::Mode;

/// Time limit for the trial of one encoder.
const TRIAL: Duration = Duration::from_secs(10);

/// Encoder that worked last, and those that failed in a recording.
#[derive(Default)]
pub(super) struct EncoderChoice {
    current: Option<Candidate>,
    rejected: Vec<&'static str>,
    /// Whether the recording uses an encoder; a source that delivers H.264 needs none.
    is_in_use: bool,
}

impl EncoderChoice {
    /// Tries encoders before there is a signal, because a trial takes a second or more.
    pub(super) fn warm_up(&mut self, mode: Mode) {
        self.current = encoder::first_working(mode, TRIAL, &[]).ok();
    }

    /// Returns the encoder that worked last, or the first that works in this mode.
    pub(super) fn select(&mut self, mode: Mode) -> Result<Candidate, Problem> {
        if let Some(encoder) = self.current {
            self.is_in_use = true;
            return Ok(encoder);
        }
        match encoder::first_working(mode, TRIAL, &self.rejected) {
            Ok(encoder) => {
                (self.current, self.is_in_use) = (Some(encoder), true);
                Ok(encoder)
            }
            Err(_) => {
                // The next attempt tries all of them: a rejected encoder may work again.
                self.rejected.clear();
                let words = "no H.264 encoder works here";
                Err(Problem::new(RecorderProblem::NoEncoder, words))
            }
        }
    }

    /// Clears the choice: the source delivers H.264.
    pub(super) fn pass_through(&mut self) {
        self.is_in_use = false;
    }

    /// Excludes the current encoder while another works.
    pub(super) fn reject(&mut self) {
        let rejected = self.current.take();
        self.rejected
            .extend(rejected.map(|encoder| encoder.element));
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.is_in_use
    }

    /// Returns the GStreamer element in use.
    pub(super) fn element(&self) -> Option<&'static str> {
        let current = self.current.filter(|_| self.is_in_use);
        current.map(|encoder| encoder.element)
    }
}
