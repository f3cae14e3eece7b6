//! Live view of a growing recording: what a viewer receives, limits and access.

use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::streams::{large_webm, screen_webm, send, unaligned_webm};
use crate::support::{Client, PATIENCE, TestServer, chromium_webm, header, problem, until};
use sortie_media::{HEAD_ROOM, Indexer, live_head};

const MIB: usize = 1024 * 1024;
const PAUSE: Duration = Duration::from_millis(50);
const CLUSTER: [u8; 4] = [0x1F, 0x43, 0xB6, 0x75];
/// Live views of one user.
const VIEWS_PER_USER: usize = 8;

fn path(id: &str) -> String {
    format!("/api/recordings/{id}/live")
}

async fn watch(client: &Client, path: &str) -> Response {
    let answer = client.get(path).send().await.expect("an answer");
    let status = answer.status();
    assert_eq!(
        status,
        StatusCode::OK,
        "{}",
        answer.text().await.unwrap_or_default()
    );
    answer
}

/// Receives at least `length` bytes.
async fn receive(answer: &mut Response, received: &mut Vec<u8>, length: usize) {
    while received.len() < length {
        let piece = tokio::time::timeout(PATIENCE, answer.chunk()).await;
        let piece = piece.expect("bytes in time").expect("a connection");
        received.extend(piece.expect("more bytes"));
    }
}

/// Receives everything up to the end of the response.
async fn receive_all(mut answer: Response) -> Vec<u8> {
    let mut received = Vec::new();
    loop {
        let piece = tokio::time::timeout(PATIENCE, answer.chunk()).await;
        match piece.expect("bytes in time").expect("an orderly end") {
            Some(piece) => received.extend(piece),
            None => return received,
        }
    }
}

fn find(bytes: &[u8], sought: &[u8]) -> usize {
    let mut windows = bytes.windows(sought.len());
    windows.position(|window| window == sought).expect("found")
}

/// Replaces the sizes of clusters: they are unknown in a recorder's stream and known in a finished file.
fn without_sizes(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len().saturating_sub(12) {
        if bytes[at..].starts_with(&CLUSTER) {
            bytes[at + 4..at + 12].fill(0);
        }
    }
    bytes
}

/// Length of the head that viewers receive: that of the stored file without its padding.
fn head_length(server: &TestServer, id: &str, stream: &[u8]) -> usize {
    let stored = std::fs::read(server.file(&format!("{id}.part"))).expect("a growing file");
    let head_end = usize::try_from(HEAD_ROOM).expect("small") + find(stream, &CLUSTER);
    let head = live_head(&stored[..head_end]);
    assert!(head.len() < 300, "{}", head.len());
    head.len()
}

/// Returns flags and times of the video packets of a stream, as ffprobe reads them.
fn packets(bytes: &[u8]) -> Vec<(String, f64)> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-select_streams", "v:0"])
        .args(["-show_entries", "packet=pts_time,flags"])
        .arg(file.path())
        .output()
        .expect("ffprobe of the package ffmpeg");
    // Generated frames cannot be decoded; errors of the container would be missing packets.
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packets = found["packets"].as_array().expect("packets").iter();
    packets
        .map(|packet| {
            let time = packet["pts_time"].as_str().unwrap_or("-1");
            let flags = packet["flags"].as_str().unwrap_or_default();
            (flags.to_owned(), time.parse().expect("seconds"))
        })
        .collect()
}

#[tokio::test]
async fn viewer_receives_the_newest_keyframe_and_what_follows() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let (id, _) = client.start_recording().await;
    // A keyframe every ten seconds.
    let stream = screen_webm(60, |second| second % 3 == 0);
    let second = |number: usize| {
        let clusters = stream.windows(4).enumerate();
        let mut starts = clusters
            .filter(|(_, bytes)| *bytes == CLUSTER)
            .map(|(at, _)| at);
        starts.nth(number).expect("a cluster")
    };
    send(&client, &id, &stream, 0, second(25), 7000).await;

    let mut newest = watch(&client, &path(&id)).await;
    assert_eq!(
        header(&newest, "content-type"),
        "video/webm; codecs=\"vp8\""
    );
    assert_eq!(header(&newest, "cache-control"), "no-store");
    let earlier = watch(&client, &format!("{}?from_ms=12345", path(&id))).await;
    let first = watch(&client, &format!("{}?from_ms=0", path(&id))).await;
    let future = watch(&client, &format!("{}?from_ms=99999999", path(&id))).await;

    // Everything up to the last complete frame has arrived before more is sent.
    let head = head_length(&server, &id, &stream);
    let mut received = Vec::new();
    receive(&mut newest, &mut received, head + second(25) - second(20)).await;
    assert_eq!(received.len(), head + second(25) - second(20));

    // The end of a request is in the middle of a frame, which is not sent before it is complete.
    send(&client, &id, &stream, second(25), second(40) + 500, 9999).await;
    send(
        &client,
        &id,
        &stream,
        second(40) + 500,
        stream.len(),
        100_000,
    )
    .await;
    received.extend(receive_all(newest).await);
    let media = |from: usize| without_sizes(&stream[second(from)..]);
    for (received, from) in [
        (received, 20),
        (receive_all(earlier).await, 10),
        (receive_all(first).await, 0),
        (receive_all(future).await, 20),
    ] {
        assert!(
            without_sizes(&received[head..]) == media(from),
            "from {from} s"
        );
        let packets = packets(&received);
        assert_eq!(packets.len(), (60 - from) * 10);
        assert!(
            packets[0].0.starts_with('K') && packets[0].1 == from as f64,
            "{:?}",
            packets[0]
        );
        let mut indexer = Indexer::new();
        indexer.push(&received);
        assert_eq!(indexer.duration_ms(), 60_000 - 1000 * from as u64);
    }
    assert_eq!(client.recording(&id).await["status"], "ready");
    problem(client.get(&path(&id)), 409, "not_ready").await;
}

