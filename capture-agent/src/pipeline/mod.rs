//! From a source to encoded frames: GStreamer, and nothing that decides.
//!
//! ```text
//! source ! queue (leaky, counted) ! videoconvert ! encoder ! h264parse ! appsink → Media
//! source that gives H.264 already                          ! h264parse ! appsink → Media
//! ```
//!
//! Of a grabber's pictures one a second is looked at besides ([`Plan::no_signal_after`]); while it has no signal, what
//! [`look_out`] starts does nothing else.
//!
//! Frames carry the time at which they were taken. They are cut into fragments outside, in
//! [`writer`](crate::writer), so a new file can begin at any keyframe while the encoder goes on.

mod colour;
mod description;
mod eye;
mod media;
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
use crate::signal::{CardDetector, Mode, Picture};
use crate::source::Capture;
pub use description::describe;
use description::describe_lookout;
use eye::Eye;
pub use media::Media;

/// What a [`Pipeline`] is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where pictures come from.
    pub capture: Capture,
    /// What arrives.
    pub mode: Mode,
    /// What makes H.264 of it; `None` where it arrives as that.
    pub encoder: Option<Candidate>,
    /// For how long a grabber's own picture must stand before it is believed to be one; `None`: it is not looked for.
    /// What arrives as H.264 is never looked at.
    pub no_signal_after: Option<Duration>,
}

/// How often a picture is looked at while it is recorded.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often while nothing is, and a signal waited for.
const LOOK_OUT_EVERY: Duration = Duration::from_millis(200);

/// What a pipeline says of itself while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It stands still and must be stopped: the device is gone, or the encoder failed.
    Broken {
        /// Why.
        reason: Problem,
        /// Whether it was the source that failed; if not, another encoder may do better.
        at_source: bool,
    },
    /// All that was there has been handed over.
    Ended,
}

/// A pipeline that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot be built: an element is missing or refuses its settings.
    #[error("the pipeline cannot be built: {0}")]
    Build(String),
    /// It was built, but does not run.
    #[error("{reason}")]
    Run {
        /// Why.
        reason: Problem,
        /// Whether it was the source that failed.
        at_source: bool,
    },
}

impl StartError {
    /// The same for whoever records.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Build(_) => Problem::other(self.to_string()),
            Self::Run { reason, .. } => reason.clone(),
        }
    }

    /// Whether it was the source that failed; if not, another encoder may do better.
    #[must_use]
    pub fn is_at_source(&self) -> bool {
        matches!(
            self,
            Self::Run {
                at_source: true,
                ..
            }
        )
    }
}

/// A running pipeline with an encoder, or frames that need none. Dropping it stops it at once.
pub struct Pipeline(Running);

/// Whatever captures from a source, as long as it does. Dropping it stops it at once, and lets go of the device.
pub struct Running {
    pipeline: gst::Pipeline,
    counter: Arc<Counter>,
    eye: Option<Arc<Eye>>,
}

/// Frames from the source, and before and behind the leaky queue.
#[derive(Default)]
struct Counter {
    came: AtomicU64,
    entered: AtomicU64,
    left: AtomicU64,
}

impl Pipeline {
    /// Starts it. Both are called on threads of GStreamer, which must not be kept waiting.
    ///
    /// Returns when the pipeline has begun to start; what fails later is a [`Notice`].
    ///
    /// # Errors
    ///
    /// [`StartError`], with whether it is the source's fault.
    pub fn start(
        plan: &Plan,
        on_media: impl FnMut(Media) + Send + 'static,
        on_notice: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let detector = plan.no_signal_after.map(CardDetector::new);
        let running = Running::build(&describe(plan), detector.map(|it| (it, LOOK_EVERY)))?;
        let sink = running.pipeline.by_name("sink");
        let sink = sink
            .and_then(|sink| sink.downcast::<gst_app::AppSink>().ok())
            .ok_or_else(|| StartError::Build("it has no end".to_owned()))?;
        media::deliver(&sink, on_media);
        running.play(&plan.capture, plan.mode, on_notice)?;
        Ok(Self(running))
    }

    /// What comes from the source.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.0
    }

    /// Frames the encoder was too slow for.
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

    /// Asks the encoder, or the device, for a keyframe as soon as possible. A wish.
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

    /// Lets what is under way come out; [`Notice::Ended`] says when it has.
    pub fn end(&self) {
        self.0.pipeline.send_event(gst::event::Eos::new());
    }
}

/// Looks at a source and does nothing else, while its grabber has no signal. `looks` is whether the grabber's own
/// picture is to be told from others: until one was looked at, that is what is shown. `on_notice` is called on threads
/// of GStreamer, which must not be kept waiting.
///
/// # Errors
///
/// [`StartError`], with whether it is the source's fault.
pub fn look_out(
    capture: &Capture,
    mode: Mode,
    looks: bool,
    on_notice: impl Fn(Notice) + Send + Sync + 'static,
) -> Result<Running, StartError> {
    let detector = CardDetector::without_signal();
    let description = describe_lookout(capture, mode, looks);
    let running = Running::build(&description, Some((detector, LOOK_OUT_EVERY)))?;
    running.play(capture, mode, on_notice)?;
    Ok(running)
}

impl Running {
    /// `look`: with what its pictures are looked at, and how often, if it has an eye.
    fn build(
        description: &str,
        look: Option<(CardDetector, Duration)>,
    ) -> Result<Self, StartError> {
        let build = |reason: &str| StartError::Build(reason.to_owned());
        let pipeline = gst::parse::launch_full(description, None, gst::ParseFlags::FATAL_ERRORS)
            .map_err(|error| build(error.message()))?
            .downcast::<gst::Pipeline>()
            .map_err(|_| build("its description is no pipeline"))?;
        Ok(Self {
            counter: Counter::watch(&pipeline),
            eye: look.and_then(|(detector, every)| Eye::open(&pipeline, detector, every)),
            pipeline,
        })
    }

    /// Frames that came from the source.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.counter.came.load(Ordering::Relaxed)
    }

    /// What they show; content, where they cannot be looked at.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let eye = self.eye.as_deref();
        eye.map_or(Picture::Content, Eye::picture)
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
            // Kept for nobody: a bus that fills up is a leak.
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
        // It is thrown away next; whether stopping it worked changes nothing.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Counter {
    fn watch(pipeline: &gst::Pipeline) -> Arc<Self> {
        let counter = Arc::new(Self::default());
        for (element, pad, of) in [
            // What arrives as H.264 goes through no queue.
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
