//! Partial uploads and their concatenation.

use crate::support::{Client, TestServer, chromium_webm, header, json_of, problem, until};
use reqwest::{Method, StatusCode};
use serde_json::Value;

/// Creates a complete partial upload of these bytes.
async fn part(client: &Client, bytes: &[u8]) -> String {
    let length = bytes.len().to_string();
    let headers = [
        ("Upload-Concat", "partial"),
        ("Upload-Length", length.as_str()),
    ];
    let upload = client.create_upload(&headers).await;
    let answer = client.patch(&upload, 0, bytes.to_vec()).send().await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::NO_CONTENT);
    upload
}

fn joining(client: &Client, parts: &str) -> reqwest::RequestBuilder {
    client
        .tus(Method::POST, "/api/uploads")
        .header("Upload-Concat", format!("final;{parts}"))
}

async fn joined(client: &Client, parts: &str) -> String {
    let answer = joining(client, parts).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
    header(&answer, "location")
}

async fn head(client: &Client, upload: &str) -> reqwest::Response {
    client
        .tus(Method::HEAD, upload)
        .send()
        .await
        .expect("an answer")
}

fn files(server: &TestServer) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(server.recordings())
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

fn id(upload: &str) -> &str {
    upload.rsplit('/').next().unwrap_or_default()
}

#[tokio::test]
async fn joined_parts_equal_the_whole_and_are_removed() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let (one, rest) = bytes.split_at(7_001);
    let (two, three) = rest.split_at(1);
    let one = part(&client, one).await;
    let three = part(&client, three).await;
    let two = part(&client, two).await;
    let list = json_of(client.get("/api/recordings"), 200).await;
    assert_eq!(list, Value::Array(vec![]), "parts are listed");
    for path in ["", "/download", "/stream"] {
        let hidden = client.get(&format!("/api/recordings/{}{path}", id(&one)));
        problem(hidden, 404, "not_found").await;
    }
    let answer = head(&client, &one).await;
    assert_eq!(header(&answer, "upload-concat"), "partial");
    assert_eq!(header(&answer, "upload-offset"), "7001");

    // Parts by path and by absolute URL, in this order.
    let parts = format!("{one} {}{two} {three}", server.url);
    let answer = joining(&client, &parts)
        .header("Upload-Metadata", "filename dGFsay53ZWJt,note aGk=")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
    let upload = header(&answer, "location");
    let row = client.recording(id(&upload)).await;
    assert_eq!(row["status"], "ready", "{row}");
    assert_eq!(row["filename"], "talk.webm");
    let whole = client.recording(&client.record(&bytes).await).await;
    assert_eq!(row["duration_seconds"], whole["duration_seconds"]);
    let contents = [&row, &whole].map(|row| {
        let path = row["storage_path"].as_str().unwrap_or_default();
        std::fs::read(server.file(path)).expect("the finished file")
    });
    assert!(contents[0] == contents[1], "the two files differ");
    assert_eq!(files(&server).len(), 2, "parts are left");

    let answer = head(&client, &upload).await;
    assert_eq!(header(&answer, "upload-concat"), format!("final;{parts}"));
    let length = bytes.len().to_string();
    assert_eq!(header(&answer, "upload-offset"), length);
    assert_eq!(header(&answer, "upload-length"), length);
    assert_eq!(
        header(&answer, "upload-metadata"),
        "filename dGFsay53ZWJt,note aGk="
    );
    assert_eq!(head(&client, &one).await.status(), 404);
    // A final upload accepts no bytes, not even an empty body.
    for body in ["", "x"] {
        problem(
            client.patch(&upload, bytes.len() as u64, body),
            403,
            "forbidden",
        )
        .await;
    }
    // A retry after a lost answer returns the same recording.
    assert_eq!(joined(&client, &parts).await, upload);
    let list = json_of(client.get("/api/recordings"), 200).await;
    assert_eq!(list.as_array().map(Vec::len), Some(2));
    let deleted = client.tus(Method::DELETE, &upload).send().await;
    assert_eq!(deleted.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert_eq!(files(&server).len(), 1);
}

#[tokio::test]
async fn raw_parts_are_joined_byte_for_byte() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let pieces: Vec<Vec<u8>> = (0..7_u8)
        .map(|at| vec![at; usize::from(at) * 400_000])
        .collect();
    let mut parts = Vec::new();
    for piece in &pieces {
        parts.push(part(&client, piece).await);
    }
    let upload = joined(&client, &parts.join(" ")).await;
    let kept = std::fs::read(server.file(&format!("{}.bin", id(&upload)))).expect("the kept file");
    assert!(kept == pieces.concat(), "the stored bytes differ");
    assert_eq!(files(&server).len(), 1);
}

