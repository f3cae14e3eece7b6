//! Text without `format!`, which would make a page fetch the standard library's formatting (2 kB) for a few sentences.

use std::fmt;

/// Writes the texts one after the other.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, texts: &[&str]) -> fmt::Result {
    texts.iter().try_for_each(|text| f.write_str(text))
}

/// Formats like `{:08x}`.
#[cfg(any(target_arch = "wasm32", test))]
pub(crate) fn hex(number: u32) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |at: u32| char::from(DIGITS[(number.rotate_left(4 * at + 4) & 15) as usize]);
    (0..8).map(digit).collect()
}

/// Pads with zeros to at least `digits`.
#[cfg(any(target_arch = "wasm32", test))]
pub(crate) fn padded(number: u64, digits: usize) -> String {
    let number = number.to_string();
    "0".repeat(digits.saturating_sub(number.len())) + &number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_format_does() {
        for number in [0, 7, 0x10, 0x0abc_def0, 0x89ab_cdef, u32::MAX] {
            assert_eq!(hex(number), format!("{number:08x}"));
            let number = u64::from(number) * 1_000_003;
            assert_eq!(padded(number, 8), format!("{number:08}"));
            assert_eq!(padded(number, 16), format!("{number:016}"));
        }
    }
}
