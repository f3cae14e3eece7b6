//! Measures recorder, disk and forwarding, and raises alarms.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sortie_api::{Forwarding, RaisedAlarm};
use sortie_server::{Clock as _, Importer, Measurements, SystemClock};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::history::SharedHistory;
use crate::alarm::{Alarms, HookRunner, Limits, Observation};
use crate::clock::monotonic;
use crate::forward::Status;
use crate::recorder::{Handle, Snapshot};

const INTERVAL: Duration = Duration::from_secs(1);
/// Interval of measurements that read the disk or the database.
const SLOW_INTERVAL: Duration = Duration::from_secs(10);
const THERMAL: &str = "/sys/class/thermal";

/// Results of the monitor. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Monitored(Arc<Mutex<Values>>);

#[derive(Debug, Default)]
struct Values {
    alarms: Vec<RaisedAlarm>,
    measured: Measurements,
}

impl Monitored {
    pub(super) fn alarms(&self) -> Vec<RaisedAlarm> {
        self.values().alarms.clone()
    }

    pub(super) fn measurements(&self) -> Measurements {
        self.values().measured.clone()
    }

    fn values(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Setup {
    pub(super) limits: Limits,
    pub(super) hook: Option<HookRunner>,
    pub(super) recorder: Handle,
    pub(super) history: SharedHistory,
    pub(super) importer: Importer,
    pub(super) folder: PathBuf,
    /// Bytes that stay free.
    pub(super) reserve_bytes: u64,
    /// State of the forwarder, if configured.
    pub(super) forwarding: Option<Status>,
    pub(super) monitored: Monitored,
}

/// Measures until the future is dropped.
pub(super) async fn run(setup: Setup) {
    let mut alarms = Alarms::new(setup.limits);
    let (send, slow) = watch::channel(SlowValues::default());
    let measurement = SlowMeasurement {
        recorder: setup.recorder.clone(),
        importer: setup.importer,
        folder: setup.folder,
        reserve_bytes: setup.reserve_bytes,
        is_forwarding: setup.forwarding.is_some(),
        waiting: WaitingFiles::default(),
    };
    // A disk that hangs must not delay the alarms.
    let mut measuring = JoinSet::new();
    measuring.spawn(measurement.run(send));
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let clock = SystemClock;
        let now = clock.monotonic();
        let snapshot = setup.recorder.snapshot();
        let slow = slow.borrow().clone();
        let lag = setup.forwarding.as_ref().map(|status| {
            let growing = growing_lag(&snapshot, &status.shown());
            let bytes = slow.waiting_bytes.saturating_add(growing.bytes);
            (slow.lag.max(growing.time), bytes)
        });
        let observed = Observation {
            wall_ms: clock.now_ms(),
            silent_for: monotonic().saturating_sub(setup.recorder.moved_at()),
            unforwarded_bytes: lag.map_or(0, |(_, bytes)| bytes),
            room_bytes: slow.room_bytes,
            lag: lag.map_or(Duration::ZERO, |(time, _)| time),
        };
        let transitions = alarms.observe(now, &observed);
        {
            let mut values = setup.monitored.values();
            values.alarms = alarms.raised().to_vec();
            values.measured = Measurements {
                fps: setup.history.measured_fps().unwrap_or_default(),
                written_bytes: snapshot.written.written_bytes,
                forward_lag_seconds: lag.map(|(time, _)| time.as_secs_f64()),
                forward_lag_bytes: lag.map(|(_, bytes)| bytes),
                temperatures: slow.temperatures,
            };
        }
        for transition in transitions {
            let (alarm, message) = (transition.alarm.alarm.name(), &transition.alarm.message);
            if transition.is_raised {
                tracing::error!(alarm, "{message}");
            } else {
                tracing::info!(alarm, "the alarm is over: {message}");
            }
            if let Some(hook) = &setup.hook {
                hook.report(&transition);
            }
        }
    }
}

/// Values that take reads of the disk or the database.
#[derive(Clone, Debug, Default)]
struct SlowValues {
    temperatures: Vec<(String, f64)>,
    room_bytes: Option<u64>,
    /// Size of the finished files that the central server has not confirmed.
    waiting_bytes: u64,
    /// Age of the oldest of them.
    lag: Duration,
}

/// Repeated measurement of [`SlowValues`].
struct SlowMeasurement {
    recorder: Handle,
    importer: Importer,
    folder: PathBuf,
    reserve_bytes: u64,
    is_forwarding: bool,
    waiting: WaitingFiles,
}

impl SlowMeasurement {
    async fn run(mut self, results: watch::Sender<SlowValues>) {
        loop {
            let before = results.borrow().clone();
            results.send_replace(self.measure(before).await);
            tokio::time::sleep(SLOW_INTERVAL).await;
        }
    }

