//! Video sources: a capture device, ustreamer, or a synthetic test source.

mod choice;
mod desktop;
mod test;
mod test_pattern;
mod ustreamer;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use gstreamer as gst;

use crate::device::{Device, DeviceError};
use crate::signal::{FrameRate, Mode, Reading, Signal};
pub use choice::{Choice, choose};
pub use desktop::{Desktop, Scene};
pub use test::TestInput;
pub use ustreamer::{Address, UstreamerInput};

/// Default mode of the test source.
pub const TEST_MODE: Mode = Mode::progressive(1920, 1080, FrameRate::from_hertz(30));

/// Configured source: `test`, `test-idle`, `test-typing`, `test-video`, `test-grabber`, `v4l2:/dev/video0`, or `ustreamer:`
/// with an [`Address`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Test source that behaves like an HDMI receiver.
    Test,
    /// The same with another picture.
    TestScene(Scene),
    /// Test source that behaves like a USB grabber: its signal shows only in its frames.
    TestGrabber,
    V4l2(PathBuf),
    /// Frames of another program, which owns the capture device.
    Ustreamer(Address),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "test" => Ok(Self::Test),
            None if text == "test-idle" => Ok(Self::TestScene(Scene::Idle)),
            None if text == "test-typing" => Ok(Self::TestScene(Scene::Typing)),
            None if text == "test-video" => Ok(Self::TestScene(Scene::Video)),
            None if text == "test-grabber" => Ok(Self::TestGrabber),
            Some(("v4l2", path)) if path.starts_with('/') => Ok(Self::V4l2(path.into())),
            Some(("ustreamer", address)) => Address::parse(address).map(Self::Ustreamer),
            _ => Err("write it as v4l2:/dev/video0, ustreamer:NAME, test, test-idle, test-typing, test-video or test-grabber".to_owned()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test | Self::TestScene(Scene::Scrolling) => f.write_str("test"),
            Self::TestScene(Scene::Idle) => f.write_str("test-idle"),
            Self::TestScene(Scene::Typing) => f.write_str("test-typing"),
            Self::TestScene(Scene::Video) => f.write_str("test-video"),
            Self::TestGrabber => f.write_str("test-grabber"),
            Self::V4l2(path) => write!(f, "v4l2:{}", path.display()),
            Self::Ustreamer(address) => write!(f, "ustreamer:{address}"),
        }
    }
}

/// Form in which frames arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Raw,
    /// MJPEG, as from many USB grabbers above 640x480.
    Jpeg,
    /// H.264, which is recorded without encoding.
    H264,
}

impl Delivery {
    /// Caps without their fields.
    fn media(self) -> &'static str {
        match self {
            Self::Raw => "video/x-raw",
            Self::Jpeg => "image/jpeg",
            Self::H264 => "video/x-h264",
        }
    }
}

/// Source that is ready for capturing.
#[derive(Debug, Clone)]
pub enum Capture {
    Test(TestInput),
    V4l2 {
        path: PathBuf,
        delivery: Delivery,
        /// Whether the frame rate can be chosen; the rate of an HDMI receiver follows its input.
        choose_rate: bool,
    },
    Ustreamer {
        input: UstreamerInput,
        delivery: Delivery,
    },
}

