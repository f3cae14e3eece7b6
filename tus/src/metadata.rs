//! `Upload-Metadata`: names and values a client attaches to an upload (*Creation, Upload-Metadata*).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Most bytes the header's value may have, read or written: what servers and proxies let through.
pub const MAX_METADATA_BYTES: usize = 8 * 1024;

/// Names and values in the order they came. `Display` writes the header's value.
///
/// Values are bytes, because that is what the wire carries; a value may be empty. Keys nobody here knows
/// are kept, so that what was read can be written again unchanged.
///
/// ```
/// use sortie_tus::metadata::Metadata;
/// let metadata = Metadata::parse("filename d29ybGQ=,protected")?;
/// assert_eq!(metadata.text("filename"), Some("world"));
/// assert_eq!(metadata.get("protected"), Some(&[][..]));
/// assert_eq!(metadata.to_string(), "filename d29ybGQ=,protected");
/// # Ok::<(), sortie_tus::metadata::MetadataError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    entries: Vec<(String, Vec<u8>)>,
    /// Length of the header's value, kept so that the bound is cheap to check.
    encoded_bytes: usize,
}

/// Why names and values cannot be `Upload-Metadata`. The text is a sentence for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// A key is empty or has a character that is not allowed.
    #[error(
        "The header Upload-Metadata must have keys of visible ASCII characters without spaces and commas."
    )]
    Key,
    /// A key comes twice.
    #[error("The header Upload-Metadata must have every key only once.")]
    Duplicate,
    /// A value is not base64.
    #[error(
        "The header Upload-Metadata must have its values in padded base64, one space after the key."
    )]
    Value,
    /// The whole is longer than [`MAX_METADATA_BYTES`].
    #[error("The header Upload-Metadata must not be longer than {MAX_METADATA_BYTES} bytes.")]
    TooLong,
}

impl Metadata {
    /// No names and values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the header's value. An empty value is empty metadata; blanks around a comma are skipped, since
    /// a proxy that joins two headers puts them there (RFC 9110, section 5.3).
    ///
    /// # Errors
    /// Everything the specification forbids, and a value longer than [`MAX_METADATA_BYTES`].
    pub fn parse(value: &str) -> Result<Self, MetadataError> {
        if value.len() > MAX_METADATA_BYTES {
            return Err(MetadataError::TooLong);
        }
        let mut metadata = Self::new();
        if value.trim_matches(BLANKS).is_empty() {
            return Ok(metadata);
        }
        for pair in value.split(',') {
            let pair = pair.trim_matches(BLANKS);
            let (key, encoded) = pair.split_once(' ').unwrap_or((pair, ""));
            let value = STANDARD.decode(encoded).map_err(|_| MetadataError::Value)?;
            metadata.insert(key, value)?;
        }
        Ok(metadata)
    }

    /// Adds a name and its value.
    ///
    /// # Errors
    /// A key that is not allowed or is there already, or no more room within [`MAX_METADATA_BYTES`]; the
    /// metadata is unchanged then.
    pub fn insert(&mut self, key: &str, value: impl Into<Vec<u8>>) -> Result<(), MetadataError> {
        if key.is_empty()
            || !key
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b',')
        {
            return Err(MetadataError::Key);
        }
        if self.get(key).is_some() {
            return Err(MetadataError::Duplicate);
        }
        let value = value.into();
        let comma = usize::from(!self.entries.is_empty());
        let encoded = match value.len() {
            0 => 0,
            bytes => bytes.div_ceil(3).saturating_mul(4).saturating_add(1),
        };
        let total = (self.encoded_bytes + comma + key.len()).saturating_add(encoded);
        if total > MAX_METADATA_BYTES {
            return Err(MetadataError::TooLong);
        }
        self.encoded_bytes = total;
        self.entries.push((key.to_owned(), value));
        Ok(())
    }

    /// A key's value as bytes.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// A key's value as text; nothing when it is not UTF-8.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(|value| str::from_utf8(value).ok())
    }

    /// Names and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()))
    }

    /// Whether there is nothing in it. An empty header should not be sent.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Base64 with padding (RFC 4648, section 4). What reads it is the crate's; its writer is 2.5 kB of unrolled loops, which
