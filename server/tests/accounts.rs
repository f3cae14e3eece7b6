//! Signing in and out, tokens, cookies and people, over a real socket.

mod support;

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use jsonwebtoken::{DecodingKey, Validation};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sortie_server::{Config, ManualClock, Server};
use support::{ADMIN_PASSWORD, Client, START_MS, TestServer, header, json_of, problem};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const EXPIRED: &str = "Your sign-in has expired. Sign in again.";

fn login(server: &TestServer, username: &str, password: &str) -> RequestBuilder {
    let body = json!({ "username": username, "password": password });
    server.nobody().post("/api/auth/login").json(&body)
}

/// A sign-in as programs see it.
struct Pair {
    access: String,
    refresh: String,
}

impl Pair {
    fn of(tokens: &Value) -> Self {
        let text = |name: &str| tokens[name].as_str().expect("a token").to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
        }
    }

    async fn sign_in(server: &TestServer) -> Self {
        Self::of(&json_of(login(server, "admin", ADMIN_PASSWORD), 200).await)
    }

    async fn refreshed(&self, server: &TestServer) -> Self {
        Self::of(&json_of(refresh(server, &self.refresh), 200).await)
    }

    /// Whether the access token and the refresh token are worth anything; spends the latter.
    async fn is_alive(&self, server: &TestServer) -> (bool, bool) {
        let ok = async |request: RequestBuilder| {
            request.send().await.expect("an answer").status() == 200
        };
        (
            ok(me(server, &self.access)).await,
            ok(refresh(server, &self.refresh)).await,
        )
    }
}

fn me(server: &TestServer, token: &str) -> RequestBuilder {
    server.nobody().get("/api/auth/me").bearer_auth(token)
}

fn refresh(server: &TestServer, token: &str) -> RequestBuilder {
    server
        .nobody()
        .post("/api/auth/refresh")
        .json(&json!({ "refresh_token": token }))
}

fn cookies(answer: &Response) -> Vec<String> {
    let all = answer.headers().get_all("set-cookie").iter();
    all.map(|value| value.to_str().expect("text").to_owned())
        .collect()
}

