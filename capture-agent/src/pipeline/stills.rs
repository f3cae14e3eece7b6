//! Stills: JPEGs of single frames, made beside the encoder.
//!
//! ```text
//! tee ! gate (a pad probe) ! queue (one frame, leaky) ! scale ! jpegenc ! appsink
//! ```
//!
//! The gate drops every frame that is not wanted before anything reads its pixels. The queue moves the work to a thread
//! of its own, and drops a frame if the one before is still in work.
//!
//! A failure of the branch does not reach the encoder: the gate ignores the result of the queue, which would otherwise
//! stop the tee; the end of the stream does not wait for the branch; and its errors are logged only.

use std::fmt;
use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::signal::Mode;

/// Begin of the names of all elements of all branches.
const PREFIX: &str = "still-";

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
    /// Distinguishes its elements from those of other stills.
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
    /// Describes the branch behind its tee. With `is_jpeg`, frames arrive as JPEG, and only wanted ones are decoded.
    ///
    /// JPEG has the full range of BT.601. GStreamer 1.22 does not convert the range from I420 of BT.601 to I420, so the
    /// JPEG encoder receives RGB.
    pub(super) fn describe(&self, mode: Mode, is_jpeg: bool) -> String {
        let Self { name, quality, .. } = self;
        let decode = match is_jpeg {
            true => format!("! jpegdec name={PREFIX}{name}-decode "),
            false => String::new(),
        };
        let (width, height) = fitted(mode, self.sides);
        let caps =
            format!("video/x-raw,format=BGRx,width={width},height={height},pixel-aspect-ratio=1/1");
        format!(
            "identity name={PREFIX}{name} silent=true \
             ! queue name={PREFIX}{name}-queue leaky=downstream silent=true max-size-buffers=1 max-size-bytes=0 \
             max-size-time=0 \
             {decode}! videoconvertscale name={PREFIX}{name}-scale add-borders=false \
             ! capsfilter name={PREFIX}{name}-size caps=\"{caps}\" \
             ! jpegenc name={PREFIX}{name}-jpeg quality={quality} \
             ! appsink name={PREFIX}{name}-end sync=false async=false max-buffers=1 drop=true enable-last-sample=false"
        )
    }

    /// Connects gate and end of the branch, if the pipeline has it.
    pub(super) fn attach(&self, pipeline: &gst::Pipeline) {
        let name = format!("{PREFIX}{}", self.name);
        let gate = pipeline.by_name(&name);
        let queue = pipeline.by_name(&format!("{name}-queue"));
        let end = pipeline.by_name(&format!("{name}-end"));
        let end = end.and_then(|end| end.downcast::<gst_app::AppSink>().ok());
        let (Some(gate), Some(queue), Some(end)) = (
            gate.and_then(|it| it.static_pad("sink")),
            queue.and_then(|it| it.static_pad("sink")),
            end,
        ) else {
            return;
        };
        // The pipeline counts the ends of its sinks. This one is missing if the branch has failed.
        end.unset_element_flags(gst::ElementFlags::SINK);
        let taker = Arc::clone(&self.taker);
        gate.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let pts = info.buffer().and_then(|buffer| buffer.pts());
            let segment = pad.sticky_event::<gst::event::Segment>(0);
            let running = segment.and_then(|event| running_ns(event.segment(), pts?));
            if running.is_some_and(|pts_ns| taker.wants(pts_ns))
                && let Some(buffer) = info.buffer()
            {
                // Passed on here and not by the gate, whose result stops the tee.
                let _ = queue.chain(buffer.clone());
            }
            // Not `Drop`: the binding drops the buffer as well, and GStreamer warns.
            gst::PadProbeReturn::Handled
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
#[must_use]
pub fn is_available() -> bool {
    ["jpegenc", "videoconvertscale"]
        .into_iter()
        .all(|element| gst::ElementFactory::find(element).is_some())
}

/// Whether a message is from a branch of stills.
pub(super) fn is_from_still(message: &gst::MessageRef) -> bool {
    let source = message.src();
    source.is_some_and(|element| element.name().starts_with(PREFIX))
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
