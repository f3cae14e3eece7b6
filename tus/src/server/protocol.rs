//! Parsing of request headers.

#[cfg(test)]
mod tests;

use super::{Extension, Extensions, Refusal, UploadLength};
use crate::header::{self, Checksum, ChecksumAlgorithm, Concat};
use crate::metadata::Metadata;

/// Capabilities of a server, by which it parses requests.
///
/// `header` arguments look a header up by its lower-case name. They must return an empty string for a value that is
/// not visible ASCII, so that it counts as invalid rather than missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Size limit of uploads in bytes; `u64::MAX` for none.
    pub max_size: u64,
    /// Supported extensions.
    pub extensions: Extensions,
}

/// A `POST` that creates an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// Length of the upload. `Deferred` for a final upload, whose length follows from its parts.
    pub length: UploadLength,
    /// Metadata sent by the client.
    pub metadata: Metadata,
    /// Whether the body carries the first bytes (extension `creation-with-upload`).
    pub has_body: bool,
    /// Checksum of that body.
    pub checksum: Option<Checksum>,
    /// Role in a concatenation.
    pub concat: Option<Concat>,
}

/// A `PATCH` that appends to an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Offset of the body in bytes.
    pub offset: u64,
    /// Length of the whole upload in bytes, if this request declares it.
    pub length: Option<u64>,
    /// Checksum of the body.
    pub checksum: Option<Checksum>,
}

impl Protocol {
    /// Checks `Tus-Resumable`, which every request except `OPTIONS` must have (*Core Protocol, Tus-Resumable*).
    ///
    /// # Errors
    /// [`Refusal::Version`] if it is missing or names another version.
    pub fn version_check<'h>(
        &self,
        header: impl Fn(&str) -> Option<&'h str>,
    ) -> Result<(), Refusal> {
        if header(header::TUS_RESUMABLE) == Some(header::VERSION) {
            Ok(())
        } else {
            Err(Refusal::Version)
        }
    }

    /// Parses a `POST` (*Creation, POST*; *Creation With Upload*).
    ///
    /// # Errors
    /// An invalid, missing or contradictory header, a length beyond [`max_size`](Self::max_size), or a body of another
    /// media type.
    pub fn creation<'h>(
        &self,
        header: impl Fn(&str) -> Option<&'h str>,
    ) -> Result<Creation, Refusal> {
        self.version_check(&header)?;
        let concat = self
            .offered(
                &header,
                header::UPLOAD_CONCAT,
                "Upload-Concat",
                Extension::Concatenation,
            )?
            .map(Concat::parse)
            .transpose()?;
        let length = self.creation_length(&header, concat.as_ref())?;
        if length.known().is_some_and(|length| length > self.max_size) {
            return Err(Refusal::TooLarge {
                max_size: self.max_size,
            });
        }
        let metadata = header(header::UPLOAD_METADATA)
            .map(Metadata::parse)
            .transpose()?
            .unwrap_or_default();
        let carries_bytes = has_body_type(&header);
        if !carries_bytes && announces_body(&header) {
            return Err(Refusal::ContentType);
        }
        // A final upload consists only of its parts.
        if matches!(concat, Some(Concat::Final(_))) && announces_body(&header) {
            return Err(Refusal::FinalUpload);
        }
        Ok(Creation {
            length,
            metadata,
            // Without the extension, the body is not read, and the response has no Upload-Offset.
            has_body: carries_bytes
                && !matches!(concat, Some(Concat::Final(_)))
                && self.extensions.contains(Extension::CreationWithUpload),
            checksum: self.checksum(&header)?,
            concat,
        })
    }

    /// Parses a `PATCH` (*Core Protocol, PATCH*). [`admit`](super::admit) decides on it.
    ///
    /// # Errors
    /// An invalid or missing header, or a body of another media type.
    pub fn append<'h>(&self, header: impl Fn(&str) -> Option<&'h str>) -> Result<Append, Refusal> {
        self.version_check(&header)?;
        if !has_body_type(&header) {
            return Err(Refusal::ContentType);
        }
        let offset = header(header::UPLOAD_OFFSET).ok_or(Refusal::Missing {
            header: "Upload-Offset",
        })?;
        Ok(Append {
            offset: header::parse_offset(offset)?,
            length: header(header::UPLOAD_LENGTH)
                .map(header::parse_length)
                .transpose()?,
            checksum: self.checksum(&header)?,
        })
    }

    /// Returns the headers of a response to `OPTIONS` (*Core Protocol, OPTIONS*), with lower-case names.
    pub fn announcement(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            (header::TUS_RESUMABLE, header::VERSION.to_owned()),
            (header::TUS_VERSION, header::VERSION.to_owned()),
        ];
        if self.extensions != Extensions::NONE {
            headers.push((header::TUS_EXTENSION, self.extensions.header_value()));
        }
        if self.max_size != u64::MAX {
            headers.push((header::TUS_MAX_SIZE, self.max_size.to_string()));
        }
        if self.extensions.contains(Extension::Checksum) {
            let algorithms = header::comma_separated(ChecksumAlgorithm::ALL);
            headers.push((header::TUS_CHECKSUM_ALGORITHM, algorithms));
        }
        headers
    }

    fn creation_length<'h>(
        &self,
        header: impl Fn(&str) -> Option<&'h str>,
        concat: Option<&Concat>,
    ) -> Result<UploadLength, Refusal> {
        let length = header(header::UPLOAD_LENGTH);
        let deferred = self.offered(
            &header,
            header::UPLOAD_DEFER_LENGTH,
            "Upload-Defer-Length",
            Extension::CreationDeferLength,
        )?;
        match (concat, length, deferred) {
            (_, Some(_), Some(_)) => Err(Refusal::Contradiction {
                first: "Upload-Length",
                second: "Upload-Defer-Length",
            }),
            // Concatenation: "The Client MUST NOT include the Upload-Length header in the final upload
            // creation".
            (Some(Concat::Final(_)), Some(_), _) => Err(Refusal::Contradiction {
                first: "Upload-Length",
                second: "Upload-Concat",
            }),
            (_, Some(length), None) => Ok(UploadLength::Known(header::parse_length(length)?)),
            (_, None, Some(deferred)) => {
                header::parse_defer_length(deferred)?;
                Ok(UploadLength::Deferred)
            }
            (Some(Concat::Final(_)), None, None) => Ok(UploadLength::Deferred),
            (_, None, None) => Err(Refusal::Missing {
                header: "Upload-Length",
            }),
        }
    }

    fn checksum<'h>(
        &self,
        header: impl Fn(&str) -> Option<&'h str>,
    ) -> Result<Option<Checksum>, Refusal> {
        let value = self.offered(
            header,
            header::UPLOAD_CHECKSUM,
            "Upload-Checksum",
            Extension::Checksum,
        )?;
        Ok(value.map(Checksum::parse).transpose()?)
    }

    /// Looks up a header that requires an extension. Ignoring it without the extension would let the client believe,
    /// for example, that its bytes are verified.
    fn offered<'h>(
        &self,
        header: impl Fn(&str) -> Option<&'h str>,
        name: &str,
        shown: &'static str,
        extension: Extension,
    ) -> Result<Option<&'h str>, Refusal> {
        match header(name) {
            Some(_) if !self.extensions.contains(extension) => {
                Err(Refusal::Unsupported { header: shown })
            }
            value => Ok(value),
        }
    }
}

