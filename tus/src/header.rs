//! Header names and values that both sides read and write.
//!
//! Names are in lower case, as in HTTP/2 and in common Rust header maps. Section names in the documentation refer to
//! the [tus 1.0.0 specification].
//!
//! [tus 1.0.0 specification]: https://tus.io/protocols/resumable-upload

mod checksum;
mod concat;

use std::fmt;

pub use checksum::{Checksum, ChecksumAlgorithm};
pub use concat::Concat;

/// The supported protocol version (*Core Protocol, Headers, Tus-Version*).
pub const VERSION: &str = "1.0.0";

/// Media type of `PATCH` bodies, and of `POST` bodies that carry bytes.
pub const OFFSET_OCTET_STREAM: &str = "application/offset+octet-stream";

/// Version of the protocol, in all requests and responses except `OPTIONS` requests.
pub const TUS_RESUMABLE: &str = "tus-resumable";
/// Versions that the server supports, in responses to `OPTIONS` and with status 412.
pub const TUS_VERSION: &str = "tus-version";
/// Extensions that the server supports, separated by commas.
pub const TUS_EXTENSION: &str = "tus-extension";
/// Size limit of uploads in bytes.
pub const TUS_MAX_SIZE: &str = "tus-max-size";
/// Checksum algorithms that the server supports, separated by commas.
pub const TUS_CHECKSUM_ALGORITHM: &str = "tus-checksum-algorithm";
/// Offset of the upload (responses) or of the body (requests), in bytes.
pub const UPLOAD_OFFSET: &str = "upload-offset";
/// Length of the whole upload in bytes.
pub const UPLOAD_LENGTH: &str = "upload-length";
/// `1` while the length is unknown.
pub const UPLOAD_DEFER_LENGTH: &str = "upload-defer-length";
/// Keys and values that describe the upload.
pub const UPLOAD_METADATA: &str = "upload-metadata";
/// Checksum of the body.
pub const UPLOAD_CHECKSUM: &str = "upload-checksum";
/// `partial`, or `final;` and the URLs of the parts.
pub const UPLOAD_CONCAT: &str = "upload-concat";
/// HTTP date at which an incomplete upload expires.
pub const UPLOAD_EXPIRES: &str = "upload-expires";
/// Extension of Sortie Recording: the recording was stopped on the server, or its session has ended. The sender should
/// stop recording and send the remaining bytes.
pub const SORTIE_STOPPED: &str = "sortie-stopped";
/// The intended method, from clients that cannot send `PATCH` or `DELETE`.
pub const METHOD_OVERRIDE: &str = "x-http-method-override";

/// Length of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UploadLength {
    /// Exactly this many bytes.
    Known(u64),
    /// Unknown (extension `creation-defer-length`); a later `PATCH` declares it once.
    Deferred,
}

impl UploadLength {
    /// Returns the length in bytes, if known.
    pub fn known(self) -> Option<u64> {
        match self {
            Self::Known(length) => Some(length),
            Self::Deferred => None,
        }
    }
}

/// A header value that violates the specification.
///
/// Displays the header and the rule. The value is omitted, because untrusted input must not end up in logs and pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The header {header} {problem}.")]
pub struct HeaderError {
    /// Header name in its usual spelling, such as `Upload-Offset`.
    pub header: &'static str,
    /// The rule, as the rest of a sentence.
    pub problem: &'static str,
}

/// Parses `Upload-Offset`: bytes as decimal digits.
///
/// # Errors
/// Anything but digits (a sign, white space, an empty value), or a number beyond `u64`.
pub fn parse_offset(value: &str) -> Result<u64, HeaderError> {
    parse_bytes("Upload-Offset", value)
}

/// Parses `Upload-Length`: bytes as decimal digits.
///
/// # Errors
/// Anything but digits (a sign, white space, an empty value), or a number beyond `u64`.
pub fn parse_length(value: &str) -> Result<u64, HeaderError> {
    parse_bytes("Upload-Length", value)
}

/// Checks `Upload-Defer-Length`, whose only valid value is `1` (*Creation, Upload-Defer-Length*).
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

/// Returns the header name and value that declare a length.
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

/// Parses decimal digits; `str::parse` would accept a leading `+`.
fn parse_bytes(header: &'static str, value: &str) -> Result<u64, HeaderError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or(HeaderError {
        header,
        problem: "must be a whole number of bytes, 0 or more, in digits",
    })
}

/// Joins `items` with commas, the form of all list headers of tus.
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
    fn numbers_consist_of_digits_only() {
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
    fn defer_length_must_be_one() {
        assert_eq!(parse_defer_length("1"), Ok(()));
        for wrong in ["", "0", "01", "true", " 1"] {
            assert!(parse_defer_length(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_round_trip(number: u64) {
            prop_assert_eq!(parse_length(&format_length(UploadLength::Known(number)).1), Ok(number));
        }

        #[test]
        fn parsers_do_not_panic(value in "\\PC*") {
            let _ = parse_offset(&value);
            let _ = parse_defer_length(&value);
            let _ = Checksum::parse(&value);
            let _ = Concat::parse(&value);
        }
    }
}
