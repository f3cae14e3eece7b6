//! Report of `probe`: serialised as JSON for programs, and the source of the text for people.

use serde::Serialize;

/// Report of `probe`. Fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// GStreamer version at run time.
    pub gstreamer: String,
    /// In the order of their numbers.
    pub devices: Vec<Device>,
    /// Mode of the encoder trials.
    pub tried_with: Mode,
    /// In order of preference.
    pub encoders: Vec<Encoder>,
    /// Whether this machine can record, given a signal.
    pub can_record: bool,
    /// Missing parts and their remedies.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Device {
    /// Node, for example `/dev/video0`.
    pub path: String,
    /// Absent if there is an `error`.
    #[serde(flatten)]
    pub identity: Option<Identity>,
    /// Reason why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Input signal of a capture device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
    /// Formats of a capture device.
    pub formats: Vec<Format>,
}

/// Self-description of a device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Identity {
    pub driver: String,
    pub card: String,
    pub bus: String,
    pub kind: NodeKind,
}

/// Purpose of a device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    Capture,
    /// Takes and delivers pictures.
    Codec,
    /// Outputs, radios, metadata.
    Other,
}

/// Signal at a receiver's input.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Timings {
    /// The device has no timings; its frames show whether there is a signal.
    None,
    NoSignal,
    NoLock,
    /// A signal that the hardware does not support.
    Unsupported,
    Locked(Mode),
    Failed {
        reason: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mode {
    pub width: u32,
    pub height: u32,
    pub fps: f64,
    /// Whether a frame consists of two fields.
    pub interlaced: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Format {
    /// Four-character code.
    pub fourcc: String,
    pub description: String,
    /// Whether frames arrive compressed.
    pub compressed: bool,
    /// Empty if the driver does not list them.
    pub sizes: Vec<Size>,
}

/// A frame size or a range of them, in pixels.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Size {
    Exact {
        width: u32,
        height: u32,
        rates: Vec<Rate>,
    },
    Between {
        width: Range<u32>,
        height: Range<u32>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Rate {
    Exact(f64),
    Between(Range<f64>),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Range<T> {
    pub least: T,
    pub most: T,
}

/// Encoder and the outcome of its trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Encoder {
    pub element: String,
    /// Whether it has dedicated hardware.
    pub hardware: bool,
    #[serde(flatten)]
    pub result: TrialResult,
    /// Whether it is used: the first that works.
    pub chosen: bool,
}

/// Outcome of an encoder trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum TrialResult {
    /// All input frames were encoded.
    Works,
    NotInstalled,
    /// The encoder's device or library is missing, busy or refuses to start.
    Unavailable {
        reason: String,
    },
    /// The output does not match the input.
    Failed {
        reason: String,
    },
    TimedOut {
        /// Time limit in ms.
        limit_ms: u64,
    },
}

impl Device {
    /// Whether the node delivers pictures.
    #[must_use]
    pub fn is_capture(&self) -> bool {
        self.identity
            .as_ref()
            .is_some_and(|identity| identity.kind == NodeKind::Capture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and structure are read by programs and must not change.
    #[test]
    fn json_names_are_stable() {
        let device = Device {
            path: "/dev/video0".to_owned(),
            identity: Some(Identity {
                driver: "d".to_owned(),
                card: "c".to_owned(),
                bus: "b".to_owned(),
                kind: NodeKind::Capture,
            }),
            error: None,
            timings: Some(Timings::Locked(Mode {
                width: 1920,
                height: 1080,
                fps: 59.94,
                interlaced: false,
            })),
            formats: vec![Format {
                fourcc: "MJPG".to_owned(),
                description: "m".to_owned(),
                compressed: true,
                sizes: vec![
                    Size::Exact {
                        width: 640,
                        height: 480,
                        rates: vec![
                            Rate::Exact(30.0),
                            Rate::Between(Range {
                                least: 5.0,
                                most: 60.0,
                            }),
                        ],
                    },
                    Size::Between {
                        width: Range {
                            least: 16,
                            most: 1920,
                        },
                        height: Range {
                            least: 16,
                            most: 1080,
                        },
                    },
                ],
            }],
        };
        assert_eq!(
            serde_json::to_value(&device).unwrap(),
            serde_json::json!({
                "path": "/dev/video0",
                "driver": "d", "card": "c", "bus": "b", "kind": "capture",
                "timings": {
                    "state": "locked",
                    "width": 1920, "height": 1080, "fps": 59.94, "interlaced": false
                },
                "formats": [{
                    "fourcc": "MJPG", "description": "m", "compressed": true,
                    "sizes": [
                        { "width": 640, "height": 480,
                          "rates": [30.0, { "least": 5.0, "most": 60.0 }] },
                        { "width": { "least": 16, "most": 1920 },
                          "height": { "least": 16, "most": 1080 } },
                    ],
                }],
            })
        );
        let broken = Device {
            identity: None,
            error: Some("e".to_owned()),
            timings: None,
            formats: Vec::new(),
            ..device
        };
        assert_eq!(
            serde_json::to_value(&broken).unwrap(),
            serde_json::json!({ "path": "/dev/video0", "error": "e", "formats": [] })
        );
        let encoder = Encoder {
            element: "x264enc".to_owned(),
            hardware: false,
            result: TrialResult::TimedOut { limit_ms: 10_000 },
            chosen: false,
        };
        assert_eq!(
            serde_json::to_value(&encoder).unwrap(),
            serde_json::json!({
                "element": "x264enc", "hardware": false,
                "result": "timed_out", "limit_ms": 10_000, "chosen": false
            })
        );
    }
}
