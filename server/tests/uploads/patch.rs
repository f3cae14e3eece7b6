//! Uploads as a tus client sees them, with a real server, disk and database.

use std::time::Duration;

use crate::support::stalled::StalledPatch;
use crate::support::{Client, TestServer, chromium_webm, header, json_of, problem, until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::{Method, StatusCode};

async fn create(client: &Client, length: Option<u64>, metadata: &str) -> String {
    let mut request = client
        .tus(Method::POST, "/api/uploads")
        .header("Upload-Metadata", metadata);
    request = match length {
        Some(length) => request.header("Upload-Length", length),
        None => request.header("Upload-Defer-Length", "1"),
    };
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(header(&answer, "tus-resumable"), "1.0.0");
    header(&answer, "location")
}

#[tokio::test]
async fn options_lists_extensions_without_authentication() {
    let server = TestServer::start().await;
    let answer = server
        .anonymous()
        .request(Method::OPTIONS, "/api/uploads")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&answer, "tus-version"), "1.0.0");
    assert_eq!(
        header(&answer, "tus-extension"),
        "creation,creation-defer-length,creation-with-upload,termination,expiration,checksum,concatenation"
    );
    assert_eq!(
        header(&answer, "tus-checksum-algorithm"),
        "sha1,sha256,crc32c"
    );
    assert_eq!(
        header(&answer, "tus-max-size"),
        (500 * 1024 * 1024).to_string()
    );
}

#[tokio::test]
async fn repeated_idempotency_key_returns_the_existing_upload() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let key = "filename YS53ZWJt,idempotency_key b25l";
    let first = create(&ann, None, key).await;
    let answer = ann.patch(&first, 0, b"\x1aE\xdf\xa3".to_vec()).send().await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert_eq!(create(&ann, None, key).await, first);
    assert_eq!(create(&ann, Some(10), key).await, first);
    // Another key, no key, and another user's key.
    let others = [
        create(&ann, None, "idempotency_key dHdv").await,
        create(&ann, None, "filename YS53ZWJt").await,
        create(&admin, None, key).await,
    ];
    assert!(others.iter().all(|other| *other != first));
    // A deleted or complete upload is not returned.
    let gone = ann.tus(Method::DELETE, &first).send().await;
    assert_eq!(gone.expect("an answer").status(), StatusCode::NO_CONTENT);
    let second = create(&ann, Some(4), key).await;
    assert_ne!(second, first);
    let answer = ann
        .patch(&second, 0, b"\x1aE\xdf\xa3".to_vec())
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert_ne!(create(&ann, Some(4), key).await, second);
}

#[tokio::test]
async fn idempotency_key_of_an_expired_upload_creates_another() {
    let server = TestServer::with(&[("SORTIE_RECORDING_SILENCE_SECONDS", "60")]).await;
    let ann = server.user("ann").await;
    // Longer than a database indexes, with a character that PostgreSQL refuses in text.
    let key = format!("idempotency_key {}", STANDARD.encode("\0k".repeat(2_500)));
    let first = create(&ann, None, &key).await;
    assert_eq!(create(&ann, None, &key).await, first);
    server.clock.advance(Duration::from_secs(60));
    let id = first.rsplit('/').next().unwrap_or_default();
    until("the upload has expired", async || {
        ann.recording(id).await["status"] == "failed"
    })
    .await;
    assert_ne!(create(&ann, None, &key).await, first);
}

