//! Choice of a USB grabber's format.

use super::Delivery;
use crate::device::{Format, Rate, Size};
use crate::signal::{FrameRate, Mode};

/// Largest useful picture and highest useful rate.
const WIDEST: u32 = 1920;
const HIGHEST: u32 = 1080;
const FASTEST: FrameRate = FrameRate::from_hertz(60);
/// Rate of a driver that does not list rates.
const USUAL: FrameRate = FrameRate::from_hertz(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    pub delivery: Delivery,
    pub mode: Mode,
}

/// Chooses the best format that a device offers, or the best in the wanted mode: the largest picture, then the highest
/// rate; among equals H.264, which needs no encoder, then raw pixels, then MJPEG.
#[must_use]
pub fn choose(formats: &[Format], wanted: Option<Mode>) -> Option<Choice> {
    let all = formats
        .iter()
        .filter_map(|format| Some((format, delivery(format)?)));
    all.flat_map(|(format, delivery)| {
        let sizes = format.sizes.iter();
        sizes
            .filter_map(move |size| best_of_size(size, wanted))
            .map(move |mode| Choice { delivery, mode })
    })
    .max_by_key(|choice| {
        let pixels = u64::from(choice.mode.width) * u64::from(choice.mode.height);
        let form = match choice.delivery {
            Delivery::H264 => 2,
            Delivery::Raw => 1,
            Delivery::Jpeg => 0,
        };
        (pixels, choice.mode.fps, form)
    })
}

fn delivery(format: &Format) -> Option<Delivery> {
    match format.fourcc.as_str() {
        "H264" => Some(Delivery::H264),
        "MJPG" | "JPEG" => Some(Delivery::Jpeg),
        _ if format.compressed => None,
        // Formats that videoconvert supports; others (Bayer, 16-bit grey) do not occur in grabbers.
        "YUYV" | "UYVY" | "YVYU" | "VYUY" | "NV12" | "NV21" | "NV16" | "NV24" | "YU12" | "YV12"
        | "422P" | "BGR3" | "RGB3" | "BGR4" | "RGB4" | "AR24" | "XR24" | "BX24" | "BA24"
        | "NM12" | "YM12" => Some(Delivery::Raw),
        _ => None,
    }
}

fn best_of_size(size: &Size, wanted: Option<Mode>) -> Option<Mode> {
    match size {
        Size::Exact {
            width,
            height,
            rates,
        } => {
            let fits = match wanted {
                Some(mode) => (mode.width, mode.height) == (*width, *height),
                None => *width <= WIDEST && *height <= HIGHEST,
            };
            let rate = best_rate(rates, wanted.map(|mode| mode.fps))?;
            (fits && *width > 0 && *height > 0).then(|| Mode::progressive(*width, *height, rate))
        }
        Size::Between { least, most } => {
            let between = |side: u32, least: u32, most: u32| (least..=most).contains(&side);
            let (width, height, rate) = match wanted {
                Some(mode) => (mode.width, mode.height, mode.fps),
                None => (most.0.min(WIDEST), most.1.min(HIGHEST), USUAL),
            };
            let fits = between(width, least.0, most.0) && between(height, least.1, most.1);
            fits.then(|| Mode::progressive(width, height, rate))
        }
    }
}

/// Returns the highest useful rate, or the wanted one.
fn best_rate(rates: &[Rate], wanted: Option<FrameRate>) -> Option<FrameRate> {
    if rates.is_empty() {
        return Some(wanted.unwrap_or(USUAL));
    }
    let offered = rates.iter().filter_map(|rate| match (*rate, wanted) {
        (Rate::Exact(rate), Some(wanted)) => rate.is_close_to(wanted).then_some(rate),
        (Rate::Exact(rate), None) => Some(rate),
        (Rate::Between { least, most }, Some(wanted)) => {
            (least..=most).contains(&wanted).then_some(wanted)
        }
        (Rate::Between { least, most }, None) => Some(most.min(FASTEST).max(least)),
    });
    // A device that offers only higher rates uses its lowest one.
    offered.min_by_key(|rate| (*rate > FASTEST, u32::MAX - rate.millihertz()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(fourcc: &str, sizes: &[(u32, u32, &[u32])]) -> Format {
        let size = |&(width, height, rates): &(u32, u32, &[u32])| Size::Exact {
            width,
            height,
            rates: rates
                .iter()
                .map(|hertz| Rate::Exact(FrameRate::from_hertz(*hertz)))
                .collect(),
        };
        Format {
            fourcc: fourcc.to_owned(),
            description: String::new(),
            compressed: matches!(fourcc, "H264" | "MJPG" | "HEVC"),
            sizes: sizes.iter().map(size).collect(),
        }
    }

    #[track_caller]
    fn check(formats: &[Format], wanted: Option<&str>, expected: Option<(Delivery, &str)>) {
        let wanted = wanted.map(|mode| mode.parse().unwrap());
        let expected = expected.map(|(delivery, mode)| Choice {
            delivery,
            mode: mode.parse().unwrap(),
        });
        assert_eq!(choose(formats, wanted), expected);
    }

    #[test]
    fn common_grabber_formats_are_chosen() {
        let formats = [
            format("YUYV", &[(1920, 1080, &[5]), (640, 480, &[30, 60])]),
            format(
                "MJPG",
                &[(1920, 1080, &[30, 60, 120]), (640, 480, &[30, 60])],
            ),
            format("HEVC", &[(1920, 1080, &[60])]),
        ];
        check(&formats, None, Some((Delivery::Jpeg, "1920x1080@60")));
        check(
            &formats,
            Some("640x480@60"),
            Some((Delivery::Raw, "640x480@60")),
        );
        check(
            &formats,
            Some("1920x1080@5"),
            Some((Delivery::Raw, "1920x1080@5")),
        );
        check(&formats, Some("800x600@30"), None);
    }

    #[test]
    fn h264_wins_among_equals() {
        let formats = [
            format("YUYV", &[(1280, 720, &[30])]),
            format("H264", &[(1280, 720, &[30])]),
        ];
        check(&formats, None, Some((Delivery::H264, "1280x720@30")));
    }

    #[test]
    fn oversized_modes_are_skipped() {
        let formats = [format(
            "NV12",
            &[(3840, 2160, &[30]), (1280, 720, &[60, 240])],
        )];
        check(&formats, None, Some((Delivery::Raw, "1280x720@60")));
    }

    #[test]
    fn ranges_and_missing_rates_are_offers() {
        let mut any = format("YUYV", &[(640, 480, &[])]);
        check(&[any.clone()], None, Some((Delivery::Raw, "640x480@30")));
        any.sizes.push(Size::Between {
            least: (16, 16),
            most: (4096, 2160),
        });
        check(
            &[any],
            Some("800x600@25"),
            Some((Delivery::Raw, "800x600@25")),
        );
        check(&[], None, None);
    }
}
