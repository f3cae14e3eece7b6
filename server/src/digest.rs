//! SHA-256 over lists of fields, and digests as text.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Adds fields, each with its length, so that no two lists of fields have the same input.
pub(crate) fn add_fields<'f>(hasher: &mut Sha256, fields: impl IntoIterator<Item = &'f str>) {
    for field in fields {
        hasher.update((field.len() as u64).to_be_bytes());
        hasher.update(field.as_bytes());
    }
}

/// Formats bytes in lower-case hex.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_keeps_leading_zeros() {
        assert_eq!(to_hex(&[0, 10, 255]), "000aff");
    }
}