impl Capture {
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        match self {
            Self::Test(_) => Delivery::Raw,
            Self::V4l2 { delivery, .. } | Self::Ustreamer { delivery, .. } => *delivery,
        }
    }

    /// Whether it is a grabber, whose signal shows only in its frames.
    #[must_use]
    pub fn is_grabber(&self) -> bool {
        match self {
            Self::Test(input) => input.is_grabber(),
            Self::V4l2 { choose_rate, .. } => *choose_rate,
            Self::Ustreamer { .. } => false,
        }
    }

    /// Returns the source element `source` and its caps, in the notation of `gst-launch-1.0`. Without caps, an HDMI
    /// receiver negotiates the largest picture it supports.
    pub(crate) fn launch(&self, mode: Mode) -> String {
        let size = format!("width={},height={}", mode.width, mode.height);
        match self {
            Self::Test(_) => format!(
                "appsrc name=source is-live=true format=time block=true max-buffers=2 max-bytes=0 \
                 caps=\"video/x-raw,format=I420,{size},framerate={}/1000,colorimetry={}\"",
                mode.fps.millihertz(),
                if mode.height >= 720 { "bt709" } else { "bt601" }
            ),
            Self::V4l2 {
                path,
                delivery,
                choose_rate,
            } => {
                let media = delivery.media();
                let rate = if *choose_rate {
                    // The driver reports 29.97 as 30000/1001, this crate as 29970/1000.
                    let millihertz = mode.fps.millihertz();
                    let (least, most) =
                        (millihertz.saturating_sub(5), millihertz.saturating_add(5));
                    format!(",framerate=[{least}/1000,{most}/1000]")
                } else {
                    String::new()
                };
                let path = path.display().to_string().replace(['\\', '"'], "");
                format!("v4l2src name=source device=\"{path}\" ! {media},{size}{rate}")
            }
            Self::Ustreamer { delivery, .. } => {
                let media = match delivery {
                    Delivery::H264 => "video/x-h264,stream-format=byte-stream,alignment=au",
                    Delivery::Raw | Delivery::Jpeg => delivery.media(),
                };
                let millihertz = mode.fps.millihertz();
                format!(
                    "appsrc name=source is-live=true format=time max-bytes=33554432 leaky-type=downstream \
                     caps=\"{media},{size},framerate={millihertz}/1000\""
                )
            }
        }
    }

    /// Starts to deliver frames, if the source is no element of GStreamer.
    pub(crate) fn feed(&self, pipeline: &gst::Pipeline, mode: Mode) {
        match self {
            Self::Test(input) => input.feed(pipeline, mode),
            Self::V4l2 { .. } => {}
            Self::Ustreamer { input, delivery } => input.feed(pipeline, mode, *delivery),
        }
    }
}

/// Error of a source that cannot be captured from at the moment.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error("there is no signal to record: {0}")]
    NoSignal(Signal),
    /// ustreamer delivers no frames.
    #[error("{0}")]
    Ustreamer(String),
    /// The source delivers no supported format.
    #[error("{}: the device delivers neither pixels, nor MJPEG, nor H.264{}", path.display(), match mode {
        Some(mode) => format!(" in {mode}"),
        None => String::new(),
    })]
    NoFormat { path: PathBuf, mode: Option<Mode> },
}

impl Source {
    /// Returns the input of a test source; `None` for a real source.
    #[must_use]
    pub fn test_input(&self, mode: Mode) -> Option<TestInput> {
        match self {
            Self::Test => Some(TestInput::new(mode)),
            Self::TestScene(scene) => Some(TestInput::with_scene(mode, *scene)),
            Self::TestGrabber => Some(TestInput::grabber(mode)),
            Self::V4l2(_) | Self::Ustreamer(_) => None,
        }
    }

    /// Determines the current mode and format. `wanted` selects among a USB grabber's formats, and the mode of the test
    /// source.
    ///
    /// # Errors
    ///
    /// [`SourceError`], worded for the user.
    pub fn open(&self, wanted: Option<Mode>) -> Result<(Capture, Mode), SourceError> {
        let mode = wanted.unwrap_or(TEST_MODE);
        let path = match (self, self.test_input(mode)) {
            (Self::V4l2(path), _) => path,
            (Self::Ustreamer(address), _) => {
                let input = UstreamerInput::start(address, wanted);
                let input = input.map_err(|error| SourceError::Ustreamer(error.to_string()))?;
                input.wait();
                return input.open();
            }
            (Self::Test | Self::TestScene(_) | Self::TestGrabber, input) => {
                let input = input.unwrap_or_else(|| TestInput::new(mode));
                return Ok((Capture::Test(input), mode));
            }
        };
        let device = Device::open(path)?;
        let capture = |delivery, choose_rate| Capture::V4l2 {
            path: path.clone(),
            delivery,
            choose_rate,
        };
        if let Some(reading) = device.timings()? {
            let Reading::Locked(mode) = reading else {
                return Err(SourceError::NoSignal(reading.into()));
            };
            device.follow_signal()?;
            return Ok((capture(Delivery::Raw, false), mode));
        }
        let choice = choose(&device.formats(), wanted).ok_or_else(|| SourceError::NoFormat {
            path: path.clone(),
            mode: wanted,
        })?;
        Ok((capture(choice.delivery, true), choice.mode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_round_trip_as_text() {
        for text in [
            "test",
            "test-idle",
            "test-typing",
            "test-video",
            "test-grabber",
            "v4l2:/dev/video0",
            "ustreamer:kvmd::ustreamer::h264",
        ] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
        for text in ["", "v4l2", "v4l2:video0", "/dev/video0", "rtsp://host"] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
    }
}
