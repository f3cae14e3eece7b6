//! Server-sent events of `GET /api/events` (`text/event-stream`).

use serde::{Deserialize, Serialize};

use crate::{Appliance, Recording, Session};

/// An event. The stream's `event` field is [`Event::name`], its `data` field is JSON ([`Event::data`]).
///
/// The `id` field of a change is its number in the audit log. A client that reconnects sends the last one in
/// `Last-Event-ID` and gets the changes since then; if that is not possible, the stream begins with [`Event::Hello`].
///
/// New events may be added: ignore unknown names. Clients that cannot read a stream can poll instead.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// First event of a stream that is not resumed. Sent again after a slow reader has missed events: reload everything
    /// that is displayed.
    Hello(Hello),
    /// Current value of a setting that concerns all users.
    Settings(LiveSettings),
    /// New state of a session.
    Session(Box<Session>),
    /// New state of a recording: created, changed, or grown (at most once a second).
    Recording(Box<Recording>),
    /// A recording was deleted.
    RecordingDeleted(DeletedRecording),
    /// A session was deleted.
    SessionDeleted(DeletedSession),
    /// New state of the appliance's recorder, at most once a second; for administrators.
    Appliance(Box<Appliance>),
}

/// Beginning of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Hello {
    /// Number of the last change before the stream. A list whose `Last-Event-ID` is not smaller need not be loaded again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event: Option<i64>,
}

/// Settings that affect open pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LiveSettings {
    /// Whether auto-record is on.
    pub recording_auto_record: bool,
}

/// Reference to a deleted recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeletedRecording {
    /// ID of the recording.
    pub id: String,
}

/// Reference to a deleted session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeletedSession {
    /// ID of the session.
    pub id: String,
}

impl Event {
    /// Returns the stream's `event` field.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Settings(_) => "settings",
            Self::Session(_) => "session",
            Self::Recording(_) => "recording",
            Self::RecordingDeleted(_) => "recording_deleted",
            Self::SessionDeleted(_) => "session_deleted",
            Self::Appliance(_) => "appliance",
        }
    }

    /// Returns the stream's `data` field: JSON on one line.
    ///
    /// # Errors
    /// A number that JSON cannot represent, such as an infinite duration.
    pub fn data(&self) -> Result<String, serde_json::Error> {
        match self {
            Self::Hello(hello) => serde_json::to_string(hello),
            Self::Settings(settings) => serde_json::to_string(settings),
            Self::Session(session) => serde_json::to_string(session),
            Self::Recording(recording) => serde_json::to_string(recording),
            Self::RecordingDeleted(deleted) => serde_json::to_string(deleted),
            Self::SessionDeleted(deleted) => serde_json::to_string(deleted),
            Self::Appliance(appliance) => serde_json::to_string(appliance),
        }
    }

    /// Parses an event; `None` if this version does not know the name.
    ///
    /// # Errors
    /// The data does not fit the name.
    pub fn parse(name: &str, data: &str) -> Result<Option<Self>, serde_json::Error> {
        Ok(Some(match name {
            "hello" => Self::Hello(serde_json::from_str(data)?),
            "settings" => Self::Settings(serde_json::from_str(data)?),
            "session" => Self::Session(serde_json::from_str(data)?),
            "recording" => Self::Recording(serde_json::from_str(data)?),
            "recording_deleted" => Self::RecordingDeleted(serde_json::from_str(data)?),
            "session_deleted" => Self::SessionDeleted(serde_json::from_str(data)?),
            "appliance" => Self::Appliance(serde_json::from_str(data)?),
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_round_trip() {
        let session = r#"{"id":"s","user_id":"u","app_id":"a","status":"running","recording_policy":"auto",
            "auto_record":true,"created_at":"2026-11-21T09:30:00.000Z"}"#;
        let recording = r#"{"id":"r","session_id":"s","user_id":"u","filename":"f.webm","size_bytes":1,
            "duration_seconds":0.5,"format":"webm","storage_backend":"local","storage_path":"p",
            "status":"recording","created_at":"2026-11-21T09:30:00.000Z"}"#;
        let appliance = r#"{"signal":{"state":"no_signal"},"recorder":"idle","duration_seconds":0.0,
            "dropped_frames":0,"auto_record":false}"#;
        for event in [
            Event::Hello(Hello::default()),
            Event::Hello(Hello {
                last_event: Some(7),
            }),
            Event::Settings(LiveSettings {
                recording_auto_record: true,
            }),
            Event::Session(serde_json::from_str(session).unwrap()),
            Event::Recording(serde_json::from_str(recording).unwrap()),
            Event::RecordingDeleted(DeletedRecording { id: "r".to_owned() }),
            Event::SessionDeleted(DeletedSession { id: "s".to_owned() }),
            Event::Appliance(serde_json::from_str(appliance).unwrap()),
        ] {
            let data = event.data().unwrap();
            assert!(!data.contains('\n'), "{data}");
            assert_eq!(Event::parse(event.name(), &data).unwrap(), Some(event));
        }
        assert_eq!(Event::parse("from_the_future", "?").unwrap(), None);
        assert!(Event::parse("session", "{}").is_err());
    }
}
