//! A look at the pictures about once a second: whether they are the grabber's own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::clock::monotonic;
use crate::signal::{CardDetector, LOOK_HEIGHT, LOOK_WIDTH, Picture};

/// The element at which pictures that are not looked at are dropped.
const GATE: &str = "eye";
const END: &str = "looks";

/// What the last look has shown.
#[derive(Debug, Default)]
pub(super) struct Eye(AtomicBool);

/// A branch that looks, in the notation of `gst-launch-1.0`; `decode` comes behind the gate and makes pixels. Of each
/// picture that is looked at, only the pixels of the look are read.
pub(super) fn describe(decode: &str) -> String {
    format!(
        "identity name={GATE} silent=true ! {decode} videoconvertscale method=nearest-neighbour \
         chroma-resampler=nearest add-borders=false \
         ! video/x-raw,format=RGB,width={LOOK_WIDTH},height={LOOK_HEIGHT} \
         ! appsink name={END} sync=false async=false max-buffers=1 drop=true enable-last-sample=false"
    )
}

impl Eye {
    /// Opens the eye of a pipeline that has one.
    pub(super) fn open(
        pipeline: &gst::Pipeline,
        detector: CardDetector,
        every: Duration,
    ) -> Option<Arc<Self>> {
        let gate = pipeline.by_name(GATE)?.static_pad("sink")?;
        let end = pipeline.by_name(END)?.downcast::<gst_app::AppSink>().ok()?;
        let next = Mutex::new(Duration::ZERO);
        gate.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let now = monotonic();
            let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
            if now < *next {
                // Not `Drop`: the binding drops it too, and GStreamer complains.
                return gst::PadProbeReturn::Handled;
            }
            *next = now + every;
            gst::PadProbeReturn::Ok
        });
        let eye = Arc::new(Self::default());
        eye.see(detector.picture());
        let (shown, mut detector) = (Arc::clone(&eye), detector);
        let look = gst_app::AppSinkCallbacks::builder().new_sample(move |end| {
            let sample = end.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let look = sample.buffer().and_then(|look| look.map_readable().ok());
            if let Some(look) = look {
                shown.see(detector.handle_look(monotonic(), &look));
            }
            Ok(gst::FlowSuccess::Ok)
        });
        end.set_callbacks(look.build());
        Some(eye)
    }

    fn see(&self, picture: Picture) {
        let is_card = picture == Picture::NoSignalCard;
        self.0.store(is_card, Ordering::Relaxed);
    }

    pub(super) fn picture(&self) -> Picture {
        match self.0.load(Ordering::Relaxed) {
            true => Picture::NoSignalCard,
            false => Picture::Content,
        }
    }
}
