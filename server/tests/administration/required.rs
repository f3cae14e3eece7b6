//! Required recordings: a running session without live bytes is reported once, and once when the bytes are back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, TestServer, chromium_webm, json_of, problem};
use crate::until;

const SECOND: Duration = Duration::from_secs(1);

/// Lets time pass in small steps, ten times as fast as it does.
async fn pass(server: &TestServer) {
    tokio::time::sleep(SECOND / 5).await;
    server.clock.advance(2 * SECOND);
}

async fn server() -> TestServer {
    TestServer::with(&[("SORTIE_RECORDING_MISSING_SECONDS", "30")]).await
}

async fn required_session(client: &Client) -> String {
    let body = json!({ "app_id": "exam", "recording": "required" });
    let session = json_of(client.post("/api/sessions").json(&body), 201).await;
    assert_eq!(session["recording"], "required");
    assert_eq!(session["recording_missing_since"], Value::Null);
    session["id"].as_str().unwrap_or_default().to_owned()
}

/// Actions about required recordings of a session, oldest first.
async fn reports(admin: &Client, session: &str) -> Vec<String> {
    let mut found = Vec::new();
    for action in ["recording.missing", "recording.resumed"] {
        for row in admin
            .audit(&format!("subject={session}&action={action}"))
            .await
        {
            found.push((row["seq"].as_u64(), action.to_owned()));
        }
    }
    found.sort();
    found.into_iter().map(|(_, action)| action).collect()
}

/// Waits until the watch has checked twice: a new session is reported as missing after the limit.
async fn checked(server: &TestServer, admin: &Client) {
    let probe = required_session(admin).await;
    // The probe is first observed at some tick; each advance is an ordinary delay for the server.
    until("the probe is reported", async || {
        pass(server).await;
        !reports(admin, &probe).await.is_empty()
    })
    .await;
    json_of(admin.post(&format!("/api/sessions/{probe}/stop")), 200).await;
}

async fn send(client: &Client, recording: &str, from: usize, to: usize) {
    let bytes = chromium_webm()[from..to].to_vec();
    let patch = client.patch(&format!("/api/uploads/{recording}"), from as u64, bytes);
    assert_eq!(patch.send().await.expect("an answer").status(), 204);
}

#[tokio::test]
async fn missing_recording_is_reported_once_and_so_is_its_return() {
    let mut server = server().await;
    let admin = server.admin().await;
    let ann = server.user("ann").await;
    let session = required_session(&ann).await;
    let optional = ann.session().await;

    until("the session is reported", async || {
        pass(&server).await;
        !reports(&admin, &session).await.is_empty()
    })
    .await;
    let row = ann.session_row(&session).await;
    assert!(row["recording_missing_since"].is_string(), "{row}");
    let metrics = admin.get("/metrics").send().await.expect("an answer");
    let metrics = metrics.text().await.expect("a text");
    for line in [
        "sortie_sessions_recording_missing 1",
        "sortie_recording_missing_total 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    checked(&server, &admin).await;
    assert_eq!(reports(&admin, &session).await, ["recording.missing"]);
    assert!(reports(&admin, &optional).await.is_empty());

    // A restart repeats nothing and forgets nothing.
    server.restart().await;
    let (admin, ann) = (
        server.admin().await,
        server.sign_in("ann", "a good password").await,
    );
    checked(&server, &admin).await;
    assert_eq!(reports(&admin, &session).await, ["recording.missing"]);

    let path = format!("/api/sessions/{session}/recording/start");
    let started = json_of(ann.post(&path), 201).await;
    let recording = started["recording_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    send(&ann, &recording, 0, 1000).await;
    until("the return is reported", async || {
        reports(&admin, &session).await.len() == 2
    })
    .await;
    assert_eq!(
        ann.session_row(&session).await["recording_missing_since"],
        Value::Null
    );

    // The recording falls silent, with its sender still connected.
    until("the silence is reported", async || {
        pass(&server).await;
        ann.offset(&recording).await;
        reports(&admin, &session).await.len() == 3
    })
    .await;
    // An ended session is missing nothing.
    json_of(ann.post(&format!("/api/sessions/{session}/stop")), 200).await;
    assert_eq!(
        ann.session_row(&session).await["recording_missing_since"],
        Value::Null
    );
    checked(&server, &admin).await;
    let all = reports(&admin, &session).await;
    assert_eq!(
        all,
        [
            "recording.missing",
            "recording.resumed",
            "recording.missing"
        ]
    );
}

#[tokio::test]
async fn absence_of_the_server_reports_nothing() {
    let server = server().await;
    let admin = server.admin().await;
    let sessions = [
        required_session(&admin).await,
        required_session(&admin).await,
    ];
    checked(&server, &admin).await;
    for session in &sessions {
        assert_eq!(reports(&admin, session).await.len(), 1);
    }
    let fresh = required_session(&admin).await;
    server.clock.stop_for(3600 * SECOND);
    let admin = server.admin().await;
    // Two ordinary ticks of the watch.
    tokio::time::sleep(11 * SECOND).await;
    assert!(reports(&admin, &fresh).await.is_empty());
    server.clock.advance(30 * SECOND);
    until("the silence after the absence is reported", async || {
        !reports(&admin, &fresh).await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn owner_cannot_lift_the_requirement() {
    let server = server().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let path = format!("/api/sessions/{}", required_session(&ann).await);
    let optional = json!({ "recording": "optional" });
    problem(ann.change(&path, &optional), 403, "forbidden").await;
    assert_eq!(json_of(ann.get(&path), 200).await["recording"], "required");
    assert_eq!(
        json_of(admin.change(&path, &optional), 200).await["recording"],
        "optional"
    );
    let required = json!({ "recording": "required" });
    assert_eq!(
        json_of(ann.change(&path, &required), 200).await["recording"],
        "required"
    );
    // Without effect, and therefore allowed.
    json_of(ann.change(&path, &required), 200).await;
    problem(
        ann.change(&path, &json!({ "recording": null })),
        400,
        "bad_request",
    )
    .await;
}
