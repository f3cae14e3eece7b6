//! Test patterns of grabbers without a signal.
//!
//! No standard defines what a USB grabber shows without a signal. Two families are widespread, and no desktop resembles
//! either across the whole picture:
//!
//! - **Colour bars**: seven or eight vertical bars of equal width in the order of their luma, at 75 % or 100 %, over
//!   at least the upper three fifths of the picture (SMPTE EG 1, EBU). Chips by MacroSilicon, the STK1160, many
//!   converters in front of a grabber, and DeckLink cards show them.
//! - **One flat, saturated blue or green**: the free-run colour of video decoders (ADV7180: a blue of Y 54, Cb 192,
//!   Cr 112; SAA711x), and a zeroed buffer in YUV.
//!
//! Black, grey and white never count, nor does a logo or a "no signal" text, which differ between devices.

use std::time::Duration;

use super::Picture;

/// Width of a sample in pixels: every sixth of 1920.
pub const SAMPLE_WIDTH: usize = 320;
/// Height of a sample in pixels.
pub const SAMPLE_HEIGHT: usize = 180;
/// Size of a sample: RGB, row by row, without padding.
pub const SAMPLE_BYTES: usize = SAMPLE_WIDTH * SAMPLE_HEIGHT * 3;

/// Threshold between off and on of a bar's channel: 75 % bars have 16 and 180, or 0 and 191.
const ON: u8 = 110;
/// Minimum distance from [`ON`] on either side.
const CLEAR: u8 = 30;
/// Minimum distance of a flat picture's dominant channel from the other two.
const SATURATED: u8 = 80;
/// Variation of a constant value by MJPEG and analogue stages.
const NOISE: u8 = 20;
/// Columns that are ignored on either side of an edge between bars: MJPEG blurs chroma over 16 pixels.
const EDGE: usize = 4;
/// Rows from the top that must be bars, in fifths of the picture: SMPTE has other bars below.
const BARS_FIFTHS: usize = 3;

/// White, yellow, cyan, green, magenta, red, blue, black; bit 2 is red, bit 1 green, bit 0 blue.
const BARS: [u8; 8] = [0b111, 0b110, 0b011, 0b010, 0b101, 0b100, 0b001, 0b000];

/// Distinguishes a grabber's test pattern from content, by about one sample per second.
///
/// Call [`handle_sample`](Self::handle_sample) with each sample and the time of any monotonic clock. A test pattern
/// must stay the same for a while before it counts; any other picture is content immediately.
#[derive(Debug)]
pub struct TestPatternDetector {
    hold: Duration,
    /// First sample of the current pattern, and its time.
    held: Option<(Vec<u8>, Duration)>,
    picture: Picture,
}

impl TestPatternDetector {
    /// Creates a detector that starts with content; a pattern must last for `hold`.
    #[must_use]
    pub fn new(hold: Duration) -> Self {
        Self {
            hold,
            held: None,
            picture: Picture::Content,
        }
    }

    /// Creates a detector that starts without a signal: a pattern counts from the first sample on, until content is
    /// seen.
    #[must_use]
    pub fn without_signal() -> Self {
        Self {
            hold: Duration::ZERO,
            held: None,
            picture: Picture::NoSignalPattern,
        }
    }

    /// Returns the result of the last sample.
    #[must_use]
    pub fn picture(&self) -> Picture {
        self.picture
    }

    /// Processes a sample of [`SAMPLE_BYTES`]; a sample of another size is content.
    pub fn handle_sample(&mut self, now: Duration, rgb: &[u8]) -> Picture {
        self.picture = if is_test_pattern(rgb) {
            match &self.held {
                Some((first, since)) if is_same(first, rgb) => {
                    if now.saturating_sub(*since) >= self.hold {
                        Picture::NoSignalPattern
                    } else {
                        self.picture
                    }
                }
                _ => {
                    self.held = Some((rgb.to_vec(), now));
                    if self.hold.is_zero() {
                        Picture::NoSignalPattern
                    } else {
                        Picture::Content
                    }
                }
            }
        } else {
            self.held = None;
            Picture::Content
        };
        self.picture
    }
}

/// Whether a sample is a known test pattern. Content is rejected after a few pixels.
#[must_use]
pub fn is_test_pattern(rgb: &[u8]) -> bool {
    rgb.len() == SAMPLE_BYTES && (is_flat(rgb) || has_bars(rgb, 8) || has_bars(rgb, 7))
}

