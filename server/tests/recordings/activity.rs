//! Activity of recordings: stored, growing, and of files without a stored one.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::stalled::StalledPatch;
use crate::support::streams::{finished, screen_webm};
use crate::support::{Client, START_MS, TestServer, json_of, problem};
use sortie_server::{CapturedFile, Server};

/// A minute that is idle but for ten seconds.
fn screen() -> Vec<u8> {
    screen_webm(60, |second| (20..30).contains(&second))
}

/// Activity of [`screen`]: the last frame is at 59.9 s and lasts 0.1 s.
fn expected_idle() -> Value {
    json!([{ "start_ms": 0, "end_ms": 20_000 }, { "start_ms": 30_000, "end_ms": 60_000 }])
}

async fn activity(client: &Client, id: &str) -> Value {
    let path = format!("/api/recordings/{id}/activity");
    json_of(client.get(&path), 200).await
}

async fn forget(server: &TestServer, id: &str) {
    let database = server.database().await;
    for statement in [
        "DELETE FROM recording_activity WHERE recording_id = $1",
        "UPDATE recordings SET active_ms = -1 WHERE id = $1",
    ] {
        let done = sqlx::query(statement)
            .bind(id.to_owned())
            .execute(&database);
        assert_eq!(done.await.expect("a statement").rows_affected(), 1);
    }
}

async fn stored_rows(server: &TestServer) -> i64 {
    let database = server.database().await;
    let rows = sqlx::query_scalar("SELECT COUNT(*) FROM recording_activity");
    rows.fetch_one(&database).await.expect("a count")
}

#[tokio::test]
async fn finished_recording_has_levels_and_idle_spans() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let id = client.record(&screen()).await;
    let activity = activity(&client, &id).await;
    assert_eq!(activity["bucket_ms"], 1000);
    assert_eq!(activity["idle"], expected_idle());
    assert_eq!(activity["active_ms"], 10_000);
    let levels = activity["levels"].as_array().expect("an array");
    assert_eq!(levels.len(), 60);
    for (second, level) in levels.iter().enumerate() {
        let is_active = (20..30).contains(&second);
        assert_eq!(level.as_u64() > Some(0), is_active, "{second}: {level}");
    }

    let path = format!("/api/recordings/{id}/activity");
    problem(server.user("bea").await.get(&path), 403, "forbidden").await;
    let deleted = client.delete(&format!("/api/recordings/{id}")).send().await;
    assert_eq!(deleted.expect("an answer").status(), StatusCode::NO_CONTENT);
    problem(client.get(&path), 404, "not_found").await;
    assert_eq!(stored_rows(&server).await, 0);
}

#[tokio::test]
async fn activity_of_earlier_recording_is_scanned_once() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let id = client.record(&screen()).await;
    let stored = activity(&client, &id).await;
    forget(&server, &id).await;
    let (one, other) = tokio::join!(activity(&client, &id), activity(&client, &id));
    assert_eq!((&one, &other), (&stored, &stored));
    assert_eq!(stored_rows(&server).await, 1);
    // The stored result is used: the file is gone.
    let row = client.recording(&id).await;
    let name = row["storage_path"].as_str().expect("a path");
    std::fs::remove_file(server.file(name)).expect("the file");
    assert_eq!(activity(&client, &id).await, stored);
}

#[tokio::test]
async fn activity_of_growing_recording_follows_its_bytes() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    assert_eq!(activity(&client, &id).await["levels"], json!([]));
    let bytes = screen();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let sent = client.patch(&format!("/api/uploads/{id}"), 0, first.to_vec());
    let sent = sent.send().await.expect("an answer");
    assert_eq!(sent.status(), StatusCode::NO_CONTENT);
    let received = activity(&client, &id).await;
    assert!(
        received["levels"].as_array().map(Vec::len) > Some(20),
        "{received}"
    );

    // A request that sends nothing holds the upload.
    let (offset, length) = (first.len() as u64, second.len() as u64);
    let patch = StalledPatch::open(&client, &id, offset, length).await;
    assert_eq!(activity(&client, &id).await, received);
    drop(patch);
    let sent = client.patch(&format!("/api/uploads/{id}"), offset, second.to_vec());
    let sent = sent.header("Upload-Length", bytes.len()).send().await;
    assert_eq!(sent.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert_eq!(activity(&client, &id).await["idle"], expected_idle());
}

#[tokio::test]
async fn failed_recording_has_no_activity() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let id = client.record(b"this is no recording").await;
    let activity = activity(&client, &id).await;
    assert_eq!(
        (&activity["levels"], &activity["idle"]),
        (&json!([]), &json!([]))
    );
}

#[tokio::test]
async fn imported_file_has_activity() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (name, bytes) = ("screen.mp4", finished(&screen()));
    std::fs::write(server.file(name), &bytes).expect("the folder is writable");
    let beside = Server::open(server.config(), server.clock.clone()).await;
    let importer = beside.expect("a server").importer();
    let file = CapturedFile {
        name: name.to_owned(),
        session: "019aa5b2-0000-7000-8000-00000000000a".to_owned(),
        created_ms: START_MS,
        duration_ms: 60_000,
        size_bytes: bytes.len() as u64,
        modified_ms: None,
        folder: None,
        forward_pending: false,
        interrupted: false,
        failure: None,
    };
    assert!(importer.import(&file).await.expect("imported"));
    assert_eq!(stored_rows(&server).await, 1);
    let list = json_of(client.get("/api/recordings"), 200).await;
    let id = list[0]["id"].as_str().expect("an ID").to_owned();
    assert_eq!(activity(&client, &id).await["idle"], expected_idle());

    // Another program replaces the file.
    let bytes = finished(&screen_webm(20, |_| true));
    std::fs::write(server.file(name), &bytes).expect("the folder is writable");
    let changed = importer.change(name, bytes.len() as u64, 20_000).await;
    changed.expect("changed");
    assert_eq!(activity(&client, &id).await["active_ms"], 20_000);
}
