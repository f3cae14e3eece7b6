//! Test patterns that the test source delivers when it simulates a grabber without a signal.

/// Y, U and V of 75 % bars (ITU-R BT.601), from white to black.
const BARS: [[u8; 3]; 8] = [
    [180, 128, 128],
    [162, 44, 142],
    [131, 156, 44],
    [112, 72, 58],
    [84, 184, 198],
    [65, 100, 212],
    [35, 212, 114],
    [16, 128, 128],
];
/// Free-run colour of an ADV7180.
const BLUE: [u8; 3] = [54, 192, 112];

/// Test pattern in I420.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TestPattern {
    Bars,
    Blue,
}

impl TestPattern {
    /// Pixels in GStreamer's layout: strides of a multiple of 4, halves rounded up.
    pub(super) fn draw(self, width: usize, height: usize) -> Vec<u8> {
        let even = |side: usize| side.next_multiple_of(2);
        let planes = [
            (width, even(height)),
            (even(width) / 2, even(height) / 2),
            (even(width) / 2, even(height) / 2),
        ];
        let mut pixels = Vec::new();
        for (plane, (width, height)) in planes.into_iter().enumerate() {
            let colour = |x: usize| match self {
                Self::Bars => BARS[(x * BARS.len() / width.max(1)).min(BARS.len() - 1)][plane],
                Self::Blue => BLUE[plane],
            };
            let row: Vec<u8> = (0..width.next_multiple_of(4)).map(colour).collect();
            (0..height).for_each(|_| pixels.extend_from_slice(&row));
        }
        pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Desktop;

    #[test]
    fn pattern_is_as_large_as_a_content_frame() {
        for (width, height) in [(1920, 1080), (640, 480), (6, 6), (1, 1)] {
            let other = Desktop::new(width, height).advance().len();
            for pattern in [TestPattern::Bars, TestPattern::Blue] {
                assert_eq!(pattern.draw(width, height).len(), other, "{width}x{height}");
            }
        }
    }
}