fn pixels(rgb: &[u8]) -> impl Iterator<Item = [u8; 3]> {
    rgb.chunks_exact(3)
        .map(|pixel| [pixel[0], pixel[1], pixel[2]])
}

/// Whether the picture is one saturated blue or green.
fn is_flat(rgb: &[u8]) -> bool {
    let Some([red, green, blue]) = pixels(rgb).next() else {
        return false;
    };
    let stands_out = |colour: u8, other: u8| colour.saturating_sub(red.max(other)) >= SATURATED;
    (stands_out(blue, green) || stands_out(green, blue))
        && pixels(rgb).all(|pixel| is_near(pixel, [red, green, blue]))
}

fn is_near(one: [u8; 3], other: [u8; 3]) -> bool {
    (0..3).all(|channel| one[channel].abs_diff(other[channel]) <= NOISE)
}

/// Whether the picture is this many bars of equal width.
fn has_bars(rgb: &[u8], bars: usize) -> bool {
    let mut rows = rgb
        .chunks_exact(SAMPLE_WIDTH * 3)
        .take(SAMPLE_HEIGHT * BARS_FIFTHS / 5);
    rows.all(|row| {
        (0..bars).all(|bar| {
            let from = bar * SAMPLE_WIDTH / bars + EDGE;
            let to = (bar + 1) * SAMPLE_WIDTH / bars - EDGE;
            pixels(&row[from * 3..to * 3]).all(|pixel| has_bar_colour(pixel, BARS[bar]))
        })
    })
}

fn has_bar_colour(pixel: [u8; 3], bar: u8) -> bool {
    let channels = [0b100, 0b010, 0b001].map(|bit| bar & bit != 0);
    pixel.into_iter().zip(channels).all(|(value, is_on)| {
        if is_on {
            value >= ON + CLEAR
        } else {
            value <= ON - CLEAR
        }
    })
}

