//! Sessions and recordings: start, stop, list, play, download, delete, and permissions.

use crate::support::{TestServer, chromium_webm, header, json_of, problem};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn start_and_stop_follow_the_contract() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let session = json_of(
        client
            .post("/api/sessions")
            .json(&json!({ "app_id": "desk" })),
        201,
    )
    .await;
    assert_eq!(session["status"], "running");
    assert_eq!(session["app_id"], "desk");
    assert_eq!(session["user_id"], client.user_id.as_str());
    assert_eq!(session["recording_policy"], "");
    let id = session["id"].as_str().unwrap_or_default();
    let start = format!("/api/sessions/{id}/recording/start");
    let stop = format!("/api/sessions/{id}/recording/stop");
    let started = json_of(client.post(&start), 201).await;
    assert_eq!(started["status"], "recording");
    assert_eq!(
        started["upload_url"],
        format!(
            "/api/uploads/{}",
            started["recording_id"].as_str().unwrap_or_default()
        )
    );
    problem(client.post(&stop).json(&json!({})), 400, "bad_request").await;
    problem(
        client.post(&stop).json(&json!({ "recording_id": "" })),
        400,
        "bad_request",
    )
    .await;
    problem(
        client
            .post(&stop)
            .json(&json!({ "recording_id": "nothing" })),
        404,
        "not_found",
    )
    .await;
    let body = json!({ "recording_id": started["recording_id"] });
    assert_eq!(
        json_of(client.post(&stop).json(&body), 200).await["status"],
        "uploading"
    );
    // Stopping is idempotent.
    assert_eq!(
        json_of(client.post(&stop).json(&body), 200).await["status"],
        "uploading"
    );

    problem(
        client.post("/api/sessions/nothing/recording/start"),
        404,
        "not_found",
    )
    .await;
    assert_eq!(
        json_of(client.post(&format!("/api/sessions/{id}/stop")), 200).await["status"],
        "stopped"
    );
    problem(client.post(&start), 409, "session_not_running").await;
    let creating = json!({ "app_id": "desk", "status": "creating" });
    let creating = json_of(client.post("/api/sessions").json(&creating), 201).await;
    let start = format!(
        "/api/sessions/{}/recording/start",
        creating["id"].as_str().unwrap_or_default()
    );
    problem(client.post(&start), 409, "session_not_running").await;
}

