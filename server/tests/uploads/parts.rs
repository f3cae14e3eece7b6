//! Recordings in several parts: a recorder that was offline for too long resumes in a further part.

use std::time::Duration;

use crate::support::{Client, TestServer, chromium_webm, header, json_of, problem, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const SILENCE: (&str, &str) = ("SORTIE_RECORDING_SILENCE_SECONDS", "60");

/// Starts the next part; returns its ID.
async fn start_next(client: &Client, session: &str, continues: &str) -> String {
    let start = client
        .post(&format!("/api/sessions/{session}/recording/start"))
        .json(&json!({ "continues": continues }));
    let started = json_of(start, 201).await;
    started["recording_id"].as_str().expect("an id").to_owned()
}

/// Sends a whole recording to an empty upload.
async fn send_all(client: &Client, id: &str, bytes: &[u8]) {
    let answer = client
        .patch(&format!("/api/uploads/{id}"), 0, bytes.to_vec())
        .header("Upload-Length", bytes.len())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
}

async fn listed(client: &Client, path: &str) -> Vec<Value> {
    let list = json_of(client.get(path), 200).await;
    list.as_array().expect("a list").clone()
}

async fn status(client: &Client, id: &str) -> u16 {
    let answer = client.get(&format!("/api/recordings/{id}")).send().await;
    answer.expect("an answer").status().as_u16()
}

fn ids(parts: &Value) -> Vec<(&str, u64)> {
    let parts = parts.as_array().into_iter().flatten();
    parts
        .map(|part| {
            (
                part["id"].as_str().expect("an id"),
                part["part"].as_u64().expect("a number"),
            )
        })
        .collect()
}

#[tokio::test]
async fn recorder_continues_after_410_in_a_further_part() {
    let server = TestServer::with(&[SILENCE]).await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let (first, session) = client.start_recording().await;
    let upload = format!("/api/uploads/{first}");
    let cut = bytes.len() - 3000;
    let patched = client.patch(&upload, 0, bytes[..cut].to_vec()).send().await;
    assert_eq!(patched.expect("an answer").status(), 204);
    server.clock.advance(Duration::from_secs(60));
    until("the silent recording is finished", async || {
        client.recording(&first).await["status"] == "ready"
    })
    .await;
    let rest = client.patch(&upload, cut as u64, bytes[cut..].to_vec());
    problem(rest, 410, "gone").await;

    let second = start_next(&client, &session, &first).await;
    send_all(&client, &second, &bytes).await;
    // A sender may name the part it continues instead of the first one.
    let third = start_next(&client, &session, &second).await;

    let recordings = listed(&client, "/api/recordings").await;
    assert_eq!(recordings.len(), 1, "{recordings:#?}");
    assert_eq!(recordings[0]["id"], first.as_str());
    assert_eq!(recordings[0]["part"], 1);
    assert_eq!(recordings[0]["interrupted"], true);
    let expected = [
        (first.as_str(), 1),
        (second.as_str(), 2),
        (third.as_str(), 3),
    ];
    assert_eq!(ids(&recordings[0]["parts"]), expected);
    let detail = client.recording(&first).await;
    assert_eq!(detail["parts"], recordings[0]["parts"]);
    let part = client.recording(&second).await;
    assert_eq!(part["part_of"], first.as_str());
    assert_eq!(part["part"], 2);
    assert_eq!(part["parts"], Value::Null);
    let shown = &detail["parts"][1];
    assert_eq!(shown["status"], "ready");
    assert_eq!(shown["size_bytes"], part["size_bytes"]);
    assert_eq!(shown["duration_seconds"], part["duration_seconds"]);
    assert_eq!(detail["parts"][2]["status"], "recording");
    let whole = client.get(&format!("/api/recordings/{second}/download"));
    assert_eq!(whole.send().await.expect("an answer").status(), 200);
    let all = listed(&client, "/api/admin/recordings").await;
    assert_eq!(all.len(), 1);
}

#[tokio::test]
async fn tus_creation_continues_a_recording_and_returns_the_silence_limit() {
    let server = TestServer::with(&[SILENCE]).await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let first = client.record(&bytes).await;
    let session = client.recording(&first).await["session_id"].clone();
    let metadata = |pairs: &[(&str, &str)]| {
        use base64::Engine as _;
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| format!("{key} {}", encode(value)))
            .collect();
        pairs.join(",")
    };
    let create = |metadata: String| {
        client
            .tus(Method::POST, "/api/uploads")
            .header("Upload-Defer-Length", "1")
            .header("Upload-Metadata", metadata)
    };
    // With and without the session's ID.
    for (number, pairs) in [
        (2, vec![("continues", first.as_str())]),
        (
            3,
            vec![
                ("continues", first.as_str()),
                ("session_id", session.as_str().expect("an id")),
            ],
        ),
    ] {
        let created = create(metadata(&pairs)).send().await.expect("an answer");
        assert_eq!(created.status(), 201);
        assert_eq!(header(&created, "sortie-silence-seconds"), "60");
        let upload = header(&created, "location");
        let part = client
            .recording(upload.rsplit('/').next().unwrap_or_default())
            .await;
        assert_eq!(part["part_of"], first.as_str());
        assert_eq!(part["part"], number);
        assert_eq!(part["session_id"], session);
        let head = client.tus(Method::HEAD, &upload).send().await;
        assert_eq!(
            header(&head.expect("an answer"), "sortie-silence-seconds"),
            "60"
        );
    }
    let refused =
        create(metadata(&[("continues", first.as_str())])).header("Upload-Concat", "partial");
    let sentence = problem(refused, 400, "invalid_field").await;
    assert!(sentence.contains("continues"), "{sentence}");
    problem(
        create(metadata(&[("continues", "nothing")])),
        404,
        "not_found",
    )
    .await;
    let (_, other) = client.start_recording().await;
    let elsewhere = create(metadata(&[("continues", &first), ("session_id", &other)]));
    problem(elsewhere, 404, "not_found").await;
    assert_eq!(
        ids(&client.recording(&first).await["parts"]).len(),
        3,
        "nothing refused was added"
    );
}

