//! Why a request is turned down, with the status that tells a client what to do about it.

use crate::header::{HeaderError, TUS_VERSION, VERSION};
use crate::metadata::MetadataError;

/// A request turned down. Its text is a sentence for a person; [`Refusal::status`] is for the client.
///
/// Nothing of the upload has changed when one of these comes from this crate. The server builds
/// [`Refusal::ChecksumMismatch`] itself, after the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `Tus-Resumable` is missing or names another version. Answer with `Tus-Version`.
    #[error(
        "This server speaks tus {VERSION}; the request must say so in the header Tus-Resumable."
    )]
    Version,
    /// A header does not follow the specification.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// `Upload-Metadata` does not follow the specification.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A header that this request needs is missing.
    #[error("The header {header} is missing.")]
    Missing {
        /// What is missing, as people write it.
        header: &'static str,
    },
    /// Both `Upload-Length` and `Upload-Defer-Length`, or a length on a final upload.
    #[error("The headers {first} and {second} exclude each other.")]
    Contradiction {
        /// One of the two.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A header belongs to an extension this server does not offer.
    #[error("The header {header} is not supported by this server; see its Tus-Extension header.")]
    Unsupported {
        /// The header as people write it.
        header: &'static str,
    },
    /// The body is not announced as [`OFFSET_OCTET_STREAM`](crate::header::OFFSET_OCTET_STREAM).
    #[error("The body must have the Content-Type application/offset+octet-stream.")]
    ContentType,
    /// The upload is, or would become, larger than the server takes.
    #[error("The upload is larger than this server takes: at most {max_size} bytes.")]
    TooLarge {
        /// The limit in bytes.
        max_size: u64,
    },
    /// The body goes beyond the upload's length.
    #[error("The body goes beyond the length of the upload, {length} bytes.")]
    BeyondLength {
        /// Length of the upload in bytes.
        length: u64,
    },
    /// The body does not continue where the upload is.
    #[error("The upload is at byte {current}, the request is for byte {requested}.")]
    WrongOffset {
        /// Where the body should have gone.
        requested: u64,
        /// Where the upload is.
        current: u64,
    },
    /// A length was declared that is not the one already known.
    #[error("The length of the upload is {known} bytes and cannot become {declared}.")]
    LengthChanged {
        /// The length that stands, in bytes.
        known: u64,
        /// The length of this request, in bytes.
        declared: u64,
    },
    /// A length was declared that is less than what has arrived.
    #[error("The upload has {current} bytes already; its length cannot be {declared}.")]
    LengthBelowOffset {
        /// Where the upload is.
        current: u64,
        /// The length of this request, in bytes.
        declared: u64,
    },
    /// The body does not have the checksum that came with it; nothing of it may be kept.
    #[error("The body does not have the checksum of the header Upload-Checksum.")]
    ChecksumMismatch,
    /// A final upload was to take bytes.
    #[error("A final upload takes no bytes: it is made of its parts.")]
    FinalUpload,
    /// `Upload-Concat` names something that is no upload of this server.
    #[error("The header Upload-Concat names something that is not an upload of this server.")]
    ForeignPart,
    /// `Upload-Concat` names an upload that was not created as partial.
    #[error("The header Upload-Concat names an upload that is not a partial one.")]
    NotPartial,
    /// `Upload-Concat` names a partial upload that is not complete.
    #[error("The header Upload-Concat names a partial upload that is not complete yet.")]
    UnfinishedPart,
}

