//! Bytes that make a torn last fragment whole, so that an index can be appended behind it.
//!
//! Without it a later scan would take that index for the missing data. The last bytes of the filler say how long
//! it is: the scan then finds the same samples again.

/// Bytes of a filler's end: a mark no recorder writes by chance, and the filler's length in 32 bits.
pub(super) const TRAILER: u64 = 16;
/// A longer filler is not worth it: then the fragment is left out.
const LIMIT: u64 = 8 << 20;
const MARK: &[u8; 12] = b"\xF1SortieFill\xF1";

/// Begins what we append to the stream: a `free` box that a later scan knows it by.
pub(super) const END_MARK: &[u8; 24] = b"\0\0\0\x18free\xF1Sortie index\xF1\0\0";

/// Whether the payload of a `free` box makes it an end mark.
pub(super) fn is_end_mark(payload: &[u8]) -> bool {
    END_MARK.get(8..) == Some(payload)
}

/// A filler of so many bytes; `None` when that is too short or too long.
pub(super) fn filler(length: u64) -> Option<Vec<u8>> {
    (TRAILER..=LIMIT).contains(&length).then_some(())?;
    let mut bytes = vec![0; usize::try_from(length - TRAILER).ok()?];
    bytes.extend(MARK);
    bytes.extend(u32::try_from(length).ok()?.to_be_bytes());
    Some(bytes)
}

/// Length of the filler that data with this end has; 0 when there is none.
pub(super) fn length(trailer: &[u8]) -> u64 {
    let length = trailer
        .strip_prefix(MARK)
        .and_then(|length| length.try_into().ok())
        .map_or(0, |length| u64::from(u32::from_be_bytes(length)));
    if (TRAILER..=LIMIT).contains(&length) {
        length
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_mark_is_a_box() {
        let (_, payload) = super::super::boxes::children(END_MARK)
            .next()
            .expect("a box");
        assert!(is_end_mark(payload));
        assert!(!is_end_mark(&payload[1..]) && !is_end_mark(b""));
    }

    #[test]
    fn a_filler_tells_its_length() {
        for size in [16, 17, 5000, LIMIT] {
            let bytes = filler(size).expect("fits");
            assert_eq!(bytes.len() as u64, size);
            assert_eq!(length(&bytes[bytes.len() - 16..]), size);
        }
        assert_eq!((filler(15), filler(LIMIT + 1)), (None, None));
        assert_eq!((length(&[0; 16]), length(b"")), (0, 0));
        let lie = [&MARK[..], &u32::MAX.to_be_bytes()].concat();
        assert_eq!(length(&lie), 0, "no longer than we write");
    }
}
