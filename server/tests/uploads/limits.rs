//! Limits of one user: open uploads, bytes, and protected bytes.

use crate::support::{Client, TestServer, chromium_webm, header, json_of, problem, until};
use base64::Engine as _;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn creation(client: &Client, concat: &str) -> RequestBuilder {
    let request = client
        .tus(Method::POST, "/api/uploads")
        .header("Upload-Length", "4");
    match concat {
        "" => request,
        concat => request.header("Upload-Concat", concat),
    }
}

async fn created(request: RequestBuilder) -> String {
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
    header(&answer, "location")
}

#[tokio::test]
async fn open_uploads_per_user_are_limited() {
    let server = TestServer::with(&[("SORTIE_UPLOADS_PER_USER", "3")]).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let first = created(creation(&ann, "")).await;
    let part = created(creation(&ann, "partial")).await;
    let (recording, session) = ann.start_recording().await;
    let files = || {
        std::fs::read_dir(server.recordings())
            .expect("the folder")
            .count()
    };
    assert_eq!(files(), 3);

    // Every upload method is refused and leaves no rows or files.
    let start = format!("/api/sessions/{session}/recording/start");
    for refused in [
        creation(&ann, ""),
        creation(&ann, "partial"),
        ann.post(&start),
    ] {
        let sentence = problem(refused, 429, "too_many_requests").await;
        assert!(
            sentence.starts_with("You have 3 open uploads"),
            "{sentence}"
        );
    }
    let refused = creation(&ann, "").send().await.expect("an answer");
    assert_eq!(header(&refused, "retry-after"), "30");
    assert_eq!(header(&refused, "tus-resumable"), "1.0.0");
    assert_eq!(files(), 3);
    // Other users and open uploads are not affected.
    created(creation(&bob, "")).await;

    // Deleting or completing an upload frees a permit.
    let gone = ann
        .tus(Method::DELETE, &first)
        .send()
        .await
        .expect("an answer");
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    created(creation(&ann, "")).await;
    problem(creation(&ann, ""), 429, "too_many_requests").await;
    let bytes = chromium_webm();
    let done = ann
        .patch(&format!("/api/uploads/{recording}"), 0, bytes.clone())
        .header("Upload-Length", bytes.len());
    assert_eq!(
        done.send().await.expect("an answer").status(),
        StatusCode::NO_CONTENT
    );
    created(creation(&ann, "")).await;

    // A complete partial upload still counts; joining it is always possible.
    let whole = ann.patch(&part, 0, "text").send().await.expect("an answer");
    assert_eq!(whole.status(), StatusCode::NO_CONTENT);
    problem(creation(&ann, ""), 429, "too_many_requests").await;
    let joined = ann
        .tus(Method::POST, "/api/uploads")
        .header("Upload-Concat", format!("final;{part}"));
    created(joined).await;
    created(creation(&ann, "partial")).await;
}

#[tokio::test]
async fn concurrent_creations_do_not_exceed_the_limit() {
    let server = TestServer::with(&[("SORTIE_UPLOADS_PER_USER", "5")]).await;
    let ann = server.user("ann").await;
    let requests = (0..40).map(|_| creation(&ann, "partial").send());
    let answers = futures_util::future::join_all(requests).await;
    let statuses = answers
        .into_iter()
        .map(|it| it.expect("an answer").status().as_u16());
    let (taken, refused): (Vec<_>, Vec<_>) = statuses.partition(|status| *status == 201);
    assert_eq!((taken.len(), refused), (5, vec![429; 35]));
    let left = std::fs::read_dir(server.recordings()).expect("the folder");
    assert_eq!(left.count(), 5);
}

/// The client of an API token of this user.
async fn with_api_token(owner: &Client) -> Client {
    let body = json!({ "name": "platform", "scopes": ["record", "read"] });
    let created = json_of(owner.post("/api/tokens").json(&body), 201).await;
    Client {
        http: owner.http.clone(),
        url: owner.url.clone(),
        token: created["token"].as_str().map(str::to_owned),
        user_id: owner.user_id.clone(),
    }
}

