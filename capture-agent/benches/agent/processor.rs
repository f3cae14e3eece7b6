//! CPU time and memory of a process, from `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Returns the CPU time of a process, excluding the threads with these names.
pub(crate) fn time(process: u32, without: &[&str]) -> Result<Duration> {
    let mut ticks = 0;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let path = task?.path();
        // A thread may end between the two reads.
        let Ok(stat) = fs::read_to_string(path.join("stat")) else {
            continue;
        };
        // proc(5): the name is in parentheses and may contain any character.
        let (name, rest) = stat.rsplit_once(')').context("no name")?;
        let name = name.split_once('(').map_or("", |(_, name)| name);
        if without.contains(&name) {
            continue;
        }
        let fields: Vec<_> = rest.split_whitespace().collect();
        for field in [11, 12] {
            ticks += fields.get(field).context("no time")?.parse::<u64>()?;
        }
    }
    // USER_HZ is 100 on every Linux architecture in use.
    Ok(Duration::from_millis(ticks * 10))
}

/// Returns the resident memory in MiB.
pub(crate) fn memory(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.context("no memory")?.parse::<f64>()? / 1024.0)
}
