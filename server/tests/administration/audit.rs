use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::Connection;

use crate::MINUTE;
use crate::support::{Client, TestServer, chromium_webm, header, json_of, problem};

async fn verified(admin: &Client) -> Value {
    json_of(admin.get("/api/admin/audit/verify"), 200).await
}

/// Connection of an attacker with write access to the database.
async fn attacker_connection(server: &TestServer) -> AnyConnection {
    sqlx::any::install_default_drivers();
    let connection = AnyConnection::connect(&server.database_address()).await;
    let mut connection = connection.expect("the database");
    if connection.backend_name() == "SQLite" {
        let wait = sqlx::query("PRAGMA busy_timeout = 10000");
        wait.execute(&mut connection).await.expect("a pragma");
    }
    connection
}

#[tokio::test]
async fn recording_actions_and_denials_are_audited() {
    let server = TestServer::start().await;
    let (admin, ann, bob) = (
        server.admin().await,
        server.user("ann").await,
        server.user("bob").await,
    );
    let id = ann.record(&chromium_webm()).await;
    let path = format!("/api/recordings/{id}");
    for _ in 0..3 {
        problem(bob.get(&path), 403, "forbidden").await;
    }
    for part in ["stream", "download"] {
        ann.get(&format!("{path}/{part}"))
            .send()
            .await
            .expect("an answer");
    }
    admin.delete(&path).send().await.expect("an answer");

    let log = admin.audit(&format!("subject={id}")).await;
    let rows: Vec<_> = log
        .iter()
        .rev()
        .map(|row| {
            ["action", "actor_name", "result"].map(|name| row[name].as_str().unwrap_or_default())
        })
        .collect();
    assert_eq!(
        rows,
        [
            ["recording.start", "ann", "ok"],
            ["recording.upload", "ann", "ok"],
            ["recording.ready", "system", "ok"],
            ["recording.access", "bob", "denied"],
            ["recording.view", "ann", "ok"],
            ["recording.download", "ann", "ok"],
            ["recording.delete", "admin", "ok"],
            ["recording.gone", "system", "ok"],
        ]
    );
    let hash = log[0]["hash"].as_str().unwrap_or_default();
    assert_eq!(hash.len(), 64);
    assert_eq!(verified(&admin).await["ok"], true);
}

#[tokio::test]
async fn audit_log_is_filtered_paged_and_read_only() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    for _ in 0..5 {
        ann.session().await;
        server.clock.advance(MINUTE);
    }
    let by_name = admin.audit("actor=ann&action=session.create").await;
    assert_eq!(by_name.len(), 5);
    let by_id = admin
        .audit(&format!("actor={}&action=session.create", ann.user_id))
        .await;
    assert_eq!(by_id, by_name);
    assert_eq!(
        admin
            .audit("action=session.create&from=2026-11-21T09:31:00Z&to=2026-11-21T09:33:00Z")
            .await,
        by_name[2..4]
    );
    let mut path = "/api/admin/audit?action=session.create&actor=ann&limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let answer = admin.get(&path).send().await.expect("an answer");
        let link = header(&answer, "link");
        seen.extend(answer.json::<Vec<Value>>().await.expect("JSON"));
        let Some(next) = link.strip_prefix('<').and_then(|rest| rest.split_once('>')) else {
            break;
        };
        path = next.0.to_owned();
    }
    assert_eq!(seen, by_name);
    for query in [
        "result=good",
        "from=yesterday",
        "to=1",
        "limit=0",
        "limit=501",
        "cursor=x",
        "cursor=1.x",
        "actor=%00",
        &format!("subject={}", "x".repeat(500)),
    ] {
        problem(
            admin.get(&format!("/api/admin/audit?{query}")),
            400,
            "invalid_field",
        )
        .await;
    }
    assert!(admin.audit("actor='+OR+1=1--").await.is_empty());
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        problem(
            admin.request(method, "/api/admin/audit"),
            405,
            "method_not_allowed",
        )
        .await;
    }
    for path in [
        "/api/admin/audit",
        "/api/admin/audit/verify",
        "/api/admin/audit/export?format=csv",
    ] {
        problem(ann.get(path), 403, "forbidden").await;
    }
}

