//! Padding that completes the `mdat` of a torn last fragment, so that an index can be appended behind it.
//!
//! Without padding, a later scan would take the index for the missing media data. The trailer of the padding holds its
//! length, so that such a scan finds the same samples again.

/// Size of the trailer: a magic value that no encoder writes by chance, and the padding's length in 32 bits.
pub(super) const TRAILER_SIZE: u64 = 16;
/// Longest padding. A fragment that would need more is left out.
const LIMIT: u64 = 8 << 20;
const MARK: &[u8; 12] = b"\xF1SortieFill\xF1";

/// First bytes of everything we append to the stream: a `free` box by which a later scan recognises the index.
pub(super) const INDEX_MARKER: &[u8; 24] = b"\0\0\0\x18free\xF1Sortie index\xF1\0\0";

/// Whether the payload of a `free` box is that of [`INDEX_MARKER`].
pub(super) fn is_index_marker(payload: &[u8]) -> bool {
    INDEX_MARKER.get(8..) == Some(payload)
}

/// Returns padding of `length` bytes; `None` if the length is out of range.
pub(super) fn padding(length: u64) -> Option<Vec<u8>> {
    (TRAILER_SIZE..=LIMIT).contains(&length).then_some(())?;
    let mut bytes = vec![0; usize::try_from(length - TRAILER_SIZE).ok()?];
    bytes.extend(MARK);
    bytes.extend(u32::try_from(length).ok()?.to_be_bytes());
    Some(bytes)
}

/// Returns the length of the padding that ends in `trailer`; 0 if `trailer` is media data.
pub(super) fn length(trailer: &[u8]) -> u64 {
    let length = trailer
        .strip_prefix(MARK)
        .and_then(|length| length.try_into().ok())
        .map_or(0, |length| u64::from(u32::from_be_bytes(length)));
    if (TRAILER_SIZE..=LIMIT).contains(&length) {
        length
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_marker_is_a_box() {
        let (_, payload) = super::super::boxes::children(INDEX_MARKER)
            .next()
            .expect("a box");
        assert!(is_index_marker(payload));
        assert!(!is_index_marker(&payload[1..]) && !is_index_marker(b""));
    }

    #[test]
    fn padding_length_round_trips() {
        for size in [16, 17, 5000, LIMIT] {
            let bytes = padding(size).expect("fits");
            assert_eq!(bytes.len() as u64, size);
            assert_eq!(length(&bytes[bytes.len() - 16..]), size);
        }
        assert_eq!((padding(15), padding(LIMIT + 1)), (None, None));
        assert_eq!((length(&[0; 16]), length(b"")), (0, 0));
        let lie = [&MARK[..], &u32::MAX.to_be_bytes()].concat();
        assert_eq!(length(&lie), 0, "no longer than we write");
    }
}