#[tokio::test]
async fn a_sign_in_gives_tokens_to_programs_and_cookies_to_pages() {
    let server = TestServer::start().await;
    for (https, name, value) in [
        (false, "x-nothing", ""),
        (true, "x-forwarded-proto", "https"),
        (true, "origin", "https://sortie.example"),
        (false, "origin", "http://sortie.example"),
    ] {
        let answer = login(&server, "Admin", ADMIN_PASSWORD)
            .header(name, value)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(header(&answer, "cache-control"), "no-store");
        let cookies = cookies(&answer);
        let tokens: Value = answer.json().await.unwrap();
        assert_eq!(tokens["expires_in"], 900);
        assert_eq!(tokens["user"]["username"], "admin");
        assert_eq!(tokens["user"]["roles"], json!(["user", "admin"]));
        assert_eq!(tokens["user"]["created_at"], "2026-11-21T09:30:00.000Z");
        assert!(tokens["user"].get("password_hash").is_none());
        let pair = Pair::of(&tokens);
        let secure = if https { " Secure;" } else { "" };
        assert_eq!(
            cookies,
            [
                format!(
                    "sortie_access={}; HttpOnly; SameSite=Lax;{secure} Path=/; Max-Age=900",
                    pair.access
                ),
                format!(
                    "sortie_refresh={}; HttpOnly; SameSite=Lax;{secure} Path=/api/auth; Max-Age=2592000",
                    pair.refresh
                ),
            ]
        );
        assert_eq!(
            json_of(me(&server, &pair.access), 200).await,
            tokens["user"]
        );
    }
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_are_answered_alike() {
    let server = TestServer::start().await;
    for (username, password) in [
        ("admin", "wrong password"),
        ("admin", ""),
        ("nobody", ADMIN_PASSWORD),
        ("", ""),
        ("a\u{0}b", "x"),
    ] {
        let detail = problem(login(&server, username, password), 401, "wrong_credentials").await;
        assert_eq!(detail, "The user name or password is wrong.");
    }
    let answer = login(&server, "nobody", "x").send().await.unwrap();
    assert_eq!(header(&answer, "www-authenticate"), "Bearer");
    assert!(cookies(&answer).is_empty());
}

#[tokio::test]
async fn a_sign_in_that_cannot_be_understood_is_refused() {
    let server = TestServer::start().await;
    for (media_type, body, status, code) in [
        ("application/json", "{", 400, "bad_request"),
        ("application/json", "", 400, "bad_request"),
        (
            "application/json",
            r#"{"username":"admin"}"#,
            400,
            "invalid_field",
        ),
        (
            "application/json",
            r#"{"username":"admin","password":1}"#,
            400,
            "invalid_field",
        ),
        // What a foreign page's form can send without asking first.
        (
            "text/plain",
            r#"{"username":"admin","password":"correct horse"}"#,
            415,
            "unsupported_media_type",
        ),
    ] {
        let request = server
            .nobody()
            .post("/api/auth/login")
            .header("content-type", media_type)
            .body(body);
        problem(request, status, code).await;
    }
}

#[tokio::test]
async fn an_access_token_is_good_for_a_quarter_of_an_hour() {
    let server = TestServer::start().await;
    let pair = Pair::sign_in(&server).await;
    let by_cookie = || {
        server
            .nobody()
            .get("/api/auth/me")
            .header("cookie", format!("sortie_access={}", pair.access))
    };
    server.clock.advance(15 * MINUTE - Duration::from_secs(1));
    json_of(me(&server, &pair.access), 200).await;
    json_of(by_cookie(), 200).await;
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(
        problem(me(&server, &pair.access), 401, "unauthenticated").await,
        EXPIRED
    );
    assert_eq!(problem(by_cookie(), 401, "unauthenticated").await, EXPIRED);
    let answer = by_cookie().send().await.unwrap();
    assert_eq!(header(&answer, "www-authenticate"), "Bearer");
}

#[tokio::test]
async fn what_is_not_our_token_is_nobody() {
    let server = TestServer::start().await;
    let pair = Pair::sign_in(&server).await;
    let nobody = || server.nobody().get("/api/auth/me");
    let (head, _) = pair.access.rsplit_once('.').unwrap();
    let cookie = format!("sortie_access={}", pair.access);
    for request in [
        nobody(),
        nobody().bearer_auth(""),
        nobody().bearer_auth("nonsense"),
        nobody().bearer_auth(format!("{head}.")),
        nobody().bearer_auth(&pair.refresh),
        nobody().basic_auth("admin", Some(ADMIN_PASSWORD)),
        // A wrong token is not saved by a right cookie: the program would not notice whose name it acts in.
        nobody().bearer_auth("nonsense").header("cookie", &cookie),
    ] {
        problem(request, 401, "unauthenticated").await;
    }
    // Other schemes are none of our business: they may be a proxy's.
    json_of(
        nobody()
            .basic_auth("proxy", Some("x"))
            .header("cookie", &cookie),
        200,
    )
    .await;
}

#[tokio::test]
async fn each_refresh_token_buys_the_next_pair() {
    let server = TestServer::start().await;
    let mut pair = Pair::sign_in(&server).await;
    // Longer than one refresh token lives: who keeps coming stays signed in.
    for _ in 0..4 {
        server.clock.advance(20 * DAY);
        let next = pair.refreshed(&server).await;
        assert_ne!(next.refresh, pair.refresh);
        json_of(me(&server, &next.access), 200).await;
        pair = next;
    }
    server.clock.advance(30 * DAY);
    assert_eq!(
        problem(refresh(&server, &pair.refresh), 401, "unauthenticated").await,
        EXPIRED
    );
}

#[tokio::test]
async fn a_spent_refresh_token_ends_the_sign_in_and_no_other() {
    let server = TestServer::start().await;
    let (other, stolen) = (Pair::sign_in(&server).await, Pair::sign_in(&server).await);
    let next = stolen.refreshed(&server).await;
    server.clock.advance(Duration::from_millis(10_001));
    assert_eq!(
        problem(refresh(&server, &stolen.refresh), 401, "unauthenticated").await,
        EXPIRED
    );
    assert_eq!(next.is_alive(&server).await, (false, false));
    assert_eq!(stolen.is_alive(&server).await, (false, false));
    assert_eq!(other.is_alive(&server).await, (true, true));
}

#[tokio::test]
async fn two_tabs_that_refresh_together_both_stay_signed_in() {
    let server = TestServer::start().await;
    let pair = Pair::sign_in(&server).await;
    let (one, two) = tokio::join!(pair.refreshed(&server), pair.refreshed(&server));
    server.clock.advance(Duration::from_secs(10));
    let three = pair.refreshed(&server).await;
    for tab in [one, two, three] {
        assert_eq!(tab.is_alive(&server).await, (true, true));
    }
}

#[tokio::test]
async fn a_logout_ends_the_sign_in_at_once() {
    let server = TestServer::start().await;
    let logout = || server.nobody().post("/api/auth/logout");
    let origin = server.url.clone();
    for how in [
        "refresh token",
        "access token",
        "both cookies",
        "refresh cookie",
        "access cookie",
    ] {
        let pair = Pair::sign_in(&server).await;
        json_of(me(&server, &pair.access), 200).await;
        let access = format!("sortie_access={}", pair.access);
        let refresh = format!("sortie_refresh={}", pair.refresh);
        let request = match how {
            "refresh token" => logout().json(&json!({ "refresh_token": pair.refresh })),
            "access token" => logout().bearer_auth(&pair.access),
            "both cookies" => logout()
                .header("origin", &origin)
                .header("cookie", format!("{access}; {refresh}")),
            "refresh cookie" => logout().header("origin", &origin).header("cookie", refresh),
            _ => logout().header("origin", &origin).header("cookie", access),
        };
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{how}");
        assert_eq!(
            cookies(&answer),
            [
                "sortie_access=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0",
                "sortie_refresh=; HttpOnly; SameSite=Lax; Path=/api/auth; Max-Age=0",
            ]
        );
        assert_eq!(pair.is_alive(&server).await, (false, false), "{how}");
    }
    // Nobody is signed out already.
    for request in [
        logout(),
        logout().json(&json!({ "refresh_token": "unknown" })),
        logout().bearer_auth("x"),
    ] {
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::NO_CONTENT
        );
    }
}

