//! What `GET /api/events` says (server-sent events, `text/event-stream`).

use serde::{Deserialize, Serialize};

use crate::{Appliance, Recording, Session};

/// One event. Its name is [`Event::name`], its data is JSON ([`Event::data`]).
///
/// New names may appear: ignore those you do not know. Polling is the fallback for whoever cannot read a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Sent first, and again when the reader was too slow and has missed something: load what is shown anew.
    Hello,
    /// A setting that concerns everybody has this value.
    Settings(LiveSettings),
    /// A session is like this now.
    Session(Box<Session>),
    /// A recording is like this now: created, changed, or grown (at most once a second).
    Recording(Box<Recording>),
    /// A recording is gone.
    RecordingDeleted(DeletedRecording),
    /// A session is gone.
    SessionDeleted(DeletedSession),
    /// The recorder on board is like this now (at most once a second); for administrators.
    Appliance(Box<Appliance>),
}

/// The settings that open pages want to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LiveSettings {
    /// Auto-record is on.
    pub recording_auto_record: bool,
}

/// Names a recording that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeletedRecording {
    /// Its id.
    pub id: String,
}

/// Names a session that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeletedSession {
    /// Its id.
    pub id: String,
}

impl Event {
    /// The value of the stream's field `event`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Settings(_) => "settings",
            Self::Session(_) => "session",
            Self::Recording(_) => "recording",
            Self::RecordingDeleted(_) => "recording_deleted",
            Self::SessionDeleted(_) => "session_deleted",
            Self::Appliance(_) => "appliance",
        }
    }

    /// The value of the stream's field `data`: JSON on one line.
    ///
    /// # Errors
    /// A number that JSON cannot hold, as a duration that is not finite.
    pub fn data(&self) -> Result<String, serde_json::Error> {
        match self {
            Self::Hello => Ok("{}".to_owned()),
            Self::Settings(settings) => serde_json::to_string(settings),
            Self::Session(session) => serde_json::to_string(session),
            Self::Recording(recording) => serde_json::to_string(recording),
            Self::RecordingDeleted(deleted) => serde_json::to_string(deleted),
            Self::SessionDeleted(deleted) => serde_json::to_string(deleted),
            Self::Appliance(appliance) => serde_json::to_string(appliance),
        }
    }

    /// Reads an event; `None` if it has a name that this version does not know.
    ///
    /// # Errors
    /// The data is not what an event of this name carries.
    pub fn read(name: &str, data: &str) -> Result<Option<Self>, serde_json::Error> {
        Ok(Some(match name {
            "hello" => Self::Hello,
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
    fn every_event_reads_as_it_was_written() {
        let session = r#"{"id":"s","user_id":"u","app_id":"a","status":"running","recording_policy":"auto",
            "auto_record":true,"created_at":"2026-11-21T09:30:00.000Z"}"#;
        let recording = r#"{"id":"r","session_id":"s","user_id":"u","filename":"f.webm","size_bytes":1,
            "duration_seconds":0.5,"format":"webm","storage_backend":"local","storage_path":"p",
            "status":"recording","created_at":"2026-11-21T09:30:00.000Z"}"#;
        let appliance = r#"{"signal":{"state":"no_signal"},"recorder":"idle","duration_seconds":0.0,
            "dropped_frames":0,"auto_record":false}"#;
        for event in [
            Event::Hello,
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
            assert_eq!(Event::read(event.name(), &data).unwrap(), Some(event));
        }
        assert_eq!(Event::read("from_the_future", "?").unwrap(), None);
        assert!(Event::read("session", "{}").is_err());
    }
}
