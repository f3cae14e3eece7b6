//! Uploads whose requests alternate between servers.

use reqwest::StatusCode;
use serde_json::Value;

use crate::Installation;
use crate::support::stalled::StalledPatch;
use crate::support::streams::{download, finished, large_webm, send};
use crate::support::{Client, chromium_webm, header, json_of, problem, until};

const MIB: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn upload_alternates_between_servers() {
    let installation = Installation::new(&[]);
    let servers = [
        installation.server().await,
        installation.server().await,
        installation.server().await,
    ];
    let ada = servers[0].user("ada").await;
    let stream = large_webm(19 * MIB);
    let (id, _) = ada.start_recording().await;
    let mut at = 0usize;
    // Parts are sent to the store by alternating servers, some of which receive two requests in a row.
    for (n, size) in [
        1,
        2 * MIB,
        3 * MIB + 7,
        4 * MIB,
        100,
        MIB,
        5 * MIB,
        MIB,
        2 * MIB,
        usize::MAX,
    ]
    .into_iter()
    .enumerate()
    {
        let end = at.saturating_add(size).min(stream.len());
        let there = ada.at(&servers[n % 3].url);
        send(&there, &id, &stream, at, end, 2 * MIB).await;
        let elsewhere = ada.at(&servers[(n + n / 3) % 3].url);
        if end < stream.len() {
            assert_eq!(elsewhere.offset(&id).await, end as u64, "after piece {n}");
        }
        at = end;
    }
    assert_eq!(at, stream.len());
    for server in &servers {
        let ada = ada.at(&server.url);
        assert_eq!(ada.recording(&id).await["status"], "ready");
        assert!(download(&ada, &id).await == finished(&stream));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_without_an_address_shows_its_recordings_live_alone() {
    let installation = Installation::new(&[]);
    let (one, other) = (installation.server().await, installation.server().await);
    let ada = one.user("ada").await;
    let stream = large_webm(3 * MIB);
    let (id, _) = ada.start_recording().await;
    send(&ada, &id, &stream, 0, 2 * MIB, MIB).await;
    let path = format!("/api/recordings/{id}/live");
    problem(ada.at(&other.url).get(&path), 503, "unavailable").await;
    let live = ada.get(&path).send().await.expect("an answer");
    assert_eq!(live.status(), StatusCode::OK);
    send(&ada, &id, &stream, 2 * MIB, stream.len(), MIB).await;
    let received = live.bytes().await.expect("the end of the recording");
    assert!(received.ends_with(&stream[2 * MIB..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_shows_a_recording_live() {
    let installation = Installation::new(&[("SORTIE_REPLICA_ADDRESS", "127.0.0.1")]);
    let servers = [
        installation.server_with_port().await,
        installation.server_with_port().await,
    ];
    let here = servers[0].user("ada").await;
    let there = here.at(&servers[1].url);
    let stranger = servers[1].user("eve").await;
    let stream = large_webm(3 * MIB);
    let (id, _) = here.start_recording().await;
    send(&here, &id, &stream, 0, MIB, MIB).await;
    let path = format!("/api/recordings/{id}/live");
    problem(stranger.get(&path), 403, "forbidden").await;
    let first = there.get(&path).send().await.expect("an answer");
    assert_eq!(first.status(), StatusCode::OK);
    let media_type = header(&first, "content-type");
    assert!(media_type.starts_with("video/webm"), "{media_type}");
    // The sender moves to the other server, and so do the viewers.
    send(&there, &id, &stream, MIB, 2 * MIB, MIB).await;
    let moved = here.get(&path).send().await.expect("an answer");
    assert_eq!(moved.status(), StatusCode::OK);
    send(&there, &id, &stream, 2 * MIB, stream.len(), MIB).await;
    let received = moved.bytes().await.expect("the end of the recording");
    assert!(received.ends_with(&stream[2 * MIB..]));
    // Passed on once: a wrong address is no loop.
    let passed = there.get(&path).header("sortie-passed-on", "1");
    problem(passed, 409, "not_ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_without_the_lease_stores_no_byte() {
    let installation = Installation::new(&[]);
    let (one, other) = (installation.server().await, installation.server().await);
    let (here, stream) = (one.user("ada").await, chromium_webm());
    let there = here.at(&other.url);
    let (id, _) = here.start_recording().await;
    send(&here, &id, &stream, 0, 10_000, 5_000).await;
    // A body stalls at the first server while the sender resumes at the second.
    let mut stalled = StalledPatch::open(&here, &id, 10_000, 5_000).await;
    stalled.send(&[0xEE; 4_000]).await;
    assert_eq!(there.offset(&id).await, 10_000);
    send(&there, &id, &stream, 10_000, 20_000, 5_000).await;
    // The stalled body ends with different bytes than the second server received.
    stalled.send(&[0xEE; 1_000]).await;
    let head = stalled.answer_head().await;
    assert!(head.starts_with("HTTP/1.1 423"), "{head}");
    assert_eq!(there.offset(&id).await, 20_000);
    // An upload deleted at one server is gone at the other, despite its cache.
    let (gone, _) = here.start_recording().await;
    send(&here, &gone, &stream, 0, 10_000, 5_000).await;
    let deleted = there
        .delete(&format!("/api/recordings/{gone}"))
        .send()
        .await;
    assert_eq!(deleted.expect("an answer").status(), StatusCode::NO_CONTENT);
    let more = here.patch(
        &format!("/api/uploads/{gone}"),
        10_000,
        stream[10_000..].to_vec(),
    );
    problem(more, 404, "not_found").await;

    send(&here, &id, &stream, 20_000, stream.len(), 20_000).await;
    assert!(download(&there, &id).await == finished(&stream));
}

#[tokio::test(flavor = "multi_thread")]
async fn recording_finished_at_one_server_is_closed_at_the_other() {
    let installation = Installation::new(&[]);
    let (one, other) = (installation.server().await, installation.server().await);
    let (here, stream) = (one.user("ada").await, chromium_webm());
    let there = here.at(&other.url);
    let (id, _) = here.start_recording().await;
    send(&here, &id, &stream, 0, 10_000, 5_000).await;
    send(&there, &id, &stream, 10_000, stream.len(), 50_000).await;
    // The first server's cache still says that the recording grows.
    let upload = format!("/api/uploads/{id}");
    let late = here.patch(&upload, 10_000, stream[10_000..].to_vec());
    problem(late, 409, "offset_mismatch").await;
    assert_eq!(here.offset(&id).await, stream.len() as u64);
    assert!(download(&here, &id).await == finished(&stream));
}

/// A list shows the current size at servers that do not receive the upload, with a few seconds' delay.
#[tokio::test(flavor = "multi_thread")]
async fn size_of_a_growing_recording_reaches_every_server() {
    let installation = Installation::new(&[]);
    let (one, other) = (installation.server().await, installation.server().await);
    let (here, stream) = (one.user("ada").await, chromium_webm());
    let there = here.at(&other.url);
    let shown = async |client: &Client| -> Value {
        json_of(client.get("/api/recordings"), 200).await[0].clone()
    };
    let (id, _) = here.start_recording().await;
    send(&here, &id, &stream, 0, 10_000, 5_000).await;
    until("the other server knows its size", async || {
        shown(&there).await["size_bytes"] == 10_000
    })
    .await;
    for field in ["duration_seconds", "format", "status"] {
        assert_eq!(shown(&there).await[field], shown(&here).await[field]);
    }
    // The recording grows at the other server; the first server's cached size is outdated.
    send(&there, &id, &stream, 10_000, 20_000, 5_000).await;
    until("the first server knows its size", async || {
        shown(&here).await["size_bytes"] == 20_000
    })
    .await;
}
