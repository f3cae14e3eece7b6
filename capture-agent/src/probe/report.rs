//! The report as it is written: JSON for programs, and the base of the text for people.

use serde::Serialize;

/// What `probe` found. Fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The version of GStreamer at run time.
    pub gstreamer: String,
    /// Every video device node, by its number.
    pub devices: Vec<Device>,
    /// The mode the encoders were tried with.
    pub tried_with: Mode,
    /// Every encoder that comes into question, best first.
    pub encoders: Vec<Encoder>,
    /// Whether this machine has what a recording needs; a signal is not part of it.
    pub can_record: bool,
    /// What is missing, and what to do about it.
    pub problems: Vec<String>,
}

/// A video device node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Device {
    /// The node, for example `/dev/video0`.
    pub path: String,
    /// What it is, unless there is an `error`.
    #[serde(flatten)]
    pub identity: Option<Identity>,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it measures at its input, for a capture device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
    /// What it delivers, for a capture device.
    pub formats: Vec<Format>,
}

/// What a device says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Identity {
    /// Its driver.
    pub driver: String,
    /// Its name.
    pub card: String,
    /// Where it is plugged in.
    pub bus: String,
    /// What the node is for.
    pub kind: NodeKind,
}

/// What a device node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Pictures come out of it.
    Capture,
    /// Pictures go in and come out.
    Codec,
    /// Outputs, radios, metadata.
    Other,
}

/// What a receiver measures at its input.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Timings {
    /// The device has no timings; its frames tell whether there is a signal.
    None,
    /// Nothing arrives.
    NoSignal,
    /// Something arrives, but there is no lock on it.
    NoLock,
    /// Something arrives that the hardware cannot do.
    Unsupported,
    /// A picture arrives.
    Locked(Mode),
    /// The device did not answer.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Size and rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mode {
    /// Pixels.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Frames per second.
    pub fps: f64,
    /// Whether a frame arrives as two fields.
    pub interlaced: bool,
}

/// A pixel format.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Format {
    /// Its four-character code.
    pub fourcc: String,
    /// The driver's description.
    pub description: String,
    /// Whether frames arrive compressed.
    pub compressed: bool,
    /// The sizes; empty where the driver does not list them.
    pub sizes: Vec<Size>,
}

/// A frame size or a range of them, in pixels.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Size {
    /// One size.
    Exact {
        /// Pixels.
        width: u32,
        /// Lines.
        height: u32,
        /// The rates on offer.
        rates: Vec<Rate>,
    },
    /// Every size between two.
    Between {
        /// Pixels.
        width: Range<u32>,
        /// Lines.
        height: Range<u32>,
    },
}

/// Frames per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Rate {
    /// One rate.
    Exact(f64),
    /// Every rate between two.
    Between(Range<f64>),
}

/// From, to and everything between.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Range<T> {
    /// The least.
    pub least: T,
    /// The most.
    pub most: T,
}

/// An encoder and how it did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Encoder {
    /// The GStreamer element.
    pub element: String,
    /// Whether it has hardware of its own.
    pub hardware: bool,
    /// How it did.
    #[serde(flatten)]
    pub result: TrialResult,
    /// Whether it is the one that would be used: the first that works.
    pub chosen: bool,
}

/// How an encoder did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum TrialResult {
    /// Frames went in, and as many came out.
    Works,
    /// Its plugin is not there.
    NotInstalled,
    /// Its device or library is missing, busy or refuses.
    Unavailable {
        /// Why.
        reason: String,
    },
    /// What came out was not what went in.
    Failed {
        /// Why.
        reason: String,
    },
    /// It took too long.
    TimedOut {
        /// Milliseconds it was given.
        limit_ms: u64,
    },
}

impl Device {
    /// Whether pictures can be had from it.
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

    /// What programs read: names and shapes, which must not change.
    #[test]
    fn the_json_keeps_its_names() {
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