    /// Measures; values that cannot be read stay as they were.
    async fn measure(&mut self, before: SlowValues) -> SlowValues {
        let names = match self.is_forwarding {
            true => self.importer.forward_pending().await.ok(),
            false => Some(HashSet::new()),
        };
        let (folder, reserve) = (self.folder.clone(), self.reserve_bytes);
        let threshold = self.importer.threshold_percent();
        let wall_ms = SystemClock.now_ms();
        let growing = self.recorder.snapshot().written.name;
        let reading = tokio::task::spawn_blocking(move || {
            let files = names.map(|names| {
                let names = names
                    .into_iter()
                    .filter(|name| Some(name) != growing.as_ref());
                names
                    .filter_map(|name| FileAge::read(&folder, name, wall_ms))
                    .collect::<Vec<_>>()
            });
            let room = room_bytes(&folder, reserve, threshold);
            (files, room, temperatures(Path::new(THERMAL)))
        });
        let Ok((files, room_bytes, temperatures)) = reading.await else {
            return before;
        };
        let (waiting_bytes, lag) = match files {
            Some(files) => self.waiting.update(SystemClock.monotonic(), files),
            None => (before.waiting_bytes, before.lag),
        };
        SlowValues {
            temperatures,
            room_bytes,
            waiting_bytes,
            lag,
        }
    }
}

/// Free bytes below the threshold and above the reserve; `None` if unknown.
fn room_bytes(folder: &Path, reserve: u64, threshold: Option<u8>) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let used = (disk.f_blocks.saturating_sub(disk.f_bfree)).saturating_mul(disk.f_frsize);
    let above_threshold = threshold.map_or(0, |percent| {
        let percent = u64::from(100_u8.saturating_sub(percent));
        (used.saturating_add(free) / 100).saturating_mul(percent)
    });
    Some(free.saturating_sub(above_threshold.max(reserve)))
}

/// Temperatures in degrees Celsius of the kernel's thermal zones, by type and number.
fn temperatures(folder: &Path) -> Vec<(String, f64)> {
    let zones = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut temperatures: Vec<(String, f64)> = zones
        .filter_map(|zone| {
            let name = zone.file_name();
            let number = name.to_str()?.strip_prefix("thermal_zone")?;
            let kind = std::fs::read_to_string(zone.path().join("type")).ok()?;
            let millidegrees = std::fs::read_to_string(zone.path().join("temp")).ok()?;
            let millidegrees: i32 = millidegrees.trim().parse().ok()?;
            let sensor = format!("{}/{number}", kind.trim());
            Some((sensor, f64::from(millidegrees) / 1000.0))
        })
        .collect();
    temperatures.sort_by(|a, b| a.0.cmp(&b.0));
    temperatures
}

/// File that the central server has not confirmed.
struct FileAge {
    name: String,
    bytes: u64,
    /// Time since its last change, by the wall clock.
    age: Duration,
}

impl FileAge {
    fn read(folder: &Path, name: String, wall_ms: i64) -> Option<Self> {
        let metadata = std::fs::symlink_metadata(folder.join(&name)).ok()?;
        let modified = metadata.modified().ok()?;
        let modified = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
        let now = Duration::from_millis(u64::try_from(wall_ms).ok()?);
        Some(Self {
            name,
            bytes: metadata.len(),
            age: now.saturating_sub(modified),
        })
    }
}

/// Ages of the waiting files. The wall clock counts only when a file is first seen: a jump later changes no age.
#[derive(Default)]
struct WaitingFiles {
    /// Monotonic time and age at which each file was first seen.
    first_seen: HashMap<String, (Duration, Duration)>,
}

impl WaitingFiles {
    /// Returns total size and the age of the oldest file.
    fn update(&mut self, now: Duration, files: Vec<FileAge>) -> (u64, Duration) {
        let mut seen = HashMap::with_capacity(files.len());
        let (mut bytes, mut oldest) = (0_u64, Duration::ZERO);
        for file in files {
            let known = self.first_seen.get(&file.name);
            let (at, age) = known.copied().unwrap_or((now, file.age));
            oldest = oldest.max(age.saturating_add(now.saturating_sub(at)));
            bytes = bytes.saturating_add(file.bytes);
            seen.insert(file.name, (at, age));
        }
        self.first_seen = seen;
        (bytes, oldest)
    }
}

/// Part of the growing file that the central server does not have.
struct GrowingLag {
    time: Duration,
    bytes: u64,
}

fn growing_lag(snapshot: &Snapshot, forwarding: &Forwarding) -> GrowingLag {
    let written = &snapshot.written;
    let Some(name) = &written.name else {
        return GrowingLag {
            time: Duration::ZERO,
            bytes: 0,
        };
    };
    let is_sent = forwarding.filename.as_ref() == Some(name);
    let sent = if is_sent { forwarding.sent_bytes } else { 0 };
    let bytes = written.size_bytes.saturating_sub(sent);
    // The rate of the file converts bytes to time.
    let ms = u128::from(bytes) * u128::from(written.duration_ms);
    let ms = ms
        .checked_div(u128::from(written.size_bytes))
        .unwrap_or_default();
    GrowingLag {
        time: Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX)),
        bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_jump_changes_no_age_of_known_file() {
        let file = |name: &str, age| FileAge {
            name: name.to_owned(),
            bytes: 10,
            age: Duration::from_secs(age),
        };
        let mut waiting = WaitingFiles::default();
        let at = Duration::from_secs;
        assert_eq!(waiting.update(at(100), vec![file("a", 5)]), (10, at(5)));
        let both = vec![file("a", 40_000_000), file("b", 0)];
        assert_eq!(waiting.update(at(110), both), (20, at(15)));
        assert_eq!(waiting.update(at(120), vec![file("b", 10)]), (10, at(10)));
        assert_eq!(waiting.first_seen.len(), 1);
    }

    #[test]
    fn temperatures_are_read_by_zone() {
        let folder = tempfile::tempdir().unwrap();
        for (zone, temp) in [
            ("thermal_zone0", "41500\n"),
            ("thermal_zone1", "x"),
            ("cooling_device0", "1"),
        ] {
            let zone = folder.path().join(zone);
            std::fs::create_dir(&zone).unwrap();
            std::fs::write(zone.join("type"), "cpu-thermal\n").unwrap();
            std::fs::write(zone.join("temp"), temp).unwrap();
        }
        let expected = vec![("cpu-thermal/0".to_owned(), 41.5)];
        assert_eq!(temperatures(folder.path()), expected);
        assert_eq!(temperatures(&folder.path().join("none")), []);
    }
}
