//! Disk usage.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Interval of a [`DiskMonitor`].
const INTERVAL: Duration = Duration::from_secs(2);

/// Usage of a disk, as `df` reports it: blocks reserved for the superuser count neither as used nor as free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Used bytes, of all programs.
    pub(crate) used_bytes: u64,
    /// Bytes available to this server.
    pub(crate) free_bytes: u64,
}

impl Disk {
    /// Reads the usage of the disk that contains `folder`.
    pub(crate) async fn of(folder: &Path) -> io::Result<Self> {
        let folder = folder.to_owned();
        // A network file system may block for long.
        let stat = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&folder));
        let stat = stat.await.map_err(io::Error::other)??;
        Ok(Self {
            used_bytes: stat
                .f_blocks
                .saturating_sub(stat.f_bfree)
                .saturating_mul(stat.f_frsize),
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    /// Returns used and free bytes.
    pub(crate) fn total_bytes(self) -> u64 {
        self.used_bytes.saturating_add(self.free_bytes)
    }

    /// Returns the used bytes at this usage in percent.
    pub(crate) fn bytes_at(self, percent: u8) -> u64 {
        let bytes = u128::from(self.total_bytes()) * u128::from(percent) / 100;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// Last measured usage of a disk, for handlers: one that measures itself waits as long as a network disk hangs.
#[derive(Debug)]
pub(crate) struct DiskMonitor {
    folder: PathBuf,
    /// `None` if the last measurement failed.
    last: Mutex<Option<Disk>>,
}

impl DiskMonitor {
    /// Measures the disk that contains `folder`.
    pub(crate) async fn open(folder: &Path) -> Self {
        let disk = Disk::of(folder).await.ok();
        Self {
            folder: folder.to_owned(),
            last: Mutex::new(disk),
        }
    }

    /// Returns the last measurement; `None` if it failed.
    pub(crate) fn last(&self) -> Option<Disk> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Measures repeatedly until the future is dropped. At most one measurement waits for a disk that hangs.
    pub(crate) async fn run(&self) {
        loop {
            let disk = Disk::of(&self.folder).await.ok();
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = disk;
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn monitor_follows_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later");
        let monitor = DiskMonitor::open(&path).await;
        assert_eq!(monitor.last(), None);
        std::fs::create_dir(&path).unwrap();
        let measured = async {
            while monitor.last().is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = monitor.run() => {}
            () = measured => {}
        }
        assert!(monitor.last().is_some_and(|disk| disk.total_bytes() > 0));
    }

    #[tokio::test]
    async fn disk_usage_of_temporary_folder_is_read() {
        let disk = Disk::of(&std::env::temp_dir()).await.unwrap();
        assert!(disk.total_bytes() > 0);
        assert!(Disk::of(Path::new("/no such folder")).await.is_err());
    }

    #[test]
    fn percentage_of_largest_disk_does_not_overflow() {
        let disk = Disk {
            used_bytes: u64::MAX,
            free_bytes: 1,
        };
        assert_eq!(disk.bytes_at(100), u64::MAX);
        assert_eq!(disk.bytes_at(0), 0);
    }
}