#[tokio::test]
async fn uploads_of_a_service_token_count_per_session() {
    let server = TestServer::with(&[("SORTIE_UPLOADS_PER_USER", "2")]).await;
    let service = with_api_token(&server.user("platform").await).await;
    // Sixteen times a user's limit in total, with the usual limit per session.
    let mut sessions = Vec::new();
    for _ in 0..16 {
        let session = service.session().await;
        let start = format!("/api/sessions/{session}/recording/start");
        json_of(service.post(&start), 201).await;
        json_of(service.post(&start), 201).await;
        let sentence = problem(service.post(&start), 429, "too_many_requests").await;
        assert!(
            sentence.starts_with("You have 2 open uploads"),
            "{sentence}"
        );
        sessions.push(session);
    }
    let session = service.session().await;
    let start = format!("/api/sessions/{session}/recording/start");
    let sentence = problem(service.post(&start), 429, "too_many_requests").await;
    assert!(
        sentence.starts_with("You have 32 open uploads"),
        "{sentence}"
    );
    // The page of one session, with a recording token, has the session's limit, too.
    let token = format!("/api/sessions/{}/token", sessions[0]);
    let token = json_of(service.post(&token), 200).await;
    let page = Client {
        http: service.http.clone(),
        url: service.url.clone(),
        token: token["token"].as_str().map(str::to_owned),
        user_id: service.user_id.clone(),
    };
    let start = format!("/api/sessions/{}/recording/start", sessions[0]);
    problem(page.post(&start), 429, "too_many_requests").await;
}

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn upload_beyond_quota_returns_413_and_keeps_what_fits() {
    let server = TestServer::with(&[("SORTIE_QUOTA_MB_PER_USER", "2")]).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    // A declared length beyond the quota: refused before the upload is created.
    let declared = ann
        .tus(Method::POST, "/api/uploads")
        .header("Upload-Length", 3 * MIB);
    let sentence = problem(declared, 413, "quota_exceeded").await;
    assert!(sentence.contains("SORTIE_QUOTA_MB_PER_USER"), "{sentence}");
    assert_eq!(
        std::fs::read_dir(server.recordings()).unwrap().count(),
        0,
        "nothing is left behind"
    );
    // The upload grows beyond the quota: the bytes within it are kept.
    let (id, _) = ann.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    let mut bytes = chromium_webm();
    let kept = bytes.len();
    bytes.resize(MIB + MIB / 2, 0);
    let first = ann.patch(&upload, 0, bytes.clone()).send().await.unwrap();
    assert_eq!(first.status(), StatusCode::NO_CONTENT);
    let second = ann.patch(&upload, bytes.len() as u64, vec![0; MIB]);
    problem(second, 413, "quota_exceeded").await;
    assert_eq!(ann.offset(&id).await, 2 * MIB as u64);
    let usage = json_of(ann.get("/api/storage/usage"), 200).await;
    assert_eq!(usage["bytes"], 2 * MIB, "{usage}");
    assert_eq!(usage["quota_bytes"], 2 * MIB);
    assert_eq!(usage["open_uploads"], 1);
    // All upload methods refuse further uploads; other users are not affected.
    let session = ann.session().await;
    let start = format!("/api/sessions/{session}/recording/start");
    for refused in [
        ann.post(&start),
        creation(&ann, ""),
        creation(&ann, "partial"),
    ] {
        problem(refused, 413, "quota_exceeded").await;
    }
    bob.record(&chromium_webm()).await;
    // Deleting frees quota immediately.
    let gone = ann.tus(Method::DELETE, &upload).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    server.clock.advance(std::time::Duration::from_secs(31));
    let whole = ann.record(&chromium_webm()).await;
    let usage = json_of(ann.get("/api/storage/usage"), 200).await;
    assert_eq!(usage["bytes"], ann.recording(&whole).await["size_bytes"]);
    assert!(kept > 0);
}

