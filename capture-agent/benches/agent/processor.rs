//! What a process has used, by `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Processor time of a process without its threads of these names.
pub(crate) fn time(process: u32, without: &[&str]) -> Result<Duration> {
    let mut ticks = 0;
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let path = task?.path();
        // A thread may end meanwhile.
        let Ok(stat) = fs::read_to_string(path.join("stat")) else {
            continue;
        };
        // proc(5): the name stands in brackets, and may hold anything.
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
    // USER_HZ is 100 on every Linux there is.
    Ok(Duration::from_millis(ticks * 10))
}

/// Resident memory in MiB.
pub(crate) fn memory(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.context("no memory")?.parse::<f64>()? / 1024.0)
}
