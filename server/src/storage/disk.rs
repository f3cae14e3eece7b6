//! Disk usage.

use std::io;
use std::path::Path;

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

#[cfg(test)]
mod tests {
    use super::*;

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
