//! Atomic removal of staging folders.

use std::io;
use std::path::Path;

use super::keys::Keys;
use super::staged::sync_folder;

/// Removes the staging folder of a recording, durably. A missing one is no error.
///
/// Renames it first: a partially removed folder must not be mistaken for a recording.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    let gone = Keys::gone(folder);
    match std::fs::rename(folder, &gone) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    }
    if let Some(parent) = folder.parent() {
        sync_folder(parent)?;
    }
    // Remaining files are removed at the next start.
    let _ = std::fs::remove_dir_all(gone);
    Ok(())
}

/// Completes removals that a crash interrupted.
pub(super) fn clear(staging: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(staging)? {
        let path = entry?.path();
        if !Keys::is_gone(&path) {
            continue;
        }
        match std::fs::remove_dir_all(path) {
            // Another process may clear the folder concurrently: a server, while `sweep` runs.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removal_is_complete_and_repeatable() -> io::Result<()> {
        let staging = tempfile::tempdir()?;
        let [folder, left] = ["id", "left.gone"].map(|name| staging.path().join(name));
        for folder in [&folder, &left] {
            std::fs::create_dir(folder)?;
            std::fs::write(folder.join("00000.part"), b"bytes")?;
        }
        remove(&folder)?;
        remove(&folder)?;
        clear(staging.path())?;
        assert_eq!(std::fs::read_dir(staging.path())?.count(), 0);
        Ok(())
    }
}
