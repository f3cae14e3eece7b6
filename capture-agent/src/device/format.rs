//! Pixel formats, frame sizes and frame rates a device offers.

use std::io;

use v4l::FrameInterval;
use v4l::format::FourCC;
use v4l::format::description::Flags;
use v4l::fraction::Fraction;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::video::Capture;

use super::{ioctl, text};
use crate::signal::FrameRate;

/// A pixel format and the sizes in which a device delivers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Four-character code, for example `YUYV`, `MJPG` or `H264`; suffix `-BE` for the big-endian variant.
    pub fourcc: String,
    pub description: String,
    /// Whether frames arrive compressed.
    pub compressed: bool,
    /// Available sizes. Empty if the driver cannot list them without a signal, which is common for HDMI receivers.
    pub sizes: Vec<Size>,
}

impl Format {
    /// Whether this is H.264, which is recorded without encoding.
    #[must_use]
    pub fn is_h264(&self) -> bool {
        self.fourcc == "H264"
    }
}

/// A frame size, or a range of them, in pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    Exact {
        width: u32,
        height: u32,
        /// Available rates in this size; empty if the driver does not list them.
        rates: Vec<Rate>,
    },
    Between {
        /// Smallest width and height in pixels.
        least: (u32, u32),
        /// Largest width and height in pixels.
        most: (u32, u32),
    },
}

/// A frame rate, or a range of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    Exact(FrameRate),
    Between { least: FrameRate, most: FrameRate },
}

/// More than any driver lists; bounds a list that never ends.
const MOST_FORMATS: u32 = 256;

/// Lists the formats of one buffer type.
pub(super) fn formats(device: &v4l::Device, buffer_type: u32) -> Vec<Format> {
    let handle = device.handle();
    (0..MOST_FORMATS)
        // Any error ends the list: EINVAL marks its end, ENOTTY means that there is none, and an unplugged device fails
        // the next call.
        .map_while(|index| ioctl::enum_format(&handle, buffer_type, index).ok())
        .map(|format| Format {
            fourcc: fourcc_text(format.pixelformat),
            description: text(&format.description),
            compressed: Flags::from(format.flags).contains(Flags::COMPRESSED),
            sizes: sizes(device, format.pixelformat.into()).unwrap_or_default(),
        })
        .collect()
}

fn sizes(device: &v4l::Device, fourcc: FourCC) -> io::Result<Vec<Size>> {
    let sizes = device.enum_framesizes(fourcc)?;
    Ok(sizes
        .into_iter()
        .map(|size| match size.size {
            FrameSizeEnum::Discrete(size) => Size::Exact {
                width: size.width,
                height: size.height,
                rates: device
                    .enum_frameintervals(fourcc, size.width, size.height)
                    .map(|intervals| intervals.iter().filter_map(rate).collect())
                    .unwrap_or_default(),
            },
            FrameSizeEnum::Stepwise(size) => Size::Between {
                least: (size.min_width, size.min_height),
                most: (size.max_width, size.max_height),
            },
        })
        .collect())
}

/// V4L2 gives seconds per frame: the longest interval is the lowest rate.
fn rate(interval: &FrameInterval) -> Option<Rate> {
    match &interval.interval {
        FrameIntervalEnum::Discrete(interval) => Some(Rate::Exact(inverse(*interval)?)),
        FrameIntervalEnum::Stepwise(intervals) => Some(Rate::Between {
            least: inverse(intervals.max)?,
            most: inverse(intervals.min)?,
        }),
    }
}

fn inverse(interval: Fraction) -> Option<FrameRate> {
    FrameRate::from_ratio(interval.denominator.into(), interval.numerator.into())
}

fn fourcc_text(code: u32) -> String {
    const BIG_ENDIAN: u32 = 1 << 31;
    let mut text: String = (code & !BIG_ENDIAN)
        .to_le_bytes()
        .into_iter()
        .map(|byte| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '?',
        })
        .collect();
    text.truncate(text.trim_end().len());
    if code & BIG_ENDIAN != 0 {
        text.push_str("-BE");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fourcc_is_formatted_like_the_kernel() {
        let code = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
        assert_eq!(fourcc_text(code(b"YUYV")), "YUYV");
        assert_eq!(fourcc_text(code(b"Y16 ")), "Y16");
        assert_eq!(fourcc_text(code(b"Y16 ") | 1 << 31), "Y16-BE");
        assert_eq!(fourcc_text(code(b"\x1b[2J")), "?[2J");
    }

    #[test]
    fn longer_interval_is_lower_rate() {
        let interval = |interval| FrameInterval {
            index: 0,
            fourcc: FourCC::new(b"YUYV"),
            width: 640,
            height: 480,
            typ: 1,
            interval,
        };
        assert_eq!(
            rate(&interval(FrameIntervalEnum::Discrete(Fraction::new(
                1001, 30_000
            )))),
            Some(Rate::Exact(FrameRate::from_millihertz(29_970)))
        );
        let range = FrameIntervalEnum::Stepwise(v4l::frameinterval::Stepwise {
            min: Fraction::new(1, 60),
            max: Fraction::new(1, 5),
            step: Fraction::new(1, 1),
        });
        assert_eq!(
            rate(&interval(range)),
            Some(Rate::Between {
                least: FrameRate::from_hertz(5),
                most: FrameRate::from_hertz(60),
            })
        );
        let zero = FrameIntervalEnum::Discrete(Fraction::new(0, 30));
        assert_eq!(rate(&interval(zero)), None);
    }
}
