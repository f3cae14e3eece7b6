//! What a page needs to know before anybody signs in.

use serde::{Deserialize, Serialize};

/// Answer to `GET /api/info`, open to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Whether the recording routes exist (`SORTIE_VIDEO_RECORDING_ENABLED`).
    pub recording_enabled: bool,
    /// The server's version.
    pub version: String,
    /// The most bytes of one recording.
    pub max_size_bytes: u64,
}
