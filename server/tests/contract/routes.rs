//! REST routes: statuses, field names, arrays, paging. `access.rs` tests permissions.

use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{ADMIN_PASSWORD, Client, TestServer, chromium_webm, header, json_of, problem};

const SESSION: [&str; 6] = [
    "id",
    "user_id",
    "app_id",
    "status",
    "recording_policy",
    "created_at",
];
const RECORDING: [&str; 11] = [
    "id",
    "session_id",
    "user_id",
    "filename",
    "size_bytes",
    "duration_seconds",
    "format",
    "storage_backend",
    "storage_path",
    "status",
    "created_at",
];

/// Every route of the contract and its success statuses as the OpenAPI document lists them. The tests below request
/// them and the refusals.
#[rustfmt::skip]
const ROUTES: [(&str, &str, &[&str]); 26] = [
    ("post", "/api/auth/login", &["200"]),
    ("post", "/api/auth/refresh", &["200"]),
    ("post", "/api/auth/logout", &["204"]),
    ("get", "/api/auth/me", &["200"]),
    ("post", "/api/admin/users", &["201"]),
    ("get", "/api/admin/users", &["200"]),
    ("patch", "/api/admin/users/{id}", &["200"]),
    ("delete", "/api/admin/users/{id}", &["204"]),
    ("post", "/api/sessions", &["201"]),
    ("get", "/api/sessions", &["200"]),
    ("get", "/api/sessions/{id}", &["200"]),
    ("post", "/api/sessions/{id}/stop", &["200"]),
    ("delete", "/api/sessions/{id}", &["204"]),
    ("post", "/api/sessions/{id}/recording/start", &["201"]),
    ("post", "/api/sessions/{id}/recording/stop", &["200"]),
    ("post", "/api/sessions/{id}/recording/upload", &["200"]),
    ("get", "/api/recordings", &["200"]),
    ("get", "/api/recordings/{id}/download", &["200", "206"]),
    ("delete", "/api/recordings/{id}", &["204"]),
    ("get", "/api/admin/recordings", &["200"]),
    ("get", "/api/admin/settings", &["200"]),
    ("put", "/api/admin/settings", &["204"]),
    // Supporting routes.
    ("get", "/api/recordings/{id}", &["200"]),
    ("post", "/api/uploads", &["201"]),
    ("head", "/api/uploads/{id}", &["200"]),
    ("patch", "/api/uploads/{id}", &["204"]),
];

#[tokio::test]
async fn every_route_is_described() {
    let server = TestServer::start().await;
    let description = json_of(server.anonymous().get("/api/openapi.json"), 200).await;
    for (method, path, statuses) in ROUTES {
        let operation = &description["paths"][path][method];
        assert!(operation.is_object(), "{method} {path} is gone");
        for status in statuses {
            let answer = &operation["responses"][status];
            assert!(answer.is_object(), "{method} {path} never answers {status}");
        }
    }
}

#[track_caller]
fn has(value: &Value, fields: &[&str]) {
    for field in fields {
        assert!(value.get(field).is_some(), "{field} is not in {value}");
    }
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.expect("an answer").status().as_u16()
}

/// Uploads a whole file in a single request, as clients without tus do.
fn whole_file(client: &Client, session: &str, id: &str, bytes: Vec<u8>) -> RequestBuilder {
    let form = Form::new()
        .text("recording_id", id.to_owned())
        .text("duration", "1.5")
        .part("file", Part::bytes(bytes).file_name("a.webm"));
    client
        .post(&format!("/api/sessions/{session}/recording/upload"))
        .multipart(form)
}

#[tokio::test]
async fn sign_in_routes_match_the_contract() {
    let server = TestServer::start().await;
    let anonymous = server.anonymous();
    let login = json!({ "username": "admin", "password": ADMIN_PASSWORD });
    let tokens = json_of(anonymous.post("/api/auth/login").json(&login), 200).await;
    has(
        &tokens,
        &["access_token", "refresh_token", "expires_in", "user"],
    );
    assert!(tokens["expires_in"].is_u64());
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let tokens = json_of(anonymous.post("/api/auth/refresh").json(&refresh), 200).await;
    has(&tokens, &["access_token", "refresh_token", "expires_in"]);
    let admin = Client {
        token: Some(text(&tokens, "access_token").to_owned()),
        ..anonymous
    };
    let me = json_of(admin.get("/api/auth/me"), 200).await;
    assert_eq!(text(&me, "username"), "admin");
    assert_eq!(status(admin.post("/api/auth/logout")).await, 204);
    problem(admin.get("/api/auth/me"), 401, "unauthenticated").await;
    let wrong = json!({ "username": "admin", "password": "wrong" });
    let wrong = server.anonymous().post("/api/auth/login").json(&wrong);
    problem(wrong, 401, "wrong_credentials").await;
}

