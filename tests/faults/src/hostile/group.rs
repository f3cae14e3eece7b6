//! A control group with a memory limit: version 2, else version 1.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A control group; removed on drop.
#[derive(Debug)]
pub(super) struct Group {
    folder: PathBuf,
}

/// Parent folders of groups and their limit files; all existing files are written.
const PLACES: [(&str, &[&str]); 3] = [
    ("/sys/fs/cgroup", &["memory.max", "memory.swap.max"]),
    ("/sys/fs/cgroup/unified", &["memory.max", "memory.swap.max"]),
    (
        "/sys/fs/cgroup/memory",
        &["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"],
    ),
];

impl Group {
    /// Creates a group with a limit of `memory` bytes. Fails where memory limits are unavailable.
    pub(super) fn new(memory: u64) -> Result<Self> {
        let mut reasons = Vec::new();
        for (place, limits) in PLACES {
            match Self::at(Path::new(place), limits, memory) {
                Ok(group) => return Ok(group),
                Err(error) => reasons.push(format!("{place}: {error:#}")),
            }
        }
        bail!("no control group can be made ({})", reasons.join("; "))
    }

    fn at(place: &Path, limits: &[&str], memory: u64) -> Result<Self> {
        let folder = place.join(format!("sortie-hostile-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let group = Self { folder };
        let (first, swap) = limits.split_first().context("no limits")?;
        fs::write(group.folder.join(first), memory.to_string())
            .with_context(|| format!("no limit of memory ({first})"))?;
        for limit in swap {
            let file = group.folder.join(limit);
            let value = if limit.contains("memsw") { memory } else { 0 };
            // Absent without swap accounting.
            if file.exists() {
                fs::write(file, value.to_string())?;
            }
        }
        Ok(group)
    }

    /// Command that runs a program in the group with this soft limit of open files; `hard` also sets the hard limit.
    pub(super) fn shell(&self, files: u64, hard: bool) -> Vec<OsString> {
        // Without `-S`, both limits are set.
        let kinds = if hard { "-n" } else { "-Sn" };
        let script = format!(
            "echo $$ > {}/cgroup.procs && ulimit {kinds} {files} && exec \"$@\"",
            self.folder.display()
        );
        ["sh", "-c", &script, "sh"].map(OsString::from).to_vec()
    }

    /// Whether the kernel killed a process of the group for exceeding the memory limit.
    pub(super) fn was_killed(&self) -> bool {
        let count = |name: &str| -> Option<u64> {
            let text = fs::read_to_string(self.folder.join(name)).ok()?;
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("oom_kill "))?;
            line.trim().parse().ok()
        };
        let counts = ["memory.events", "memory.oom_control"];
        counts.into_iter().filter_map(count).any(|kills| kills > 0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Killed processes may take a moment to exit.
        for _ in 0..50 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
