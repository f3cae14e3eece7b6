//! Markers: life, limits, access, parts and chapters.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::streams::screen_webm;
use crate::support::{Client, TestServer, json_of, problem, until};

fn path(id: &str) -> String {
    format!("/api/recordings/{id}/markers")
}

async fn add(client: &Client, id: &str, body: Value) -> Value {
    json_of(client.post(&path(id)).json(&body), 201).await
}

async fn markers(client: &Client, id: &str) -> Vec<Value> {
    let list = json_of(client.get(&path(id)), 200).await;
    list.as_array().expect("an array").clone()
}

async fn texts(client: &Client, id: &str) -> Vec<(u64, String)> {
    let markers = markers(client, id).await.into_iter();
    markers
        .map(|it| {
            let text = it["text"].as_str().expect("a text").to_owned();
            (it["time_ms"].as_u64().expect("a time"), text)
        })
        .collect()
}

#[tokio::test]
async fn markers_are_listed_changed_exported_and_deleted() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let id = client.record(&screen_webm(20, |_| true)).await;
    let late = add(&client, &id, json!({ "time_ms": 9000, "text": "Später" })).await;
    add(&client, &id, json!({ "time_ms": 500, "kind": "pause" })).await;
    assert_eq!(
        (&late["kind"], &late["username"]),
        (&json!("note"), &json!("ann"))
    );
    let listed = markers(&client, &id).await;
    assert_eq!(
        (listed[0]["kind"].as_str(), &listed[1]),
        (Some("pause"), &late)
    );

    let marker = format!("{}/{}", path(&id), late["id"].as_str().expect("an ID"));
    let change = client.request(Method::PATCH, &marker);
    let changed = json_of(change.json(&json!({ "text": "Now" })), 200).await;
    assert_eq!(
        (&changed["text"], &changed["time_ms"]),
        (&json!("Now"), &json!(9000))
    );

    let chapters = client.get(&format!("{}.vtt", path(&id))).send().await;
    let chapters = chapters.expect("an answer");
    assert_eq!(
        chapters.headers()["content-type"],
        "text/vtt; charset=utf-8"
    );
    let chapters = chapters.text().await.expect("a text");
    assert!(chapters.starts_with("WEBVTT\n"), "{chapters}");
    assert!(
        chapters.contains("00:00:00.500 --> 00:00:09.000\nPause\n"),
        "{chapters}"
    );
    assert!(
        chapters.contains("00:00:09.000 --> 00:00:20.000\nNow\n"),
        "{chapters}"
    );

    let deleted = client.delete(&marker).send().await.expect("an answer");
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    problem(client.delete(&marker), 404, "not_found").await;
    let change = client.request(Method::PATCH, &marker);
    problem(change.json(&json!({ "text": "x" })), 404, "not_found").await;
    assert_eq!(texts(&client, &id).await, [(500, String::new())]);

    let audit = format!("/api/admin/audit?subject={id}&action=recording.change");
    let rows = json_of(server.admin().await.get(&audit), 200).await;
    let details = rows.as_array().expect("an array").iter();
    let details: Vec<_> = details.map(|row| row["detail"].as_str()).collect();
    let expected = [
        "marker deleted",
        "marker changed",
        "marker added",
        "marker added",
    ];
    assert_eq!(details, expected.map(Some));
}

#[tokio::test]
async fn title_tags_and_markers_are_found_as_soon_as_they_are_set() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let other = server.user("bob").await;
    let id = client.record(&screen_webm(5, |_| true)).await;
    let change = json!({ "title": "Prüfung Brücke", "tags": ["Statik"] });
    let change = client
        .request(Method::PATCH, &format!("/api/recordings/{id}"))
        .json(&change);
    json_of(change, 200).await;
    add(
        &client,
        &id,
        json!({ "time_ms": 900, "text": "Der Träger bricht" }),
    )
    .await;
    for q in ["prufung", "BRÜCKE+stat", "trager", "ann+bricht", &id] {
        let path = format!("/api/recordings?q={q}");
        let found = json_of(client.get(&path), 200).await;
        assert_eq!(
            (&found[0]["id"], found[1].is_null()),
            (&json!(id), true),
            "{q}"
        );
        assert_eq!(json_of(other.get(&path), 200).await, json!([]), "{q}");
    }
    for q in ["brucke+stein", "%22+OR+%22", "tra*", "%25"] {
        let path = format!("/api/recordings?q={q}");
        assert_eq!(json_of(client.get(&path), 200).await, json!([]), "{q}");
    }
}

