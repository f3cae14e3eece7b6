//! Folder for recordings: preparation, recovery, and periodic checks.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{Setup, hook};
use crate::problem::Problem;
use crate::writer::{self, Folder, RecoveredFile};

/// Interval of the disk checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

pub(super) struct RecordingsFolder {
    path: PathBuf,
    hook: Option<String>,
    hook_limit: Duration,
    reserve_bytes: u64,
    /// Whether the folder may hold a file that could not be finished.
    has_unfinished: bool,
    /// Result of the last preparation.
    problem: Option<Problem>,
    /// File in progress that was missing at the last check.
    missing: Option<String>,
    next_check: Duration,
}

/// Result of a check.
pub(super) struct FolderCheck {
    /// Whether more than the reserve is free.
    pub(super) has_room: bool,
    /// File in progress that is missing from the folder: it could still be written, but would be lost.
    pub(super) deleted: Option<String>,
}

impl RecordingsFolder {
    pub(super) fn new(setup: &Setup) -> Self {
        Self {
            path: setup.folder.clone(),
            hook: setup.hook.clone(),
            hook_limit: setup.hook_limit,
            reserve_bytes: setup.reserve_bytes,
            has_unfinished: false,
            problem: None,
            missing: None,
            next_check: Duration::ZERO,
        }
    }

    pub(super) fn folder(&self) -> Folder {
        Folder::new(&self.path)
    }

    pub(super) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    pub(super) fn set_error(&mut self, error: &io::Error) {
        self.problem = Some(Problem::disk(self.path.display(), error));
    }

    /// Marks that a file could not be finished: [`Self::recover_unfinished`] tries again.
    pub(super) fn set_unfinished(&mut self) {
        self.has_unfinished = true;
    }

    /// Runs the hook and creates the folder.
    pub(super) fn prepare(&mut self) {
        let hook = self.hook.as_ref();
        let failed = hook.and_then(|hook| hook::run(hook, self.hook_limit).err());
        self.problem = failed.map(Problem::other);
        if let Err(error) = std::fs::create_dir_all(&self.path) {
            self.set_error(&error);
        }
    }

    /// Finishes the files of an earlier run. No file may be in progress.
    pub(super) fn recover(&mut self, mut on_file: impl FnMut(RecoveredFile)) {
        self.has_unfinished = false;
        match writer::recover_files(&self.folder()) {
            Ok(files) => {
                for file in files {
                    self.has_unfinished |= matches!(file, RecoveredFile::Stays(..));
                    on_file(file);
                }
            }
            Err(error) => self.set_error(&error),
        }
    }

    /// Finishes files that could not be finished before.
    pub(super) fn recover_unfinished(&mut self, on_file: impl FnMut(RecoveredFile)) {
        if self.has_unfinished {
            self.recover(on_file);
        }
    }

    /// Checks free space and the file in progress; `None` until the interval has passed.
    pub(super) fn check(&mut self, now: Duration, file: Option<String>) -> Option<FolderCheck> {
        if now < self.next_check {
            return None;
        }
        self.next_check = now + CHECK_INTERVAL;
        let has_room = match rustix::fs::statvfs(&self.path) {
            Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize) >= self.reserve_bytes,
            // The next write reports the cause.
            Err(_) => true,
        };
        Some(FolderCheck {
            has_room,
            deleted: self.deleted(file),
        })
    }

    /// Returns the file in progress if two consecutive checks miss it: one check may coincide with the rename of a
    /// finished file.
    fn deleted(&mut self, file: Option<String>) -> Option<String> {
        let missing = file.filter(|name| {
            let path = self.path.join(format!("{name}{}", writer::GROWING));
            matches!(path.try_exists(), Ok(false))
        });
        let is_confirmed = missing.is_some() && missing == self.missing;
        self.missing = missing;
        self.missing.take_if(|_| is_confirmed)
    }
}
