//! Metrics of an appliance's recorder: `sortie_capture_*`.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use sortie_api::{Appliance as State, ApplianceAlarm, RecorderState, SignalState};

use crate::appliance::Measurements;

type FloatGauge = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AlarmLabel {
    alarm: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Sensor {
    sensor: String,
}

/// Metrics of a recorder, set at each scrape. A value that is unknown is `NaN`, for which no alert fires.
#[derive(Default)]
pub(super) struct CaptureMetrics {
    signal: Gauge,
    fps: FloatGauge,
    dropped_frames: Counter,
    written: Counter,
    free: FloatGauge,
    hours_left: FloatGauge,
    temperature: Family<Sensor, FloatGauge>,
    lag_seconds: FloatGauge,
    lag_bytes: FloatGauge,
    state: Family<StateLabel, Gauge>,
    alarm: Family<AlarmLabel, Gauge>,
}

impl CaptureMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("capture");
        registry.register(
            "signal",
            "1 while the input has a steady signal",
            self.signal.clone(),
        );
        registry.register(
            "fps",
            "Frames per second delivered to the file in progress; 0 between files",
            self.fps.clone(),
        );
        registry.register(
            "dropped_frames",
            "Frames dropped because the encoder or the disk was too slow",
            self.dropped_frames.clone(),
        );
        registry.register_with_unit(
            "written",
            "Bytes of recordings made durable",
            Unit::Bytes,
            self.written.clone(),
        );
        registry.register_with_unit(
            "free",
            "Free space of the disk for recordings",
            Unit::Bytes,
            self.free.clone(),
        );
        registry.register(
            "hours_left",
            "Hours of recording that fit into the free space",
            self.hours_left.clone(),
        );
        registry.register_with_unit(
            "temperature",
            "Temperature by sensor",
            Unit::Celsius,
            self.temperature.clone(),
        );
        registry.register_with_unit(
            "forward_lag",
            "Age of the oldest recorded data that the central server does not have",
            Unit::Seconds,
            self.lag_seconds.clone(),
        );
        registry.register_with_unit(
            "forward_lag",
            "Recorded bytes that the central server does not have",
            Unit::Bytes,
            self.lag_bytes.clone(),
        );
        registry.register(
            "state",
            "1 for the current state of the recorder",
            self.state.clone(),
        );
        registry.register(
            "alarm",
            "1 for each alarm that is raised",
            self.alarm.clone(),
        );
    }

    pub(super) fn set(&self, state: &State, measured: &Measurements) {
        let is_steady = state.signal.state == SignalState::Steady;
        self.signal.set(i64::from(is_steady));
        self.fps.set(measured.fps);
        let counted = |counter: &Counter, value| counter.inner().store(value, Ordering::Relaxed);
        counted(&self.dropped_frames, state.dropped_frames);
        counted(&self.written, measured.written_bytes);
        #[expect(clippy::cast_precision_loss, reason = "sizes of disks")]
        let bytes = |bytes: Option<u64>| bytes.map_or(f64::NAN, |bytes| bytes as f64);
        self.free
            .set(bytes(state.space.map(|space| space.free_bytes)));
        let hours_left = state.space.map_or(f64::NAN, |space| space.hours_left);
        self.hours_left.set(hours_left);
        let lag_seconds = measured.forward_lag_seconds.unwrap_or(f64::NAN);
        self.lag_seconds.set(lag_seconds);
        self.lag_bytes.set(bytes(measured.forward_lag_bytes));
        self.temperature.clear();
        for (sensor, celsius) in &measured.temperatures {
            let sensor = Sensor {
                sensor: sensor.clone(),
            };
            self.temperature.get_or_create(&sensor).set(*celsius);
        }
        for (name, recorder) in [
            ("idle", RecorderState::Idle),
            ("waiting", RecorderState::Waiting),
            ("recording", RecorderState::Recording),
        ] {
            let gauge = self.state.get_or_create(&StateLabel { state: name });
            gauge.set(i64::from(state.recorder == recorder));
        }
        for alarm in ApplianceAlarm::ALL {
            let is_raised = state.alarms.iter().any(|raised| raised.alarm == alarm);
            let label = AlarmLabel {
                alarm: alarm.name(),
            };
            self.alarm.get_or_create(&label).set(i64::from(is_raised));
        }
    }
}
