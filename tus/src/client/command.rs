//! Commands to the adapter.

use std::ops::Range;

use super::UploadLength;
use crate::header::{self, format_length};
use crate::metadata::Metadata;

/// Identifies a request of one [`Upload`](super::Upload); never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

/// An action for the adapter.
///
/// [`Command::http`] returns the HTTP request. The adapter responds to each request with exactly one call of
/// [`handle_response`](super::Upload::handle_response) or [`handle_failure`](super::Upload::handle_failure), unless it
/// is cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `POST` without a body, to create an upload.
    Create {
        /// Identifier of this request.
        request: RequestId,
        /// URL at which uploads are created.
        endpoint: String,
        /// `Upload-Length` or `Upload-Defer-Length: 1`; see [`format_length`].
        length: UploadLength,
        /// `Upload-Metadata`, sent unless empty.
        metadata: Metadata,
    },
    /// `HEAD`, to query the offset.
    Head {
        /// Identifier of this request.
        request: RequestId,
        /// URL of the upload.
        url: String,
    },
    /// `PATCH` with `Content-Type: application/offset+octet-stream`, to append bytes.
    Patch {
        /// Identifier of this request.
        request: RequestId,
        /// URL of the upload.
        url: String,
        /// `Upload-Offset`, and the position of the body in the sequence of bytes.
        offset: u64,
        /// Body length in bytes; may be 0 to declare only the upload length.
        len: u64,
        /// `Upload-Length`, if the server does not know it yet.
        declare_length: Option<u64>,
    },
    /// `DELETE`, to terminate the upload.
    Delete {
        /// Identifier of this request.
        request: RequestId,
        /// URL of the upload.
        url: String,
    },
    /// Obtain a new access token, then call [`handle_token_renewed`](super::Upload::handle_token_renewed) or
    /// [`handle_token_failed`](super::Upload::handle_token_failed).
    RenewToken {
        /// Identifier for logs. A token obtained in another way is equally accepted.
        request: RequestId,
    },
    /// Abort this request if it is still in flight. No result is expected, and a late one is ignored.
    Cancel {
        /// Identifier of the request to abort.
        request: RequestId,
    },
}

impl Command {
    /// Returns the identifier of the request that this command starts or, for [`Command::Cancel`], aborts.
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

    /// Returns the HTTP request to send; `None` for [`Command::RenewToken`] and [`Command::Cancel`].
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

/// An HTTP request. The adapter adds the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest<'a> {
    /// `POST`, `HEAD`, `PATCH` or `DELETE`.
    pub method: &'static str,
    /// URL, as given to the machine or received from the server.
    pub url: &'a str,
    /// Header names in lower case and their values, without `Content-Length`.
    pub headers: Vec<(&'static str, String)>,
    /// Range of the body in the sequence of bytes; may be empty.
    pub body: Range<u64>,
}
