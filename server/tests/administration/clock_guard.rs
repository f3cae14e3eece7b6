//! A wrong clock deletes nothing: jumps of a running server, and a server that starts with a wrong clock.

use std::time::Duration;

use crate::support::{Client, TestServer, chromium_webm, json_of, problem, until};
use serde_json::{Value, json};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn server() -> TestServer {
    TestServer::with(&[("SORTIE_RECORDING_RETENTION_DAYS", "30")]).await
}

async fn preview(client: &Client) -> Value {
    json_of(client.get("/api/admin/retention"), 200).await
}

async fn exists(client: &Client, id: &str) -> bool {
    let answer = client.get(&format!("/api/recordings/{id}")).send().await;
    answer.expect("an answer").status() == 200
}

async fn audit(client: &Client, action: &str) -> Vec<Value> {
    let log = json_of(
        client.get(&format!("/api/admin/audit?action={action}")),
        200,
    )
    .await;
    log.as_array().expect("a list").clone()
}

/// Waits until the server has logged that doubt began or ended.
async fn wait_for_doubt(client: &Client, action: &str, rows: usize) {
    until(action, async || audit(client, action).await.len() == rows).await;
}

async fn confirm(client: &Client, body: &Value) {
    let answer = client
        .post("/api/admin/retention/confirm-clock")
        .json(body)
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), 204);
}

#[tokio::test]
async fn jump_of_400_days_deletes_nothing_until_confirmed() {
    let server = server().await;
    let client = server.admin().await;
    let id = client.record(&chromium_webm()).await;
    wait_for_doubt(&client, "clock.hold", 0).await;
    server.clock.jump(400 * DAY_MS);
    // The elapsed time makes the recordings due for deletion.
    server.clock.advance(2 * HOUR);
    let client = server.admin().await;
    wait_for_doubt(&client, "clock.hold", 1).await;
    let log = audit(&client, "clock.hold").await;
    let detail = log[0]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("400 days ahead"), "{detail}");
    let run = client.post("/api/admin/retention/run");
    let sentence = problem(run, 409, "conflict").await;
    assert!(sentence.contains("confirm"), "{sentence}");
    let shown = preview(&client).await;
    assert_eq!(shown["hold"]["doubt"], "ahead");
    assert_eq!(shown["hold"]["seconds"], 400 * DAY_MS / 1000);
    let report = json_of(client.get("/api/admin/storage"), 200).await;
    assert_eq!(report["retention"]["hold"], shown["hold"]);
    assert!(exists(&client, &id).await);

    confirm(&client, &json!({})).await;
    assert_eq!(preview(&client).await["hold"], Value::Null);
    server.clock.advance(2 * HOUR);
    let client = server.admin().await;
    until("retention runs again", async || !exists(&client, &id).await).await;
    let ann = server.user("ann").await;
    let forbidden = ann.post("/api/admin/retention/confirm-clock");
    problem(forbidden, 403, "forbidden").await;
}

#[tokio::test]
async fn reverted_jump_deletes_nothing_and_needs_no_confirmation() {
    let server = server().await;
    let client = server.admin().await;
    let old = client.record(&chromium_webm()).await;
    server.clock.advance(29 * DAY);
    let client = server.admin().await;
    let young = client.record(&chromium_webm()).await;
    for (round, jump_ms) in [DAY_MS / 24, -DAY_MS / 24, 400 * DAY_MS, -400 * DAY_MS]
        .into_iter()
        .enumerate()
    {
        server.clock.jump(jump_ms);
        let client = server.admin().await;
        wait_for_doubt(&client, "clock.hold", round + 1).await;
        server.clock.jump(-jump_ms);
        let client = server.admin().await;
        wait_for_doubt(&client, "clock.resume", round + 1).await;
    }
    server.clock.advance(2 * DAY);
    let client = server.admin().await;
    until("retention deletes the old recording", async || {
        !exists(&client, &old).await
    })
    .await;
    assert!(exists(&client, &young).await);
}

