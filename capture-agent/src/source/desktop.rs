//! Synthetic desktop: text that scrolls, is typed or stands still, or a film.

/// Pixels per dot of a letter.
const DOT: usize = 2;
/// Dots per letter cell.
const CELL: (usize, usize) = (6, 9);
const PAPER: u8 = 235;
const INK: u8 = 40;
/// Frames per new line of text, at 30 frames per second: a log at reading speed.
const FRAMES_A_LINE: u64 = 6;

/// Frames per typed letter, at 30 frames per second: a fast typist.
const FRAMES_A_LETTER: u64 = 6;

/// Content of a [`Desktop`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scene {
    /// Scrolling text, and a line that changes with every frame.
    #[default]
    Scrolling,
    /// Text on which letters are typed.
    Typing,
    /// Text that stands still.
    Idle,
    /// A film in a window over text.
    Video,
}

/// Screen of text in I420 that advances frame by frame.
#[derive(Debug, Clone)]
pub struct Desktop {
    width: usize,
    height: usize,
    scene: Scene,
    pixels: Vec<u8>,
    frame: u64,
    dice: u64,
}

impl Desktop {
    /// Creates a screen of this size in pixels, with scrolling text.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self::with_scene(width, height, Scene::default())
    }

    #[must_use]
    pub fn with_scene(width: usize, height: usize, scene: Scene) -> Self {
        // GStreamer's I420 layout: strides of a multiple of 4, halves rounded up.
        let luma = stride(width) * even(height);
        let chroma = stride(even(width) / 2) * even(height);
        let mut pixels = vec![PAPER; luma];
        pixels.resize(luma + chroma, 128);
        let mut desktop = Self {
            width,
            height,
            scene,
            pixels,
            frame: 0,
            dice: 1,
        };
        let (step, columns) = match scene {
            Scene::Scrolling => (1, desktop.columns()),
            // As a document in a window: text on a quarter of the screen.
            Scene::Typing | Scene::Idle | Scene::Video => (2, desktop.columns() / 2),
        };
        for row in (1..desktop.rows()).step_by(step) {
            desktop.write_line(row, columns);
        }
        desktop
    }

    /// Draws the next frame.
    pub fn advance(&mut self) -> &[u8] {
        self.frame += 1;
        match self.scene {
            Scene::Scrolling => self.advance_scrolling(),
            Scene::Typing => self.advance_typing(),
            Scene::Idle => {}
            Scene::Video => self.advance_video(),
        }
        &self.pixels
    }

    fn advance_scrolling(&mut self) {
        if self.frame.is_multiple_of(FRAMES_A_LINE) && self.rows() > 1 {
            self.scroll();
            self.write_line(self.rows() - 1, self.columns());
        }
        let counter = format!("FRAME {:08}  SORTIE RECORDING TEST PICTURE", self.frame);
        self.clear(0);
        self.write(0, &counter);
    }

    /// Types into the first row, and begins it anew when it is full.
    fn advance_typing(&mut self) {
        if !self.frame.is_multiple_of(FRAMES_A_LETTER) {
            return;
        }
        let columns = self.columns().max(1) as u64;
        let column = usize::try_from(self.frame / FRAMES_A_LETTER % columns).unwrap_or(0);
        if column == 0 {
            self.clear(0);
        }
        let letter = char::from(b'A' + self.roll(26));
        self.write(0, &format!("{}{letter}", " ".repeat(column)));
    }

    /// Draws soft waves that move over the middle of the screen.
    fn advance_video(&mut self) {
        let wave = |at: u64| {
            let at = at & 0xFF;
            u8::try_from(at.min(0xFF - at)).unwrap_or(0)
        };
        let stride = stride(self.width);
        let (left, right) = (self.width / 6, self.width * 5 / 6);
        for y in self.height / 6..self.height * 5 / 6 {
            let down = wave(2 * y as u64 + 3 * self.frame) / 2;
            let row = &mut self.pixels[y * stride..][left..right];
            for (x, pixel) in (0_u64..).zip(row) {
                let across = wave(x + 5 * self.frame + u64::from(down));
                *pixel = 32 + across / 2 + down + wave(3 * x + y as u64) / 8;
            }
        }
    }

    fn rows(&self) -> usize {
        self.height / (CELL.1 * DOT)
    }

    fn columns(&self) -> usize {
        self.width / (CELL.0 * DOT)
    }

    fn scroll(&mut self) {
        let row = stride(self.width) * CELL.1 * DOT;
        // The first row of the screen is fixed.
        let end = self.rows() * row;
        self.pixels.copy_within(2 * row..end, row);
        self.clear(self.rows() - 1);
    }

    fn clear(&mut self, row: usize) {
        let length = stride(self.width) * CELL.1 * DOT;
        if let Some(pixels) = self.pixels.get_mut(row * length..(row + 1) * length) {
            pixels.fill(PAPER);
        }
    }

    fn write_line(&mut self, row: usize, columns: usize) {
        let mut line = String::new();
        while line.len() < columns {
            let length = 2 + self.roll(8);
            line.extend((0..length).map(|_| char::from(b'A' + self.roll(26))));
            line.push(' ');
        }
        self.write(row, &line);
    }

    /// Returns a pseudo-random number below `below`.
    fn roll(&mut self, below: u8) -> u8 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.dice.to_be_bytes()[0] % below
    }

    fn write(&mut self, row: usize, text: &str) {
        let stride = stride(self.width);
        for (column, letter) in text.bytes().enumerate() {
            let left = column * CELL.0 * DOT;
            if left + CELL.0 * DOT > self.width || (row + 1) * CELL.1 * DOT > self.height {
                return;
            }
            for (x, dots) in glyph(letter).into_iter().enumerate() {
                for y in (0..7).filter(|y| dots >> y & 1 == 1) {
                    for line in 0..DOT {
                        let at = ((row * CELL.1 + y + 1) * DOT + line) * stride + left + x * DOT;
                        self.pixels[at..at + DOT].fill(INK);
                    }
                }
            }
        }
    }
}

