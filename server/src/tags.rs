//! Tags of recordings, and other short texts of the library.

use unicode_normalization::UnicodeNormalization as _;

/// Largest number of tags of one recording.
const TAGS_MAX: usize = 20;
/// Limit of a tag, in characters.
const TAG_MAX: usize = 50;
/// Limit of a title, in characters.
const TITLE_MAX: usize = 200;
/// Limit of a source, in bytes.
const SOURCE_MAX: usize = 32;

/// Reasons to reject a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LibraryError {
    #[error(
        "tags must be at most 20 texts of 1 to 50 characters without commas and control characters."
    )]
    Tags,
    #[error("title must have 1 to 200 characters and no control characters.")]
    Title,
    #[error("source must have at most 32 small letters, digits, - and _, such as tab or screen.")]
    Source,
}

/// Returns a text without regard to case and normal form.
pub(crate) fn folded(text: &str) -> String {
    text.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// Checks tags; surrounding white space is removed, and of equal ones the first is kept.
pub(crate) fn checked_tags(tags: Vec<String>) -> Result<Vec<String>, LibraryError> {
    let mut checked: Vec<String> = Vec::new();
    for tag in tags {
        let tag: String = tag.trim().nfc().collect();
        let is_valid = (1..=TAG_MAX).contains(&tag.chars().count())
            && !tag.chars().any(|c| c.is_control() || c == ',');
        if !is_valid {
            return Err(LibraryError::Tags);
        }
        if !checked.iter().any(|known| folded(known) == folded(&tag)) {
            checked.push(tag);
        }
    }
    match checked.len() {
        0..=TAGS_MAX => Ok(checked),
        _ => Err(LibraryError::Tags),
    }
}

/// Checks a title; surrounding white space is removed.
pub(crate) fn checked_title(title: &str) -> Result<String, LibraryError> {
    let title = title.trim();
    if (1..=TITLE_MAX).contains(&title.chars().count()) && !title.chars().any(char::is_control) {
        return Ok(title.to_owned());
    }
    Err(LibraryError::Title)
}

/// Checks a source.
pub(crate) fn checked_source(source: String) -> Result<String, LibraryError> {
    let is_valid = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    if source.len() <= SOURCE_MAX && source.bytes().all(is_valid) {
        return Ok(source);
    }
    Err(LibraryError::Source)
}

/// Encodes tags for the database.
pub(crate) fn to_text(tags: &[String]) -> Option<String> {
    let text = (!tags.is_empty()).then(|| serde_json::to_string(tags));
    text.and_then(Result::ok)
}

/// Decodes [`to_text`].
pub(crate) fn from_text(text: Option<&str>) -> Vec<String> {
    let tags = text.and_then(|text| serde_json::from_str(text).ok());
    tags.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn equal_tags_are_kept_once() {
        let tags = checked_tags(texts(&[" Exam", "exam ", "É", "e\u{301}", "two words"]));
        let tags = tags.expect("valid");
        assert_eq!(tags, ["Exam", "É", "two words"]);
        assert_eq!(from_text(to_text(&tags).as_deref()), tags);
        assert_eq!((to_text(&[]), from_text(None)), (None, Vec::new()));
    }

    #[test]
    fn invalid_texts_are_rejected() {
        let many: Vec<_> = (0..21).map(|number| number.to_string()).collect();
        let long = "x".repeat(51);
        for tags in [
            texts(&[""]),
            texts(&["a,b"]),
            texts(&["a\0"]),
            texts(&[&long]),
            many,
        ] {
            assert_eq!(checked_tags(tags), Err(LibraryError::Tags));
        }
        for title in ["", "  ", "a\nb", &"x".repeat(201)] {
            assert_eq!(checked_title(title), Err(LibraryError::Title), "{title:?}");
        }
        assert_eq!(checked_title(" Talk "), Ok("Talk".to_owned()));
        for source in ["Tab", "a b", &"x".repeat(33)] {
            assert_eq!(checked_source(source.to_owned()), Err(LibraryError::Source));
        }
        assert_eq!(checked_source("screen".to_owned()), Ok("screen".to_owned()));
    }
}