#[tokio::test]
async fn parallel_uploads_share_one_quota() {
    let server = TestServer::with(&[("SORTIE_QUOTA_MB_PER_USER", "1")]).await;
    let ann = server.user("ann").await;
    let mut uploads = Vec::new();
    for _ in 0..4 {
        uploads.push(ann.start_recording().await.0);
    }
    let requests = uploads.iter().map(|id| {
        ann.patch(&format!("/api/uploads/{id}"), 0, vec![0; MIB / 2])
            .send()
    });
    let answers = futures_util::future::join_all(requests).await;
    let refused = answers
        .iter()
        .filter(|answer| answer.as_ref().unwrap().status() == StatusCode::PAYLOAD_TOO_LARGE)
        .count();
    assert!(refused >= 2, "{refused} of 4 are refused");
    let mut bytes = 0;
    for id in &uploads {
        bytes += ann.offset(id).await;
    }
    assert_eq!(bytes, MIB as u64);
}

#[tokio::test]
async fn protection_beyond_quota_returns_413() {
    let server = TestServer::with(&[("SORTIE_QUOTA_PROTECTED_MB_PER_USER", "1")]).await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    // Half a MiB, padded with an EBML Void element.
    let mut bytes = chromium_webm();
    let filler = MIB / 2 - bytes.len() - 9;
    bytes.extend([0xec, 0x01]);
    bytes.extend(&(filler as u64).to_be_bytes()[1..]);
    bytes.resize(MIB / 2, 0);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(ann.record(&bytes).await);
    }
    let sizes = async |id: &str| ann.recording(id).await["size_bytes"].as_u64().unwrap();
    assert!(sizes(&ids[0]).await > MIB as u64 / 3);
    let protect = |client: &Client, id: &str| {
        client
            .request(Method::PATCH, &format!("/api/recordings/{id}"))
            .json(&json!({ "protected": true }))
    };
    json_of(protect(&ann, &ids[0]), 200).await;
    // A growing upload counts with its declared maximum.
    let (growing, _) = ann.start_recording().await;
    let sentence = problem(protect(&ann, &growing), 413, "quota_exceeded").await;
    assert!(
        sentence.contains("SORTIE_QUOTA_PROTECTED_MB_PER_USER"),
        "{sentence}"
    );
    // Concurrent requests cannot exceed the quota.
    let answers =
        futures_util::future::join_all(ids[1..].iter().map(|id| protect(&ann, id).send())).await;
    let statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().unwrap().status().as_u16())
        .collect();
    let usage = json_of(ann.get("/api/storage/usage"), 200).await;
    let protected = usage["protected_bytes"].as_u64().unwrap();
    assert!(protected <= MIB as u64, "{usage} {statuses:?}");
    assert!(statuses.contains(&413), "{statuses:?}");
    assert_eq!(usage["quota_protected_bytes"], MIB);
    // Administrators may exceed it.
    json_of(protect(&admin, &ids[1]), 200).await;
    json_of(protect(&admin, &ids[2]), 200).await;
}

#[tokio::test]
async fn further_part_of_a_protected_recording_counts_in_the_quota() {
    let server = TestServer::with(&[
        ("SORTIE_QUOTA_PROTECTED_MB_PER_USER", "1"),
        ("SORTIE_RECORDING_MAX_SIZE_MB", "10"),
    ])
    .await;
    let ann = server.user("ann").await;
    let (first, session) = ann.start_recording().await;
    let protect = |id: &str| {
        ann.request(Method::PATCH, &format!("/api/recordings/{id}"))
            .json(&json!({ "protected": true }))
    };
    // The recording may grow beyond the quota.
    problem(protect(&first), 413, "quota_exceeded").await;
    let bytes = chromium_webm();
    let sent = ann
        .patch(&format!("/api/uploads/{first}"), 0, bytes.clone())
        .header("Upload-Length", bytes.len())
        .send()
        .await
        .expect("an answer");
    assert_eq!(sent.status(), StatusCode::NO_CONTENT);
    json_of(protect(&first), 200).await;
    // A part of unknown length may, too.
    let start = ann
        .post(&format!("/api/sessions/{session}/recording/start"))
        .json(&json!({ "continues": first }));
    problem(start, 413, "quota_exceeded").await;
    let continued = |length: usize| {
        let continues = base64::engine::general_purpose::STANDARD.encode(&first);
        ann.tus(Method::POST, "/api/uploads")
            .header("Upload-Length", length)
            .header("Upload-Metadata", format!("continues {continues}"))
    };
    problem(continued(2 * MIB), 413, "quota_exceeded").await;
    created(continued(MIB / 2)).await;
    let usage = json_of(ann.get("/api/storage/usage"), 200).await;
    assert_eq!(usage["open_uploads"], 1);
}

