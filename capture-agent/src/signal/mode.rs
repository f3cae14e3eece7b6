//! Picture size and frame rate.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// Frames per second, in thousandths so that 59.94 and 60 differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrameRate {
    millihertz: u32,
}

impl FrameRate {
    /// Whole frames per second, up to 4,294,967.
    #[must_use]
    pub const fn from_hertz(hertz: u32) -> Self {
        Self {
            millihertz: hertz.saturating_mul(1000),
        }
    }

    #[must_use]
    pub const fn from_millihertz(millihertz: u32) -> Self {
        Self { millihertz }
    }

    /// Returns the rate of `frames` per `seconds`, rounded to a millihertz; `None` if either is zero or the rate does
    /// not fit.
    #[must_use]
    pub fn from_ratio(frames: u64, seconds: u64) -> Option<Self> {
        let millihertz = (u128::from(frames) * 1000 + u128::from(seconds) / 2)
            .checked_div(u128::from(seconds))?;
        match u32::try_from(millihertz) {
            Ok(0) | Err(_) => None,
            Ok(millihertz) => Some(Self { millihertz }),
        }
    }

    #[must_use]
    pub const fn millihertz(self) -> u32 {
        self.millihertz
    }

    /// Whether the rates differ by at most 0.5 %.
    ///
    /// Receivers measure the pixel clock, whose last digits vary. Recordings carry real timestamps, so a change from 60
    /// to 59.94 needs no new file.
    #[must_use]
    pub fn is_close_to(self, other: Self) -> bool {
        let difference = u64::from(self.millihertz.abs_diff(other.millihertz));
        difference * 200 <= u64::from(self.millihertz.max(other.millihertz))
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, thousandths) = (self.millihertz / 1000, self.millihertz % 1000);
        if thousandths == 0 {
            return write!(f, "{whole}");
        }
        let fraction = format!("{thousandths:03}");
        write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

/// Picture size and frame rate of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Active picture width in pixels.
    pub width: u32,
    /// Active picture height in lines; both fields if interlaced.
    pub height: u32,
    /// Frames per second (half the field rate if interlaced).
    pub fps: FrameRate,
    /// Whether a frame consists of two fields.
    pub interlaced: bool,
}

impl Mode {
    #[must_use]
    pub const fn progressive(width: u32, height: u32, fps: FrameRate) -> Self {
        Self {
            width,
            height,
            fps,
            interlaced: false,
        }
    }

    /// Whether a recording can continue across the change: same picture, and rates that [are
    /// close](FrameRate::is_close_to).
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.width == other.width
            && self.height == other.height
            && self.interlaced == other.interlaced
            && self.fps.is_close_to(other.fps)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, .. } = self;
        let scan = if self.interlaced { " interlaced" } else { "" };
        write!(f, "{width}x{height} at {} fps{scan}", self.fps)
    }
}

/// Invalid text of a [`Mode`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseModeError {
    /// Not of the form `WIDTHxHEIGHT@FPS`.
    #[error("write it as WIDTHxHEIGHT@FPS, for example 1920x1080@60")]
    Form,
    #[error("{part} is not a whole number: {source}")]
    Number {
        part: &'static str,
        source: ParseIntError,
    },
    /// Zero or implausibly large.
    #[error("{part} must be between 1 and {most}")]
    Range { part: &'static str, most: u32 },
}

impl FromStr for Mode {
    type Err = ParseModeError;

    /// Parses `1920x1080@60`, at most 8192 pixels per side and 1000 frames per second.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (size, fps) = text.split_once('@').ok_or(ParseModeError::Form)?;
        let (width, height) = size.split_once(['x', 'X']).ok_or(ParseModeError::Form)?;
        let number = |part, text: &str, most| match text.parse::<u32>() {
            Ok(number) if (1..=most).contains(&number) => Ok(number),
            Ok(_) => Err(ParseModeError::Range { part, most }),
            Err(source) => Err(ParseModeError::Number { part, source }),
        };
        Ok(Self::progressive(
            number("the width", width, 8192)?,
            number("the height", height, 8192)?,
            FrameRate::from_hertz(number("the frame rate", fps, 1000)?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_formatted_with_minimal_digits() {
        for (millihertz, text) in [
            (60_000, "60"),
            (59_940, "59.94"),
            (23_976, "23.976"),
            (7_500, "7.5"),
        ] {
            assert_eq!(FrameRate::from_millihertz(millihertz).to_string(), text);
        }
    }

    #[test]
    fn ratio_is_rounded_and_zero_is_rejected() {
        let rate = |frames, seconds| FrameRate::from_ratio(frames, seconds).map(|r| r.millihertz());
        assert_eq!(rate(60_000, 1001), Some(59_940));
        assert_eq!(rate(30, 1), Some(30_000));
        assert_eq!(rate(30, 0), None);
        assert_eq!(rate(0, 30), None);
        assert_eq!(rate(u64::MAX, 1), None);
    }

    #[test]
    fn broadcast_rates_are_close_and_other_rates_are_not() {
        let close = |a, b| FrameRate::from_millihertz(a).is_close_to(FrameRate::from_millihertz(b));
        assert!(close(60_000, 59_940));
        assert!(close(23_976, 24_000));
        assert!(!close(24_000, 25_000));
        assert!(!close(60_000, 50_000));
    }

    #[test]
    fn modes_are_parsed_or_rejected_with_reason() {
        let mode = "1920x1080@60".parse::<Mode>().unwrap();
        assert_eq!(mode.to_string(), "1920x1080 at 60 fps");
        let refused = |text: &str| text.parse::<Mode>().unwrap_err().to_string();
        assert!(refused("1920x1080").contains("WIDTHxHEIGHT@FPS"));
        assert!(refused("1920@60").contains("WIDTHxHEIGHT@FPS"));
        assert!(refused("ax1080@60").starts_with("the width is not a whole number"));
        assert_eq!(
            refused("1920x0@60"),
            "the height must be between 1 and 8192"
        );
        assert_eq!(
            refused("1920x1080@1001"),
            "the frame rate must be between 1 and 1000"
        );
    }
}
