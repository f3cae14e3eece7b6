//! Operations on a folder that a recording needs, as a trait: tests cut the power at each of them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags};
use rustix::io::Errno;
use sortie_server::open_regular_with;

#[expect(
    clippy::missing_errors_doc,
    reason = "all errors are the file system's"
)]
pub trait Volume: Send + Sync {
    type File: VolumeFile;

    /// Creates a file, locked against other programs while it is open; `AlreadyExists` if the name exists.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading and writing; `WouldBlock` if another program is writing it.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Whether the name exists.
    fn exists(&self, name: &str) -> io::Result<bool>;

    /// Renames a file; `AlreadyExists` if the new name exists.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, name: &str) -> io::Result<()>;

    /// Lists the file names that are valid UTF-8.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Makes created, renamed and removed names durable.
    fn sync(&self) -> io::Result<()>;
}

/// Open file of a [`Volume`].
#[expect(
    clippy::missing_errors_doc,
    reason = "all errors are the file system's"
)]
#[expect(
    clippy::len_without_is_empty,
    reason = "a file that is empty is nothing special"
)]
pub trait VolumeFile: Send {
    fn len(&self) -> io::Result<u64>;

    /// Reads up to `buffer.len()` bytes at `position`; returns 0 at the end.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all bytes at `position`. After an error, some may have been written.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()>;

    /// Truncates the file, or extends it with zeros.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Makes content and length durable. After an error, everything written since the last success may be lost.
    fn sync(&self) -> io::Result<()>;
}

#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder must exist when it is used.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Takes the lock that marks a file in progress; the kernel releases it when the process dies.
    fn locked(file: File) -> io::Result<File> {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(Errno::WOULDBLOCK) => Err(io::ErrorKind::WouldBlock.into()),
            // File systems without locks are used unlocked.
            Err(Errno::NOSYS | Errno::NOTSUP | Errno::INVAL | Errno::NOLCK) => Ok(file),
            Err(error) => Err(error.into()),
        }
    }
}

impl Volume for Folder {
    type File = File;

    fn create(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        Self::locked(options.open(self.0.join(name))?)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        Self::locked(open_regular_with(&mut options, &self.0.join(name))?)
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.0.join(name).try_exists()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.0.join(from), self.0.join(to));
        match rustix::fs::renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
            // File system or kernel lacks RENAME_NOREPLACE; no other program creates such names.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                if to.try_exists()? {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                std::fs::rename(from, to)
            }
            renamed => Ok(renamed?),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.0.join(name))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl VolumeFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, buffer, position)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, position)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Self::set_len(self, length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_writer_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let file = folder.create("a").unwrap();
        let second = folder.create("a").unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AlreadyExists);
        let second = folder.open("a").unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(file);
        assert!(folder.open("a").is_ok());
    }

    #[test]
    fn rename_does_not_overwrite() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        drop((folder.create("a").unwrap(), folder.create("b").unwrap()));
        let taken = folder.rename("a", "b").unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        folder.rename("a", "c").unwrap();
        assert_eq!(folder.names().unwrap(), ["b", "c"]);
    }
}