#[tokio::test]
async fn start_returns_the_silence_limit_and_refuses_invalid_continuations() {
    let server = TestServer::with(&[SILENCE]).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let (first, session) = ann.start_recording().await;
    let start = |client: &Client, session: &str| {
        client.post(&format!("/api/sessions/{session}/recording/start"))
    };
    let started = json_of(start(&ann, &session), 201).await;
    assert_eq!(started["silence_seconds"], 60);
    let started = json_of(start(&ann, &session).json(&json!({})), 201).await;
    assert_eq!(started["silence_seconds"], 60);

    let continues = |id: &str| json!({ "continues": id });
    problem(
        start(&ann, &session).json(&continues("nothing")),
        404,
        "not_found",
    )
    .await;
    let elsewhere = ann.session().await;
    problem(
        start(&ann, &elsewhere).json(&continues(&first)),
        404,
        "not_found",
    )
    .await;
    let (theirs, _) = bob.start_recording().await;
    problem(
        start(&ann, &session).json(&continues(&theirs)),
        403,
        "forbidden",
    )
    .await;
    problem(
        start(&ann, &session).json(&json!({ "continues": 7 })),
        400,
        "invalid_field",
    )
    .await;
    problem(
        start(&ann, &session)
            .header("Content-Type", "application/json")
            .body("{"),
        400,
        "bad_request",
    )
    .await;
    let deleted = ann.delete(&format!("/api/recordings/{first}")).send().await;
    assert_eq!(deleted.expect("an answer").status(), 204);
    problem(
        start(&ann, &session).json(&continues(&first)),
        404,
        "not_found",
    )
    .await;
    json_of(ann.post(&format!("/api/sessions/{session}/stop")), 200).await;
    problem(
        start(&ann, &session).json(&continues(&first)),
        409,
        "session_not_running",
    )
    .await;
}

#[tokio::test]
async fn delete_of_first_part_deletes_all_and_of_further_part_itself() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let (first, session) = client.start_recording().await;
    send_all(&client, &first, &bytes).await;
    let second = start_next(&client, &session, &first).await;
    send_all(&client, &second, &bytes).await;
    let third = start_next(&client, &session, &first).await;

    let delete = async |id: &str| {
        let answer = client.delete(&format!("/api/recordings/{id}")).send().await;
        assert_eq!(answer.expect("an answer").status(), 204);
    };
    delete(&second).await;
    assert_eq!(status(&client, &second).await, 404);
    assert_eq!(
        ids(&client.recording(&first).await["parts"]),
        [(first.as_str(), 1), (third.as_str(), 3)]
    );
    delete(&first).await;
    for id in [&first, &third] {
        assert_eq!(status(&client, id).await, 404);
        let log = listed(
            &client,
            &format!("/api/admin/audit?subject={id}&action=recording.delete"),
        )
        .await;
        assert_eq!(log.len(), 1, "{log:#?}");
    }
    let files = std::fs::read_dir(server.recordings()).expect("the folder");
    assert_eq!(files.count(), 0);
    let more = client.patch(&format!("/api/uploads/{third}"), 0, "late");
    assert_eq!(more.send().await.expect("an answer").status(), 404);
}

