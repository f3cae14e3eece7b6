//! Reader of bits, most significant first.

/// Reads bits from the front of a buffer; returns `None` at its end.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Position in bits.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        let byte = *self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// Reads a number of at most 32 bits.
    pub(super) fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |number, _| Some(number << 1 | u32::from(self.flag()?)))
    }

    /// Reads a small number of at most 8 bits.
    pub(super) fn byte(&mut self, count: u32) -> Option<u8> {
        u8::try_from(self.bits(count)?).ok()
    }

    pub(super) fn skip(&mut self, count: u32) -> Option<()> {
        self.bits(count).map(|_| ())
    }

    /// Reads a number in the exponential Golomb code: `ue(v)` of H.264, `uvlc` of AV1.
    pub(super) fn exponential(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros >= 32 {
                return Some(u32::MAX);
            }
        }
        Some((1 << zeros) - 1 + self.bits(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_from_the_most_significant_one() {
        let mut bits = BitReader::new(&[0b1010_0101, 0xFF]);
        assert_eq!(bits.flag(), Some(true));
        assert_eq!(bits.bits(3), Some(0b010));
        assert_eq!(bits.byte(8), Some(0b0101_1111));
        assert_eq!(bits.bits(5), None);
        // Two zeros, a one, and two bits.
        let mut bits = BitReader::new(&[0b0010_1100]);
        assert_eq!(bits.exponential(), Some(4));
        assert_eq!(bits.bits(3), Some(0b100));
    }
}
