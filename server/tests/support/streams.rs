//! Creates, sends and fetches long recordings for storage tests.
#![allow(dead_code, reason = "each test program uses its part")]

use reqwest::StatusCode;
use sortie_media::{HEAD_ROOM, Indexer, Options};

use super::{Client, chromium_webm};

const CLUSTER: [u8; 4] = [0x1F, 0x43, 0xB6, 0x75];

/// A real head without clusters.
fn webm_head() -> Vec<u8> {
    let mut bytes = chromium_webm();
    let first = bytes.windows(4).position(|four| four == CLUSTER);
    bytes.truncate(first.expect("a cluster"));
    bytes
}

/// Appends a second of ten frames of this size, one of which may be a keyframe.
fn push_second(bytes: &mut Vec<u8>, second: u64, frame_size: usize, keyframe: Option<u16>) {
    bytes.extend(CLUSTER);
    // Unknown size, as recorders write it.
    bytes.extend([0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    bytes.extend([0xE7, 0x88]);
    bytes.extend((second * 1000).to_be_bytes());
    let mut state = u32::try_from(second).expect("small") + 1;
    for frame in 0..10u16 {
        let length = u32::try_from(frame_size + 4).expect("small") | 0x1000_0000;
        bytes.push(0xA3);
        bytes.extend(length.to_be_bytes());
        bytes.push(0x81);
        bytes.extend((frame * 100).to_be_bytes());
        bytes.push(if keyframe == Some(frame) { 0x80 } else { 0 });
        bytes.extend((0..frame_size).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        }));
    }
}

/// A recording of about this size: a real head followed by clusters of large frames.
pub(crate) fn large_webm(size: usize) -> Vec<u8> {
    let mut bytes = webm_head();
    let mut second = 0;
    while bytes.len() < size {
        push_second(&mut bytes, second, 60_000, Some(0));
        second += 1;
    }
    bytes
}

/// A recording of 18 MB and half a minute that can only be decoded from its beginning.
pub(crate) fn sparse_webm() -> Vec<u8> {
    let mut bytes = webm_head();
    for second in 0..30 {
        push_second(&mut bytes, second, 60_000, (second == 0).then_some(0));
    }
    bytes
}

/// A recording of this duration with a keyframe every ten seconds, whose picture changes in some seconds only.
pub(crate) fn screen_webm(seconds: u64, is_active: impl Fn(u64) -> bool) -> Vec<u8> {
    let mut bytes = webm_head();
    for second in 0..seconds {
        let size = if is_active(second) { 3000 } else { 20 };
        let keyframe = (second % 10 == 0).then_some(0);
        push_second(&mut bytes, second, size, keyframe);
    }
    bytes
}

/// A recording of this duration whose clusters have keyframes in their middle: at 0.5 s, 2.5 s, …
pub(crate) fn unaligned_webm(seconds: u64) -> Vec<u8> {
    let mut bytes = webm_head();
    for second in 0..seconds {
        let keyframe = (second % 2 == 0).then_some(5);
        push_second(&mut bytes, second, 300, keyframe);
    }
    bytes
}

/// The stored file of a stream, byte for byte.
pub(crate) fn finished(stream: &[u8]) -> Vec<u8> {
    let mut indexer = Indexer::with(Options::default().patch_clusters(false));
    let mut file = vec![0; usize::try_from(HEAD_ROOM).expect("small")];
    file.extend(stream);
    indexer.push(stream);
    let live: Vec<_> = std::iter::from_fn(|| indexer.poll_patch()).collect();
    let finish = indexer.finish().expect("playable");
    file.truncate(usize::try_from(finish.keep).expect("small"));
    file.extend(&finish.append);
    for patch in live.iter().chain(&finish.patches) {
        let at = usize::try_from(patch.position).expect("small");
        file[at..at + patch.bytes.len()].copy_from_slice(&patch.bytes);
    }
    file
}

/// Sends the bytes from `from` to `to` in requests of this size.
pub(crate) async fn send(
    client: &Client,
    id: &str,
    stream: &[u8],
    from: usize,
    to: usize,
    chunk: usize,
) {
    let mut at = from;
    while at < to {
        let end = (at + chunk).min(to);
        let body = stream[at..end].to_vec();
        let mut request = client.patch(&format!("/api/uploads/{id}"), at as u64, body);
        if end == stream.len() {
            request = request.header("Upload-Length", end);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        assert_eq!(status, StatusCode::NO_CONTENT, "at {at}: {text}");
        at = end;
    }
}

pub(crate) async fn download(client: &Client, id: &str) -> Vec<u8> {
    let answer = client
        .get(&format!("/api/recordings/{id}/download"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    answer.bytes().await.expect("a body").to_vec()
}