#[tokio::test]
async fn protection_applies_to_all_parts() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (first, session) = client.start_recording().await;
    let second = start_next(&client, &session, &first).await;
    let protect = async |id: &str, protected: bool| {
        let change = client
            .request(Method::PATCH, &format!("/api/recordings/{id}"))
            .json(&json!({ "protected": protected }));
        json_of(change, 200).await
    };
    let states = async |all: &[&String]| {
        let mut states = Vec::new();
        for id in all {
            states.push(client.recording(id).await["protected"] == true);
        }
        states
    };
    protect(&first, true).await;
    assert_eq!(states(&[&first, &second]).await, [true, true]);
    let third = start_next(&client, &session, &first).await;
    assert_eq!(states(&[&third]).await, [true]);
    assert_eq!(protect(&second, false).await["protected"], false);
    assert_eq!(
        states(&[&first, &second, &third]).await,
        [false, false, false]
    );
    protect(&third, true).await;
    assert_eq!(states(&[&first, &second, &third]).await, [true, true, true]);
}

#[tokio::test]
async fn retention_deletes_all_parts_or_none() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let server = TestServer::with(&[
        ("SORTIE_RECORDING_RETENTION_DAYS", "7"),
        ("SORTIE_RECORDING_SILENCE_SECONDS", "31536000"),
    ])
    .await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let (whole, session) = client.start_recording().await;
    send_all(&client, &whole, &bytes).await;
    let whole_2 = start_next(&client, &session, &whole).await;
    send_all(&client, &whole_2, &bytes).await;
    // The first part received nothing and failed; the recording is kept for its other part.
    let (empty, session) = client.start_recording().await;
    send_all(&client, &empty, b"no video").await;
    let empty_2 = start_next(&client, &session, &empty).await;
    send_all(&client, &empty_2, &bytes).await;
    let (growing, session) = client.start_recording().await;
    send_all(&client, &growing, &bytes).await;
    let growing_2 = start_next(&client, &session, &growing).await;
    let (failed, _) = client.start_recording().await;
    send_all(&client, &failed, b"no video").await;
    server.clock.advance(8 * DAY);

    let client = server.admin().await;
    let preview = json_of(client.get("/api/admin/retention"), 200).await;
    assert_eq!(preview["due"]["count"], 2, "{preview:#}");
    let size = async |id: &str| {
        client.recording(id).await["size_bytes"]
            .as_u64()
            .unwrap_or(0)
    };
    let mut sum = 0;
    for id in [&whole, &whole_2, &empty, &empty_2] {
        sum += size(id).await;
    }
    assert_eq!(preview["due"]["bytes"], sum);
    let run = json_of(client.post("/api/admin/retention/run"), 200).await;
    assert_eq!(run["deleted"], 2);
    assert_eq!(run["bytes"], sum);
    for gone in [&whole, &whole_2, &empty, &empty_2] {
        assert_eq!(status(&client, gone).await, 404, "{gone}");
    }
    for kept in [&growing, &growing_2, &failed] {
        assert_eq!(status(&client, kept).await, 200, "{kept}");
    }
}

#[tokio::test]
async fn trash_takes_all_parts_or_none() {
    let server = TestServer::with(&[("SORTIE_TRASH_DAYS", "30")]).await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let (first, session) = client.start_recording().await;
    send_all(&client, &first, &bytes).await;
    let second = start_next(&client, &session, &first).await;
    send_all(&client, &second, &bytes).await;
    let path = |id: &str| format!("/api/recordings/{id}");
    let deleted = client.delete(&path(&first)).send().await;
    assert_eq!(deleted.expect("an answer").status(), 204);
    for id in [&first, &second] {
        assert_eq!(client.recording(id).await["status"], "trashed");
        problem(
            client.get(&format!("{}/download", path(id))),
            409,
            "not_ready",
        )
        .await;
    }
    // Nothing is added to a recording in the trash, and a part is restored with the first one only.
    let next = client
        .post(&format!("/api/sessions/{session}/recording/start"))
        .json(&json!({ "continues": first }));
    problem(next, 404, "not_found").await;
    problem(
        client.post(&format!("{}/restore", path(&second))),
        409,
        "conflict",
    )
    .await;
    let restored = json_of(client.post(&format!("{}/restore", path(&first))), 200).await;
    let parts = restored["parts"].as_array().into_iter().flatten();
    assert!(
        parts.clone().count() == 2 && parts.clone().all(|part| part["status"] == "ready"),
        "{restored:#}"
    );
    // A deletion in the trash takes the parts with it.
    for _ in 0..2 {
        let deleted = client.delete(&path(&first)).send().await;
        assert_eq!(deleted.expect("an answer").status(), 204);
    }
    for id in [&first, &second] {
        assert_eq!(status(&client, id).await, 404);
    }
}