#[tokio::test]
async fn a_refresh_without_a_token_is_refused() {
    let server = TestServer::start().await;
    let ask = || server.nobody().post("/api/auth/refresh");
    for request in [
        ask(),
        ask().json(&json!({})),
        ask().json(&json!({ "refresh_token": "unknown" })),
    ] {
        problem(request, 401, "unauthenticated").await;
    }
    problem(
        ask().header("content-type", "application/json").body("{"),
        400,
        "bad_request",
    )
    .await;
}

#[tokio::test]
async fn only_our_own_pages_act_with_cookies() {
    let server = TestServer::start().await;
    let host = server.url.trim_start_matches("http://").to_owned();
    let same = format!("http://{host}");
    for (headers, allowed) in [
        (vec![], false),
        (vec![("origin", same.as_str())], true),
        (vec![("origin", "http://evil.example")], false),
        (vec![("origin", "null")], false),
        (vec![("sec-fetch-site", "same-origin")], true),
        (vec![("sec-fetch-site", "none")], true),
        (
            vec![("sec-fetch-site", "same-site"), ("origin", same.as_str())],
            false,
        ),
        (vec![("sec-fetch-site", "cross-site")], false),
    ] {
        let pair = Pair::sign_in(&server).await;
        let cookie = format!(
            "sortie_access={}; sortie_refresh={}",
            pair.access, pair.refresh
        );
        let send = |method: Method, path: &str, body: Option<Value>| {
            let mut request = server
                .nobody()
                .request(method, path)
                .header("cookie", &cookie);
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            if let Some(body) = &body {
                request = request.json(body);
            }
            request
        };
        // Reading is harmless: the foreign page cannot see the answer.
        json_of(send(Method::GET, "/api/auth/me", None), 200).await;
        let session = send(
            Method::POST,
            "/api/sessions",
            Some(json!({ "app_id": "x" })),
        );
        let refresh = send(Method::POST, "/api/auth/refresh", None);
        let logout = send(Method::POST, "/api/auth/logout", None);
        if allowed {
            json_of(session, 201).await;
            json_of(refresh, 200).await;
            assert_eq!(
                logout.send().await.unwrap().status(),
                StatusCode::NO_CONTENT
            );
        } else {
            for request in [session, refresh, logout] {
                problem(request, 403, "forbidden").await;
            }
            assert_eq!(pair.is_alive(&server).await, (true, true), "{headers:?}");
        }
    }
}

