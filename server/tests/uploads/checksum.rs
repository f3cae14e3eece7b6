//! Bodies with a checksum: stored completely or not at all.

use crate::support::{Client, PATIENCE, TestServer, chromium_webm, header, problem};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::{Method, StatusCode};
use sha2::Digest;

fn checksum(algorithm: &str, bytes: &[u8]) -> String {
    let digest = match algorithm {
        "sha1" => sha1::Sha1::digest(bytes).to_vec(),
        "sha256" => sha2::Sha256::digest(bytes).to_vec(),
        _ => crc32c::crc32c(bytes).to_be_bytes().to_vec(),
    };
    format!("{algorithm} {}", STANDARD.encode(digest))
}

async fn checked(client: &Client, upload: &str, offset: u64, bytes: &[u8], sum: &str) -> u16 {
    let patch = client
        .patch(upload, offset, bytes.to_vec())
        .header("Upload-Checksum", sum);
    patch.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn checksum_decides_whether_a_body_is_stored() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    // A small body is buffered in memory, a large one in a file.
    let large: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    for algorithm in ["sha1", "sha256", "crc32c"] {
        for body in [b"hello world".as_slice(), large.as_slice()] {
            let (id, _) = client.start_recording().await;
            let upload = format!("/api/uploads/{id}");
            let right = checksum(algorithm, body);
            let mut damaged = body.to_vec();
            damaged[body.len() / 2] ^= 1;
            let wrong = client
                .patch(&upload, 0, damaged)
                .header("Upload-Checksum", &right);
            problem(wrong, 460, "checksum_mismatch").await;
            assert_eq!(client.offset(&id).await, 0, "{algorithm}");
            assert_eq!(checked(&client, &upload, 0, body, &right).await, 204);
            assert_eq!(client.offset(&id).await, body.len() as u64, "{algorithm}");
            let stored = std::fs::read(server.file(&format!("{id}.part"))).expect("the file");
            assert!(
                stored[4096..] == *body,
                "{algorithm}: other bytes are stored"
            );
        }
    }
    let names = std::fs::read_dir(server.recordings()).expect("the folder");
    assert_eq!(names.count(), 6, "a spooled body is left");
}

#[tokio::test]
async fn unsupported_checksum_is_refused_before_the_body() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    for wrong in [
        "md5 1B2M2Y8AsgTpgAmY7PhCfg==",
        "sha1",
        "sha1 %%%",
        "sha1 AAAA",
        "",
    ] {
        let patch = client
            .patch(&upload, 0, "x")
            .header("Upload-Checksum", wrong);
        problem(patch, 400, "bad_request").await;
    }
    // Wrong offset and wrong checksum: the answer names the offset, which the client can correct.
    let sum = checksum("sha1", b"other");
    let patch = client
        .patch(&upload, 7, "x")
        .header("Upload-Checksum", &sum);
    problem(patch, 409, "offset_mismatch").await;
    assert_eq!(client.offset(&id).await, 0);
}

#[tokio::test]
async fn refused_body_does_not_declare_the_length() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    let patch = client
        .patch(&upload, 0, "damaged")
        .header("Upload-Length", 7)
        .header("Upload-Checksum", checksum("sha1", b"correct"));
    problem(patch, 460, "checksum_mismatch").await;
    let head = client
        .tus(Method::HEAD, &upload)
        .send()
        .await
        .expect("an answer");
    assert_eq!(header(&head, "upload-defer-length"), "1");
    assert_eq!(header(&head, "upload-length"), "");
}

#[tokio::test]
async fn creation_with_upload_verifies_the_checksum() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let creation = |sum: String| {
        client
            .tus(Method::POST, "/api/uploads")
            .header("Upload-Length", bytes.len())
            .header("Content-Type", "application/offset+octet-stream")
            .header("Upload-Checksum", sum)
            .body(bytes.clone())
    };
    let wrong = creation(checksum("sha256", b"something else")).send().await;
    let wrong = wrong.expect("an answer");
    assert_eq!(wrong.status().as_u16(), 460);
    // The upload exists; only its bytes were refused.
    let id = header(&wrong, "location");
    let id = id.rsplit('/').next().unwrap_or_default();
    assert_eq!(client.offset(id).await, 0);

    let right = creation(checksum("sha256", &bytes)).send().await;
    let right = right.expect("an answer");
    assert_eq!(right.status(), StatusCode::CREATED);
    assert_eq!(header(&right, "upload-offset"), bytes.len().to_string());
    let id = header(&right, "location");
    let id = id.rsplit('/').next().unwrap_or_default();
    assert_eq!(client.recording(id).await["status"], "ready");
}

fn pieces(count: usize) -> reqwest::Body {
    let pieces = (0..count).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7; 100_000])));
    reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))
}

#[tokio::test]
async fn too_long_checksummed_body_is_refused_and_not_stored() {
    let server = TestServer::with(&[("SORTIE_RECORDING_MAX_SIZE_MB", "1")]).await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    let sum = checksum("crc32c", &vec![7; 2_000_000]);
    let patch = client
        .patch(&upload, 0, pieces(20))
        .header("Upload-Checksum", sum);
    problem(patch, 413, "too_large").await;
    assert_eq!(client.offset(&id).await, 0);
    // A body within the limit is accepted without a declared length.
    let sum = checksum("crc32c", &vec![7; 1_000_000]);
    let patch = client
        .patch(&upload, 0, pieces(10))
        .header("Upload-Checksum", sum);
    assert_eq!(patch.send().await.expect("an answer").status(), 204);
    assert_eq!(client.offset(&id).await, 1_000_000);
}

#[tokio::test]
async fn interrupted_checksummed_body_is_not_stored() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    assert_eq!(
        client
            .patch(&upload, 0, "kept")
            .send()
            .await
            .expect("an answer")
            .status(),
        204
    );
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(16);
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|item| (item, receiver))
    });
    let patch = client
        .patch(&upload, 4, reqwest::Body::wrap_stream(stream))
        .header("Upload-Checksum", checksum("sha1", b"never whole"));
    let sending = tokio::spawn(patch.send());
    for _ in 0..20 {
        sender
            .send(Ok(Bytes::from(vec![7; 100_000])))
            .await
            .expect("it listens");
    }
    // HEAD preempts it; its incomplete body cannot be verified.
    let asked = tokio::time::timeout(PATIENCE, client.offset(&id)).await;
    assert_eq!(asked.expect("an answer"), 4);
    sending.abort();
    drop(sender);
    assert_eq!(client.offset(&id).await, 4);
    assert_eq!(
        client
            .patch(&upload, 4, "more")
            .send()
            .await
            .expect("an answer")
            .status(),
        204
    );
}
