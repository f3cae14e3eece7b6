//! Recordings: one video and its row.

use serde::{Deserialize, Serialize};

use crate::Problem;

/// Where a recording is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RecordingStatus {
    /// Its sender is recording; bytes arrive.
    Recording,
    /// The sender has stopped; the last bytes arrive.
    Uploading,
    /// Everything has arrived and is being finished.
    Processing,
    /// An ordinary, playable file.
    Ready,
    /// Not playable; `failure` says why.
    Failed,
}

impl RecordingStatus {
    /// Whether bytes may still arrive.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Recording | Self::Uploading)
    }
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Recording {
    /// Unique, never reused; also the id of its tus upload.
    pub id: String,
    /// The session it belongs to.
    pub session_id: String,
    /// The owner's id.
    pub user_id: String,
    /// The owner's name, for lists over several people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// What a download is called.
    pub filename: String,
    /// Bytes the server holds durably.
    pub size_bytes: u64,
    /// How much of it the server holds durably, in seconds; the length once it is ready.
    pub duration_seconds: f64,
    /// `webm`, `mkv` or `mp4`; empty until enough has arrived to tell.
    pub format: String,
    /// `local` or `s3`.
    pub storage_backend: String,
    /// Where the bytes are, in the back end's own terms.
    pub storage_path: String,
    /// Where it is in its life.
    pub status: RecordingStatus,
    /// Why it is `failed`, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Finished without its sender having said stop.
    #[serde(default)]
    pub interrupted: bool,
    /// Never deleted by retention, threshold or clean-up.
    #[serde(default)]
    pub protected: bool,
    /// Deleted, but its storage has not done it yet; that is tried again.
    #[serde(default)]
    pub deleting: bool,
    /// On an appliance that forwards its recordings: the central server does not have this one yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forward_pending: bool,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// RFC 3339, UTC; when it became ready or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Note about received bytes that cannot be played, in a sentence; absent where nothing is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Bytes that were received. In the answer for one recording that is `ready` or `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_bytes: Option<u64>,
    /// Received bytes that the file does not have; all others are in it. In the answer for one recording.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Received bytes that the file has, but players pass over. In the answer for one recording.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<LeftOut>,
    /// Id of the first part, if this is a further part of a recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<String>,
    /// Number of this part, from 1.
    #[serde(default = "first_part")]
    pub part: u32,
    /// All parts in order, this one included. Only on the first part of a recording that has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<RecordingPart>,
}

fn first_part() -> u32 {
    1
}

/// A range of the received bytes that players do not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeftOut {
    /// Bytes received before the first one of the range.
    pub offset: u64,
    /// Bytes in the range.
    pub length: u64,
    /// Why it is left out.
    pub reason: LeftOutReason,
}

/// Why a range of the received bytes is left out.
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
    /// Damaged data.
    Damaged,
    /// Data behind the end of the recording that belongs to no recording.
    TrailingData,
    /// A further recording that cannot be joined with the first.
    OtherRecording,
    /// Frames of a track that the recording does not describe.
    NoTrack,
}

/// One part of a recording that was continued after an interruption or at the size limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingPart {
    /// Id of the part; its file is at `/api/recordings/{id}/download`.
    pub id: String,
    /// Number of the part, from 1. Numbers of deleted parts are missing.
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
    /// Id of a recording of this session, or of one of its parts; the new recording becomes its next part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<String>,
}

/// Body of `PATCH /api/recordings/{id}`: what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RecordingUpdate {
    /// Whether retention, threshold and clean-up leave it alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    /// What a download is called: 1–200 characters, no control characters, no `/` or `\`, no leading dot, no
    /// white space around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
}

/// Body of `POST /api/recordings/delete`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeleteRecordings {
    /// IDs of the recordings to delete: 1–1000, in this order.
    pub ids: Vec<String>,
    /// Recordings that the central server does not have yet.
    #[serde(default)]
    pub unforwarded: Unforwarded,
}

/// Treatment of recordings that the central server does not have yet, by a deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Unforwarded {
    /// They are kept: the deletion fails with `not_forwarded`.
    #[default]
    Keep,
    /// They are deleted.
    Delete,
}

/// Outcome of one deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DeletionStatus {
    /// The recording and its bytes are deleted.
    Deleted,
    /// The recording was not deleted; `problem` says why.
    Failed,
}

/// One line of the answer to `POST /api/recordings/delete`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingDeletion {
    /// ID of the recording, as in the request.
    pub id: String,
    /// Outcome.
    pub status: DeletionStatus,
    /// Reason of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Answer to `POST /api/sessions/{id}/recording/start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingStarted {
    /// The new recording.
    pub recording_id: String,
    /// Always `recording`.
    pub status: RecordingStatus,
    /// The tus upload, of deferred length and at offset 0; relative to the server's origin.
    pub upload_url: String,
    /// The most bytes that it may come to.
    pub max_size_bytes: u64,
    /// Seconds without a request of the sender after which the server finishes the recording. A paused sender asks
    /// for the offset (tus `HEAD`) at least every third of this.
    pub silence_seconds: u64,
}

/// Body of `POST /api/sessions/{id}/recording/stop`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StopRecording {
    /// Which recording; absent or empty is a 400.
    #[serde(default)]
    pub recording_id: Option<String>,
}

/// Answer to `…/recording/stop` and `…/recording/upload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingStopped {
    /// Where the recording is now.
    pub status: RecordingStatus,
}
