//! Recordings and requests about them.

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::labels::present;
use crate::{Metadata, Problem, RecordingQuery};

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
    /// In the trash: not playable, can be restored, and is deleted at `expires_at` or when the server needs its space.
    Trashed,
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
    /// Time at which it was moved to the trash: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trashed_at: Option<String>,
    /// Time at which the server deletes it from the trash: RFC 3339, UTC. Absent outside of the trash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
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
    /// Title, if set. Only on the first part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Application of the session; empty if it was not known at the start.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub app_id: String,
    /// Source of the picture: `tab`, `window`, `screen`, `camera`, `canvas`, `hdmi`, `file`, or another word of the
    /// recorder. Absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Width of the picture in pixels, once the recording is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height of the picture in pixels, once the recording is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Codec of the picture as the container names it, such as `V_VP9` or `avc1`, once the recording is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_codec: Option<String>,
    /// Codec of the sound as the container names it, such as `A_OPUS` or `mp4a`, once the recording is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_codec: Option<String>,
    /// Whether the recording has sound, once it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_audio: Option<bool>,
    /// Duration in seconds without the spans in which nothing happens. Absent until the recording is ready, and for
    /// recordings of earlier versions until their activity is requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_seconds: Option<f64>,
    /// Reason for the end. Absent while it is open, and if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_because: Option<EndReason>,
    /// Tags. Only on the first part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether the caller has watched the recording. Only in lists and in the response for a single recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewed: Option<bool>,
    /// Number of stored pictures; 0 or absent if there are none. `GET /api/recordings/{id}/poster` returns one of them,
    /// and `storyboard.vtt` has them in the order of time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pictures: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Reason for the end of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The sender ended it, or a user stopped it.
    Stopped,
    /// Its session ended.
    SessionEnded,
    /// The sender fell silent.
    Interrupted,
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
    /// Title: 1–200 characters. Ignored for a next part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Source of the picture: `tab`, `window`, `screen`, `camera`, `canvas`, `hdmi`, `file`, or another word of up to 32
    /// small letters, digits, `-` and `_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
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
    /// Title: 1–200 characters; `null` removes it. Of a later part: that of the first part.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub title: Option<Option<String>>,
    /// Tags, replaced as a whole: at most 20 of 1–50 characters without commas. Of a later part: those of the first part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// Body of `POST /api/recordings/delete`: either `ids` or `filter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeleteRecordings {
    /// IDs of the recordings to delete: 1–1000, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Selects the recordings as a list does, without `limit`, `cursor` and `completed_after`: those that match and were
    /// created before the request, the first ones in the order of the list.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filter_without_unknown_fields"
    )]
    pub filter: Option<RecordingQuery>,
    /// Largest number of recordings that `filter` deletes: 1–10,000. Required with a filter, for example as the number that
    /// `GET /api/recordings/count` returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u32>,
    /// Whether `filter` selects from the recordings of all users; only for administrators.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_users: bool,
    /// Treatment of recordings that the central server does not have yet.
    #[serde(default)]
    pub unforwarded: Unforwarded,
    /// Whether the recordings are deleted at once instead of moved to the trash.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub permanently: bool,
}

/// Rejects a filter with a field that is not known: without it, the filter would select more recordings.
fn filter_without_unknown_fields<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<RecordingQuery>, D::Error> {
    let Some(given) = Option::<Map<String, Value>>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let filter = RecordingQuery::deserialize(Value::Object(given.clone()));
    let filter = filter.map_err(D::Error::custom)?;
    let known = serde_json::to_value(&filter).map_err(D::Error::custom)?;
    match given.keys().find(|name| known.get(name.as_str()).is_none()) {
        Some(name) => Err(D::Error::custom(format!(
            "{name} is null, or no field of a filter"
        ))),
        None => Ok(Some(filter)),
    }
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
    /// The recording is in the trash and can be restored.
    Trashed,
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
