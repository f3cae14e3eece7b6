//! Recording tokens: for one session, for an hour.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::{self, header, problem};
use crate::*;

/// A client with a recording token that `owner` created.
async fn recorder(owner: &Client, session: &str) -> Client {
    let path = format!("/api/sessions/{session}/token");
    let made = json_of(owner.post(&path), 200).await;
    assert_eq!(made["expires_in"], 3600);
    Client {
        http: owner.http.clone(),
        url: owner.url.clone(),
        token: made["token"].as_str().map(str::to_owned),
        user_id: owner.user_id.clone(),
    }
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.expect("an answer").status().as_u16()
}

fn metadata(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name} {}", STANDARD.encode(value)));
    pairs.collect::<Vec<_>>().join(",")
}

#[tokio::test]
async fn recording_token_records_in_its_session() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = ann.session().await;
    let page = recorder(&ann, &session).await;
    let answer = ann.post(&format!("/api/sessions/{session}/token"));
    let answer = answer.send().await.unwrap();
    assert_eq!(header(&answer, "cache-control"), "no-store");

    // Start, append, read the offset, stop.
    let start = page.post(&format!("/api/sessions/{session}/recording/start"));
    let started = json_of(start, 201).await;
    let id = started["recording_id"].as_str().unwrap();
    let upload = format!("/api/uploads/{id}");
    let webm = support::chromium_webm();
    assert_eq!(status(page.patch(&upload, 0, webm.clone())).await, 204);
    assert_eq!(page.offset(id).await, webm.len() as u64);
    let overridden = page
        .tus(Method::POST, &upload)
        .header("x-http-method-override", "HEAD");
    assert_eq!(status(overridden).await, 200);
    let stop = page.post(&format!("/api/sessions/{session}/recording/stop"));
    json_of(stop.json(&json!({ "recording_id": id })), 200).await;

    // By tus alone: session and owner come from the token, whether metadata names the session or not.
    for named in [&*session, ""] {
        let values = metadata(&[("session_id", named)]);
        let created = page
            .create_upload(&[("Upload-Defer-Length", "1"), ("Upload-Metadata", &values)])
            .await;
        let id = created.rsplit('/').next().unwrap();
        let recording = ann.recording(id).await;
        assert_eq!(
            (&recording["session_id"], &recording["user_id"]),
            (&json!(session), &json!(ann.user_id))
        );
    }
}

#[tokio::test]
async fn recording_token_is_refused_outside_its_session() {
    let server = TestServer::start().await;
    let (ann, admin) = (server.user("ann").await, server.admin().await);
    let (recording, other) = ann.start_recording().await;
    let session = ann.session().await;
    // A token created by an administrator is refused, too.
    for page in [
        recorder(&ann, &session).await,
        recorder(&admin, &session).await,
    ] {
        let upload = format!("/api/uploads/{recording}");
        let appended = page.patch(&upload, 0, "x");
        problem(appended, 403, "forbidden").await;
        // Even after the owner's request has opened the upload entry.
        assert_eq!(
            ann.patch(&upload, ann.offset(&recording).await, "x")
                .send()
                .await
                .unwrap()
                .status(),
            204
        );
        problem(
            page.patch(&upload, ann.offset(&recording).await, "x"),
            403,
            "forbidden",
        )
        .await;
        assert_eq!(status(page.tus(Method::HEAD, &upload)).await, 403);
        for action in ["start", "stop"] {
            let path = format!("/api/sessions/{other}/recording/{action}");
            let body = json!({ "recording_id": recording });
            problem(page.post(&path).json(&body), 403, "forbidden").await;
        }
        let values = metadata(&[("session_id", &other)]);
        let created = page
            .tus(Method::POST, "/api/uploads")
            .header("Upload-Defer-Length", "1")
            .header("Upload-Metadata", values);
        problem(created, 403, "forbidden").await;
        let partial = page
            .tus(Method::POST, "/api/uploads")
            .header("Upload-Length", "1")
            .header("Upload-Concat", "partial");
        problem(partial, 403, "forbidden").await;
        // The token only records, even in its own session.
        let mine = page.post(&format!("/api/sessions/{session}/recording/start"));
        let mine = json_of(mine, 201).await["recording_id"].clone();
        let mine = mine.as_str().unwrap();
        for (method, path) in [
            (Method::GET, "/api/auth/me".to_owned()),
            (Method::GET, "/api/recordings".to_owned()),
            (Method::GET, format!("/api/recordings/{mine}")),
            (Method::GET, format!("/api/recordings/{mine}/download")),
            (Method::DELETE, format!("/api/recordings/{mine}")),
            (Method::DELETE, format!("/api/uploads/{mine}")),
            (Method::GET, format!("/api/sessions/{session}")),
            (Method::DELETE, format!("/api/sessions/{session}")),
            (Method::POST, format!("/api/sessions/{session}/stop")),
            (Method::POST, format!("/api/sessions/{session}/token")),
            (Method::GET, "/api/tokens".to_owned()),
            (Method::GET, "/api/events".to_owned()),
            (Method::GET, "/api/admin/users".to_owned()),
        ] {
            problem(page.tus(method, &path), 403, "forbidden").await;
        }
        let overridden = page
            .tus(Method::POST, &format!("/api/uploads/{mine}"))
            .header("x-http-method-override", "DELETE");
        problem(overridden, 403, "forbidden").await;
        // The token is not accepted as a cookie.
        let cookie = format!("sortie_access={}", page.token.as_deref().unwrap());
        let request = server
            .anonymous()
            .post(&format!("/api/sessions/{session}/recording/start"));
        let request = request
            .header("cookie", cookie)
            .header("sec-fetch-site", "same-origin");
        problem(request, 401, "unauthenticated").await;
    }
}

