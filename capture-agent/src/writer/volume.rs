//! A folder, in the few operations that a recording needs: so that tests can cut the power at each of them.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags};
use rustix::io::Errno;
use sortie_server::open_regular_with;

/// A folder for recordings.
pub trait Volume: Send + Sync {
    /// An open file of it.
    type File: VolumeFile;

    /// Makes a new file, which nobody else may change as long as it is open.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, and what the file system says.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file that is there, for reading and writing.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when another program is writing it, and what the file system says.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Whether there is such a name.
    ///
    /// # Errors
    ///
    /// What the file system says.
    fn exists(&self, name: &str) -> io::Result<bool>;

    /// Gives a file another name, unless that is taken.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, and what the file system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// What the file system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names of all files whose names are text.
    ///
    /// # Errors
    ///
    /// What the file system says.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Makes new, changed and removed names durable.
    ///
    /// # Errors
    ///
    /// What the file system says.
    fn sync(&self) -> io::Result<()>;
}

/// An open file. The errors are the file system's.
#[expect(
    clippy::len_without_is_empty,
    reason = "a file that is empty is nothing special"
)]
pub trait VolumeFile: Send {
    /// Its length in bytes.
    ///
    /// # Errors
    ///
    /// What the file system says.
    fn len(&self) -> io::Result<u64>;

    /// Fills as much of `buffer` as there is at `position`; 0 at the end.
    ///
    /// # Errors
    ///
    /// What the file system says.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of it.
    ///
    /// # Errors
    ///
    /// What the file system says; some of it may have been written.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts it off, or fills it up with zeros.
    ///
    /// # Errors
    ///
    /// What the file system says.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Makes its bytes and its length durable.
    ///
    /// # Errors
    ///
    /// What the file system says. What had been written since the last success may be lost then.
    fn sync(&self) -> io::Result<()>;
}

/// A real folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// A folder, which must exist by the time it is used.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Takes the lock that says that a recorder is alive; the kernel lets go of it when the process dies.
    fn locked(file: File) -> io::Result<File> {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(Errno::WOULDBLOCK) => Err(io::ErrorKind::WouldBlock.into()),
            // A file system without locks must do without.
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
            // A file system, or a kernel, that cannot promise it; nobody else makes such names.
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
    fn a_file_belongs_to_one_writer() {
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
    fn renaming_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        drop((folder.create("a").unwrap(), folder.create("b").unwrap()));
        let taken = folder.rename("a", "b").unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        folder.rename("a", "c").unwrap();
        assert_eq!(folder.names().unwrap(), ["b", "c"]);
    }
}
