//! State of an appliance: a recorder with a capture card.

use serde::{Deserialize, Serialize};

use crate::schedule::ScheduleStatus;

/// Response of `GET /api/appliance` and data of the event `appliance`: state of the appliance's recorder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Appliance {
    /// Host name of the appliance; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Name of the capture device; absent if none was found yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// State of the input signal.
    pub signal: InputSignal,
    /// State of the recorder.
    pub recorder: RecorderState,
    /// Recorded seconds of this session: its finished files and the growing one.
    pub duration_seconds: f64,
    /// The growing file; absent while the recorder does not record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<GrowingFile>,
    /// Reason why it cannot record, or the last error, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Code of `problem`, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem_code: Option<RecorderProblem>,
    /// Advice on `problem`, in a sentence; absent if no general advice applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// Frames dropped since the start of the recorder because the encoder or the disk was too slow.
    pub dropped_frames: u64,
    /// The part of `dropped_frames` for which the disk was too slow.
    #[serde(default)]
    pub dropped_by_disk: u64,
    /// Frames dropped during the last minute.
    #[serde(default)]
    pub dropped_last_minute: u64,
    /// Frames per second that reach the file, measured over some seconds; absent while the recorder does not record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_fps: Option<f64>,
    /// GStreamer element of the encoder; absent if the source delivers H.264, and before the first recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
    /// Setting `recording_auto_record`: whether to record automatically while there is a signal.
    pub auto_record: bool,
    /// State of the schedule of auto-record; absent while no window applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleStatus>,
    /// Setting `storage_threshold_percent`: disk usage above which the oldest recordings are deleted; absent if
    /// disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_percent: Option<u8>,
    /// Disk usage; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<Space>,
    /// State of forwarding to a central server; absent if not configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<Forwarding>,
    /// Alarms that ask for a person, in a fixed order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<RaisedAlarm>,
    /// Whether the source is the test pattern, whose signal `POST /api/appliance/test-signal` sets.
    #[serde(default)]
    pub test_source: bool,
}

impl Appliance {
    /// Whether a signal starts a recording: auto-record is on, and the schedule arms it.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.auto_record && self.schedule.as_ref().is_none_or(|it| it.armed)
    }
}

/// State of the input signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InputSignal {
    /// Kind of signal.
    pub state: SignalState,
    /// Width in pixels, if the signal is steady.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in lines, if the signal is steady.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Frames per second, if the signal is steady.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
}

/// Kind of input signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SignalState {
    /// No capture device was found, or it was unplugged.
    NoDevice,
    /// The input carries no signal.
    NoSignal,
    /// A signal that the device cannot lock on to.
    NoLock,
    /// A signal outside the capabilities of the device.
    Unsupported,
    /// A steady signal with known timings.
    Steady,
}

/// State of the recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RecorderState {
    /// The recorder does not record and should not.
    Idle,
    /// Waiting to record: for a signal, for disk space or for the next attempt. `problem` may have the reason.
    Waiting,
    /// The recorder is recording to `file`.
    Recording,
}

/// Reason why the recorder cannot record, or its last error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RecorderProblem {
    /// The disk is full, or nearly so.
    #[serde(rename = "no_room")]
    DiskFull,
    /// No frame has become durable for a while.
    NoPicture,
    /// The recorder lacks permission to open the capture device.
    NoPermission,
    /// Another program uses the capture device.
    DeviceBusy,
    /// No capture device was found.
    NoDevice,
    /// The capture device was unplugged.
    DeviceGone,
    /// No encoder works on this machine.
    NoEncoder,
    /// The folder for recordings is read-only.
    ReadOnly,
    /// Storage use is above the threshold, and the remaining recordings have not been sent to the central server.
    NotForwarded,
    /// Described by `problem` alone.
    Other,
}

/// Kind of alarm of an appliance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ApplianceAlarm {
    /// The thread of the recorder does not respond.
    RecorderSilent,
    /// Recordings that the central server has not confirmed fill nearly all the space for recordings.
    DiskNearlyFull,
    /// Recordings wait for the central server longer than the limit.
    ForwardLag,
    /// The wall clock was set by more than the limit.
    ClockJump,
}

impl ApplianceAlarm {
    /// All alarms, in the order of their display.
    pub const ALL: [Self; 4] = [
        Self::RecorderSilent,
        Self::DiskNearlyFull,
        Self::ForwardLag,
        Self::ClockJump,
    ];

    /// Name in JSON, metrics and MQTT topics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RecorderSilent => "recorder_silent",
            Self::DiskNearlyFull => "disk_nearly_full",
            Self::ForwardLag => "forward_lag",
            Self::ClockJump => "clock_jump",
        }
    }
}

/// Alarm that is raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RaisedAlarm {
    /// Alarm, one at a time of each kind.
    pub alarm: ApplianceAlarm,
    /// Description of the fault, in a sentence.
    pub message: String,
    /// Remedy for a person, in a sentence.
    pub advice: String,
}

/// The growing file. All values refer to durable bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrowingFile {
    /// File name of the recording once it is finished.
    pub filename: String,
    /// ID of the recording, now and once it is finished. `GET /api/recordings/{id}/live` shows it meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording_id: Option<String>,
    /// ID of its session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Durable playing time in seconds.
    pub duration_seconds: f64,
    /// Durable size in bytes.
    pub size_bytes: u64,
}

/// State of forwarding to a central server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Forwarding {
    /// Number of recordings that are not complete on the central server, growing ones included.
    pub waiting: u64,
    /// Time since which finished recordings wait; absent if none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind_since: Option<String>,
    /// Whether the last request to the central server received no answer.
    #[serde(default)]
    pub unreachable: bool,
    /// Number of recordings whose file on the central server has another hash. They stay here.
    #[serde(default)]
    pub different: u64,
    /// Number of recordings that the central server refuses or cannot play. They stay here and are sent again after a restart.
    #[serde(default)]
    pub refused: u64,
    /// File name of the recording that is being sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Durable bytes of that recording on the central server.
    pub sent_bytes: u64,
    /// Current size of that recording in bytes.
    pub size_bytes: u64,
    /// Reason why it cannot be sent, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Disk usage of the file system that holds the recordings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Space {
    /// Used bytes, by recordings and other files.
    pub used_bytes: u64,
    /// Free bytes of the file system.
    pub free_bytes: u64,
    /// Hours of recording until the disk is full but for the reserve, at the current bit rate, or else at a typical one.
    pub hours_left: f64,
    /// Hours of recording until the oldest recordings are deleted; absent without a threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours_to_threshold: Option<f64>,
}

/// Body of `POST /api/appliance/test-signal`: signal of the test pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TestSignal {
    /// `steady`, `no_signal`, `no_lock` or `unsupported`.
    pub state: SignalState,
}
