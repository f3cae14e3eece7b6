//! Problem codes of refusals by the tus protocol.

use axum::http::{HeaderName, HeaderValue};
use sortie_api::ProblemCode;
use sortie_tus::header as tus;
use sortie_tus::server::Refusal;

use super::ApiError;

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Version => ProblemCode::UnsupportedTusVersion,
            Refusal::Header(_)
            | Refusal::Metadata(_)
            | Refusal::Missing { .. }
            | Refusal::Contradiction { .. }
            | Refusal::Unsupported { .. }
            | Refusal::LengthChanged { .. }
            | Refusal::LengthBelowOffset { .. }
            | Refusal::ForeignPart
            | Refusal::NotPartial
            | Refusal::UnfinishedPart => ProblemCode::BadRequest,
            Refusal::ContentType => ProblemCode::UnsupportedMediaType,
            Refusal::TooLarge { .. } | Refusal::BeyondLength { .. } => ProblemCode::TooLarge,
            Refusal::WrongOffset { .. } => ProblemCode::OffsetMismatch,
            Refusal::ChecksumMismatch => ProblemCode::ChecksumMismatch,
            Refusal::FinalUpload => ProblemCode::Forbidden,
        };
        let mut error = Self::new(code, refusal.to_string());
        if refusal == Refusal::Version {
            error = error.with_header(
                HeaderName::from_static(tus::TUS_VERSION),
                HeaderValue::from_static(tus::VERSION),
            );
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;
    use crate::http::error;

    #[test]
    fn refusal_has_the_status_of_the_protocol() {
        let refusals = [
            Refusal::Version,
            Refusal::Missing {
                header: "Upload-Offset",
            },
            Refusal::Contradiction {
                first: "a",
                second: "b",
            },
            Refusal::Unsupported {
                header: "Upload-Concat",
            },
            Refusal::ContentType,
            Refusal::TooLarge { max_size: 1 },
            Refusal::BeyondLength { length: 1 },
            Refusal::WrongOffset {
                requested: 1,
                current: 2,
            },
            Refusal::LengthChanged {
                known: 1,
                declared: 2,
            },
            Refusal::LengthBelowOffset {
                current: 2,
                declared: 1,
            },
            Refusal::ChecksumMismatch,
            Refusal::FinalUpload,
            Refusal::ForeignPart,
            Refusal::NotPartial,
            Refusal::UnfinishedPart,
        ];
        for refusal in refusals {
            let expected = refusal.status();
            let response = ApiError::from(refusal.clone()).into_response();
            assert_eq!(response.status().as_u16(), expected, "{refusal}");
        }
        assert_eq!(error::status(ProblemCode::ChecksumMismatch).as_u16(), 460);
    }
}
