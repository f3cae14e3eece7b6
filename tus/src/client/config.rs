//! Configuration of an upload: start and limits.

use super::{Millis, UploadLength};
use crate::metadata::Metadata;

/// Start of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Create an upload on the server.
    Create {
        /// URL at which uploads are created: absolute, or relative in a way that the adapter resolves.
        endpoint: String,
        /// Length to declare at creation, usually `Deferred`. If all bytes are available before the request is sent,
        /// the actual length is used instead.
        length: UploadLength,
        /// Metadata of the upload.
        metadata: Metadata,
    },
    /// Use an upload that the caller has just created, at offset 0.
    Fresh {
        /// URL of the upload.
        url: String,
        /// Length declared at its creation.
        length: UploadLength,
    },
    /// Resume an existing upload, after querying its offset.
    Resume {
        /// URL of the upload.
        url: String,
    },
}

/// Tuning parameters. The defaults suit a recording over any network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Largest body in bytes. Default 8 MiB.
    pub max_patch: u64,
    /// Smallest body size to which failures reduce the limit, in bytes. Default 256 KiB.
    pub min_patch: u64,
    /// Initial body size limit in bytes; grows with success. Default 1 MiB.
    pub initial_patch: u64,
    /// Upper bound of the first wait after a failure; doubles with every further failure. Default 0.5 s.
    pub backoff_base_ms: Millis,
    /// Cap of that upper bound. Default 30 s.
    pub backoff_cap_ms: Millis,
    /// Timeout of a request without a body, and fixed part of the timeout with a body. Default 30 s.
    pub timeout_ms: Millis,
    /// Slowest supported network, in bytes per second: a body of `n` bytes has a timeout of `timeout_ms + n /
    /// slowest`. Default 64 KiB/s.
    pub slowest_bytes_per_s: u64,
    /// Number of consecutive failures without progress after which the upload fails. Default: unlimited.
    pub give_up_after: Option<u32>,
    /// Interval of keep-alive requests (`HEAD`) while there is nothing to send, because servers finish uploads of
    /// silent senders. A response with `Sortie-Silence-Seconds` lowers it to a third of that time. Default 200 s.
    pub keep_alive_ms: Millis,
    /// Delay after which a request without a response is reported by [`Notice::Waiting`](super::Notice::Waiting), in
    /// addition to the transfer time of its body at `slowest_bytes_per_s`. The request itself continues until its
    /// timeout. Default: never.
    pub report_late_after_ms: Option<Millis>,
    /// Whether to wait with backoff for another access token, instead of failing, if the server rejects one or none
    /// can be obtained. Default: fail.
    pub wait_for_sign_in: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_patch: 8 << 20,
            min_patch: 256 << 10,
            initial_patch: 1 << 20,
            backoff_base_ms: 500,
            backoff_cap_ms: 30_000,
            timeout_ms: 30_000,
            slowest_bytes_per_s: 64 << 10,
            give_up_after: None,
            keep_alive_ms: 200_000,
            report_late_after_ms: None,
            wait_for_sign_in: false,
        }
    }
}
