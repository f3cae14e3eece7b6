//! Decisions on final uploads (*Concatenation* extension).

use super::{Refusal, UploadLength};

/// State of an upload that a final upload names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whether it was created with `Upload-Concat: partial`.
    pub partial: bool,
    /// Durable bytes on the server.
    pub offset: u64,
    /// Declared length of the upload.
    pub length: UploadLength,
}

/// Returns the length of a final upload consisting of `parts`, in bytes.
///
/// `max_size` limits a final upload like any other.
///
/// # Errors
/// A part that is not a complete partial upload (400), or parts that exceed `max_size` together (413).
pub fn join(parts: impl IntoIterator<Item = Part>, max_size: u64) -> Result<u64, Refusal> {
    let mut length: u64 = 0;
    for part in parts {
        if !part.partial {
            return Err(Refusal::NotPartial);
        }
        if part.length != UploadLength::Known(part.offset) {
            return Err(Refusal::UnfinishedPart);
        }
        length = length
            .checked_add(part.offset)
            .filter(|length| *length <= max_size)
            .ok_or(Refusal::TooLarge { max_size })?;
    }
    Ok(length)
}

/// Extracts the id of an upload from a URL in `Upload-Concat`. `folder` is the path of uploads, such as
/// `/api/uploads/`.
///
/// The URL is absolute or begins with `folder`; `is_ours` decides whether `scheme://authority` is this server. The
/// caller must check that the upload exists.
///
/// # Errors
/// [`Refusal::ForeignPart`] for any other URL: another server, another path, a query or a fragment.
pub fn part_id<'u>(
    url: &'u str,
    folder: &str,
    is_ours: impl FnOnce(&str) -> bool,
) -> Result<&'u str, Refusal> {
    let (origin, id) = url.split_once(folder).ok_or(Refusal::ForeignPart)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if id.is_empty() || !id.bytes().all(plain) || !(origin.is_empty() || is_ours(origin)) {
        return Err(Refusal::ForeignPart);
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::UploadLength::{Deferred, Known};
    use super::*;

    const MAX: u64 = 100;

    fn part(partial: bool, offset: u64, length: UploadLength) -> Part {
        Part {
            partial,
            offset,
            length,
        }
    }

    fn complete(length: u64) -> Part {
        part(true, length, Known(length))
    }

    #[test]
    fn complete_partial_uploads_are_joined() {
        assert_eq!(
            join([complete(60), complete(0), complete(40)], MAX),
            Ok(MAX)
        );
        let too_large = Err(Refusal::TooLarge { max_size: MAX });
        assert_eq!(join([complete(60), complete(41)], MAX), too_large);
        let overflow = Err(Refusal::TooLarge { max_size: u64::MAX });
        assert_eq!(join([complete(u64::MAX), complete(1)], u64::MAX), overflow);
    }

    #[test]
    fn other_parts_are_rejected() {
        for (wrong, refusal) in [
            (part(false, 5, Known(5)), Refusal::NotPartial),
            (part(true, 4, Known(5)), Refusal::UnfinishedPart),
            (part(true, 5, Deferred), Refusal::UnfinishedPart),
        ] {
            assert_eq!(join([complete(1), wrong], MAX), Err(refusal));
        }
    }

    #[track_caller]
    fn check(url: &str, expected: Option<&str>) {
        let id = part_id(url, "/api/uploads/", |origin| origin == "https://here");
        assert_eq!(id.ok(), expected, "{url}");
    }

    #[test]
    fn url_of_this_server_yields_the_id() {
        check("/api/uploads/0193-a_b.c", Some("0193-a_b.c"));
        check("https://here/api/uploads/a", Some("a"));
        for foreign in [
            "",
            "a",
            "/api/uploads/",
            "/api/uploads/a/b",
            "/api/uploads/a?b",
            "/api/uploads/a#b",
            "/api/uploads/%61",
            "/api/uploads//api/uploads/a",
            "/api/recordings/a",
            "api/uploads/a",
            "x/api/uploads/a",
            "//here/api/uploads/a",
            "https://there/api/uploads/a",
            "https://here/more/api/uploads/a",
        ] {
            check(foreign, None);
        }
    }

    proptest! {
        #[test]
        fn length_is_the_sum_of_the_parts(lengths in prop::collection::vec(0u64..1_000, 1..20)) {
            let sum: u64 = lengths.iter().sum();
            let parts = || lengths.iter().copied().map(complete);
            prop_assert_eq!(join(parts(), sum), Ok(sum));
            if sum > 0 {
                let max_size = sum - 1;
                prop_assert_eq!(join(parts(), max_size), Err(Refusal::TooLarge { max_size }));
            }
        }

        #[test]
        fn no_url_escapes_the_folder(url in "[a-z:/.?#%\\PC]{0,40}") {
            let path = format!("/api/uploads/{url}");
            if let Ok(id) = part_id(&path, "/api/uploads/", |_| true) {
                prop_assert!(!id.contains(['/', '?', '#', '%']));
                prop_assert!(path.ends_with(id));
            }
        }
    }
}
