//! Signal of the HDMI input, set by vivid's controls.

use crate::guest::INPUT;

/// Input signal: the values of `dv_timings_signal_mode`, in the order of vivid's `enum vivid_signal_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The receiver's current timings.
    Steady,
    Off,
    /// An unstable signal without lock.
    NoLock,
    /// Out of the receiver's range.
    OutOfRange,
    /// Entry of the menu `dv_timings`.
    Mode(u32),
    /// The device is removed, like an unplugged USB device.
    Unplugged,
    /// The device is back, with the driver's default mode: 1280x720 at 60 Hz.
    PluggedIn,
}

/// 640x480 at 59.94 Hz in the menu `dv_timings`: the largest that an emulated processor can encode.
pub const VGA: Signal = Signal::Mode(0);
/// 720x576 at 50 Hz.
pub const PAL: Signal = Signal::Mode(4);

const DRIVER: &str = "/sys/bus/platform/drivers/vivid";
const DEVICE: &str = "vivid.0";

impl Signal {
    /// Shell command that sets the signal.
    #[must_use]
    pub fn command(self) -> String {
        let controls = match self {
            Self::Steady => "dv_timings_signal_mode=0".to_owned(),
            Self::Off => "dv_timings_signal_mode=1".to_owned(),
            Self::NoLock => "dv_timings_signal_mode=2".to_owned(),
            Self::OutOfRange => "dv_timings_signal_mode=3".to_owned(),
            Self::Unplugged => return format!("echo {DEVICE} >{DRIVER}/unbind"),
            Self::PluggedIn => return format!("echo {DEVICE} >{DRIVER}/bind"),
            Self::Mode(number) => {
                format!("dv_timings_signal_mode=4 && v4l2-ctl -d {INPUT} -c dv_timings={number}")
            }
        };
        format!("v4l2-ctl -d {INPUT} -c {controls}")
    }
}
