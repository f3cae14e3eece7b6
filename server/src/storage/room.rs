//! How much a disk takes.

use std::path::PathBuf;

/// The disk that a folder is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes that we may still write; a file system keeps some for the system's own use.
    pub(crate) free_bytes: u64,
    /// Bytes of all of it.
    pub(crate) total_bytes: u64,
}

/// Asks the file system; `None` if it does not say.
pub(crate) async fn room(folder: PathBuf) -> Option<Room> {
    // A network file system may take its time.
    tokio::task::spawn_blocking(move || ask(&folder))
        .await
        .ok()?
}

#[cfg(unix)]
fn ask(folder: &std::path::Path) -> Option<Room> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(Room {
        free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
        total_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
    })
}

#[cfg(not(unix))]
fn ask(_: &std::path::Path) -> Option<Room> {
    None
}
