//! Header names and the values both sides read and write.
//!
//! Names are lower case, as HTTP/2 and the usual Rust header maps want them. Section names in the
//! documentation are those of the [tus 1.0.0 specification].
//!
//! [tus 1.0.0 specification]: https://tus.io/protocols/resumable-upload

mod checksum;
mod concat;

use std::fmt;

pub use checksum::{Checksum, ChecksumAlgorithm};
pub use concat::Concat;

/// The one protocol version spoken here (*Core Protocol, Headers, Tus-Version*).
pub const VERSION: &str = "1.0.0";

/// Media type of every `PATCH` body, and of a `POST` body that carries bytes.
pub const OFFSET_OCTET_STREAM: &str = "application/offset+octet-stream";

/// Version of the protocol, in every request and answer except `OPTIONS` requests.
pub const TUS_RESUMABLE: &str = "tus-resumable";
/// Versions the server speaks; in answers to `OPTIONS` and with status 412.
pub const TUS_VERSION: &str = "tus-version";
/// Extensions the server offers, separated by commas.
pub const TUS_EXTENSION: &str = "tus-extension";
/// Largest upload the server takes, in bytes.
pub const TUS_MAX_SIZE: &str = "tus-max-size";
/// Checksum algorithms the server knows, separated by commas.
pub const TUS_CHECKSUM_ALGORITHM: &str = "tus-checksum-algorithm";
/// Bytes the server holds (answers), or where this body goes (requests).
pub const UPLOAD_OFFSET: &str = "upload-offset";
/// Size of the whole upload in bytes.
pub const UPLOAD_LENGTH: &str = "upload-length";
/// `1` while the length is not known yet.
pub const UPLOAD_DEFER_LENGTH: &str = "upload-defer-length";
/// Names and values that describe the upload.
pub const UPLOAD_METADATA: &str = "upload-metadata";
/// Checksum of this request's body.
pub const UPLOAD_CHECKSUM: &str = "upload-checksum";
/// `partial`, or `final;` and the parts.
pub const UPLOAD_CONCAT: &str = "upload-concat";
/// HTTP date after which an unfinished upload is gone.
pub const UPLOAD_EXPIRES: &str = "upload-expires";
/// Extension of Sortie Recording: the recording was stopped, or its session has ended. The bytes that there are may
/// still be sent; its sender records no more.
pub const SORTIE_STOPPED: &str = "sortie-stopped";
/// The real method, from clients that cannot send `PATCH` or `DELETE`.
pub const METHOD_OVERRIDE: &str = "x-http-method-override";

/// Request headers of tus, for `Access-Control-Allow-Headers`.
pub const REQUEST_HEADERS: [&str; 9] = [
    "content-type",
    TUS_RESUMABLE,
    UPLOAD_OFFSET,
    UPLOAD_LENGTH,
    UPLOAD_DEFER_LENGTH,
    UPLOAD_METADATA,
    UPLOAD_CHECKSUM,
    UPLOAD_CONCAT,
    METHOD_OVERRIDE,
];

/// Answer headers of tus, for `Access-Control-Expose-Headers`: without it a page of another origin cannot
/// read them, and an upload machine there takes the server for something else.
pub const ANSWER_HEADERS: [&str; 13] = [
    "location",
    "retry-after",
    TUS_RESUMABLE,
    TUS_VERSION,
    TUS_EXTENSION,
    TUS_MAX_SIZE,
    TUS_CHECKSUM_ALGORITHM,
    UPLOAD_OFFSET,
    UPLOAD_LENGTH,
    UPLOAD_DEFER_LENGTH,
    UPLOAD_METADATA,
    UPLOAD_CONCAT,
    UPLOAD_EXPIRES,
];

/// How long an upload is going to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UploadLength {
    /// Exactly this many bytes.
    Known(u64),
    /// Not known yet (extension `creation-defer-length`); declared once by a later `PATCH`.
    Deferred,
}