#[tokio::test]
async fn audit_export_is_complete_and_contains_no_formula() {
    let server = TestServer::start().await;
    let (admin, mallory) = (server.admin().await, server.user("=HYPERLINK(\"x\")").await);
    // More than one batch.
    for _ in 0..520 {
        let path = format!("/api/recordings/{}", uuid());
        let _ = mallory.get(&path).send().await;
    }
    let id = mallory.record(&chromium_webm()).await;
    for number in 0..510 {
        let body = json!({ "filename": format!("-{number}\",x") });
        let changed = mallory
            .change(&format!("/api/recordings/{id}"), &body)
            .send()
            .await;
        assert_eq!(changed.expect("an answer").status(), 200);
    }
    let lines = admin
        .get("/api/admin/audit/export?format=jsonl")
        .send()
        .await
        .expect("an answer");
    assert_eq!(header(&lines, "content-type"), "application/jsonl");
    let text = lines.text().await.expect("a body");
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(rows.len() > 510);
    let numbers: Vec<_> = rows.iter().filter_map(|row| row["seq"].as_u64()).collect();
    let expected: Vec<_> = (1..=rows.len() as u64).collect();
    assert_eq!(numbers, expected);

    let table = admin
        .get("/api/admin/audit/export?format=csv&action=recording.change")
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        header(&table, "content-disposition"),
        "attachment; filename=\"audit.csv\""
    );
    let table = table.text().await.expect("a body");
    assert_eq!(table.matches("\r\n").count(), 511);
    assert!(
        table.contains(",\"'=HYPERLINK(\"\"x\"\")\","),
        "{}",
        &table[..500]
    );
    problem(admin.get("/api/admin/audit/export"), 400, "invalid_field").await;
    problem(
        admin.get("/api/admin/audit/export?format=xml"),
        400,
        "invalid_field",
    )
    .await;
    assert_eq!(admin.audit("action=audit.export").await.len(), 2);
}

fn uuid() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("unknown-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

#[tokio::test]
async fn audit_verify_command_reports_the_state_of_the_chain() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for _ in 0..3 {
        admin.session().await;
    }
    let verify = |mut program: std::process::Command| {
        let output = program.arg("verify-audit").output();
        let output = output.expect("the program runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text)
    };
    let (code, text) = verify(server.program());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("The audit log is whole: "), "{text}");
    let mut connection = attacker_connection(&server).await;
    let statement = sqlx::query("DELETE FROM audit WHERE seq = 2");
    statement
        .execute(&mut connection)
        .await
        .expect("a statement");
    let (code, text) = verify(server.program());
    assert_eq!(code, Some(3));
    assert!(text.contains("broken at row 2"), "{text}");
    // A missing database is not created.
    let other = server.database_file().with_file_name("other.db");
    let mut program = server.program();
    program
        .env("SORTIE_DB_TYPE", "sqlite")
        .env("SORTIE_DB", &other);
    assert_eq!(verify(program).0, Some(1));
    assert!(!other.exists());
}

#[tokio::test]
async fn concurrent_writers_make_one_chain() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let writing = (0..40).map(|_| ann.session());
    let mut ids = futures_util::future::join_all(writing).await;
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 40);
    let found = verified(&admin).await;
    assert_eq!(found["ok"], true);
    assert!(found["rows"].as_u64() >= Some(40));
}

#[tokio::test]
async fn every_change_of_audit_rows_is_detected() {
    for (tampering, first_bad) in [
        ("UPDATE audit SET detail = 'x' WHERE seq = 3", 3),
        ("UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 3", 3),
        ("UPDATE audit SET hash = 'x' WHERE seq = 3", 3),
        ("DELETE FROM audit WHERE seq = 3", 3),
        ("DELETE FROM audit WHERE seq = 1", 1),
        ("UPDATE audit SET seq = -1 WHERE seq = 3", 1),
        // Deletes the last rows; the head row remembers them.
        ("DELETE FROM audit WHERE seq > 3", 4),
        ("DELETE FROM audit", 1),
        // Swaps two rows.
        (
            "UPDATE audit SET seq = CASE seq WHEN 3 THEN 1004 ELSE 1003 END WHERE seq IN (3, 4); \
          UPDATE audit SET seq = seq - 1000 WHERE seq > 1000",
            3,
        ),
        // Moves the head back without the rows behind it.
        (
            "UPDATE audit_head SET seq = 3, hash = (SELECT hash FROM audit WHERE seq = 3)",
            4,
        ),
        ("DELETE FROM audit_head", 1),
    ] {
        let server = TestServer::start().await;
        let admin = server.admin().await;
        for _ in 0..5 {
            admin.session().await;
        }
        assert_eq!(verified(&admin).await["ok"], true);
        let mut connection = attacker_connection(&server).await;
        for statement in tampering.split(';') {
            let statement = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()));
            statement.execute(&mut connection).await.expect(tampering);
        }
        let found = verified(&admin).await;
        assert_eq!(found["ok"], false, "{tampering}");
        assert_eq!(found["first_bad_seq"], first_bad, "{tampering}");
    }
}

#[tokio::test]
async fn actor_filter_matches_user_ids_and_names() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    ann.session().await;
    let named = server.user(&ann.user_id).await;
    let by = async |actor: &str| {
        let path = format!("/api/admin/audit?action=session.create&actor={actor}");
        let rows = json_of(admin.get(&path), 200).await;
        let rows = rows.as_array().into_iter().flatten();
        let mut actors: Vec<_> = rows.map(|row| row["actor_name"].clone()).collect();
        actors.dedup();
        actors
    };
    assert_eq!(by("ann").await, [json!("ann")]);
    assert_eq!(by(&ann.user_id).await, [json!("ann")]);
    named.session().await;
    assert_eq!(
        by(&ann.user_id).await,
        [json!(ann.user_id), json!("ann")],
        "newest first"
    );
    assert_eq!(by(&named.user_id).await, [json!(ann.user_id)]);
    assert_eq!(by("unknown").await, [json!(null); 0]);
}