impl Refusal {
    /// The HTTP status. Clients decide by it whether to try again, so each is the specification's own
    /// wherever it has one.
    pub fn status(&self) -> u16 {
        match self {
            // Core Protocol, Tus-Version: "MUST respond with the 412 Precondition Failed status".
            Self::Version => 412,
            // Creation, POST: a wrong Upload-Defer-Length "should" get 400. For other malformed headers there
            // is only HTTP: RFC 9110, section 15.5.1.
            Self::Header(_)
            | Self::Metadata(_)
            | Self::Missing { .. }
            | Self::Contradiction { .. } => 400,
            // Checksum: 400 "if the server does not support the algorithm"; the same for any other header
            // whose effect the client would wrongly count on.
            Self::Unsupported { .. } => 400,
            // Core Protocol, PATCH: "SHOULD return a 415 Unsupported Media Type".
            Self::ContentType => 415,
            // Creation, POST: beyond Tus-Max-Size "MUST respond with the 413" status. A deferred upload
            // learns it by PATCH.
            Self::TooLarge { .. } => 413,
            // Not in the specification; what tusd answers, and what stops a client without harm.
            Self::BeyondLength { .. } => 413,
            // Core Protocol, PATCH: "MUST respond with a 409 Conflict status".
            Self::WrongOffset { .. } => 409,
            // Creation, Upload-Defer-Length: "Once set the length MUST NOT be changed", without a status.
            // 409 would make clients ask for the offset and repeat the same mistake.
            Self::LengthChanged { .. } | Self::LengthBelowOffset { .. } => 400,
            // Checksum: "MAY respond with … 460 Checksum Mismatch", and the chunk MUST be discarded.
            Self::ChecksumMismatch => 460,
            // Concatenation: "The Server MUST respond with the 403 Forbidden status to PATCH requests against
            // a final upload URL".
            Self::FinalUpload => 403,
            // Not in the specification. 400 as in tusd: no client should repeat it; 409 makes some try for ever.
            Self::ForeignPart | Self::NotPartial | Self::UnfinishedPart => 400,
        }
    }

    /// A header the answer must have besides `Tus-Resumable`: lower-case name and value.
    pub fn header(&self) -> Option<(&'static str, &'static str)> {
        match self {
            // Core Protocol, Tus-Version: the 412 "MUST include the Tus-Version header".
            Self::Version => Some((TUS_VERSION, VERSION)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_its_status_and_a_sentence() {
        #[track_caller]
        fn check(refusal: &Refusal, status: u16, part: &str) {
            assert_eq!(refusal.status(), status);
            let text = refusal.to_string();
            assert!(text.contains(part) && text.ends_with('.'), "{text}");
        }
        let header = "Upload-Offset";
        check(&Refusal::Version, 412, "tus 1.0.0");
        check(
            &Refusal::Missing { header },
            400,
            "Upload-Offset is missing",
        );
        check(
            &Refusal::Unsupported { header },
            400,
            "Upload-Offset is not supported",
        );
        check(
            &Refusal::Header(HeaderError {
                header,
                problem: "must be",
            }),
            400,
            header,
        );
        check(
            &Refusal::Metadata(MetadataError::Key),
            400,
            "Upload-Metadata",
        );
        let (first, second) = ("Upload-Length", "Upload-Concat");
        check(
            &Refusal::Contradiction { first, second },
            400,
            "Upload-Length and Upload-Concat",
        );
        check(
            &Refusal::ContentType,
            415,
            "application/offset+octet-stream",
        );
        check(&Refusal::TooLarge { max_size: 7 }, 413, "at most 7 bytes");
        check(&Refusal::BeyondLength { length: 7 }, 413, "7 bytes");
        let wrong = Refusal::WrongOffset {
            requested: 3,
            current: 4,
        };
        check(&wrong, 409, "at byte 4, the request is for byte 3");
        let changed = Refusal::LengthChanged {
            known: 3,
            declared: 4,
        };
        check(&changed, 400, "3 bytes and cannot become 4");
        let below = Refusal::LengthBelowOffset {
            current: 4,
            declared: 3,
        };
        check(&below, 400, "4 bytes already");
        check(&Refusal::ChecksumMismatch, 460, "checksum");
        check(&Refusal::FinalUpload, 403, "final");
        check(&Refusal::ForeignPart, 400, "not an upload of this server");
        check(&Refusal::NotPartial, 400, "not a partial one");
        check(&Refusal::UnfinishedPart, 400, "not complete");
    }

    #[test]
    fn a_wrong_version_is_told_the_right_one() {
        assert_eq!(Refusal::Version.header(), Some(("tus-version", "1.0.0")));
        assert_eq!(Refusal::ContentType.header(), None);
    }
}
