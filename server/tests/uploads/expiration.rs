//! Expiration of incomplete uploads, and the answers their senders receive.

use std::time::Duration;

use crate::support::{Client, TestServer, chromium_webm, header, problem, until};
use reqwest::Method;

/// `TestServer` begins at 2026-11-21T09:30:00Z.
const IN_A_MINUTE: &str = "Sat, 21 Nov 2026 09:31:00 GMT";
const IN_TWO_MINUTES: &str = "Sat, 21 Nov 2026 09:32:00 GMT";

async fn expires(client: &Client, upload: &str) -> String {
    let head = client.tus(Method::HEAD, upload).send().await;
    header(&head.expect("an answer"), "upload-expires")
}

#[tokio::test]
async fn activity_extends_expiration_and_complete_uploads_have_none() {
    let server = TestServer::with(&[("SORTIE_RECORDING_SILENCE_SECONDS", "60")]).await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let created = client
        .tus(Method::POST, "/api/uploads")
        .header("Upload-Length", bytes.len())
        .send()
        .await
        .expect("an answer");
    assert_eq!(header(&created, "upload-expires"), IN_A_MINUTE);
    let upload = header(&created, "location");
    assert_eq!(expires(&client, &upload).await, IN_A_MINUTE);
    server.clock.advance(Duration::from_secs(59));
    // A refused request is no progress, but counts as activity of the sender.
    let patched = client
        .patch(&upload, 0, bytes[..1000].to_vec())
        .send()
        .await;
    let patched = patched.expect("an answer");
    assert_eq!(
        header(&patched, "upload-expires"),
        "Sat, 21 Nov 2026 09:31:59 GMT"
    );
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(expires(&client, &upload).await, IN_TWO_MINUTES);

    let patched = client
        .patch(&upload, 1000, bytes[1000..].to_vec())
        .send()
        .await;
    let patched = patched.expect("an answer");
    assert_eq!(patched.status(), 204);
    assert_eq!(header(&patched, "upload-expires"), "");
    assert_eq!(expires(&client, &upload).await, "");
}

#[tokio::test]
async fn expired_recording_is_finished_and_its_sender_gets_410() {
    let server = TestServer::with(&[("SORTIE_RECORDING_SILENCE_SECONDS", "60")]).await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let length = bytes.len().to_string();
    let upload = client.create_upload(&[("Upload-Length", &length)]).await;
    let id = upload.rsplit('/').next().unwrap_or_default();
    let cut = bytes.len() - 3000;
    let patched = client.patch(&upload, 0, bytes[..cut].to_vec()).send().await;
    assert_eq!(patched.expect("an answer").status(), 204);
    server.clock.advance(Duration::from_secs(60));
    until("the recording is finished", async || {
        client.recording(id).await["status"] == "ready"
    })
    .await;
    assert_eq!(client.recording(id).await["interrupted"], true);

    // Not 200 with an offset: the sender must not take a truncated upload for complete.
    let head = client
        .tus(Method::HEAD, &upload)
        .send()
        .await
        .expect("an answer");
    assert_eq!(head.status(), 410);
    let rest = client.patch(&upload, cut as u64, bytes[cut..].to_vec());
    let sentence = problem(rest, 410, "gone").await;
    assert!(
        sentence.contains("finished with the received bytes"),
        "{sentence}"
    );
}

#[tokio::test]
async fn expired_partial_uploads_are_removed() {
    let server = TestServer::with(&[("SORTIE_RECORDING_SILENCE_SECONDS", "60")]).await;
    let client = server.admin().await;
    let partial = |length: &'static str| [("Upload-Concat", "partial"), ("Upload-Length", length)];
    let unfinished = client.create_upload(&partial("10")).await;
    let complete = client.create_upload(&partial("4")).await;
    assert_eq!(
        client
            .patch(&complete, 0, "done")
            .send()
            .await
            .expect("an answer")
            .status(),
        204
    );
    assert_eq!(expires(&client, &unfinished).await, IN_A_MINUTE);
    assert_eq!(
        expires(&client, &complete).await,
        "Sun, 22 Nov 2026 09:30:00 GMT"
    );

    server.clock.advance(Duration::from_secs(60));
    let status = |upload: String| {
        let client = &client;
        async move {
            let head = client.tus(Method::HEAD, &upload).send().await;
            head.expect("an answer").status().as_u16()
        }
    };
    // A complete partial upload waits longer for its siblings.
    until("one upload expires", async || {
        let files = std::fs::read_dir(server.recordings()).expect("the folder");
        files.count() == 1
    })
    .await;
    assert_eq!(status(unfinished.clone()).await, 404);
    assert_eq!(status(complete.clone()).await, 200);
    server.clock.advance(Duration::from_secs(24 * 60 * 60));
    until("the other upload expires", async || {
        let files = std::fs::read_dir(server.recordings()).expect("the folder");
        files.count() == 0
    })
    .await;
    let client = server.admin().await;
    let head = client
        .tus(Method::HEAD, &complete)
        .send()
        .await
        .expect("an answer");
    assert_eq!(head.status(), 404);
}
