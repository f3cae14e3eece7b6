//! The few things about an answer that the machine looks at.

use super::{Millis, UploadLength};
use crate::header;

/// An HTTP answer. [`Response::read`] fills it from headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// `Upload-Offset` in bytes.
    pub offset: Option<u64>,
    /// `Upload-Length`, or that it is deferred.
    pub length: Option<UploadLength>,
    /// `Location`, as it stands.
    pub location: Option<String>,
    /// `Retry-After`.
    pub retry_after_ms: Option<Millis>,
    /// Whether `Tus-Resumable` was there: if not, a proxy or a login page may have answered.
    pub tus: bool,
}

impl Response {
    /// Reads headers, looked up by lower-case name. A value that makes no sense counts as missing: the
    /// machine asks again then. `Retry-After` is understood in seconds; as a date it is ignored, since there
    /// is no calendar here.
    pub fn read<V: AsRef<str>>(status: u16, header: impl Fn(&str) -> Option<V>) -> Self {
        let length = header(header::UPLOAD_LENGTH)
            .and_then(|value| header::parse_length(value.as_ref()).ok())
            .map(UploadLength::Known);
        let deferred = header(header::UPLOAD_DEFER_LENGTH)
            .and_then(|value| header::parse_defer_length(value.as_ref()).ok())
            .map(|()| UploadLength::Deferred);
        Self {
            status,
            offset: header(header::UPLOAD_OFFSET)
                .and_then(|value| header::parse_offset(value.as_ref()).ok()),
            length: length.or(deferred),
            location: header("location").map(|value| value.as_ref().to_owned()),
            retry_after_ms: header("retry-after")
                .and_then(|value| value.as_ref().trim().parse::<u32>().ok())
                .map(|seconds| Millis::from(seconds) * 1_000),
            tus: header(header::TUS_RESUMABLE).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &'static str)]) -> Response {
        Response::read(200, |name| {
            headers
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| *value)
        })
    }

    #[test]
    fn reads_what_matters() {
        let response = read(&[
            ("tus-resumable", "1.0.0"),
            ("upload-offset", "7"),
            ("upload-defer-length", "1"),
            ("location", "/files/a"),
            ("retry-after", "3"),
        ]);
        let expected = Response {
            status: 200,
            offset: Some(7),
            length: Some(UploadLength::Deferred),
            location: Some("/files/a".to_owned()),
            retry_after_ms: Some(3_000),
            tus: true,
        };
        assert_eq!(response, expected);
        assert_eq!(
            read(&[("upload-length", "9")]).length,
            Some(UploadLength::Known(9))
        );
    }

    #[test]
    fn nonsense_counts_as_missing() {
        let response = read(&[
            ("upload-offset", "-7"),
            ("upload-length", "many"),
            ("upload-defer-length", "0"),
            ("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT"),
        ]);
        let expected = Response {
            status: 200,
            ..Response::default()
        };
        assert_eq!(response, expected);
    }
}