#[tokio::test]
async fn keyframe_within_a_cluster_begins_a_cluster() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let stream = unaligned_webm(9);
    let (id, _) = client.start_recording().await;
    let split = stream.len() * 8 / 9;
    send(&client, &id, &stream, 0, split, 5000).await;
    let newest = watch(&client, &path(&id)).await;
    let earlier = watch(&client, &format!("{}?from_ms=3900", path(&id))).await;
    let first = watch(&client, &format!("{}?from_ms=0", path(&id))).await;
    send(&client, &id, &stream, split, stream.len(), 5000).await;
    for (answer, from_s) in [(newest, 6.5), (earlier, 2.5), (first, 0.5)] {
        let packets = packets(&receive_all(answer).await);
        assert!(
            packets[0].0.starts_with('K') && packets[0].1 == from_s,
            "{packets:?}"
        );
        let times: Vec<_> = packets
            .iter()
            .map(|(_, time)| (time * 10.0).round())
            .collect();
        let expected = (0_u16..90)
            .map(f64::from)
            .skip_while(|time| *time < from_s * 10.0);
        assert!(times.iter().copied().eq(expected), "{packets:?}");
    }
}

#[tokio::test]
async fn fragmented_mp4_is_watched_from_a_fragment() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let file = tempfile::NamedTempFile::with_suffix(".mp4").expect("a file");
    let done = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            "testsrc=size=160x120:rate=10",
        ])
        .args([
            "-t", "12", "-c:v", "libx264", "-g", "20", "-pix_fmt", "yuv420p",
        ])
        .args([
            "-movflags",
            "empty_moov+default_base_moof",
            "-frag_duration",
            "500000",
        ])
        .arg(file.path())
        .status()
        .expect("ffmpeg");
    assert!(done.success());
    let stream = std::fs::read(file.path()).expect("a stream");
    let (id, _) = client.start_recording().await;
    let split = stream.len() / 2;
    send(&client, &id, &stream, 0, split, 3000).await;
    let newest = watch(&client, &path(&id)).await;
    assert_eq!(
        header(&newest, "content-type"),
        "video/mp4; codecs=\"avc1.640033\""
    );
    let earlier = watch(&client, &format!("{}?from_ms=3999", path(&id))).await;
    send(&client, &id, &stream, split, stream.len(), 3000).await;
    for (answer, from_s) in [(newest, 4.0..8.3), (earlier, 2.0..2.3)] {
        let packets = packets(&receive_all(answer).await);
        assert!(packets[0].0.starts_with('K'), "{packets:?}");
        assert!(from_s.contains(&packets[0].1), "{packets:?}");
        assert!(packets.iter().any(|(_, time)| *time == 11.9), "{packets:?}");
    }
}

#[tokio::test]
async fn mp4_without_fragments_of_its_own_is_refused() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    for name in ["ffmpeg-absolute.mp4", "ffmpeg-ordinary-faststart.mp4"] {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../media/tests/data")
            .join(name);
        let stream = std::fs::read(file).expect("a stream");
        let (id, _) = client.start_recording().await;
        send(&client, &id, &stream, 0, stream.len() - 10, 4000).await;
        problem(client.get(&path(&id)), 409, "conflict").await;
    }
}