#[tokio::test]
async fn start_with_a_wrong_clock_deletes_nothing() {
    let mut server = server().await;
    let client = server.admin().await;
    let id = client.record(&chromium_webm()).await;
    for (jump_ms, doubt) in [(400 * DAY_MS, "ahead"), (-400 * DAY_MS, "behind")] {
        server.stop().await;
        server.clock.jump(jump_ms);
        server.restart().await;
        server.clock.advance(2 * HOUR);
        let client = server.admin().await;
        assert_eq!(preview(&client).await["hold"]["doubt"], doubt);
        problem(client.post("/api/admin/retention/run"), 409, "conflict").await;
        // Audit rows written under the wrong clock do not confirm it.
        server.restart().await;
        let client = server.admin().await;
        assert_eq!(preview(&client).await["hold"]["doubt"], doubt);
        assert!(exists(&client, &id).await);
        server.stop().await;
        server.clock.jump(-jump_ms);
        server.restart().await;
        let client = server.admin().await;
        assert_eq!(preview(&client).await["hold"], Value::Null);
    }
}

#[tokio::test]
async fn threshold_deletes_nothing_while_the_clock_is_in_doubt() {
    let server = TestServer::with(&[
        ("SORTIE_RECORDING_DISK_HIGH_PERCENT", "1"),
        ("SORTIE_RECORDING_DISK_LOW_PERCENT", "0"),
    ])
    .await;
    let client = server.admin().await;
    let id = client.record(&chromium_webm()).await;
    server.clock.jump(-400 * DAY_MS);
    server.clock.advance(HOUR);
    let client = server.admin().await;
    wait_for_doubt(&client, "clock.hold", 1).await;
    assert!(exists(&client, &id).await);
    server.clock.jump(400 * DAY_MS);
    server.clock.advance(HOUR);
    let client = server.admin().await;
    until("the threshold deletes a recording", async || {
        !exists(&client, &id).await
    })
    .await;
}

#[tokio::test]
async fn recordings_of_1970_and_of_the_future_wait_for_a_confirmation() {
    let server = server().await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let (dated, ancient, future) = (
        client.record(&bytes).await,
        client.record(&bytes).await,
        client.record(&bytes).await,
    );
    let database = server.database().await;
    for (id, created_ms) in [(&ancient, 86_400_000), (&future, 9_000_000_000_000_i64)] {
        sqlx::query("UPDATE recordings SET created_ms = $1 WHERE id = $2")
            .bind(created_ms)
            .bind(id)
            .execute(&database)
            .await
            .expect("a database");
    }
    server.clock.advance(31 * DAY);
    let client = server.admin().await;
    assert_eq!(preview(&client).await["undated"], 2);
    let run = json_of(client.post("/api/admin/retention/run"), 200).await;
    assert_eq!(run["deleted"], 1);
    assert!(!exists(&client, &dated).await);
    confirm(&client, &json!({})).await;
    assert_eq!(preview(&client).await["due"]["count"], 0);
    confirm(&client, &json!({ "undated": true })).await;
    let shown = preview(&client).await;
    assert_eq!(
        (&shown["undated"], &shown["due"]["count"]),
        (&json!(0), &json!(1))
    );
    let run = json_of(client.post("/api/admin/retention/run"), 200).await;
    assert_eq!(run["deleted"], 1);
    assert!(!exists(&client, &ancient).await);
    assert!(
        exists(&client, &future).await,
        "a future recording is not old"
    );
}

#[tokio::test]
async fn wrong_clock_does_not_expire_complete_partial_uploads() {
    let server = server().await;
    let client = server.admin().await;
    let partial = [("Upload-Concat", "partial"), ("Upload-Length", "4")];
    let upload = client.create_upload(&partial).await;
    let sent = client.patch(&upload, 0, "done").send().await;
    assert_eq!(sent.expect("an answer").status(), 204);
    let there = async |client: &Client| {
        let head = client.tus(reqwest::Method::HEAD, &upload).send().await;
        head.expect("an answer").status() == 200
    };
    server.clock.jump(400 * DAY_MS);
    let client = server.admin().await;
    wait_for_doubt(&client, "clock.hold", 1).await;
    assert!(there(&client).await);
    server.clock.jump(-400 * DAY_MS);
    let client = server.admin().await;
    wait_for_doubt(&client, "clock.resume", 1).await;
    assert!(there(&client).await);
    server.clock.advance(DAY);
    let client = server.admin().await;
    until("the partial upload expires", async || !there(&client).await).await;
}
