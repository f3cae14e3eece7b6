//! File system of the recordings disk: created, checked and read on the host without a mount.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Creates an ext4 file system of `size` bytes.
///
/// # Errors
/// mke2fs fails.
pub fn fresh(size: u64, work: &Path) -> Result<Vec<u8>> {
    let path = work.join("fresh.img");
    File::create(&path)?.set_len(size)?;
    // Lazy initialisation is off, because it would write in the background.
    let program = "mke2fs -q -t ext4 -E lazy_itable_init=0,lazy_journal_init=0";
    let (code, said) = run(program, &[path.as_os_str()])?;
    if code != 0 {
        bail!("mke2fs: exit code {code}: {said}");
    }
    let content = std::fs::read(&path)?;
    std::fs::remove_file(&path)?;
    Ok(content)
}

/// Result of a file system check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Clean,
    /// At least the journal was replayed.
    Repaired,
}

/// Copies all files of a file system into the new folder `to`, after a repair if it was interrupted.
///
/// # Errors
/// The file system cannot be repaired.
pub fn unpack(medium: &[u8], to: &Path) -> Result<Health> {
    std::fs::create_dir_all(to)?;
    let path = to.with_extension("img");
    write_sparse(&path, medium)?;
    let (code, said) = run("e2fsck -f -y", &[path.as_os_str()])?;
    // e2fsck(8): 1 is "errors corrected"; a journal replay does not count.
    let health = match code {
        0 if !said.contains("recovering journal") => Health::Clean,
        0 | 1 => Health::Repaired,
        _ => bail!("{}: e2fsck: exit code {code}: {said}", path.display()),
    };
    let order = format!(
        "rdump / {}",
        to.to_str().context("the folder's name is not text")?
    );
    let (code, said) = run("debugfs -R", &[order.as_ref(), path.as_os_str()])?;
    if code != 0 {
        bail!("debugfs: exit code {code}: {said}");
    }
    std::fs::remove_file(path)?;
    Ok(health)
}

/// Writes a sparse file.
fn write_sparse(path: &Path, content: &[u8]) -> Result<()> {
    const BLOCK: usize = 64 << 10;
    let file = File::create(path)?;
    file.set_len(content.len() as u64)?;
    for (number, block) in content.chunks(BLOCK).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            file.write_all_at(block, (number * BLOCK) as u64)?;
        }
    }
    Ok(())
}

/// Runs a program; returns exit code and output.
fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<(i32, String)> {
    let mut words = program.split(' ');
    let name = words.next().context("no program")?;
    // Debian installs them in sbin.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(name)
        .args(words)
        .args(arguments)
        .env("PATH", path)
        .output()
        .with_context(|| format!("{name} cannot be started"))?;
    let said = [output.stdout, output.stderr].concat();
    let code = output.status.code().context("it was killed")?;
    Ok((code, String::from_utf8_lossy(&said).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_disk_is_clean_and_damage_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = fresh(16 << 20, dir.path()).unwrap();
        let to = dir.path().join("whole");
        assert_eq!(unpack(&disk, &to).unwrap(), Health::Clean);
        assert!(to.join("lost+found").is_dir());
        // The inode table of the root directory follows the first few blocks.
        disk[64 << 10..2 << 20].fill(0);
        let torn = unpack(&disk, &dir.path().join("torn"));
        assert!(!matches!(torn, Ok(Health::Clean)), "{torn:?}");
    }
}