impl UploadLength {
    /// The length in bytes, when it is known.
    pub fn known(self) -> Option<u64> {
        match self {
            Self::Known(length) => Some(length),
            Self::Deferred => None,
        }
    }
}

/// A header value that does not follow the specification.
///
/// Its text names the header and says what is allowed; the offending value is left out, because it comes
/// from a stranger and would end in logs and pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The header {header} {problem}.")]
pub struct HeaderError {
    /// The header as people write it, such as `Upload-Offset`.
    pub header: &'static str,
    /// What is allowed, as the rest of a sentence.
    pub problem: &'static str,
}

/// Reads `Upload-Offset`: bytes, as decimal digits.
///
/// # Errors
/// Anything but digits (a sign, blanks, nothing at all) or a number beyond `u64`.
pub fn parse_offset(value: &str) -> Result<u64, HeaderError> {
    parse_bytes("Upload-Offset", value)
}

/// Reads `Upload-Length`: bytes, as decimal digits.
///
/// # Errors
/// Anything but digits (a sign, blanks, nothing at all) or a number beyond `u64`.
pub fn parse_length(value: &str) -> Result<u64, HeaderError> {
    parse_bytes("Upload-Length", value)
}

/// Checks `Upload-Defer-Length`, whose only value is `1` (*Creation, Upload-Defer-Length*).
///
/// # Errors
/// Any other value.
pub fn parse_defer_length(value: &str) -> Result<(), HeaderError> {
    if value == "1" {
        Ok(())
    } else {
        Err(HeaderError {
            header: "Upload-Defer-Length",
            problem: "must be 1, or be left out",
        })
    }
}

/// What to send for a length: the header's name and value.
///
/// ```
/// use sortie_tus::header::{UploadLength, format_length};
/// assert_eq!(format_length(UploadLength::Known(5)), ("upload-length", "5".to_owned()));
/// assert_eq!(format_length(UploadLength::Deferred), ("upload-defer-length", "1".to_owned()));
/// ```
pub fn format_length(length: UploadLength) -> (&'static str, String) {
    match length {
        UploadLength::Known(bytes) => (UPLOAD_LENGTH, bytes.to_string()),
        UploadLength::Deferred => (UPLOAD_DEFER_LENGTH, "1".to_owned()),
    }
}

/// `str::parse` alone would also take a leading `+`.
fn parse_bytes(header: &'static str, value: &str) -> Result<u64, HeaderError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or(HeaderError {
        header,
        problem: "must be a whole number of bytes, 0 or more, in digits",
    })
}

/// Writes `items` separated by commas, as every list header of tus wants it.
pub(crate) fn comma_separated<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&item.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!(parse_offset("0"), Ok(0));
        assert_eq!(parse_offset("007"), Ok(7));
        assert_eq!(parse_length("18446744073709551615"), Ok(u64::MAX));
        for wrong in [
            "",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1.0",
            "0x10",
            "1,1",
            "١",
            "18446744073709551616",
        ] {
            let error = parse_offset(wrong).expect_err(wrong);
            assert_eq!(
                error.to_string(),
                "The header Upload-Offset must be a whole number of bytes, 0 or more, in digits."
            );
        }
    }

    #[test]
    fn deferring_is_one_or_nothing() {
        assert_eq!(parse_defer_length("1"), Ok(()));
        for wrong in ["", "0", "01", "true", " 1"] {
            assert!(parse_defer_length(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn every_number_is_read_back(number: u64) {
            prop_assert_eq!(parse_length(&format_length(UploadLength::Known(number)).1), Ok(number));
        }

        #[test]
        fn no_value_makes_a_parser_panic(value in "\\PC*") {
            let _ = parse_offset(&value);
            let _ = parse_defer_length(&value);
            let _ = Checksum::parse(&value);
            let _ = Concat::parse(&value);
        }
    }
}
