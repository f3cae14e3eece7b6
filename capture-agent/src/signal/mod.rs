//! State of the input signal.
//!
//! [`Monitor`] is a state machine without I/O and without a clock. An adapter passes it a device's answers ([`Input`])
//! with the time, and executes its commands ([`Output`]).
//!
//! Two kinds of device provide two kinds of [`Evidence`]. An HDMI receiver measures its input signal (DV timings); its
//! frames prove nothing, because drivers deliver a test pattern without a signal. A USB grabber (UVC) has no timings:
//! its frames stop, or show a test pattern, which [`TestPatternDetector`] detects. A black picture is content: a
//! machine with a blank screen is recorded.
//!
//! # Limits
//!
//! - A signal that changes faster than the debounce interval keeps its last stable state.
//! - A pipeline that stalls while the timings are steady is detected by the recorder's watchdog, not here.

mod mode;
mod monitor;
mod test_pattern;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub use mode::{FrameRate, Mode, ParseModeError};
pub use monitor::Monitor;
pub use test_pattern::{
    SAMPLE_BYTES, SAMPLE_HEIGHT, SAMPLE_WIDTH, TestPatternDetector, is_test_pattern,
};

/// Debounced state of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// There is no capture device, or it was unplugged.
    NoDevice,
    /// No signal at the device.
    NoSignal,
    /// A signal that the receiver cannot lock on to.
    NoLock,
    /// A signal outside the hardware's range.
    Unsupported,
    /// A signal of a known mode.
    Steady(Mode),
}

impl Signal {
    /// Whether a recording can continue across the change; see [`Mode::is_same_as`].
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Steady(a), Self::Steady(b)) => a.is_same_as(b),
            _ => self == other,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDevice => f.write_str("no device"),
            Self::NoSignal => f.write_str("no signal"),
            Self::NoLock => f.write_str("a signal, but no lock on it"),
            Self::Unsupported => f.write_str("a signal that the device does not support"),
            Self::Steady(mode) => mode.fmt(f),
        }
    }
}

/// Answer of an HDMI receiver to a query of its input signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// `ENOLINK`.
    NoSignal,
    /// `ENOLCK`.
    NoLock,
    /// `ERANGE`.
    Unsupported,
    Locked(Mode),
}

impl From<Reading> for Signal {
    fn from(reading: Reading) -> Self {
        match reading {
            Reading::NoSignal => Self::NoSignal,
            Reading::NoLock => Self::NoLock,
            Reading::Unsupported => Self::Unsupported,
            Reading::Locked(mode) => Self::Steady(mode),
        }
    }
}

/// Source of information about a device's signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// DV timings (HDMI receivers), which must be polled.
    Timings,
    /// DV timings of a driver that also announces changes.
    Announced,
    /// Presence of frames (USB grabbers).
    Frames,
}

/// Content of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// A picture that may come from the source, black included.
    Content,
    /// The test pattern of a grabber without a signal.
    NoSignalPattern,
}

/// Input of a [`Monitor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A device was opened. All other inputs are ignored before.
    DeviceFound(Evidence),
    /// The device is gone (`ENODEV`, or its node disappeared). Not debounced: captures from it have failed already.
    DeviceLost,
    /// The driver sent `V4L2_EVENT_SOURCE_CHANGE`, which does not name the new signal.
    SourceChange,
    /// A stream is about to start, which takes a variable time: a stall is not detected before its first frame.
    Starting,
    /// An answer to [`Output::Query`], or an unsolicited one.
    Timings(Reading),
    /// A frame in the mode that was negotiated with the device.
    Frame { mode: Mode, picture: Picture },
}

/// Command of a [`Monitor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Query the device's DV timings and return the answer as [`Input::Timings`] (or [`Input::DeviceLost`]).
    Query,
    Changed {
        from: Signal,
        to: Signal,
        /// Time at which the state became stable, on the caller's clock. A late call does not change it.
        at: Duration,
    },
}

/// Timing of a [`Monitor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Time that a new state must last.
    pub debounce: Duration,
    /// Time without a frame after which a grabber has no signal. Longer than the slowest frame interval of any grabber,
    /// and than the start of its stream.
    pub stall_after: Duration,
    /// Polling interval of timings, for drivers that do not announce changes; at least 1 ms.
    pub query_interval: Duration,
    /// Polling interval for drivers that announce changes, in case one is missed; at least 1 ms.
    pub check_interval: Duration,
}

impl Default for Config {
    /// Returns 300 ms, 2 s, 500 ms and 2 s, which leaves most of a second to the pipeline between a signal and its
    /// first durable frame.
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(300),
            stall_after: Duration::from_secs(2),
            query_interval: Duration::from_millis(500),
            check_interval: Duration::from_secs(2),
        }
    }
}
