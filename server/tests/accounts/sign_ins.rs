//! Lifetimes of sign-ins, and listing and ending them.

use crate::support::problem;
use crate::*;

fn request_with_token(
    server: &TestServer,
    method: Method,
    path: &str,
    token: &str,
) -> RequestBuilder {
    server.anonymous().request(method, path).bearer_auth(token)
}

async fn check_no_content(request: RequestBuilder) {
    assert_eq!(request.send().await.expect("an answer").status(), 204);
}

async fn ids(server: &TestServer, token: &str) -> Vec<String> {
    let list = json_of(
        request_with_token(server, Method::GET, "/api/auth/sign-ins", token),
        200,
    )
    .await;
    let list = list.as_array().expect("a list").iter();
    list.map(|it| it["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn sign_in_ends_after_its_idle_or_absolute_lifetime() {
    let server = TestServer::start().await;
    let idle = Pair::sign_in(&server).await;
    server.clock.advance(7 * DAY - MINUTE);
    let idle = idle.refreshed(&server).await;
    server.clock.advance(7 * DAY);
    assert_eq!(
        problem(refresh(&server, &idle.refresh), 401, "unauthenticated").await,
        EXPIRED
    );

    let mut pair = Pair::sign_in(&server).await;
    for _ in 0..4 {
        server.clock.advance(7 * DAY - MINUTE);
        pair = pair.refreshed(&server).await;
        json_of(me(&server, &pair.access), 200).await;
    }
    // On day 30 the access token ends with the sign-in instead of 15 minutes later.
    server.clock.advance(2 * DAY + 3 * MINUTE);
    pair = pair.refreshed(&server).await;
    server.clock.advance(MINUTE);
    assert_eq!(pair.is_alive(&server).await, (false, false));
}

#[tokio::test]
async fn lifetimes_are_configurable_and_the_cookie_ends_with_them() {
    let server = TestServer::with(&[
        ("SORTIE_SIGN_IN_LIFETIME_DAYS", "2"),
        ("SORTIE_SIGN_IN_IDLE_DAYS", "1"),
    ])
    .await;
    let answer = login(&server, "admin", ADMIN_PASSWORD).send().await;
    let answer = answer.expect("an answer");
    assert!(cookies(&answer)[1].ends_with("Max-Age=86400"));
    let pair = Pair::of(&answer.json().await.expect("JSON"));
    server.clock.advance(DAY - MINUTE);
    let pair = pair.refreshed(&server).await;
    server.clock.advance(DAY - MINUTE);
    let answer = refresh(&server, &pair.refresh).send().await;
    let answer = answer.expect("an answer");
    assert!(
        cookies(&answer)[1].ends_with("Max-Age=120"),
        "{:?}",
        cookies(&answer)
    );
    let pair = Pair::of(&answer.json().await.expect("JSON"));
    server.clock.advance(2 * MINUTE);
    assert_eq!(pair.is_alive(&server).await, (false, false));
}

#[tokio::test]
async fn list_shows_own_sign_ins_and_ending_one_keeps_the_others() {
    let server = TestServer::start().await;
    let user = server.user("ann").await;
    let one = json_of(
        login(&server, "ann", "a good password").header("user-agent", "Browser/1"),
        200,
    )
    .await;
    let one = Pair::of(&one);
    server.clock.advance(MINUTE);
    let two = Pair::of(&json_of(login(&server, "ann", "a good password"), 200).await);
    Pair::sign_in(&server).await;
    let path = "/api/auth/sign-ins";
    let list = json_of(
        request_with_token(&server, Method::GET, path, &one.access),
        200,
    )
    .await;
    let list = list.as_array().expect("a list");
    // The first one comes from `user()`.
    assert_eq!(list.len(), 3, "{list:?}");
    let mine: Vec<_> = list.iter().filter(|it| it["current"] == true).collect();
    let [mine] = mine[..] else {
        panic!("exactly one current sign-in: {list:?}")
    };
    assert_eq!(mine["user_agent"], "Browser/1");
    assert_eq!(mine["address"], "127.0.0.1");
    assert_eq!(mine["created_at"], "2026-11-21T09:30:00.000Z");
    // Used just now, one minute after the start.
    assert_eq!(mine["last_used_at"], "2026-11-21T09:31:00.000Z");
    assert_eq!(mine["expires_at"], "2026-11-28T09:31:00.000Z");

    // Neither another user nor an API token can end the sign-in.
    let id = mine["id"].as_str().expect("an id");
    let own = format!("{path}/{id}");
    let bob = server.user("bob").await;
    problem(bob.delete(&own), 403, "forbidden").await;
    let token = json!({ "name": "t", "scopes": ["record", "read"] });
    let token = json_of(user.post("/api/tokens").json(&token), 201).await;
    let token = token["token"].as_str().expect("a token");
    for method in [Method::GET, Method::DELETE] {
        problem(
            request_with_token(&server, method, path, token),
            403,
            "forbidden",
        )
        .await;
    }
    problem(
        request_with_token(&server, Method::DELETE, &own, token),
        403,
        "forbidden",
    )
    .await;
    check_no_content(request_with_token(
        &server,
        Method::DELETE,
        &own,
        &two.access,
    ))
    .await;
    assert_eq!(one.is_alive(&server).await, (false, false));
    problem(
        request_with_token(&server, Method::DELETE, &own, &two.access),
        404,
        "not_found",
    )
    .await;
    for unknown in ["x", "%00"] {
        let unknown = format!("{path}/{unknown}");
        problem(
            request_with_token(&server, Method::DELETE, &unknown, &two.access),
            404,
            "not_found",
        )
        .await;
    }

    // Ends all other sign-ins.
    assert_eq!(ids(&server, &two.access).await.len(), 2);
    check_no_content(request_with_token(
        &server,
        Method::DELETE,
        path,
        &two.access,
    ))
    .await;
    assert_eq!(ids(&server, &two.access).await.len(), 1);
    problem(user.get("/api/auth/me"), 401, "unauthenticated").await;
    // API tokens are not sign-ins.
    json_of(me(&server, token), 200).await;
    assert_eq!(two.is_alive(&server).await, (true, true));
}

#[tokio::test]
async fn administrator_lists_and_ends_a_users_sign_ins() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let pair = Pair::of(&json_of(login(&server, "ann", "a good password"), 200).await);
    let path = format!("{}/sign-ins", user_path(&ann.user_id));
    problem(ann.get(&path), 403, "forbidden").await;
    problem(ann.delete(&path), 403, "forbidden").await;
    let list = json_of(admin.get(&path), 200).await;
    assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
    assert_eq!(list[0]["current"], false);
    check_no_content(admin.delete(&path)).await;
    assert_eq!(pair.is_alive(&server).await, (false, false));
    problem(ann.get("/api/auth/me"), 401, "unauthenticated").await;
    assert_eq!(json_of(admin.get(&path), 200).await, json!([]));
    for method in [Method::GET, Method::DELETE] {
        let unknown = format!("{}/sign-ins", user_path("unknown"));
        problem(admin.request(method, &unknown), 404, "not_found").await;
    }
    let log = json_of(admin.get("/api/admin/audit?action=sign_in.end"), 200).await;
    assert_eq!(
        (&log[0]["actor_name"], &log[0]["subject"]),
        (&json!("admin"), &json!(ann.user_id)),
        "{log}"
    );
}

#[tokio::test]
async fn logout_is_in_the_audit_log() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let pair = Pair::sign_in(&server).await;
    let body = json!({ "refresh_token": pair.refresh });
    let logout = || server.anonymous().post("/api/auth/logout").json(&body);
    check_no_content(logout()).await;
    // The sign-in has already ended.
    check_no_content(logout()).await;
    let log = json_of(admin.get("/api/admin/audit?action=sign_in.end"), 200).await;
    assert_eq!(log.as_array().map(Vec::len), Some(1), "{log}");
    assert_eq!(log[0]["actor_id"], admin.user_id.as_str());
}