#[tokio::test]
async fn foreign_sessions_and_recordings_are_not_accessible() {
    let server = TestServer::start().await;
    let (admin, ann, bob) = (
        server.admin().await,
        server.user("ann").await,
        server.user("bob").await,
    );
    let (open, session) = ann.start_recording().await;
    let ready = ann.record(&chromium_webm()).await;
    let requests = [
        (
            Method::POST,
            format!("/api/sessions/{session}/recording/start"),
        ),
        (
            Method::POST,
            format!("/api/sessions/{session}/recording/stop"),
        ),
        (Method::GET, format!("/api/sessions/{session}")),
        (Method::POST, format!("/api/sessions/{session}/stop")),
        (Method::DELETE, format!("/api/sessions/{session}")),
        (Method::GET, format!("/api/recordings/{ready}")),
        (Method::GET, format!("/api/recordings/{ready}/download")),
        (Method::GET, format!("/api/recordings/{ready}/stream")),
        (Method::DELETE, format!("/api/recordings/{ready}")),
        (Method::DELETE, format!("/api/uploads/{open}")),
        (Method::PATCH, format!("/api/uploads/{open}")),
    ];
    for (method, path) in &requests {
        let body = || json!({ "recording_id": open }).to_string();
        let content_type = if *method == Method::PATCH {
            "application/offset+octet-stream"
        } else {
            "application/json"
        };
        let request = |client: &crate::support::Client| {
            client
                .tus(method.clone(), path)
                .header("Content-Type", content_type)
                .header("Upload-Offset", "0")
                .body(body())
        };
        problem(request(&server.anonymous()), 401, "unauthenticated").await;
        let sentence = problem(request(&bob), 403, "forbidden").await;
        assert!(
            sentence.contains("belongs to another user"),
            "{method} {path}: {sentence}"
        );
    }
    // The recording is unchanged, and lists show a user's own recordings only.
    assert_eq!(ann.recording(&open).await["size_bytes"], 0);
    assert_eq!(
        json_of(ann.get("/api/recordings"), 200)
            .await
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    assert_eq!(json_of(bob.get("/api/recordings"), 200).await, json!([]));
    // An administrator may read and delete it.
    assert_eq!(admin.recording(&ready).await["username"], "ann");
    let deleted = admin
        .delete(&format!("/api/recordings/{ready}"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn download_supports_ranges_and_conditions() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let id = client.record(&chromium_webm()).await;
    let path = format!("/api/recordings/{id}/download");
    let whole = client.get(&path).send().await.expect("an answer");
    assert_eq!(whole.status(), StatusCode::OK);
    assert_eq!(header(&whole, "content-type"), "video/webm");
    assert_eq!(header(&whole, "accept-ranges"), "bytes");
    assert!(
        header(&whole, "content-disposition")
            .starts_with("attachment; filename=\"recording_2026-11-21_09-")
    );
    let (etag, modified) = (header(&whole, "etag"), header(&whole, "last-modified"));
    assert_eq!(modified, "Sat, 21 Nov 2026 09:30:00 GMT");
    let bytes = whole.bytes().await.expect("a body");
    assert_eq!(
        &bytes[..],
        &std::fs::read(server.file(&format!("{id}.webm"))).expect("the file")[..]
    );
    let size = bytes.len();

    let part = client
        .get(&path)
        .header("Range", "bytes=100-299")
        .send()
        .await
        .expect("an answer");
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(
        header(&part, "content-range"),
        format!("bytes 100-299/{size}")
    );
    assert_eq!(header(&part, "content-length"), "200");
    assert_eq!(part.bytes().await.expect("a body"), bytes.slice(100..300));

    let sentence = problem(
        client.get(&path).header("Range", "bytes=99999999-"),
        416,
        "range_not_satisfiable",
    )
    .await;
    assert!(sentence.contains(&size.to_string()), "{sentence}");

    let fresh = client
        .get(&path)
        .header("If-None-Match", &etag)
        .send()
        .await
        .expect("an answer");
    assert_eq!(fresh.status(), StatusCode::NOT_MODIFIED);
    for (condition, status) in [
        (etag.as_str(), 206),
        (modified.as_str(), 206),
        ("\"other\"", 200),
    ] {
        let request = client
            .get(&path)
            .header("Range", "bytes=0-0")
            .header("If-Range", condition);
        assert_eq!(
            request.send().await.expect("an answer").status().as_u16(),
            status,
            "{condition}"
        );
    }
    let head = client
        .request(Method::HEAD, &path)
        .send()
        .await
        .expect("an answer");
    assert_eq!(header(&head, "content-length"), size.to_string());

    let stream = client
        .get(&format!("/api/recordings/{id}/stream"))
        .send()
        .await
        .expect("an answer");
    assert!(header(&stream, "content-disposition").starts_with("inline"));
}

#[tokio::test]
async fn unfinished_recording_cannot_be_downloaded() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let sentence = problem(
        client.get(&format!("/api/recordings/{id}/download")),
        409,
        "not_ready",
    )
    .await;
    assert_eq!(
        sentence,
        "This recording is not ready yet. Try again when it is complete."
    );
}

#[tokio::test]
async fn list_pages_neither_skip_nor_repeat() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(client.start_recording().await.0);
    }
    expected.reverse();
    let mut seen = Vec::new();
    let mut next = Some("/api/recordings?limit=2".to_owned());
    while let Some(path) = next {
        let answer = client.get(&path).send().await.expect("an answer");
        let link = header(&answer, "link");
        next = link
            .strip_prefix('<')
            .and_then(|link| link.split_once(">; rel=\"next\""))
            .map(|it| it.0.to_owned());
        let page: Vec<Value> = answer.json().await.expect("an array");
        assert!(page.len() <= 2);
        seen.extend(
            page.iter()
                .map(|row| row["id"].as_str().unwrap_or_default().to_owned()),
        );
    }
    assert_eq!(seen, expected);
    for query in ["limit=0", "limit=501", "limit=ten", "cursor=x", "cursor=1"] {
        problem(
            client.get(&format!("/api/recordings?{query}")),
            400,
            "invalid_field",
        )
        .await;
    }
}