#[tokio::test]
async fn only_an_open_recording_with_a_keyframe_is_watched_by_its_owner() {
    let mut server = TestServer::start().await;
    let (ann, bea) = (server.user("ann").await, server.user("bea").await);
    let (id, _) = ann.start_recording().await;
    problem(ann.get(&path(&id)), 409, "not_ready").await;
    let stream = chromium_webm();
    send(&ann, &id, &stream, 0, 100, 100).await;
    problem(ann.get(&path(&id)), 409, "not_ready").await;
    send(&ann, &id, &stream, 100, 9000, 9000).await;

    problem(bea.get(&path(&id)), 403, "forbidden").await;
    problem(server.anonymous().get(&path(&id)), 401, "unauthenticated").await;
    problem(ann.get(&path("none")), 404, "not_found").await;
    for wrong in ["-1", "1.5", "NaN", "", "99999999999999999999999"] {
        let path = format!("{}?from_ms={wrong}", path(&id));
        problem(ann.get(&path), 400, "bad_request").await;
    }
    let head = ann.request(Method::HEAD, &path(&id)).send().await;
    let head = head.expect("an answer");
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(header(&head, "content-type"), "video/webm; codecs=\"vp8\"");
    let rows = async || {
        let database = server.database().await;
        let rows = sqlx::query_scalar::<_, i64>(
            "SELECT COUNT(*) FROM audit WHERE action = 'recording.view' AND subject = $1",
        );
        rows.bind(id.clone())
            .fetch_one(&database)
            .await
            .expect("a count")
    };
    assert_eq!(rows().await, 0);
    let (one, _other) = (watch(&ann, &path(&id)).await, watch(&ann, &path(&id)).await);
    assert_eq!(rows().await, 1);

    // A stop of the server does not wait for viewers; afterwards the sender must come first.
    let mut one = one;
    server.restart().await;
    let end = async {
        while one.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    };
    assert!(end.await.is_err(), "the stream has not ended in order");
    let ann = ann.at(&server.url);
    problem(ann.get(&path(&id)), 409, "not_ready").await;
    assert_eq!(ann.offset(&id).await, 9000);
    let mut one = watch(&ann, &path(&id)).await;

    let deleted = ann.delete(&format!("/api/recordings/{id}")).send().await;
    assert_eq!(deleted.expect("an answer").status(), StatusCode::NO_CONTENT);
    let end = async {
        while one.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    };
    assert!(end.await.is_err(), "the stream has not ended in order");
    problem(ann.get(&path(&id)), 404, "not_found").await;
}

#[tokio::test]
async fn views_are_limited_and_end_with_their_connection() {
    let server = TestServer::start().await;
    let (ann, admin) = (server.user("ann").await, server.admin().await);
    let (id, _) = ann.start_recording().await;
    send(&ann, &id, &chromium_webm(), 0, 9000, 9000).await;
    let mut answers = Vec::new();
    for _ in 0..VIEWS_PER_USER {
        answers.push(watch(&ann, &path(&id)).await);
    }
    problem(ann.get(&path(&id)), 429, "too_many_requests").await;
    drop(watch(&admin, &path(&id)).await);
    answers.clear();
    until("a view is free", async || {
        let answer = ann.get(&path(&id)).send().await.expect("an answer");
        answer.status() == StatusCode::OK
    })
    .await;
}

/// A viewer that reads only the beginning.
async fn stalled_viewer(client: &Client, id: &str) -> TcpStream {
    let address = client.url.trim_start_matches("http://");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let stream = socket.connect(address.parse().expect("an address")).await;
    let mut stream = stream.expect("it listens");
    let token = client.token.as_deref().unwrap_or_default();
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n",
        path(id)
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut start = [0; 15];
    stream.read_exact(&mut start).await.expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    stream
}

#[tokio::test]
async fn slow_viewers_are_dropped_while_bytes_arrive() {
    let server = TestServer::start().await;
    let (ann, admin) = (server.user("ann").await, server.admin().await);
    let stream = large_webm(48 * MIB);
    let (id, _) = ann.start_recording().await;
    send(&ann, &id, &stream, 0, MIB, MIB).await;
    let head = head_length(&server, &id, &stream);
    let mut slow = Vec::new();
    for _ in 0..VIEWS_PER_USER {
        slow.push(stalled_viewer(&ann, &id).await);
    }
    problem(ann.get(&path(&id)), 429, "too_many_requests").await;
    let mut quick = watch(&admin, &path(&id)).await;
    // More than the buffers of the connections hold.
    send(&ann, &id, &stream, MIB, 16 * MIB, MIB).await;
    let (mut received, mut at) = (Vec::new(), 16 * MIB);
    receive(&mut quick, &mut received, 15 * MIB).await;
    let is_dropped = async || {
        let answer = ann.get(&path(&id)).send().await.expect("an answer");
        answer.status() == StatusCode::OK
    };
    while !is_dropped().await {
        assert!(at + MIB < stream.len(), "the slow viewers were not dropped");
        send(&ann, &id, &stream, at, at + MIB / 16, MIB).await;
        at += MIB / 16;
        let length = received.len() + MIB / 32;
        receive(&mut quick, &mut received, length).await;
        tokio::time::sleep(PAUSE).await;
    }
    // The viewer that reads has missed nothing.
    send(&ann, &id, &stream, at, stream.len(), 16 * MIB).await;
    received.extend(receive_all(quick).await);
    let from = stream.len() - (received.len() - head);
    assert!(stream[from..].starts_with(&CLUSTER) && from < MIB);
    assert!(without_sizes(&received[head..]) == without_sizes(&stream[from..]));
    let mut last = slow.pop().expect("a viewer");
    let mut rest = Vec::new();
    // The connection was cut without the end of the chunked body.
    let _ = last.read_to_end(&mut rest).await;
    assert!(!rest.ends_with(b"0\r\n\r\n"));
}
