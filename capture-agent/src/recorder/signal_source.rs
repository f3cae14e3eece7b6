//! Signal of the recorded source.

use std::time::Duration;

use super::Setup;
use super::signal_probe::SignalProbe;
use super::source_adapter::{CaptureStats, SourceAdapter};
use crate::clock::monotonic;
use crate::pipeline::Running;
use crate::problem::Problem;
use crate::signal::{self, Mode, Monitor, Picture, Signal};
use crate::source::{Capture, SourceError, TestInput};

/// Device adapter, debouncing monitor, and the probe that replaces a recording while a grabber has no signal.
pub(super) struct SignalSource {
    adapter: SourceAdapter,
    monitor: Monitor,
    probe: SignalProbe,
}

impl SignalSource {
    pub(super) fn new(setup: &Setup, test: Option<TestInput>) -> Self {
        let config = signal::Config {
            // With the debounce, half a second passes between a signal and its pipeline, whether or not the driver
            // announces changes.
            query_interval: Duration::from_millis(200),
            check_interval: Duration::from_secs(1),
            ..signal::Config::default()
        };
        Self {
            adapter: SourceAdapter::new(&setup.source, setup.mode, test),
            monitor: Monitor::new(config),
            probe: SignalProbe::default(),
        }
    }

    /// Name of the capture device.
    pub(super) fn device(&self) -> Option<&str> {
        self.adapter.device()
    }

    /// Reason why the device cannot be opened or probed.
    pub(super) fn problem(&self) -> Option<&Problem> {
        self.adapter.problem().or_else(|| self.probe.problem())
    }

    /// Polls the device and reports each change of the signal. `recording` has the frames of a recording in progress.
    pub(super) fn poll(
        &mut self,
        now: Duration,
        recording: Option<&Running>,
        mut on_change: impl FnMut(Signal),
    ) {
        let stats = recording.or_else(|| self.probe.running());
        let stats = stats.map(|running| CaptureStats {
            frames: running.frames(),
            picture: running.picture(),
        });
        if let Some(input) = self.adapter.poll(now, stats, self.monitor.signal()) {
            self.monitor.handle_input(now, input);
        }
        self.monitor.handle_timeout(now);
        while let Some(output) = self.monitor.poll_output() {
            match output {
                signal::Output::Query => {
                    if let Some(input) = self.adapter.query() {
                        self.monitor.handle_input(monotonic(), input);
                    }
                }
                signal::Output::Changed { to, .. } => on_change(to),
            }
        }
    }

    /// Runs the probe while a grabber has no signal and nothing is recorded.
    pub(super) fn update_probe(
        &mut self,
        now: Duration,
        is_recording: bool,
        start: impl FnOnce(Capture, Mode) -> Result<Running, Problem>,
    ) {
        let has_no_signal = self.monitor.signal() == Signal::NoSignal;
        let is_needed = !is_recording && has_no_signal && self.adapter.is_grabber();
        let adapter = &self.adapter;
        self.probe.update(now, is_needed, || {
            let (capture, mode) = adapter.open().map_err(|error| Problem::from(&error))?;
            start(capture, mode)
        });
    }

    /// Handles a failure of the running probe; `false` if none runs.
    pub(super) fn fail_probe(&mut self) -> bool {
        self.probe.fail(monotonic())
    }

    /// Opens the source for a recording. The probe releases the device first.
    pub(super) fn open(&mut self) -> Result<(Capture, Mode), SourceError> {
        self.adapter.open()
    }

    /// Releases the device for a recording that is about to start, so that the recording misses no frame.
    pub(super) fn prepare_start(&mut self) {
        self.probe.release();
        self.monitor
            .handle_input(monotonic(), signal::Input::Starting);
    }

    /// Expects frames of this mode from now on.
    pub(super) fn started(&mut self, mode: Mode) {
        let picture = Picture::Content;
        let input = signal::Input::Frame { mode, picture };
        self.monitor.handle_input(monotonic(), input);
    }

    /// Queries the signal again: the pipeline receives another signal than it was started for.
    pub(super) fn source_changed(&mut self) {
        self.monitor
            .handle_input(monotonic(), signal::Input::SourceChange);
    }
}
