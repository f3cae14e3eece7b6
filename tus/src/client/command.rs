//! What the adapter has to do.

use std::ops::Range;

use super::UploadLength;
use crate::header::{self, format_length};
use crate::metadata::Metadata;

/// Tells requests of one [`Upload`](super::Upload) apart; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

/// Something for the adapter to do.
///
/// [`Command::http`] spells requests out. Each is answered by exactly one [`handle_response`](super::Upload::handle_response) or
/// [`handle_failure`](super::Upload::handle_failure), unless it is cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `POST` without a body.
    Create {
        /// Names this request.
        request: RequestId,
        /// Where uploads are created.
        endpoint: String,
        /// `Upload-Length` or `Upload-Defer-Length: 1`; see [`format_length`].
        length: UploadLength,
        /// `Upload-Metadata`, unless it is empty.
        metadata: Metadata,
    },
    /// `HEAD`.
    Head {
        /// Names this request.
        request: RequestId,
        /// The upload.
        url: String,
    },
    /// `PATCH` with `Content-Type: application/offset+octet-stream`.
    Patch {
        /// Names this request.
        request: RequestId,
        /// The upload.
        url: String,
        /// `Upload-Offset`, and where the body starts in the run of bytes.
        offset: u64,
        /// Bytes in the body; may be 0 when only a length is to be declared.
        len: u64,
        /// `Upload-Length`, when the server has yet to learn it.
        declare_length: Option<u64>,
    },
    /// `DELETE`.
    Delete {
        /// Names this request.
        request: RequestId,
        /// The upload.
        url: String,
    },
    /// Get a new access token, then call [`handle_token_renewed`](super::Upload::handle_token_renewed) or
    /// [`handle_token_failed`](super::Upload::handle_token_failed).
    RenewToken {
        /// Names this renewal; only for logs, since a token that comes from elsewhere is as good.
        request: RequestId,
    },
    /// Abort this request if it is still under way. No answer is expected, a late one is ignored.
    Cancel {
        /// The request to abort.
        request: RequestId,
    },
}

impl Command {
    /// The request this command starts or, for [`Command::Cancel`], ends.
    pub fn request(&self) -> RequestId {
        match self {
            Self::Create { request, .. }
            | Self::Head { request, .. }
            | Self::Patch { request, .. }
            | Self::Delete { request, .. }
            | Self::RenewToken { request }
            | Self::Cancel { request } => *request,
        }
    }

    /// The HTTP request to send; nothing for [`Command::RenewToken`] and [`Command::Cancel`].
    pub fn http(&self) -> Option<HttpRequest<'_>> {
        let mut headers = vec![(header::TUS_RESUMABLE, header::VERSION.to_owned())];
        let mut body = 0..0;
        let (method, url) = match self {
            Self::Create {
                endpoint,
                length,
                metadata,
                ..
            } => {
                headers.push(format_length(*length));
                if !metadata.is_empty() {
                    headers.push((header::UPLOAD_METADATA, metadata.to_string()));
                }
                ("POST", endpoint)
            }
            Self::Head { url, .. } => ("HEAD", url),
            Self::Patch {
                url,
                offset,
                len,
                declare_length,
                ..
            } => {
                headers.push(("content-type", header::OFFSET_OCTET_STREAM.to_owned()));
                headers.push((header::UPLOAD_OFFSET, offset.to_string()));
                if let Some(length) = declare_length {
                    headers.push((header::UPLOAD_LENGTH, length.to_string()));
                }
                body = *offset..offset.saturating_add(*len);
                ("PATCH", url)
            }
            Self::Delete { url, .. } => ("DELETE", url),
            Self::RenewToken { .. } | Self::Cancel { .. } => return None,
        };
        Some(HttpRequest {
            method,
            url,
            headers,
            body,
        })
    }
}

/// A request spelt out. What proves who is asking is for the adapter to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest<'a> {
    /// `POST`, `HEAD`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// As it was given to the machine or came from the server.
    pub url: &'a str,
    /// Lower-case names and values, `Content-Length` not among them.
    pub headers: Vec<(&'static str, String)>,
    /// The bytes to send, counted from the start of the run; often none.
    pub body: Range<u64>,
}