/// every page with a recorder would fetch for two short texts.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for piece in bytes.chunks(3) {
        let mut bits = [0; 4];
        bits[1..=piece.len()].copy_from_slice(piece);
        let bits = u32::from_be_bytes(bits);
        for at in 0..4 {
            let digit = (bits >> (18 - 6 * at)) & 63;
            text.push(if at <= piece.len() {
                char::from(DIGITS[digit as usize])
            } else {
                '='
            });
        }
    }
    text
}

impl fmt::Display for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(key)?;
            if !value.is_empty() {
                f.write_str(" ")?;
                f.write_str(&base64(value))?;
            }
        }
        Ok(())
    }
}

/// What HTTP calls optional white space.
const BLANKS: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Result<&[(&str, &[u8])], MetadataError>) {
        match (Metadata::parse(value), expected) {
            (Ok(metadata), Ok(pairs)) => assert_eq!(metadata.iter().collect::<Vec<_>>(), pairs),
            (result, expected) => assert_eq!(result.map(drop), expected.map(drop), "{value:?}"),
        }
    }

    #[test]
    fn reads_what_clients_send() {
        check("", Ok(&[]));
        check("  ", Ok(&[]));
        check("a", Ok(&[("a", b"")]));
        check("a ", Ok(&[("a", b"")]));
        check(
            "filename d29ybGQ=,b",
            Ok(&[("filename", b"world"), ("b", b"")]),
        );
        check("a /+8=, \tb YQ==", Ok(&[("a", b"\xff\xef"), ("b", b"a")]));
        check("A YQ==,a YQ==", Ok(&[("A", b"a"), ("a", b"a")]));
    }

    #[test]
    fn refuses_what_the_specification_forbids() {
        check(",", Err(MetadataError::Key));
        check("a,", Err(MetadataError::Key));
        check("a YQ==,,b", Err(MetadataError::Key));
        check("schlüssel YQ==", Err(MetadataError::Key));
        check("a\tb YQ==", Err(MetadataError::Key));
        check("a YQ==,a YQ==", Err(MetadataError::Duplicate));
        check("a YQ", Err(MetadataError::Value));
        check("a YR==", Err(MetadataError::Value));
        check("a  YQ==", Err(MetadataError::Value));
        check("a YQ== YQ==", Err(MetadataError::Value));
        check("a Y-_=", Err(MetadataError::Value));
    }

    #[test]
    fn the_bound_is_exact_both_ways() {
        let longest = "k".repeat(MAX_METADATA_BYTES);
        assert!(Metadata::parse(&longest).is_ok());
        assert_eq!(
            Metadata::parse(&format!("{longest}k")),
            Err(MetadataError::TooLong)
        );
        let mut metadata = Metadata::new();
        metadata.insert("k", vec![0; 6_141]).expect("8190 bytes");
        assert_eq!(metadata.insert("ab", ""), Err(MetadataError::TooLong));
        metadata.insert("b", "").expect("exactly 8192 bytes");
        assert_eq!(metadata.to_string().len(), MAX_METADATA_BYTES);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            pairs in prop::collection::btree_map("[!-+\\--~]{1,20}", prop::collection::vec(any::<u8>(), 0..60), 0..12)
        ) {
            let mut metadata = Metadata::new();
            for (key, value) in &pairs {
                metadata.insert(key, value.clone()).expect("an allowed key, once");
            }
            let text = metadata.to_string();
            prop_assert_eq!(text.len(), metadata.encoded_bytes);
            prop_assert_eq!(Metadata::parse(&text), Ok(metadata));
        }

        #[test]
        fn no_value_makes_the_parser_panic(value in "[a-z ,=+/\\t\\PC]*") {
            if let Ok(metadata) = Metadata::parse(&value) {
                prop_assert_eq!(Metadata::parse(&metadata.to_string()), Ok(metadata));
            }
        }
    }
}