#[tokio::test]
async fn whoever_guesses_has_to_wait() {
    let server = TestServer::start().await;
    for _ in 0..5 {
        problem(
            login(&server, "admin", "wrong password"),
            401,
            "wrong_credentials",
        )
        .await;
    }
    // Now even the right password waits, under whatever spelling.
    let detail = problem(
        login(&server, "ADMIN", ADMIN_PASSWORD),
        429,
        "too_many_requests",
    )
    .await;
    assert_eq!(detail, "Too many failed sign-ins. Try again in 1 second.");
    server.clock.advance(Duration::from_secs(1));
    problem(
        login(&server, "admin", "wrong password"),
        401,
        "wrong_credentials",
    )
    .await;
    let answer = login(&server, "admin", ADMIN_PASSWORD)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            answer.status().as_u16(),
            header(&answer, "retry-after").as_str()
        ),
        (429, "2")
    );
    // Others are not disturbed, and neither is who is signed in.
    problem(login(&server, "nobody", "x"), 401, "wrong_credentials").await;
    server.clock.advance(Duration::from_secs(2));
    Pair::sign_in(&server).await;
    // The right password has cleared the name.
    for _ in 0..4 {
        problem(
            login(&server, "admin", "wrong password"),
            401,
            "wrong_credentials",
        )
        .await;
    }
    Pair::sign_in(&server).await;
}

#[tokio::test]
async fn one_address_cannot_try_one_name_after_another() {
    let server = TestServer::start().await;
    let guess = |number: u32, from: &str| {
        login(&server, &format!("name{number}"), "password")
            .header("x-forwarded-for", from.to_owned())
    };
    for number in 0..20 {
        problem(guess(number, "198.51.100.1"), 401, "wrong_credentials").await;
    }
    problem(guess(20, "198.51.100.1"), 429, "too_many_requests").await;
    problem(guess(21, "198.51.100.2"), 401, "wrong_credentials").await;
}

/// The server's database, from another process as it were.
async fn database(server: &TestServer) -> sqlx::AnyPool {
    sqlx::any::install_default_drivers();
    let file = server.recordings().with_file_name("sortie.db");
    sqlx::AnyPool::connect(&format!("sqlite://{}", file.display()))
        .await
        .expect("the database opens")
}

#[tokio::test]
async fn a_logout_on_another_replica_is_noticed_within_five_seconds() {
    let server = TestServer::start().await;
    let pair = Pair::sign_in(&server).await;
    json_of(me(&server, &pair.access), 200).await;
    sqlx::query("DELETE FROM refresh_tokens")
        .execute(&database(&server).await)
        .await
        .unwrap();
    server.clock.advance(Duration::from_secs(5));
    assert_eq!(
        problem(me(&server, &pair.access), 401, "unauthenticated").await,
        EXPIRED
    );
}

async fn create(admin: &Client, username: &str, roles: Value) -> String {
    let body = json!({ "username": username, "password": "a good password", "roles": roles });
    let created = json_of(admin.post("/api/admin/users").json(&body), 201).await;
    created["id"].as_str().expect("an id").to_owned()
}

fn user_path(id: &str) -> String {
    format!("/api/admin/users/{id}")
}

fn change(admin: &Client, id: &str, body: &Value) -> RequestBuilder {
    admin.request(Method::PATCH, &user_path(id)).json(body)
}

