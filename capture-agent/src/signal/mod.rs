//! Whether there is a signal: what was observed, and what is to be believed of it.
//!
//! [`Monitor`] is a state machine without I/O and without a clock. An adapter feeds it what a
//! device says ([`Input`]) together with the time, and acts on what comes out ([`Output`]).
//!
//! Two kinds of device give two kinds of [`Evidence`]. An HDMI receiver measures its input and
//! says so in DV timings; its frames prove nothing, because drivers go on delivering a test
//! picture of their own without a signal. A USB grabber (UVC) has no timings; there only the
//! frames count: they stop, or they become a "no signal" picture, which [`CardDetector`] knows. A
//! black picture is a picture: a machine whose screen is blank is still being recorded.
//!
//! # What it deliberately does not do
//!
//! - A signal that comes and goes faster than the debounce interval keeps its last settled state.
//! - A pipeline that stands still while the timings are steady is no matter of the signal: the
//!   recorder's own watchdog sees that.

mod card;
mod mode;
mod monitor;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub use card::{CardDetector, LOOK_BYTES, LOOK_HEIGHT, LOOK_WIDTH, is_card};
pub use mode::{FrameRate, Mode, ParseModeError};
pub use monitor::Monitor;

/// The state of the input, debounced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// There is no capture device, or it was unplugged.
    NoDevice,
    /// The device is there; nothing arrives at it.
    NoSignal,
    /// Something arrives, but the receiver cannot lock on to it.
    NoLock,
    /// The receiver understands the signal, but it is outside of what the hardware can do.
    Unsupported,
    /// A picture of a known mode arrives.
    Steady(Mode),
}

impl Signal {
    /// Whether the two are the same to a recorder; see [`Mode::is_same_as`].
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

/// One answer of an HDMI receiver to the question what arrives at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Nothing (`ENOLINK`).
    NoSignal,
    /// Something unstable (`ENOLCK`).
    NoLock,
    /// Something out of the hardware's range (`ERANGE`).
    Unsupported,
    /// A picture.
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

/// What a device's signal is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// DV timings (HDMI receivers), which are asked for again and again.
    Timings,
    /// DV timings of a driver that also tells of changes by itself.
    Announced,
    /// Frames that come, and that stop coming (USB grabbers).
    Frames,
}

/// What a frame shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// Anything that may have come from the source, black included.
    Content,
    /// The grabber's own picture that it shows when nothing is plugged in.
    NoSignalCard,
}

/// What an adapter tells the [`Monitor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A device was opened. Until then everything but this is ignored.
    DeviceFound(Evidence),
    /// The device is gone (`ENODEV`, or its node disappeared). Believed at once: whatever was
    /// reading from it is broken already.
    DeviceLost,
    /// The driver sent `V4L2_EVENT_SOURCE_CHANGE`. It says that something changed, not what.
    SourceChange,
    /// A stream is about to be started, which takes as long as it takes: no frame is missed before the next one.
    Starting,
    /// An answer to [`Output::Query`], or one read unasked.
    Timings(Reading),
    /// A frame arrived, of the mode that was negotiated with the device.
    Frame {
        /// Size and rate as negotiated.
        mode: Mode,
        /// What it shows.
        picture: Picture,
    },
}

/// What the [`Monitor`] wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Ask the device for its DV timings and hand in the answer as [`Input::Timings`] (or
    /// [`Input::DeviceLost`]).
    Query,
    /// The state of the input changed.
    Changed {
        /// Before.
        from: Signal,
        /// From now on.
        to: Signal,
        /// When it was settled, on the clock of the caller. A late call does not move it.
        at: Duration,
    },
}

/// How patient a [`Monitor`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// For how long a new state must be all that is observed before it is believed.
    pub debounce: Duration,
    /// For how long no frame may come before a device judged by its frames has no signal. Longer
    /// than the slowest frame interval of any grabber, and than the start of its stream.
    pub stall_after: Duration,
    /// How often timings are asked for where the driver does not tell of changes, 1 ms at least.
    pub query_interval: Duration,
    /// How often they are asked for where it does, in case it missed one, 1 ms at least.
    pub check_interval: Duration,
}

impl Default for Config {
    /// 300 ms, 2 s, 500 ms and 2 s: leaves most of a second between a signal and its first frame on
    /// disk to the pipeline.
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(300),
            stall_after: Duration::from_secs(2),
            query_interval: Duration::from_millis(500),
            check_interval: Duration::from_secs(2),
        }
    }
}
