use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, TestServer, chromium_webm, json_of, problem};
use crate::{DAY, MINUTE, until};

const WEEK: (&str, &str) = ("SORTIE_RECORDING_RETENTION_DAYS", "7");

fn ids(list: &Value) -> Vec<&str> {
    let rows = list.as_array().into_iter().flatten();
    rows.filter_map(|row| row["id"].as_str()).collect()
}

async fn is_gone(client: &Client, id: &str) -> bool {
    let answer = client.get(&format!("/api/recordings/{id}")).send().await;
    answer.expect("an answer").status() == 404
}

#[tokio::test]
async fn retention_deletes_previewed_recordings_beyond_their_age() {
    let server = TestServer::with(&[WEEK]).await;
    let ann = server.user("ann").await;
    let webm = chromium_webm();
    let old = ann.record(&webm).await;
    let protected = ann.record(&webm).await;
    let path = format!("/api/recordings/{protected}");
    json_of(ann.change(&path, &json!({ "protected": true })), 200).await;
    let failed = ann.record(b"no video at all").await;
    let (growing, _) = ann.start_recording().await;
    server.clock.advance(7 * DAY);
    let (admin, ann) = (
        server.admin().await,
        server.sign_in("ann", "a good password").await,
    );
    let exactly = json_of(admin.get("/api/admin/retention"), 200).await;
    assert_eq!(
        exactly["due"]["count"], 0,
        "a week old is not older than a week"
    );
    server.clock.advance(Duration::from_millis(1));
    let young = ann.record(&webm).await;

    let preview = json_of(admin.get("/api/admin/retention"), 200).await;
    assert_eq!(preview["days"], 7);
    assert_eq!(ids(&preview["next"]), [old.as_str()]);
    assert_eq!(preview["reasons"], json!([{ "id": old, "reason": "age" }]));
    let size = ann.recording(&old).await["size_bytes"].clone();
    assert_eq!(preview["due"], json!({ "count": 1, "bytes": size }));

    let run = json_of(admin.post("/api/admin/retention/run"), 200).await;
    let none = json!({ "count": 0, "bytes": 0 });
    let expected = json!({
        "deleted": 1, "bytes": size, "failed": [], "more": false, "unforwarded": none,
    });
    assert_eq!(run, expected);
    assert!(is_gone(&ann, &old).await);
    let metrics = admin.get("/metrics").send().await.expect("an answer");
    let metrics = metrics.text().await.expect("text");
    let counted = "\nsortie_retention_deletions_total 1\n";
    assert!(metrics.contains(counted), "{metrics}");
    for kept in [&protected, &failed, &growing, &young] {
        assert!(!is_gone(&ann, kept).await);
    }
    let log = admin
        .audit(&format!("subject={old}&action=recording.delete"))
        .await;
    assert_eq!(log[0]["detail"], "older than 7 days");
    assert_eq!(log[0]["actor_name"], "admin");
    assert_eq!(admin.audit("action=storage.clean_up").await.len(), 1);
    problem(ann.post("/api/admin/retention/run"), 403, "forbidden").await;
    problem(ann.get("/api/admin/retention"), 403, "forbidden").await;
}

#[tokio::test]
async fn retention_runs_a_minute_after_start_and_then_hourly() {
    let mut server = TestServer::with(&[WEEK]).await;
    let ann = server.user("ann").await;
    let old = ann.record(&chromium_webm()).await;
    server.clock.advance(6 * DAY);
    let ann = server.sign_in("ann", "a good password").await;
    let younger = ann.record(&chromium_webm()).await;
    server.clock.advance(2 * DAY);
    server.restart().await;
    let ann = server.sign_in("ann", "a good password").await;
    assert!(!is_gone(&ann, &old).await);
    server.clock.advance(MINUTE);
    until("the first run deletes the old recording", || {
        is_gone(&ann, &old)
    })
    .await;
    assert!(!is_gone(&ann, &younger).await);
    let admin = server.admin().await;
    let preview = json_of(admin.get("/api/admin/retention"), 200).await;
    assert_eq!(preview["next_run_at"], "2026-11-29T10:31:00.000Z");
    let log = admin
        .audit(&format!("subject={old}&action=recording.delete"))
        .await;
    assert_eq!(log[0]["via"], "system");
    server.clock.advance(6 * DAY);
    let ann = server.sign_in("ann", "a good password").await;
    until("a later run deletes the younger recording", || {
        is_gone(&ann, &younger)
    })
    .await;
}

