//! `/healthz`, `/readyz` and `/metrics` of a real server.

use crate::support::{TestServer, json_of, problem};
use reqwest::StatusCode;

/// Value of the first series that begins with this text.
#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    let line = line.unwrap_or_else(|| panic!("no {series} in:\n{text}"));
    line.trim().parse().expect("a number")
}

async fn scrape(client: &crate::support::Client) -> String {
    let answer = client.get("/metrics").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let kind = crate::support::header(&answer, "content-type");
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"));
    answer.text().await.expect("text")
}

#[tokio::test]
async fn running_server_is_healthy_and_ready() {
    let server = TestServer::start().await;
    let health = server
        .anonymous()
        .get("/healthz")
        .send()
        .await
        .expect("an answer");
    assert_eq!(health.status(), StatusCode::NO_CONTENT);
    let ready = json_of(server.anonymous().get("/readyz"), 200).await;
    assert_eq!(
        ready,
        serde_json::json!({ "database": "ok", "storage": "ok" })
    );
}

#[tokio::test]
async fn readiness_reports_missing_storage_without_details() {
    let server = TestServer::start().await;
    std::fs::remove_dir_all(server.recordings()).expect("the folder is removable");
    let answer = server
        .anonymous()
        .get("/readyz")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let text = answer.text().await.expect("text");
    assert!(text.contains("Storage: "), "{text}");
    // The path and the system's error are for the log only.
    let path = server.recordings().display().to_string();
    assert!(
        !text.contains(&path) && !text.contains("os error"),
        "{text}"
    );
    let health = server
        .anonymous()
        .get("/healthz")
        .send()
        .await
        .expect("an answer");
    assert_eq!(health.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn malformed_query_returns_a_problem() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let request = admin.get("/api/sessions?limit=1&limit=2");
    let sentence = problem(request, 400, "invalid_field").await;
    assert!(sentence.contains("occur only once"), "{sentence}");
}

#[tokio::test]
async fn unknown_query_parameter_returns_400_and_names_the_known_ones() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for (path, expected) in [
        (
            "/api/recordings?stauts=ready",
            "it takes limit, cursor, q, status",
        ),
        ("/api/admin/audit?user=ann", "it takes actor, action"),
        ("/api/admin/storage?x=1", "takes no query parameter"),
        ("/api/info?%00=1&verbose", "takes no query parameter"),
        ("/api/sessions?limit=1&Limit=2", "\"Limit\""),
        ("/api/recordings/unknown/download?token=secret", "\"token\""),
    ] {
        let sentence = problem(admin.get(path), 400, "invalid_field").await;
        assert!(sentence.contains(expected), "{path}: {sentence}");
        assert!(!sentence.contains("secret"), "{path}: {sentence}");
    }
    // The parameters of a route are not disclosed to unauthenticated callers.
    let anonymous = server.anonymous().get("/api/recordings?stauts=ready");
    problem(anonymous, 401, "unauthenticated").await;
    json_of(admin.get("/api/recordings?"), 200).await;
}

#[tokio::test]
async fn openapi_document_describes_this_server() {
    let server = TestServer::start().await;
    let document = json_of(server.anonymous().get("/api/openapi.json"), 200).await;
    assert_eq!(document["openapi"], "3.1.1");
    assert!(document["paths"]["/api/recordings"]["get"].is_object());
    let page = server
        .anonymous()
        .get("/api/docs")
        .send()
        .await
        .expect("an answer");
    let policy = crate::support::header(&page, "content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'"),
        "{policy}"
    );
    assert!(page.text().await.expect("text").contains("/api/recordings"));

    // Without the feature, its routes are neither served nor described.
    let server = TestServer::with(&[("SORTIE_VIDEO_RECORDING_ENABLED", "false")]).await;
    let document = json_of(server.anonymous().get("/api/openapi.json"), 200).await;
    assert!(document["paths"]["/api/sessions"].is_object());
    assert!(document["paths"]["/api/recordings"].is_null());
}

#[tokio::test]
async fn metrics_require_an_administrator_unless_public() {
    let server = TestServer::start().await;
    problem(server.anonymous().get("/metrics"), 401, "unauthenticated").await;
    let ann = server.user("ann").await;
    problem(ann.get("/metrics"), 403, "forbidden").await;
    scrape(&server.admin().await).await;

    let server = TestServer::with(&[("SORTIE_METRICS_PUBLIC", "true")]).await;
    scrape(&server.anonymous()).await;
}