#[tokio::test]
async fn user_routes_match_the_contract() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let ann = json!({
        "username": "ann", "password": "a good password", "email": "ann@example.com",
        "display_name": "Ann", "roles": ["user"],
    });
    let ann = json_of(admin.post("/api/admin/users").json(&ann), 201).await;
    has(&ann, &["id", "username", "email", "display_name", "roles"]);
    let bob =
        json!({ "username": "bob", "password": "a good password", "roles": ["user", "admin"] });
    json_of(admin.post("/api/admin/users").json(&bob), 201).await;
    let all = json_of(admin.get("/api/admin/users"), 200).await;
    assert_eq!(all.as_array().map(Vec::len), Some(3), "{all}");
    let path = format!("/api/admin/users/{}", text(&ann, "id"));
    let change = admin.request(Method::PATCH, &path);
    let changed = json_of(change.json(&json!({ "roles": ["admin"] })), 200).await;
    assert_eq!(changed["roles"], json!(["admin"]));
    assert_eq!(status(admin.delete(&path)).await, 204);
    problem(admin.get(&path), 404, "not_found").await;
}

#[tokio::test]
async fn session_routes_match_the_contract() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let body = json!({ "app_id": "desk", "user_id": ann.user_id });
    let session = json_of(admin.post("/api/sessions").json(&body), 201).await;
    has(&session, &SESSION);
    assert_eq!(text(&session, "user_id"), ann.user_id);
    assert_eq!(text(&session, "recording_policy"), "");
    let path = format!("/api/sessions/{}", text(&session, "id"));
    has(&json_of(ann.get(&path), 200).await, &SESSION);
    let listed = json_of(ann.get("/api/sessions"), 200).await;
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    let stopped = json_of(ann.post(&format!("{path}/stop")), 200).await;
    assert_eq!(text(&stopped, "status"), "stopped");
    assert_eq!(status(ann.delete(&path)).await, 204);
    problem(ann.get(&path), 404, "not_found").await;

    let setting = json!({ "recording_auto_record": "true" });
    let put = admin.request(Method::PUT, "/api/admin/settings");
    assert_eq!(status(put.json(&setting)).await, 204);
    let session = json_of(admin.post("/api/sessions").json(&body), 201).await;
    assert_eq!(text(&session, "recording_policy"), "auto");
    for state in ["creating", "running"] {
        let body = json!({ "app_id": "desk", "status": state });
        let session = json_of(ann.post("/api/sessions").json(&body), 201).await;
        assert_eq!(text(&session, "status"), state);
    }
    for state in ["stopped", "expired", "failed"] {
        let id = ann.session().await;
        let path = format!("/api/sessions/{id}");
        let ended = ann
            .request(Method::PATCH, &path)
            .json(&json!({ "status": state }));
        assert_eq!(text(&json_of(ended, 200).await, "status"), state);
    }
}

#[tokio::test]
async fn recording_routes_of_a_session_match_the_contract() {
    let server = TestServer::with(&[("SORTIE_RECORDING_MAX_SIZE_MB", "1")]).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let session = ann.session().await;
    let (start, stop) = (
        format!("/api/sessions/{session}/recording/start"),
        format!("/api/sessions/{session}/recording/stop"),
    );
    let started = json_of(ann.post(&start), 201).await;
    has(&started, &["recording_id", "upload_url"]);
    assert_eq!(text(&started, "status"), "recording");
    problem(bob.post(&start), 403, "forbidden").await;
    let unknown = ann.post("/api/sessions/nothing/recording/start");
    problem(unknown, 404, "not_found").await;
    problem(ann.post(&stop).json(&json!({})), 400, "bad_request").await;
    let id = json!({ "recording_id": started["recording_id"] });
    let stopped = json_of(ann.post(&stop).json(&id), 200).await;
    assert_eq!(stopped, json!({ "status": "uploading" }));
    let id = text(&started, "recording_id");
    let large = whole_file(&ann, &session, id, vec![0; 1024 * 1024 + 1]);
    problem(large, 413, "too_large").await;
    let started = json_of(ann.post(&start), 201).await;
    let id = text(&started, "recording_id");
    let taken = json_of(whole_file(&ann, &session, id, chromium_webm()), 200).await;
    assert!(
        ["processing", "ready"].contains(&text(&taken, "status")),
        "{taken}"
    );
    json_of(ann.post(&format!("/api/sessions/{session}/stop")), 200).await;
    problem(ann.post(&start), 409, "session_not_running").await;
}