#[tokio::test]
async fn concurrent_creations_with_one_key_create_one_upload() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    for round in 0..5 {
        let key = format!(
            "idempotency_key {}",
            STANDARD.encode(format!("round {round}"))
        );
        let creations = (0..4).map(|_| create(&ann, None, &key));
        let uploads = futures_util::future::join_all(creations).await;
        assert!(uploads.iter().all(|it| *it == uploads[0]), "{uploads:?}");
        // Each client may write immediately.
        let answer = ann.patch(&uploads[0], 0, b"\x1aE\xdf\xa3".to_vec());
        let answer = answer.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let answer = ann.tus(Method::HEAD, &uploads[0]).send().await;
        assert_eq!(header(&answer.expect("an answer"), "upload-offset"), "4");
    }
    let recordings = json_of(ann.get("/api/recordings"), 200).await;
    assert_eq!(recordings.as_array().map(Vec::len), Some(5));
    // Late requests opened no session.
    let sessions = json_of(ann.get("/api/sessions"), 200).await;
    assert_eq!(sessions.as_array().map(Vec::len), Some(5), "{sessions}");
}

#[tokio::test]
async fn chunks_are_on_disk_before_each_answer() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let upload = create(
        &client,
        None,
        "filename dGFsay53ZWJt,filetype dmlkZW8vd2VibQ==",
    )
    .await;
    let id = upload.rsplit('/').next().unwrap_or_default().to_owned();
    assert_eq!(upload, format!("/api/uploads/{id}"));

    let mut offset = 0;
    for chunk in bytes.chunks(5000) {
        let answer = client
            .patch(&upload, offset, chunk.to_vec())
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        offset += chunk.len() as u64;
        assert_eq!(header(&answer, "upload-offset"), offset.to_string());
        let stored = std::fs::read(server.file(&format!("{id}.part"))).expect("the growing file");
        assert_eq!(stored.len() as u64, 4096 + offset);
        let row = client.recording(&id).await;
        assert_eq!(row["status"], "recording");
        assert_eq!(row["size_bytes"], offset);
    }
    let answer = client
        .tus(Method::HEAD, &upload)
        .send()
        .await
        .expect("an answer");
    assert_eq!(header(&answer, "upload-defer-length"), "1");
    assert_eq!(
        header(&answer, "upload-metadata"),
        "filename dGFsay53ZWJt,filetype dmlkZW8vd2VibQ=="
    );
    assert_eq!(header(&answer, "cache-control"), "no-store");

    // Only the length is missing.
    let answer = client
        .patch(&upload, offset, "")
        .header("Upload-Length", offset)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let row = client.recording(&id).await;
    assert_eq!(row["status"], "ready", "{row}");
    assert_eq!(row["format"], "webm");
    assert_eq!(row["filename"], "talk.webm");
    assert_eq!(row["interrupted"], false);
    assert!(
        row["duration_seconds"].as_f64().unwrap_or_default() > 0.5,
        "{row}"
    );
    let file = std::fs::metadata(server.file(&format!("{id}.webm"))).expect("the finished file");
    assert_eq!(row["size_bytes"], file.len());
    // A repeated request finds the upload complete.
    let answer = client
        .tus(Method::HEAD, &upload)
        .send()
        .await
        .expect("an answer");
    assert_eq!(header(&answer, "upload-offset"), offset.to_string());
    assert_eq!(header(&answer, "upload-length"), offset.to_string());
}

#[tokio::test]
async fn creation_with_upload_of_known_length_completes() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let answer = client
        .tus(Method::POST, "/api/uploads")
        .header("Upload-Length", bytes.len())
        .header("Content-Type", "application/offset+octet-stream")
        .body(bytes[..100].to_vec())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(header(&answer, "upload-offset"), "100");
    let upload = header(&answer, "location");
    let answer = client
        .patch(&upload, 100, bytes[100..].to_vec())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let id = upload.rsplit('/').next().unwrap_or_default();
    assert_eq!(client.recording(id).await["status"], "ready");
}

#[tokio::test]
async fn unknown_and_path_like_ids_return_404() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    for id in [
        "nothing",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "a%00b",
        "sortie.db",
        &"x".repeat(5000),
    ] {
        let upload = format!("/api/uploads/{id}");
        problem(client.patch(&upload, 0, "x"), 404, "not_found").await;
        problem(client.tus(Method::DELETE, &upload), 404, "not_found").await;
        for path in ["", "/download", "/stream"] {
            problem(
                client.get(&format!("/api/recordings/{id}{path}")),
                404,
                "not_found",
            )
            .await;
        }
    }
    assert_eq!(
        std::fs::read_dir(server.recordings())
            .expect("the folder")
            .count(),
        0
    );
}

