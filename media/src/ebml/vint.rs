//! Variable-size integers (RFC 8794, section 4) and element headers.

/// Result of parsing a prefix.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<T> {
    /// More bytes are needed.
    Incomplete,
    /// No continuation makes the bytes valid.
    Malformed,
    /// Parsed item, and the number of bytes it occupies.
    Item(T, usize),
}

/// Header of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Id, with its length marker.
    pub(crate) id: u32,
    /// Payload size; `None` if unknown (all value bits one, at any width).
    pub(crate) size: Option<u64>,
    /// Width of the id in bytes (1–4).
    pub(crate) id_width: u8,
    /// Width of the size in bytes (1–8).
    pub(crate) size_width: u8,
}

/// Size of the longest header: a 4-byte id and an 8-byte size.
///
/// `EBMLMaxIDLength` may allow longer ids, but no Matroska element has one.
pub(crate) const MAX_HEADER: usize = 12;

/// Parses an element header at the start of `bytes`.
pub(crate) fn header(bytes: &[u8]) -> Parsed<Header> {
    let Some(&first) = bytes.first() else {
        return Parsed::Incomplete;
    };
    let id_width = first.leading_zeros() as usize + 1;
    if id_width > 4 {
        return Parsed::Malformed;
    }
    let Some(id_bytes) = bytes.get(..id_width) else {
        return Parsed::Incomplete;
    };
    let id = id_bytes.iter().fold(0u32, |id, &b| id << 8 | u32::from(b));
    match size(&bytes[id_width..]) {
        Parsed::Incomplete => Parsed::Incomplete,
        Parsed::Malformed => Parsed::Malformed,
        Parsed::Item(size, size_width) => Parsed::Item(
            Header {
                id,
                size,
                // Both widths are at most 8.
                id_width: u8::try_from(id_width).unwrap_or(4),
                size_width: u8::try_from(size_width).unwrap_or(8),
            },
            id_width + size_width,
        ),
    }
}

/// Parses an element data size; `None` if unknown.
pub(crate) fn size(bytes: &[u8]) -> Parsed<Option<u64>> {
    match number(bytes) {
        Parsed::Item(value, width) => {
            Parsed::Item((value != unknown(width)).then_some(value), width)
        }
        Parsed::Incomplete => Parsed::Incomplete,
        Parsed::Malformed => Parsed::Malformed,
    }
}

/// Parses a variable-size integer and removes its length marker, as in the track number of a block.
pub(crate) fn number(bytes: &[u8]) -> Parsed<u64> {
    let Some(&first) = bytes.first() else {
        return Parsed::Incomplete;
    };
    let width = first.leading_zeros() as usize + 1;
    if width > 8 {
        return Parsed::Malformed;
    }
    let Some(bytes) = bytes.get(..width) else {
        return Parsed::Incomplete;
    };
    let raw = bytes
        .iter()
        .fold(0u64, |value, &b| value << 8 | u64::from(b));
    Parsed::Item(raw & unknown(width), width)
}

/// Returns the largest value of `width` bytes, all value bits one, which stands for "unknown size".
pub(crate) fn unknown(width: usize) -> u64 {
    (1u64 << (7 * width.clamp(1, 8))) - 1
}

/// Encodes `value` as a size of exactly `width` bytes; `None` if it does not fit.
pub(crate) fn sized(value: u64, width: usize) -> Option<Vec<u8>> {
    (value < unknown(width)).then(|| raw(value, width))
}

/// Encodes the unknown size in `width` bytes.
pub(crate) fn unknown_sized(width: usize) -> Vec<u8> {
    raw(unknown(width), width)
}

fn raw(value: u64, width: usize) -> Vec<u8> {
    let width = width.clamp(1, 8);
    let marked = value | 1u64 << (7 * width);
    marked.to_be_bytes()[8 - width..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Parsed<Option<u64>>) {
        assert_eq!(size(bytes), expected, "{bytes:02x?}");
    }

    #[test]
    fn sizes_of_every_width_are_parsed() {
        check(&[], Parsed::Incomplete);
        check(&[0x81], Parsed::Item(Some(1), 1));
        check(&[0x40, 0x01], Parsed::Item(Some(1), 2));
        check(&[0x40], Parsed::Incomplete);
        check(&[0x00], Parsed::Malformed);
        check(&[0x01, 0, 0, 0, 0, 0, 1, 0], Parsed::Item(Some(256), 8));
    }

    #[test]
    fn unknown_size_is_recognised_at_every_width() {
        for width in 1..=8 {
            check(&unknown_sized(width), Parsed::Item(None, width));
        }
    }

    #[test]
    fn encoded_sizes_round_trip() {
        for width in 1..=8 {
            for value in [
                0,
                1,
                126,
                127,
                16_382,
                16_383,
                1 << 40,
                (1 << 56) - 2,
                (1 << 56) - 1,
            ] {
                match sized(value, width) {
                    Some(bytes) => check(&bytes, Parsed::Item(Some(value), width)),
                    None => assert!(value >= unknown(width)),
                }
            }
        }
    }

    #[test]
    fn element_headers_are_parsed() {
        assert_eq!(
            header(&[
                0x1F, 0x43, 0xB6, 0x75, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xE7
            ]),
            Parsed::Item(
                Header {
                    id: super::super::ids::CLUSTER,
                    size: None,
                    id_width: 4,
                    size_width: 8
                },
                12
            )
        );
        assert_eq!(header(&[0x1F, 0x43, 0xB6]), Parsed::Incomplete);
        assert_eq!(header(&[0x08]), Parsed::Malformed, "an id of five bytes");
        assert_eq!(
            header(&[0xA3, 0x00]),
            Parsed::Malformed,
            "a size of nine bytes"
        );
    }
}