#[tokio::test]
async fn full_disk_deletes_the_oldest_recordings() {
    // Every disk is more than one per cent full, whatever is deleted here.
    let marks = [
        ("SORTIE_RECORDING_DISK_HIGH_PERCENT", "1"),
        ("SORTIE_RECORDING_DISK_LOW_PERCENT", "0"),
    ];
    let server = TestServer::with(&marks).await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let first = ann.record(&chromium_webm()).await;
    server.clock.advance(Duration::from_secs(1));
    let second = ann.record(&chromium_webm()).await;
    let protected = json!({ "protected": true });
    json_of(
        ann.change(&format!("/api/recordings/{second}"), &protected),
        200,
    )
    .await;
    server.clock.advance(Duration::from_secs(1));
    let third = ann.record(&chromium_webm()).await;

    let preview = json_of(admin.get("/api/admin/retention"), 200).await;
    assert_eq!(preview["high_percent"], 1);
    assert_eq!(ids(&preview["next"]), [first.as_str(), third.as_str()]);
    assert_eq!(preview["reasons"][0]["reason"], "room");
    // Retention runs at the next check of the disk.
    server.clock.advance(MINUTE);
    until("the threshold deletes a recording", || {
        is_gone(&ann, &third)
    })
    .await;
    assert!(is_gone(&ann, &first).await);
    assert!(!is_gone(&ann, &second).await);
    let log = admin
        .audit(&format!("subject={first}&action=recording.delete"))
        .await;
    assert_eq!(log[0]["detail"], "the disk was more than 1 % full");
}

#[tokio::test]
async fn threshold_takes_from_the_user_with_the_most_bytes_first() {
    let server = TestServer::with(&[
        ("SORTIE_RECORDING_DISK_HIGH_PERCENT", "1"),
        ("SORTIE_RECORDING_DISK_LOW_PERCENT", "0"),
    ])
    .await;
    let admin = server.admin().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    // Ann's only recording is the oldest. Bob protects as many of his recordings as his quota allows.
    let anns = ann.record(&chromium_webm()).await;
    let mut bobs = Vec::new();
    for number in 0..4 {
        server.clock.advance(Duration::from_secs(1));
        bobs.push(bob.record(&chromium_webm()).await);
        let path = format!("/api/recordings/{}", bobs[number]);
        let protected = json!({ "protected": number < 2 });
        json_of(bob.change(&path, &protected), 200).await;
    }
    let preview = json_of(admin.get("/api/admin/retention"), 200).await;
    let next = ids(&preview["next"]);
    assert_eq!(next, [bobs[2].as_str(), bobs[3].as_str(), anns.as_str()]);
    // A run deletes the previewed recordings.
    let run = json_of(admin.post("/api/admin/retention/run"), 200).await;
    assert_eq!(run["deleted"], 3, "{run}");
    assert!(!is_gone(&bob, &bobs[0]).await);
}

#[tokio::test]
async fn undeletable_recording_is_reported_retried_and_skipped() {
    let server = TestServer::with(&[WEEK]).await;
    let ann = server.user("ann").await;
    let stuck = ann.record(&chromium_webm()).await;
    server.clock.advance(Duration::from_secs(1));
    let next = ann.record(&chromium_webm()).await;
    // The storage cannot remove a directory in place of the file.
    let file = server.file(&format!("{stuck}.webm"));
    std::fs::remove_file(&file).expect("the recording's file");
    std::fs::create_dir(&file).expect("a folder");
    std::fs::write(file.join("x"), "x").expect("a file in it");
    server.clock.advance(8 * DAY);
    let (admin, ann) = (
        server.admin().await,
        server.sign_in("ann", "a good password").await,
    );

    let run = json_of(admin.post("/api/admin/retention/run"), 200).await;
    assert_eq!(
        (&run["deleted"], &run["failed"][0]["id"]),
        (&json!(1), &json!(stuck))
    );
    assert!(is_gone(&ann, &next).await);
    let shown = ann.recording(&stuck).await;
    assert_eq!(
        (&shown["deleting"], &shown["status"]),
        (&json!(true), &json!("failed"))
    );
    let preview = json_of(admin.get("/api/admin/retention"), 200).await;
    assert_eq!(
        (&preview["retrying"], &preview["due"]["count"]),
        (&json!(1), &json!(0))
    );
    let log = admin.audit("result=failed").await;
    assert_eq!(log[0]["subject"], stuck.as_str());

    std::fs::remove_dir_all(&file).expect("the folder");
    until("the deletion is retried", || is_gone(&ann, &stuck)).await;
}
