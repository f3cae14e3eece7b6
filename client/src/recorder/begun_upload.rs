//! An upload on our server.

use sortie_tus::client::{Start, UploadLength};

/// Upload that our server has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BegunUpload {
    pub(crate) session: String,
    pub(crate) recording: String,
    /// Absolute, or relative to the page if the server is the page's origin.
    pub(crate) upload_url: String,
    pub(crate) max_size_bytes: u64,
    /// Longest silence of a sender before the server ends the upload.
    pub(crate) silence_ms: Option<u64>,
}

impl BegunUpload {
    pub(crate) fn start(&self) -> Start {
        Start::Fresh {
            url: self.upload_url.clone(),
            length: UploadLength::Deferred,
        }
    }
}