/// A body that is spooled until its checksum is verified, of which only the beginning arrives.
async fn spooled(client: &Client, id: &str, bytes: usize, length: usize) -> TcpStream {
    let address = client.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let token = client.token.as_deref().unwrap_or_default();
    let head = format!(
        "PATCH /api/uploads/{id} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nTus-Resumable: 1.0.0\r\n\
         Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\nContent-Length: {length}\r\n\
         Upload-Checksum: crc32c AAAAAA==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&vec![7; bytes]).await.expect("sent");
    stream
}

/// Status of the answer to a body of `bytes` whose checksum is wrong.
async fn status_of_spooled(client: &Client, id: &str, bytes: usize) -> u16 {
    let mut stream = spooled(client, id, bytes, bytes).await;
    let mut line = [0; 12];
    stream.read_exact(&mut line).await.expect("an answer");
    let line = String::from_utf8_lossy(&line);
    line[9..].parse().expect("a status")
}

/// Bytes of recordings that the server has received.
async fn received_bytes(admin: &Client) -> u64 {
    let metrics = admin.get("/metrics").send().await.expect("an answer");
    let metrics = metrics.text().await.expect("text");
    let mut lines = metrics.lines();
    let line = lines.find(|line| !line.starts_with('#') && line.contains("upload_received"));
    let value = line.and_then(|line| line.rsplit_once(' '));
    let (_, value) = value.expect("the counter");
    value.parse().expect("a number")
}

#[tokio::test]
async fn spooled_bodies_count_in_the_limits_of_their_owner_until_they_end() {
    const MB: usize = 1024 * 1024;
    for (name, value, refused) in [
        ("SORTIE_QUOTA_MB_PER_USER", "4", 413),
        ("SORTIE_RECORDING_MAX_SIZE_MB", "4", 429),
    ] {
        let server = TestServer::with(&[(name, value)]).await;
        let admin = server.admin().await;
        let (ann, bob) = (server.user("ann").await, server.user("bob").await);
        let (first, _) = ann.start_recording().await;
        let (second, _) = ann.start_recording().await;
        let (other, _) = bob.start_recording().await;
        let stalled = spooled(&ann, &first, 3 * MB, 3 * MB + 1).await;
        until("the first body is spooled", async || {
            received_bytes(&admin).await == 3 * MB as u64
        })
        .await;
        assert_eq!(status_of_spooled(&ann, &second, 2 * MB).await, refused);
        assert_eq!(status_of_spooled(&bob, &other, 2 * MB).await, 460, "{name}");
        drop(stalled);
        until("the spooled bytes are released", async || {
            status_of_spooled(&ann, &second, 2 * MB).await == 460
        })
        .await;
    }
}

#[tokio::test]
async fn partial_uploads_of_another_user_count_for_the_owner_of_the_session() {
    let server = TestServer::with(&[("SORTIE_QUOTA_MB_PER_USER", "1")]).await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let session = ann.session().await;
    let name = base64::engine::general_purpose::STANDARD.encode(&session);
    let join = async |bytes: usize| {
        let part = admin
            .tus(Method::POST, "/api/uploads")
            .header("Upload-Length", bytes)
            .header("Upload-Concat", "partial");
        let part = created(part).await;
        let whole = admin.patch(&part, 0, vec![7; bytes]).send().await;
        assert_eq!(whole.expect("an answer").status(), StatusCode::NO_CONTENT);
        admin
            .tus(Method::POST, "/api/uploads")
            .header("Upload-Metadata", format!("session_id {name}"))
            .header("Upload-Concat", format!("final;{part}"))
    };
    let (own, _) = ann.start_recording().await;
    let own = ann.patch(&format!("/api/uploads/{own}"), 0, vec![7; 700_000]);
    let own = own.send().await.expect("an answer");
    assert_eq!(own.status(), StatusCode::NO_CONTENT);
    let refused = join(600_000).await;
    problem(refused, 413, "quota_exceeded").await;
    created(join(300_000).await).await;
}
