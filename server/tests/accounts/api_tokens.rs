//! API tokens: shown once, scoped, revocable.

use reqwest::StatusCode;

use crate::support::{header, problem};
use crate::*;

async fn new_token(owner: &Client, scopes: Value) -> (String, Client) {
    let body = json!({ "name": "robot", "scopes": scopes });
    let created = json_of(owner.post("/api/tokens").json(&body), 201).await;
    let text = |name: &str| created[name].as_str().expect("text").to_owned();
    (text("id"), with(owner, &text("token")))
}

fn with(owner: &Client, token: &str) -> Client {
    Client {
        http: owner.http.clone(),
        url: owner.url.clone(),
        token: Some(token.to_owned()),
        user_id: owner.user_id.clone(),
    }
}

#[tokio::test]
async fn token_is_shown_once_and_listed_without_its_secret() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let body = json!({ "name": "CI of the lab", "scopes": ["read", "record", "read"], "expires_in_days": 30 });
    let answer = ann.post("/api/tokens").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(header(&answer, "cache-control"), "no-store");
    let created: Value = answer.json().await.unwrap();
    let token = created["token"].as_str().unwrap();
    assert_eq!(token.len(), 47);
    let random = token.strip_prefix("sortie_").expect("our prefix");
    assert!(random.bytes().all(|sign| sign.is_ascii_alphanumeric()));
    let listed = json!({
        "id": created["id"], "name": "CI of the lab", "user_id": ann.user_id, "scopes": ["record", "read"],
        "prefix": &token[..13], "created_at": "2026-11-21T09:30:00.000Z", "expires_at": "2026-12-21T09:30:00.000Z",
    });
    assert_eq!(
        json_of(ann.get("/api/tokens"), 200).await,
        json!([listed.clone()])
    );
    let mut with_owner = listed;
    with_owner["username"] = json!("ann");
    assert_eq!(
        json_of(admin.get("/api/admin/tokens"), 200).await,
        json!([with_owner])
    );
    assert_eq!(json_of(admin.get("/api/tokens"), 200).await, json!([]));
    // The database stores a hash only.
    let kept: String = sqlx::query_scalar("SELECT token_hash FROM api_tokens")
        .fetch_one(&database(&server).await)
        .await
        .unwrap();
    assert_eq!(kept.len(), 64);
    assert!(!kept.contains(random));
}

#[tokio::test]
async fn token_authenticates_its_owner_until_revoked() {
    let server = TestServer::start().await;
    let (admin, ann, bob) = (
        server.admin().await,
        server.user("ann").await,
        server.user("bob").await,
    );
    for revoked_by in [&ann, &admin] {
        let (id, robot) = new_token(&ann, json!(["read"])).await;
        let me = json_of(robot.get("/api/auth/me"), 200).await;
        assert_eq!(me["id"], ann.user_id.as_str());
        let path = format!("/api/tokens/{id}");
        problem(bob.delete(&path), 403, "forbidden").await;
        problem(robot.delete(&path), 403, "forbidden").await;
        let gone = revoked_by.delete(&path).send().await.unwrap();
        assert_eq!(gone.status(), StatusCode::NO_CONTENT);
        problem(robot.get("/api/auth/me"), 401, "unauthenticated").await;
        problem(revoked_by.delete(&path), 404, "not_found").await;
    }
}

#[tokio::test]
async fn expired_api_token_is_refused() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let body = json!({ "name": "short", "scopes": ["read"], "expires_in_days": 1 });
    let created = json_of(ann.post("/api/tokens").json(&body), 201).await;
    let robot = with(&ann, created["token"].as_str().unwrap());
    server.clock.advance(DAY - Duration::from_millis(1));
    json_of(robot.get("/api/recordings"), 200).await;
    // The token may be in the auth cache.
    server.clock.advance(Duration::from_millis(1));
    problem(robot.get("/api/recordings"), 401, "unauthenticated").await;
}

#[tokio::test]
async fn last_use_of_a_token_is_stored_once_a_minute() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let (_, robot) = new_token(&ann, json!(["read"])).await;
    let last_used = async || {
        let tokens = json_of(token_owner(&server).await.get("/api/tokens"), 200).await;
        tokens[0]["last_used_at"].clone()
    };
    assert_eq!(last_used().await, Value::Null);
    for (seconds, expected) in [
        (0, "2026-11-21T09:30:00.000Z"),
        (59, "2026-11-21T09:30:00.000Z"),
        // The auth cache serves a verified token for five seconds.
        (6, "2026-11-21T09:31:05.000Z"),
    ] {
        server.clock.advance(Duration::from_secs(seconds));
        json_of(robot.get("/api/recordings"), 200).await;
        assert_eq!(last_used().await, expected);
    }
}

async fn token_owner(server: &TestServer) -> Client {
    server.sign_in("ann", "a good password").await
}

#[tokio::test]
async fn token_has_at_most_its_owners_rights() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let body = json!({ "name": "x", "scopes": ["admin"] });
    problem(ann.post("/api/tokens").json(&body), 403, "forbidden").await;

    // An administrator's token without the `admin` scope has a user's rights.
    let recording = ann.record(&support::chromium_webm()).await;
    let path = format!("/api/recordings/{recording}");
    let (_, reader) = new_token(&admin, json!(["read"])).await;
    problem(reader.get(&path), 403, "forbidden").await;
    let me = json_of(reader.get("/api/auth/me"), 200).await;
    assert_eq!(me["roles"], json!(["user"]));
    let (_, robot) = new_token(&admin, json!(["admin"])).await;
    json_of(robot.get(&path), 200).await;
    json_of(robot.get("/api/admin/users"), 200).await;

    // Demoting or disabling the owner takes effect immediately.
    let id = create(&admin, "cleo", json!(["user", "admin"])).await;
    let cleo = server.sign_in("cleo", "a good password").await;
    let (_, robot) = new_token(&cleo, json!(["admin"])).await;
    json_of(robot.get("/api/admin/users"), 200).await;
    json_of(change(&admin, &id, &json!({ "roles": ["user"] })), 200).await;
    problem(robot.get("/api/admin/users"), 403, "forbidden").await;
    json_of(robot.get("/api/auth/me"), 200).await;
    json_of(change(&admin, &id, &json!({ "disabled": true })), 200).await;
    problem(robot.get("/api/auth/me"), 401, "unauthenticated").await;
}

#[tokio::test]
async fn tokens_are_paged_and_limited_to_100_per_user() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let body = json!({ "name": "x", "scopes": ["read"] });
    for _ in 0..100 {
        json_of(admin.post("/api/tokens").json(&body), 201).await;
    }
    problem(admin.post("/api/tokens").json(&body), 409, "conflict").await;
    let mut next = Some("/api/admin/tokens?limit=30".to_owned());
    let mut seen = std::collections::BTreeSet::new();
    let mut pages = 0;
    while let Some(path) = next {
        let answer = admin.get(&path).send().await.unwrap();
        let link = header(&answer, "link");
        next = link
            .split_once('>')
            .map(|(path, _)| path.trim_start_matches('<').to_owned());
        let page: Vec<Value> = answer.json().await.unwrap();
        seen.extend(page.iter().map(|it| it["id"].to_string()));
        pages += 1;
    }
    assert_eq!((pages, seen.len()), (4, 100));
    for query in ["limit=0", "limit=501", "limit=x", "cursor=x", "cursor=x.y"] {
        let request = admin.get(&format!("/api/admin/tokens?{query}"));
        problem(request, 400, "invalid_field").await;
    }
}
