//! Recordings and requests about them.

use serde::{Deserialize, Serialize};

use crate::labels::present;
use crate::{Metadata, Problem};

/// State of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RecordingStatus {
    /// The sender is recording, and bytes arrive.
    Recording,
    /// The sender has stopped; the last bytes are arriving.
    Uploading,
    /// All bytes have arrived; the file is being finished.
    Processing,
    /// A playable, seekable file.
    Ready,
    /// Not playable; `failure` has the reason.
    Failed,
}

impl RecordingStatus {
    /// Whether more bytes may arrive.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Recording | Self::Uploading)
    }
}

/// A recording of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Recording {
    /// Unique ID, never reused; also the ID of the tus upload.
    pub id: String,
    /// ID of its session.
    pub session_id: String,
    /// ID of the owner.
    pub user_id: String,
    /// User name of the owner, in lists that span several users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// File name for downloads.
    pub filename: String,
    /// Durable bytes on the server.
    pub size_bytes: u64,
    /// Durable playing time in seconds; the total duration once the recording is ready.
    pub duration_seconds: f64,
    /// `webm`, `mkv` or `mp4`; empty until enough bytes have arrived.
    pub format: String,
    /// Storage backend: `local` or `s3`.
    pub storage_backend: String,
    /// Storage location, in the notation of the storage backend.
    pub storage_path: String,
    /// State of the recording.
    pub status: RecordingStatus,
    /// Reason for the status `failed`, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether the server finished the recording without a stop request of the sender.
    #[serde(default)]
    pub interrupted: bool,
    /// Whether retention, storage threshold and clean-up must keep the recording.
    #[serde(default)]
    pub protected: bool,
    /// Whether the recording is deleted but its bytes are still in the storage; the server retries.
    #[serde(default)]
    pub deleting: bool,
    /// On an appliance that forwards recordings: whether the central server lacks this recording.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forward_pending: bool,
    /// Creation time: RFC 3339, UTC.
    pub created_at: String,
    /// Time at which it became ready or failed: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Note about received bytes that cannot be played, in a sentence; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Received bytes. Only in the response for a single recording that is `ready` or `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_bytes: Option<u64>,
    /// Received bytes that the file does not contain; it contains all others. Only in the response for a single
    /// recording.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Received bytes that the file contains but players ignore. Only in the response for a single recording.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<LeftOut>,
    /// ID of the first part, if this is a later part of a recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<String>,
    /// Number of this part, counted from 1.
    #[serde(default = "first_part")]
    pub part: u32,
    /// All parts in order, including this one. Only on the first part of a recording with several parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<RecordingPart>,
    /// ID at the embedding platform, if set; several recordings may have the same. Only on the first part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Data of the embedding platform; empty if not set. Only on the first part.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

fn first_part() -> u32 {
    1
}

/// A range of received bytes that cannot be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeftOut {
    /// Offset of the first byte in the received stream.
    pub offset: u64,
    /// Length of the range in bytes.
    pub length: u64,
    /// Reason for leaving the range out.
    pub reason: LeftOutReason,
}

/// Reason for leaving received bytes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LeftOutReason {
    /// The last frame, element or box is incomplete.
    Torn,
    /// The sender's own index, replaced by a complete one.
    ReplacedIndex,
    /// A last cluster or fragment without a complete frame.
    NoFrames,
    /// Damaged data that cannot be parsed.
    Damaged,
    /// Data behind the end of the recording that belongs to no recording.
    TrailingData,
    /// Another recording that cannot be joined with the first.
    OtherRecording,
    /// Frames of a track that the recording does not describe.
    NoTrack,
}

/// A part of a recording that was continued after an interruption or at the size limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingPart {
    /// ID of the part; its file is at `/api/recordings/{id}/download`.
    pub id: String,
    /// Number of the part, counted from 1. Numbers of deleted parts are missing.
    pub part: u32,
    /// State of this part.
    pub status: RecordingStatus,
    /// Durable bytes of this part.
    pub size_bytes: u64,
    /// Durable playing time of this part in seconds.
    pub duration_seconds: f64,
}

/// Optional body of `POST /api/sessions/{id}/recording/start`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StartRecording {
    /// ID of a recording of this session, or of one of its parts; the new recording becomes its next part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<String>,
    /// ID of the recording at the embedding platform: 1–200 characters. Ignored for a next part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Data of the embedding platform. Ignored for a next part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// Body of `PATCH /api/recordings/{id}`. Absent fields stay unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RecordingUpdate {
    /// Whether retention, storage threshold and clean-up must keep the recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    /// File name for downloads: 1–200 characters, no control characters, no `/` or `\`, no leading dot, no surrounding
    /// white space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// ID at the embedding platform; `null` removes it. Of a later part: that of the first part.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub external_id: Option<Option<String>>,
    /// Data of the embedding platform, replaced as a whole; `null` removes it. Of a later part: that of the first part.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub metadata: Option<Option<Metadata>>,
}

/// Body of `POST /api/recordings/delete`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeleteRecordings {
    /// IDs of the recordings to delete: 1–1000, in this order.
    pub ids: Vec<String>,
    /// Treatment of recordings that the central server does not have yet.
    #[serde(default)]
    pub unforwarded: Unforwarded,
}

/// Treatment of recordings that the central server does not have yet, in a deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Unforwarded {
    /// Keeps these recordings: the deletion fails with `not_forwarded`.
    #[default]
    Keep,
    /// Deletes these recordings as well.
    Delete,
}

/// Outcome of one deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DeletionStatus {
    /// The recording and its bytes are deleted.
    Deleted,
    /// The recording was not deleted; `problem` has the reason.
    Failed,
}

/// Element of the response to `POST /api/recordings/delete`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingDeletion {
    /// ID of the recording, as in the request.
    pub id: String,
    /// Outcome of the deletion.
    pub status: DeletionStatus,
    /// Reason for a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Response to `POST /api/sessions/{id}/recording/start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingStarted {
    /// ID of the new recording.
    pub recording_id: String,
    /// Status of the recording: always `recording`.
    pub status: RecordingStatus,
    /// URL path of the tus upload, which has deferred length and offset 0.
    pub upload_url: String,
    /// Size limit of the upload in bytes.
    pub max_size_bytes: u64,
    /// Seconds without a request of the sender after which the server finishes the recording. A paused sender must
    /// request the offset (tus `HEAD`) at least every third of this time.
    pub silence_seconds: u64,
}

/// Body of `POST /api/sessions/{id}/recording/stop`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StopRecording {
    /// ID of the recording. If it is absent or empty, the response is 400.
    #[serde(default)]
    pub recording_id: Option<String>,
}

/// Response to `…/recording/stop` and `…/recording/upload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingStopped {
    /// State of the recording.
    pub status: RecordingStatus,
}
