//! Staging folders as a whole: removed at once or not at all.

use std::io;
use std::path::Path;

use super::keys::Keys;
use super::staged::sync_folder;

/// Removes a recording's staging folder, durably. One that is not there is no error.
///
/// Renamed first: a folder that is half removed must not be taken for a recording.
pub(super) fn retire(folder: &Path) -> io::Result<()> {
    let gone = Keys::gone(folder);
    match std::fs::rename(folder, &gone) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    }
    if let Some(parent) = folder.parent() {
        sync_folder(parent)?;
    }
    // What stays is cleared away at the next start.
    let _ = std::fs::remove_dir_all(gone);
    Ok(())
}

/// Removes what a crash kept [`retire`] from removing.
pub(super) fn clear(staging: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(staging)? {
        let path = entry?.path();
        if !Keys::is_gone(&path) {
            continue;
        }
        match std::fs::remove_dir_all(path) {
            // Another process clears it too: a server, while somebody sweeps.
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
    fn gone_as_a_whole() -> io::Result<()> {
        let staging = tempfile::tempdir()?;
        let [folder, left] = ["id", "left.gone"].map(|name| staging.path().join(name));
        for folder in [&folder, &left] {
            std::fs::create_dir(folder)?;
            std::fs::write(folder.join("00000.part"), b"bytes")?;
        }
        retire(&folder)?;
        retire(&folder)?;
        clear(staging.path())?;
        assert_eq!(std::fs::read_dir(staging.path())?.count(), 0);
        Ok(())
    }
}
