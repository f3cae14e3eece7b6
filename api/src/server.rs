//! Server information that requires no sign-in.

use serde::{Deserialize, Serialize};

/// Response of `GET /api/info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServerInfo {
    /// Whether the recording routes exist (`SORTIE_VIDEO_RECORDING_ENABLED`).
    pub recording_enabled: bool,
    /// Version of the server.
    pub version: String,
    /// Size limit of a recording in bytes.
    pub max_size_bytes: u64,
    /// Whether the server is an appliance with its own recorder (`/api/appliance`).
    #[serde(default)]
    pub appliance: bool,
    /// Whether recordings can be shared by links (`SORTIE_SHARING_ENABLED`).
    #[serde(default)]
    pub sharing: bool,
    /// Days that deleted recordings can be restored (`SORTIE_TRASH_DAYS`); 0: a deletion is final.
    #[serde(default)]
    pub trash_days: u32,
}

/// Response of `GET /readyz` with status 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Readiness {
    /// Whether the database responds.
    pub database: Ready,
    /// Whether the storage is writable.
    pub storage: Ready,
}

/// State of a working component. A component that does not work is reported as a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// The component works.
    Ok,
}