#[tokio::test]
async fn single_request_upload_becomes_ready() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, session) = client.start_recording().await;
    let path = format!("/api/sessions/{session}/recording/upload");
    let file = |bytes: Vec<u8>| reqwest::multipart::Part::bytes(bytes).file_name("a.webm");
    let form = || {
        reqwest::multipart::Form::new()
            .text("recording_id", id.clone())
            .text("duration", "1.5")
    };

    problem(client.post(&path).multipart(form()), 400, "bad_request").await;
    let nameless = reqwest::multipart::Form::new().part("file", file(chromium_webm()));
    problem(client.post(&path).multipart(nameless), 400, "bad_request").await;
    problem(client.post(&path).body("no form"), 400, "bad_request").await;

    let answer = json_of(
        client
            .post(&path)
            .multipart(form().part("file", file(chromium_webm()))),
        200,
    )
    .await;
    assert_eq!(answer, json!({ "status": "ready" }));
    assert_eq!(client.recording(&id).await["status"], "ready");
    let again = client
        .post(&path)
        .multipart(form().part("file", file(chromium_webm())));
    problem(again, 409, "conflict").await;
    // The server accepts text as an upload; the recording fails.
    let (id, session) = client.start_recording().await;
    let form = reqwest::multipart::Form::new()
        .text("recording_id", id.clone())
        .part("file", file(b"text".to_vec()));
    let path = format!("/api/sessions/{session}/recording/upload");
    assert_eq!(
        json_of(client.post(&path).multipart(form), 200).await,
        json!({ "status": "processing" })
    );
    assert_eq!(client.recording(&id).await["status"], "failed");
}

#[tokio::test]
async fn disabled_recording_has_no_routes() {
    let server = TestServer::with(&[("SORTIE_VIDEO_RECORDING_ENABLED", "false")]).await;
    let client = server.admin().await;
    assert_eq!(
        json_of(client.get("/api/info"), 200).await["recording_enabled"],
        false
    );
    let session = client.session().await;
    for (method, path) in [
        (
            Method::POST,
            format!("/api/sessions/{session}/recording/start"),
        ),
        (
            Method::POST,
            format!("/api/sessions/{session}/recording/stop"),
        ),
        (
            Method::POST,
            format!("/api/sessions/{session}/recording/upload"),
        ),
        (Method::GET, "/api/recordings".to_owned()),
        (Method::GET, "/api/recordings/x/download".to_owned()),
        (Method::DELETE, "/api/recordings/x".to_owned()),
        (Method::POST, "/api/uploads".to_owned()),
        (Method::PATCH, "/api/uploads/x".to_owned()),
    ] {
        problem(client.request(method, &path), 404, "not_found").await;
    }
}

#[tokio::test]
async fn malformed_json_returns_a_sentence() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let post = |body: &'static str| {
        client
            .post("/api/sessions")
            .header("Content-Type", "application/json")
            .body(body)
    };
    problem(post("{"), 400, "bad_request").await;
    problem(post("{}"), 400, "invalid_field").await;
    problem(post("{\"app_id\":5}"), 400, "invalid_field").await;
    problem(post("{\"app_id\":\"\"}"), 400, "invalid_field").await;
    problem(
        post("{\"app_id\":\"a\",\"status\":\"stopped\"}"),
        400,
        "invalid_field",
    )
    .await;
    problem(
        client.post("/api/sessions").body("app_id=a"),
        415,
        "unsupported_media_type",
    )
    .await;
    problem(client.get("/api/nothing"), 404, "not_found").await;
    problem(
        client.request(Method::PUT, "/api/recordings"),
        405,
        "method_not_allowed",
    )
    .await;
    let large = format!("{{\"app_id\":\"{}\"}}", "x".repeat(100_000));
    let large = client
        .post("/api/sessions")
        .header("Content-Type", "application/json")
        .body(large);
    problem(large, 413, "too_large").await;
}

/// Lines of an NDJSON answer.
async fn lines_of(request: reqwest::RequestBuilder) -> Vec<Value> {
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(header(&answer, "content-type"), "application/x-ndjson");
    let text = answer.text().await.expect("text");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object"));
    lines.collect()
}