#[tokio::test]
async fn invalid_markers_are_rejected() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let id = client.record(&screen_webm(5, |_| true)).await;
    for body in [
        json!({ "time_ms": 5001 }),
        json!({ "time_ms": 0, "text": "x".repeat(501) }),
        json!({ "time_ms": 0, "text": "a\0b" }),
    ] {
        problem(client.post(&path(&id)).json(&body), 400, "invalid_field").await;
    }
    for body in [
        json!({}),
        json!({ "time_ms": -1 }),
        json!({ "time_ms": 0, "kind": "other" }),
        json!({ "time_ms": 0, "colour": "red" }),
    ] {
        let answer = client.post(&path(&id)).json(&body).send().await;
        assert!(
            answer.expect("an answer").status().is_client_error(),
            "{body}"
        );
    }
    let huge = json!({ "time_ms": 0, "text": "x".repeat(10 << 20) });
    problem(client.post(&path(&id)).json(&huge), 413, "too_large").await;
    add(
        &client,
        &id,
        json!({ "time_ms": 5000, "text": "ä".repeat(500) }),
    )
    .await;
    assert_eq!(markers(&client, &id).await.len(), 1);
}

#[tokio::test]
async fn marker_with_own_id_is_added_once() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let id = client.record(&screen_webm(5, |_| true)).await;
    let other = client.record(&screen_webm(5, |_| true)).await;
    let mark = json!({ "id": "r0", "time_ms": 700, "text": "x", "kind": "gap" });
    let first = add(&client, &id, mark.clone()).await;
    let again = json_of(client.post(&path(&id)).json(&mark), 200).await;
    assert_eq!(again, first);
    assert_eq!(first["username"], Value::Null, "not a note");
    // The same ID in another recording is another marker.
    add(&client, &other, mark).await;
    // A recorder may be ahead of its file.
    let late = json!({ "id": "r1", "time_ms": 60_000 });
    assert_eq!(add(&client, &id, late).await["time_ms"], json!(5_000));
    for own in ["", "a b", "a/b", "ä", "\0", &"x".repeat(65)] {
        let mark = json!({ "id": own, "time_ms": 0 });
        problem(client.post(&path(&id)).json(&mark), 400, "invalid_field").await;
    }
    assert_eq!(markers(&client, &id).await.len(), 2);
    let marker = format!("{}/{}", path(&id), first["id"].as_str().expect("an ID"));
    let deleted = client.delete(&marker).send().await.expect("an answer");
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    assert_eq!(markers(&client, &other).await.len(), 1);
}

#[tokio::test]
async fn number_of_markers_is_limited() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let id = client.record(&screen_webm(2, |_| true)).await;
    let marker = add(&client, &id, json!({ "time_ms": 1 })).await;
    let database = server.database().await;
    for number in 1..1000 {
        let copy = sqlx::query(
            "INSERT INTO markers (id, recording_id, author_id, time_ms, kind, text, created_ms) \
             SELECT $1, recording_id, author_id, time_ms, kind, text, created_ms FROM markers WHERE id = $2",
        );
        let copy = copy.bind(format!("m{number}"));
        let copied = copy.bind(marker["id"].as_str().expect("an ID").to_owned());
        copied.execute(&database).await.expect("a statement");
    }
    let more = client.post(&path(&id)).json(&json!({ "time_ms": 1 }));
    problem(more, 409, "conflict").await;
    assert_eq!(markers(&client, &id).await.len(), 1000);
}

