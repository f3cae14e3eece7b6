//! Metrics of this process by Prometheus's usual names: `process_*`. Linux only: other systems have no `/proc`.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Clock ticks per second in `/proc`: a constant of the kernel's interface on every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Default)]
pub(super) struct ProcessMetrics {
    cpu: Counter<f64, AtomicU64>,
    start: Gauge<f64, AtomicU64>,
    resident: Gauge,
    virtual_memory: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    threads: Gauge,
}

impl ProcessMetrics {
    /// Registers the metrics where `/proc` exists.
    pub(super) fn register(&self, registry: &mut Registry) {
        if std::fs::metadata("/proc/self/stat").is_err() {
            return;
        }
        let registry = registry.sub_registry_with_prefix("process");
        registry.register_with_unit(
            "cpu",
            "User and system CPU time",
            Unit::Seconds,
            self.cpu.clone(),
        );
        registry.register_with_unit(
            "start_time",
            "Start of the process as Unix time",
            Unit::Seconds,
            self.start.clone(),
        );
        registry.register_with_unit(
            "resident_memory",
            "Resident memory",
            Unit::Bytes,
            self.resident.clone(),
        );
        registry.register_with_unit(
            "virtual_memory",
            "Virtual memory",
            Unit::Bytes,
            self.virtual_memory.clone(),
        );
        registry.register("open_fds", "Open file descriptors", self.open_fds.clone());
        registry.register(
            "max_fds",
            "Limit of open file descriptors",
            self.max_fds.clone(),
        );
        registry.register("threads", "Threads", self.threads.clone());
    }

    /// Reads `/proc`. An unreadable value stays as it was.
    pub(super) fn update(&self) {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        if let Some(stat) = Stat::parse(&text("/proc/self/stat")) {
            let seconds = stat.cpu_ticks / TICKS_PER_SECOND;
            self.cpu.inner().store(seconds.to_bits(), Ordering::Relaxed);
            if let Some(boot) = field(&text("/proc/stat"), "btime") {
                #[expect(clippy::cast_precision_loss, reason = "seconds")]
                let boot = boot as f64;
                self.start.set(boot + stat.start_ticks / TICKS_PER_SECOND);
            }
        }
        let status = text("/proc/self/status");
        let kilobytes = |name| field(&status, name).map(|kilobytes| kilobytes * 1024);
        let max_fds = field(&text("/proc/self/limits"), "Max open files");
        let open = std::fs::read_dir("/proc/self/fd").map(Iterator::count).ok();
        // The listing itself uses one.
        let open = open.and_then(|open| i64::try_from(open.saturating_sub(1)).ok());
        for (gauge, value) in [
            (&self.resident, kilobytes("VmRSS:")),
            (&self.virtual_memory, kilobytes("VmSize:")),
            (&self.threads, field(&status, "Threads:")),
            (&self.max_fds, max_fds),
            (&self.open_fds, open),
        ] {
            if let Some(value) = value {
                gauge.set(value);
            }
        }
    }
}

/// Times of a process in clock ticks.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: f64,
    /// Start of the process after the boot.
    start_ticks: f64,
}

impl Stat {
    /// Parses `/proc/self/stat`. The second field, the name, may contain spaces and parentheses.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        // Begins with field 3.
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_ticks: number(14)? + number(15)?,
            start_ticks: number(22)?,
        })
    }
}

/// Returns the first number of the line that begins with `name`.
fn field(text: &str, name: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_process_with_parentheses_in_name_is_parsed() {
        let text = "12 (a) b (c) S 1 12 12 0 -1 4194304 9 0 0 0 150 50 0 0 20 0 7 0 4200 1 1";
        let stat = Stat {
            cpu_ticks: 200.0,
            start_ticks: 4200.0,
        };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("12 (a) S 1"), None);
        assert_eq!(field("VmSize:\t 10 kB\nVmRSS:\t 7 kB\n", "VmRSS:"), Some(7));
        let unlimited = "Max open files            unlimited  unlimited  files\n";
        assert_eq!(field(unlimited, "Max open files"), None);
    }
}
