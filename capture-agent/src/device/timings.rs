//! Conversion of a receiver's answer to a [`Reading`].

use std::io;

use rustix::io::Errno;
use v4l::v4l_sys::{V4L2_DV_INTERLACED, v4l2_bt_timings};

use crate::signal::{FrameRate, Mode, Reading};

/// Converts the answer to `VIDIOC_QUERY_DV_TIMINGS`; `None` if the device has no timings (a USB grabber, or an input
/// other than HDMI).
///
/// Errors: any error other than those listed below, for example `ENODEV` after an unplug.
///
/// # Specification
///
/// Linux media userspace API, "ioctl VIDIOC_QUERY_DV_TIMINGS": `ENOLINK` no signal, `ENOLCK` unstable, `ERANGE` out of
/// the hardware's range, `ENODATA` not for this input.
pub(super) fn reading(answer: io::Result<v4l2_bt_timings>) -> io::Result<Option<Reading>> {
    let error = match answer {
        Ok(timings) => return Ok(Some(locked(&timings))),
        Err(error) => error,
    };
    match Errno::from_io_error(&error) {
        Some(Errno::NOLINK) => Ok(Some(Reading::NoSignal)),
        Some(Errno::NOLCK) => Ok(Some(Reading::NoLock)),
        Some(Errno::RANGE) => Ok(Some(Reading::Unsupported)),
        Some(Errno::NOTTY | Errno::NODATA) => Ok(None),
        _ => Err(error),
    }
}

fn locked(timings: &v4l2_bt_timings) -> Reading {
    let (width, height) = (timings.width, timings.height);
    // Some receivers report success and zeroes when nothing is plugged in.
    if width == 0 || height == 0 {
        return Reading::NoSignal;
    }
    match frame_rate(timings) {
        Some(fps) => Reading::Locked(Mode {
            width,
            height,
            fps,
            interlaced: timings.interlaced == V4L2_DV_INTERLACED,
        }),
        // A size without a pixel clock: the measurement is incomplete.
        None => Reading::NoLock,
    }
}

/// Pixel clock divided by the total frame size including blanking, as in `V4L2_DV_BT_FRAME_WIDTH` and
/// `V4L2_DV_BT_FRAME_HEIGHT`. The clock is measured, so 59.94 Hz is distinguished from 60 Hz.
fn frame_rate(timings: &v4l2_bt_timings) -> Option<FrameRate> {
    let sum = |parts: &[u32]| parts.iter().copied().map(u64::from).sum::<u64>();
    let total_width = sum(&[
        timings.width,
        timings.hfrontporch,
        timings.hsync,
        timings.hbackporch,
    ]);
    let mut total_height = sum(&[
        timings.height,
        timings.vfrontporch,
        timings.vsync,
        timings.vbackporch,
    ]);
    if timings.interlaced == V4L2_DV_INTERLACED {
        total_height += sum(&[
            timings.il_vfrontporch,
            timings.il_vsync,
            timings.il_vbackporch,
        ]);
    }
    FrameRate::from_ratio(timings.pixelclock, total_width.checked_mul(total_height)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use v4l::v4l_sys::v4l2_fract;

    /// CEA-861-F, VIC 16: 1920x1080p60.
    const VIC_16: v4l2_bt_timings = v4l2_bt_timings {
        width: 1920,
        height: 1080,
        interlaced: 0,
        polarities: 3,
        pixelclock: 148_500_000,
        hfrontporch: 88,
        hsync: 44,
        hbackporch: 148,
        vfrontporch: 4,
        vsync: 5,
        vbackporch: 36,
        il_vfrontporch: 0,
        il_vsync: 0,
        il_vbackporch: 0,
        standards: 1,
        flags: 0,
        picture_aspect: v4l2_fract {
            numerator: 0,
            denominator: 0,
        },
        cea861_vic: 16,
        hdmi_vic: 0,
        reserved: [0; 46],
    };

    #[track_caller]
    fn check(timings: v4l2_bt_timings, expected: &str) {
        let text = match reading(Ok(timings)).unwrap().unwrap() {
            Reading::Locked(mode) => mode.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(text, expected);
    }

    #[test]
    fn standard_timings_have_standard_rates() {
        check(VIC_16, "1920x1080 at 60 fps");
        let reduced = v4l2_bt_timings {
            pixelclock: 148_351_648,
            ..VIC_16
        };
        check(reduced, "1920x1080 at 59.94 fps");
        // VIC 5: 1920x1080i60, 30 frames of two fields.
        let interlaced = v4l2_bt_timings {
            interlaced: 1,
            pixelclock: 74_250_000,
            vfrontporch: 2,
            vsync: 5,
            vbackporch: 15,
            il_vfrontporch: 2,
            il_vsync: 5,
            il_vbackporch: 16,
            ..VIC_16
        };
        check(interlaced, "1920x1080 at 30 fps interlaced");
    }

    #[test]
    fn incomplete_timings_are_no_lock_and_empty_ones_no_signal() {
        let clockless = v4l2_bt_timings {
            pixelclock: 0,
            ..VIC_16
        };
        check(clockless, "NoLock");
        check(v4l2_bt_timings { width: 0, ..VIC_16 }, "NoSignal");
        check(
            v4l2_bt_timings {
                height: 0,
                ..VIC_16
            },
            "NoSignal",
        );
    }

    #[test]
    fn maximum_timings_do_not_overflow() {
        let absurd = v4l2_bt_timings {
            width: u32::MAX,
            height: u32::MAX,
            hsync: u32::MAX,
            vsync: u32::MAX,
            pixelclock: u64::MAX,
            ..VIC_16
        };
        assert!(reading(Ok(absurd)).is_ok());
    }

    #[test]
    fn errors_map_to_readings_or_are_returned() {
        let of = |errno: Errno| reading(Err(errno.into()));
        assert_eq!(of(Errno::NOLINK).unwrap(), Some(Reading::NoSignal));
        assert_eq!(of(Errno::NOLCK).unwrap(), Some(Reading::NoLock));
        assert_eq!(of(Errno::RANGE).unwrap(), Some(Reading::Unsupported));
        assert_eq!(of(Errno::NOTTY).unwrap(), None);
        assert_eq!(of(Errno::NODATA).unwrap(), None);
        for errno in [Errno::NODEV, Errno::BUSY, Errno::IO] {
            let error = of(errno).unwrap_err();
            assert_eq!(Errno::from_io_error(&error), Some(errno));
        }
    }
}
