//! Output of a pipeline.

use gstreamer as gst;
use gstreamer_app as gst_app;
use sortie_media::{EncodedFrame, VideoTrack};

use super::colour;

/// Output of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media {
    /// Description of the frames that follow. Precedes the first frame, and every change, which requires a new file.
    Track(VideoTrack),
    Frame(EncodedFrame),
}

/// Passes everything that reaches `sink` to `on_media`.
pub(super) fn deliver(sink: &gst_app::AppSink, mut on_media: impl FnMut(Media) + Send + 'static) {
    let mut known: Option<VideoTrack> = None;
    let mut seen: Option<gst::Caps> = None;
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let caps = sample.caps();
        if caps != seen.as_deref() {
            seen = caps.map(ToOwned::to_owned);
            let track = caps.and_then(track).ok_or(gst::FlowError::NotNegotiated)?;
            if known.as_ref() != Some(&track) {
                known = Some(track.clone());
                on_media(Media::Track(track));
            }
        }
        if let Some(frame) = frame(&sample) {
            on_media(Media::Frame(frame));
        }
        Ok(gst::FlowSuccess::Ok)
    });
    sink.set_callbacks(callbacks.build());
}

fn track(caps: &gst::CapsRef) -> Option<VideoTrack> {
    let caps = caps.structure(0)?;
    let side = |name| u16::try_from(caps.get::<i32>(name).ok()?).ok();
    let config = caps.get::<gst::Buffer>("codec_data").ok()?;
    let config = config.map_readable().ok()?;
    Some(VideoTrack {
        width: side("width")?,
        height: side("height")?,
        avc_config: config.to_vec(),
        colour: colour::of_caps(caps),
    })
}

/// `None` for a frame without a timestamp.
fn frame(sample: &gst::Sample) -> Option<EncodedFrame> {
    let buffer = sample.buffer()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let running = |time: Option<gst::ClockTime>| {
        let time = segment.to_running_time_full(time?)?;
        match time {
            gst::Signed::Positive(time) => i64::try_from(time.nseconds()).ok(),
            gst::Signed::Negative(time) => i64::try_from(time.nseconds()).ok().map(|ns| -ns),
        }
    };
    let pts_ns = running(buffer.pts())?;
    // Copied, because the encoder's buffer pool may be small.
    let data = buffer.map_readable().ok()?.to_vec();
    Some(EncodedFrame {
        pts_ns,
        dts_ns: running(buffer.dts()).unwrap_or(pts_ns),
        keyframe: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        duration_ns: buffer.duration().map(gst::ClockTime::nseconds),
        data,
    })
}
