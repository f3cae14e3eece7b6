//! Wall clock of a child process, which a test sets while the process runs (libfaketime).

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Wall clock of the processes that were started with it.
pub(crate) struct FakeClock {
    folder: TempDir,
}

impl FakeClock {
    /// Creates a clock that shows the right time.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Self { folder };
        clock.set("+0");
        clock
    }

    /// Sets the offset from the right time: `+1h`, `-400d`, `+0`.
    pub(crate) fn set(&self, offset: &str) {
        // Replaces the file atomically, as the processes read it at every call.
        let new = self.folder.path().join("new");
        std::fs::write(&new, offset).expect("a file");
        std::fs::rename(new, self.file()).expect("a file");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// Runs a process with this wall clock. Its monotonic clocks are the machine's.
    pub(crate) fn apply_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
    }
}

/// Debian's package `libfaketime`.
fn library() -> PathBuf {
    let folders = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(Path::new);
    let architectures = folders.iter().flat_map(|folder| {
        let inner = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let inner = inner.map(|entry| entry.path());
        inner.chain([folder.to_path_buf()])
    });
    architectures
        .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
        .expect("libfaketimeMT.so.1: install the package libfaketime (scripts/setup.sh does)")
}