#[tokio::test]
async fn recording_token_adds_markers_to_growing_recordings_of_its_session() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let (id, session) = client.start_recording().await;
    let (other, _) = client.start_recording().await;
    let token = client.post(&format!("/api/sessions/{session}/token"));
    let token = json_of(token, 200).await;
    let mut page = server.anonymous();
    page.token = token["token"].as_str().map(str::to_owned);
    add(&page, &id, json!({ "time_ms": 60_000, "text": "later" })).await;
    let outside = page.post(&path(&other)).json(&json!({ "time_ms": 0 }));
    problem(outside, 403, "forbidden").await;

    // The recording turns out to be shorter.
    let bytes = screen_webm(3, |_| true);
    let upload = client.patch(&format!("/api/uploads/{id}"), 0, bytes.clone());
    let upload = upload.header("Upload-Length", bytes.len()).send().await;
    assert_eq!(upload.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert_eq!(texts(&client, &id).await, [(3000, "later".to_owned())]);
}

#[tokio::test]
async fn each_part_has_its_own_markers_and_one_for_the_next_part() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let (first, session) = client.start_recording().await;
    let bytes = screen_webm(3, |_| true);
    let upload = client.patch(&format!("/api/uploads/{first}"), 0, bytes.clone());
    let upload = upload.header("Upload-Length", bytes.len()).send().await;
    assert_eq!(upload.expect("an answer").status(), StatusCode::NO_CONTENT);
    let start = client.post(&format!("/api/sessions/{session}/recording/start"));
    let started = json_of(start.json(&json!({ "continues": first })), 201).await;
    let second = started["recording_id"].as_str().expect("an ID").to_owned();
    add(&client, &first, json!({ "time_ms": 1000, "text": "one" })).await;
    add(&client, &second, json!({ "time_ms": 2000, "text": "two" })).await;
    let expected = [(1000, "one".to_owned()), (3000, "Part 2".to_owned())];
    assert_eq!(texts(&client, &first).await, expected);
    assert_eq!(texts(&client, &second).await, [(2000, "two".to_owned())]);
    let derived = format!("{}/part-2", path(&first));
    problem(client.delete(&derived), 404, "not_found").await;
}

#[tokio::test]
async fn deletion_and_erasure_remove_markers() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let (gone, kept) = (
        ann.record(&screen_webm(3, |_| true)).await,
        admin.record(&screen_webm(3, |_| true)).await,
    );
    let other = server.user("bea").await;
    let path_of_user = format!("/api/admin/users/{}", other.user_id);
    let promote = admin.request(Method::PATCH, &path_of_user);
    json_of(promote.json(&json!({ "roles": ["admin"] })), 200).await;
    add(&ann, &gone, json!({ "time_ms": 1, "text": "of ann" })).await;
    add(&other, &kept, json!({ "time_ms": 1, "text": "of bea" })).await;
    add(&admin, &kept, json!({ "time_ms": 2, "text": "of admin" })).await;
    let deleted = ann.delete(&format!("/api/recordings/{gone}")).send().await;
    assert_eq!(deleted.expect("an answer").status(), StatusCode::NO_CONTENT);
    let database = server.database().await;
    let count = async || {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM markers");
        count.fetch_one(&database).await.expect("a count")
    };
    let left: i64 = count().await;
    assert_eq!(left, 2);
    let erase = admin.post(&format!("{path_of_user}/erase")).send().await;
    assert!(erase.expect("an answer").status().is_success());
    until("the markers of the erased user are gone", async || {
        count().await == 1
    })
    .await;
    assert_eq!(texts(&admin, &kept).await, [(2, "of admin".to_owned())]);
}

#[tokio::test]
async fn damaged_data_is_marked_as_a_gap() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let mut webm = screen_webm(30, |_| true);
    let middle = webm.len() / 2;
    webm[middle..middle + 5_000].fill(0);
    let id = client.record(&webm).await;
    let recording = client.recording(&id).await;
    assert_eq!(recording["status"], "ready", "{recording:#}");
    let listed = markers(&client, &id).await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    // The last keyframe before it.
    assert_eq!(listed[0]["time_ms"], 10_000);
    assert_eq!(listed[0]["kind"], "gap");
    assert_eq!(listed[0].get("username"), None);
    let found = json_of(client.get("/api/recordings?q=damaged"), 200).await;
    assert_eq!(found[0]["id"], id, "markers are searched");
}
