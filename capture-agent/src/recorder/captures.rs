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
    /// Frames before the recording.
    before: Counts,
}

/// Frames from the source, and those dropped because the encoder was too slow.
#[derive(Clone, Copy, Default)]
struct Counts {
    frames: u64,
    dropped: u64,
}

impl Counts {
    fn of(pipeline: &Pipeline) -> Self {
        Self {
            frames: pipeline.running().frames(),
            dropped: pipeline.dropped(),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            frames: self.frames.saturating_sub(before.frames),
            dropped: self.dropped.saturating_sub(before.dropped),
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            frames: self.frames + other.frames,
            dropped: self.dropped + other.dropped,
        }
    }
}

impl Capture {
    fn counts(&self) -> Counts {
        let pipeline = self.pipeline.as_ref();
        let counts = pipeline.map(|it| Counts::of(it).since(self.before));
        counts.unwrap_or_default()
    }
}

/// Pipeline in progress, IDs of pipelines, and the frames of earlier ones.
#[derive(Default)]
pub(super) struct Captures {
    current: Option<Capture>,
    last_id: u64,
    /// Of earlier pipelines.
    counted: Counts,
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

    /// Adopts a pipeline, which may have run before. `dropped`: frames that it had dropped before the first frame of the
    /// recording.
    pub(super) fn start(&mut self, pipeline: Pipeline, dropped: u64) {
        let frames = pipeline.running().frames();
        self.current = Some(Capture {
            before: Counts { frames, dropped },
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
        let Some(capture) = &mut self.current else {
            return false;
        };
        self.counted = self.counted.and(capture.counts());
        capture.pipeline.take().is_some()
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

    /// Returns the number of frames from the source since the start. Those that equal the frame before are counted, too.
    pub(super) fn frames(&self) -> u64 {
        self.counts().frames
    }

    /// Returns the number of frames dropped since the start because encoders were too slow.
    pub(super) fn dropped(&self) -> u64 {
        self.counts().dropped
    }

    fn counts(&self) -> Counts {
        let current = self.current.as_ref();
        self.counted
            .and(current.map(Capture::counts).unwrap_or_default())
    }
}
