//! Accounts: sign-in and sign-out, users, our tokens and foreign tokens, over a real socket.

mod api_tokens;
mod bad_input;
mod guessing;
mod long_bodies;
#[cfg(feature = "sso")]
mod oidc;
#[cfg(feature = "sso")]
mod oidc_provider;
mod platform;
mod proxy;
mod races;
mod recording_tokens;
mod refresh;
mod removal;
mod sign_in;
mod sign_ins;
#[path = "../support/mod.rs"]
mod support;
mod users;

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use support::{ADMIN_PASSWORD, Client, TestServer, json_of};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const EXPIRED: &str = "Your sign-in has expired. Sign in again.";

fn login(server: &TestServer, username: &str, password: &str) -> RequestBuilder {
    let body = json!({ "username": username, "password": password });
    server.anonymous().post("/api/auth/login").json(&body)
}

/// Token pair of a sign-in, as API clients receive it.
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

    /// Whether the access token and the refresh token are valid; spends the refresh token.
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
    server.anonymous().get("/api/auth/me").bearer_auth(token)
}

fn refresh(server: &TestServer, token: &str) -> RequestBuilder {
    server
        .anonymous()
        .post("/api/auth/refresh")
        .json(&json!({ "refresh_token": token }))
}

fn cookies(answer: &Response) -> Vec<String> {
    let all = answer.headers().get_all("set-cookie").iter();
    all.map(|value| value.to_str().expect("text").to_owned())
        .collect()
}

/// Opens the server's database on a separate connection.
async fn database(server: &TestServer) -> sqlx::AnyPool {
    server.database().await
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
