//! Removing a user who has recordings.

use crate::support::{chromium_webm, problem};
use crate::*;

/// A user with two recordings, one protected, and one that is being made.
async fn recorder(server: &TestServer, name: &str) -> (Client, Vec<String>) {
    let user = server.user(name).await;
    let mut ids = vec![
        user.record(&chromium_webm()).await,
        user.record(&chromium_webm()).await,
    ];
    let protect = user.request(Method::PATCH, &format!("/api/recordings/{}", ids[0]));
    json_of(protect.json(&json!({ "protected": true })), 200).await;
    ids.push(user.start_recording().await.0);
    (user, ids)
}

#[tokio::test]
async fn user_includes_the_number_of_recordings() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let (user, _) = recorder(&server, "ann").await;
    let shown = json_of(admin.get(&user_path(&user.user_id)), 200).await;
    assert_eq!(shown["recordings"], 3);
}

#[tokio::test]
async fn removed_users_recordings_are_kept_by_default() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for (name, query) in [("ann", ""), ("bob", "?recordings=keep")] {
        let (user, ids) = recorder(&server, name).await;
        let path = format!("{}{query}", user_path(&user.user_id));
        let removed = admin.delete(&path).send().await.expect("an answer");
        assert_eq!(removed.status(), 204);
        for id in ids {
            assert_eq!(admin.recording(&id).await["user_id"], user.user_id.as_str());
        }
    }
    let log = json_of(admin.get("/api/admin/audit?action=user.delete"), 200).await;
    assert_eq!(log[0]["detail"], "bob; recordings kept: 3");
}

#[tokio::test]
async fn removed_users_recordings_are_transferred_to_the_administrator() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let (user, ids) = recorder(&server, "ann").await;
    let path = format!("{}?recordings=transfer", user_path(&user.user_id));
    let removed = admin.delete(&path).send().await.expect("an answer");
    assert_eq!(removed.status(), 204);
    problem(admin.get(&user_path(&user.user_id)), 404, "not_found").await;
    let mine = json_of(admin.get("/api/recordings"), 200).await;
    let mine: Vec<_> = mine.as_array().into_iter().flatten().collect();
    assert_eq!(mine.len(), 3, "{mine:?}");
    for id in &ids {
        let log = format!("/api/admin/audit?action=recording.change&subject={id}&limit=1");
        let log = json_of(admin.get(&log), 200).await;
        let detail = log[0]["detail"].as_str().unwrap_or_default();
        assert_eq!(detail, format!("transferred from {}", user.user_id));
    }
    assert_eq!(admin.recording(&ids[0]).await["protected"], true);
    let download = format!("/api/recordings/{}/download", ids[1]);
    assert_eq!(
        admin
            .get(&download)
            .send()
            .await
            .expect("an answer")
            .status(),
        200
    );
    assert_eq!(
        user.get("/api/auth/me")
            .send()
            .await
            .expect("an answer")
            .status(),
        401
    );
}

#[tokio::test]
async fn removed_users_recordings_are_deleted_with_their_files() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let (user, ids) = recorder(&server, "ann").await;
    let kept = admin.record(&chromium_webm()).await;
    let path = format!("{}?recordings=delete", user_path(&user.user_id));
    let removed = admin.delete(&path).send().await.expect("an answer");
    assert_eq!(removed.status(), 204);
    for id in &ids {
        problem(
            admin.get(&format!("/api/recordings/{id}")),
            404,
            "not_found",
        )
        .await;
        let entries = std::fs::read_dir(server.recordings()).expect("the folder");
        let left = entries
            .map(|entry| entry.expect("an entry").file_name())
            .find(|name| name.to_string_lossy().contains(id.as_str()));
        assert_eq!(left, None);
    }
    admin.recording(&kept).await;
    let log = json_of(admin.get("/api/admin/audit?action=user.delete"), 200).await;
    assert_eq!(log[0]["detail"], "ann; recordings deleted: 3");
    let log = json_of(admin.get("/api/admin/audit?action=recording.delete"), 200).await;
    assert_eq!(log.as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn refused_removal_changes_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let own = admin.record(&chromium_webm()).await;
    let path = user_path(&admin.user_id);
    for choice in ["keep", "delete"] {
        let request = admin.delete(&format!("{path}?recordings={choice}"));
        problem(request, 409, "conflict").await;
    }
    for choice in ["transfer", "", "all", "KEEP"] {
        let request = admin.delete(&format!("{path}?recordings={choice}"));
        problem(request, 400, "invalid_field").await;
    }
    let me = json_of(admin.get("/api/auth/me"), 200).await;
    assert_eq!(me["disabled"], false);
    admin.recording(&own).await;
    let unknown = format!("{}?recordings=delete", user_path("unknown"));
    problem(admin.delete(&unknown), 404, "not_found").await;
}
