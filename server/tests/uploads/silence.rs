//! Silence of a sender: which requests count as activity.

use std::time::Duration;

use crate::support::{Client, TestServer, chromium_webm, json_of, until};
use serde_json::{Value, json};

const SILENCE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
/// Grace time for the last bytes of a recording whose session has ended.
const GRACE: Duration = Duration::from_secs(10);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

async fn server() -> TestServer {
    TestServer::with(&[("SORTIE_RECORDING_SILENCE_SECONDS", "60")]).await
}

async fn status(client: &Client, id: &str) -> Value {
    client.recording(id).await["status"].clone()
}

/// Waits for a tick of the reaper after `meanwhile`: it finishes a recording whose session has ended, after a grace
/// time.
async fn tick(server: &TestServer, meanwhile: impl FnOnce()) {
    let client = server.admin().await;
    let (id, session) = client.start_recording().await;
    json_of(client.post(&format!("/api/sessions/{session}/stop")), 200).await;
    meanwhile();
    server.clock.advance(GRACE);
    let client = server.admin().await;
    until("the reaper ticks", async || {
        status(&client, &id).await == "failed"
    })
    .await;
}

#[tokio::test]
async fn clock_jumps_and_a_stopped_process_do_not_end_recordings() {
    let server = server().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let patched = client.patch(&format!("/api/uploads/{id}"), 0, chromium_webm());
    assert_eq!(patched.send().await.expect("an answer").status(), 204);
    for jump_ms in [DAY_MS / 24, -DAY_MS / 24, 400 * DAY_MS, -400 * DAY_MS] {
        server.clock.jump(jump_ms);
        tick(&server, || ()).await;
        let client = server.admin().await;
        assert_eq!(status(&client, &id).await, "recording", "{jump_ms}");
        client.offset(&id).await;
    }
    tick(&server, || server.clock.stop_for(SILENCE * 100)).await;
    let client = server.admin().await;
    assert_eq!(status(&client, &id).await, "recording");
    server.clock.advance(SILENCE);
    until("the silent recording is finished", async || {
        status(&client, &id).await == "ready"
    })
    .await;
}

#[tokio::test]
async fn head_by_a_paused_sender_keeps_its_upload_open() {
    let server = server().await;
    let client = server.admin().await;
    let (id, session) = client.start_recording().await;
    let started = client
        .post(&format!("/api/sessions/{session}/recording/start"))
        .json(&json!({ "continues": id }));
    let seconds = json_of(started, 201).await["silence_seconds"].as_u64();
    let third = Duration::from_secs(seconds.expect("a number") / 3);
    let mut paused = Duration::ZERO;
    while paused < SILENCE * 3 {
        server.clock.advance(third);
        paused += third;
        client.offset(&id).await;
    }
    tick(&server, || ()).await;
    assert_eq!(status(&client, &id).await, "recording");
}

#[tokio::test]
async fn restart_renews_the_silence_limit_of_open_uploads() {
    let mut server = server().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    server.clock.advance(SILENCE - SECOND);
    server.stop().await;
    server.clock.advance(SILENCE * 100);
    server.restart().await;
    tick(&server, || ()).await;
    let client = server.admin().await;
    assert_eq!(status(&client, &id).await, "recording");
    server.clock.advance(SILENCE);
    until("the recording is finished", async || {
        status(&client, &id).await == "failed"
    })
    .await;
}

#[tokio::test]
async fn clock_jump_after_the_end_of_a_session_keeps_last_bytes() {
    let server = server().await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let (id, session) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    json_of(client.post(&format!("/api/sessions/{session}/stop")), 200).await;
    server.clock.jump(DAY_MS / 24);
    let client = server.admin().await;
    let cut = bytes.len() - 3000;
    let first = client.patch(&upload, 0, bytes[..cut].to_vec()).send().await;
    assert_eq!(first.expect("an answer").status(), 204);
    // A tick within the grace time of this recording.
    let (other, session) = client.start_recording().await;
    json_of(client.post(&format!("/api/sessions/{session}/stop")), 200).await;
    server.clock.advance(GRACE - SECOND);
    client.offset(&id).await;
    server.clock.advance(SECOND);
    until("the reaper ticks", async || {
        status(&client, &other).await == "failed"
    })
    .await;
    let last = client
        .patch(&upload, cut as u64, bytes[cut..].to_vec())
        .header("Upload-Length", bytes.len());
    assert_eq!(last.send().await.expect("an answer").status(), 204);
    let recording = client.recording(&id).await;
    assert_eq!(recording["status"], "ready");
    assert_eq!(recording["interrupted"], false);
}
