//! Small file systems for tests that fill them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// In memory.
    Tmpfs,
    /// In a file, through a loop device.
    Ext4,
}

/// A mounted file system. Dropping it unmounts it.
#[derive(Debug)]
pub struct Mount {
    path: PathBuf,
}

/// Checks that file systems can be mounted; the error is a sentence for the report.
pub fn available() -> Result<()> {
    let id = Command::new("id")
        .arg("-u")
        .output()
        .context("cannot ask who runs this")?;
    ensure!(
        String::from_utf8_lossy(&id.stdout).trim() == "0",
        "only root can mount file systems: run the full-disk tests as root, for example in a container \
         with CAP_SYS_ADMIN"
    );
    Ok(())
}

impl Mount {
    /// Creates and mounts a file system of about `mib` MiB in `folder`.
    pub fn new(system: FileSystem, folder: &Path, mib: usize) -> Result<Self> {
        let path = folder.join("disk");
        std::fs::create_dir_all(&path)?;
        let size = format!("{mib}M");
        match system {
            FileSystem::Tmpfs => {
                let options = format!("size={size}");
                run(Command::new("mount")
                    .args(["-t", "tmpfs", "-o", &options, "sortie-faults"])
                    .arg(&path))?;
            }
            FileSystem::Ext4 => {
                let image = folder.join("image");
                let file = std::fs::File::create(&image)?;
                file.set_len((mib as u64) << 20)?;
                run(Command::new("mkfs.ext4")
                    .args(["-q", "-F", "-m", "0"])
                    .arg(&image))?;
                run(Command::new("mount")
                    .args(["-o", "loop"])
                    .arg(&image)
                    .arg(&path))?;
            }
        }
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills it until about `leave` bytes are free. Dropping the filler frees the space.
    pub fn fill(&self, leave: usize) -> Result<Filler> {
        let filler = Filler(self.path.join("filler"));
        let mut file = std::fs::File::create(&filler.0)?;
        let mut written = 0_u64;
        // Large writes first, then smaller ones to the last byte.
        for size in [1 << 20, 4096, 1] {
            let piece = vec![0xAA; size];
            loop {
                match file.write_all(&piece) {
                    Ok(()) => written += size as u64,
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("cannot fill the disk"),
                }
                if size < 4096 && written.is_multiple_of(4096) {
                    // The last block is full, and none is free.
                    break;
                }
            }
            // ext4 allocates delayed: a write succeeds before its blocks exist.
            file.sync_all().context("cannot fill the disk")?;
        }
        if leave > 0 {
            file.set_len(file.metadata()?.len().saturating_sub(leave as u64))?;
            file.sync_all()?;
        }
        Ok(filler)
    }

    /// Remounts it read-only or writable. Fails, for example, if a file is open for writing.
    pub fn set_read_only(&self, read_only: bool) -> Result<()> {
        let options = if read_only {
            "remount,ro"
        } else {
            "remount,rw"
        };
        run(Command::new("mount").args(["-o", options]).arg(&self.path))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazy unmount: a dying server may still use it.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// File that fills a file system.
#[derive(Debug)]
pub struct Filler(PathBuf);

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
