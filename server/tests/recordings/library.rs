//! Fields of the library: title, tags, source, media, reason for the end, watched marks, and the filters by them.

use std::slice::from_ref;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::streams::screen_webm;
use crate::support::{Client, TestServer, chromium_webm, json_of, problem};

fn path(id: &str) -> String {
    format!("/api/recordings/{id}")
}

async fn change(client: &Client, id: &str, body: Value) -> Value {
    let request = client.request(Method::PATCH, &path(id));
    json_of(request.json(&body), 200).await
}

async fn refused(client: &Client, id: &str, body: Value) {
    let request = client.request(Method::PATCH, &path(id));
    problem(request.json(&body), 400, "invalid_field").await;
}

/// Records a screen with this many active seconds of twenty, from this source.
async fn record(client: &Client, source: &str, active: u64) -> (String, String) {
    let session = client.session().await;
    let start = client.post(&format!("/api/sessions/{session}/recording/start"));
    let body = json!({ "source": source, "title": format!("{active} active") });
    let started = json_of(start.json(&body), 201).await;
    let id = started["recording_id"].as_str().expect("an ID").to_owned();
    let bytes = screen_webm(20, |second| second < active);
    let upload = client.patch(&format!("/api/uploads/{id}"), 0, bytes.clone());
    let upload = upload.header("Upload-Length", bytes.len()).send().await;
    assert_eq!(upload.expect("an answer").status(), StatusCode::NO_CONTENT);
    (id, session)
}

async fn listed(client: &Client, query: &str) -> Vec<String> {
    let list = json_of(client.get(&format!("/api/recordings?{query}")), 200).await;
    let list = list.as_array().expect("an array").iter();
    list.map(|it| it["id"].as_str().expect("an ID").to_owned())
        .collect()
}

#[tokio::test]
async fn recording_has_fields_of_its_media_and_session() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let (open, _) = client.start_recording().await;
    let growing = client.recording(&open).await;
    for field in [
        "width",
        "has_audio",
        "active_seconds",
        "ended_because",
        "title",
    ] {
        assert!(growing.get(field).is_none(), "{field}: {growing}");
    }
    let id = client.record(&chromium_webm()).await;
    let recording = client.recording(&id).await;
    assert_eq!(recording["app_id"], "test");
    assert_eq!(recording["video_codec"], "V_VP8");
    assert_eq!(recording["has_audio"], false);
    assert!(recording["width"].as_u64() > Some(0) && recording["height"].as_u64() > Some(0));
    assert_eq!(recording["ended_because"], "stopped");
    assert!(recording["active_seconds"].is_number());

    let (ended, session) = record(&client, "tab", 5).await;
    assert_eq!(client.recording(&ended).await["source"], "tab");
    let start = client.post(&format!("/api/sessions/{session}/recording/start"));
    problem(
        start.json(&json!({ "source": "A Tab" })),
        400,
        "invalid_field",
    )
    .await;
}

#[tokio::test]
async fn title_and_tags_are_set_changed_and_removed() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let (id, _) = record(&client, "tab", 3).await;
    assert_eq!(client.recording(&id).await["title"], "3 active");
    let changed = change(
        &client,
        &id,
        json!({ "title": " Prüfung ", "tags": ["Exam", "exam"] }),
    )
    .await;
    assert_eq!(
        (&changed["title"], &changed["tags"]),
        (&json!("Prüfung"), &json!(["Exam"]))
    );
    assert_eq!(listed(&client, "tag=EXAM").await, from_ref(&id));
    assert_eq!(listed(&client, "tag=exa").await, [""; 0]);
    // Part of the title in another normal form, of the tag, and of the application.
    for text in ["pru%CC%88f", "prufung", "xam", "TES"] {
        assert_eq!(
            listed(&client, &format!("q={text}")).await,
            from_ref(&id),
            "{text}"
        );
    }
    let unchanged = change(&client, &id, json!({ "tags": ["Exam"] })).await;
    assert_eq!(unchanged["title"], "Prüfung");
    let removed = change(&client, &id, json!({ "title": null, "tags": [] })).await;
    assert!(removed.get("title").is_none() && removed.get("tags").is_none());
    assert_eq!(listed(&client, "tag=exam").await, [""; 0]);
    for body in [
        json!({ "title": "" }),
        json!({ "title": "x".repeat(201) }),
        json!({ "tags": ["y".repeat(51)] }),
        json!({ "tags": (0..21).map(|n| n.to_string()).collect::<Vec<_>>() }),
    ] {
        refused(&client, &id, body).await;
    }
    let audit = format!("/api/admin/audit?subject={id}&action=recording.change");
    let rows = json_of(server.admin().await.get(&audit), 200).await;
    let details = rows.as_array().expect("an array").iter();
    let details: Vec<_> = details.map(|row| row["detail"].as_str()).collect();
    assert_eq!(details, [Some("title, tags"); 2]);
}

