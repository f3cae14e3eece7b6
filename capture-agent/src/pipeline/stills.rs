//! Stills: JPEGs of single frames, made beside the encoder.
//!
//! ```text
//! tee ! gate (a pad probe) ! queue (one frame, leaky) ! scale ! jpegenc ! appsink
//! ```
//!
//! The gate drops every frame that is not wanted before anything reads its pixels. The queue moves the work to a thread
//! of its own, and drops a frame if the one before is still in work.

use std::fmt;
use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::signal::Mode;

/// Receiver of stills. Both methods run in threads of GStreamer and must not block.
pub trait StillTaker: Send + Sync {
    /// Whether a still of the frame with this running time in ns is wanted. Called for each frame.
    fn wants(&self, pts_ns: i64) -> bool;

    /// Receives a wanted still.
    fn take(&self, pts_ns: i64, jpeg: Vec<u8>);
}

/// Branch of a pipeline that makes stills.
#[derive(Clone)]
pub struct Still {
    /// Name of its elements in the pipeline.
    pub name: &'static str,
    /// Limits of the longer and the shorter side in pixels. Smaller frames are not enlarged.
    pub sides: (u32, u32),
    /// Quality of the JPEG, 0–100.
    pub quality: u8,
    pub taker: Arc<dyn StillTaker>,
}

impl fmt::Debug for Still {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Still")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Still {
    /// Describes the branch behind its tee. JPEG uses BT.601 with full range.
    pub(super) fn describe(&self, mode: Mode) -> String {
        let Self { name, quality, .. } = self;
        let (width, height) = fitted(mode, self.sides);
        format!(
            "identity name={name} silent=true \
             ! queue leaky=downstream silent=true max-size-buffers=1 max-size-bytes=0 max-size-time=0 \
             ! videoconvertscale add-borders=false \
             ! video/x-raw,format=I420,colorimetry=1:4:0:0,width={width},height={height},pixel-aspect-ratio=1/1 \
             ! jpegenc quality={quality} \
             ! appsink name={name}-end sync=false async=false max-buffers=1 drop=true enable-last-sample=false"
        )
    }

    /// Connects gate and end of the branch, if the pipeline has it.
    pub(super) fn attach(&self, pipeline: &gst::Pipeline) {
        let gate = pipeline.by_name(self.name);
        let end = pipeline.by_name(&format!("{}-end", self.name));
        let end = end.and_then(|end| end.downcast::<gst_app::AppSink>().ok());
        let (Some(gate), Some(end)) = (gate.and_then(|it| it.static_pad("sink")), end) else {
            return;
        };
        let taker = Arc::clone(&self.taker);
        gate.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let pts = info.buffer().and_then(|buffer| buffer.pts());
            let segment = pad.sticky_event::<gst::event::Segment>(0);
            let running = segment.and_then(|event| running_ns(event.segment(), pts?));
            match running.is_some_and(|pts_ns| taker.wants(pts_ns)) {
                true => gst::PadProbeReturn::Ok,
                // Not `Drop`: the binding drops the buffer as well, and GStreamer warns.
                false => gst::PadProbeReturn::Handled,
            }
        });
        let taker = Arc::clone(&self.taker);
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |end| {
            let sample = end.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let buffer = sample.buffer();
            let pts = buffer.and_then(gst::BufferRef::pts);
            let running = sample
                .segment()
                .and_then(|segment| running_ns(segment, pts?));
            let jpeg = buffer.and_then(|buffer| buffer.map_readable().ok());
            if let (Some(pts_ns), Some(jpeg)) = (running, jpeg) {
                taker.take(pts_ns, jpeg.to_vec());
            }
            Ok(gst::FlowSuccess::Ok)
        });
        end.set_callbacks(callbacks.build());
    }
}

/// Whether this installation of GStreamer can make stills.
pub(super) fn is_available() -> bool {
    gst::ElementFactory::find("jpegenc").is_some()
}

fn running_ns(segment: &gst::Segment, pts: gst::ClockTime) -> Option<i64> {
    let segment = segment.downcast_ref::<gst::ClockTime>()?;
    let running = segment.to_running_time(pts)?;
    i64::try_from(running.nseconds()).ok()
}

/// Returns the size of a still: the frame's shape within the limits, in even numbers.
fn fitted(mode: Mode, (long, short): (u32, u32)) -> (u32, u32) {
    let (width, height) = (u64::from(mode.width.max(1)), u64::from(mode.height.max(1)));
    let (most_width, most_height) = match width >= height {
        true => (u64::from(long), u64::from(short)),
        false => (u64::from(short), u64::from(long)),
    };
    let (fit_width, fit_height) = if width <= most_width && height <= most_height {
        (width, height)
    } else if width * most_height >= height * most_width {
        (most_width, height * most_width / width)
    } else {
        (width * most_height / height, most_height)
    };
    let even = |side: u64| u32::try_from(side / 2 * 2).unwrap_or(long).max(2);
    (even(fit_width), even(fit_height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mode: &str, expected: (u32, u32)) {
        assert_eq!(fitted(mode.parse().unwrap(), (320, 180)), expected);
    }

    #[test]
    fn still_has_the_shape_of_the_frame_within_the_limits() {
        check("1920x1080@60", (320, 180));
        check("1024x768@60", (240, 180));
        check("2560x1080@60", (320, 134));
        check("1080x1920@60", (180, 320));
        check("64x48@30", (64, 48));
    }
}
