//! GStreamer pipeline from a source to encoded frames.
//!
//! ```text
//! source ! queue (leaky, counted) ! videoconvert ! encoder ! h264parse ! appsink → Media
//! source that delivers H.264                               ! h264parse ! appsink → Media
//! ```
//!
//! Further branches make stills ([`Plan::stills`]). A grabber's frames are sampled once per second
//! ([`Plan::no_signal_after`]). While it has no signal, a pipeline of [`start_signal_probe`] only samples. While nothing
//! is recorded and the live picture is watched, a pipeline of [`start_preview`] only makes stills.
//!
//! Frames that equal the one before are dropped in front of the queue ([`Plan::idle_frames`]).
//!
//! Frames carry their capture time. [`writer`](crate::writer) cuts them into fragments, so a new file can begin at any
//! keyframe while the encoder runs.

mod colour;
mod description;
mod frame_sampler;
mod idle;
mod media;
mod stills;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use sortie_api::RecorderProblem;

use crate::encoder::{Candidate, sentence};
use crate::problem::Problem;
use crate::signal::{Mode, Picture, TestPatternDetector};
use crate::source::Capture;
pub use description::describe;
use description::{describe_preview, describe_signal_probe};
use frame_sampler::FrameSampler;
pub use idle::IdleFrames;
use idle::LastKeyframe;
pub use media::Media;
pub use stills::{Still, StillTaker, is_available as can_make_stills};

/// Parameters of a [`Pipeline`].
#[derive(Debug, Clone)]
pub struct Plan {
    pub capture: Capture,
    /// Mode of the input.
    pub mode: Mode,
    /// `None` if the source delivers H.264.
    pub encoder: Option<Candidate>,
    /// Time that a test pattern must last before it counts as no signal; `None` disables the check. H.264 sources are
    /// never sampled.
    pub no_signal_after: Option<Duration>,
    /// Branches that make stills. Not available for H.264 sources, whose frames would have to be decoded.
    pub stills: Vec<Still>,
    /// Frames that equal the one before. H.264 sources keep all of theirs.
    pub idle_frames: IdleFrames,
}

/// Sampling interval while recording.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// Sampling interval of the signal probe.
const PROBE_SAMPLE_INTERVAL: Duration = Duration::from_millis(200);

/// Event of a running pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The pipeline stalled and must be stopped: the device is gone, or the encoder failed.
    Broken {
        reason: Problem,
        /// Whether the source failed; otherwise another encoder may work.
        at_source: bool,
    },
    /// All frames were delivered.
    Ended,
}

/// Error of starting a pipeline.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An element is missing or refuses its settings.
    #[error("the pipeline cannot be built: {0}")]
    Build(String),
    /// The pipeline does not start.
    #[error("{reason}")]
    Run {
        reason: Problem,
        /// Whether the source failed.
        at_source: bool,
    },
}

impl StartError {
    /// Error message for the user.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Build(_) => Problem::other(self.to_string()),
            Self::Run { reason, .. } => reason.clone(),
        }
    }

    /// Whether the source failed; otherwise another encoder may work.
    #[must_use]
    pub fn is_source_failure(&self) -> bool {
        matches!(
            self,
            Self::Run {
                at_source: true,
                ..
            }
        )
    }
}

/// Running pipeline with an encoder, or with a source that delivers H.264. Dropping it stops it immediately.
pub struct Pipeline(Running);

/// Running capture from a source. Dropping it stops it immediately and releases the device.
pub struct Running {
    pipeline: gst::Pipeline,
    counter: Arc<Counter>,
    sampler: Option<Arc<FrameSampler>>,
}

/// Frames from the source, and before and behind the leaky queue.
#[derive(Default)]
struct Counter {
    came: AtomicU64,
    entered: AtomicU64,
    left: AtomicU64,
}

