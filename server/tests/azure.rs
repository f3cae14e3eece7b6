//! The whole server with recordings in Azure Blob Storage, and a network that has bad days.
#![cfg(feature = "s3")]

mod support;

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::StatusCode;
use support::azurite::{ACCOUNT, CONTAINER, KEY, azurite};
use support::fault_proxy::{Fault, FaultProxy};
use support::streams::{download, finished, large_webm, send};
use support::{TestServer, chromium_webm};

const MIB: usize = 1024 * 1024;

/// A server that keeps recordings at this endpoint, under a prefix of its own.
async fn server(endpoint: &str, more: &[(&str, &str)]) -> TestServer {
    let prefix = uuid::Uuid::new_v4().simple().to_string();
    let variables = [
        ("SORTIE_RECORDING_STORAGE_BACKEND", "azure"),
        ("SORTIE_RECORDING_AZURE_CONTAINER", CONTAINER),
        ("SORTIE_RECORDING_AZURE_PREFIX", &prefix),
        ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
        ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
        ("AZURE_STORAGE_ENDPOINT", endpoint),
    ];
    // The first of a name counts.
    TestServer::with(&[more, &variables].concat()).await
}

/// A proxy before Azurite, and the endpoint that it makes.
async fn proxy() -> (FaultProxy, String) {
    let proxy = FaultProxy::start(&azurite().origin(), |_, _| Fault::None).await;
    let endpoint = format!("{}/{ACCOUNT}", proxy.endpoint);
    (proxy, endpoint)
}

#[tokio::test]
async fn a_recording_lives_in_the_store() {
    let server = server(&azurite().endpoint, &[]).await;
    let client = server.user("ada").await;
    let stream = chromium_webm();
    let id = client.record(&stream).await;
    let recording = client.recording(&id).await;
    assert_eq!(recording["status"], "ready");
    assert_eq!(recording["storage_backend"], "azure");
    assert!(download(&client, &id).await == finished(&stream));

    let part = client
        .get(&format!("/api/recordings/{id}/stream"))
        .header("Range", "bytes=4090-4109")
        .send()
        .await
        .expect("an answer");
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert!(part.bytes().await.expect("a body") == finished(&stream)[4090..4110]);

    let deleted = client.delete(&format!("/api/recordings/{id}")).send().await;
    assert_eq!(deleted.expect("an answer").status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_restart_goes_on_with_the_same_blocks() {
    let (proxy, endpoint) = proxy().await;
    let mut server = server(&endpoint, &[]).await;
    let stream = large_webm(37 * MIB);
    let (id, _) = server.admin().await.start_recording().await;
    let mut at = 0;
    for end in [11 * MIB, 12 * MIB + 1, 25 * MIB + 77, stream.len()] {
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

    let blob = format!("/{id}.webm");
    let lists = |(line, _): &(String, Fault)| line.contains(&blob) && line.contains("=blocklist");
    assert_eq!(proxy.log().iter().filter(|&entry| lists(entry)).count(), 1);
}

#[tokio::test]
async fn a_bad_day_costs_no_byte() {
    let (proxy, endpoint) = proxy().await;
    let server = server(&endpoint, &[]).await;
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
    let log = proxy.log();
    for fault in [Fault::Status(503), Fault::CutBefore, Fault::CutAfter] {
        assert!(log.iter().any(|(_, met)| *met == fault), "{fault:?}");
    }
}

/// The store did it, and nobody heard. Its blocks are in a blob now, and another attempt does not find them.
#[tokio::test]
async fn a_completion_whose_answer_is_lost() {
    let (proxy, endpoint) = proxy().await;
    let server = server(&endpoint, &[]).await;
    let client = server.admin().await;
    let mut lost = false;
    proxy.plan(move |_, line| {
        if !lost && line.contains("comp=blocklist") {
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
    let log = proxy.log();
    assert!(log.iter().any(|(_, fault)| *fault == Fault::CutAfter));
}

/// Blocks that are gone: the recording fails, says so, and can be deleted.
#[tokio::test]
async fn blocks_that_the_store_does_not_know_any_more() {
    let (proxy, endpoint) = proxy().await;
    let sqlite = [("SORTIE_DB_TYPE", "sqlite")];
    let server = server(&endpoint, &sqlite).await;
    let client = server.admin().await;
    let stream = large_webm(20 * MIB);
    let (id, _) = client.start_recording().await;
    send(&client, &id, &stream, 0, 19 * MIB, 4 * MIB).await;
    let staging = server.database_file().with_file_name("staging").join(&id);
    while staging.join("00001.part").exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    proxy.plan(|_, line| {
        if line.contains("comp=blocklist") {
            Fault::Refused("InvalidBlockList")
        } else {
            Fault::None
        }
    });
    send(&client, &id, &stream, 19 * MIB, stream.len(), 4 * MIB).await;
    let recording = client.recording(&id).await;
    assert_eq!(recording["status"], "failed", "{recording}");
    let why = recording["failure"].as_str().unwrap_or_default();
    assert!(why.contains("removed parts"), "{why}");
    proxy.plan(|_, _| Fault::None);
    let deleted = client.delete(&format!("/api/recordings/{id}")).send().await;
    assert_eq!(deleted.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert!(!staging.exists());
}

/// Starts the program as an operator does, and gives what it says when it gives up.
#[test]
fn a_start_without_the_container_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut program = Command::new(env!("CARGO_BIN_EXE_sortie-server"))
        .env_clear()
        .env("SORTIE_VIDEO_RECORDING_ENABLED", "true")
        .env("SORTIE_HOST", "127.0.0.1")
        .env("SORTIE_PORT", "0")
        .env("SORTIE_DB", folder.path().join("sortie.db"))
        .env("SORTIE_RECORDING_STORAGE_BACKEND", "azure")
        .env("SORTIE_RECORDING_AZURE_CONTAINER", "nowhere")
        .env("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
        .env("AZURE_STORAGE_ACCOUNT_KEY", KEY)
        .env("AZURE_STORAGE_ENDPOINT", &azurite().endpoint)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server program");
    let mut said = String::new();
    let mut stderr = program.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut said).expect("text");
    assert!(!program.wait().expect("an end").success());
    assert!(said.contains("cannot use the bucket nowhere"), "{said}");
    assert!(said.contains("SORTIE_RECORDING_AZURE_CONTAINER"), "{said}");
}
