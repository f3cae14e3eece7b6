//! Requests every route of `docs/access.md` as every kind of caller from a real server. A unit test compares that page
//! with the table of `server/src/http/routes.rs`.

use std::sync::Arc;

use crate::support::appliance::FakeRecorder;
use crate::support::images::jpeg;
use crate::support::{Client, START_MS, TestServer, json_of, until};
use jsonwebtoken::{EncodingKey, Header};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

const SECRET: &str = "the platform's secret of 32 bytes or more";

/// Scope of a recording token, as spelled in `docs/access.md`.
const RECORDING_TOKEN: &str = "recording token";

/// A row of `docs/access.md`.
struct Row {
    method: Method,
    path: String,
    who: String,
    scopes: String,
}

fn table() -> Vec<Row> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/access.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, method, path, who, scopes, _] = cells[..] else {
            return None;
        };
        let path = path.strip_prefix('`')?.strip_suffix('`')?;
        Some(Row {
            method: method.parse().expect("a method"),
            path: path.to_owned(),
            who: who.to_owned(),
            scopes: scopes.to_owned(),
        })
    });
    rows.collect()
}

/// A kind of caller.
struct Caller {
    name: &'static str,
    client: Client,
    /// Whether the caller is authenticated.
    is_known: bool,
    /// Whether the caller owns the objects in the paths.
    is_owner: bool,
    /// Whether this credential has administrator rights.
    is_admin: bool,
    /// Scope that limits an API token.
    scope: Option<&'static str>,
    /// Whether the caller signed in instead of presenting a token.
    has_signed_in: bool,
}

impl Caller {
    fn is_allowed(&self, row: &Row) -> bool {
        let by_scope = match (self.scope, row.scopes.as_str()) {
            (_, "none: sign in") => self.has_signed_in,
            (Some(RECORDING_TOKEN), needed) => needed.split(", ").any(|it| it == RECORDING_TOKEN),
            (None, _) | (_, "any") => true,
            (Some(scope), needed) => self.is_admin || needed.split(", ").any(|it| it == scope),
        };
        let by_role = match row.who.as_str() {
            "user" => true,
            "owner" => self.is_owner || self.is_admin,
            // Metrics are private unless configured otherwise.
            "admin" | "scraper" => self.is_admin,
            other => panic!("{other} is an unknown role"),
        };
        by_scope && by_role
    }
}

fn jwt(tenant: &str, role: &str) -> String {
    let now = START_MS / 1000;
    let claims = json!({
        "sub": format!("{tenant}-{role}"), "tenant": tenant, "role": role, "exp": now + 86_400,
    });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token")
}

fn with_token(client: &Client, token: impl Into<String>) -> Client {
    Client {
        http: client.http.clone(),
        url: client.url.clone(),
        token: Some(token.into()),
        user_id: client.user_id.clone(),
    }
}

/// Signs in the owner once more.
async fn sign_in_again(owner: &Client) -> Client {
    let body = json!({ "username": "owner", "password": "a good password" });
    let tokens = json_of(owner.post("/api/auth/login").json(&body), 200).await;
    with_token(owner, tokens["access_token"].as_str().unwrap_or_default())
}

async fn api_token(owner: &Client, scope: &str) -> Client {
    let body = json!({ "name": scope, "scopes": [scope] });
    let created = json_of(owner.post("/api/tokens").json(&body), 201).await;
    with_token(owner, created["token"].as_str().unwrap_or_default())
}

async fn recording_token(owner: &Client, session: &str) -> Client {
    let path = format!("/api/sessions/{session}/token");
    let made = json_of(owner.post(&path), 200).await;
    with_token(owner, made["token"].as_str().unwrap_or_default())
}