#[tokio::test]
async fn recording_routes_match_the_contract() {
    let server = TestServer::start().await;
    let (admin, ann, bob) = (
        server.admin().await,
        server.user("ann").await,
        server.user("bob").await,
    );
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(ann.record(&chromium_webm()).await);
    }
    let (open, _) = ann.start_recording().await;
    assert_eq!(json_of(bob.get("/api/recordings"), 200).await, json!([]));
    problem(ann.get("/api/admin/recordings"), 403, "forbidden").await;
    for (client, list) in [(&ann, "/api/recordings"), (&admin, "/api/admin/recordings")] {
        let all = json_of(client.get(list), 200).await;
        let all = all.as_array().expect("an array");
        assert_eq!(all.len(), 4);
        for row in all {
            has(row, &RECORDING);
        }
        let ready = all.iter().filter(|row| row["status"] == "ready");
        assert!(ready.clone().all(|row| row["completed_at"].is_string()));
        assert_eq!(ready.count(), 3);
        // `Link` header (RFC 8288).
        let page = client.get(&format!("{list}?limit=3")).send().await;
        let link = header(&page.expect("an answer"), "link");
        let (next, end) = link.split_once('>').expect("a link");
        assert!(end.contains("rel=\"next\""), "{link}");
        let rest = json_of(client.get(next.trim_start_matches('<')), 200).await;
        assert_eq!(rest.as_array().map(Vec::len), Some(1));
    }

    let path = format!("/api/recordings/{}", ids[0]);
    let download = format!("{path}/download");
    let answer = ann.get(&download).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert!(header(&answer, "content-disposition").starts_with("attachment"));
    assert_eq!(
        status(ann.get(&download).header("Range", "bytes=0-9")).await,
        206
    );
    assert_eq!(status(admin.get(&download)).await, 200);
    problem(bob.get(&download), 403, "forbidden").await;
    problem(
        ann.get("/api/recordings/nothing/download"),
        404,
        "not_found",
    )
    .await;
    let growing = ann.get(&format!("/api/recordings/{open}/download"));
    problem(growing, 409, "not_ready").await;
    problem(bob.delete(&path), 403, "forbidden").await;
    assert_eq!(status(ann.delete(&path)).await, 204);
    let foreign = format!("/api/recordings/{}", ids[1]);
    assert_eq!(status(admin.delete(&foreign)).await, 204);
}

#[tokio::test]
async fn invalid_recordings_fail_as_documented() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let (id, session) = ann.start_recording().await;
    json_of(whole_file(&ann, &session, &id, b"a text".to_vec()), 200).await;
    let recording = ann.recording(&id).await;
    assert_eq!(text(&recording, "status"), "failed");
    assert!(!text(&recording, "failure").is_empty());
    let path = format!("/api/recordings/{id}");
    problem(ann.get(&format!("{path}/download")), 409, "not_ready").await;
    assert_eq!(status(ann.delete(&path)).await, 204);
}

#[tokio::test]
async fn settings_routes_match_the_contract() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let before = json_of(admin.get("/api/admin/settings"), 200).await;
    assert_eq!(before["recording_auto_record"], "false");
    let put = admin.request(Method::PUT, "/api/admin/settings");
    let setting = json!({ "recording_auto_record": "true" });
    assert_eq!(status(put.json(&setting)).await, 204);
    let after = json_of(admin.get("/api/admin/settings"), 200).await;
    let values = after.as_object().expect("a map").values();
    assert!(values.clone().all(Value::is_string), "{after}");
    assert_eq!(after["recording_auto_record"], "true");
}

#[tokio::test]
async fn disabled_feature_has_no_routes() {
    let server = TestServer::with(&[("SORTIE_VIDEO_RECORDING_ENABLED", "false")]).await;
    let admin = server.admin().await;
    let session = admin.session().await;
    for path in [
        "/api/recordings".to_owned(),
        "/api/admin/recordings".to_owned(),
        "/api/recordings/nothing/download".to_owned(),
    ] {
        problem(admin.get(&path), 404, "not_found").await;
    }
    for step in ["start", "stop", "upload"] {
        let path = format!("/api/sessions/{session}/recording/{step}");
        problem(admin.post(&path), 404, "not_found").await;
    }
}
