//! The HDMI input's signal, as vivid's controls make it.

use crate::guest::INPUT;

/// What arrives at the input: the values of `dv_timings_signal_mode`, in the order of vivid's `enum
/// vivid_signal_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// What the receiver was last set to.
    Steady,
    /// Nothing.
    Off,
    /// Something unsteady.
    NoLock,
    /// More than the receiver can do.
    OutOfRange,
    /// The mode with this number in the menu `dv_timings`.
    Mode(u32),
    /// The whole device is gone, as if its USB cable were pulled.
    Unplugged,
    /// It is there again, with the driver's own mode: 1280x720 at 60 Hz.
    PluggedIn,
}

/// 640x480 at 59.94 Hz in the menu `dv_timings`: as much as an emulated processor can encode.
pub const VGA: Signal = Signal::Mode(0);
/// 720x576 at 50 Hz.
pub const PAL: Signal = Signal::Mode(4);

const DRIVER: &str = "/sys/bus/platform/drivers/vivid";
const DEVICE: &str = "vivid.0";

impl Signal {
    /// The shell command that makes it arrive.
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
