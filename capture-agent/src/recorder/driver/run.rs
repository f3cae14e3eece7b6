//! From the start of a pipeline to its end.

use std::sync::Mutex;
use std::time::Duration;

use sortie_api::RecorderProblem;

use super::super::controller::Input;
use super::super::take::{Taker, take};
use super::super::{Event, Message};
use super::Driver;
use crate::clock::monotonic;
use crate::encoder::{self, Candidate};
use crate::pipeline::{Pipeline, Plan};
use crate::problem::Problem;
use crate::signal::{self, Mode};
use crate::source::{Capture, Delivery, SourceError};

/// How long each encoder is given when they are tried.
pub(super) const TRIAL: Duration = Duration::from_secs(10);
/// How long the last frames may take to come out.
const ENDING: Duration = Duration::from_secs(5);

/// A pipeline whose file is not finished.
pub(super) struct Run {
    pub(super) pipeline: Option<Pipeline>,
    /// When it must have come to its end, once it is to.
    pub(super) ending: Option<Duration>,
}

impl<E: FnMut(Event) + Send + 'static> Driver<E> {
    /// Starts a pipeline; if that fails, why, and whether another encoder may do better.
    pub(super) fn start(&mut self, mode: Mode) -> Result<(), (Problem, bool)> {
        // There is one device for both.
        self.lookout.let_go();
        self.monitor
            .handle_input(monotonic(), signal::Input::Starting);
        self.prepare_folder();
        if self.left {
            self.finish_leftovers();
        }
        let Some(writer) = &self.writer else {
            return Err((Problem::other("there is no thread to write on"), false));
        };
        let opened = match self.handle.test_input() {
            Some(input) => Ok((Capture::Test(input.clone()), mode)),
            None => self.watch.source().open(self.setup.mode),
        };
        let (capture, mode) = match opened {
            Ok((capture, opened)) if opened.is_same_as(&mode) => (capture, opened),
            // What was settled is over already.
            Ok(_) | Err(SourceError::NoSignal(_)) => {
                self.source_changed();
                return Ok(());
            }
            Err(error) => return Err((Problem::from(&error), false)),
        };
        self.runs += 1;
        let run = self.runs;
        let take = take(Taker {
            writer: writer.handle().clone(),
            handle: self.handle.clone(),
            limits: self.setup.split,
            run,
            passed_through: capture.delivery() == Delivery::H264,
        });
        let encoder = match capture.delivery() {
            Delivery::H264 => None,
            Delivery::Raw | Delivery::Jpeg => Some(self.find_encoder(mode)?),
        };
        if encoder.is_some() {
            self.encoder = encoder;
        }
        self.encoding = encoder.is_some();
        let plan = Plan {
            no_signal_after: self.setup.no_signal_after.filter(|_| capture.is_grabber()),
            capture,
            mode,
            encoder,
        };
        let handle = Mutex::new(self.handle.clone());
        let pipeline = Pipeline::start(&plan, take, move |notice| {
            if let Ok(handle) = handle.lock() {
                handle.tell(Message::Notice(run, notice));
            }
        });
        let pipeline = pipeline.map_err(|error| (error.problem(), !error.is_at_source()))?;
        self.run = Some(Run {
            pipeline: Some(pipeline),
            ending: None,
        });
        // From now on its frames are waited for.
        let picture = signal::Picture::Content;
        let begun = signal::Input::Frame { mode, picture };
        self.monitor.handle_input(monotonic(), begun);
        Ok(())
    }

    /// The encoder that worked last, or the first that works.
    fn find_encoder(&mut self, mode: Mode) -> Result<Candidate, (Problem, bool)> {
        if let Some(encoder) = self.encoder {
            return Ok(encoder);
        }
        encoder::first_working(mode, TRIAL, &self.passed_over).map_err(|_| {
            // From the beginning next time: what failed may work again.
            self.passed_over.clear();
            let words = "no H.264 encoder works here";
            (Problem::new(RecorderProblem::NoEncoder, words), false)
        })
    }

    pub(super) fn stop(&mut self) {
        match &mut self.run {
            Some(run) => {
                run.ending = Some(monotonic() + ENDING);
                if let Some(pipeline) = &run.pipeline {
                    pipeline.end();
                }
            }
            None => self.tell(Input::Stopped),
        }
    }

    /// The pipeline has come to its end: the file is next.
    pub(super) fn end_run(&mut self) {
        let Some(run) = &mut self.run else { return };
        if let Some(pipeline) = run.pipeline.take() {
            self.dropped += pipeline.dropped();
            drop(pipeline);
            if let Some(writer) = &self.writer {
                writer.handle().end();
            }
        }
        // A device that ends by itself.
        if run.ending.is_none() {
            self.broken(Problem::other("the source has ended"), false);
        }
    }

    /// The pipeline is given up, and the file with it ends where it is.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
        if let Some(pipeline) = self.run.take().and_then(|run| run.pipeline) {
            self.dropped += pipeline.dropped();
            drop(pipeline);
        }
        if let Some(writer) = &self.writer {
            writer.handle().end();
        }
    }
}