#[tokio::test]
async fn bulk_delete_returns_one_line_per_recording() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let (first, second) = (
        ann.record(&chromium_webm()).await,
        ann.record(&chromium_webm()).await,
    );
    let (running, _) = ann.start_recording().await;
    let foreign = bob.record(&chromium_webm()).await;
    // A recording named twice is deleted once.
    let ids = [&first, &foreign, "unknown", &second, &running, &first];
    let lines = lines_of(
        ann.post("/api/recordings/delete")
            .json(&json!({ "ids": ids })),
    )
    .await;
    let results: Vec<_> = lines
        .iter()
        .map(|line| {
            let problem = line["problem"]["code"].as_str().unwrap_or_default();
            (line["id"].as_str(), line["status"].as_str(), problem)
        })
        .collect();
    assert_eq!(
        results,
        [
            (Some(first.as_str()), Some("deleted"), ""),
            (Some(foreign.as_str()), Some("failed"), "forbidden"),
            (Some("unknown"), Some("failed"), "not_found"),
            (Some(second.as_str()), Some("deleted"), ""),
            (Some(running.as_str()), Some("deleted"), ""),
        ]
    );
    let left = json_of(ann.get("/api/recordings"), 200).await;
    assert_eq!(left, json!([]));
    assert_eq!(bob.recording(&foreign).await["status"], "ready");
}

#[tokio::test]
async fn bulk_delete_refuses_empty_too_long_and_malformed_lists() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let kept = ann.record(&chromium_webm()).await;
    let many: Vec<_> = (0..1001).map(|number| number.to_string()).collect();
    for body in [
        json!({ "ids": [] }),
        json!({ "ids": many }),
        json!({}),
        json!({ "ids": kept }),
        json!({ "ids": [kept], "all": true }),
    ] {
        problem(
            ann.post("/api/recordings/delete").json(&body),
            400,
            "invalid_field",
        )
        .await;
    }
    assert_eq!(ann.recording(&kept).await["status"], "ready");
}

