//! From a source to encoded frames: GStreamer, and nothing that decides.
//!
//! ```text
//! source ! queue (leaky, counted) ! videoconvert ! encoder ! h264parse ! appsink → Media
//! source that gives H.264 already                          ! h264parse ! appsink → Media
//! ```
//!
//! Frames carry the time at which they were taken. They are cut into fragments outside, in
//! [`writer`](crate::writer), so a new file can begin at any keyframe while the encoder goes on.

mod colour;
mod description;
mod media;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::encoder::{Candidate, sentence};
use crate::signal::Mode;
use crate::source::Capture;
pub use description::describe;
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
}

/// What a pipeline says of itself while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It stands still and must be stopped: the device is gone, or the encoder failed.
    Broken {
        /// In words for people.
        reason: String,
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
        /// In words for people.
        reason: String,
        /// Whether it was the source that failed.
        at_source: bool,
    },
}

impl StartError {
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

/// A running pipeline. Dropping it stops it at once.
pub struct Pipeline {
    pipeline: gst::Pipeline,
    counter: Arc<Counter>,
}

/// Frames before and behind the leaky queue.
#[derive(Default)]
struct Counter {
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
        let description = describe(plan);
        let build = |reason: &str| StartError::Build(reason.to_owned());
        let pipeline = gst::parse::launch_full(&description, None, gst::ParseFlags::FATAL_ERRORS)
            .map_err(|error| build(error.message()))?
            .downcast::<gst::Pipeline>()
            .map_err(|_| build("its description is no pipeline"))?;
        let counter = Arc::new(Counter::default());
        // From here on every way out stops it.
        let this = Self { pipeline, counter };
        let sink = this.pipeline.by_name("sink");
        let sink = sink
            .and_then(|sink| sink.downcast::<gst_app::AppSink>().ok())
            .ok_or_else(|| build("it has no end"))?;
        media::deliver(&sink, on_media);
        if let Some(queue) = this.pipeline.by_name("queue") {
            this.counter.watch(&queue);
        }
        plan.capture.feed(&this.pipeline, plan.mode);
        let bus = this.pipeline.bus().ok_or_else(|| build("it has no bus"))?;
        if this.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(start_error(&bus));
        }
        bus.set_sync_handler(move |_, message| {
            if let Some(notice) = notice(message) {
                on_notice(notice);
            }
            // Kept for nobody: a bus that fills up is a leak.
            gst::BusSyncReply::Drop
        });
        Ok(this)
    }

    /// Frames the encoder was too slow for.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let left = self.counter.left.load(Ordering::Relaxed);
        let waiting = self
            .pipeline
            .by_name("queue")
            .map_or(0, |queue| queue.property::<u32>("current-level-buffers"));
        let entered = self.counter.entered.load(Ordering::Relaxed);
        entered.saturating_sub(left + u64::from(waiting))
    }

    /// Frames that came from the source.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.counter.entered.load(Ordering::Relaxed)
    }

    /// Asks the encoder, or the device, for a keyframe as soon as possible. A wish.
    pub fn request_keyframe(&self) {
        let event = gst::event::CustomUpstream::builder(
            gst::Structure::builder("GstForceKeyUnit")
                .field("all-headers", true)
                .build(),
        );
        if let Some(sink) = self.pipeline.by_name("sink") {
            sink.send_event(event.build());
        }
    }

    /// Lets what is under way come out; [`Notice::Ended`] says when it has.
    pub fn end(&self) {
        self.pipeline.send_event(gst::event::Eos::new());
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Some(bus) = self.pipeline.bus() {
            bus.unset_sync_handler();
        }
        // It is thrown away next; whether stopping it worked changes nothing.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Counter {
    fn watch(self: &Arc<Self>, queue: &gst::Element) {
        for (name, of) in [
            (
                "sink",
                (|counter| &counter.entered) as fn(&Self) -> &AtomicU64,
            ),
            ("src", |counter| &counter.left),
        ] {
            let Some(pad) = queue.static_pad(name) else {
                continue;
            };
            let counter = Arc::clone(self);
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                of(&counter).fetch_add(1, Ordering::Relaxed);
                gst::PadProbeReturn::Ok
            });
        }
    }
}

fn start_error(bus: &gst::Bus) -> StartError {
    let message = bus.pop_filtered(&[gst::MessageType::Error]);
    match message.as_ref().and_then(|message| notice(message)) {
        Some(Notice::Broken { reason, at_source }) => StartError::Run { reason, at_source },
        _ => StartError::Run {
            reason: "it refused to start and gave no reason".to_owned(),
            at_source: false,
        },
    }
}

fn notice(message: &gst::MessageRef) -> Option<Notice> {
    match message.view() {
        gst::MessageView::Eos(_) => Some(Notice::Ended),
        gst::MessageView::Error(error) => Some(Notice::Broken {
            reason: sentence(error),
            at_source: error
                .src()
                .is_some_and(|element| element.name() == description::SOURCE),
        }),
        _ => None,
    }
}