#[tokio::test]
async fn recording_token_with_the_idempotency_key_of_another_session_is_refused() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let (session, other) = (ann.session().await, ann.session().await);
    let create = |client: &Client, session: &str| {
        let values = metadata(&[("session_id", session), ("idempotency_key", "once")]);
        client
            .tus(Method::POST, "/api/uploads")
            .header("Upload-Defer-Length", "1")
            .header("Upload-Metadata", values)
    };
    assert_eq!(status(create(&ann, &other)).await, 201);
    let page = recorder(&ann, &session).await;
    problem(create(&page, &session), 403, "forbidden").await;
    // An upload without a session opens a new one, never the session of a token.
    json_of(ann.get(&format!("/api/sessions/{session}")), 200).await;
}

#[tokio::test]
async fn recording_token_expires_and_ends_with_its_session_or_user() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let start = |page: &Client, session: &str| {
        page.post(&format!("/api/sessions/{session}/recording/start"))
    };
    let session = ann.session().await;
    let page = recorder(&ann, &session).await;
    server.clock.advance(Duration::from_secs(3599));
    json_of(start(&page, &session), 201).await;
    server.clock.advance(Duration::from_secs(1));
    problem(start(&page, &session), 401, "unauthenticated").await;

    // The token outlives its owner's access tokens.
    let ann = server.sign_in("ann", "a good password").await;
    let admin = server.admin().await;
    let page = recorder(&ann, &session).await;
    json_of(start(&page, &session), 201).await;
    for (end, path) in [
        (Method::POST, format!("/api/sessions/{session}/stop")),
        (Method::DELETE, format!("/api/sessions/{session}")),
    ] {
        let answer = ann.request(end, &path).send().await.unwrap();
        assert!(answer.status().is_success());
        problem(start(&page, &session), 409, "session_not_running").await;
    }
    let ended = ann.session().await;
    json_of(ann.post(&format!("/api/sessions/{ended}/stop")), 200).await;
    let path = format!("/api/sessions/{ended}/token");
    problem(ann.post(&path), 409, "session_not_running").await;

    let session = ann.session().await;
    let page = recorder(&ann, &session).await;
    json_of(start(&page, &session), 201).await;
    json_of(
        change(&admin, &ann.user_id, &json!({ "disabled": true })),
        200,
    )
    .await;
    problem(start(&page, &session), 401, "unauthenticated").await;
    json_of(
        change(&admin, &ann.user_id, &json!({ "disabled": false })),
        200,
    )
    .await;
    json_of(start(&page, &session), 201).await;
}

#[tokio::test]
async fn only_owner_administrator_and_record_scope_create_recording_tokens() {
    let server = TestServer::start().await;
    let (ann, bob, admin) = (
        server.user("ann").await,
        server.user("bob").await,
        server.admin().await,
    );
    let session = ann.session().await;
    let path = format!("/api/sessions/{session}/token");
    let scoped = async |owner: &Client, scope: &str| {
        let body = json!({ "name": "x", "scopes": [scope] });
        let made = json_of(owner.post("/api/tokens").json(&body), 201).await;
        Client {
            http: owner.http.clone(),
            url: owner.url.clone(),
            token: made["token"].as_str().map(str::to_owned),
            user_id: owner.user_id.clone(),
        }
    };
    for allowed in [
        &ann,
        &admin,
        &scoped(&ann, "record").await,
        &scoped(&admin, "admin").await,
    ] {
        json_of(allowed.post(&path), 200).await;
    }
    for refused in [
        &bob,
        &scoped(&ann, "read").await,
        &scoped(&bob, "record").await,
        &scoped(&admin, "record").await,
    ] {
        problem(refused.post(&path), 403, "forbidden").await;
    }
    problem(server.anonymous().post(&path), 401, "unauthenticated").await;
    problem(ann.post("/api/sessions/none/token"), 404, "not_found").await;
}

#[tokio::test]
async fn record_scope_cannot_change_or_delete_recordings() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let body = json!({ "name": "x", "scopes": ["record", "read"] });
    let made = json_of(ann.post("/api/tokens").json(&body), 201).await;
    let robot = Client {
        http: ann.http.clone(),
        url: ann.url.clone(),
        token: made["token"].as_str().map(str::to_owned),
        user_id: ann.user_id.clone(),
    };
    let recording = robot.record(&support::chromium_webm()).await;
    let (open, session) = robot.start_recording().await;
    let path = format!("/api/recordings/{recording}");
    let protected = robot.request(Method::PATCH, &path);
    problem(
        protected.json(&json!({ "protected": false })),
        403,
        "forbidden",
    )
    .await;
    let renamed = robot.request(Method::PATCH, &path);
    problem(
        renamed.json(&json!({ "filename": "x.webm" })),
        403,
        "forbidden",
    )
    .await;
    problem(robot.delete(&path), 403, "forbidden").await;
    let upload = format!("/api/uploads/{open}");
    problem(robot.tus(Method::DELETE, &upload), 403, "forbidden").await;
    let overridden = robot
        .tus(Method::POST, &upload)
        .header("x-http-method-override", "delete");
    problem(overridden, 403, "forbidden").await;
    problem(
        robot.delete(&format!("/api/sessions/{session}")),
        403,
        "forbidden",
    )
    .await;
    json_of(robot.post(&format!("/api/sessions/{session}/stop")), 200).await;
    ann.recording(&recording).await;
}