#[tokio::test]
async fn body_over_the_limit_is_refused_and_earlier_bytes_are_kept() {
    let server = TestServer::with(&[("SORTIE_RECORDING_MAX_SIZE_MB", "1")]).await;
    let client = server.admin().await;
    let length = client
        .tus(Method::POST, "/api/uploads")
        .header("Upload-Length", 2 * 1024 * 1024);
    problem(length, 413, "too_large").await;

    let (id, session) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    client
        .patch(&upload, 0, vec![1; 1000])
        .send()
        .await
        .expect("an answer");
    // Length announced by Content-Length: refused before the body.
    problem(
        client.patch(&upload, 1000, vec![2; 1024 * 1024]),
        413,
        "too_large",
    )
    .await;
    assert_eq!(client.offset(&id).await, 1000);
    // Length not announced: accepted up to the limit.
    let pieces = (0..20).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![3; 100_000])));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    problem(client.patch(&upload, 1000, body), 413, "too_large").await;
    assert_eq!(client.offset(&id).await, 1024 * 1024);
    // A declared length over the limit.
    let declared = client
        .patch(&upload, 1024 * 1024, "")
        .header("Upload-Length", 9 * 1024 * 1024);
    problem(declared, 413, "too_large").await;
    // The single-request upload has the same limit.
    let (id, _) = {
        let started = json_of(
            client.post(&format!("/api/sessions/{session}/recording/start")),
            201,
        )
        .await;
        (
            started["recording_id"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            (),
        )
    };
    let form = reqwest::multipart::Form::new()
        .text("recording_id", id)
        .text("duration", "3")
        .part(
            "file",
            reqwest::multipart::Part::bytes(vec![4; 2 * 1024 * 1024]).file_name("a.webm"),
        );
    let upload = client
        .post(&format!("/api/sessions/{session}/recording/upload"))
        .multipart(form);
    problem(upload, 413, "too_large").await;
}

#[tokio::test]
async fn raw_upload_is_kept_and_fails_with_a_reason() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let text = b"just some text, no recording at all".repeat(200);
    let id = client.record(&text).await;
    let row = client.recording(&id).await;
    assert_eq!(row["status"], "failed");
    assert!(
        row["failure"].as_str().unwrap_or_default().ends_with('.'),
        "{row}"
    );
    let kept = std::fs::read(server.file(&format!("{id}.bin"))).expect("the kept file");
    assert_eq!(kept, text);
    problem(
        client.get(&format!("/api/recordings/{id}/download")),
        409,
        "not_ready",
    )
    .await;
    let deleted = client
        .delete(&format!("/api/recordings/{id}"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        std::fs::read_dir(server.recordings())
            .expect("the folder")
            .count(),
        0
    );
}

#[tokio::test]
async fn newer_patch_preempts_stalled_patch_and_keeps_its_bytes() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    let mut stalled = StalledPatch::open(&client, &id, 0, 100_000_000).await;
    stalled.send(&vec![7; 2 * 1024 * 1024]).await;
    let file = server.file(&format!("{id}.part"));
    // More than one batch: it reaches the file while the request is open.
    until("a batch is in the file", async || {
        std::fs::metadata(&file).is_ok_and(|file| file.len() > 4096 + 1024 * 1024)
    })
    .await;

    let offset = client.offset(&id).await;
    assert!(offset > 1024 * 1024, "{offset}");
    let head = stalled.answer_head().await;
    assert!(head.starts_with("HTTP/1.1 423"), "{head}");
    // A new sender resumes at the preempted sender's offset.
    let answer = client
        .patch(&upload, offset, "more")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(client.offset(&id).await, offset + 4);
}

