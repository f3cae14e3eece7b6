//! A recorder with a capture card: what it is doing.

use serde::{Deserialize, Serialize};

/// Answer to `GET /api/appliance`, and the event `appliance`: what the recorder on board is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Appliance {
    /// What the capture device calls itself; absent while none has been found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// What arrives at the input.
    pub signal: InputSignal,
    /// Whether it records.
    pub recorder: RecorderState,
    /// Seconds of this session that are recorded: its files so far and the one under way.
    pub duration_seconds: f64,
    /// The file under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<GrowingFile>,
    /// What keeps it from recording, or went wrong last, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What `problem` is, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_code: Option<RecorderProblem>,
    /// What helps against `problem`, in a sentence; absent where nothing general can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// Frames that are missing since it was started, because the encoder or the disk was too slow.
    pub dropped_frames: u64,
    /// Those of them for which the disk was too slow.
    #[serde(default)]
    pub dropped_by_disk: u64,
    /// The encoder's GStreamer element; absent where the source gives H.264 itself, and before the first recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
    /// The setting `recording_auto_record`: it records by itself when there is a signal.
    pub auto_record: bool,
    /// The setting `storage_threshold_percent`: above it the oldest recordings are deleted; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_percent: Option<u8>,
    /// How full the disk is; absent when nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<Space>,
    /// What goes on to a central server; absent where that is not set up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<Forwarding>,
    /// Whether it is a test picture, whose signal `POST /api/appliance/test-signal` switches.
    #[serde(default)]
    pub test_source: bool,
}

/// What arrives at the input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InputSignal {
    /// In one word.
    pub state: SignalState,
    /// Width of the picture in pixels, when it is steady.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height of the picture in lines, when it is steady.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Frames a second, when it is steady.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
}

/// What arrives at the input, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SignalState {
    /// There is no capture device, or it was unplugged.
    NoDevice,
    /// Nothing arrives.
    NoSignal,
    /// Something arrives, but nothing that could be locked on to.
    NoLock,
    /// It is outside of what the device can do.
    Unsupported,
    /// A picture.
    Steady,
}

/// Whether the recorder records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RecorderState {
    /// It does not, and is not to.
    Idle,
    /// It is to, and waits: for a signal, for room, or for another try. `problem` says more, if there is one.
    Waiting,
    /// It does.
    Recording,
}

/// What keeps the recorder from recording, or went wrong last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RecorderProblem {
    /// The disk is full, or nearly.
    NoRoom,
    /// Nothing has become durable for a while.
    NoPicture,
    /// The capture device may not be opened.
    NoPermission,
    /// Another program uses the capture device.
    DeviceBusy,
    /// There is no capture device.
    NoDevice,
    /// The capture device was unplugged.
    DeviceGone,
    /// No encoder works.
    NoEncoder,
    /// The folder for recordings cannot be written to.
    ReadOnly,
    /// Storage use is above the threshold, and the remaining recordings have not been sent to the central server.
    NotForwarded,
    /// Described by `problem` alone.
    Other,
}

/// The file under way. What is said of it is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrowingFile {
    /// What it will be called.
    pub filename: String,
    /// The session it will belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Its length in seconds.
    pub duration_seconds: f64,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// What goes on to a central server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Forwarding {
    /// Recordings that it does not have whole yet, the ones under way included.
    pub waiting: u64,
    /// The recording that is being sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Bytes of it that the server holds durably.
    pub sent_bytes: u64,
    /// Bytes of it that there are, so far.
    pub size_bytes: u64,
    /// What keeps it from being sent, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How full the disk is that recordings are on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Space {
    /// Bytes in use, by anybody.
    pub used_bytes: u64,
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Hours of recording that fit into what is free, at the present bit rate, or at a usual one.
    pub hours_left: f64,
}

/// Body of `POST /api/appliance/test-signal`: what is to arrive at the test source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TestSignal {
    /// `steady`, `no_signal`, `no_lock` or `unsupported`.
    pub state: SignalState,
}
