//! Reading small master elements from memory.

use super::vint::{self, Parsed};

/// Iterator over the children of a master element's payload, as id and payload.
///
/// Ends at the first child that is malformed, truncated or of unknown size.
#[derive(Debug, Clone)]
pub(crate) struct Children<'a>(&'a [u8]);

impl<'a> Children<'a> {
    pub(crate) fn of(payload: &'a [u8]) -> Self {
        Self(payload)
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let Parsed::Item(header, taken) = vint::header(self.0) else {
            return None;
        };
        let size = usize::try_from(header.size?).ok()?;
        let rest = self.0.get(taken..)?;
        let payload = rest.get(..size)?;
        self.0 = rest.get(size..)?;
        Some((header.id, payload))
    }
}

/// Decodes an unsigned integer of 0–8 bytes (RFC 8794, section 7.2); `None` if it is longer.
pub(crate) fn uint(payload: &[u8]) -> Option<u64> {
    (payload.len() <= 8).then(|| {
        payload
            .iter()
            .fold(0, |value, &b| value << 8 | u64::from(b))
    })
}

/// Decodes a float of 0, 4 or 8 bytes (RFC 8794, section 7.3).
pub(crate) fn float(payload: &[u8]) -> Option<f64> {
    match payload.len() {
        0 => Some(0.0),
        4 => Some(f64::from(f32::from_be_bytes(payload.try_into().ok()?))),
        8 => Some(f64::from_be_bytes(payload.try_into().ok()?)),
        _ => None,
    }
}

/// Decodes a string up to its first zero byte (RFC 8794, sections 7.4 and 13), at most `limit` bytes of it.
pub(crate) fn string(payload: &[u8], limit: usize) -> String {
    let text = payload.split(|&b| b == 0).next().unwrap_or_default();
    let text = &text[..text.len().min(limit)];
    match std::str::from_utf8(text) {
        Ok(text) => text.to_owned(),
        // Truncated within a character, or not UTF-8.
        Err(error) => String::from_utf8_lossy(&text[..error.valid_up_to()]).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_end_at_truncated_element() {
        let all: Vec<_> = Children::of(&[0xD7, 0x81, 5, 0xEC, 0x80, 0x83, 0x82, 1]).collect();
        assert_eq!(all, [(0xD7, &[5u8][..]), (0xEC, &[][..])]);
    }

    #[test]
    fn values_are_decoded() {
        assert_eq!(uint(&[1, 0]), Some(256));
        assert_eq!(uint(&[0; 9]), None);
        assert_eq!(float(&1.5f32.to_be_bytes()), Some(1.5));
        assert_eq!(float(&[0; 3]), None);
        assert_eq!(string(b"webm\0\0", 64), "webm");
        assert_eq!(string("aé".as_bytes(), 2), "a");
    }
}
