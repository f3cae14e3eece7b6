//! Compression of JSON answers.

use std::io::{self, Write as _};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use flate2::write::GzEncoder;

use crate::http::ApiError;
use crate::http::encoding::accepts_gzip;

/// Bytes from which answers are compressed. A smaller one fits into a packet.
const SIZE_MIN: usize = 1024;

/// Compresses JSON answers to GET requests outside `/api/auth`.
///
/// An answer with a secret must not be compressed: its length would reveal the secret to an attacker who controls
/// another part of the answer (BREACH). Only answers to POST requests and below `/api/auth` have secrets. Uploads,
/// downloads and event streams are not JSON. `CompressionLayer` of tower-http is not used because it answers 406, even
/// to uploads, if the client accepts no encoding.
pub(super) struct Compression {
    is_candidate: bool,
    takes_gzip: bool,
}

impl Compression {
    pub(super) fn of(request: &Request) -> Self {
        let is_candidate = may_compress(request.method(), request.uri().path());
        Self {
            is_candidate,
            takes_gzip: is_candidate && accepts_gzip(request.headers()),
        }
    }

    pub(super) async fn apply(self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        let is_json = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        if !self.is_candidate || !is_json || headers.contains_key(header::CONTENT_ENCODING) {
            return response;
        }
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
        if !self.takes_gzip {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        // Already in memory: JSON is serialised before it is sent.
        let plain = match axum::body::to_bytes(body, usize::MAX).await {
            Ok(plain) if plain.len() >= SIZE_MIN => plain,
            Ok(plain) => return Response::from_parts(parts, Body::from(plain)),
            Err(error) => return ApiError::internal(error).into_response(),
        };
        match pack(&plain) {
            Ok(packed) => {
                let gzip = HeaderValue::from_static("gzip");
                parts.headers.insert(header::CONTENT_ENCODING, gzip);
                parts.headers.remove(header::CONTENT_LENGTH);
                Response::from_parts(parts, Body::from(packed))
            }
            Err(_) => Response::from_parts(parts, Body::from(plain)),
        }
    }
}

/// Whether no answer of the route holds a secret.
fn may_compress(method: &Method, path: &str) -> bool {
    method == Method::GET && !path.starts_with("/api/auth/")
}

fn pack(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(
        Vec::with_capacity(plain.len() / 4),
        flate2::Compression::fast(),
    );
    encoder.write_all(plain)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_may_hold_a_secret_are_not_compressed() {
        assert!(may_compress(&Method::GET, "/api/recordings"));
        assert!(may_compress(&Method::GET, "/api/admin/audit"));
        for (method, path) in [
            (Method::POST, "/api/tokens"),
            (Method::POST, "/api/sessions/x/token"),
            (Method::POST, "/api/auth/login"),
            (Method::GET, "/api/auth/me"),
        ] {
            assert!(!may_compress(&method, path), "{method} {path}");
        }
    }

    #[test]
    fn compressed_text_is_smaller_and_intact() {
        let text = "a row of a list, again and again. ".repeat(100);
        let packed = pack(text.as_bytes()).expect("packed");
        let mut unpacked = String::new();
        let mut decoder = flate2::read::GzDecoder::new(&packed[..]);
        io::Read::read_to_string(&mut decoder, &mut unpacked).expect("gzip");
        assert!(packed.len() * 10 < text.len());
        assert_eq!(unpacked, text);
    }
}
