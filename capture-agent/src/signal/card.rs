//! The pictures that grabbers show of themselves when nothing is plugged in.
//!
//! What USB grabbers put out without a signal is nobody's standard. Two families are widespread, and no desktop looks
//! like either from edge to edge:
//!
//! - **Colour bars**: seven or eight vertical bars of the same width in the order of their luma, at 75 % or 100 %, over
//!   at least the upper three fifths of the picture (SMPTE EG 1, EBU). Chips by MacroSilicon, the STK1160, many
//!   converters in front of a grabber, and DeckLink cards show them.
//! - **One flat, saturated blue or green**: what video decoders free-run in (ADV7180: a blue of Y 54, Cb 192, Cr 112;
//!   SAA711x), and what a buffer full of zeros is in YUV.
//!
//! Black, grey and white are never one, whatever the device meant by them; nor is a logo or a "no signal" in letters
//! before a background, of which each device has its own.

use std::time::Duration;

use super::Picture;

/// Pixels of a look in one row: every sixth of 1920.
pub const LOOK_WIDTH: usize = 320;
/// Rows of a look.
pub const LOOK_HEIGHT: usize = 180;
/// Bytes of a look: red, green and blue of each pixel, row after row, without padding.
pub const LOOK_BYTES: usize = LOOK_WIDTH * LOOK_HEIGHT * 3;

/// A channel of a bar is off below, and on from here on: 75 % bars have 16 and 180, or 0 and 191.
const ON: u8 = 110;
/// Off and on are further apart than this from [`ON`], to either side.
const CLEAR: u8 = 30;
/// A flat picture's colour stands out of its other two channels by this much.
const SATURATED: u8 = 80;
/// What MJPEG and an analogue stage make of one and the same value.
const NOISE: u8 = 20;
/// Columns to either side of an edge between two bars that count for neither: MJPEG blurs chroma over 16 pixels.
const EDGE: usize = 4;
/// Rows from the top that must be bars, in fifths of the picture: below there may be others (SMPTE).
const BARS_FIFTHS: usize = 3;

/// White, yellow, cyan, green, magenta, red, blue, black; bit 2 is red, bit 1 green, bit 0 blue.
const BARS: [u8; 8] = [0b111, 0b110, 0b011, 0b010, 0b101, 0b100, 0b001, 0b000];

/// Tells a grabber's own picture from what comes from a source, by a look about once a second.
///
/// Call [`handle_look`](Self::handle_look) with each look and the time, on any monotonic clock. A picture that is like
/// one of those known must stay the same for a while before it is believed to be one; any other picture is content
/// at once.
#[derive(Debug)]
pub struct CardDetector {
    hold: Duration,
    /// The first look at a picture that is like one of those known, and when that was.
    held: Option<(Vec<u8>, Duration)>,
    picture: Picture,
}

impl CardDetector {
    /// Begins with content; a card must stay for `hold`.
    #[must_use]
    pub fn new(hold: Duration) -> Self {
        Self {
            hold,
            held: None,
            picture: Picture::Content,
        }
    }

    /// Begins without a signal: until something else is seen, a card is one at the first look.
    #[must_use]
    pub fn without_signal() -> Self {
        Self {
            hold: Duration::ZERO,
            held: None,
            picture: Picture::NoSignalCard,
        }
    }

    /// What it was at the last look.
    #[must_use]
    pub fn picture(&self) -> Picture {
        self.picture
    }