#[tokio::test]
async fn people_are_created_listed_changed_and_deleted() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let new = json!({
        "username": "Zoë", "password": "12345678", "email": "zoe@example.org", "display_name": "Zoë Z.",
    });
    let answer = admin
        .post("/api/admin/users")
        .json(&new)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let location = header(&answer, "location");
    let created: Value = answer.json().await.unwrap();
    let id = created["id"].as_str().unwrap();
    assert_eq!(location, user_path(id));
    let expected = json!({
        "id": id, "username": "Zoë", "email": "zoe@example.org", "display_name": "Zoë Z.",
        "roles": ["user"], "disabled": false, "source": "local", "created_at": "2026-11-21T09:30:00.000Z",
    });
    assert_eq!(created, expected);
    assert_eq!(json_of(admin.get(&location), 200).await, expected);
    let everybody = json_of(admin.get("/api/admin/users"), 200).await;
    assert_eq!(everybody.as_array().map(Vec::len), Some(2));
    assert_eq!(everybody[1], expected);

    for (patch, field, value) in [
        (json!({ "email": null }), "email", Value::Null),
        (
            json!({ "email": "z@example.org" }),
            "email",
            json!("z@example.org"),
        ),
        (json!({ "email": "" }), "email", Value::Null),
        (json!({ "display_name": "Z" }), "display_name", json!("Z")),
        (json!({ "display_name": null }), "display_name", Value::Null),
        (
            json!({ "roles": ["admin", "user", "admin"] }),
            "roles",
            json!(["user", "admin"]),
        ),
        (json!({ "disabled": true }), "disabled", json!(true)),
        (json!({ "disabled": false }), "disabled", json!(false)),
        (json!({}), "username", json!("Zoë")),
    ] {
        assert_eq!(
            json_of(change(&admin, id, &patch), 200).await[field],
            value,
            "{patch}"
        );
    }

    let gone = admin.delete(&location).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    for request in [
        admin.get(&location),
        admin.delete(&location),
        change(&admin, id, &json!({})),
    ] {
        problem(request, 404, "not_found").await;
    }
}

#[tokio::test]
async fn values_that_cannot_be_are_refused_with_a_sentence() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = create(&admin, "taken", json!(["user"])).await;
    let good = json!({ "username": "ann", "password": "a good password", "roles": ["user"] });
    for (field, value, status, code) in [
        ("username", json!(""), 400, "invalid_field"),
        ("username", json!(" ann"), 400, "invalid_field"),
        ("username", json!("a\nb"), 400, "invalid_field"),
        ("username", json!("é".repeat(65)), 400, "invalid_field"),
        ("username", json!("TAKEN"), 409, "already_exists"),
        ("username", json!("é".repeat(64)), 201, ""),
        ("password", json!("1234567"), 400, "invalid_field"),
        ("password", json!("é".repeat(257)), 400, "invalid_field"),
        ("roles", json!([]), 400, "invalid_field"),
        ("roles", json!(["root"]), 400, "invalid_field"),
        ("email", json!("nobody"), 400, "invalid_field"),
        ("email", json!("a@b@c"), 400, "invalid_field"),
        ("email", json!("@example.org"), 400, "invalid_field"),
        ("email", json!("a b@example.org"), 400, "invalid_field"),
        (
            "email",
            json!(format!("{}@example.org", "a".repeat(250))),
            400,
            "invalid_field",
        ),
        ("display_name", json!("x".repeat(129)), 400, "invalid_field"),
        ("display_name", json!("a\u{7}"), 400, "invalid_field"),
    ] {
        let mut new = good.clone();
        new[field] = value.clone();
        let request = admin.post("/api/admin/users").json(&new);
        if status == 201 {
            json_of(request, 201).await;
            continue;
        }
        problem(request, status, code).await;
        if field != "username" {
            problem(change(&admin, &id, &json!({ field: value })), status, code).await;
        }
    }
    // A misspelt field would otherwise look as if it had been changed.
    problem(
        change(&admin, &id, &json!({ "role": ["admin"] })),
        400,
        "invalid_field",
    )
    .await;
    problem(
        change(&admin, &id, &json!({ "username": "other" })),
        400,
        "invalid_field",
    )
    .await;
}

