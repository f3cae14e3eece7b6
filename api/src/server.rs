//! What a page needs to know before anybody signs in.

use serde::{Deserialize, Serialize};

/// Answer to `GET /api/info`, open to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerInfo {
    /// Whether the recording routes exist (`SORTIE_VIDEO_RECORDING_ENABLED`).
    pub recording_enabled: bool,
    /// The server's version.
    pub version: String,
    /// The most bytes of one recording.
    pub max_size_bytes: u64,
    /// Whether there is a recorder on board (`/api/appliance`): then it is the appliance whose pages are shown.
    #[serde(default)]
    pub appliance: bool,
}

/// Answer to `GET /readyz` when all is well; open to everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Readiness {
    /// The database answers.
    pub database: Ready,
    /// The storage can be written to.
    pub storage: Ready,
}

/// That something works; what does not is a problem with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// It works.
    Ok,
}
