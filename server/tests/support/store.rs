//! Checks of the whole server that hold for every object store.
#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::StatusCode;

use super::fault_proxy::{Fault, FaultProxy};
use super::seaweedfs::{ADMIN, BUCKET};
use super::streams::{download, finished, large_webm, send};
use super::{Client, TestServer, chromium_webm, until};

pub(crate) const MIB: usize = 1024 * 1024;

/// Starts a server that stores recordings at this S3 endpoint, under a unique prefix.
pub(crate) async fn s3_server(endpoint: &str, more: &[(&str, &str)]) -> TestServer {
    let prefix = uuid::Uuid::new_v4().simple().to_string();
    let variables = [
        ("SORTIE_RECORDING_STORAGE_BACKEND", "s3"),
        ("SORTIE_RECORDING_S3_BUCKET", BUCKET),
        ("SORTIE_RECORDING_S3_ENDPOINT", endpoint),
        ("SORTIE_RECORDING_S3_PREFIX", &prefix),
        ("AWS_ACCESS_KEY_ID", ADMIN.0),
        ("AWS_SECRET_ACCESS_KEY", ADMIN.1),
    ];
    // The last value of a name takes precedence.
    TestServer::with(&[&variables, more].concat()).await
}

/// Starts the program with these variables only, like an operator; returns both output streams until it listens or
/// exits.
pub(crate) fn run_until_ready(variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let mut program = Command::new(env!("CARGO_BIN_EXE_sortie-server"))
        .env_clear()
        .env("SORTIE_VIDEO_RECORDING_ENABLED", "true")
        .env("SORTIE_HOST", "127.0.0.1")
        .env("SORTIE_PORT", "0")
        .env("SORTIE_DB", folder.path().join("sortie.db"))
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server program");
    let mut said = String::new();
    let stdout = BufReader::new(program.stdout.take().expect("a pipe"));
    for line in stdout.lines().map_while(Result::ok) {
        said += &line;
        if line.contains("listens on") {
            break;
        }
    }
    let _ = program.kill();
    let mut stderr = program.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut said).expect("text");
    let _ = program.wait();
    said
}

/// Waits until the store has confirmed a part.
pub(crate) async fn wait_until_confirmed(server: &TestServer, id: &str, part: u64) {
    let staging = server.database_file().with_file_name("staging");
    let part = staging.join(id).join(format!("{part:05}.part"));
    until("the store has the part", async || !part.exists()).await;
}

/// Creates, plays in part, downloads and deletes a recording.
pub(crate) async fn check_life(server: &TestServer, back_end: &str) {
    let client = server.user("ada").await;
    let stream = chromium_webm();
    let id = client.record(&stream).await;
    let recording = client.recording(&id).await;
    assert_eq!(recording["status"], "ready");
    assert_eq!(recording["storage_backend"], back_end);
    assert!(download(&client, &id).await == finished(&stream));

    let part = client
        .get(&format!("/api/recordings/{id}/stream"))
        .header("Range", "bytes=4090-4109")
        .send()
        .await
        .expect("an answer");
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert!(part.bytes().await.expect("a body") == finished(&stream)[4090..4110]);
    check_deletion(&client, &id).await;
}

pub(crate) async fn check_deletion(client: &Client, id: &str) {
    let deleted = client.delete(&format!("/api/recordings/{id}")).send().await;
    assert_eq!(deleted.expect("an answer").status(), StatusCode::NO_CONTENT);
}

/// Restarts the server repeatedly while a recording grows. Returns the recording's ID.
pub(crate) async fn check_restarts(server: &mut TestServer) -> String {
    let stream = large_webm(37 * MIB);
    let (id, _) = server.admin().await.start_recording().await;
    let mut at = 0;
    for end in [
        11 * MIB,
        12 * MIB + 1,
        25 * MIB + 77,
        34 * MIB,
        stream.len(),
    ] {
        let client = server.admin().await;
        assert_eq!(client.offset(&id).await, at as u64);
        send(&client, &id, &stream, at, end, 3 * MIB).await;
        at = end;
        if end < stream.len() {
            server.restart().await;
        }
    }
    let client = server.admin().await;
    assert_eq!(client.recording(&id).await["status"], "ready");
    assert!(download(&client, &id).await == finished(&stream));
    id
}

/// Half of all requests fail; the stored bytes are unchanged.
pub(crate) async fn check_bad_day(proxy: &FaultProxy, server: &TestServer) {
    let client = server.admin().await;
    proxy.plan(|number, line| match number % 8 {
        1 => Fault::Status(503),
        3 => Fault::CutBefore,
        4 => Fault::Status(500),
        6 if line.starts_with("P") => Fault::CutAfter,
        7 => Fault::Delay(Duration::from_millis(50)),
        _ => Fault::None,
    });
    for size in [MIB, 9 * MIB, 27 * MIB] {
        let stream = large_webm(size);
        let (id, _) = client.start_recording().await;
        send(&client, &id, &stream, 0, stream.len(), 2 * MIB).await;
        assert_eq!(client.recording(&id).await["status"], "ready");
        assert!(download(&client, &id).await == finished(&stream), "{size}");
    }
    for fault in [Fault::Status(503), Fault::CutBefore, Fault::CutAfter] {
        check_fault_occurred(proxy, fault);
    }
}

/// The store completes the object, and the answer is lost.
pub(crate) async fn check_lost_completion(
    proxy: &FaultProxy,
    server: &TestServer,
    completes: fn(&str) -> bool,
) {
    let client = server.admin().await;
    let mut lost = false;
    proxy.plan(move |_, line| {
        if !lost && completes(line) {
            lost = true;
            return Fault::CutAfter;
        }
        Fault::None
    });
    let stream = large_webm(18 * MIB);
    let (id, _) = client.start_recording().await;
    send(&client, &id, &stream, 0, stream.len(), 5 * MIB).await;
    assert_eq!(client.recording(&id).await["status"], "ready");
    assert!(download(&client, &id).await == finished(&stream));
    check_fault_occurred(proxy, Fault::CutAfter);
}

#[track_caller]
fn check_fault_occurred(proxy: &FaultProxy, fault: Fault) {
    let log = proxy.log();
    assert!(log.iter().any(|(_, met)| *met == fault), "{fault:?}");
}

/// Parts are lost from the store: the recording fails with a reason and is not retried forever.
pub(crate) async fn check_failed(client: &Client, id: &str) {
    let recording = client.recording(id).await;
    assert_eq!(recording["status"], "failed", "{recording}");
    let why = recording["failure"].as_str().unwrap_or_default();
    assert!(why.contains("removed parts"), "{why}");
    let answer = client.get(&format!("/api/recordings/{id}/download"));
    assert_eq!(
        answer.send().await.expect("an answer").status(),
        StatusCode::CONFLICT
    );
}