#[tokio::test]
async fn exactly_one_of_two_racing_patches_succeeds() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    for _ in 0..50 {
        let (id, _) = client.start_recording().await;
        let upload = format!("/api/uploads/{id}");
        let (one, two) = futures_util::future::join(
            client.patch(&upload, 0, vec![1; 700_000]).send(),
            client.patch(&upload, 0, vec![2; 700_000]).send(),
        )
        .await;
        let mut statuses = [
            one.expect("an answer").status().as_u16(),
            two.expect("an answer").status().as_u16(),
        ];
        statuses.sort_unstable();
        assert!(
            statuses == [204, 409] || statuses == [204, 423],
            "{statuses:?}"
        );
        let stored = std::fs::read(server.file(&format!("{id}.part"))).expect("the growing file");
        let stream = &stored[4096..];
        assert_eq!(stream.len(), 700_000);
        assert!(
            stream.iter().all(|byte| *byte == stream[0]),
            "the two bodies are mixed"
        );
    }
}

#[tokio::test]
async fn disconnect_in_mid_body_keeps_received_bytes() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let mut sending = StalledPatch::open(&client, &id, 0, 100_000_000).await;
    sending.send(&vec![7; 300_000]).await;
    drop(sending);
    // HEAD would preempt the request and drop the bytes in transit.
    until("all bytes are received", async || {
        client.recording(&id).await["size_bytes"] == 300_000
    })
    .await;
    assert_eq!(client.offset(&id).await, 300_000);
}

#[tokio::test]
async fn upload_resumes_after_a_restart() {
    let mut server = TestServer::start().await;
    let bytes = chromium_webm();
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    client
        .patch(&upload, 0, bytes[..9000].to_vec())
        .send()
        .await
        .expect("an answer");

    server.restart().await;
    let client = server.admin().await;
    assert_eq!(client.recording(&id).await["size_bytes"], 9000);
    assert_eq!(client.offset(&id).await, 9000);
    let rest = client
        .patch(&upload, 9000, bytes[9000..].to_vec())
        .header("Upload-Length", bytes.len());
    assert_eq!(
        rest.send().await.expect("an answer").status(),
        StatusCode::NO_CONTENT
    );

    let interrupted = client.recording(&id).await;
    let whole = client.recording(&client.record(&bytes).await).await;
    assert_eq!(interrupted["status"], "ready");
    for field in ["duration_seconds", "size_bytes", "format"] {
        assert_eq!(interrupted[field], whole[field]);
    }
    let paths = [&interrupted, &whole].map(|row| {
        std::fs::read(server.file(row["storage_path"].as_str().unwrap_or_default()))
            .expect("a file")
    });
    assert!(paths[0] == paths[1], "the two files differ");
}

#[tokio::test]
async fn complete_upload_is_finished_after_a_crash() {
    let mut server = TestServer::start().await;
    let bytes = chromium_webm();
    let client = server.admin().await;
    let answer = client
        .tus(Method::POST, "/api/uploads")
        .header("Upload-Length", bytes.len())
        .send()
        .await
        .expect("an answer");
    let upload = header(&answer, "location");
    let id = upload.rsplit('/').next().unwrap_or_default().to_owned();
    client
        .patch(&upload, 0, bytes[..9000].to_vec())
        .send()
        .await
        .expect("an answer");
    // State after a kill between the last byte and the finish.
    let file = std::fs::OpenOptions::new()
        .append(true)
        .open(server.file(&format!("{id}.part")));
    std::io::Write::write_all(&mut file.expect("the growing file"), &bytes[9000..])
        .expect("free space");
    server.restart().await;
    let client = server.admin().await;
    assert_eq!(client.offset(&id).await, bytes.len() as u64);
    assert_eq!(client.recording(&id).await["status"], "ready");
}