#[tokio::test]
async fn people_are_the_administrators_business() {
    let server = TestServer::start().await;
    let user = server.user("ann").await;
    let path = user_path(&user.user_id);
    for (client, status, code) in [
        (&user, 403, "forbidden"),
        (&server.nobody(), 401, "unauthenticated"),
    ] {
        let body = json!({ "roles": ["admin"] });
        problem(client.get("/api/admin/users"), status, code).await;
        problem(client.post("/api/admin/users").json(&body), status, code).await;
        problem(client.get(&path), status, code).await;
        problem(change(client, &user.user_id, &body), status, code).await;
        problem(client.delete(&path), status, code).await;
    }
    assert_eq!(
        json_of(user.get("/api/auth/me"), 200).await["roles"],
        json!(["user"])
    );
}

#[tokio::test]
async fn a_change_of_roles_is_in_force_at_once() {
    let server = TestServer::start().await;
    let (admin, user) = (server.admin().await, server.user("ann").await);
    problem(user.get("/api/admin/users"), 403, "forbidden").await;
    json_of(
        change(&admin, &user.user_id, &json!({ "roles": ["admin"] })),
        200,
    )
    .await;
    json_of(user.get("/api/admin/users"), 200).await;
    json_of(
        change(&admin, &user.user_id, &json!({ "roles": ["user"] })),
        200,
    )
    .await;
    problem(user.get("/api/admin/users"), 403, "forbidden").await;
}

#[tokio::test]
async fn who_is_locked_out_is_out_everywhere_at_once() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for how in ["disabled", "deleted", "new password"] {
        let name = how.replace(' ', "-");
        let id = create(&admin, &name, json!(["user"])).await;
        let pair = Pair::of(&json_of(login(&server, &name, "a good password"), 200).await);
        json_of(me(&server, &pair.access), 200).await;
        match how {
            "disabled" => {
                drop(json_of(change(&admin, &id, &json!({ "disabled": true })), 200).await)
            }
            "deleted" => drop(admin.delete(&user_path(&id)).send().await.unwrap()),
            _ => drop(
                json_of(
                    change(&admin, &id, &json!({ "password": "another one" })),
                    200,
                )
                .await,
            ),
        }
        assert_eq!(pair.is_alive(&server).await, (false, false), "{how}");
        let (status, code) = if how == "disabled" {
            (403, "forbidden")
        } else {
            (401, "wrong_credentials")
        };
        problem(login(&server, &name, "a good password"), status, code).await;
        match how {
            "disabled" => {
                problem(
                    login(&server, &name, "a wrong one"),
                    401,
                    "wrong_credentials",
                )
                .await;
                json_of(change(&admin, &id, &json!({ "disabled": false })), 200).await;
                // Enabled again is not signed in again.
                assert_eq!(pair.is_alive(&server).await, (false, false));
                json_of(login(&server, &name, "a good password"), 200).await;
            }
            "deleted" => drop(create(&admin, &name, json!(["user"])).await),
            _ => drop(json_of(login(&server, &name, "another one"), 200).await),
        }
    }
}

#[tokio::test]
async fn the_last_enabled_administrator_stays() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let other = create(&admin, "other", json!(["admin"])).await;
    json_of(change(&admin, &other, &json!({ "disabled": true })), 200).await;
    // A disabled administrator is nobody's rescue.
    for patch in [json!({ "disabled": true }), json!({ "roles": ["user"] })] {
        problem(change(&admin, &admin.user_id, &patch), 409, "conflict").await;
    }
    problem(admin.delete(&user_path(&admin.user_id)), 409, "conflict").await;
    let kept = json_of(admin.get("/api/auth/me"), 200).await;
    assert_eq!(kept["roles"], json!(["user", "admin"]));
    // What does not touch that is free.
    json_of(
        change(
            &admin,
            &admin.user_id,
            &json!({ "roles": ["admin"], "email": "a@b.c" }),
        ),
        200,
    )
    .await;

    json_of(change(&admin, &other, &json!({ "disabled": false })), 200).await;
    let gone = admin
        .delete(&user_path(&admin.user_id))
        .send()
        .await
        .unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        problem(admin.get("/api/auth/me"), 401, "unauthenticated").await,
        EXPIRED
    );
}

