//! Supported encoders.

use crate::signal::Mode;

/// Implementation of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Hardware,
    Software,
}

/// Settings of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tuning {
    Defaults,
    /// Stateful V4L2 encoder. Its driver has a default level and refuses to start, or stalls, if the picture needs a
    /// higher one (bcm2835-codec), so the level is set explicitly.
    V4l2,
    /// Intel Quick Sync Video.
    Qsv,
    /// x264: constant quality with a bit rate cap, so that text on a screen stays readable; about 360 MB per hour of
    /// desktop at 1920x1080.
    X264,
    /// OpenH264 with screen content settings.
    OpenH264,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    pub element: &'static str,
    pub class: Class,
    pub tuning: Tuning,
}

/// All encoders in order of preference: built into small boards, then graphics cards, then the CPU.
pub const CANDIDATES: [Candidate; 9] = [
    Candidate::hardware("v4l2h264enc", Tuning::V4l2),
    Candidate::hardware("mpph264enc", Tuning::Defaults),
    Candidate::hardware("vah264enc", Tuning::Defaults),
    Candidate::hardware("qsvh264enc", Tuning::Qsv),
    Candidate::hardware("nvh264enc", Tuning::Defaults),
    Candidate::hardware("omxh264enc", Tuning::Defaults),
    Candidate::hardware("v4l2slh264enc", Tuning::Defaults),
    Candidate::software("x264enc", Tuning::X264),
    Candidate::software("openh264enc", Tuning::OpenH264),
];

/// Seconds between keyframes: a trade-off between seeking and size.
const KEYFRAME_INTERVAL_S: u32 = 10;

impl Candidate {
    const fn hardware(element: &'static str, tuning: Tuning) -> Self {
        Self {
            element,
            class: Class::Hardware,
            tuning,
        }
    }

    const fn software(element: &'static str, tuning: Tuning) -> Self {
        Self {
            element,
            class: Class::Software,
            tuning,
        }
    }

    /// Returns the encoder element with its settings for a mode, in the notation of `gst-launch-1.0`: takes raw video,
    /// delivers `video/x-h264`. The element is named `encoder`.
    #[must_use]
    pub fn launch(&self, mode: Mode) -> String {
        let element = self.element;
        let keyframes = (mode.fps.millihertz().saturating_mul(KEYFRAME_INTERVAL_S) / 1000).max(1);
        match self.tuning {
            Tuning::Defaults => format!("{element} name=encoder ! video/x-h264"),
            // By default, it keeps frames back: seconds, at the frame rate of a still picture.
            Tuning::Qsv => format!("{element} name=encoder low-latency=true ! video/x-h264"),
            Tuning::V4l2 => format!(
                "{element} name=encoder ! video/x-h264,level=(string){}",
                level(mode)
            ),
            Tuning::X264 => format!(
                "{element} name=encoder speed-preset=veryfast tune=zerolatency pass=qual \
                 quantizer=26 bitrate=3000 key-int-max={keyframes} ! video/x-h264"
            ),
            Tuning::OpenH264 => format!(
                "{element} name=encoder usage-type=screen gop-size={keyframes} ! video/x-h264"
            ),
        }
    }
}

/// Returns the lowest level, from 4 up, that supports a mode.
///
/// # Specification
///
/// ITU-T H.264 (08/2021) table A-1: macroblocks per second and per frame.
fn level(mode: Mode) -> &'static str {
    const LEVELS: [(&str, u64, u64); 4] = [
        ("4", 245_760, 8_192),
        ("4.2", 522_240, 8_704),
        ("5", 589_824, 22_080),
        ("5.1", 983_040, 36_864),
    ];
    let blocks = |pixels: u32| u64::from(pixels.div_ceil(16));
    let frame = blocks(mode.width) * blocks(mode.height);
    let per_kilosecond = frame.saturating_mul(mode.fps.millihertz().into());
    LEVELS
        .iter()
        .find(|(_, a_second, a_frame)| frame <= *a_frame && per_kilosecond <= a_second * 1000)
        .map_or("5.2", |(level, ..)| level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_precedes_software_without_duplicates() {
        let hardware = CANDIDATES
            .iter()
            .take_while(|candidate| candidate.class == Class::Hardware)
            .count();
        assert!(
            CANDIDATES[hardware..]
                .iter()
                .all(|candidate| candidate.class == Class::Software)
        );
        let mut names = CANDIDATES.map(|candidate| candidate.element);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }

    #[test]
    fn level_depends_on_mode() {
        let of = |mode: &str| level(mode.parse().unwrap());
        assert_eq!(of("640x480@60"), "4");
        assert_eq!(of("1920x1080@30"), "4");
        assert_eq!(of("1920x1080@60"), "4.2");
        assert_eq!(of("1920x1200@60"), "5");
        assert_eq!(of("3840x2160@30"), "5.1");
        assert_eq!(of("3840x2160@60"), "5.2");
    }

    #[test]
    fn keyframe_interval_is_ten_seconds_for_every_rate() {
        let x264 = CANDIDATES
            .iter()
            .find(|candidate| candidate.tuning == Tuning::X264)
            .unwrap();
        let launch = |mode: &str| x264.launch(mode.parse().unwrap());
        assert!(launch("1920x1080@60").contains("key-int-max=600 "));
        let slow = Mode::progressive(640, 480, crate::signal::FrameRate::from_millihertz(1));
        assert!(x264.launch(slow).contains("key-int-max=1 "));
    }
}