#[tokio::test]
async fn bulk_delete_by_filter_deletes_what_the_count_counts() {
    let server = TestServer::start().await;
    let (admin, ann, bob) = (
        server.admin().await,
        server.user("ann").await,
        server.user("bob").await,
    );
    let (first, second) = (
        ann.record(&chromium_webm()).await,
        ann.record(&chromium_webm()).await,
    );
    let (running, _) = ann.start_recording().await;
    let foreign = bob.record(&chromium_webm()).await;
    let protect = json!({ "protected": true });
    let path = format!("/api/recordings/{second}");
    json_of(ann.request(Method::PATCH, &path).json(&protect), 200).await;

    let count = json_of(
        ann.get("/api/recordings/count?status=ready&totals=true"),
        200,
    )
    .await;
    let sizes = [&first, &second];
    let mut bytes = 0;
    for id in sizes {
        bytes += ann.recording(id).await["size_bytes"].as_u64().unwrap_or(0);
    }
    assert_eq!(
        count,
        json!({ "count": 2, "complete": true, "totals": {
            "size_bytes": bytes, "protected": 1, "open": 0, "forward_pending": 0
        } })
    );
    let count = json_of(admin.get("/api/admin/recordings/count"), 200).await;
    assert_eq!(count, json!({ "count": 4, "complete": true }));
    problem(ann.get("/api/admin/recordings/count"), 403, "forbidden").await;

    let delete = |body: Value| ann.post("/api/recordings/delete").json(&body);
    for (body, status, code) in [
        (
            json!({ "filter": {}, "ids": [first] }),
            400,
            "invalid_field",
        ),
        (
            json!({ "ids": [first], "all_users": true }),
            400,
            "invalid_field",
        ),
        (
            json!({ "ids": [first], "at_most": 1 }),
            400,
            "invalid_field",
        ),
        (json!({ "filter": {} }), 400, "invalid_field"),
        (
            json!({ "filter": { "sources": "tab" }, "at_most": 9 }),
            400,
            "invalid_field",
        ),
        (
            json!({ "filter": { "source": null, "stat": null }, "at_most": 9 }),
            400,
            "invalid_field",
        ),
        (json!({ "filter": {}, "at_most": 0 }), 400, "invalid_field"),
        (
            json!({ "filter": {}, "at_most": 10_001 }),
            400,
            "invalid_field",
        ),
        (
            json!({ "filter": { "cursor": "x" }, "at_most": 9 }),
            400,
            "invalid_field",
        ),
        (
            json!({ "filter": { "status": "none" }, "at_most": 9 }),
            400,
            "invalid_field",
        ),
        (
            json!({ "filter": { "user_id": bob.user_id }, "at_most": 9 }),
            400,
            "invalid_field",
        ),
        (
            json!({ "filter": {}, "at_most": 9, "all_users": true }),
            403,
            "forbidden",
        ),
    ] {
        problem(delete(body), status, code).await;
    }
    let mut deleted = Vec::new();
    for at_most in [1, 10] {
        let body = json!({ "filter": { "status": "ready" }, "at_most": at_most });
        let lines = lines_of(delete(body)).await;
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["status"], "deleted");
        deleted.extend(lines[0]["id"].as_str().map(str::to_owned));
    }
    assert_eq!(deleted, [second, first]);
    assert_eq!(ann.recording(&running).await["status"], "recording");
    assert_eq!(bob.recording(&foreign).await["status"], "ready");

    let body = json!({ "filter": { "user_id": "bob" }, "at_most": 1, "all_users": true });
    let lines = lines_of(admin.post("/api/recordings/delete").json(&body)).await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["id"], json!(foreign));
    let log = json_of(admin.get("/api/admin/audit?action=recording.delete"), 200).await;
    assert_eq!(log.as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn bulk_delete_stops_when_its_user_is_disabled() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let mut ids = Vec::new();
    for _ in 0..60 {
        ids.push(ann.record(&chromium_webm()).await);
    }
    let delete = ann
        .post("/api/recordings/delete")
        .json(&json!({ "ids": ids }));
    let mut answer = delete.send().await.expect("an answer");
    let mut received = answer
        .chunk()
        .await
        .expect("a line")
        .unwrap_or_default()
        .to_vec();
    let disable = admin
        .request(Method::PATCH, &format!("/api/admin/users/{}", ann.user_id))
        .json(&json!({ "disabled": true }));
    json_of(disable, 200).await;
    while let Some(piece) = answer.chunk().await.expect("a line") {
        received.extend_from_slice(&piece);
    }
    let last = received
        .trim_ascii_end()
        .rsplit(|&byte| byte == b'\n')
        .next();
    let last: Value = serde_json::from_slice(last.expect("a line")).expect("JSON");
    assert_eq!(last["status"], "failed", "{last}");
    assert_eq!(last["problem"]["status"], 401, "{last}");
}

#[tokio::test]
async fn bulk_delete_stops_when_the_client_disconnects() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(ann.record(&chromium_webm()).await);
    }
    let address = ann.url.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address)
        .await
        .expect("a connection");
    let body = json!({ "ids": ids }).to_string();
    let token = ann.token.as_deref().unwrap_or_default();
    let request = format!(
        "POST /api/recordings/delete HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("a request");
    let mut received = Vec::new();
    while !String::from_utf8_lossy(&received).contains("\"deleted\"") {
        let read = stream.read_buf(&mut received).await.expect("an answer");
        assert!(read > 0, "{}", String::from_utf8_lossy(&received));
    }
    stream.shutdown().await.expect("the end of the request");
    // The closed connection cannot receive the next line.
    stream.read_to_end(&mut received).await.expect("the rest");
    // The running deletion is completed.
    let mut counts = Vec::new();
    crate::support::until("the number of recordings is stable", async || {
        let left = json_of(ann.get("/api/recordings"), 200).await;
        counts.push(left.as_array().map_or(0, Vec::len));
        counts.len() > 20
            && counts
                .iter()
                .rev()
                .take(20)
                .all(|it| Some(it) == counts.last())
    })
    .await;
    let left = counts.last().copied().unwrap_or_default();
    assert!((1..30).contains(&left), "{left} of 30 are left");
}