#[tokio::test]
async fn metrics_count_requests_and_uploads() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let bytes = crate::support::chromium_webm();
    admin.record(&bytes).await;
    admin.start_recording().await;
    problem(admin.get("/api/recordings/no-such"), 404, "not_found").await;
    for path in ["/api/made/up", "/made-up", "/other/made-up"] {
        let _ = admin.get(path).send().await.expect("an answer");
    }

    let text = scrape(&admin).await;
    assert_eq!(
        value(&text, "sortie_upload_received_bytes_total"),
        bytes.len() as f64
    );
    assert_eq!(
        value(&text, "sortie_upload_acknowledgement_seconds_count"),
        1.0
    );
    assert_eq!(value(&text, "sortie_recordings{status=\"ready\"}"), 1.0);
    assert_eq!(value(&text, "sortie_recordings{status=\"recording\"}"), 1.0);
    assert_eq!(value(&text, "sortie_uploads_open"), 1.0);
    assert!(value(&text, "sortie_storage_used_bytes{status=\"ready\"}") > bytes.len() as f64);
    assert!(value(&text, "sortie_storage_free_bytes") > 0.0);
    assert!(value(&text, "sortie_problems_total{code=\"not_found\"}") >= 2.0);
    let patch =
        "sortie_http_answers_total{method=\"PATCH\",route=\"/api/uploads/{id}\",status=\"204\"}";
    assert_eq!(value(&text, patch), 1.0);
    // Unknown paths create no series.
    assert!(!text.contains("made"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn scrapes_query_the_database_at_most_twice_a_minute() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    assert_eq!(value(&scrape(&admin).await, "sortie_uploads_open"), 0.0);
    admin.start_recording().await;
    assert_eq!(value(&scrape(&admin).await, "sortie_uploads_open"), 0.0);
    server.clock.advance(std::time::Duration::from_secs(30));
    assert_eq!(value(&scrape(&admin).await, "sortie_uploads_open"), 1.0);
}

/// Runs the program: this process shares its umask with other tests.
#[cfg(unix)]
#[tokio::test]
async fn files_are_private_with_any_umask() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let (database, recordings) = (
        folder.path().join("sortie.db"),
        folder.path().join("recordings"),
    );
    // A database created by an earlier version.
    std::fs::write(&database, b"").expect("writable");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&database, open).expect("our own file");
    let mut command = std::process::Command::new("sh");
    command
        .arg("-c")
        .arg("umask 022; exec \"$0\"")
        .arg(env!("CARGO_BIN_EXE_sortie-server"))
        .env_clear()
        .env("SORTIE_DB", &database)
        .env("SORTIE_RECORDING_STORAGE_PATH", &recordings);
    let process = crate::support::process::Process::start(&mut command, None);
    let anonymous = crate::support::Client {
        http: reqwest::Client::new(),
        url: process.url.clone(),
        token: None,
        user_id: String::new(),
    };
    let who =
        serde_json::json!({ "username": "admin", "password": crate::support::ADMIN_PASSWORD });
    let tokens = json_of(anonymous.post("/api/auth/login").json(&who), 200).await;
    let admin = crate::support::Client {
        token: tokens["access_token"].as_str().map(str::to_owned),
        ..anonymous
    };
    admin.record(&crate::support::chromium_webm()).await;
    admin.start_recording().await;
    let mut seen = Vec::new();
    let mut folders = vec![folder.path().to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("readable") {
            let entry = entry.expect("readable");
            let metadata = entry.metadata().expect("metadata");
            let mode = metadata.permissions().mode();
            let name = entry.file_name().to_string_lossy().into_owned();
            assert_eq!(mode & 0o007, 0, "{name}: {mode:o}");
            // An existing database keeps its group permissions.
            if !name.starts_with("sortie.db") {
                assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
            }
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            seen.push(name);
        }
    }
    assert!(seen.iter().any(|name| name.ends_with("-wal")), "{seen:?}");
    assert!(seen.len() >= 5, "{seen:?}");
}
