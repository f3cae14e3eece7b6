//! Signal of the recorded source.

use std::time::Duration;

use super::Setup;
use super::preview::Preview;
use super::signal_probe::SignalProbe;
use super::source_adapter::{CaptureStats, SourceAdapter};
use crate::clock::monotonic;
use crate::pipeline::{Notice, Running};
use crate::problem::Problem;
use crate::signal::{self, Mode, Monitor, Picture, Signal};
use crate::source::{Capture, Delivery, SourceError, TestInput};

/// Reason why a source that delivers H.264 has no live picture.
pub(super) const ENCODED: &str =
    "the capture device delivers H.264, whose frames would have to be decoded";

/// Device adapter, debouncing monitor, the probe that replaces a recording while a grabber has no signal, and the preview
/// that replaces it while only the live picture is watched. At most one of the three captures.
pub(super) struct SignalSource {
    adapter: SourceAdapter,
    monitor: Monitor,
    probe: SignalProbe,
    preview: Preview,
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
            preview: Preview::default(),
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
        let idle = || self.probe.running().or_else(|| self.preview.running());
        let stats = recording.or_else(idle);
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
        if is_needed {
            // The device serves only one program at a time.
            self.preview.release();
        }
        let adapter = &self.adapter;
        self.probe.update(now, is_needed, || {
            let (capture, mode) = adapter.open().map_err(|error| Problem::from(&error))?;
            start(capture, mode)
        });
    }

    /// Keeps the preview running for a while, as soon as nothing is recorded.
    pub(super) fn request_preview(&mut self, now: Duration) {
        self.preview.request(now);
    }

    /// Runs the preview while it is requested, there is a signal and nothing is recorded.
    pub(super) fn update_preview(
        &mut self,
        now: Duration,
        is_recording: bool,
        start: impl FnOnce(&Capture, Mode) -> Result<Running, Problem>,
    ) {
        let idle = match self.monitor.signal() {
            Signal::Steady(mode) if !is_recording => Some(mode),
            _ => None,
        };
        let adapter = &self.adapter;
        let mut started = None;
        self.preview.update(now, idle, || {
            let (capture, mode) = adapter.open().map_err(|error| Problem::from(&error))?;
            if capture.delivery() == Delivery::H264 {
                return Err(Problem::other(ENCODED));
            }
            let running = start(&capture, mode)?;
            started = Some(mode);
            Ok(running)
        });
        if let Some(mode) = started {
            // As for a recording: the stream takes a while to start.
            let starting = signal::Input::Starting;
            self.monitor.handle_input(monotonic(), starting);
            self.started(mode);
        }
    }

    /// Reason why the preview does not run.
    pub(super) fn preview_problem(&self) -> Option<&Problem> {
        self.preview.problem()
    }

    /// Handles a notice of the running probe or preview; `false` if none runs.
    pub(super) fn fail_idle(&mut self, notice: &Notice) -> bool {
        let problem = match notice {
            Notice::Broken { reason, .. } => reason.clone(),
            Notice::Ended => Problem::other("the source has ended"),
        };
        let now = monotonic();
        self.probe.fail(now) || self.preview.fail(now, problem)
    }

    /// Opens the source for a recording. Probe and preview release the device first.
    pub(super) fn open(&mut self) -> Result<(Capture, Mode), SourceError> {
        self.adapter.open()
    }

    /// Releases the device for a recording that is about to start, so that the recording misses no frame.
    pub(super) fn prepare_start(&mut self) {
        self.probe.release();
        self.preview.release();
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