#[tokio::test]
async fn only_own_pages_can_make_the_browser_delete_what_it_stores() {
    let server = TestServer::start().await;
    let pair = Pair::sign_in(&server).await;
    let logout = || {
        let path = "/api/auth/logout?clear_site_data=true";
        request_with_token(&server, Method::POST, path, &pair.access)
    };
    // A form of another site sends neither cookies nor tokens; its answer would still be followed.
    let path = "/api/auth/logout?clear_site_data=true";
    let form = server.anonymous().post(path);
    let form = form.header("content-type", "text/plain").body("x=1");
    for request in [form, logout()] {
        let request = request.header("sec-fetch-site", "cross-site");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 403);
        assert!(!answer.headers().contains_key("clear-site-data"));
    }
    json_of(me(&server, &pair.access), 200).await;
    let request = logout().header("sec-fetch-site", "same-origin");
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers()["clear-site-data"], "\"storage\"");
}

#[tokio::test]
async fn password_change_ends_other_sign_ins_and_optionally_api_tokens() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let token = json!({ "name": "t", "scopes": ["read"] });
    let token = json_of(ann.post("/api/tokens").json(&token), 201).await;
    let token = token["token"].as_str().expect("a token").to_owned();
    let pair = Pair::of(&json_of(login(&server, "ann", "a good password"), 200).await);
    let change_own = |current: &str, new: &str, revoke: Option<bool>| {
        let mut body = json!({ "current_password": current, "new_password": new });
        if let Some(revoke) = revoke {
            body["revoke_tokens"] = json!(revoke);
        }
        request_with_token(&server, Method::POST, "/api/auth/password", &pair.access).json(&body)
    };
    check_no_content(change_own("a good password", "another one", None)).await;
    problem(ann.get("/api/auth/me"), 401, "unauthenticated").await;
    json_of(me(&server, &token), 200).await;
    check_no_content(change_own("another one", "a third one", Some(true))).await;
    problem(me(&server, &token), 401, "unauthenticated").await;
    json_of(me(&server, &pair.access), 200).await;
    let list = json_of(
        request_with_token(&server, Method::GET, "/api/tokens", &pair.access),
        200,
    )
    .await;
    assert_eq!(list, json!([]));
    let log = json_of(
        server
            .admin()
            .await
            .get("/api/admin/audit?action=user.password"),
        200,
    )
    .await;
    assert_eq!(log[0]["detail"], "API tokens revoked: 1", "{log}");

    // An administrator's password reset accepts the same option.
    let token = json!({ "name": "t", "scopes": ["read"] });
    let token = request_with_token(&server, Method::POST, "/api/tokens", &pair.access).json(&token);
    let token = json_of(token, 201).await;
    let admin = server.admin().await;
    let reset = json!({ "password": "a fourth one", "revoke_tokens": true });
    json_of(change(&admin, &ann.user_id, &reset), 200).await;
    let token = token["token"].as_str().expect("a token");
    problem(me(&server, token), 401, "unauthenticated").await;
    assert_eq!(pair.is_alive(&server).await, (false, false));
}