/// Asserts that every received byte is in the file or in a reported range; returns the row.
async fn check_every_byte_accounted(
    client: &crate::support::Client,
    id: &str,
    received: usize,
) -> Value {
    let row = client.recording(id).await;
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    assert_eq!(number(&row["received_bytes"]), received as u64, "{row}");
    let empty = Vec::new();
    let left_out = row["left_out"].as_array().unwrap_or(&empty);
    let missing: u64 = left_out.iter().map(|range| number(&range["length"])).sum();
    let file = client
        .get(&format!("/api/recordings/{id}/download"))
        .send()
        .await
        .expect("an answer");
    let file = file.bytes().await.expect("a body");
    // The server's head is 4096 bytes; an index of this length is stored in it.
    assert_eq!(file.len() as u64, 4096 + received as u64 - missing, "{row}");
    row
}

#[tokio::test]
async fn recording_with_omitted_data_is_ready_with_a_note() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let webm = chromium_webm();

    let whole = client.record(&webm).await;
    let row = check_every_byte_accounted(&client, &whole, webm.len()).await;
    assert_eq!(row["note"], Value::Null, "{row}");

    let torn = client.record(&webm[..webm.len() - 5]).await;
    let row = check_every_byte_accounted(&client, &torn, webm.len() - 5).await;
    assert_eq!(
        (&row["status"], &row["left_out"][0]["reason"]),
        (&"ready".into(), &"torn".into())
    );
    let note = row["note"].as_str().expect("a note");
    assert!(
        note.contains("received bytes are not in the file"),
        "{note}"
    );

    let other = include_bytes!("../../../media/tests/data/chromium-avc1-mkv.mkv");
    let mixed = [&webm[..], other].concat();
    let mixed_id = client.record(&mixed).await;
    let row = check_every_byte_accounted(&client, &mixed_id, mixed.len()).await;
    let hidden = serde_json::json!([
        {"offset": webm.len(), "length": other.len(), "reason": "other_recording"}
    ]);
    assert_eq!(
        (&row["hidden"], &row["status"]),
        (&hidden, &"ready".into()),
        "{row}"
    );

    // Lists contain the note, but no ranges.
    let list = json_of(client.get("/api/recordings"), 200).await;
    let rows = list.as_array().expect("a list");
    let noted: Vec<_> = rows.iter().map(|row| row["note"].is_string()).collect();
    assert_eq!(noted, [true, true, false], "{list}");
    assert!(
        rows.iter()
            .all(|row| row["left_out"].is_null() && row["hidden"].is_null())
    );
}

#[tokio::test]
async fn failed_recording_is_downloaded_unchanged() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let webm = chromium_webm();
    let mp4 = include_bytes!("../../../media/tests/data/chromium-mp4.mp4");
    // A head, a cluster with unreadable frames, and bytes that are not a recording.
    let cluster = webm
        .windows(4)
        .position(|four| four == [0x1F, 0x43, 0xB6, 0x75]);
    let cluster = cluster.expect("a cluster");
    let unreadable = [&webm[..cluster + 15], &[0xFF; 900], &webm[..100]].concat();
    for bytes in [
        b"not a video at all",
        &webm[..cluster],
        &unreadable[..],
        &mp4[..1000],
        b"x",
    ] {
        let id = client.record(bytes).await;
        let row = client.recording(&id).await;
        assert_eq!(row["status"], "failed", "{row}");
        let path = format!("/api/recordings/{id}/raw");
        let answer = client.get(&path).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(header(&answer, "content-type"), "application/octet-stream");
        assert!(header(&answer, "content-disposition").starts_with("attachment"));
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        let body = answer.bytes().await.expect("a body");
        assert!(
            body[..] == *bytes,
            "{} bytes, not {}",
            body.len(),
            bytes.len()
        );
        let part = client.get(&path).header("Range", "bytes=0-0").send().await;
        let part = part.expect("an answer");
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.bytes().await.expect("a body")[..], bytes[..1]);
        problem(
            client.get(&format!("/api/recordings/{id}/download")),
            409,
            "not_ready",
        )
        .await;

        let stranger = server.user(&format!("stranger{}", bytes.len())).await;
        problem(stranger.get(&path), 403, "forbidden").await;
    }
    let ready = client.record(&webm).await;
    let (growing, _) = client.start_recording().await;
    for id in [ready, growing] {
        problem(
            client.get(&format!("/api/recordings/{id}/raw")),
            409,
            "not_ready",
        )
        .await;
    }
    problem(client.get("/api/recordings/nothing/raw"), 404, "not_found").await;
}
