//! A trusted proxy's word, and nobody else's.

use crate::support::problem;
use crate::*;

async fn behind_proxy(trusted: &str) -> TestServer {
    TestServer::with(&[
        ("SORTIE_PROXY_AUTH_HEADER", "X-Forwarded-User"),
        ("SORTIE_TRUSTED_PROXIES", trusted),
    ])
    .await
}

fn says(server: &TestServer, name: &str) -> RequestBuilder {
    server
        .nobody()
        .get("/api/auth/me")
        .header("x-forwarded-user", name.to_owned())
}

#[tokio::test]
async fn whom_the_proxy_names_is_signed_in_and_gets_an_account() {
    let server = behind_proxy("127.0.0.0/8").await;
    let methods = json_of(server.nobody().get("/api/auth/methods"), 200).await;
    assert_eq!(methods, json!({ "password": true, "proxy": true }));
    let ann = json_of(says(&server, "ann"), 200).await;
    assert_eq!(
        (&ann["username"], &ann["source"], &ann["roles"]),
        (&json!("ann"), &json!("proxy"), &json!(["user"]))
    );
    assert_eq!(json_of(says(&server, "ann"), 200).await["id"], ann["id"]);
    // Whatever the proxy calls somebody, an account of ours is not taken over.
    let admin = json_of(says(&server, "admin"), 200).await;
    assert_eq!(admin["roles"], json!(["user"]));
    assert_ne!(admin["username"], "admin");
    // A program with a token of its own is who the token says.
    let own = server.admin().await.get("/api/auth/me");
    let own = json_of(own.header("x-forwarded-user", "ann"), 200).await;
    assert_eq!(own["username"], "admin");
    // The proxy adds its header to what a foreign page sends as well.
    let post = || {
        let request = server.nobody().post("/api/sessions");
        request
            .header("x-forwarded-user", "ann")
            .json(&json!({ "app_id": "x" }))
    };
    json_of(post().header("sec-fetch-site", "same-origin"), 201).await;
    for foreign in [post(), post().header("sec-fetch-site", "cross-site")] {
        problem(foreign, 403, "forbidden").await;
    }
    let two = says(&server, "ann").header("x-forwarded-user", "bob");
    problem(two, 401, "unauthenticated").await;
    for nobody in ["\t", &"x".repeat(300)] {
        problem(says(&server, nobody), 401, "unauthenticated").await;
    }
    // Locked out here is locked out.
    let admin = server.admin().await;
    let id = ann["id"].as_str().unwrap();
    json_of(change(&admin, id, &json!({ "disabled": true })), 200).await;
    problem(says(&server, "ann"), 401, "unauthenticated").await;
}

#[tokio::test]
async fn from_anybody_else_the_header_is_nothing() {
    for server in [behind_proxy("192.0.2.1").await, TestServer::start().await] {
        problem(says(&server, "admin"), 401, "unauthenticated").await;
        let admin = server.admin().await;
        let users = json_of(admin.get("/api/admin/users"), 200).await;
        assert_eq!(users.as_array().map(Vec::len), Some(1), "{users}");
    }
}

#[tokio::test]
async fn nobody_else_writes_addresses_either() {
    let server = behind_proxy("192.0.2.1").await;
    // Twenty guesses from what claims to be twenty addresses are twenty from one.
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
