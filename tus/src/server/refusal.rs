//! Reasons for refusing a request, and their HTTP statuses.

use crate::header::{HeaderError, TUS_VERSION, VERSION};
use crate::metadata::MetadataError;

/// Reason for refusing a request. Displays as a sentence for the user; [`Refusal::status`] is for the client.
///
/// A refusal returned by this crate leaves the upload unchanged. The server itself creates
/// [`Refusal::ChecksumMismatch`] after reading the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `Tus-Resumable` is missing or names another version. The response must have `Tus-Version`.
    #[error(
        "This server speaks tus {VERSION}; the request must say so in the header Tus-Resumable."
    )]
    Version,
    /// A header violates the specification.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// `Upload-Metadata` violates the specification.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A required header is missing.
    #[error("The header {header} is missing.")]
    Missing {
        /// Name of the header in its usual spelling.
        header: &'static str,
    },
    /// Both `Upload-Length` and `Upload-Defer-Length`, or a length for a final upload.
    #[error("The headers {first} and {second} exclude each other.")]
    Contradiction {
        /// Name of the first header.
        first: &'static str,
        /// Name of the second header.
        second: &'static str,
    },
    /// A header belongs to an extension that this server does not support.
    #[error("The header {header} is not supported by this server; see its Tus-Extension header.")]
    Unsupported {
        /// Name of the header in its usual spelling.
        header: &'static str,
    },
    /// The media type of the body is not [`OFFSET_OCTET_STREAM`](crate::header::OFFSET_OCTET_STREAM).
    #[error("The body must have the Content-Type application/offset+octet-stream.")]
    ContentType,
    /// The upload exceeds the size limit, or would.
    #[error("The upload is larger than this server accepts: at most {max_size} bytes.")]
    TooLarge {
        /// Size limit in bytes.
        max_size: u64,
    },
    /// The body extends beyond the length of the upload.
    #[error("The body exceeds the length of the upload, {length} bytes.")]
    BeyondLength {
        /// Length of the upload in bytes.
        length: u64,
    },
    /// The offset of the body is not the current offset of the upload.
    #[error("The upload is at byte {current}, the request is for byte {requested}.")]
    WrongOffset {
        /// Offset of the body.
        requested: u64,
        /// Current offset of the upload.
        current: u64,
    },
    /// The declared length differs from the known length.
    #[error("The length of the upload is {known} bytes and cannot become {declared}.")]
    LengthChanged {
        /// Known length in bytes.
        known: u64,
        /// Declared length in bytes.
        declared: u64,
    },
    /// The declared length is less than the received bytes.
    #[error("The upload has {current} bytes already; its length cannot be {declared}.")]
    LengthBelowOffset {
        /// Current offset of the upload.
        current: u64,
        /// Declared length in bytes.
        declared: u64,
    },
    /// The body does not match its checksum and must be discarded.
    #[error("The body does not have the checksum of the header Upload-Checksum.")]
    ChecksumMismatch,
    /// A `PATCH` of a final upload.
    #[error("A final upload accepts no bytes: it consists of its parts.")]
    FinalUpload,
    /// `Upload-Concat` names something that is not an upload of this server.
    #[error("The header Upload-Concat names something that is not an upload of this server.")]
    ForeignPart,
    /// `Upload-Concat` names an upload that is not partial.
    #[error("The header Upload-Concat names an upload that is not a partial one.")]
    NotPartial,
    /// `Upload-Concat` names a partial upload that is not complete.
    #[error("The header Upload-Concat names a partial upload that is not complete yet.")]
    UnfinishedPart,
}

impl Refusal {
    /// Returns the HTTP status, which determines whether clients retry. It is that of the specification, if there is
    /// one.
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
            // Checksum: 400 "if the server does not support the algorithm". Other headers of unsupported extensions
            // are treated alike.
            Self::Unsupported { .. } => 400,
            // Core Protocol, PATCH: "SHOULD return a 415 Unsupported Media Type".
            Self::ContentType => 415,
            // Creation, POST: beyond Tus-Max-Size "MUST respond with the 413" status. A deferred upload
            // learns it by PATCH.
            Self::TooLarge { .. } => 413,
            // Not in the specification. tusd responds with it, and it stops clients without harm.
            Self::BeyondLength { .. } => 413,
            // Core Protocol, PATCH: "MUST respond with a 409 Conflict status".
            Self::WrongOffset { .. } => 409,
            // Creation, Upload-Defer-Length: "Once set the length MUST NOT be changed", without a status. With 409,
            // clients would query the offset and repeat the mistake.
            Self::LengthChanged { .. } | Self::LengthBelowOffset { .. } => 400,
            // Checksum: "MAY respond with … 460 Checksum Mismatch", and the chunk MUST be discarded.
            Self::ChecksumMismatch => 460,
            // Concatenation: "The Server MUST respond with the 403 Forbidden status to PATCH requests against
            // a final upload URL".
            Self::FinalUpload => 403,
            // Not in the specification. 400 as in tusd, so that no client retries; with 409 some retry forever.
            Self::ForeignPart | Self::NotPartial | Self::UnfinishedPart => 400,
        }
    }

    /// Returns a header that the response must have besides `Tus-Resumable`: lower-case name and value.
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
    fn every_refusal_has_a_status_and_a_sentence() {
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
    fn version_refusal_names_the_supported_version() {
        assert_eq!(Refusal::Version.header(), Some(("tus-version", "1.0.0")));
        assert_eq!(Refusal::ContentType.header(), None);
    }
}
