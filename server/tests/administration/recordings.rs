use reqwest::StatusCode;
use serde_json::json;

use crate::support::{TestServer, chromium_webm, header, json_of, problem};

#[tokio::test]
async fn owner_protects_and_renames_with_audit() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let id = ann.record(&chromium_webm()).await;
    let path = format!("/api/recordings/{id}");
    let body = json!({ "protected": true, "filename": "=the talk.webm" });
    let changed = json_of(ann.change(&path, &body), 200).await;
    assert_eq!(changed["protected"], true);
    assert_eq!(changed["filename"], "=the talk.webm");
    // An equal value changes nothing; a partial update keeps the other fields.
    json_of(ann.change(&path, &body), 200).await;
    let freed = json_of(admin.change(&path, &json!({ "protected": false })), 200).await;
    assert_eq!(freed["filename"], "=the talk.webm");
    assert_eq!(json_of(ann.change(&path, &json!({})), 200).await, freed);
    let file = ann
        .get(&format!("{path}/download"))
        .send()
        .await
        .expect("an answer");
    assert!(header(&file, "content-disposition").contains("the talk.webm"));

    let log = admin.audit("action=recording.change").await;
    assert_eq!(log.len(), 2);
    assert_eq!(log[0]["detail"], "no longer protected");
    assert_eq!(log[1]["actor_name"], "ann");
    let detail = log[1]["detail"].as_str().unwrap_or_default();
    assert!(
        detail.starts_with("protected; renamed from recording_"),
        "{detail}"
    );
}

#[tokio::test]
async fn invalid_name_and_foreign_recording_are_refused() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let id = ann.record(&chromium_webm()).await;
    let path = format!("/api/recordings/{id}");
    let before = ann.recording(&id).await;
    for body in [
        json!({ "filename": "" }),
        json!({ "filename": " a" }),
        json!({ "filename": "../a" }),
        json!({ "filename": "a\\b" }),
        json!({ "filename": ".a" }),
        json!({ "filename": "a\nb" }),
        json!({ "filename": "a\u{0}" }),
        json!({ "filename": "a".repeat(201) }),
        json!({ "filename": 1 }),
        json!({ "protected": "true" }),
        json!({ "protected": 1 }),
        json!({ "status": "failed" }),
        json!("x"),
    ] {
        problem(ann.change(&path, &body), 400, "invalid_field").await;
    }
    let body = json!({ "protected": true });
    problem(bob.change(&path, &body), 403, "forbidden").await;
    problem(
        bob.change("/api/recordings/unknown", &body),
        404,
        "not_found",
    )
    .await;
    problem(bob.change("/api/recordings/%00", &body), 404, "not_found").await;
    problem(
        server.anonymous().change(&path, &body),
        401,
        "unauthenticated",
    )
    .await;
    assert_eq!(ann.recording(&id).await, before);
    let longest = json!({ "filename": "ä".repeat(200) });
    let answer = ann.change(&path, &longest).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
}