#[tokio::test]
async fn reused_refresh_token_does_not_fork_a_sign_in() {
    let server = TestServer::start().await;
    let first = Pair::sign_in(&server).await;
    let (one, two) = (
        first.refreshed(&server).await,
        first.refreshed(&server).await,
    );
    // Reuse within the grace time returns the same successor.
    assert_eq!(one.refresh, two.refresh);
    let next = one.refreshed(&server).await;
    // Within the ten seconds, but the successor was used: the token was stolen.
    problem(refresh(&server, &first.refresh), 401, "unauthenticated").await;
    assert_eq!(next.is_alive(&server).await, (false, false));
}

#[tokio::test]
async fn pages_receive_tokens_in_cookies_only() {
    let server = TestServer::start().await;
    let body = json!({ "username": "admin", "password": ADMIN_PASSWORD, "cookies_only": true });
    let answer = server
        .anonymous()
        .post("/api/auth/login")
        .json(&body)
        .send();
    let answer = answer.await.expect("an answer");
    let set: Vec<String> = cookies(&answer);
    let value = |set: &[String], name: &str| {
        let found = set.iter().find_map(|it| {
            let (known, rest) = it.split_once('=')?;
            (known == name).then(|| rest.split(';').next().unwrap_or_default().to_owned())
        });
        found.unwrap_or_else(|| panic!("no {name} in {set:?}"))
    };
    let text = answer.text().await.expect("a body");
    for name in ["sortie_access", "sortie_refresh", "sortie_device"] {
        assert!(!text.contains(&value(&set, name)), "{name}: {text}");
    }
    let tokens: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(tokens["user"]["username"], "admin");
    assert_eq!(tokens["expires_in"], 900);

    // A cross-site script does not see the new pair either.
    let cookie = format!("sortie_refresh={}", value(&set, "sortie_refresh"));
    let answer = server
        .anonymous()
        .post("/api/auth/refresh")
        .header("sec-fetch-site", "same-origin")
        .header("cookie", cookie)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    let set = cookies(&answer);
    let text = answer.text().await.expect("a body");
    for name in ["sortie_access", "sortie_refresh"] {
        assert!(!text.contains(&value(&set, name)), "{name}: {text}");
    }
    assert!(!text.contains("token\""), "{text}");
    json_of(me(&server, &value(&set, "sortie_access")), 200).await;
}

#[tokio::test]
async fn access_token_with_another_users_sign_in_is_refused() {
    let secret = "0123456789abcdef0123456789abcdef";
    let server = TestServer::with(&[("SORTIE_JWT_SECRET", secret)]).await;
    let ann = server.user("ann").await;
    let pair = Pair::sign_in(&server).await;
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.validate_exp = false;
    let key = jsonwebtoken::DecodingKey::from_secret(secret.as_bytes());
    let read = jsonwebtoken::decode::<Value>(&pair.access, &key, &validation);
    let mut claims = read.expect("a valid signature").claims;
    let signed = |claims: &Value| {
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).expect("a token")
    };
    json_of(me(&server, &signed(&claims)), 200).await;
    // First with the sign-in in the auth cache, then without.
    claims["sub"] = json!(ann.user_id);
    problem(me(&server, &signed(&claims)), 401, "unauthenticated").await;
    server.clock.advance(Duration::from_secs(6));
    problem(me(&server, &signed(&claims)), 401, "unauthenticated").await;
    json_of(me(&server, &pair.access), 200).await;
}
