//! Recorder as the server's appliance.

use std::sync::PoisonError;

use sortie_api::{Appliance as State, GrowingFile, InputSignal, RecorderState, SignalState};
use sortie_server::{Appliance, LivePicture};

use super::importer::CurrentFile;
use super::problem_advice::advice;
use crate::forward::Status;
use crate::recorder::{Handle, Snapshot};
use crate::signal::{Reading, Signal};

/// Expected rate at 1080p, without a measurement: 500 MB per hour.
const USUAL_BYTES_PER_SECOND: u64 = 500_000_000 / 3600;
/// Duration from which the measured rate is representative, in ms.
const TELLING_MS: u64 = 30_000;

pub(super) struct RecorderAppliance {
    pub(super) recorder: Handle,
    /// State of the forwarder, if configured.
    pub(super) forwarding: Option<Status>,
    /// Session of the file in progress.
    pub(super) begun: CurrentFile,
}

impl Appliance for RecorderAppliance {
    fn state(&self) -> State {
        let test_source = self.recorder.test_input().is_some();
        let mut state = State {
            forwarding: self.forwarding.as_ref().map(Status::shown),
            ..shown(&self.recorder.snapshot(), test_source)
        };
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(file), Some((name, session))) = (&mut state.file, &*begun)
            && file.filename == *name
        {
            file.session_id = Some(session.clone());
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
        self.recorder.set_auto(on);
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

    fn picture(&self) -> &LivePicture {
        self.recorder.picture()
    }
}

fn shown(snapshot: &Snapshot, test_source: bool) -> State {
    let (written, problem) = (&snapshot.written, snapshot.problem.as_ref());
    let running_ms = written.name.as_ref().map_or(0, |_| written.duration_ms);
    State {
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
        encoder: snapshot.encoder.map(ToOwned::to_owned),
        auto_record: snapshot.auto,
        threshold_percent: None,
        space: None,
        forwarding: None,
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
