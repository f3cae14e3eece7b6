//! The trash: deleted recordings can be restored until their time is over or their space is needed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, TestServer, chromium_webm, json_of, problem};
use crate::{DAY, MINUTE, until};

const MONTH: (&str, &str) = ("SORTIE_TRASH_DAYS", "30");

async fn status(client: &Client, path: &str) -> u16 {
    let answer = client.get(path).send().await;
    answer.expect("an answer").status().as_u16()
}

async fn is_gone(client: &Client, id: &str) -> bool {
    status(client, &format!("/api/recordings/{id}")).await == 404
}

async fn delete(client: &Client, path: &str) {
    let answer = client.delete(path).send().await.expect("an answer");
    assert_eq!(answer.status(), 204, "{path}");
}

async fn listed(client: &Client, query: &str) -> Vec<String> {
    let list = json_of(client.get(&format!("/api/recordings{query}")), 200).await;
    let rows = list.as_array().into_iter().flatten();
    let ids = rows.filter_map(|row| row["id"].as_str().map(str::to_owned));
    ids.collect()
}

/// Deletes recordings in one request; returns the lines of the answer.
async fn delete_many(client: &Client, request: &Value) -> Vec<Value> {
    let answer = client.post("/api/recordings/delete").json(request).send();
    let text = answer.await.expect("an answer").text().await.expect("text");
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("lines of JSON")
}

#[tokio::test]
async fn deleted_recording_is_in_the_trash_until_it_is_restored() {
    let server = TestServer::with(&[MONTH]).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let info = json_of(server.anonymous().get("/api/info"), 200).await;
    assert_eq!(info["trash_days"], 30);
    let webm = chromium_webm();
    let (id, other) = (ann.record(&webm).await, ann.record(&webm).await);
    let path = format!("/api/recordings/{id}");
    let tagged = ann.change(&path, &json!({ "tags": ["exam"], "title": "Chemistry" }));
    json_of(tagged, 200).await;
    let before = ann.recording(&id).await;

    delete(&ann, &path).await;
    let trashed = ann.recording(&id).await;
    assert_eq!(trashed["status"], "trashed");
    let (from, to) = (&trashed["trashed_at"], &trashed["expires_at"]);
    assert_eq!(from, "2026-11-21T09:30:00.000Z", "{trashed:#}");
    assert_eq!(to, "2026-12-21T09:30:00.000Z");
    // No list, search or file has it.
    for query in [
        "",
        "?q=chemistry",
        "?tag=exam",
        "?sort=size",
        "?q=chemistry&sort=size",
    ] {
        assert!(!listed(&ann, query).await.contains(&id), "{query}");
    }
    assert_eq!(listed(&ann, "").await, [other.as_str()]);
    for filter in ["", "&q=chemistry", "&tag=exam", "&sort=size"] {
        assert_eq!(
            listed(&ann, &format!("?status=trashed{filter}")).await,
            [id.as_str()],
            "{filter}"
        );
    }
    let count = json_of(ann.get("/api/recordings/count"), 200).await;
    assert_eq!(count["count"], 1);
    for file in [
        "download",
        "stream",
        "raw",
        "clip?start_ms=0&end_ms=500",
        "index",
        "live",
    ] {
        let answer = status(&ann, &format!("{path}/{file}")).await;
        assert_eq!(answer, 409, "{file}");
    }
    let polled = json_of(
        ann.get("/api/recordings?completed_after=2026-01-01T00:00:00Z"),
        200,
    )
    .await;
    assert_eq!(polled.as_array().map(Vec::len), Some(1), "{polled:#}");

    problem(bob.post(&format!("{path}/restore")), 403, "forbidden").await;
    let restored = json_of(ann.post(&format!("{path}/restore")), 200).await;
    assert_eq!(restored, before, "restored as it was");
    assert_eq!(listed(&ann, "?tag=exam").await, [id.as_str()]);
    assert_eq!(status(&ann, &format!("{path}/download")).await, 200);
    problem(ann.post(&format!("{path}/restore")), 409, "conflict").await;
    let admin = server.admin().await;
    for action in ["recording.trash", "recording.restore"] {
        let query = format!("subject={id}&action={action}");
        assert_eq!(admin.audit(&query).await.len(), 1, "{action}");
    }
}

#[tokio::test]
async fn deletion_in_the_trash_and_a_permanent_one_are_final() {
    let server = TestServer::with(&[MONTH]).await;
    let ann = server.user("ann").await;
    let webm = chromium_webm();
    let (twice, at_once) = (ann.record(&webm).await, ann.record(&webm).await);
    let path = format!("/api/recordings/{twice}");
    delete(&ann, &path).await;
    assert!(!is_gone(&ann, &twice).await);
    delete(&ann, &path).await;
    assert!(is_gone(&ann, &twice).await);
    delete(&ann, &format!("/api/recordings/{at_once}?permanently=true")).await;
    assert!(is_gone(&ann, &at_once).await);
    let wrong = ann.delete(&format!("/api/recordings/{at_once}?permanently=maybe"));
    problem(wrong, 400, "invalid_field").await;
    // A growing recording has nothing to restore yet.
    let (growing, _) = ann.start_recording().await;
    delete(&ann, &format!("/api/recordings/{growing}")).await;
    assert!(is_gone(&ann, &growing).await);
    problem(
        ann.post(&format!("/api/recordings/{growing}/restore")),
        404,
        "not_found",
    )
    .await;
}