impl Pipeline {
    /// Starts a pipeline. The callbacks run in threads of GStreamer and must not block.
    ///
    /// Returns while the pipeline starts; later failures are a [`Notice`].
    ///
    /// # Errors
    ///
    /// [`StartError`], with whether the source failed.
    pub fn start(
        plan: &Plan,
        mut on_media: impl FnMut(Media) + Send + 'static,
        on_notice: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let detector = plan.no_signal_after.map(TestPatternDetector::new);
        let running = Running::build(&describe(plan), detector.map(|it| (it, SAMPLE_INTERVAL)))?;
        for still in &plan.stills {
            still.attach(&running.pipeline);
        }
        let sink = running.pipeline.by_name("sink");
        let sink = sink
            .and_then(|sink| sink.downcast::<gst_app::AppSink>().ok())
            .ok_or_else(|| StartError::Build("it has no end".to_owned()))?;
        let keyframe = LastKeyframe::new();
        idle::attach(plan, &running.pipeline, keyframe.clone());
        media::deliver(&sink, move |media| {
            if let Media::Frame(frame) = &media
                && frame.keyframe
            {
                keyframe.set(frame.pts_ns);
            }
            on_media(media);
        });
        running.play(&plan.capture, plan.mode, on_notice)?;
        Ok(Self(running))
    }

    /// Returns the capture from the source.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.0
    }

    /// Returns the number of frames that were dropped because the encoder was too slow.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let Running {
            pipeline, counter, ..
        } = &self.0;
        let left = counter.left.load(Ordering::Relaxed);
        let waiting = pipeline
            .by_name("queue")
            .map_or(0, |queue| queue.property::<u32>("current-level-buffers"));
        let entered = counter.entered.load(Ordering::Relaxed);
        entered.saturating_sub(left + u64::from(waiting))
    }

    /// Requests a keyframe from encoder or device, which may ignore it.
    pub fn request_keyframe(&self) {
        let event = gst::event::CustomUpstream::builder(
            gst::Structure::builder("GstForceKeyUnit")
                .field("all-headers", true)
                .build(),
        );
        if let Some(sink) = self.0.pipeline.by_name("sink") {
            sink.send_event(event.build());
        }
    }

    /// Ends the stream; [`Notice::Ended`] follows after the last frame.
    pub fn end(&self) {
        self.0.pipeline.send_event(gst::event::Eos::new());
    }
}

/// Starts a capture that only samples frames, while a grabber has no signal. With `samples`, test patterns are
/// detected; until the first sample, a test pattern is assumed. `on_notice` runs in threads of GStreamer and must not
/// block.
///
/// # Errors
///
/// [`StartError`], with whether the source failed.
pub fn start_signal_probe(
    capture: &Capture,
    mode: Mode,
    looks: bool,
    on_notice: impl Fn(Notice) + Send + Sync + 'static,
) -> Result<Running, StartError> {
    let detector = TestPatternDetector::without_signal();
    let description = describe_signal_probe(capture, mode, looks);
    let running = Running::build(&description, Some((detector, PROBE_SAMPLE_INTERVAL)))?;
    running.play(capture, mode, on_notice)?;
    Ok(running)
}

/// Starts a capture that only makes stills, from a source that does not deliver H.264. `no_signal_after` is that of a
/// [`Plan`]. `on_notice` runs in threads of GStreamer and must not block.
///
/// # Errors
///
/// [`StartError`], with whether the source failed.
pub fn start_preview(
    capture: &Capture,
    mode: Mode,
    no_signal_after: Option<Duration>,
    still: &Still,
    on_notice: impl Fn(Notice) + Send + Sync + 'static,
) -> Result<Running, StartError> {
    let detector = no_signal_after.map(TestPatternDetector::new);
    let description = describe_preview(capture, mode, still, detector.is_some());
    let running = Running::build(&description, detector.map(|it| (it, SAMPLE_INTERVAL)))?;
    still.attach(&running.pipeline);
    running.play(capture, mode, on_notice)?;
    Ok(running)
}