#[tokio::test]
async fn request_to_a_closed_upload_completes_its_finish() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let create = client.tus(Method::POST, "/api/uploads");
    let create = create.header("Upload-Length", bytes.len()).send();
    let upload = header(&create.await.expect("an answer"), "location");
    let id = upload.rsplit('/').next().unwrap_or_default();
    // The growing file cannot be renamed.
    let obstacle = server.file(&format!("{id}.webm"));
    std::fs::create_dir(&obstacle).expect("a folder");
    let patch = async |offset: usize| {
        let patch = client.patch(&upload, offset as u64, bytes[offset..].to_vec());
        patch.send().await.expect("an answer").status()
    };
    assert!(patch(0).await.is_server_error());
    // The bytes are durable.
    assert_eq!(patch(bytes.len()).await, 204);
    assert_eq!(client.offset(id).await, bytes.len() as u64);
    assert_eq!(client.recording(id).await["status"], "processing");
    std::fs::remove_dir(&obstacle).expect("the folder");
    assert_eq!(patch(bytes.len()).await, 204);
    assert_eq!(client.recording(id).await["status"], "ready");
}

#[tokio::test]
async fn reaper_finishes_silent_upload_as_interrupted() {
    let server = TestServer::with(&[("SORTIE_RECORDING_SILENCE_SECONDS", "60")]).await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    // Silent a second longer: when it is finished, the reaper has seen both.
    let (earlier, _) = client.start_recording().await;
    server.clock.advance(Duration::from_secs(1));
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    client
        .patch(&upload, 0, bytes[..bytes.len() - 3000].to_vec())
        .send()
        .await
        .expect("an answer");
    server.clock.advance(Duration::from_secs(59));
    until("the earlier recording is finished", async || {
        client.recording(&earlier).await["completed_at"].is_string()
    })
    .await;
    assert_eq!(client.recording(&id).await["status"], "recording");
    server.clock.advance(Duration::from_secs(1));
    until("the recording is finished", async || {
        client.recording(&id).await["status"] == "ready"
    })
    .await;
    let row = client.recording(&id).await;
    assert_eq!(row["interrupted"], true);
    assert!(
        row["duration_seconds"].as_f64().unwrap_or_default() > 0.3,
        "{row}"
    );
    // The returning sender receives 410.
    let sentence = problem(
        client.patch(&upload, bytes.len() as u64 - 3000, "x"),
        410,
        "gone",
    )
    .await;
    assert!(
        sentence.contains("finished with the received bytes"),
        "{sentence}"
    );
}

#[tokio::test]
async fn method_override_allows_termination() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    let patch = client
        .tus(Method::POST, &upload)
        .header("X-HTTP-Method-Override", "PATCH")
        .header("Content-Type", "application/offset+octet-stream")
        .header("Upload-Offset", "0")
        .body("12345");
    assert_eq!(
        patch.send().await.expect("an answer").status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(client.offset(&id).await, 5);
    problem(client.tus(Method::POST, &upload), 405, "method_not_allowed").await;
    let overriding = |method: &'static str| {
        client
            .tus(Method::POST, &upload)
            .header("X-HTTP-Method-Override", method)
    };
    problem(overriding("PUT"), 405, "method_not_allowed").await;
    let head = overriding("HEAD").send().await.expect("an answer");
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(header(&head, "upload-offset"), "5");
    // Only POST may override the method: GET and HEAD stay safe.
    let get = client
        .tus(Method::GET, &upload)
        .header("X-HTTP-Method-Override", "DELETE");
    problem(get, 405, "method_not_allowed").await;
    assert_eq!(client.offset(&id).await, 5);
    let gone = overriding("DELETE").send().await.expect("an answer");
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    problem(
        client.get(&format!("/api/recordings/{id}")),
        404,
        "not_found",
    )
    .await;
    assert_eq!(
        std::fs::read_dir(server.recordings())
            .expect("the folder")
            .count(),
        0
    );
}
