//! The message with the recorder's state.

use serde_json::{Map, Value, json};
use sortie_api::{Appliance, ApplianceAlarm, RecorderState};
use sortie_server::Measurements;

use crate::recorder::Cause;

/// State of the recorder as fields of a JSON object.
#[derive(Debug, PartialEq)]
pub(super) struct StateMessage {
    /// Values that are published as soon as they change.
    pub(super) facts: Map<String, Value>,
    /// Values that change all the time.
    pub(super) figures: Map<String, Value>,
}

/// Text of a switch or binary sensor.
pub(super) const fn on_off(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

impl StateMessage {
    pub(super) fn new(state: &Appliance, measured: &Measurements, cause: Option<Cause>) -> Self {
        let is_recording = state.recorder == RecorderState::Recording;
        let cause = cause.filter(|_| is_recording).map(|cause| match cause {
            Cause::Hand => "manual",
            Cause::Signal => "automatic",
        });
        let mut alarms = Map::new();
        let mut details = Map::new();
        for alarm in ApplianceAlarm::ALL {
            let raised = state.alarms.iter().find(|it| it.alarm == alarm);
            alarms.insert(alarm.name().to_owned(), on_off(raised.is_some()).into());
            let detail = raised.map(|it| json!({"message": it.message, "advice": it.advice}));
            details.insert(alarm.name().to_owned(), detail.unwrap_or_else(|| json!({})));
        }
        let signal = &state.signal;
        let size = signal.width.zip(signal.height);
        let facts = [
            ("recording", json!(on_off(is_recording))),
            ("recorder", json!(state.recorder)),
            ("cause", json!(cause)),
            (
                "file",
                json!(state.file.as_ref().map(|file| &file.filename)),
            ),
            ("auto_record", json!(on_off(state.auto_record))),
            ("armed", json!(on_off(state.is_armed()))),
            ("signal", json!(signal.state)),
            (
                "resolution",
                json!(size.map(|(width, height)| format!("{width}x{height}"))),
            ),
            ("input_fps", json!(signal.fps)),
            ("problem", json!(on_off(state.problem.is_some()))),
            (
                "problem_detail",
                json!({"message": state.problem, "advice": state.advice}),
            ),
            ("alarms", Value::Object(alarms)),
            ("alarm_details", Value::Object(details)),
        ];
        let space = state.space.as_ref();
        let figures = [
            ("fps", json!(state.measured_fps.map(tenths))),
            ("dropped_frames", json!(state.dropped_frames)),
            ("duration_seconds", json!(state.duration_seconds.floor())),
            ("free_bytes", json!(space.map(|space| space.free_bytes))),
            (
                "hours_left",
                json!(space.map(|space| tenths(space.hours_left))),
            ),
            (
                "forward_lag_seconds",
                json!(measured.forward_lag_seconds.map(f64::round)),
            ),
            ("forward_lag_bytes", json!(measured.forward_lag_bytes)),
        ];
        let object = |fields: &[(&str, Value)]| {
            let fields = fields.iter().cloned();
            fields
                .map(|(name, value)| (name.to_owned(), value))
                .collect()
        };
        Self {
            facts: object(&facts),
            figures: object(&figures),
        }
    }

    pub(super) fn is_recording(&self) -> bool {
        self.facts["recording"] == on_off(true)
    }

    pub(super) fn has_signal(&self) -> bool {
        self.facts["signal"] == "steady"
    }

    pub(super) fn json(&self) -> String {
        let fields = self.facts.iter().chain(&self.figures);
        let fields = fields.map(|(name, value)| (name.clone(), value.clone()));
        Value::Object(fields.collect()).to_string()
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