#[tokio::test]
async fn one_request_moves_many_to_the_trash_and_empties_it() {
    let server = TestServer::with(&[MONTH]).await;
    let ann = server.user("ann").await;
    let webm = chromium_webm();
    let ids = [ann.record(&webm).await, ann.record(&webm).await];
    for line in delete_many(&ann, &json!({ "ids": ids })).await {
        assert_eq!(line["status"], "trashed", "{line}");
    }
    assert!(listed(&ann, "").await.is_empty());
    let all = json!({ "filter": {}, "at_most": 10 });
    assert!(
        delete_many(&ann, &all).await.is_empty(),
        "a list without the trash"
    );
    let trash = json!({ "filter": { "status": "trashed" }, "at_most": 10 });
    for line in delete_many(&ann, &trash).await {
        assert_eq!(line["status"], "deleted", "{line}");
    }
    assert!(is_gone(&ann, &ids[0]).await && is_gone(&ann, &ids[1]).await);
    let kept = ann.record(&webm).await;
    let lines = delete_many(&ann, &json!({ "ids": [kept], "permanently": true })).await;
    assert_eq!(lines[0]["status"], "deleted");
}

#[tokio::test]
async fn trash_is_emptied_when_its_time_is_over() {
    let server = TestServer::with(&[MONTH]).await;
    let ann = server.user("ann").await;
    let (old, young) = (
        ann.record(&chromium_webm()).await,
        ann.record(&chromium_webm()).await,
    );
    // The deletion by the user overrules the protection.
    let path = format!("/api/recordings/{old}");
    json_of(ann.change(&path, &json!({ "protected": true })), 200).await;
    delete(&ann, &path).await;
    server.clock.advance(DAY);
    let ann = server.sign_in("ann", "a good password").await;
    delete(&ann, &format!("/api/recordings/{young}")).await;
    server.clock.advance(29 * DAY - Duration::from_millis(1));
    let admin = server.admin().await;
    let preview = json_of(admin.get("/api/admin/retention"), 200).await;
    assert_eq!(preview["due"]["count"], 0);
    server.clock.advance(Duration::from_millis(1));
    let preview = json_of(admin.get("/api/admin/retention"), 200).await;
    assert_eq!(
        preview["reasons"],
        json!([{ "id": old, "reason": "trash" }])
    );
    let run = json_of(admin.post("/api/admin/retention/run"), 200).await;
    assert_eq!(run["deleted"], 1);
    assert!(is_gone(&admin, &old).await && !is_gone(&admin, &young).await);
    let log = admin
        .audit(&format!("subject={old}&action=recording.delete"))
        .await;
    assert_eq!(log[0]["detail"], "its time in the trash was over");
    // The hourly run deletes without a request.
    server.clock.advance(DAY);
    let admin = server.admin().await;
    until("the trash is emptied", || is_gone(&admin, &young)).await;
}

#[tokio::test]
async fn trash_is_emptied_before_other_recordings_when_the_disk_is_full() {
    // Every disk is more than one per cent full, whatever is deleted here.
    let server = TestServer::with(&[
        MONTH,
        ("SORTIE_RECORDING_DISK_HIGH_PERCENT", "1"),
        ("SORTIE_RECORDING_DISK_LOW_PERCENT", "0"),
    ])
    .await;
    let (ann, admin) = (server.user("ann").await, server.admin().await);
    let first = ann.record(&chromium_webm()).await;
    server.clock.advance(Duration::from_secs(1));
    let second = ann.record(&chromium_webm()).await;
    delete(&ann, &format!("/api/recordings/{second}")).await;
    let preview = json_of(admin.get("/api/admin/retention"), 200).await;
    assert_eq!(
        preview["reasons"],
        json!([{ "id": second, "reason": "room" }, { "id": first, "reason": "room" }])
    );
    server.clock.advance(MINUTE);
    until("the disk needs the space", || is_gone(&ann, &second)).await;
}

#[tokio::test]
async fn retention_period_ends_the_time_in_the_trash() {
    let server = TestServer::with(&[MONTH, ("SORTIE_RECORDING_RETENTION_DAYS", "7")]).await;
    let ann = server.user("ann").await;
    let id = ann.record(&chromium_webm()).await;
    let created = ann.recording(&id).await["created_at"].clone();
    assert_eq!(created, "2026-11-21T09:30:00.000Z");
    delete(&ann, &format!("/api/recordings/{id}")).await;
    assert_eq!(
        ann.recording(&id).await["expires_at"],
        "2026-11-28T09:30:00.000Z"
    );
}

#[tokio::test]
async fn trash_survives_a_restart_without_the_variable() {
    let mut server = TestServer::with(&[MONTH]).await;
    let ann = server.user("ann").await;
    let id = ann.record(&chromium_webm()).await;
    delete(&ann, &format!("/api/recordings/{id}")).await;
    server.set_variable("SORTIE_TRASH_DAYS", "0");
    server.restart().await;
    let ann = server.sign_in("ann", "a good password").await;
    // Its time is what was promised at the deletion.
    server.clock.advance(2 * MINUTE);
    assert_eq!(ann.recording(&id).await["status"], "trashed");
    json_of(ann.post(&format!("/api/recordings/{id}/restore")), 200).await;
    delete(&ann, &format!("/api/recordings/{id}")).await;
    assert!(
        is_gone(&ann, &id).await,
        "without a trash a deletion is final"
    );
}