    /// Takes in a look of [`LOOK_BYTES`]; one of another length shows nothing that is known.
    pub fn handle_look(&mut self, now: Duration, rgb: &[u8]) -> Picture {
        self.picture = if is_card(rgb) {
            match &self.held {
                Some((first, since)) if is_same(first, rgb) => {
                    if now.saturating_sub(*since) >= self.hold {
                        Picture::NoSignalCard
                    } else {
                        self.picture
                    }
                }
                _ => {
                    self.held = Some((rgb.to_vec(), now));
                    if self.hold.is_zero() {
                        Picture::NoSignalCard
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

/// Whether a look is like one of the pictures known. Looks at a few pixels where it is not.
#[must_use]
pub fn is_card(rgb: &[u8]) -> bool {
    rgb.len() == LOOK_BYTES && (is_flat(rgb) || has_bars(rgb, 8) || has_bars(rgb, 7))
}

fn pixels(rgb: &[u8]) -> impl Iterator<Item = [u8; 3]> {
    rgb.chunks_exact(3)
        .map(|pixel| [pixel[0], pixel[1], pixel[2]])
}

/// One saturated blue or green from edge to edge.
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

/// So many bars of the same width.
fn has_bars(rgb: &[u8], bars: usize) -> bool {
    let mut rows = rgb
        .chunks_exact(LOOK_WIDTH * 3)
        .take(LOOK_HEIGHT * BARS_FIFTHS / 5);
    rows.all(|row| {
        (0..bars).all(|bar| {
            let from = bar * LOOK_WIDTH / bars + EDGE;
            let to = (bar + 1) * LOOK_WIDTH / bars - EDGE;
            pixels(&row[from * 3..to * 3]).all(|pixel| is_of_bar(pixel, BARS[bar]))
        })
    })
}

fn is_of_bar(pixel: [u8; 3], bar: u8) -> bool {
    let channels = [0b100, 0b010, 0b001].map(|bit| bar & bit != 0);
    pixel.into_iter().zip(channels).all(|(value, is_on)| {
        if is_on {
            value >= ON + CLEAR
        } else {
            value <= ON - CLEAR
        }
    })
}

/// Whether two looks are at one picture that stands still.
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

    fn look(colour: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
        let at = |number: usize| colour(number % LOOK_WIDTH, number / LOOK_WIDTH);
        (0..LOOK_WIDTH * LOOK_HEIGHT).flat_map(at).collect()
    }

    fn flat(colour: [u8; 3]) -> Vec<u8> {
        look(|_, _| colour)
    }

    fn bar(bars: usize, x: usize, on: u8) -> [u8; 3] {
        let bar = BARS[x * bars / LOOK_WIDTH];
        [0b100, 0b010, 0b001].map(|bit| if bar & bit != 0 { on } else { 16 })
    }

    /// What comes of these, one a second.
    fn judge(looks: impl IntoIterator<Item = Vec<u8>>) -> Vec<Picture> {
        let mut detector = CardDetector::new(HOLD);
        (0..)
            .zip(looks)
            .map(|(second, look)| detector.handle_look(Duration::from_secs(second), &look))
            .collect()
    }

    /// Whether a picture that stands still is taken for one.
    fn trips(look: &[u8]) -> bool {
        let mut detector = CardDetector::new(HOLD);
        detector.handle_look(Duration::ZERO, look);
        detector.handle_look(HOLD, look) == Picture::NoSignalCard
    }

    #[test]
    fn what_grabbers_show_is_known() {
        for (name, picture) in [
            ("8 bars at 75 %", look(|x, _| bar(8, x, 180))),
            ("8 bars at 100 %", look(|x, _| bar(8, x, 255))),
            ("7 bars at 75 %", look(|x, _| bar(7, x, 191))),
            (
                "SMPTE",
                look(|x, y| match y {
                    0..120 => bar(7, x, 191),
                    120..135 => bar(7, LOOK_WIDTH - 1 - x, 191),
                    _ => [16; 3],
                }),
            ),
            ("the ADV7180's blue", flat([19, 32, 173])),
            ("the SAA711x's blue", flat([0, 0, 255])),
            ("zeros in YUV", flat([0, 135, 0])),
        ] {
            assert!(trips(&picture), "{name}");
        }
    }

    #[test]
    fn it_must_be_held_and_any_other_picture_ends_it_at_once() {
        let bars = || look(|x, _| bar(8, x, 180));
        let mut looks = vec![bars(); 7];
        looks.push(flat([0; 3]));
        looks.extend(vec![bars(); 6]);
        use Picture::{Content as Other, NoSignalCard as Card};
        let other = |count| std::iter::repeat_n(Other, count);
        let expected = other(5).chain([Card, Card]).chain(other(6)).chain([Card]);
        assert_eq!(judge(looks), expected.collect::<Vec<_>>());
    }

    #[test]
    fn without_a_signal_the_first_other_picture_ends_it() {
        let mut detector = CardDetector::without_signal();
        let bars = look(|x, _| bar(8, x, 180));
        assert_eq!(detector.picture(), Picture::NoSignalCard);
        assert_eq!(
            detector.handle_look(HOLD, &bars),
            Picture::NoSignalCard,
            "nothing has changed"
        );
        assert_eq!(detector.handle_look(HOLD, &flat([0; 3])), Picture::Content);
    }

    #[test]
    fn one_of_them_with_anything_on_it_is_none() {
        // A pointer on a flat desktop, of 12 pixels in 1920.
        let pointer = |x: usize, y: usize| (100..102).contains(&x) && (90..93).contains(&y);
        let blue = look(|x, y| if pointer(x, y) { [255; 3] } else { [0, 0, 200] });
        let bars = look(|x, y| {
            if pointer(x, y) {
                [0; 3]
            } else {
                bar(8, x, 180)
            }
        });
        assert!(!trips(&blue) && !trips(&bars));
        // Bars in another order, or of another width.
        assert!(!trips(&look(|x, _| bar(8, LOOK_WIDTH - 1 - x, 180))));
        assert!(!trips(&look(|x, _| bar(8, x / 2, 180))));
    }

    #[test]
    fn what_is_flat_and_not_saturated_is_a_screen() {
        for grey in (0..=255).step_by(15) {
            assert!(!trips(&flat([grey; 3])), "{grey}");
        }
        // A terminal's and an installer's backgrounds, and a paper's.
        for colour in [[40, 42, 54], [0, 43, 54], [253, 246, 227], [200, 0, 0]] {
            assert!(!trips(&flat(colour)), "{colour:?}");
        }
    }

    #[test]
    fn a_look_of_another_size_shows_nothing() {
        assert!(!is_card(&[]) && !is_card(&flat([0, 0, 255])[3..]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn black_is_content_whatever_the_noise(noise in prop::collection::vec(0..40_u8, 64)) {
            let at = |x: usize, y: usize| noise[(x * 7 + y * 13) % noise.len()];
            prop_assert!(!trips(&look(|x, y| [at(x, y), at(y, x), at(x + 1, y)])));
        }

        #[test]
        fn a_picture_that_changes_is_content(
            bars in 7..9_usize,
            on in 150..255_u8,
            every in 1..5_usize,
            changed in (0..LOOK_WIDTH, 0..LOOK_HEIGHT),
        ) {
            // A card, but for one pixel that is another now and then.
            let card = look(|x, _| bar(bars, x, on));
            let mut other = card.clone();
            let at = (changed.1 * LOOK_WIDTH + changed.0) * 3;
            other[at..at + 3].iter_mut().for_each(|value| *value = 255 - *value);
            let looks = (0..16).map(|number| [&card, &other][number / every % 2].clone());
            prop_assert!(judge(looks).iter().all(|picture| *picture == Picture::Content));
        }

        #[test]
        fn any_other_still_picture_is_content(
            stripes in prop::collection::vec(any::<[u8; 3]>(), 2..12),
            upright in any::<bool>(),
        ) {
            let picture = look(|x, y| {
                let (at, of) = if upright { (x, LOOK_WIDTH) } else { (y, LOOK_HEIGHT) };
                stripes[at * stripes.len() / of]
            });
            let differs = stripes.iter().any(|it| !is_near(*it, stripes[0]));
            // Eight random colours that are the eight bars do not happen.
            prop_assume!(differs);
            prop_assert!(!trips(&picture));
        }
    }
}
