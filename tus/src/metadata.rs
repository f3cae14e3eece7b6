//! `Upload-Metadata`: keys and values that a client attaches to an upload (*Creation, Upload-Metadata*).

use std::fmt;

use base64ct::{Base64, Encoding};

/// Size limit of the header value in bytes, as accepted by common servers and proxies.
pub const MAX_METADATA_BYTES: usize = 8 * 1024;

/// Keys and values in their original order. Displays as the header value.
///
/// Values are bytes, as in the protocol, and may be empty. Unknown keys are kept, so that parsed metadata can be
/// written again unchanged.
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
    /// Length of the header value, kept to check the limit cheaply.
    encoded_bytes: usize,
}

/// Reason why keys and values are not valid `Upload-Metadata`. Displays as a sentence for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// A key is empty or contains an invalid character.
    #[error(
        "The header Upload-Metadata must have keys of visible ASCII characters without spaces and commas."
    )]
    Key,
    /// A key occurs twice.
    #[error("The header Upload-Metadata must have every key only once.")]
    Duplicate,
    /// A value is not padded base64.
    #[error(
        "The header Upload-Metadata must have its values in padded base64, one space after the key."
    )]
    Value,
    /// The header value exceeds [`MAX_METADATA_BYTES`].
    #[error("The header Upload-Metadata must not be longer than {MAX_METADATA_BYTES} bytes.")]
    TooLong,
}

impl Metadata {
    /// Creates empty metadata.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses a header value. An empty value is empty metadata. White space around commas is skipped, because a proxy
    /// that joins two headers inserts it (RFC 9110, section 5.3).
    ///
    /// # Errors
    /// Any violation of the specification, or a value longer than [`MAX_METADATA_BYTES`].
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
            let value = Base64::decode_vec(encoded).map_err(|_| MetadataError::Value)?;
            metadata.insert(key, value)?;
        }
        Ok(metadata)
    }

    /// Adds a key and its value.
    ///
    /// # Errors
    /// An invalid or duplicate key, or a header value that would exceed [`MAX_METADATA_BYTES`]. The metadata is then
    /// unchanged.
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

    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// Returns the value of a key as text; `None` if it is not UTF-8.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(|value| str::from_utf8(value).ok())
    }

    /// Iterates over keys and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()))
    }

    /// Whether the metadata is empty. An empty header should not be sent.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl fmt::Display for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(key)?;
            if !value.is_empty() {
                write!(f, " {}", Base64::encode_string(value))?;
            }
        }
        Ok(())
    }
}

/// Optional white space in HTTP headers.
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
    fn headers_sent_by_clients_are_parsed() {
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
    fn forbidden_forms_are_rejected() {
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
    fn size_limit_is_exact_in_both_directions() {
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
        fn metadata_round_trips(
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
        fn parser_does_not_panic(value in "[a-z ,=+/\\t\\PC]*") {
            if let Ok(metadata) = Metadata::parse(&value) {
                prop_assert_eq!(Metadata::parse(&metadata.to_string()), Ok(metadata));
            }
        }
    }
}
