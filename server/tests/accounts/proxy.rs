//! User names and addresses asserted by a trusted proxy; other peers cannot assert them.

use crate::support::problem;
use crate::*;

async fn behind_proxy(trusted: &str) -> TestServer {
    TestServer::with(&[
        ("SORTIE_PROXY_AUTH_HEADER", "X-Forwarded-User"),
        ("SORTIE_TRUSTED_PROXIES", trusted),
    ])
    .await
}

fn as_proxied_user(server: &TestServer, name: &str) -> RequestBuilder {
    server
        .anonymous()
        .get("/api/auth/me")
        .header("x-forwarded-user", name.to_owned())
}

#[tokio::test]
async fn user_named_by_the_proxy_gets_an_account() {
    let server = behind_proxy("127.0.0.0/8").await;
    let methods = json_of(server.anonymous().get("/api/auth/methods"), 200).await;
    assert_eq!(methods, json!({ "password": true, "proxy": true }));
    let ann = json_of(as_proxied_user(&server, "ann"), 200).await;
    assert_eq!(
        (&ann["username"], &ann["source"], &ann["roles"]),
        (&json!("ann"), &json!("proxy"), &json!(["user"]))
    );
    assert_eq!(
        json_of(as_proxied_user(&server, "ann"), 200).await["id"],
        ann["id"]
    );
    // An asserted name never takes over a local account.
    let admin = json_of(as_proxied_user(&server, "admin"), 200).await;
    assert_eq!(admin["roles"], json!(["user"]));
    assert_ne!(admin["username"], "admin");
    // An API token takes precedence over the asserted name.
    let own = server.admin().await.get("/api/auth/me");
    let own = json_of(own.header("x-forwarded-user", "ann"), 200).await;
    assert_eq!(own["username"], "admin");
    // The proxy adds its header to cross-site requests, too.
    let post = || {
        let request = server.anonymous().post("/api/sessions");
        request
            .header("x-forwarded-user", "ann")
            .json(&json!({ "app_id": "x" }))
    };
    json_of(post().header("sec-fetch-site", "same-origin"), 201).await;
    for foreign in [post(), post().header("sec-fetch-site", "cross-site")] {
        problem(foreign, 403, "forbidden").await;
    }
    let two = as_proxied_user(&server, "ann").header("x-forwarded-user", "bob");
    problem(two, 401, "unauthenticated").await;
    for invalid in ["\t", &"x".repeat(300)] {
        problem(as_proxied_user(&server, invalid), 401, "unauthenticated").await;
    }
    // A user disabled here is refused.
    let admin = server.admin().await;
    let id = ann["id"].as_str().unwrap();
    json_of(change(&admin, id, &json!({ "disabled": true })), 200).await;
    problem(as_proxied_user(&server, "ann"), 401, "unauthenticated").await;
}

#[tokio::test]
async fn user_header_of_an_untrusted_address_is_ignored() {
    for server in [behind_proxy("192.0.2.1").await, TestServer::start().await] {
        problem(as_proxied_user(&server, "admin"), 401, "unauthenticated").await;
        let admin = server.admin().await;
        let users = json_of(admin.get("/api/admin/users"), 200).await;
        assert_eq!(users.as_array().map(Vec::len), Some(1), "{users}");
    }
}

#[tokio::test]
async fn forwarding_header_of_an_untrusted_address_is_ignored() {
    let server = behind_proxy("192.0.2.1").await;
    // Twenty guesses with forged forwarding headers count for one address.
    for number in 0..20 {
        let guess = login(&server, &format!("name{number}"), "password");
        let guess = guess.header("x-forwarded-for", format!("198.51.100.{number}"));
        problem(guess, 401, "wrong_credentials").await;
    }
    problem(
        login(&server, "name21", "password"),
        429,
        "too_many_requests",
    )
    .await;
}
