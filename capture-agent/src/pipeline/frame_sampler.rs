//! Frame sampler: compares captured frames with a grabber's own test patterns.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::clock::monotonic;
use crate::signal::{Picture, SAMPLE_HEIGHT, SAMPLE_WIDTH, TestPatternDetector};

/// Element that drops frames between samples.
const GATE: &str = "sampler";
const END: &str = "looks";

/// Result of the last sample: whether it was a test pattern.
#[derive(Debug, Default)]
pub(super) struct FrameSampler(AtomicBool);

/// Branch that samples frames; `decode` follows the gate and decodes to pixels. Nearest-neighbour scaling reads only
/// the sampled pixels.
pub(super) fn describe(decode: &str) -> String {
    format!(
        "identity name={GATE} silent=true ! {decode} videoconvertscale method=nearest-neighbour \
         chroma-resampler=nearest add-borders=false \
         ! video/x-raw,format=RGB,width={SAMPLE_WIDTH},height={SAMPLE_HEIGHT} \
         ! appsink name={END} sync=false async=false max-buffers=1 drop=true enable-last-sample=false"
    )
}

impl FrameSampler {
    /// Attaches the sampler of a pipeline; `None` if it has none.
    pub(super) fn open(
        pipeline: &gst::Pipeline,
        detector: TestPatternDetector,
        every: Duration,
    ) -> Option<Arc<Self>> {
        let gate = pipeline.by_name(GATE)?.static_pad("sink")?;
        let end = pipeline.by_name(END)?.downcast::<gst_app::AppSink>().ok()?;
        let next = Mutex::new(Duration::ZERO);
        gate.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let now = monotonic();
            let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
            if now < *next {
                // Not `Drop`: the binding drops the buffer as well, and GStreamer warns.
                return gst::PadProbeReturn::Handled;
            }
            *next = now + every;
            gst::PadProbeReturn::Ok
        });
        let sampler = Arc::new(Self::default());
        sampler.see(detector.picture());
        let (shown, mut detector) = (Arc::clone(&sampler), detector);
        let look = gst_app::AppSinkCallbacks::builder().new_sample(move |end| {
            let sample = end.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let look = sample.buffer().and_then(|look| look.map_readable().ok());
            if let Some(look) = look {
                shown.see(detector.handle_sample(monotonic(), &look));
            }
            Ok(gst::FlowSuccess::Ok)
        });
        end.set_callbacks(look.build());
        Some(sampler)
    }

    fn see(&self, picture: Picture) {
        let is_test_pattern = picture == Picture::NoSignalPattern;
        self.0.store(is_test_pattern, Ordering::Relaxed);
    }

    pub(super) fn picture(&self) -> Picture {
        match self.0.load(Ordering::Relaxed) {
            true => Picture::NoSignalPattern,
            false => Picture::Content,
        }
    }
}
