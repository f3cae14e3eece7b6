//! The decisions on a final upload (*Concatenation* extension).

use super::{Refusal, UploadLength};

/// What is known of an upload that a final one names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whether it was created with `Upload-Concat: partial`.
    pub partial: bool,
    /// Bytes the server holds.
    pub offset: u64,
    /// How long it will be.
    pub length: UploadLength,
}

/// The length of the final upload made of `parts`, in bytes.
///
/// `max_size` is the largest upload in bytes: what is made of parts is no larger than what comes at once.
///
/// # Errors
/// A part that is not a partial upload or not complete (400), or parts that are too large together (413).
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

/// The id of the upload that a URL in `Upload-Concat` names, below `folder` (such as `/api/uploads/`).
///
/// The URL is absolute or begins with `folder`; `is_ours` says of `scheme://authority` whether it is this
/// server. The id is only cut out: whether there is such an upload is the caller's question.
///
/// # Errors
/// [`Refusal::ForeignPart`] for everything else: another server, another path, a query or a fragment.
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
    fn everything_else_is_refused() {
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
    fn a_url_names_an_upload_of_this_server() {
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
        fn the_length_is_the_sum(lengths in prop::collection::vec(0u64..1_000, 1..20)) {
            let sum: u64 = lengths.iter().sum();
            let parts = || lengths.iter().copied().map(complete);
            prop_assert_eq!(join(parts(), sum), Ok(sum));
            if sum > 0 {
                let max_size = sum - 1;
                prop_assert_eq!(join(parts(), max_size), Err(Refusal::TooLarge { max_size }));
            }
        }

        #[test]
        fn no_url_leads_out_of_the_folder(url in "[a-z:/.?#%\\PC]{0,40}") {
            let path = format!("/api/uploads/{url}");
            if let Ok(id) = part_id(&path, "/api/uploads/", |_| true) {
                prop_assert!(!id.contains(['/', '?', '#', '%']));
                prop_assert!(path.ends_with(id));
            }
        }
    }
}
