//! Recorder as the server's appliance.

use std::collections::HashSet;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use sortie_api::{
    Appliance as State, GrowingFile, InputSignal, OtherFiles, RecorderState, Schedule,
    ScheduleStatus, SignalState,
};
use sortie_server::{Appliance, GrowingRecording, LivePicture, Measurements, SignalHistory};

use super::history::SharedHistory;
use super::importer::BegunFiles;
use super::monitor::Monitored;
use super::other_files;
use super::problem_advice::advice;
use super::schedule::AutoRecord;
use crate::clock::monotonic;
use crate::forward::Status;
use crate::recorder::{Handle, Snapshot};
use crate::signal::{Reading, Signal};
use crate::writer::GROWING;

/// Expected rate at 1080p, without a measurement: 500 MB per hour.
const USUAL_BYTES_PER_SECOND: u64 = 500_000_000 / 3600;
/// Duration from which the measured rate is representative, in ms.
const TELLING_MS: u64 = 30_000;

pub(super) struct RecorderAppliance {
    pub(super) recorder: Handle,
    pub(super) auto_record: AutoRecord,
    /// State of the forwarder, if configured.
    pub(super) forwarding: Option<Status>,
    pub(super) begun: BegunFiles,
    pub(super) history: SharedHistory,
    pub(super) host: Option<String>,
    /// Folder for recordings, which may contain other files.
    pub(super) folder: PathBuf,
    /// Bytes that stay free.
    pub(super) reserve_bytes: u64,
    pub(super) monitored: Monitored,
}

impl Appliance for RecorderAppliance {
    fn state(&self) -> State {
        let test_source = self.recorder.test_input().is_some();
        let snapshot = self.recorder.snapshot();
        if let Some(forwarding) = &self.forwarding {
            // An upload that waits for the network keeps the forwarder from noticing that its recording is finished.
            let growing = u64::from(snapshot.written.name.is_some());
            let is_behind = forwarding.shown().waiting > growing;
            forwarding.set_behind(is_behind, jiff::Timestamp::now());
        }
        let mut state = State {
            forwarding: self.forwarding.as_ref().map(Status::shown),
            host: self.host.clone(),
            measured_fps: self.history.measured_fps(),
            dropped_last_minute: self.history.dropped_last_minute(),
            alarms: self.monitored.alarms(),
            // The recorder's own state is off outside of the schedule's windows.
            auto_record: self.auto_record.is_on(),
            schedule: self.auto_record.applied_status(),
            ..shown(&snapshot, test_source)
        };
        if let Some(file) = &mut state.file
            && let Some(begun) = self.begun.get(&file.filename)
        {
            file.session_id = Some(begun.session);
            file.recording_id = Some(begun.id);
        }
        state
    }

    fn bytes_per_second(&self) -> u64 {
        let written = self.recorder.snapshot().written;
        if written.duration_ms < TELLING_MS {
            return USUAL_BYTES_PER_SECOND;
        }
        written.size_bytes.saturating_mul(1000) / written.duration_ms
    }

    fn start(&self) -> Result<(), String> {
        self.recorder
            .begin()
            .map_err(|error| format!("Recording needs a video signal, and there is {}.", error.0))
    }

    fn stop(&self) {
        self.recorder.stop();
    }

    fn set_auto_record(&self, on: bool) {
        self.auto_record.set_on(on);
    }

    fn has_time_zone(&self, name: &str) -> bool {
        TimeZone::get(name).is_ok()
    }

    fn set_schedule(&self, schedule: &Schedule, earliest_ms: i64) {
        self.auto_record.set_schedule(schedule, earliest_ms);
    }

    fn schedule(&self) -> ScheduleStatus {
        self.auto_record.status()
    }

    fn switch_signal(&self, state: SignalState) -> bool {
        let Some(input) = self.recorder.test_input() else {
            return false;
        };
        input.switch(match state {
            SignalState::NoDevice | SignalState::NoSignal => Reading::NoSignal,
            SignalState::NoLock => Reading::NoLock,
            SignalState::Unsupported => Reading::Unsupported,
            SignalState::Steady => Reading::Locked(input.mode()),
        });
        true
    }

    fn other_files(&self, known: &HashSet<String>) -> OtherFiles {
        other_files::list(&self.folder, known)
    }

    fn measurements(&self) -> Measurements {
        self.monitored.measurements()
    }

    fn picture(&self) -> &LivePicture {
        self.recorder.picture()
    }

    fn growing(&self) -> Option<GrowingRecording> {
        let begun = self.begun.newest()?;
        let written = self.recorder.snapshot().written;
        let is_growing = written.name.as_ref() == Some(&begun.name);
        Some(GrowingRecording {
            id: begun.id,
            growing_name: format!("{}{GROWING}", begun.name),
            name: begun.name,
            session: begun.session,
            created_ms: begun.begun_ms,
            duration_ms: if is_growing { written.duration_ms } else { 0 },
            size_bytes: if is_growing { written.size_bytes } else { 0 },
            is_growing,
        })
    }

    fn signal_history(&self, now_ms: i64) -> SignalHistory {
        self.history.history(monotonic(), now_ms)
    }

    fn reserve_bytes(&self) -> u64 {
        self.reserve_bytes
    }
}

fn shown(snapshot: &Snapshot, test_source: bool) -> State {
    let (written, problem) = (&snapshot.written, snapshot.problem.as_ref());
    let running_ms = written.name.as_ref().map_or(0, |_| written.duration_ms);
    State {
        host: None,
        device: snapshot.device.clone(),
        signal: signal(snapshot.signal),
        recorder: match (snapshot.recording, snapshot.wanted) {
            (true, _) => RecorderState::Recording,
            (false, true) => RecorderState::Waiting,
            (false, false) => RecorderState::Idle,
        },
        duration_seconds: seconds(snapshot.session_ms + running_ms),
        file: written.name.as_ref().map(|name| GrowingFile {
            filename: name.clone(),
            session_id: None,
            recording_id: None,
            duration_seconds: seconds(written.duration_ms),
            size_bytes: written.size_bytes,
        }),
        problem: problem.map(|problem| problem.words.clone()),
        problem_code: problem.map(|problem| problem.code),
        advice: problem
            .and_then(|problem| advice(problem.code))
            .map(ToOwned::to_owned),
        dropped_frames: snapshot.dropped,
        dropped_by_disk: snapshot.dropped_by_disk,
        dropped_last_minute: 0,
        measured_fps: None,
        encoder: snapshot.encoder.map(ToOwned::to_owned),
        auto_record: snapshot.auto,
        schedule: None,
        threshold_percent: None,
        space: None,
        forwarding: None,
        alarms: Vec::new(),
        test_source,
    }
}

fn signal(signal: Signal) -> InputSignal {
    let state = match signal {
        Signal::NoDevice => SignalState::NoDevice,
        Signal::NoSignal => SignalState::NoSignal,
        Signal::NoLock => SignalState::NoLock,
        Signal::Unsupported => SignalState::Unsupported,
        Signal::Steady(_) => SignalState::Steady,
    };
    let mode = match signal {
        Signal::Steady(mode) => Some(mode),
        _ => None,
    };
    InputSignal {
        state,
        width: mode.map(|mode| mode.width),
        height: mode.map(|mode| mode.height),
        fps: mode.map(|mode| f64::from(mode.fps.millihertz()) / 1000.0),
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact below 285,000 years")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
