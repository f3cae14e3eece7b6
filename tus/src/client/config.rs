//! Where an upload starts, and its numbers.

use super::{Millis, UploadLength};
use crate::metadata::Metadata;

/// Where an upload starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Create an upload first.
    Create {
        /// Where uploads are created: absolute, or whatever the adapter resolves itself.
        endpoint: String,
        /// The length to create it with, usually `Deferred`. When the run of bytes has ended before the
        /// request is sent, the real length is used instead.
        length: UploadLength,
        /// What to say about it.
        metadata: Metadata,
    },
    /// Somebody has just created this upload for us: it is at offset 0.
    Fresh {
        /// The upload.
        url: String,
        /// The length it was created with.
        length: UploadLength,
    },
    /// An upload from before: ask for its offset first.
    Resume {
        /// The upload.
        url: String,
    },
}

/// Numbers to tune; the defaults suit a recording over any network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Largest body in bytes. Default 8 MiB.
    pub max_patch: u64,
    /// The body size that failures do not push below, in bytes. Default 256 KiB.
    pub min_patch: u64,
    /// Limit for the first bodies, in bytes; grows with success. Default 1 MiB.
    pub initial_patch: u64,
    /// Ceiling of the first wait after a failure; doubles with every further one. Default 0.5 s.
    pub backoff_base_ms: Millis,
    /// Ceiling that the waits do not grow beyond. Default 30 s.
    pub backoff_cap_ms: Millis,
    /// How long a request without a body may take, and what every body adds its bytes to. Default 30 s.
    pub timeout_ms: Millis,
    /// The slowest network worth waiting for, in bytes per second: a body of `n` bytes may take
    /// `timeout_ms + n / slowest`. Default 64 KiB/s.
    pub slowest_bytes_per_s: u64,
    /// Give up after this many failures in a row without a byte acknowledged in between. Default: never.
    pub give_up_after: Option<u32>,
    /// Interval of the keep-alive (`HEAD`) while there is nothing to send: servers end uploads whose sender is
    /// silent. An answer with `Sortie-Silence-Seconds` lowers it to a third of that time. Default 200 s.
    pub keep_alive_ms: Millis,
    /// Report [`Notice::Waiting`](super::Notice::Waiting) when a request has no answer after this time, plus the time
    /// that its body takes at `slowest_bytes_per_s`. The request itself goes on until its timeout. Default: never.
    pub report_late_after_ms: Option<Millis>,
    /// Wait for another access token, with backoff, when the server refuses one or none can be had, instead of
    /// failing. Default: fail.
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