/// Every kind of caller; the third owns the objects in the paths.
async fn callers(server: &TestServer) -> Vec<Caller> {
    let (admin, owner) = (server.admin().await, server.user("owner").await);
    let disabled = server.user("disabled").await;
    let token_of_disabled = api_token(&disabled, "record").await;
    let path = format!("/api/admin/users/{}", disabled.user_id);
    let change = admin.request(Method::PATCH, &path);
    json_of(change.json(&json!({ "disabled": true })), 200).await;

    let caller = |name, client: Client, is_owner, is_admin| Caller {
        name,
        client,
        is_known: true,
        is_owner,
        is_admin,
        scope: None,
        has_signed_in: true,
    };
    let unknown = |name, client| Caller {
        is_known: false,
        ..caller(name, client, false, false)
    };
    let scoped = |name, scope, client, is_owner, is_admin| Caller {
        scope: Some(scope),
        has_signed_in: false,
        ..caller(name, client, is_owner, is_admin)
    };
    let platform = |name, token: String, is_admin| Caller {
        has_signed_in: false,
        ..caller(name, with_token(&owner, token), false, is_admin)
    };
    let mut forged = server.anonymous();
    forged.token = Some("sortie_0123456789012345678901234567890123456789".to_owned());
    vec![
        unknown("nobody", server.anonymous()),
        caller("user", server.user("user").await, false, false),
        caller(
            "owner",
            server.sign_in("owner", "a good password").await,
            true,
            false,
        ),
        caller("admin", server.admin().await, false, true),
        scoped(
            "owner's token: record",
            "record",
            api_token(&owner, "record").await,
            true,
            false,
        ),
        scoped(
            "owner's token: read",
            "read",
            api_token(&owner, "read").await,
            true,
            false,
        ),
        scoped(
            "admin's token: record",
            "record",
            api_token(&admin, "record").await,
            false,
            false,
        ),
        scoped(
            "admin's token: read",
            "read",
            api_token(&admin, "read").await,
            false,
            false,
        ),
        scoped(
            "admin's token: admin",
            "admin",
            api_token(&admin, "admin").await,
            false,
            true,
        ),
        // Replaced by a token of the session in the path.
        scoped(
            "recording token",
            RECORDING_TOKEN,
            server.sign_in("owner", "a good password").await,
            true,
            false,
        ),
        scoped(
            "another session's recording token",
            RECORDING_TOKEN,
            recording_token(&owner, &owner.session().await).await,
            false,
            false,
        ),
        unknown("disabled user", disabled),
        unknown("disabled user's token", token_of_disabled),
        unknown("made-up token", forged),
        platform("platform's user", jwt("ours", "viewer"), false),
        platform("platform's admin", jwt("ours", "admin"), true),
        unknown(
            "another tenant's user",
            with_token(&owner, jwt("theirs", "viewer")),
        ),
        unknown(
            "another tenant's admin",
            with_token(&owner, jwt("theirs", "admin")),
        ),
    ]
}