impl Creation {
    /// Returns the body as an append at offset 0, on which [`admit`](super::admit) decides.
    pub fn first_append(&self) -> Option<Append> {
        self.has_body.then(|| Append {
            offset: 0,
            length: None,
            checksum: self.checksum.clone(),
        })
    }
}

/// Returns the effective method: `X-HTTP-Method-Override` takes precedence (*Core Protocol, X-HTTP-Method-Override*).
///
/// Only a `POST` is overridden, as in tusd, although the specification allows any method. The header serves clients
/// that can send nothing else, and a `GET`, which defences against cross-site requests ignore, must not become a
/// `DELETE`.
pub fn effective_method<'h>(method: &'h str, header: impl Fn(&str) -> Option<&'h str>) -> &'h str {
    match header(header::METHOD_OVERRIDE) {
        Some(meant) if method == "POST" => meant,
        _ => method,
    }
}

/// Whether `Content-Type` announces upload bytes, irrespective of parameters and letter case (RFC 9110, section
/// 8.3.1).
fn has_body_type<'h>(header: impl Fn(&str) -> Option<&'h str>) -> bool {
    header("content-type").is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case(header::OFFSET_OCTET_STREAM)
    })
}

fn announces_body<'h>(header: impl Fn(&str) -> Option<&'h str>) -> bool {
    header("transfer-encoding").is_some()
        || header("content-length").is_some_and(|length| length != "0")
}
