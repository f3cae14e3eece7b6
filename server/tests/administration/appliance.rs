//! Recorder of an appliance: its routes, its settings, and the import of its files.

use std::sync::Arc;
use std::time::Duration;

use crate::support::appliance::FakeRecorder;
use crate::support::{Client, START_MS, TestServer, json_of, problem, until};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sortie_api::{Event, RecorderProblem, RecorderState, SignalState};
use sortie_server::{CapturedFile, Server};

const START: &str = "/api/appliance/recording/start";
const STOP: &str = "/api/appliance/recording/stop";
const PICTURE: &str = "/api/appliance/picture";
const SIGNAL: &str = "/api/appliance/test-signal";

async fn server() -> TestServer {
    TestServer::with_appliance(&[], Some(Arc::new(FakeRecorder::new()))).await
}

async fn get(client: &Client, path: &str) -> Value {
    json_of(client.get(path), 200).await
}

fn post(client: &Client, path: &str, body: &Value) -> RequestBuilder {
    client.post(path).json(body)
}

#[tokio::test]
async fn server_without_appliance_has_no_appliance_routes() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let answer = admin.get("/api/appliance").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(get(&admin, "/api/info").await["appliance"], false);
    assert_eq!(
        get(&admin, "/api/admin/settings").await,
        json!({"recording_auto_record": "false"})
    );
}

#[tokio::test]
async fn manual_start_and_stop_of_the_appliance_are_audited() {
    let server = server().await;
    let admin = server.admin().await;
    assert_eq!(get(&admin, "/api/info").await["appliance"], true);
    let idle = get(&admin, "/api/appliance").await;
    assert_eq!(idle["recorder"], "idle");
    assert_eq!(idle["signal"]["state"], "steady");
    assert!(idle["space"]["free_bytes"].as_u64().unwrap() > 0);
    assert!(idle["space"]["hours_left"].as_f64().unwrap() > 0.0);

    let started = json_of(post(&admin, START, &json!({})), 200).await;
    assert_eq!(started["recorder"], "recording");
    let stopped = json_of(post(&admin, STOP, &json!({})), 200).await;
    assert_eq!(stopped["recorder"], "idle");
    let audit = get(&admin, "/api/admin/audit?limit=2").await;
    assert_eq!(audit[0]["action"], "recording.stop");
    assert_eq!(audit[1]["action"], "recording.start");

    let none = json!({"state": "no_signal"});
    let switched = post(&admin, SIGNAL, &none).send().await.unwrap();
    assert_eq!(switched.status(), StatusCode::NO_CONTENT);
    let detail = problem(post(&admin, START, &json!({})), 409, "conflict").await;
    assert!(detail.contains("needs a video signal"), "{detail}");
    for wrong in [
        json!({"state": "no_device"}),
        json!({"state": "blue"}),
        json!({}),
    ] {
        let answer = post(&admin, SIGNAL, &wrong).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{wrong}");
    }
}

