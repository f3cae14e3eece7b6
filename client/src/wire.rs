//! Fields of our server's answers that the recorder reads.
//!
//! The browser parses JSON. A parser with the types of `sortie-api` would make up a quarter of the code that a page
//! fetches; a test compares both.

use crate::recorder::NewMark;

/// JSON object.
pub(crate) trait Fields {
    /// Returns the string in a field.
    fn text(&self, name: &str) -> Option<String>;
    /// Returns the non-negative number in a field.
    fn number(&self, name: &str) -> Option<u64>;
    /// Whether a field is `true`.
    fn is_true(&self, name: &str) -> bool;
}

/// Body that creates a session for our Record page: `NewSession`.
pub(crate) const NEW_SESSION: &str = r#"{"app_id":"record"}"#;

/// Returns the body that stops a recording, whose id is given as JSON: `StopRecording`.
pub(crate) fn stop_recording(id: &str) -> String {
    format!(r#"{{"recording_id":{id}}}"#)
}

/// Returns the body that begins a recording, of the fields that have a value: `StartRecording`. Values are JSON.
pub(crate) fn start_recording(fields: [(&str, Option<String>); 3]) -> String {
    let mut body = String::from("{");
    for (name, value) in fields {
        if let Some(value) = value {
            let comma = if body.len() > 1 { "," } else { "" };
            body = body + comma + "\"" + name + "\":" + &value;
        }
    }
    body + "}"
}

/// Returns the body that adds a marker, whose text is given as JSON: `NewMarker`.
pub(crate) fn new_marker(mark: &NewMark, text: &str) -> String {
    let NewMark {
        number,
        time_ms,
        kind,
        ..
    } = mark;
    let kind = kind.name();
    format!(r#"{{"id":"r{number}","time_ms":{time_ms},"text":{text},"kind":"{kind}"}}"#)
}

/// State of a `Session`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionNow {
    pub(crate) id: String,
    /// The session has ended and cannot start again.
    pub(crate) has_ended: bool,
    /// Recordings of the session start automatically.
    pub(crate) auto_record: bool,
}

impl SessionNow {
    pub(crate) fn read(session: &impl Fields) -> Option<Self> {
        let status = session.text("status")?;
        Some(Self {
            id: session.text("id")?,
            has_ended: matches!(status.as_str(), "stopped" | "expired" | "failed"),
            auto_record: session.is_true("auto_record"),
        })
    }
}

/// Fields of `RecordingStarted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) recording_id: String,
    pub(crate) upload_url: String,
    pub(crate) max_size_bytes: u64,
    /// Longest silence of a sender before the server ends the upload; `None` from older servers.
    pub(crate) silence_seconds: Option<u64>,
}

impl Started {
    pub(crate) fn read(started: &impl Fields) -> Option<Self> {
        Some(Self {
            recording_id: started.text("recording_id")?,
            upload_url: started.text("upload_url")?,
            max_size_bytes: started.number("max_size_bytes")?,
            silence_seconds: started.number("silence_seconds"),
        })
    }
}