/// Fills the path with a new object of the owner: an earlier caller may have deleted the last one. Also returns the
/// recording and its session, if the path has one.
async fn fill_path(
    path: &str,
    owner: &Client,
    admin: &Client,
    number: usize,
) -> (String, Option<(String, String)>) {
    if path.starts_with("/s/") {
        // Not in use.
        let token = "0123456789012345678901234567890123456789";
        return (path.replace("{token}", token), None);
    }
    if !path.contains("{id}") {
        assert!(
            !path.contains('{'),
            "add the objects of {path} to this test"
        );
        return (path.to_owned(), None);
    }
    let made = async |client: &Client, path: &str, body: serde_json::Value| {
        let created = json_of(client.post(path).json(&body), 201).await;
        created["id"].as_str().unwrap_or_default().to_owned()
    };
    let (id, recording) = if path.starts_with("/api/sessions/") {
        let (recording, session) = owner.start_recording().await;
        (session.clone(), Some((recording, session)))
    } else if path.starts_with("/api/recordings/") || path.starts_with("/api/uploads/") {
        let (recording, session) = owner.start_recording().await;
        (recording.clone(), Some((recording, session)))
    } else if path.starts_with("/api/auth/sign-ins/") {
        // The most recently used other sign-in; the current one would sign out the caller.
        let owner = sign_in_again(owner).await;
        let list = json_of(owner.get("/api/auth/sign-ins"), 200).await;
        let mut list = list.as_array().into_iter().flatten();
        let current = list
            .find(|it| it["current"] == true)
            .expect("the current sign-in");
        let id = current["id"].as_str().expect("an id");
        (id.to_owned(), None)
    } else if path.starts_with("/api/tokens/") {
        let body = json!({ "name": "x", "scopes": ["read"] });
        let id = made(owner, "/api/tokens", body).await;
        (id, None)
    } else if path.starts_with("/api/admin/webhooks/") {
        // Their number is limited.
        let webhooks = json_of(admin.get("/api/admin/webhooks"), 200).await;
        for webhook in webhooks.as_array().into_iter().flatten() {
            let path = format!(
                "/api/admin/webhooks/{}",
                webhook["id"].as_str().expect("an id")
            );
            let deleted = admin.delete(&path).send().await.expect("an answer");
            assert_eq!(deleted.status(), 204);
        }
        // Refuses connections: the tests of webhooks deliver to a receiver.
        let body = json!({ "url": "http://127.0.0.1:1/" });
        (made(admin, "/api/admin/webhooks", body).await, None)
    } else if path.starts_with("/api/admin/users/") {
        let name = format!("user {number}");
        let body = json!({ "username": name, "password": "a good password" });
        let id = made(admin, "/api/admin/users", body).await;
        if path.ends_with("/erase") {
            // Its progress is found only after the request.
            let erase = admin.post(&path.replace("{id}", &id)).send().await;
            assert!(erase.expect("an answer").status().is_success());
        }
        (id, None)
    } else {
        panic!("add the objects of {path} to this test")
    };
    let mut path = path.replace("{id}", &id);
    if path.contains("{event}") {
        path = path.replace("{event}", &delivery_of(owner, admin, &id).await);
    }
    if path.contains("{marker}") {
        let markers = format!("/api/recordings/{id}/markers");
        let marker = made(owner, &markers, json!({ "time_ms": 0 })).await;
        path = path.replace("{marker}", &marker);
    }
    if path.contains("{share}") {
        let shares = format!("/api/recordings/{id}/shares");
        let share = made(owner, &shares, json!({})).await;
        path = path.replace("{share}", &share);
    }
    if path.contains("{at_ms}") || path.ends_with("/poster") || path.ends_with("/storyboard.vtt") {
        let picture = owner.post(&format!("/api/recordings/{id}/pictures?at_ms=0"));
        let picture = picture.header("content-type", "image/jpeg");
        let added = picture.body(jpeg(320, 180, 1)).send().await;
        assert_eq!(added.expect("an answer").status(), 204);
        path = path.replace("{at_ms}", "0");
    } else if path.ends_with("/pictures") {
        path += "?at_ms=0";
    }
    (path, recording)
}

/// Returns the ID of an event that is queued for a webhook.
async fn delivery_of(owner: &Client, admin: &Client, webhook: &str) -> String {
    owner.session().await;
    let path = format!("/api/admin/webhooks/{webhook}/deliveries");
    let mut id = String::new();
    until("the event is queued", async || {
        let list = json_of(admin.get(&path), 200).await;
        id = list[0]["event_id"].as_str().unwrap_or_default().to_owned();
        !id.is_empty()
    })
    .await;
    id
}

