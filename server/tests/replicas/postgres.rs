//! PostgreSQL failures: refused connections, and an outage during an upload.

use std::process::Command;
use std::sync::Arc;

use crate::support::images::jpeg;
use crate::support::postgres::{Cluster, PASSWORD, USER, cluster};
use crate::support::{START_MS, TestServer, chromium_webm, header, json_of, problem};
use reqwest::StatusCode;
use sortie_server::{Config, DatabaseConfig, ManualClock, PostgresConfig, Server, copy_database};

/// Error message of a server that fails to start with this connection string.
async fn refusal(dsn: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display().to_string();
    let config = Config::read(&|name| match name {
        "SORTIE_HOST" => Some("127.0.0.1".to_owned()),
        "SORTIE_PORT" => Some("0".to_owned()),
        "SORTIE_RECORDING_STORAGE_PATH" => Some(path.clone()),
        "SORTIE_DB_TYPE" => Some("postgres".to_owned()),
        "SORTIE_DB_DSN" => Some(dsn.to_owned()),
        _ => None,
    })
    .unwrap_or_else(|errors| panic!("{errors:?}"));
    let opened = Server::open(config, Arc::new(ManualClock::new(START_MS))).await;
    let error = opened
        .err()
        .map(anyhow::Error::from)
        .expect("it cannot start");
    format!("{error:#}")
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_start_reports_a_remedy_and_no_password() {
    let cluster = cluster();
    for statement in [
        "CREATE ROLE guest LOGIN PASSWORD 'guest-secret'",
        "CREATE DATABASE closed",
    ] {
        cluster.psql("postgres", statement).unwrap();
    }
    for (dsn, expected) in [
        (
            cluster.network_dsn(USER, "wrong-secret", "postgres"),
            "the user name or the password is wrong",
        ),
        (
            cluster.network_dsn("nobody", "wrong-secret", "postgres"),
            "the user name or the password is wrong",
        ),
        (
            cluster.network_dsn(USER, PASSWORD, "missing"),
            "there is no such database",
        ),
        (
            cluster.network_dsn("guest", "guest-secret", "closed"),
            "the user may not create tables",
        ),
        (
            format!(
                "{} sslmode=require",
                cluster.network_dsn(USER, PASSWORD, "postgres")
            ),
            "TLS cannot be agreed on",
        ),
        (
            "host=127.0.0.1 port=1 user=u password=wrong-secret".to_owned(),
            "it cannot be reached",
        ),
        (
            "host=no.such.host.invalid user=u password=wrong-secret".to_owned(),
            "it cannot be reached",
        ),
    ] {
        let said = refusal(&dsn).await;
        assert!(said.contains(expected), "{said}");
        assert!(
            said.starts_with("SORTIE_DB_DSN: cannot use the database"),
            "{said}"
        );
        assert!(
            !said.contains("secret") && !said.contains(PASSWORD),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_resumes_after_a_database_outage() {
    let mut cluster = tokio::task::spawn_blocking(Cluster::new).await.unwrap();
    let dsn = cluster.database();
    let mut server =
        TestServer::with(&[("SORTIE_DB_TYPE", "postgres"), ("SORTIE_DB_DSN", &dsn)]).await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    let answer = client
        .patch(&upload, 0, bytes[..10_000].to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);

    let cluster = tokio::task::spawn_blocking(move || {
        cluster.stop();
        cluster
    });
    let mut cluster = cluster.await.unwrap();
    // Requests that need the database receive a retryable error and change nothing.
    let answer = client.get("/api/recordings").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(header(&answer, "retry-after"), "2");
    problem(client.get("/readyz"), 503, "unavailable").await;
    let answer = client
        .patch(&upload, 10_000, bytes[10_000..20_000].to_vec())
        .send()
        .await
        .unwrap();
    let taken = answer.status() == StatusCode::NO_CONTENT;
    assert!(
        taken || answer.status() == StatusCode::SERVICE_UNAVAILABLE,
        "{answer:?}"
    );

    let started = tokio::task::spawn_blocking(move || {
        cluster.start();
        cluster
    });
    let _cluster = started.await.unwrap();
    let offset = client.offset(&id).await;
    assert!(offset >= if taken { 20_000 } else { 10_000 });
    let rest = client
        .patch(
            &upload,
            offset,
            bytes[usize::try_from(offset).unwrap()..].to_vec(),
        )
        .header("Upload-Length", bytes.len());
    assert_eq!(rest.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(client.recording(&id).await["status"], "ready");
    server.restart().await;
    let client = server.admin().await;
    assert_eq!(client.recording(&id).await["status"], "ready");
}

/// Starts a server on a copy of another server's database.
async fn copied(from: &DatabaseConfig, to: &DatabaseConfig) -> u64 {
    let mut progress = Vec::new();
    let copied = copy_database(from, to, &mut |table, done, all| {
        progress.push((table.to_owned(), done, all))
    })
    .await
    .unwrap_or_else(|error| panic!("{:#}", anyhow::Error::from(error)));
    assert_eq!(copied.audit_broken_at, None);
    assert!(progress.iter().all(|(_, done, all)| done <= all));
    copied.tables.iter().map(|(_, rows)| rows).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn database_copied_to_postgres_and_back_serves_the_same_data() {
    let postgres = |dsn: &str| DatabaseConfig::Postgres(PostgresConfig::from_dsn(dsn).unwrap());
    let mut server = TestServer::with(&[("SORTIE_DB_TYPE", "sqlite")]).await;
    let ann = server.user("ann").await;
    let ready = ann.record(&chromium_webm()).await;
    let failed = ann.record(b"not a video").await;
    let (open, _) = ann.start_recording().await;
    let picture = ann.post(&format!("/api/recordings/{open}/pictures?at_ms=0"));
    let picture = picture.header("content-type", "image/jpeg");
    let added = picture.body(jpeg(320, 180, 1)).send().await.unwrap();
    assert_eq!(added.status(), StatusCode::NO_CONTENT);
    let before = json_of(ann.get("/api/recordings"), 200).await;
    server.stop().await;

    let first = DatabaseConfig::Sqlite {
        file: server.database_file(),
    };
    let dsn = cluster().database();
    let there = copied(&first, &postgres(&dsn)).await;
    let again = copy_database(&first, &postgres(&dsn), &mut |_, _, _| {}).await;
    let refused = again
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(
        refused.contains("is not empty: users has 2 rows; nothing was copied"),
        "{refused}"
    );

    std::fs::remove_file(server.database_file()).unwrap();
    assert_eq!(copied(&postgres(&dsn), &first).await, there);
    server.restart().await;
    let ann = server.sign_in("ann", "a good password").await;
    assert_eq!(json_of(ann.get("/api/recordings"), 200).await, before);
    assert_eq!(ann.recording(&ready).await["status"], "ready");
    assert_eq!(ann.recording(&failed).await["status"], "failed");
    assert_eq!(ann.offset(&open).await, 0);
    let poster = ann.get(&format!("/api/recordings/{open}/poster"));
    let poster = poster.send().await.unwrap().bytes().await.unwrap();
    assert_eq!(poster, jpeg(320, 180, 1));
}

#[test]
fn migrate_db_reports_errors() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_sortie-server"))
            .arg("migrate-db")
            .args(arguments)
            .env_clear()
            .env("SORTIE_DB", folder.path().join("missing.db"))
            .env("SORTIE_DB_DSN", cluster().database())
            .output()
            .unwrap();
        (
            done.status.code(),
            String::from_utf8_lossy(&done.stderr).into_owned(),
        )
    };
    let (code, said) = run(&["--from", "sqlite", "--to", "sqlite"]);
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = run(&["--from", "sqlite", "--to", "postgres"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("there is no such file"), "{said}");
}