/// Resolves `upload_url` against the address of the server, which may have a path.
///
/// A server that knows its path prefix includes it in `upload_url`; the prefix of a proxy that the server does not know
/// is in `base` only.
pub(crate) fn resolve(base: &str, upload_url: String) -> String {
    if !upload_url.starts_with('/') || upload_url.starts_with("//") {
        return upload_url;
    }
    let absolute = base
        .split_once(':')
        .and_then(|(_, rest)| rest.strip_prefix("//"));
    let prefix = match absolute {
        Some(rest) => {
            let host = rest.split('/').next().unwrap_or_default();
            rest.strip_prefix(host).unwrap_or_default()
        }
        None => base,
    };
    let has_prefix = !prefix.is_empty()
        && upload_url
            .strip_prefix(prefix)
            .is_some_and(|path| path.starts_with('/'));
    let origin = base.strip_suffix(prefix).unwrap_or(base);
    let before = if has_prefix { origin } else { base };
    format!("{before}{upload_url}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json, to_value};
    use sortie_api::{
        Event, NewSession, Problem, RecordingStarted, RecordingStatus, Session, SessionStatus,
        StartRecording, StopRecording,
    };

    use super::*;
    use crate::MarkKind;

    #[test]
    fn upload_url_keeps_one_path_prefix() {
        for (base, upload_url, expected) in [
            ("", "/api/uploads/1", "/api/uploads/1"),
            ("", "/x/api/uploads/1", "/x/api/uploads/1"),
            ("/x", "/x/api/uploads/1", "/x/api/uploads/1"),
            ("/x", "/api/uploads/1", "/x/api/uploads/1"),
            ("https://a.example", "/api/1", "https://a.example/api/1"),
            (
                "https://a.example/x",
                "/x/api/1",
                "https://a.example/x/api/1",
            ),
            ("https://a.example/x", "/api/1", "https://a.example/x/api/1"),
            ("https://a.example/x", "/xy/1", "https://a.example/x/xy/1"),
            ("/x", "https://b.example/1", "https://b.example/1"),
        ] {
            assert_eq!(resolve(base, upload_url.to_owned()), expected, "{base}");
        }
    }

    impl Fields for Value {
        fn text(&self, name: &str) -> Option<String> {
            self.get(name)?.as_str().map(str::to_owned)
        }

        fn number(&self, name: &str) -> Option<u64> {
            self.get(name)?.as_u64()
        }

        fn is_true(&self, name: &str) -> bool {
            self.get(name) == Some(&Self::Bool(true))
        }
    }

    fn session(status: SessionStatus, auto_record: bool) -> Session {
        Session {
            id: "s".to_owned(),
            user_id: "u".to_owned(),
            username: None,
            app_id: "record".to_owned(),
            status,
            recording_policy: String::new(),
            auto_record,
            auto_record_override: None,
            recording: sortie_api::RecordingRequirement::Optional,
            recording_missing_since: None,
            external_id: None,
            metadata: sortie_api::Metadata::new(),
            created_at: "2026-11-21T09:30:00.000Z".to_owned(),
            ended_at: None,
        }
    }

    #[test]
    fn session_is_parsed_as_the_api_serialises_it() {
        use SessionStatus::{Creating, Expired, Failed, Running, Stopped};
        for status in [Creating, Running, Stopped, Expired, Failed] {
            for auto_record in [false, true] {
                let session = session(status, auto_record);
                let expected = SessionNow {
                    id: session.id.clone(),
                    has_ended: status.has_ended(),
                    auto_record,
                };
                let written = to_value(&session).unwrap();
                assert_eq!(SessionNow::read(&written), Some(expected));
            }
        }
        assert_eq!(SessionNow::read(&json!({ "status": "running" })), None);
        assert_eq!(SessionNow::read(&json!("running")), None);
    }

    #[test]
    fn event_names_match_the_api() {
        let event = Event::Session(Box::new(session(SessionStatus::Running, true)));
        assert_eq!(event.name(), crate::auto_record::SESSION_EVENT);
        let deleted = sortie_api::DeletedSession { id: "s".to_owned() };
        let event = Event::SessionDeleted(deleted);
        assert_eq!(event.name(), crate::auto_record::SESSION_DELETED_EVENT);
        let data: Value = serde_json::from_str(&event.data().unwrap()).unwrap();
        assert_eq!(data.text("id").as_deref(), Some("s"));
    }

    #[test]
    fn started_recording_is_parsed_as_the_api_serialises_it() {
        let started = RecordingStarted {
            recording_id: "r".to_owned(),
            status: RecordingStatus::Recording,
            upload_url: "/files/r".to_owned(),
            max_size_bytes: 500_000_000,
            silence_seconds: 600,
        };
        let expected = Started {
            recording_id: started.recording_id.clone(),
            upload_url: started.upload_url.clone(),
            max_size_bytes: started.max_size_bytes,
            silence_seconds: Some(600),
        };
        let mut written = to_value(&started).unwrap();
        written["silence_seconds"] = json!(600);
        assert_eq!(Started::read(&written), Some(expected));
        assert_eq!(Started::read(&json!({ "recording_id": "r" })), None);
    }

    #[test]
    fn request_bodies_are_parsed_by_the_api() {
        let new: NewSession = serde_json::from_str(NEW_SESSION).unwrap();
        assert_eq!((new.app_id.as_str(), new.user_id), ("record", None));
        assert_eq!(new.status, None);
        let start = |values: [Option<&str>; 3]| -> StartRecording {
            let [continues, external_id, metadata] = values.map(|it| it.map(str::to_owned));
            let body = start_recording([
                ("continues", continues),
                ("external_id", external_id),
                ("metadata", metadata),
            ]);
            serde_json::from_str(&body).unwrap()
        };
        assert_eq!(start([None; 3]), StartRecording::default());
        let next = start([Some(r#""r\"1""#), None, None]);
        assert_eq!(next.continues.as_deref(), Some("r\"1"));
        let labelled = start([None, Some(r#""lesson 7""#), Some(r#"{"room":[7]}"#)]);
        assert_eq!(labelled.external_id.as_deref(), Some("lesson 7"));
        assert_eq!(labelled.metadata.unwrap()["room"], json!([7]));
        for kind in MarkKind::ALL {
            let mark = NewMark {
                number: 7,
                time_ms: 1_500,
                kind: *kind,
                text: String::new(),
            };
            let body = new_marker(&mark, r#""a\"\nb""#);
            let marker: sortie_api::NewMarker = serde_json::from_str(&body).unwrap();
            assert_eq!((marker.text.as_str(), marker.time_ms), ("a\"\nb", 1_500));
            assert_eq!(marker.id.as_deref(), Some("r7"));
            assert_eq!(to_value(marker.kind).unwrap(), kind.name());
        }
        let stop: StopRecording = serde_json::from_str(&stop_recording(r#""a\"b""#)).unwrap();
        assert_eq!(stop.recording_id.as_deref(), Some("a\"b"));
        let problem = Problem {
            code: sortie_api::ProblemCode::Conflict,
            kind: String::new(),
            title: String::new(),
            status: 409,
            detail: "Already stopped.".to_owned(),
            request_id: None,
        };
        let detail = to_value(&problem).unwrap().text("detail");
        assert_eq!(detail, Some(problem.detail));
    }
}
