//! Creates, sends and fetches long recordings for storage tests.
#![allow(dead_code, reason = "each test program uses its part")]

use reqwest::StatusCode;
use sortie_media::{HEAD_ROOM, Indexer, Options};

use super::{Client, chromium_webm};

/// A recording of about this size: a real head followed by clusters of large frames.
pub(crate) fn large_webm(size: usize) -> Vec<u8> {
    const CLUSTER: [u8; 4] = [0x1F, 0x43, 0xB6, 0x75];
    let mut bytes = chromium_webm();
    let first = bytes.windows(4).position(|four| four == CLUSTER);
    bytes.truncate(first.expect("a cluster"));
    let (mut seconds, mut state) = (0u64, 1u32);
    while bytes.len() < size {
        bytes.extend(CLUSTER);
        // Unknown size, as recorders write it.
        bytes.extend([0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        bytes.extend([0xE7, 0x88]);
        bytes.extend((seconds * 1000).to_be_bytes());
        for frame in 0..10u16 {
            const FRAME: usize = 60_000;
            let length = u32::try_from(FRAME + 4).expect("small") | 0x1000_0000;
            bytes.push(0xA3);
            bytes.extend(length.to_be_bytes());
            bytes.push(0x81);
            bytes.extend((frame * 100).to_be_bytes());
            bytes.push(if frame == 0 { 0x80 } else { 0 });
            bytes.extend((0..FRAME).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            }));
        }
        seconds += 1;
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