/// Shapes a request that passes the validation some routes perform before the ownership check.
fn shape_request(request: RequestBuilder, row: &Row, recording: Option<String>) -> RequestBuilder {
    let request = request.header("tus-resumable", "1.0.0");
    let recording = recording.unwrap_or_default();
    match (row.method.as_str(), row.path.as_str()) {
        ("GET" | "HEAD" | "OPTIONS", _) => request,
        ("PATCH", "/api/uploads/{id}") => request
            .header("content-type", "application/offset+octet-stream")
            .header("upload-offset", "0")
            .body("not a recording"),
        ("POST", "/api/uploads/{id}") => request.header("x-http-method-override", "HEAD"),
        ("PATCH", "/api/sessions/{id}") => request.json(&json!({ "status": "stopped" })),
        ("POST", "/api/admin/webhooks") => request.json(&json!({ "url": "http://127.0.0.1:1/" })),
        ("PATCH", "/api/admin/webhooks/{id}") => request.json(&json!({ "description": "x" })),
        (_, path) if path.starts_with("/api/recordings/{id}/markers") => {
            request.json(&json!({ "time_ms": 1 }))
        }
        ("POST", "/api/recordings/{id}/pictures") => request
            .header("content-type", "image/jpeg")
            .body(jpeg(320, 180, 1)),
        (_, path)
            if path.ends_with("/playback-url")
                || path.ends_with("/shares")
                || path.ends_with("/{share}") =>
        {
            request.json(&json!({}))
        }
        ("PATCH", "/api/recordings/{id}") => request.json(&json!({ "protected": false })),
        (_, path) if path.ends_with("/recording/upload") => {
            let file = reqwest::multipart::Part::text("not a recording").file_name("a.webm");
            let form = reqwest::multipart::Form::new().text("recording_id", recording);
            request.multipart(form.part("file", file))
        }
        _ => request.json(&json!({ "recording_id": recording })),
    }
}

#[tokio::test]
async fn every_route_admits_exactly_the_callers_of_the_table() {
    let variables = [
        ("SORTIE_AUTH_JWT_SECRET", SECRET),
        ("SORTIE_AUTH_JWT_ROLE_CLAIM", "role"),
        ("SORTIE_AUTH_JWT_TENANT_CLAIM", "tenant"),
        ("SORTIE_AUTH_JWT_TENANT", "ours"),
        ("SORTIE_WEBHOOK_ALLOW_PRIVATE", "true"),
    ];
    // Without an appliance, its routes would be missing.
    let appliance = Arc::new(FakeRecorder::new());
    let server = TestServer::with_appliance(&variables, Some(appliance)).await;
    let callers = callers(&server).await;
    // Separate sign-ins, so that requests of `/api/auth/logout` do not end a sign-in still in use.
    let owner = server.sign_in("owner", "a good password").await;
    let admin = server.admin().await;
    let rows = table();
    assert!(rows.len() > 30, "no table in the page");
    let mut wrong = Vec::new();
    let mut asked = 0;
    for row in rows {
        // The request would sign out users that this test still needs.
        let ends_others = row.method == Method::DELETE && row.path == "/api/auth/sign-ins";
        if row.path == "/api/auth/logout" || ends_others {
            continue;
        }
        let mut first_status = None::<u16>;
        for caller in &callers {
            let (path, recording) = fill_path(&row.path, &owner, &admin, asked).await;
            let (recording, session) = recording.unzip();
            let client = match (caller.name, session) {
                (RECORDING_TOKEN, Some(session)) => &recording_token(&owner, &session).await,
                (RECORDING_TOKEN, None) => &recording_token(&owner, &owner.session().await).await,
                _ => &caller.client,
            };
            let request = client.request(row.method.clone(), &path);
            let request = shape_request(request, &row, recording);
            let status = request.send().await.expect("an answer").status().as_u16();
            asked += 1;
            let is_right = if row.who == "public" {
                // Public routes answer every caller alike.
                *first_status.get_or_insert(status) == status
            } else if !caller.is_known {
                status == 401
            } else if caller.is_allowed(&row) {
                status < 500 && ![401, 403, 404, 405].contains(&status)
            } else {
                status == 403
            };
            if !is_right {
                wrong.push(format!(
                    "{} {} as {}: {status}",
                    row.method, row.path, caller.name
                ));
            }
        }
    }
    println!("{asked} requests by {} callers of callers", callers.len());
    assert!(
        wrong.is_empty(),
        "{} of {asked}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