impl Running {
    /// Builds a pipeline; `look` has the detector and the interval of its frame sampler.
    fn build(
        description: &str,
        look: Option<(TestPatternDetector, Duration)>,
    ) -> Result<Self, StartError> {
        let build = |reason: &str| StartError::Build(reason.to_owned());
        let pipeline = gst::parse::launch_full(description, None, gst::ParseFlags::FATAL_ERRORS)
            .map_err(|error| build(error.message()))?
            .downcast::<gst::Pipeline>()
            .map_err(|_| build("its description is no pipeline"))?;
        Ok(Self {
            counter: Counter::watch(&pipeline),
            sampler: look
                .and_then(|(detector, every)| FrameSampler::open(&pipeline, detector, every)),
            pipeline,
        })
    }

    /// Frames from the source.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.counter.came.load(Ordering::Relaxed)
    }

    /// Picture in the last sample; content if frames are not sampled.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let sampler = self.sampler.as_deref();
        sampler.map_or(Picture::Content, FrameSampler::picture)
    }

    fn play(
        &self,
        capture: &Capture,
        mode: Mode,
        on_notice: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Result<(), StartError> {
        capture.feed(&self.pipeline, mode);
        let bus = self.pipeline.bus();
        let bus = bus.ok_or_else(|| StartError::Build("it has no bus".to_owned()))?;
        if self.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(start_error(&bus));
        }
        bus.set_sync_handler(move |_, message| {
            if let Some(notice) = notice(message) {
                on_notice(notice);
            }
            // Dropped: nothing reads the bus, which would grow.
            gst::BusSyncReply::Drop
        });
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(bus) = self.pipeline.bus() {
            bus.unset_sync_handler();
        }
        // The pipeline is dropped next; a failure to stop it has no effect.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Counter {
    fn watch(pipeline: &gst::Pipeline) -> Arc<Self> {
        let counter = Arc::new(Self::default());
        for (element, pad, of) in [
            // H.264 sources have no queue.
            (
                description::SOURCE,
                "src",
                (|counter| &counter.came) as fn(&Self) -> &AtomicU64,
            ),
            ("queue", "sink", |counter| &counter.entered),
            ("queue", "src", |counter| &counter.left),
        ] {
            let Some(pad) = pipeline.by_name(element).and_then(|it| it.static_pad(pad)) else {
                continue;
            };
            let counter = Arc::clone(&counter);
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                of(&counter).fetch_add(1, Ordering::Relaxed);
                gst::PadProbeReturn::Ok
            });
        }
        counter
    }
}

fn start_error(bus: &gst::Bus) -> StartError {
    let message = bus.pop_filtered(&[gst::MessageType::Error]);
    match message.as_ref().and_then(|message| notice(message)) {
        Some(Notice::Broken { reason, at_source }) => StartError::Run { reason, at_source },
        _ => StartError::Run {
            reason: Problem::other("it refused to start and gave no reason"),
            at_source: false,
        },
    }
}

fn notice(message: &gst::MessageRef) -> Option<Notice> {
    match message.view() {
        gst::MessageView::Eos(_) => Some(Notice::Ended),
        gst::MessageView::Error(error) if stills::is_from_still(message) => {
            tracing::warn!("no further pictures: {}", sentence(error));
            None
        }
        gst::MessageView::Error(error) => {
            let source = error.src();
            let at_source = source.is_some_and(|element| element.name() == description::SOURCE);
            let code = match error.error().kind::<gst::ResourceError>() {
                Some(gst::ResourceError::Busy) if at_source => RecorderProblem::DeviceBusy,
                Some(gst::ResourceError::NotFound) if at_source => RecorderProblem::NoDevice,
                _ => RecorderProblem::Other,
            };
            Some(Notice::Broken {
                reason: Problem::new(code, sentence(error)),
                at_source,
            })
        }
        _ => None,
    }
}