/// Whether two samples show the same still picture.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.iter()
        .zip(other)
        .all(|(one, other)| one.abs_diff(*other) <= NOISE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOLD: Duration = Duration::from_secs(5);

    fn sample(colour: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
        let at = |number: usize| colour(number % SAMPLE_WIDTH, number / SAMPLE_WIDTH);
        (0..SAMPLE_WIDTH * SAMPLE_HEIGHT).flat_map(at).collect()
    }

    fn flat(colour: [u8; 3]) -> Vec<u8> {
        sample(|_, _| colour)
    }

    fn bar(bars: usize, x: usize, on: u8) -> [u8; 3] {
        let bar = BARS[x * bars / SAMPLE_WIDTH];
        [0b100, 0b010, 0b001].map(|bit| if bar & bit != 0 { on } else { 16 })
    }

    /// Results of samples at one-second intervals.
    fn judge(samples: impl IntoIterator<Item = Vec<u8>>) -> Vec<Picture> {
        let mut detector = TestPatternDetector::new(HOLD);
        (0..)
            .zip(samples)
            .map(|(second, sample)| detector.handle_sample(Duration::from_secs(second), &sample))
            .collect()
    }

    /// Whether a still picture is detected.
    fn is_detected(sample: &[u8]) -> bool {
        let mut detector = TestPatternDetector::new(HOLD);
        detector.handle_sample(Duration::ZERO, sample);
        detector.handle_sample(HOLD, sample) == Picture::NoSignalPattern
    }

    #[test]
    fn known_test_patterns_are_detected() {
        for (name, picture) in [
            ("8 bars at 75 %", sample(|x, _| bar(8, x, 180))),
            ("8 bars at 100 %", sample(|x, _| bar(8, x, 255))),
            ("7 bars at 75 %", sample(|x, _| bar(7, x, 191))),
            (
                "SMPTE",
                sample(|x, y| match y {
                    0..120 => bar(7, x, 191),
                    120..135 => bar(7, SAMPLE_WIDTH - 1 - x, 191),
                    _ => [16; 3],
                }),
            ),
            ("the ADV7180's blue", flat([19, 32, 173])),
            ("the SAA711x's blue", flat([0, 0, 255])),
            ("zeros in YUV", flat([0, 135, 0])),
        ] {
            assert!(is_detected(&picture), "{name}");
        }
    }

    #[test]
    fn pattern_must_last_and_content_ends_it_immediately() {
        let bars = || sample(|x, _| bar(8, x, 180));
        let mut samples = vec![bars(); 7];
        samples.push(flat([0; 3]));
        samples.extend(vec![bars(); 6]);
        use Picture::{Content as Other, NoSignalPattern as Pattern};
        let other = |count| std::iter::repeat_n(Other, count);
        let expected = other(5)
            .chain([Pattern, Pattern])
            .chain(other(6))
            .chain([Pattern]);
        assert_eq!(judge(samples), expected.collect::<Vec<_>>());
    }

    #[test]
    fn content_ends_missing_signal_immediately() {
        let mut detector = TestPatternDetector::without_signal();
        let bars = sample(|x, _| bar(8, x, 180));
        assert_eq!(detector.picture(), Picture::NoSignalPattern);
        assert_eq!(
            detector.handle_sample(HOLD, &bars),
            Picture::NoSignalPattern,
            "nothing has changed"
        );
        assert_eq!(
            detector.handle_sample(HOLD, &flat([0; 3])),
            Picture::Content
        );
    }

    #[test]
    fn pattern_with_overlay_is_content() {
        // A pointer on a flat desktop, 12 of 1920 pixels wide.
        let pointer = |x: usize, y: usize| (100..102).contains(&x) && (90..93).contains(&y);
        let blue = sample(|x, y| if pointer(x, y) { [255; 3] } else { [0, 0, 200] });
        let bars = sample(|x, y| {
            if pointer(x, y) {
                [0; 3]
            } else {
                bar(8, x, 180)
            }
        });
        assert!(!is_detected(&blue) && !is_detected(&bars));
        // Bars in another order, or of another width.
        assert!(!is_detected(&sample(|x, _| bar(
            8,
            SAMPLE_WIDTH - 1 - x,
            180
        ))));
        assert!(!is_detected(&sample(|x, _| bar(8, x / 2, 180))));
    }

    #[test]
    fn unsaturated_flat_picture_is_content() {
        for grey in (0..=255).step_by(15) {
            assert!(!is_detected(&flat([grey; 3])), "{grey}");
        }
        // Backgrounds of a terminal, an installer, and a sheet of paper.
        for colour in [[40, 42, 54], [0, 43, 54], [253, 246, 227], [200, 0, 0]] {
            assert!(!is_detected(&flat(colour)), "{colour:?}");
        }
    }

    #[test]
    fn sample_of_wrong_size_is_content() {
        assert!(!is_test_pattern(&[]) && !is_test_pattern(&flat([0, 0, 255])[3..]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn noisy_black_is_content(noise in prop::collection::vec(0..40_u8, 64)) {
            let at = |x: usize, y: usize| noise[(x * 7 + y * 13) % noise.len()];
            prop_assert!(!is_detected(&sample(|x, y| [at(x, y), at(y, x), at(x + 1, y)])));
        }

        #[test]
        fn changing_picture_is_content(
            bars in 7..9_usize,
            on in 150..255_u8,
            every in 1..5_usize,
            changed in (0..SAMPLE_WIDTH, 0..SAMPLE_HEIGHT),
        ) {
            // A pattern in which one pixel may change.
            let pattern = sample(|x, _| bar(bars, x, on));
            let mut other = pattern.clone();
            let at = (changed.1 * SAMPLE_WIDTH + changed.0) * 3;
            other[at..at + 3].iter_mut().for_each(|value| *value = 255 - *value);
            let samples = (0..16).map(|number| [&pattern, &other][number / every % 2].clone());
            prop_assert!(judge(samples).iter().all(|picture| *picture == Picture::Content));
        }

        #[test]
        fn other_still_picture_is_content(
            stripes in prop::collection::vec(any::<[u8; 3]>(), 2..12),
            upright in any::<bool>(),
        ) {
            let picture = sample(|x, y| {
                let (at, of) = if upright { (x, SAMPLE_WIDTH) } else { (y, SAMPLE_HEIGHT) };
                stripes[at * stripes.len() / of]
            });
            let differs = stripes.iter().any(|it| !is_near(*it, stripes[0]));
            // Excludes eight random colours that equal the eight bars.
            prop_assume!(differs);
            prop_assert!(!is_detected(&picture));
        }
    }
}
