//! The EBML header and the Info element: values that are repeated in our head.

use serde::{Deserialize, Serialize};

use crate::container::Container;
use crate::ebml::{
    ids,
    read::{Children, float, string, uint},
};

/// Default `TimestampScale` (RFC 9559, section 5.1.2.9): a tick is a millisecond.
const DEFAULT_SCALE_NS: u64 = 1_000_000;
/// Longest plausible tick: a second. Players do not read files with longer ticks.
const LONGEST_SCALE_NS: u64 = 1_000_000_000;
/// Longest text that is repeated in the head, in bytes; it ensures that the head fits into the head room.
const TEXT_LIMIT: usize = 512;

/// Declarations of the EBML header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DocType {
    pub(super) container: Container,
    pub(super) version: u64,
    pub(super) read_version: u64,
}

impl DocType {
    /// Largest plausible EBML header.
    pub(super) const LIMIT: u64 = 64 << 10;

    /// Parses an EBML header's payload; `None` if the document type is neither WebM nor Matroska.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        // RFC 8794 defines no default for DocType, but readers assume "matroska".
        let mut doc_type = Self {
            container: Container::Matroska,
            version: 1,
            read_version: 1,
        };
        for (id, value) in Children::of(payload) {
            match id {
                ids::DOC_TYPE => {
                    doc_type.container = match string(value, 16).as_str() {
                        "webm" => Container::WebM,
                        "matroska" => Container::Matroska,
                        _ => return None,
                    }
                }
                ids::DOC_TYPE_VERSION => doc_type.version = uint(value)?,
                ids::DOC_TYPE_READ_VERSION => doc_type.read_version = uint(value)?,
                _ => {}
            }
        }
        Some(doc_type)
    }

    pub(super) fn name(&self) -> &'static str {
        match self.container {
            Container::WebM => "webm",
            Container::Matroska | Container::Mp4 => "matroska",
        }
    }
}

/// Values of the Info element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Info {
    /// Nanoseconds per tick; never 0.
    pub(super) scale_ns: u64,
    /// Whether Duration is set; Firefox writes 0.
    pub(super) has_duration: bool,
    /// Raw value of `DateUTC`.
    pub(super) date_utc: Option<[u8; 8]>,
    pub(super) title: Option<String>,
    pub(super) writing_app: Option<String>,
}

impl Default for Info {
    fn default() -> Self {
        Self {
            scale_ns: DEFAULT_SCALE_NS,
            has_duration: false,
            date_utc: None,
            title: None,
            writing_app: None,
        }
    }
}

impl Info {
    /// Largest payload that is parsed; a larger one is skipped.
    pub(super) const LIMIT: u64 = 64 << 10;

    pub(super) fn parse(payload: &[u8]) -> Self {
        let mut info = Self::default();
        for (id, value) in Children::of(payload) {
            match id {
                ids::TIMESTAMP_SCALE => {
                    if let Some(scale_ns) =
                        uint(value).filter(|scale| (1..=LONGEST_SCALE_NS).contains(scale))
                    {
                        info.scale_ns = scale_ns;
                    }
                }
                ids::DURATION => info.has_duration = float(value).is_some_and(|ticks| ticks > 0.0),
                ids::DATE_UTC => info.date_utc = value.try_into().ok(),
                ids::TITLE => info.title = text(value),
                ids::WRITING_APP => info.writing_app = text(value),
                _ => {}
            }
        }
        info
    }
}

/// Decodes a text; `None` if it is empty or contains control characters.
fn text(value: &[u8]) -> Option<String> {
    let text = string(value, TEXT_LIMIT);
    (!text.is_empty() && !text.contains(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ebml::write::Writer;

    #[test]
    fn invalid_timestamp_scale_is_ignored() {
        for scale in [0, LONGEST_SCALE_NS + 1, u64::MAX] {
            let mut writer = Writer::new();
            writer.uint(ids::TIMESTAMP_SCALE, scale);
            assert_eq!(Info::parse(&writer.into_bytes()).scale_ns, DEFAULT_SCALE_NS);
        }
    }

    #[test]
    fn texts_with_control_characters_are_ignored() {
        let mut writer = Writer::new();
        writer.string(ids::WRITING_APP, "Chrome");
        writer.string(ids::TITLE, "bad\u{1b}[0m");
        let info = Info::parse(&writer.into_bytes());
        assert_eq!(info.writing_app.as_deref(), Some("Chrome"));
        assert_eq!(info.title, None);
    }

    #[test]
    fn unknown_document_types_are_rejected() {
        let mut writer = Writer::new();
        writer.string(ids::DOC_TYPE, "something");
        assert_eq!(DocType::parse(&writer.into_bytes()), None);
    }
}
