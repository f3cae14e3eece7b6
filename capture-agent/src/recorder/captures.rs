//! Pipeline of the current recording.

use std::time::Duration;

use crate::clock::monotonic;
use crate::pipeline::{Pipeline, Running};

/// Time limit for the last frames after a stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// A pipeline whose file is not finished.
struct Capture {
    /// `None` once the pipeline has ended and the writer finishes the file.
    pipeline: Option<Pipeline>,
    /// Deadline of the pipeline's end, after a stop.
    drain_until: Option<Duration>,
}

/// Pipeline in progress, IDs of pipelines, and the frames dropped by earlier ones.
#[derive(Default)]
pub(super) struct Captures {
    current: Option<Capture>,
    last_id: u64,
    dropped: u64,
}

impl Captures {
    /// Assigns an ID to a pipeline or a probe. By its ID, a late notice of an earlier one is ignored.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn is_latest(&self, id: u64) -> bool {
        id == self.last_id
    }

    pub(super) fn start(&mut self, pipeline: Pipeline) {
        self.current = Some(Capture {
            pipeline: Some(pipeline),
            drain_until: None,
        });
    }

    pub(super) fn pipeline(&self) -> Option<&Pipeline> {
        self.current.as_ref()?.pipeline.as_ref()
    }

    pub(super) fn running(&self) -> Option<&Running> {
        self.pipeline().map(Pipeline::running)
    }

    /// Whether a pipeline runs or its file is being finished.
    pub(super) fn is_active(&self) -> bool {
        self.current.is_some()
    }

    /// Asks the pipeline to end after its last frames; `false` if none is active.
    pub(super) fn drain(&mut self) -> bool {
        let Some(capture) = &mut self.current else {
            return false;
        };
        capture.drain_until = Some(monotonic() + DRAIN_LIMIT);
        if let Some(pipeline) = &capture.pipeline {
            pipeline.end();
        }
        true
    }

    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        let capture = self.current.as_ref();
        capture
            .and_then(|capture| capture.drain_until)
            .is_some_and(|at| now >= at)
    }

    /// Whether the pipeline was asked to end.
    pub(super) fn is_draining(&self) -> bool {
        let capture = self.current.as_ref();
        capture.is_some_and(|capture| capture.drain_until.is_some())
    }

    /// Drops the pipeline; its file is finished next. `false` if there is none.
    pub(super) fn end_pipeline(&mut self) -> bool {
        let pipeline = self.current.as_mut().and_then(|it| it.pipeline.take());
        self.dropped += pipeline.as_ref().map_or(0, Pipeline::dropped);
        pipeline.is_some()
    }

    /// Drops the pipeline, and does not wait for its file.
    pub(super) fn abandon(&mut self) {
        self.end_pipeline();
        self.current = None;
    }

    /// Removes the capture whose pipeline has ended, now that its file is finished; `false` if there is none.
    pub(super) fn complete(&mut self) -> bool {
        let ended = self.current.take_if(|capture| capture.pipeline.is_none());
        ended.is_some()
    }

    /// Returns the number of frames dropped since the start because encoders were too slow.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped + self.pipeline().map_or(0, Pipeline::dropped)
    }
}
