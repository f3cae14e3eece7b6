//! Decisions at one server take effect at every other server.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;

use crate::Installation;
use crate::support::{Client, PATIENCE, chromium_webm, json_of, problem, until};

/// Lifetime of an entry in another server's auth cache.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// Reads events until one contains this text.
async fn event_with(client: &Client, what: &str, act: impl Future<Output = ()>) {
    let answer = client.get("/api/events").send().await;
    let mut answer = answer.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let mut seen = String::new();
    // The first event arrives immediately; later events are not missed.
    let first = answer.chunk().await.expect("bytes").expect("an event");
    seen.push_str(&String::from_utf8_lossy(&first));
    act.await;
    let waiting = async {
        while !seen.contains(what) {
            let chunk = answer
                .chunk()
                .await
                .expect("bytes")
                .expect("the stream continues");
            seen.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{what} is not in {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_sessions_and_events_reach_every_replica() {
    let installation = Installation::new(&[]);
    let (one, other) = (installation.server().await, installation.server().await);
    let (here, ada) = (one.admin().await, one.user("ada").await);
    let there = ada.at(&other.url);

    event_with(&there, "recording_auto_record", async {
        let settings = json!({ "recording_auto_record": "true" });
        let put = here
            .request(reqwest::Method::PUT, "/api/admin/settings")
            .json(&settings);
        assert_eq!(
            put.send().await.expect("an answer").status(),
            StatusCode::NO_CONTENT
        );
    })
    .await;
    let seen = json_of(here.at(&other.url).get("/api/admin/settings"), 200).await;
    assert_eq!(seen["recording_auto_record"], "true");

    let session = ada.session().await;
    let path = format!("/api/sessions/{session}");
    assert_eq!(
        json_of(there.get(&path), 200).await["recording_policy"],
        "auto"
    );
    event_with(&there, &session, async {
        json_of(ada.post(&format!("{path}/stop")), 200).await;
    })
    .await;
    assert_eq!(json_of(there.get(&path), 200).await["status"], "stopped");
    let start = there.post(&format!("{path}/recording/start"));
    problem(start, 409, "session_not_running").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_out_and_disable_take_effect_at_every_replica() {
    let installation = Installation::new(&[]);
    let (one, other) = (installation.server().await, installation.server().await);
    let admin = one.admin().await;
    let (ada, bob) = (one.user("ada").await, one.user("bob").await);
    for client in [&ada, &bob] {
        json_of(client.at(&other.url).get("/api/auth/me"), 200).await;
    }
    let out = ada
        .post("/api/auth/logout")
        .send()
        .await
        .expect("an answer");
    assert!(out.status().is_success(), "{}", out.status());
    let disable = admin
        .request(
            reqwest::Method::PATCH,
            &format!("/api/admin/users/{}", bob.user_id),
        )
        .json(&json!({ "disabled": true }));
    json_of(disable, 200).await;
    other.clock.advance(GOOD_FOR);
    for client in [&ada, &bob] {
        problem(
            client.at(&other.url).get("/api/auth/me"),
            401,
            "unauthenticated",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_runs_at_one_replica_at_a_time() {
    let installation = Installation::new(&[("SORTIE_RECORDING_RETENTION_DAYS", "1")]);
    let servers = [installation.server().await, installation.server().await];
    let ada = servers[0].user("ada").await;
    let webm = chromium_webm();
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(ada.record(&webm).await);
    }
    for server in &servers {
        server.clock.advance(Duration::from_secs(2 * 86_400));
    }
    let mut runs = Vec::new();
    for server in &servers {
        let admin = server.admin().await;
        runs.push(tokio::spawn(async move {
            let answer = admin.post("/api/admin/retention/run").send().await;
            let answer = answer.expect("an answer");
            let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
            // A conflict is valid, too: another server is already running retention.
            assert!([200, 409].contains(&status.as_u16()), "{status}: {text}");
        }));
    }
    for run in runs {
        run.await.expect("no panic");
    }
    let admin = servers[1].admin().await;
    for id in &ids {
        let log = format!("/api/admin/audit?subject={id}&action=recording.delete");
        let log = json_of(admin.get(&log), 200).await;
        assert_eq!(log.as_array().map(Vec::len), Some(1), "{log}");
        problem(
            admin.get(&format!("/api/recordings/{id}")),
            404,
            "not_found",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_report_a_missing_recording_once() {
    let installation = Installation::new(&[("SORTIE_RECORDING_MISSING_SECONDS", "30")]);
    let servers = [installation.server().await, installation.server().await];
    let ada = servers[0].user("ada").await;
    let body = json!({ "app_id": "exam", "recording": "required" });
    let session = json_of(ada.post("/api/sessions").json(&body), 201).await;
    let session = session["id"].as_str().unwrap_or_default();
    let admin = servers[1].admin().await;
    let reports = async |action: &str| {
        let log = format!("/api/admin/audit?subject={session}&action=recording.{action}");
        let log = json_of(admin.get(&log), 200).await;
        log.as_array().map(Vec::len).unwrap_or_default()
    };
    // Both replicas see more than the limit of silence.
    let silent = async |expected: usize| {
        until("the silence is reported", async || {
            tokio::time::sleep(Duration::from_millis(200)).await;
            for server in &servers {
                server.clock.advance(Duration::from_secs(2));
            }
            reports("missing").await == expected
        })
        .await;
        for server in &servers {
            server.clock.advance(Duration::from_secs(60));
        }
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(reports("missing").await, expected);
    };
    silent(1).await;

    // The other replica learns of the bytes late.
    let start = ada.post(&format!("/api/sessions/{session}/recording/start"));
    let started = json_of(start, 201).await;
    let path = started["upload_url"].as_str().unwrap_or_default();
    let sent = ada.patch(path, 0, chromium_webm()[..1000].to_vec()).send();
    assert_eq!(sent.await.expect("an answer").status(), 204);
    until("the return is reported", async || {
        reports("resumed").await == 1
    })
    .await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!((reports("missing").await, reports("resumed").await), (1, 1));
    silent(2).await;
    assert_eq!(reports("resumed").await, 1);
}