fn even(side: usize) -> usize {
    side.next_multiple_of(2)
}

fn stride(width: usize) -> usize {
    width.next_multiple_of(4)
}

/// Five columns of seven dots, lowest bit on top.
fn glyph(letter: u8) -> [u8; 5] {
    const DIGITS: [[u8; 5]; 10] = [
        [0x3E, 0x51, 0x49, 0x45, 0x3E],
        [0x00, 0x42, 0x7F, 0x40, 0x00],
        [0x42, 0x61, 0x51, 0x49, 0x46],
        [0x21, 0x41, 0x45, 0x4B, 0x31],
        [0x18, 0x14, 0x12, 0x7F, 0x10],
        [0x27, 0x45, 0x45, 0x45, 0x39],
        [0x3C, 0x4A, 0x49, 0x49, 0x30],
        [0x01, 0x71, 0x09, 0x05, 0x03],
        [0x36, 0x49, 0x49, 0x49, 0x36],
        [0x06, 0x49, 0x49, 0x29, 0x1E],
    ];
    const LETTERS: [[u8; 5]; 26] = [
        [0x7E, 0x11, 0x11, 0x11, 0x7E],
        [0x7F, 0x49, 0x49, 0x49, 0x36],
        [0x3E, 0x41, 0x41, 0x41, 0x22],
        [0x7F, 0x41, 0x41, 0x22, 0x1C],
        [0x7F, 0x49, 0x49, 0x49, 0x41],
        [0x7F, 0x09, 0x09, 0x09, 0x01],
        [0x3E, 0x41, 0x49, 0x49, 0x7A],
        [0x7F, 0x08, 0x08, 0x08, 0x7F],
        [0x00, 0x41, 0x7F, 0x41, 0x00],
        [0x20, 0x40, 0x41, 0x3F, 0x01],
        [0x7F, 0x08, 0x14, 0x22, 0x41],
        [0x7F, 0x40, 0x40, 0x40, 0x40],
        [0x7F, 0x02, 0x0C, 0x02, 0x7F],
        [0x7F, 0x04, 0x08, 0x10, 0x7F],
        [0x3E, 0x41, 0x41, 0x41, 0x3E],
        [0x7F, 0x09, 0x09, 0x09, 0x06],
        [0x3E, 0x41, 0x51, 0x21, 0x5E],
        [0x7F, 0x09, 0x19, 0x29, 0x46],
        [0x46, 0x49, 0x49, 0x49, 0x31],
        [0x01, 0x01, 0x7F, 0x01, 0x01],
        [0x3F, 0x40, 0x40, 0x40, 0x3F],
        [0x1F, 0x20, 0x40, 0x20, 0x1F],
        [0x3F, 0x40, 0x38, 0x40, 0x3F],
        [0x63, 0x14, 0x08, 0x14, 0x63],
        [0x07, 0x08, 0x70, 0x08, 0x07],
        [0x61, 0x51, 0x49, 0x45, 0x43],
    ];
    match letter {
        b'0'..=b'9' => DIGITS[usize::from(letter - b'0')],
        b'A'..=b'Z' => LETTERS[usize::from(letter - b'A')],
        _ => [0; 5],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_complete_and_frames_differ() {
        for (width, height, bytes) in [
            (1920, 1080, 1920 * 1080 * 3 / 2),
            (640, 480, 640 * 480 * 3 / 2),
            (6, 6, 8 * 6 + 4 * 6),
            (1, 1, 4 * 2 + 4 * 2),
        ] {
            let mut desktop = Desktop::new(width, height);
            let first = desktop.advance().to_vec();
            assert_eq!(first.len(), bytes, "{width}x{height}");
            if width > 100 {
                assert_ne!(first, desktop.advance());
            }
            (0..100).for_each(|_| assert_eq!(desktop.advance().len(), bytes));
        }
    }
}
