//! The parts of an HTTP response that the machine evaluates.

use super::{Millis, UploadLength};
use crate::header;

/// An HTTP response; [`Response::from_headers`] creates it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// HTTP status of the response.
    pub status: u16,
    /// `Upload-Offset` in bytes.
    pub offset: Option<u64>,
    /// `Upload-Length` or `Upload-Defer-Length`.
    pub length: Option<UploadLength>,
    /// `Location`, unresolved.
    pub location: Option<String>,
    /// `Retry-After` in milliseconds.
    pub retry_after_ms: Option<Millis>,
    /// Whether `Tus-Resumable` is present. Otherwise a proxy or a login page may have responded.
    pub tus: bool,
    /// `Sortie-Silence-Seconds` in milliseconds: the server finishes an upload whose sender is silent for longer.
    pub silence_ms: Option<Millis>,
    /// Whether `Sortie-Stopped` is present: the recording was stopped on the server, or its session has ended.
    pub stopped: bool,
    /// Whether `WWW-Authenticate` has the error `invalid_token` (RFC 6750, section 3.1).
    pub invalid_token: bool,
}

impl Response {
    /// Creates a response from its status and headers; `header` looks a header up by its lower-case name. An invalid
    /// value counts as missing, so that the machine queries it again. `Retry-After` is understood in seconds only,
    /// because dates would require a calendar.
    pub fn from_headers<V: AsRef<str>>(status: u16, header: impl Fn(&str) -> Option<V>) -> Self {
        let length = header(header::UPLOAD_LENGTH)
            .and_then(|value| header::parse_length(value.as_ref()).ok())
            .map(UploadLength::Known);
        let deferred = header(header::UPLOAD_DEFER_LENGTH)
            .and_then(|value| header::parse_defer_length(value.as_ref()).ok())
            .map(|()| UploadLength::Deferred);
        let seconds = |name| {
            let value = header(name)?.as_ref().trim().parse::<u32>().ok()?;
            Some(Millis::from(value) * 1_000)
        };
        Self {
            status,
            offset: header(header::UPLOAD_OFFSET)
                .and_then(|value| header::parse_offset(value.as_ref()).ok()),
            length: length.or(deferred),
            location: header("location").map(|value| value.as_ref().to_owned()),
            retry_after_ms: seconds("retry-after"),
            tus: header(header::TUS_RESUMABLE).is_some(),
            silence_ms: seconds("sortie-silence-seconds"),
            stopped: header(header::SORTIE_STOPPED).is_some(),
            invalid_token: header("www-authenticate")
                .is_some_and(|value| says_invalid_token(value.as_ref())),
        }
    }
}

/// Whether a challenge has the error `invalid_token`. `str::contains` would add a kilobyte to the recorder's module.
fn says_invalid_token(challenge: &str) -> bool {
    const ERROR: &[u8] = b"invalid_token";
    challenge
        .as_bytes()
        .windows(ERROR.len())
        .any(|it| it == ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &'static str)]) -> Response {
        Response::from_headers(200, |name| {
            headers
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| *value)
        })
    }

    #[test]
    fn relevant_headers_are_parsed() {
        let response = read(&[
            ("tus-resumable", "1.0.0"),
            ("upload-offset", "7"),
            ("upload-defer-length", "1"),
            ("location", "/files/a"),
            ("retry-after", "3"),
            ("sortie-silence-seconds", "600"),
            ("sortie-stopped", "session_ended"),
            ("www-authenticate", "Bearer error=\"invalid_token\""),
        ]);
        let expected = Response {
            status: 200,
            silence_ms: Some(600_000),
            stopped: true,
            invalid_token: true,
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
    fn invalid_values_count_as_missing() {
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