#[tokio::test]
async fn live_picture_is_audited_and_its_viewers_are_limited() {
    const LIMIT: usize = 200;
    let recorder = FakeRecorder::new();
    let picture = recorder.picture.clone();
    let server = TestServer::with_appliance(&[], Some(Arc::new(recorder))).await;
    let admin = server.admin().await;
    let detail = problem(admin.get(PICTURE), 409, "conflict").await;
    assert_eq!(detail, "No picture: the recorder is a fake.");

    picture.set_unavailable(None);
    let shown = picture.clone();
    let shows = tokio::spawn(async move {
        loop {
            if shown.wants_frame() {
                shown.show(b"frame".to_vec());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut streams = Vec::new();
    for _ in 0..LIMIT {
        let stream = admin.get(&format!("{PICTURE}?stream=true")).send().await;
        let stream = stream.unwrap();
        assert_eq!(stream.status(), StatusCode::OK);
        streams.push(stream);
    }
    let detail = problem(admin.get(PICTURE), 503, "unavailable").await;
    assert!(detail.contains("200 viewers"), "{detail}");
    let audit = get(&admin, "/api/admin/audit?action=recording.view").await;
    assert_eq!(audit.as_array().map(Vec::len), Some(1), "{audit}");
    assert_eq!(audit[0]["subject"], "appliance");

    // Viewers that vanish make room.
    streams.pop();
    until("room for a viewer", async || {
        let answer = admin.get(PICTURE).send().await.unwrap();
        answer.status() == StatusCode::OK
    })
    .await;
    picture.set_unavailable(Some("there is no signal."));
    for mut stream in streams {
        while stream.chunk().await.unwrap().is_some() {}
    }
    shows.abort();
}

#[tokio::test]
async fn appliance_settings_apply_immediately_and_survive_a_restart() {
    let mut server = server().await;
    let admin = server.admin().await;
    let settings = json!({"recording_auto_record": "true", "storage_threshold_percent": "73"});
    let request = admin.request(Method::PUT, "/api/admin/settings");
    let answer = request.json(&settings).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(get(&admin, "/api/admin/settings").await, settings);
    let state = get(&admin, "/api/appliance").await;
    assert_eq!(state["auto_record"], true);
    assert_eq!(state["threshold_percent"], 73);
    let preview = get(&admin, "/api/admin/retention").await;
    assert_eq!(preview["high_percent"], 73);
    assert_eq!(preview["low_percent"], 72);

    server.restart().await;
    let admin = server.admin().await;
    assert_eq!(get(&admin, "/api/appliance").await["threshold_percent"], 73);
    let wrong = admin.request(Method::PUT, "/api/admin/settings");
    let wrong = wrong.json(&json!({"storage_threshold_percent": "100"}));
    assert!(wrong.send().await.unwrap().status().is_client_error());
}

#[tokio::test]
async fn appliance_state_is_sent_to_event_streams() {
    let server = server().await;
    let admin = server.admin().await;
    let mut stream = admin.get("/api/events").send().await.unwrap();
    json_of(post(&admin, START, &json!({})), 200).await;
    let mut text = String::new();
    while let Some(bytes) = stream.chunk().await.unwrap() {
        text += std::str::from_utf8(&bytes).unwrap();
        for event in text.split("\n\n") {
            let field = |name| event.lines().find_map(|line: &str| line.strip_prefix(name));
            let (Some("appliance"), Some(data)) = (field("event: "), field("data: ")) else {
                continue;
            };
            if let Ok(Some(Event::Appliance(state))) = Event::parse("appliance", data) {
                assert_eq!(state.signal.state, SignalState::Steady);
                if state.recorder == RecorderState::Recording {
                    return;
                }
            }
        }
    }
    panic!("the stream ended: {text}");
}

#[tokio::test]
async fn imported_file_is_a_recording_with_its_file_name() {
    let mut server = server().await;
    let admin = server.admin().await;
    let name = "recording_2026-11-21_10-30-00.mp4";
    let bytes = b"an ordinary file, as far as the catalog is concerned";
    std::fs::write(server.file(name), bytes).unwrap();
    let file = CapturedFile {
        name: name.to_owned(),
        session: "019aa5b2-0000-7000-8000-00000000000a".to_owned(),
        created_ms: START_MS,
        duration_ms: 61_500,
        size_bytes: bytes.len() as u64,
        modified_ms: None,
        folder: None,
        forward_pending: false,
        interrupted: true,
        failure: None,
    };
    // The importer writes beside the running server.
    let beside = Server::open(server.config(), server.clock.clone())
        .await
        .unwrap();
    let importer = beside.importer();
    assert!(importer.import(&file).await.unwrap());
    assert!(!importer.import(&file).await.unwrap(), "imported before");
    assert!(importer.names().await.unwrap().contains(name));

    let list = get(&admin, "/api/recordings").await;
    let [recording] = &list.as_array().unwrap()[..] else {
        panic!("{list}")
    };
    assert_eq!(recording["filename"], name);
    assert_eq!(recording["storage_path"], name);
    assert_eq!(recording["status"], "ready");
    assert_eq!(recording["duration_seconds"], 61.5);
    assert_eq!(recording["interrupted"], true);
    assert_eq!(recording["session_id"], file.session);
    let id = recording["id"].as_str().unwrap();

    let path = format!("/api/recordings/{id}/download");
    let part = admin
        .get(&path)
        .header("range", "bytes=3-10")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.unwrap(), &bytes[3..=10]);

    // A restart does not mistake the file for an abandoned upload.
    server.restart().await;
    let admin = server.admin().await;
    let path = format!("/api/recordings/{id}");
    assert_eq!(get(&admin, &path).await["status"], "ready");
    let deleted = admin.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    assert!(!server.file(name).exists());
    assert_eq!(get(&admin, "/api/recordings").await, json!([]));
}

#[tokio::test]
async fn recording_waiting_for_forwarding_is_not_deleted() {
    let server = TestServer::with(&[("SORTIE_RECORDING_RETENTION_DAYS", "1")]).await;
    let beside = Server::open(server.config(), server.clock.clone())
        .await
        .unwrap();
    let importer = beside.importer();
    for (name, forward_pending) in [("waits.mp4", true), ("free.mp4", false)] {
        std::fs::write(server.file(name), b"text").unwrap();
        let file = CapturedFile {
            name: name.to_owned(),
            session: "019aa5b2-0000-7000-8000-00000000000b".to_owned(),
            created_ms: START_MS,
            duration_ms: 1000,
            size_bytes: 4,
            modified_ms: None,
            folder: None,
            forward_pending,
            interrupted: false,
            failure: None,
        };
        assert!(importer.import(&file).await.unwrap());
    }
    server.clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
    let admin = server.admin().await;
    let run = json_of(admin.post("/api/admin/retention/run"), 200).await;
    assert_eq!(run["deleted"], 1, "{run}");
    assert_eq!(run["unforwarded"], json!({"count": 1, "bytes": 4}), "{run}");
    assert!(server.file("waits.mp4").exists() && !server.file("free.mp4").exists());
    let audit = get(&admin, "/api/admin/audit?action=storage.clean_up").await;
    let detail = audit[0]["detail"].as_str().unwrap();
    assert!(detail.contains("1 kept, 4 bytes"), "{detail}");
    let preview = get(&admin, "/api/admin/retention").await;
    assert_eq!(preview["due"]["count"], 0, "{preview}");
    assert_eq!(preview["unforwarded"]["count"], 1, "{preview}");
    // Confirmed files may be deleted; the confirmation is of a file of this size.
    assert!(!importer.confirm_forwarded("waits.mp4", 5).await.unwrap());
    assert!(!importer.confirm_forwarded("unknown.mp4", 4).await.unwrap());
    assert!(importer.confirm_forwarded("waits.mp4", 4).await.unwrap());
    let run = json_of(admin.post("/api/admin/retention/run"), 200).await;
    assert_eq!(run["deleted"], 1, "{run}");
    assert_eq!(run["unforwarded"]["count"], 0, "{run}");
    // No file is reported that still waits for forwarding.
    let files = importer.files().await.unwrap();
    assert_eq!(files, []);
}

#[tokio::test]
async fn unforwarded_recording_is_deleted_only_with_explicit_consent() {
    let server = server().await;
    let beside = Server::open(server.config(), server.clock.clone())
        .await
        .unwrap();
    let names = ["a.mp4", "b.mp4", "c.mp4"];
    for name in names {
        std::fs::write(server.file(name), b"text").unwrap();
        let file = CapturedFile {
            name: name.to_owned(),
            session: "019aa5b2-0000-7000-8000-00000000000c".to_owned(),
            created_ms: START_MS,
            duration_ms: 1000,
            size_bytes: 4,
            modified_ms: None,
            folder: None,
            forward_pending: name != "c.mp4",
            interrupted: false,
            failure: None,
        };
        assert!(beside.importer().import(&file).await.unwrap());
    }
    let admin = server.admin().await;
    let list = get(&admin, "/api/recordings").await;
    let find = |name: &str| {
        let row = list.as_array().unwrap().iter();
        row.clone().find(|row| row["filename"] == name).unwrap()
    };
    let id = |name: &str| find(name)["id"].as_str().unwrap().to_owned();
    assert_eq!(find("a.mp4")["forward_pending"], true);
    assert_eq!(find("c.mp4")["forward_pending"], Value::Null);

    let path = format!("/api/recordings/{}", id("a.mp4"));
    for refused in [path.clone(), format!("{path}?unforwarded=keep")] {
        let answer = admin.request(Method::DELETE, &refused);
        problem(answer, 409, "not_forwarded").await;
    }
    let upload = format!("/api/uploads/{}", id("a.mp4"));
    let terminated = admin.request(Method::DELETE, &upload);
    let terminated = terminated.header("tus-resumable", "1.0.0");
    problem(terminated, 409, "not_forwarded").await;
    let unknown = admin.request(Method::DELETE, &format!("{path}?unforwarded=yes"));
    problem(unknown, 400, "invalid_field").await;
    assert!(names.iter().all(|name| server.file(name).exists()));

    let all = json!({"ids": [id("b.mp4"), id("c.mp4")]});
    let answer = post(&admin, "/api/recordings/delete", &all).send().await;
    let lines = answer.unwrap().text().await.unwrap();
    assert!(lines.contains("\"not_forwarded\""), "{lines}");
    assert!(server.file("b.mp4").exists() && !server.file("c.mp4").exists());

    let deleted = admin.request(Method::DELETE, &format!("{path}?unforwarded=delete"));
    assert_eq!(
        deleted.send().await.unwrap().status(),
        StatusCode::NO_CONTENT
    );
    let rest = json!({"ids": [id("b.mp4")], "unforwarded": "delete"});
    let answer = post(&admin, "/api/recordings/delete", &rest).send().await;
    let lines = answer.unwrap().text().await.unwrap();
    assert!(lines.contains("\"deleted\""), "{lines}");
    assert!(names.iter().all(|name| !server.file(name).exists()));
    // The audit log says which of them were the only copies.
    let audit = get(&admin, "/api/admin/audit?action=recording.delete").await;
    for (name, is_only_copy) in [("a.mp4", true), ("b.mp4", true), ("c.mp4", false)] {
        let mut rows = audit.as_array().unwrap().iter();
        let row = rows.find(|row| row["subject"] == id(name)).unwrap();
        let detail = row["detail"].as_str().unwrap_or_default();
        assert_eq!(detail.contains("unforwarded=delete"), is_only_copy, "{row}");
    }
}

/// Imports files of four bytes of an appliance that forwards its recordings.
async fn import_unforwarded(server: &TestServer, names: &[&str]) -> Server {
    let beside = Server::open(server.config(), server.clock.clone());
    let beside = beside.await.expect("it opens");
    beside
        .importer()
        .set_forwarding(true)
        .await
        .expect("stored");
    for name in names {
        std::fs::write(server.file(name), b"text").expect("a file");
        let file = CapturedFile {
            name: (*name).to_owned(),
            session: "019aa5b2-0000-7000-8000-00000000000d".to_owned(),
            created_ms: START_MS,
            duration_ms: 1000,
            size_bytes: 4,
            modified_ms: None,
            folder: None,
            forward_pending: true,
            interrupted: false,
            failure: None,
        };
        let imported = beside.importer().import(&file).await;
        assert!(imported.expect("stored"));
    }
    beside
}

#[tokio::test]
async fn user_is_deleted_or_erased_with_unforwarded_recordings_only_with_explicit_consent() {
    let server = server().await;
    // The first administrator owns the recordings.
    let first = server.admin().await;
    let beside = import_unforwarded(&server, &["a.mp4", "b.mp4"]).await;
    let owner = get(&first, "/api/auth/me").await["id"].clone();
    let owner = owner.as_str().unwrap();
    let (name, password) = ("second", "a good password");
    let user = json!({"username": name, "password": password, "roles": ["admin"]});
    json_of(post(&first, "/api/admin/users", &user), 201).await;
    let second = server.sign_in(name, password).await;
    let path = format!("/api/admin/users/{owner}");
    let delete = |query: &str| second.request(Method::DELETE, &format!("{path}?{query}"));
    let detail = problem(delete("recordings=delete"), 409, "not_forwarded").await;
    assert!(detail.contains("central server yet: 2."), "{detail}");
    assert!(!detail.contains("  "), "{detail}");
    let erase = |query: &str| second.post(&format!("{path}/erase{query}"));
    problem(erase(""), 409, "not_forwarded").await;
    problem(erase("?unforwarded=yes"), 400, "invalid_field").await;
    // Nothing was changed.
    assert_eq!(get(&first, "/api/auth/me").await["id"], owner);
    assert!(server.file("a.mp4").exists() && server.file("b.mp4").exists());

    assert!(
        beside
            .importer()
            .confirm_forwarded("a.mp4", 4)
            .await
            .unwrap()
    );
    let deleted = delete("recordings=delete&unforwarded=delete").send().await;
    assert_eq!(deleted.unwrap().status(), StatusCode::NO_CONTENT);
    assert!(!server.file("a.mp4").exists() && !server.file("b.mp4").exists());
    let audit = get(&second, "/api/admin/audit?action=recording.delete").await;
    let consents = audit.as_array().unwrap().iter();
    let consents = consents.filter(|row| row.to_string().contains("unforwarded=delete"));
    assert_eq!(consents.count(), 1, "{audit}");
}

#[tokio::test]
async fn recordings_are_ordinary_once_forwarding_is_off() {
    let server = server().await;
    let admin = server.admin().await;
    let beside = import_unforwarded(&server, &["a.mp4"]).await;
    let importer = beside.importer();
    let pending = importer.forward_pending().await.unwrap();
    assert!(pending.contains("a.mp4"), "{pending:?}");
    assert!(importer.confirm_forwarded("a.mp4", 4).await.unwrap());
    // A change of the file withdraws the confirmation.
    importer.change("a.mp4", 5, 1000).await.unwrap();
    let list = get(&admin, "/api/recordings").await;
    assert_eq!(list[0]["forward_pending"], true, "{list}");
    let id = list[0]["id"].as_str().unwrap();
    let path = format!("/api/recordings/{id}");
    problem(admin.request(Method::DELETE, &path), 409, "not_forwarded").await;
    importer.set_forwarding(false).await.unwrap();
    importer.change("a.mp4", 4, 1000).await.unwrap();
    let deleted = admin.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn metrics_of_an_appliance_have_problem_and_unforwarded_recordings() {
    let recorder = Arc::new(FakeRecorder::new());
    let server = TestServer::with_appliance(&[], Some(recorder.clone())).await;
    let admin = server.admin().await;
    let _beside = import_unforwarded(&server, &["a.mp4", "b.mp4"]).await;
    recorder.fail(Some(RecorderProblem::NotForwarded));
    let scrape = async || {
        let answer = admin.get("/metrics").send().await.unwrap();
        answer.text().await.unwrap()
    };
    let text = scrape().await;
    for line in [
        "sortie_recorder_problem{code=\"not_forwarded\"} 1",
        "sortie_recordings_unforwarded 2",
        "sortie_storage_unforwarded_bytes 8",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    recorder.fail(None);
    let text = scrape().await;
    assert!(!text.contains("not_forwarded"), "{text}");
}
