//! The recordings disk as a file system: made, checked and read on the host, without mounting it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// A fresh ext4 of `size` bytes.
///
/// # Errors
/// When it cannot be made.
pub fn fresh(size: u64, work: &Path) -> Result<Vec<u8>> {
    let path = work.join("fresh.img");
    File::create(&path)?.set_len(size)?;
    // Without lazy initialisation, which writes in the background for a while.
    let program = "mke2fs -q -t ext4 -E lazy_itable_init=0,lazy_journal_init=0";
    let (code, said) = run(program, &[path.as_os_str()])?;
    if code != 0 {
        bail!("mke2fs: exit code {code}: {said}");
    }
    let content = std::fs::read(&path)?;
    std::fs::remove_file(&path)?;
    Ok(content)
}

/// What a check of the file system found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Nothing to do.
    Clean,
    /// Its journal was replayed, or more.
    Repaired,
}

/// Copies all files of a file system into the new folder `to`. One that was cut off is repaired first.
///
/// # Errors
/// When it is no file system any more.
pub fn unpack(medium: &[u8], to: &Path) -> Result<Health> {
    std::fs::create_dir_all(to)?;
    let path = to.with_extension("img");
    write_sparse(&path, medium)?;
    let (code, said) = run("e2fsck -f -y", &[path.as_os_str()])?;
    // e2fsck(8): 1 is "errors corrected", and a journal to be replayed is none.
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

/// Writes what is not zero; the rest of the file takes no room.
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

/// Runs a program with its options: the exit code and all it says.
fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<(i32, String)> {
    let mut words = program.split(' ');
    let name = words.next().context("no program")?;
    // Debian keeps them where only root's PATH looks.
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
    fn a_fresh_disk_is_clean_and_what_is_torn_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = fresh(16 << 20, dir.path()).unwrap();
        let to = dir.path().join("whole");
        assert_eq!(unpack(&disk, &to).unwrap(), Health::Clean);
        assert!(to.join("lost+found").is_dir());
        // The root directory's inode table is behind the first few blocks.
        disk[64 << 10..2 << 20].fill(0);
        let torn = unpack(&disk, &dir.path().join("torn"));
        assert!(!matches!(torn, Ok(Health::Clean)), "{torn:?}");
    }
}
