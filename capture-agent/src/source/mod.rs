//! Where pictures come from: a capture device, or a picture of our own to try everything with.

mod card;
mod choice;
mod desktop;
mod test;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use gstreamer as gst;

use crate::device::{Device, DeviceError};
use crate::signal::{FrameRate, Mode, Reading, Signal};
pub use choice::{Choice, choose};
pub use desktop::Desktop;
pub use test::TestInput;

/// What the test source shows unless told otherwise.
pub const TEST_MODE: Mode = Mode::progressive(1920, 1080, FrameRate::from_hertz(30));

/// A source as a person writes it: `test`, `test-grabber`, or `v4l2:/dev/video0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A picture of our own, as an HDMI receiver gives it.
    Test,
    /// The same as a USB grabber gives it: nothing but frames tells of its signal.
    TestGrabber,
    /// A capture device.
    V4l2(PathBuf),
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "test" => Ok(Self::Test),
            None if text == "test-grabber" => Ok(Self::TestGrabber),
            Some(("v4l2", path)) if path.starts_with('/') => Ok(Self::V4l2(path.into())),
            _ => Err("write it as test, test-grabber or v4l2:/dev/video0".to_owned()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test => f.write_str("test"),
            Self::TestGrabber => f.write_str("test-grabber"),
            Self::V4l2(path) => write!(f, "v4l2:{}", path.display()),
        }
    }
}

/// How pictures arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// As pixels.
    Raw,
    /// Each compressed by itself (MJPEG), as many USB grabbers do above 640x480.
    Jpeg,
    /// As H.264, which is recorded as it comes.
    H264,
}

/// A source that is ready to be captured from.
#[derive(Debug, Clone)]
pub enum Capture {
    /// Our own picture.
    Test(TestInput),
    /// A capture device.
    V4l2 {
        /// Its node.
        path: PathBuf,
        /// What it delivers.
        delivery: Delivery,
        /// Whether its frame rate is a choice of ours; that of an HDMI receiver follows its input.
        choose_rate: bool,
    },
}

impl Capture {
    /// How pictures arrive.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        match self {
            Self::Test(_) => Delivery::Raw,
            Self::V4l2 { delivery, .. } => *delivery,
        }
    }

    /// Whether it is a grabber, whose signal shows in nothing but its frames.
    #[must_use]
    pub fn is_grabber(&self) -> bool {
        match self {
            Self::Test(input) => input.is_grabber(),
            Self::V4l2 { choose_rate, .. } => *choose_rate,
        }
    }

    /// The source in the notation of `gst-launch-1.0`, named `source`, and what it is to deliver: an HDMI
    /// receiver that is not told negotiates the largest picture it knows.
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
                let media = match delivery {
                    Delivery::Raw => "video/x-raw",
                    Delivery::Jpeg => "image/jpeg",
                    Delivery::H264 => "video/x-h264",
                };
                let rate = if *choose_rate {
                    // 29.97 is 30000/1001 to the driver, and 29970/1000 to us.
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
        }
    }

    /// Begins to deliver, where it is we who do.
    pub(crate) fn feed(&self, pipeline: &gst::Pipeline, mode: Mode) {
        if let Self::Test(input) = self {
            input.feed(pipeline, mode);
        }
    }
}

/// A source that cannot be captured from now.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// There is nothing to capture.
    #[error("there is no signal to record: {0}")]
    NoSignal(Signal),
    /// It delivers nothing we understand.
    #[error("{}: the device delivers neither pixels, nor MJPEG, nor H.264{}", path.display(), match mode {
        Some(mode) => format!(" in {mode}"),
        None => String::new(),
    })]
    NoFormat {
        /// Its node.
        path: PathBuf,
        /// What was asked for.
        mode: Option<Mode>,
    },
}

impl Source {
    /// What arrives at a test source; `None` for a real one.
    #[must_use]
    pub fn test_input(&self, mode: Mode) -> Option<TestInput> {
        match self {
            Self::Test => Some(TestInput::new(mode)),
            Self::TestGrabber => Some(TestInput::grabber(mode)),
            Self::V4l2(_) => None,
        }
    }

    /// Finds out what can be captured now. `wanted` decides where there is a choice: of a USB grabber's formats,
    /// and of the test picture.
    ///
    /// # Errors
    ///
    /// [`SourceError`], in words for people.
    pub fn open(&self, wanted: Option<Mode>) -> Result<(Capture, Mode), SourceError> {
        let mode = wanted.unwrap_or(TEST_MODE);
        let path = match (self, self.test_input(mode)) {
            (Self::V4l2(path), _) => path,
            (Self::Test | Self::TestGrabber, input) => {
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
    fn sources_are_read_as_they_are_written() {
        for text in ["test", "test-grabber", "v4l2:/dev/video0"] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
        for text in ["", "v4l2", "v4l2:video0", "/dev/video0", "rtsp://host"] {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
    }
}