#[tokio::test]
async fn the_configured_secret_signs_what_a_token_says() {
    let secret = "0123456789abcdef0123456789abcdef";
    let server = TestServer::with(&[("SORTIE_JWT_SECRET", secret)]).await;
    let tokens = json_of(login(&server, "admin", ADMIN_PASSWORD), 200).await;
    let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
    // The server's clock stands still, the machine's does not.
    validation.validate_exp = false;
    let read = |secret: &str| {
        let key = DecodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::decode::<Value>(&Pair::of(&tokens).access, &key, &validation)
    };
    let claims = read(secret).expect("our signature").claims;
    assert_eq!(claims["iss"], "sortie");
    assert_eq!(claims["sub"], tokens["user"]["id"]);
    assert_eq!(claims["roles"], json!(["user", "admin"]));
    assert_eq!(claims["iat"], START_MS / 1000);
    assert_eq!(claims["exp"], START_MS / 1000 + 900);
    assert!(claims["sid"].is_string());
    assert!(read("another secret that is long enough").is_err());
}

#[tokio::test]
async fn a_sign_in_outlives_a_restart() {
    let mut server = TestServer::start().await;
    let pair = Pair::sign_in(&server).await;
    server.restart().await;
    assert_eq!(pair.is_alive(&server).await, (true, true));
}

#[tokio::test]
async fn the_first_administrator_gets_a_password_that_is_shown_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = || {
        let path = |name: &str| Some(folder.path().join(name).display().to_string());
        Config::read(&|name| match name {
            "SORTIE_HOST" => Some("127.0.0.1".to_owned()),
            "SORTIE_PORT" => Some("0".to_owned()),
            "SORTIE_ADMIN_USERNAME" => Some("root".to_owned()),
            "SORTIE_DB" => path("sortie.db"),
            "SORTIE_RECORDING_STORAGE_PATH" => path("recordings"),
            _ => None,
        })
        .unwrap_or_else(|errors| panic!("{errors:?}"))
    };
    let clock = || Arc::new(ManualClock::new(START_MS));
    let server = Server::open(config(), clock()).await.unwrap();
    let first = server
        .first_admin()
        .cloned()
        .expect("nobody was there before");
    assert_eq!(first.username, "root");
    let password = first.generated_password.expect("none was given");
    drop(server);

    let server = Server::open(config(), clock()).await.unwrap();
    assert!(server.first_admin().is_none());
    let url = format!("http://{}/api/auth/login", server.address());
    let serving = tokio::spawn(server.serve(std::future::pending()));
    let body = json!({ "username": "root", "password": password });
    let tokens = json_of(reqwest::Client::new().post(url).json(&body), 200).await;
    assert_eq!(tokens["user"]["roles"], json!(["user", "admin"]));
    serving.abort();
}

#[tokio::test]
async fn a_hash_with_old_parameters_is_renewed_at_sign_in() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let old = Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new(64, 1, 1, None).unwrap(),
    )
    .hash_password_with_salt(b"a good password", b"0123456789abcdef")
    .unwrap()
    .to_string();
    let id = create(&admin, "ann", json!(["user"])).await;
    let database = database(&server).await;
    sqlx::query("UPDATE users SET password_hash = $1 WHERE id = $2")
        .bind(&old)
        .bind(&id)
        .execute(&database)
        .await
        .unwrap();
    let stored = async || -> String {
        let hash = sqlx::query_scalar("SELECT password_hash FROM users WHERE id = $1").bind(&id);
        hash.fetch_one(&database).await.unwrap()
    };
    problem(
        login(&server, "ann", "a wrong one"),
        401,
        "wrong_credentials",
    )
    .await;
    assert_eq!(stored().await, old);
    for _ in 0..2 {
        json_of(login(&server, "ann", "a good password"), 200).await;
        assert!(
            stored()
                .await
                .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
        );
    }
}