#[tokio::test]
async fn only_own_complete_partial_uploads_can_be_joined() {
    let server = TestServer::with(&[("SORTIE_RECORDING_MAX_SIZE_MB", "1")]).await;
    let client = server.admin().await;
    let alice = server.user("alice").await;
    let mine = part(&client, b"mine").await;
    let (recording, _) = client.start_recording().await;
    let unfinished = client
        .create_upload(&[("Upload-Concat", "partial"), ("Upload-Length", "9")])
        .await;
    let deferred = client
        .create_upload(&[("Upload-Concat", "partial"), ("Upload-Defer-Length", "1")])
        .await;
    let large = part(&client, &vec![0; 1024 * 1024]).await;
    for (parts, status, code) in [
        (format!("{mine} /api/uploads/nothing"), 404, "not_found"),
        (
            format!("{mine} /api/uploads/{recording}"),
            400,
            "bad_request",
        ),
        (format!("{mine} {unfinished}"), 400, "bad_request"),
        (deferred, 400, "bad_request"),
        (format!("{mine} {large}"), 413, "too_large"),
        (format!("http://example.org{mine}"), 400, "bad_request"),
        ("/etc/passwd".to_owned(), 400, "bad_request"),
        ("/api/uploads/../uploads/x".to_owned(), 400, "bad_request"),
    ] {
        problem(joining(&client, &parts), status, code).await;
    }
    problem(joining(&alice, &mine), 403, "forbidden").await;
    problem(alice.tus(Method::DELETE, &mine), 403, "forbidden").await;
    let with_length = joining(&client, &mine).header("Upload-Length", 4);
    problem(with_length, 400, "bad_request").await;
    let with_body = joining(&client, &mine)
        .header("Content-Type", "application/offset+octet-stream")
        .body("bytes");
    problem(with_body, 403, "forbidden").await;

    // The part is unchanged; an administrator may join another user's part.
    let answer = head(&client, &mine).await;
    assert_eq!(header(&answer, "upload-offset"), "4");
    joined(&client, &mine).await;
    let hers = part(&alice, b"hers").await;
    joined(&client, &hers).await;
}

#[tokio::test]
async fn exactly_one_of_two_final_uploads_gets_the_part() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    for _ in 0..10 {
        let one = part(&client, b"one").await;
        let two = part(&client, b"two").await;
        let (a, b) = futures_util::future::join(
            joining(&client, &format!("{one} {two}")).send(),
            joining(&client, &format!("{two} {one}")).send(),
        )
        .await;
        let mut statuses = [a, b].map(|answer| answer.expect("an answer").status().as_u16());
        statuses.sort_unstable();
        assert!(
            statuses == [201, 404] || statuses == [201, 409],
            "{statuses:?}"
        );
    }
    assert_eq!(files(&server).len(), 10);
}

#[tokio::test]
async fn part_is_either_joined_or_deleted() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    for _ in 0..20 {
        let part = part(&client, &chromium_webm()).await;
        let (joined, deleted) = futures_util::future::join(
            joining(&client, &part).send(),
            client.tus(Method::DELETE, &part).send(),
        )
        .await;
        let joined = joined.expect("an answer");
        let deleted = deleted.expect("an answer").status().as_u16();
        match joined.status().as_u16() {
            201 => {
                // 204: it was already joined and deleted.
                assert!([204, 404, 409].contains(&deleted), "{deleted}");
                let id = header(&joined, "location").replace("/api/uploads/", "");
                assert_eq!(client.recording(&id).await["status"], "ready");
            }
            refused => assert_eq!((deleted, refused / 100), (204, 4)),
        }
    }
}

#[tokio::test]
async fn concurrent_identical_final_uploads_make_one_recording() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    for _ in 0..10 {
        let parts = part(&client, &vec![7; 3_000_000]).await;
        let (a, b) = futures_util::future::join(
            joining(&client, &parts).send(),
            joining(&client, &parts).send(),
        )
        .await;
        let statuses = [a, b].map(|answer| answer.expect("an answer").status().as_u16());
        // One request may have preempted the other; its sender retries.
        assert!(
            statuses.iter().all(|status| [201, 423].contains(status)) && statuses.contains(&201),
            "{statuses:?}"
        );
        joined(&client, &parts).await;
    }
    let list = json_of(client.get("/api/recordings"), 200).await;
    assert_eq!(list.as_array().map(Vec::len), Some(10));
    assert_eq!(files(&server).len(), 10);
}

