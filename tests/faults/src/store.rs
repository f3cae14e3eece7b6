//! Object store of a server under test: the one named by its variables, or SeaweedFS, started on demand.

#[path = "../../../server/tests/support/ports.rs"]
mod ports;
#[path = "../../../server/tests/support/seaweedfs.rs"]
mod seaweedfs;

use std::ffi::OsString;

use anyhow::Result;

/// Variables of a server that stores recordings in an object store under a unique prefix.
///
/// Empty if `SORTIE_RECORDING_STORAGE_BACKEND` names a store: the server inherits the variables.
pub async fn environment(prefix: &str) -> Result<Vec<(String, OsString)>> {
    let backend = std::env::var("SORTIE_RECORDING_STORAGE_BACKEND").unwrap_or_default();
    if !matches!(backend.as_str(), "" | "local") {
        return Ok(Vec::new());
    }
    let store = tokio::task::spawn_blocking(seaweedfs::seaweedfs).await?;
    let (access_key, secret) = seaweedfs::ADMIN;
    let variables = [
        ("SORTIE_RECORDING_STORAGE_BACKEND", "s3"),
        ("SORTIE_RECORDING_S3_BUCKET", seaweedfs::BUCKET),
        ("SORTIE_RECORDING_S3_ENDPOINT", &store.endpoint),
        ("SORTIE_RECORDING_S3_PREFIX", prefix),
        ("AWS_ACCESS_KEY_ID", access_key),
        ("AWS_SECRET_ACCESS_KEY", secret),
    ];
    Ok(variables
        .map(|(name, value)| (name.to_owned(), value.into()))
        .to_vec())
}
