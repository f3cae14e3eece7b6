//! Sign-in, cookies and the claims of access tokens.

use jsonwebtoken::{DecodingKey, Validation};
use reqwest::StatusCode;

use crate::support::{START_MS, header, problem};
use crate::*;

#[tokio::test]
async fn sign_in_returns_tokens_to_programs_and_cookies_to_pages() {
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
                    "sortie_refresh={}; HttpOnly; SameSite=Lax;{secure} Path=/api/auth; Max-Age=604800",
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
async fn wrong_name_and_wrong_password_have_the_same_answer() {
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
async fn malformed_sign_in_is_refused() {
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
        // Content types that a cross-site form can send without a preflight.
        (
            "text/plain",
            r#"{"username":"admin","password":"correct horse"}"#,
            415,
            "unsupported_media_type",
        ),
    ] {
        let request = server
            .anonymous()
            .post("/api/auth/login")
            .header("content-type", media_type)
            .body(body);
        problem(request, status, code).await;
    }
}

#[tokio::test]
async fn access_token_expires_after_15_minutes() {
    let server = TestServer::start().await;
    let pair = Pair::sign_in(&server).await;
    let by_cookie = || {
        server
            .anonymous()
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
async fn foreign_or_malformed_token_returns_401() {
    let server = TestServer::start().await;
    let pair = Pair::sign_in(&server).await;
    let anonymous = || server.anonymous().get("/api/auth/me");
    let (head, _) = pair.access.rsplit_once('.').unwrap();
    let cookie = format!("sortie_access={}", pair.access);
    for request in [
        anonymous(),
        anonymous().bearer_auth(""),
        anonymous().bearer_auth("nonsense"),
        anonymous().bearer_auth(format!("{head}.")),
        anonymous().bearer_auth(&pair.refresh),
        anonymous().basic_auth("admin", Some(ADMIN_PASSWORD)),
        // A valid cookie does not replace an invalid token: the program would act as another user unnoticed.
        anonymous()
            .bearer_auth("nonsense")
            .header("cookie", &cookie),
    ] {
        problem(request, 401, "unauthenticated").await;
    }
    // Other authorization schemes are ignored: they may belong to a proxy.
    json_of(
        anonymous()
            .basic_auth("proxy", Some("x"))
            .header("cookie", &cookie),
        200,
    )
    .await;
}

#[tokio::test]
async fn cookies_require_a_same_origin_request() {
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
                .anonymous()
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
        // Cross-site reads are allowed: the foreign page cannot see the answer.
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
async fn wrong_passwords_delay_further_attempts() {
    let server = TestServer::start().await;
    for _ in 0..5 {
        problem(
            login(&server, "admin", "wrong password"),
            401,
            "wrong_credentials",
        )
        .await;
    }
    // Now even the right password must wait, in every spelling of the name.
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
    // Other users and existing sign-ins are not affected.
    problem(login(&server, "nobody", "x"), 401, "wrong_credentials").await;
    server.clock.advance(Duration::from_secs(2));
    Pair::sign_in(&server).await;
    // The right password has reset the counter of this name.
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
async fn address_is_limited_over_all_names() {
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

#[tokio::test]
async fn configured_secret_signs_access_tokens() {
    let secret = "0123456789abcdef0123456789abcdef";
    let server = TestServer::with(&[("SORTIE_JWT_SECRET", secret)]).await;
    let tokens = json_of(login(&server, "admin", ADMIN_PASSWORD), 200).await;
    let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
    // The server's clock is manual; the validator uses the machine's.
    validation.validate_exp = false;
    let read = |secret: &str| {
        let key = DecodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::decode::<Value>(&Pair::of(&tokens).access, &key, &validation)
    };
    let claims = read(secret).expect("a valid signature").claims;
    assert_eq!(claims["iss"], "sortie");
    assert_eq!(claims["sub"], tokens["user"]["id"]);
    assert_eq!(claims["roles"], json!(["user", "admin"]));
    assert_eq!(claims["iat"], START_MS / 1000);
    assert_eq!(claims["exp"], START_MS / 1000 + 900);
    assert!(claims["sid"].is_string());
    assert!(read("another secret that is long enough").is_err());
}

#[tokio::test]
async fn audit_names_sign_in_method_and_unusable_methods_are_not_offered() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let rows = json_of(admin.get("/api/admin/audit?action=sign_in"), 200).await;
    assert_eq!(rows[0]["via"], "password", "{rows}");
    let methods = json_of(server.anonymous().get("/api/auth/methods"), 200).await;
    assert_eq!(methods["password"], true);
    // No user has a password, as in an installation with an OpenID provider only.
    let database = database(&server).await;
    sqlx::query("UPDATE users SET password_hash = ''")
        .execute(&database)
        .await
        .expect("a statement");
    let methods = json_of(server.anonymous().get("/api/auth/methods"), 200).await;
    assert_eq!(methods["password"], false);
}
