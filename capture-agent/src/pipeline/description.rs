//! Pipeline descriptions in the notation of `gst-launch-1.0`.

use super::{Plan, Still, colour, frame_sampler, stills};
use crate::signal::Mode;
use crate::source::{Capture, Delivery};

/// Name of the source element.
pub(super) const SOURCE: &str = "source";
/// Largest recorded picture and frame rate; larger input is scaled down.
const WIDEST: u32 = 1920;
const HIGHEST: u32 = 1080;
const FASTEST: u32 = 60;
/// Number of raw frames that may wait for the encoder: enough for a short stall, 25 MB at 1080p.
const WAITING: u32 = 8;

/// Describes the pipeline of a plan.
#[must_use]
pub fn describe(plan: &Plan) -> String {
    let source = plan.capture.launch(plan.mode);
    let sink = "h264parse config-interval=0 ! video/x-h264,stream-format=avc,alignment=au \
                ! appsink name=sink sync=false max-buffers=0 enable-last-sample=false";
    let queue = format!(
        "queue name=queue leaky=downstream silent=true max-size-bytes=0 max-size-time=0 \
         max-size-buffers={WAITING}"
    );
    let encode = || {
        let encoder = plan
            .encoder
            .map(|encoder| encoder.launch(recorded(plan.mode)));
        format!("{} ! {}", prepare(plan.mode), encoder.unwrap_or_default())
    };
    match plan.capture.delivery() {
        // H.264 is not dropped here: every frame depends on the one before.
        Delivery::H264 => format!("{source} ! {sink}"),
        Delivery::Jpeg => {
            let (split, branches) = branches(plan);
            let encode = encode();
            format!("{source} ! {queue} ! jpegdec ! {split}{encode} ! {sink} {branches}")
        }
        Delivery::Raw => {
            let (split, branches) = branches(plan);
            let encode = encode();
            format!("{source} ! {split}{queue} ! {encode} ! {sink} {branches}")
        }
    }
}

/// Tee, and branches of frame sampler and stills, if the plan has any.
fn branches(plan: &Plan) -> (&'static str, String) {
    let mut branches = String::new();
    if plan.no_signal_after.is_some() {
        branches += &format!("pictures. ! {} ", frame_sampler::describe(""));
    }
    if !plan.stills.is_empty() && stills::is_available() {
        for still in &plan.stills {
            branches += &format!("pictures. ! {} ", still.describe(plan.mode, false));
        }
    }
    match branches.is_empty() {
        true => ("", branches),
        false => ("tee name=pictures ! ", branches),
    }
}

/// Describes a pipeline that only makes stills, with a frame sampler if requested.
#[must_use]
pub(super) fn describe_preview(
    capture: &Capture,
    mode: Mode,
    still: &Still,
    looks: bool,
) -> String {
    let source = capture.launch(mode);
    let is_jpeg = capture.delivery() == Delivery::Jpeg;
    let still = still.describe(mode, is_jpeg);
    let sampler = match (looks, is_jpeg) {
        (false, _) => String::new(),
        (true, true) => format!("pictures. ! {}", frame_sampler::describe("jpegdec !")),
        (true, false) => format!("pictures. ! {}", frame_sampler::describe("")),
    };
    format!("{source} ! tee name=pictures pictures. ! {still} {sampler}")
}

/// Describes a pipeline that only captures, with a frame sampler if requested.
#[must_use]
pub(super) fn describe_signal_probe(capture: &Capture, mode: Mode, looks: bool) -> String {
    let source = capture.launch(mode);
    match capture.delivery() {
        Delivery::H264 => format!("{source} ! fakesink sync=false async=false"),
        _ if !looks => format!("{source} ! fakesink sync=false async=false"),
        Delivery::Jpeg => format!("{source} ! {}", frame_sampler::describe("jpegdec !")),
        Delivery::Raw => format!("{source} ! {}", frame_sampler::describe("")),
    }
}

/// Returns the mode in which an input mode is recorded.
#[must_use]
pub(super) fn recorded(mode: Mode) -> Mode {
    let mut recorded = mode;
    let (width, height) = (u64::from(mode.width.max(1)), u64::from(mode.height.max(1)));
    if mode.width > WIDEST || mode.height > HIGHEST {
        // The side that exceeds its limit more decides; chroma needs even numbers.
        let even = |side: u64| u32::try_from(side / 2 * 2).unwrap_or(WIDEST).max(2);
        let by_width = height * u64::from(WIDEST) / width;
        if by_width <= u64::from(HIGHEST) {
            (recorded.width, recorded.height) = (WIDEST, even(by_width));
        } else {
            let by_height = width * u64::from(HIGHEST) / height;
            (recorded.width, recorded.height) = (even(by_height), HIGHEST);
        }
    }
    if mode.fps.millihertz() > FASTEST * 1000 + FASTEST * 5 {
        recorded.fps = crate::signal::FrameRate::from_hertz(FASTEST);
    }
    recorded
}

/// Elements between source and encoder.
fn prepare(mode: Mode) -> String {
    let recorded = recorded(mode);
    let mut elements = Vec::new();
    if mode.interlaced {
        elements.push("deinterlace".to_owned());
    }
    if recorded.fps != mode.fps {
        elements.push(format!("videorate drop-only=true max-rate={FASTEST}"));
    }
    elements.push("videoconvertscale n-threads=2".to_owned());
    let mut caps = format!("video/x-raw,colorimetry={}", colour::wanted(recorded));
    if (recorded.width, recorded.height) != (mode.width, mode.height) {
        caps += &format!(
            ",width={},height={},pixel-aspect-ratio=1/1",
            recorded.width, recorded.height
        );
    }
    elements.push(caps);
    elements.join(" ! ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mode: &str, expected: &str) {
        let mode: Mode = mode.parse().unwrap();
        assert_eq!(recorded(mode), expected.parse().unwrap());
    }

    #[test]
    fn oversized_modes_are_scaled_down() {
        check("1920x1080@60", "1920x1080@60");
        check("640x480@50", "640x480@50");
        check("3840x2160@30", "1920x1080@30");
        check("1920x1200@60", "1728x1080@60");
        check("2560x1080@120", "1920x810@60");
        check("1080x1920@60", "606x1080@60");
    }
}