#[tokio::test]
async fn partial_upload_resumes_after_a_restart() {
    let mut server = TestServer::start().await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let length = bytes.len().to_string();
    let headers = [
        ("Upload-Concat", "partial"),
        ("Upload-Length", length.as_str()),
    ];
    let upload = client.create_upload(&headers).await;
    let half = bytes.len() / 2;
    let answer = client
        .patch(&upload, 0, bytes[..half].to_vec())
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::NO_CONTENT);
    server.restart().await;
    let client = server.admin().await;
    assert_eq!(client.offset(id(&upload)).await, half as u64);
    let rest = client.patch(&upload, half as u64, bytes[half..].to_vec());
    let answer = rest.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let upload = joined(&client, &upload).await;
    assert_eq!(client.recording(id(&upload)).await["status"], "ready");
}

/// Runs a statement on the database directly.
async fn sql(server: &TestServer, statement: &'static str, values: &[&str]) {
    let pool = server.database().await;
    let mut query = sqlx::query(statement);
    for value in values {
        query = query.bind(*value);
    }
    query.execute(&pool).await.expect("the statement is right");
    pool.close().await;
}

/// State after a kill during concatenation, at each stage.
#[tokio::test]
async fn interrupted_concatenation_resumes_after_a_restart() {
    let bytes = chromium_webm();
    let length = bytes.len().to_string();
    let (one, two) = bytes.split_at(9_000);
    let mut server = TestServer::start().await;
    let client = server.admin().await;
    let session = client.session().await;
    let places = [0, 1, 5_000, 9_000, 9_001, bytes.len() - 1, bytes.len()];
    for copied in places {
        let (one, two) = (part(&client, one).await, part(&client, two).await);
        let name = format!("joined-{copied}");
        sql(
            &server,
            "INSERT INTO recordings (id, session_id, user_id, filename, storage_backend, storage_path, \
             status, upload_length, kind, upload_concat, created_ms) VALUES ($1, $2, $3, 'a.webm', \
             'local', $1 || '.part', 'uploading', CAST($4 AS BIGINT), 'final', $5, 0)",
            &[
                &name,
                &session,
                &client.user_id,
                &length,
                &format!("final;{one} {two}"),
            ],
        )
        .await;
        sql(
            &server,
            "UPDATE recordings SET final_id = $1 WHERE kind = 'partial' AND final_id IS NULL",
            &[&name],
        )
        .await;
        let growing = [vec![0; 4096], bytes[..copied].to_vec()].concat();
        std::fs::write(server.file(&format!("{name}.part")), growing).expect("free space");
        // Parts of a final upload belong to it alone.
        problem(client.tus(Method::DELETE, &one), 409, "conflict").await;
        // Before it is joined, it has a length but no offset.
        let upload = format!("/api/uploads/{name}");
        let answer = head(&client, &upload).await;
        assert_eq!(header(&answer, "upload-length"), length);
        assert_eq!(header(&answer, "upload-offset"), "");
        problem(client.patch(&upload, 0, "x"), 403, "forbidden").await;
    }

    server.restart().await;
    let client = server.admin().await;
    let whole = client.recording(&client.record(&bytes).await).await;
    for copied in places {
        let name = format!("joined-{copied}");
        until("the concatenation resumes", async || {
            client.recording(&name).await["status"] == "ready"
        })
        .await;
        let row = client.recording(&name).await;
        for field in ["duration_seconds", "size_bytes", "format", "interrupted"] {
            assert_eq!(row[field], whole[field], "{copied} bytes were copied");
        }
    }
    until("the parts are gone", async || {
        files(&server).len() == places.len() + 1
    })
    .await;
}

#[tokio::test]
async fn joined_recordings_have_the_sum_of_durations() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let once = client.recording(&client.record(&bytes).await).await;
    let (one, two) = (part(&client, &bytes).await, part(&client, &bytes).await);
    let upload = joined(&client, &format!("{one} {two}")).await;
    let row = client.recording(id(&upload)).await;
    assert_eq!(row["status"], "ready", "{row}");
    let seconds = |row: &Value| row["duration_seconds"].as_f64().unwrap_or_default();
    let expected = 2.0 * seconds(&once);
    assert!((seconds(&row) - expected).abs() < 0.01, "{row}");
    assert_eq!(row["received_bytes"], 2 * bytes.len());
    assert!(row["note"].is_null() && row["left_out"].is_null(), "{row}");
    let path = row["storage_path"].as_str().unwrap_or_default();
    let file = std::fs::read(server.file(path)).expect("the finished file");
    assert_eq!(file.len(), 4096 + 2 * bytes.len());
    assert_eq!(files(&server).len(), 2, "parts are left");
}
