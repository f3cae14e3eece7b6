//! Prometheus metrics (OpenMetrics 1.0).

mod capture;
mod process;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use sortie_api::{Amount, Appliance as ApplianceState};
use tokio::time::Instant;

use self::capture::CaptureMetrics;
use self::process::ProcessMetrics;
use crate::appliance::Measurements;

/// Buckets in seconds, from a fast disk to a slow object store.
const ACKNOWLEDGED: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
/// Buckets in seconds of the time to the head of an answer.
const ANSWERED: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];

/// Prefix of all metrics but those of the process.
const PREFIX: &str = "sortie";

/// Labels of an answer. Each has a fixed set of values, so that requests with unknown paths cannot create series.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answer {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Code {
    code: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Status {
    status: String,
}

/// Number and total size of the recordings of one status.
pub(crate) struct Total {
    pub(crate) status: String,
    pub(crate) recordings: i64,
    pub(crate) bytes: i64,
}

/// Registry with the server's metrics.
pub(crate) struct Metrics {
    registry: Registry,
    answers: Family<Answer, Counter>,
    seconds: Family<Route, Histogram>,
    problems: Family<Code, Counter>,
    received: Counter,
    acknowledged: Histogram,
    retention_deletions: Counter,
    recordings: Family<Status, Gauge>,
    bytes: Family<Status, Gauge>,
    recorder_problem: Family<Code, Gauge>,
    unforwarded: Gauge,
    unforwarded_bytes: Gauge,
    uploads_open: Gauge,
    free: Gauge,
    index_memory: Gauge,
    recording_missing: Counter,
    recording_resumed: Counter,
    sessions_missing: Gauge,
    appliance_pictures: Counter,
    capture: CaptureMetrics,
    process: ProcessMetrics,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut root = Registry::default();
        let process = ProcessMetrics::default();
        process.register(&mut root);
        let registry = root.sub_registry_with_prefix(PREFIX);
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running program", version);
        let metrics = Self {
            answers: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(ANSWERED)),
            problems: Family::default(),
            received: Counter::default(),
            acknowledged: Histogram::new(ACKNOWLEDGED),
            retention_deletions: Counter::default(),
            recordings: Family::default(),
            bytes: Family::default(),
            recorder_problem: Family::default(),
            unforwarded: Gauge::default(),
            unforwarded_bytes: Gauge::default(),
            uploads_open: Gauge::default(),
            free: Gauge::default(),
            index_memory: Gauge::default(),
            recording_missing: Counter::default(),
            recording_resumed: Counter::default(),
            sessions_missing: Gauge::default(),
            appliance_pictures: Counter::default(),
            capture: CaptureMetrics::default(),
            process,
            registry: Registry::default(),
        };
        registry.register(
            "http_answers",
            "Requests answered, by route template",
            metrics.answers.clone(),
        );
        registry.register_with_unit(
            "http_answer",
            "Time until an answer's head is sent",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register(
            "problems",
            "Errors, by problem code",
            metrics.problems.clone(),
        );
        registry.register_with_unit(
            "upload_received",
            "Bytes of recordings received",
            Unit::Bytes,
            metrics.received.clone(),
        );
        registry.register_with_unit(
            "upload_acknowledgement",
            "Time from the last byte of a request to its acknowledgement, when it is durable",
            Unit::Seconds,
            metrics.acknowledged.clone(),
        );
        registry.register(
            "retention_deletions",
            "Recordings deleted by retention and clean-up",
            metrics.retention_deletions.clone(),
        );
        registry.register(
            "recordings",
            "Recordings in the database, by status",
            metrics.recordings.clone(),
        );
        registry.register_with_unit(
            "storage_used",
            "Size of recordings, by status",
            Unit::Bytes,
            metrics.bytes.clone(),
        );
        registry.register(
            "uploads_open",
            "Recordings being received",
            metrics.uploads_open.clone(),
        );
        registry.register(
            "recording_missing",
            "Reports by this server that the required recording of a session is missing",
            metrics.recording_missing.clone(),
        );
        registry.register(
            "recording_resumed",
            "Reports by this server that the required recording of a session is back",
            metrics.recording_resumed.clone(),
        );
        registry.register(
            "sessions_recording_missing",
            "Running sessions whose required recording is missing",
            metrics.sessions_missing.clone(),
        );
        registry.register_with_unit(
            "index_memory",
            "Memory of the indexes of recordings being received",
            Unit::Bytes,
            metrics.index_memory.clone(),
        );
        registry.register_with_unit(
            "storage_free",
            "Free space of the local disk for recordings or staged tails; -1 if unknown",
            Unit::Bytes,
            metrics.free.clone(),
        );
        Self {
            registry: root,
            ..metrics
        }
    }

    /// Adds the metrics of an appliance.
    pub(crate) fn with_appliance(mut self) -> Self {
        let registry = self.registry.sub_registry_with_prefix(PREFIX);
        self.capture.register(registry);
        registry.register(
            "recorder_problem",
            "1 for the reason that prevents recording, or for the recorder's last error",
            self.recorder_problem.clone(),
        );
        registry.register(
            "recordings_unforwarded",
            "Recordings that the central server has not confirmed",
            self.unforwarded.clone(),
        );
        registry.register_with_unit(
            "storage_unforwarded",
            "Size of recordings that the central server has not confirmed",
            Unit::Bytes,
            self.unforwarded_bytes.clone(),
        );
        registry.register(
            "appliance_pictures",
            "Frames encoded for the live picture",
            self.appliance_pictures.clone(),
        );
        self
    }

    /// Sets the metrics of an appliance: the code of its recorder's problem, what the central server has not confirmed, and
    /// the number of frames encoded for the live picture.
    pub(crate) fn appliance(&self, problem: Option<String>, unforwarded: Amount, pictures: u64) {
        let value = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        // A problem that is over must not keep its series.
        self.recorder_problem.clear();
        if let Some(code) = problem {
            self.recorder_problem.get_or_create(&Code { code }).set(1);
        }
        self.unforwarded.set(value(unforwarded.count));
        self.unforwarded_bytes.set(value(unforwarded.bytes));
        self.appliance_pictures
            .inner()
            .store(pictures, Ordering::Relaxed);
    }

    /// Sets the metrics of an appliance's recorder.
    pub(crate) fn capture(&self, state: &ApplianceState, measured: &Measurements) {
        self.capture.set(state, measured);
    }

    /// Counts an answer. `route` is the template, not the path.
    pub(crate) fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let route = route.to_owned();
        self.seconds
            .get_or_create(&Route {
                route: route.clone(),
            })
            .observe(took.as_secs_f64());
        self.answers
            .get_or_create(&Answer {
                method,
                route,
                status,
            })
            .inc();
    }

    /// Counts a report that a required recording is missing.
    pub(crate) fn recording_missing(&self) {
        self.recording_missing.inc();
    }

    /// Counts a report that a required recording is back.
    pub(crate) fn recording_resumed(&self) {
        self.recording_resumed.inc();
    }

    /// Sets the number of running sessions whose required recording is missing.
    pub(crate) fn sessions_missing(&self, sessions: usize) {
        self.sessions_missing
            .set(i64::try_from(sessions).unwrap_or(i64::MAX));
    }

    /// Counts an error by its problem code.
    pub(crate) fn refused(&self, code: String) {
        self.problems.get_or_create(&Code { code }).inc();
    }

    /// Counts received bytes of recordings.
    pub(crate) fn received(&self, bytes: u64) {
        self.received.inc_by(bytes);
    }

    /// Records the time from the last byte of a request to its acknowledgement.
    pub(crate) fn acknowledged(&self, took: Duration) {
        self.acknowledged.observe(took.as_secs_f64());
    }

    /// Sets the memory of the indexes of open recordings.
    pub(crate) fn index_memory(&self, bytes: u64) {
        self.index_memory
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Counter of recordings deleted by retention or clean-up.
    pub(crate) fn retention_deletions(&self) -> Counter {
        self.retention_deletions.clone()
    }

    /// Encodes all metrics in the OpenMetrics format.
    pub(crate) fn text(&self, totals: &[Total], free: Option<u64>) -> Result<String, fmt::Error> {
        // A status without recordings must not keep its old value.
        self.recordings.clear();
        self.bytes.clear();
        for total in totals {
            let status = Status {
                status: total.status.clone(),
            };
            self.recordings.get_or_create(&status).set(total.recordings);
            self.bytes.get_or_create(&status).set(total.bytes);
        }
        let open = totals
            .iter()
            .filter(|total| matches!(total.status.as_str(), "recording" | "uploading"));
        self.uploads_open
            .set(open.map(|total| total.recordings).sum());
        self.free
            .set(free.map_or(-1, |free| i64::try_from(free).unwrap_or(i64::MAX)));
        self.process.update();
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Measures one request body: counts its bytes, and the time from the last byte to the acknowledgement.
pub(crate) struct BodyMetrics {
    metrics: Arc<Metrics>,
    begun: Instant,
    /// Microseconds from `begun` to the last bytes.
    last: Arc<AtomicU64>,
}

impl BodyMetrics {
    pub(crate) fn over<E>(
        metrics: Arc<Metrics>,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> (Self, impl Stream<Item = Result<Bytes, E>>) {
        let measured = Self {
            metrics: Arc::clone(&metrics),
            begun: Instant::now(),
            last: Arc::default(),
        };
        let (begun, last) = (measured.begun, Arc::clone(&measured.last));
        let body = body.inspect(move |item| {
            if let Ok(bytes) = item {
                metrics.received(bytes.len() as u64);
                let passed = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                last.store(passed, Ordering::Relaxed);
            }
        });
        (measured, body)
    }

    /// Records the acknowledgement: the bytes are durable.
    pub(crate) fn acknowledged(self) {
        let last = Duration::from_micros(self.last.load(Ordering::Relaxed));
        self.metrics
            .acknowledged(self.begun.elapsed().saturating_sub(last));
    }
}
