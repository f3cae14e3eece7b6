//! A stalled connection: a newer request is answered before it ends, and received bytes are kept.

use crate::support::stalled::StalledPatch;
use crate::support::{Client, PATIENCE, TestServer, until};
use reqwest::{Method, StatusCode};

/// More than one batch, so that bytes reach the file.
const SENT: usize = 1024 * 1024 + 200_000;

/// A `PATCH` that sends only the beginning of its body.
async fn stalled(client: &Client, id: &str) -> StalledPatch {
    let mut stalled = StalledPatch::open(client, id, 0, 100_000_000).await;
    stalled.send(&vec![7; SENT]).await;
    stalled
}

/// Waits until at least one batch is in the file.
async fn wait_for_first_batch(server: &TestServer, id: &str) {
    let file = server.file(&format!("{id}.part"));
    until("the first batch is in the file", async || {
        std::fs::metadata(&file).is_ok_and(|file| file.len() > 4096 + 1024 * 1024)
    })
    .await;
}

/// Sends a request while the other one is stalled; without preemption this would time out.
async fn within_time_limit<T>(work: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(PATIENCE, work).await;
    answer.expect("an answer")
}

/// Checks that the request was preempted.
async fn check_locked(stalled: StalledPatch) {
    let head = stalled.answer_head().await;
    assert!(head.starts_with("HTTP/1.1 423"), "{head}");
}

#[tokio::test]
async fn head_preempts_stalled_patch_and_keeps_its_bytes() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let stream = stalled(&client, &id).await;
    wait_for_first_batch(&server, &id).await;
    let offset = within_time_limit(client.offset(&id)).await;
    assert!((1024 * 1024..=SENT as u64).contains(&offset), "{offset}");
    check_locked(stream).await;
    assert_eq!(client.offset(&id).await, offset);
}

#[tokio::test]
async fn patch_at_wrong_offset_does_not_preempt() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    let mut stream = stalled(&client, &id).await;
    wait_for_first_batch(&server, &id).await;
    let answer = within_time_limit(client.patch(&upload, 0, "again").send()).await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::CONFLICT);
    // The older request may continue.
    stream.send(&vec![7; SENT]).await;
    drop(stream);
    let file = server.file(&format!("{id}.part"));
    until("the older request continues", async || {
        std::fs::metadata(&file).expect("the file").len() == 4096 + 2 * SENT as u64
    })
    .await;
}

#[tokio::test]
async fn continuing_patch_preempts_stalled_patch_and_keeps_its_bytes() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    let stream = stalled(&client, &id).await;
    wait_for_first_batch(&server, &id).await;
    // All bytes were received; some may still be buffered.
    until("the request is accepted", async || {
        let patch = client.patch(&upload, SENT as u64, "more").send();
        match within_time_limit(patch).await.expect("an answer").status() {
            StatusCode::CONFLICT => false,
            status => {
                assert_eq!(status, StatusCode::NO_CONTENT);
                true
            }
        }
    })
    .await;
    check_locked(stream).await;
    assert_eq!(client.offset(&id).await, SENT as u64 + 4);
    let stored = std::fs::read(server.file(&format!("{id}.part"))).expect("the file");
    assert!(stored[4096..4096 + SENT].iter().all(|byte| *byte == 7));
    assert_eq!(&stored[4096 + SENT..], b"more");
}

#[tokio::test]
async fn delete_preempts_stalled_patch_and_removes_its_bytes() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let stream = stalled(&client, &id).await;
    wait_for_first_batch(&server, &id).await;
    let delete = client
        .tus(Method::DELETE, &format!("/api/uploads/{id}"))
        .send();
    let answer = within_time_limit(delete).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    check_locked(stream).await;
    let names = std::fs::read_dir(server.recordings()).expect("the folder");
    assert_eq!(names.count(), 0);
}

#[tokio::test]
async fn fifty_stalled_uploads_are_preempted() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let mut uploads = Vec::new();
    for _ in 0..50 {
        let (id, _) = client.start_recording().await;
        let stream = stalled(&client, &id).await;
        uploads.push((id, stream));
    }
    for (id, _) in &uploads {
        wait_for_first_batch(&server, id).await;
    }
    // Reads the offset, deletes, or sends to every third upload in turn.
    let answers = uploads.iter().enumerate().map(|(number, (id, _))| {
        let upload = format!("/api/uploads/{id}");
        let client = &client;
        async move {
            let request = match number % 3 {
                0 => client.tus(Method::HEAD, &upload),
                1 => client.tus(Method::DELETE, &upload),
                _ => client.patch(&upload, 1, "elsewhere"),
            };
            within_time_limit(request.send())
                .await
                .expect("an answer")
                .status()
                .as_u16()
        }
    });
    let answers = futures_util::future::join_all(answers).await;
    for (number, ((id, _stream), status)) in uploads.iter().zip(answers).enumerate() {
        match number % 3 {
            0 => assert_eq!(status, 200),
            1 => assert_eq!(status, 204),
            _ => assert_eq!(status, 409),
        }
        if number % 3 != 1 {
            let offset = within_time_limit(client.offset(id)).await;
            assert!((1024 * 1024..=SENT as u64).contains(&offset), "{offset}");
        }
    }
}

#[tokio::test]
async fn live_body_ends_soon_after_the_stop_of_its_recording() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    for of_session in [false, true] {
        let (id, session) = client.start_recording().await;
        let mut body = StalledPatch::live(&client, &id).await;
        body.send_chunk(&[7; 1000]).await;
        let stop = match of_session {
            true => client.post(&format!("/api/sessions/{session}/stop")),
            false => client
                .post(&format!("/api/sessions/{session}/recording/stop"))
                .json(&serde_json::json!({ "recording_id": id })),
        };
        let stopped = stop.send().await.expect("an answer");
        assert!(stopped.status().is_success(), "{}", stopped.status());
        // Bytes in transit at the stop are accepted.
        body.send_chunk(&[7; 1000]).await;
        let head = body.answer_head().await;
        assert!(head.starts_with("HTTP/1.1 409"), "{head}");
        let kept = client.recording(&id).await["size_bytes"].as_u64();
        assert_eq!(kept, Some(2000), "of session: {of_session}");
    }
}