#[tokio::test]
async fn lists_filter_by_source_duration_and_watched_and_sort_by_activity() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let (lazy, _) = record(&client, "tab", 3).await;
    let (busy, _) = record(&client, "screen", 15).await;
    let (middle, _) = record(&client, "tab", 8).await;
    let short = client.record(&screen_webm(4, |_| true)).await;
    let sorted = [busy.clone(), middle.clone(), short.clone(), lazy.clone()];
    let mut ascending = sorted.clone();
    ascending.reverse();
    assert_eq!(listed(&client, "sort=active").await, sorted);
    assert_eq!(listed(&client, "sort=active&order=asc").await, ascending);
    assert_eq!(
        listed(&client, "source=tab").await,
        [middle.clone(), lazy.clone()]
    );
    for sort in ["created", "duration", "size", "active"] {
        let short_ones = listed(&client, &format!("max_seconds=4&sort={sort}")).await;
        assert_eq!(short_ones, from_ref(&short), "{sort}");
        let long = listed(&client, &format!("min_seconds=19.5&sort={sort}")).await;
        assert_eq!(long.len(), 3, "{sort}");
    }
    assert_eq!(
        listed(&client, "min_seconds=5&max_seconds=6").await,
        [""; 0]
    );
    problem(
        client.get("/api/recordings?min_seconds=x"),
        400,
        "invalid_field",
    )
    .await;
    problem(
        client.get("/api/recordings?tag=x&sort=size"),
        400,
        "invalid_field",
    )
    .await;

    let viewed = format!("{}/viewed", path(&busy));
    for _ in 0..2 {
        let answer = client.post(&viewed).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    }
    assert_eq!(client.recording(&busy).await["viewed"], true);
    assert_eq!(client.recording(&lazy).await["viewed"], false);
    let unwatched = [short, middle, lazy];
    assert_eq!(listed(&client, "unwatched=true").await, unwatched);
    assert_eq!(listed(&client, "unwatched=false").await.len(), 4);
    // The mark of one user is none of another.
    let admin = server.admin().await;
    assert_eq!(admin.recording(&busy).await["viewed"], false);
    let answer = client.delete(&viewed).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(listed(&client, "unwatched=true").await.len(), 4);
}

#[tokio::test]
async fn another_owner_has_the_tags() {
    let server = TestServer::start().await;
    let (admin, client) = (server.admin().await, server.user("ann").await);
    let (id, _) = record(&client, "tab", 3).await;
    change(&client, &id, json!({ "tags": ["exam"] })).await;
    let user = format!("/api/admin/users/{}?recordings=transfer", client.user_id);
    let deleted = admin.delete(&user).send().await.expect("an answer");
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    assert_eq!(listed(&admin, "tag=exam").await, [id]);
}

#[tokio::test]
async fn end_of_the_session_is_the_reason_for_the_end() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let (id, session) = client.start_recording().await;
    let bytes = screen_webm(3, |_| true);
    let upload = client.patch(&format!("/api/uploads/{id}"), 0, bytes.clone());
    assert_eq!(
        upload.send().await.expect("an answer").status(),
        StatusCode::NO_CONTENT
    );
    json_of(client.post(&format!("/api/sessions/{session}/stop")), 200).await;
    // The sender completes the upload.
    let last = client.patch(
        &format!("/api/uploads/{id}"),
        bytes.len() as u64,
        Vec::new(),
    );
    let last = last.header("Upload-Length", bytes.len()).send().await;
    assert_eq!(last.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert_eq!(
        client.recording(&id).await["ended_because"],
        "session_ended"
    );
}
