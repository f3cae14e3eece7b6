//! Home Assistant's discovery: one message that describes the device with all its entities (Home Assistant 2024.11 and
//! later).

use serde_json::{Map, Value, json};
use sortie_api::ApplianceAlarm;

use super::session::{AUTO_RECORD, PICTURE, RECORDING};
use super::state::on_off;
use super::topics::Device;

/// Returns the payload of the discovery message.
pub(super) fn message(device: &Device) -> Value {
    let unique = format!("sortie_{}", device.id);
    let mut components = Map::new();
    for (key, mut component) in components_of(device) {
        // A component with nothing but its platform is removed from an earlier message.
        if component.as_object().is_some_and(|it| it.len() > 1) {
            component["unique_id"] = json!(format!("{unique}_{key}"));
        }
        components.insert(key, component);
    }
    json!({
        "device": {
            "identifiers": [unique],
            "name": device.name,
            "manufacturer": "Sortie Recording",
            "model": "Capture agent",
            "sw_version": env!("CARGO_PKG_VERSION"),
        },
        "origin": {
            "name": "sortie-capture-agent",
            "sw_version": env!("CARGO_PKG_VERSION"),
        },
        "availability_topic": device.availability(),
        "qos": 1,
        "components": components,
    })
}

fn components_of(device: &Device) -> Vec<(String, Value)> {
    let state = device.state();
    let switch = |key: &str, name, icon, command| {
        json!({
            "platform": "switch",
            "name": name,
            "icon": icon,
            "state_topic": state,
            "value_template": format!("{{{{ value_json.{key} }}}}"),
            "command_topic": device.command(command),
        })
    };
    let sensor = |key: &str, name: &str, more: Value| {
        let mut sensor = json!({
            "platform": "sensor",
            "name": name,
            "state_topic": state,
            "value_template": format!("{{{{ value_json.{key} }}}}"),
        });
        for (option, value) in more.as_object().into_iter().flatten() {
            sensor[option] = value.clone();
        }
        sensor
    };
    let problem = |name: &str, value: String, details: String| {
        json!({
            "platform": "binary_sensor",
            "name": name,
            "device_class": "problem",
            "state_topic": state,
            "value_template": format!("{{{{ {value} }}}}"),
            "json_attributes_topic": state,
            "json_attributes_template": format!("{{{{ {details} | tojson }}}}"),
        })
    };
    let mut auto_record = switch(
        "auto_record",
        "Auto-record",
        "mdi:record-circle-outline",
        AUTO_RECORD,
    );
    auto_record["entity_category"] = json!("config");
    let picture = if device.pictures {
        json!({
            "platform": "image",
            "name": "Picture",
            "image_topic": device.picture(),
            "content_type": "image/jpeg",
        })
    } else {
        json!({"platform": "image"})
    };
    let picture_now = if device.pictures {
        json!({
            "platform": "button",
            "name": "Take picture",
            "icon": "mdi:camera",
            "command_topic": device.command(PICTURE),
        })
    } else {
        json!({"platform": "button"})
    };
    let mut components = vec![
        (
            "recording",
            switch("recording", "Recording", "mdi:record-rec", RECORDING),
        ),
        (
            "stop",
            // A recording that waits for a signal is stopped, too; the switch is off then.
            json!({
                "platform": "button",
                "name": "Stop recording",
                "icon": "mdi:stop",
                "command_topic": device.command(RECORDING),
                "payload_press": on_off(false),
            }),
        ),
        ("auto_record", auto_record),
        (
            "armed",
            json!({
                "platform": "binary_sensor",
                "name": "Auto-record armed",
                "state_topic": state,
                "value_template": "{{ value_json.armed }}",
            }),
        ),
        ("picture", picture),
        ("take_picture", picture_now),
        (
            "recorder",
            sensor(
                "recorder",
                "Recorder",
                json!({"device_class": "enum", "options": ["idle", "waiting", "recording"]}),
            ),
        ),
        (
            "cause",
            sensor(
                "cause",
                "Cause",
                json!({"device_class": "enum", "options": ["manual", "automatic"]}),
            ),
        ),
        (
            "signal",
            sensor(
                "signal",
                "Signal",
                json!({
                    "device_class": "enum",
                    "options": ["no_device", "no_signal", "no_lock", "unsupported", "steady"],
                }),
            ),
        ),
        (
            "resolution",
            sensor("resolution", "Resolution", json!({"icon": "mdi:monitor"})),
        ),
        (
            "fps",
            sensor(
                "fps",
                "Frame rate",
                json!({"unit_of_measurement": "fps", "state_class": "measurement", "icon": "mdi:speedometer"}),
            ),
        ),
        (
            "dropped_frames",
            sensor(
                "dropped_frames",
                "Dropped frames",
                json!({"state_class": "total_increasing", "icon": "mdi:image-broken"}),
            ),
        ),
        (
            "free_bytes",
            sensor(
                "free_bytes",
                "Free space",
                json!({
                    "device_class": "data_size",
                    "unit_of_measurement": "B",
                    "state_class": "measurement",
                    "suggested_display_precision": 0,
                }),
            ),
        ),
        (
            "hours_left",
            sensor(
                "hours_left",
                "Recording time left",
                json!({
                    "device_class": "duration",
                    "unit_of_measurement": "h",
                    "state_class": "measurement",
                }),
            ),
        ),
        (
            "forward_lag",
            sensor(
                "forward_lag_seconds",
                "Forward lag",
                json!({
                    "device_class": "duration",
                    "unit_of_measurement": "s",
                    "state_class": "measurement",
                }),
            ),
        ),
        (
            "problem",
            problem(
                "Problem",
                "value_json.problem".to_owned(),
                "value_json.problem_detail".to_owned(),
            ),
        ),
    ];
    let components = components.drain(..).map(|(key, it)| (key.to_owned(), it));
    let alarms = ApplianceAlarm::ALL.into_iter().map(|alarm| {
        let key = alarm.name();
        let alarm = problem(
            title(alarm),
            format!("value_json.alarms.{key}"),
            format!("value_json.alarm_details.{key}"),
        );
        (format!("alarm_{key}"), alarm)
    });
    components.chain(alarms).collect()
}

const fn title(alarm: ApplianceAlarm) -> &'static str {
    match alarm {
        ApplianceAlarm::RecorderSilent => "Recorder silent",
        ApplianceAlarm::DiskNearlyFull => "Disk nearly full",
        ApplianceAlarm::ForwardLag => "Forwarding late",
        ApplianceAlarm::ClockJump => "Clock jumped",
    }
}
