//! What the adapter has to do.

use super::UploadLength;
use crate::metadata::Metadata;

/// Tells requests of one [`Upload`](super::Upload) apart; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

/// Something for the adapter to do.
///
/// Every HTTP request also carries `Tus-Resumable: 1.0.0` and whatever proves who is asking. It is answered
/// by exactly one [`handle_response`](super::Upload::handle_response) or
/// [`handle_failure`](super::Upload::handle_failure), unless it is cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `POST` without a body.
    Create {
        /// Names this request.
        request: RequestId,
        /// Where uploads are created.
        endpoint: String,
        /// `Upload-Length` or `Upload-Defer-Length: 1`; see [`format_length`](crate::header::format_length).
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
}
