//! Playback URLs: the file of one recording without a sign-in.

use std::time::Duration;

use crate::support::{Client, TestServer, chromium_webm, header, json_of, problem};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// A server with a finished recording of `ann`.
struct Scene {
    server: TestServer,
    ann: Client,
    id: String,
}

impl Scene {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(variables: &[(&str, &str)]) -> Self {
        let server = TestServer::with(variables).await;
        let ann = server.user("ann").await;
        let id = ann.record(&chromium_webm()).await;
        Self { server, ann, id }
    }

    async fn created(&self, client: &Client, body: Value) -> Value {
        let path = format!("/api/recordings/{}/playback-url", self.id);
        json_of(client.post(&path).json(&body), 201).await
    }

    async fn url(&self, client: &Client) -> String {
        let created = self.created(client, json!({})).await;
        created["url"].as_str().expect("a URL").to_owned()
    }

    /// Requests a URL without a header, as `<video>` does.
    fn get(&self, url: &str) -> RequestBuilder {
        self.ann.http.get(url)
    }
}

async fn refused(request: RequestBuilder) {
    let detail = problem(request, 401, "unauthenticated").await;
    assert!(detail.contains("playback URL"), "{detail}");
}

#[tokio::test]
async fn playback_url_serves_the_file_with_ranges() {
    let scene = Scene::new().await;
    let file = chromium_webm();
    let created = scene.created(&scene.ann, json!({ "expires_in": 60 })).await;
    assert_eq!(created["expires_at"], "2026-11-21T09:31:00.000Z");
    let url = created["url"].as_str().expect("a URL");
    assert!(url.starts_with(&scene.server.url), "{url}");

    let answer = scene.get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "content-type"), "video/webm");
    assert_eq!(header(&answer, "cache-control"), "private, no-cache");
    assert_eq!(header(&answer, "referrer-policy"), "no-referrer");
    let embedding = header(&answer, "cross-origin-resource-policy");
    assert_eq!(embedding, "cross-origin");
    let length = answer.bytes().await.expect("a body").len();
    assert!(length >= file.len(), "{length}");

    let part = scene.get(url).header("range", "bytes=4096-4195").send();
    let part = part.await.expect("an answer");
    assert_eq!(part.status(), 206);
    assert_eq!(
        header(&part, "content-range"),
        format!("bytes 4096-4195/{length}")
    );
    assert_eq!(part.bytes().await.expect("a body").len(), 100);

    let head = scene.ann.http.head(url).send().await.expect("an answer");
    assert_eq!(head.status(), 200);
    assert_eq!(header(&head, "content-length"), length.to_string());

    let row = &json_of(
        scene
            .server
            .admin()
            .await
            .get("/api/admin/audit?action=recording.view"),
        200,
    )
    .await[0];
    assert_eq!(row["via"], "playback");
    assert_eq!(row["actor_name"], "ann");
    assert_eq!(row["subject"], scene.id.as_str());
}

#[tokio::test]
async fn playback_url_names_the_public_address() {
    let public = [("SORTIE_PUBLIC_URL", "https://example.com/record")];
    let scene = Scene::with(&public).await;
    let url = scene.url(&scene.ann).await;
    let path = format!(
        "https://example.com/record/api/recordings/{}/stream?playback=",
        scene.id
    );
    assert!(url.starts_with(&path), "{url}");
}

#[tokio::test]
async fn lifetime_outside_of_bounds_is_refused() {
    let scene = Scene::new().await;
    let path = format!("/api/recordings/{}/playback-url", scene.id);
    for seconds in [json!(0), json!(59), json!(86_401), json!(4_294_967_295_u32)] {
        let request = scene
            .ann
            .post(&path)
            .json(&json!({ "expires_in": seconds }));
        let detail = problem(request, 400, "invalid_field").await;
        assert!(detail.contains("86400"), "{detail}");
    }
    for body in [
        json!({ "expires_in": -1 }),
        json!({ "expires_in": "60" }),
        json!({ "expires_in": 1.5 }),
        json!({ "expires_in": 1e300 }),
        json!({ "expires": 60 }),
        json!([60]),
    ] {
        problem(scene.ann.post(&path).json(&body), 400, "invalid_field").await;
    }
    let longest = json!({ "expires_in": 86_400 });
    let created = scene.created(&scene.ann, longest).await;
    assert_eq!(created["expires_at"], "2026-11-22T09:30:00.000Z");
    // Without a body.
    let created = json_of(scene.ann.post(&path), 201).await;
    assert_eq!(created["expires_at"], "2026-11-21T10:30:00.000Z");
}

#[tokio::test]
async fn playback_url_is_created_by_those_who_may_download() {
    let scene = Scene::new().await;
    let path = format!("/api/recordings/{}/playback-url", scene.id);
    let bob = scene.server.user("bob").await;
    problem(bob.post(&path), 403, "forbidden").await;
    problem(scene.server.anonymous().post(&path), 401, "unauthenticated").await;
    let admin = scene.server.admin().await;
    let url = scene.url(&admin).await;
    let answer = scene.get(&url).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);

    let (unfinished, _) = scene.ann.start_recording().await;
    let path = format!("/api/recordings/{unfinished}/playback-url");
    problem(scene.ann.post(&path), 409, "not_ready").await;
    let path = "/api/recordings/no-such/playback-url";
    problem(scene.ann.post(path), 404, "not_found").await;
}

#[tokio::test]
async fn playback_url_expires() {
    let scene = Scene::new().await;
    let created = scene.created(&scene.ann, json!({ "expires_in": 60 })).await;
    let url = created["url"].as_str().expect("a URL");
    scene.server.clock.advance(Duration::from_secs(59));
    let answer = scene.get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    scene.server.clock.advance(Duration::from_secs(1));
    refused(scene.get(url)).await;
    // Also a client that has the file in its cache.
    let tag = format!("\"{}\"", scene.id);
    refused(scene.get(url).header("if-none-match", tag)).await;
}

#[tokio::test]
async fn playback_url_is_valid_for_its_recording_and_file_only() {
    let scene = Scene::new().await;
    let url = scene.url(&scene.ann).await;
    let other = scene.ann.record(&chromium_webm()).await;
    let elsewhere = url.replace(&scene.id, &other);
    problem(scene.get(&elsewhere), 403, "forbidden").await;
    for route in ["download", "raw", "poster", "activity", "markers"] {
        let elsewhere = url.replace("/stream?", &format!("/{route}?"));
        let answer = scene.get(&elsewhere).send().await.expect("an answer");
        assert_eq!(answer.status(), 401, "{route}");
    }
    // The token is no sign-in.
    let (_, token) = url.split_once("playback=").expect("a token");
    let me = scene.get(&format!("{}/api/auth/me", scene.server.url));
    problem(me.bearer_auth(token), 401, "unauthenticated").await;
    let access = scene.ann.token.as_deref().expect("a token");
    let stream = format!("{}/api/recordings/{}/stream", scene.server.url, scene.id);
    refused(scene.get(&format!("{stream}?playback={access}"))).await;
    // Neither header nor cookie replaces a bad token.
    let bad = format!("{stream}?playback=");
    refused(scene.get(&bad)).await;
    refused(scene.get(&bad).bearer_auth(access)).await;
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    for forged in [
        format!("{signed}.{first}{}", &signature[1..]),
        format!("{signed}."),
        signed.to_owned(),
        "x".repeat(10_000),
        "%00".to_owned(),
    ] {
        refused(scene.get(&format!("{stream}?playback={forged}"))).await;
    }
}

#[tokio::test]
async fn playback_url_ends_with_access_of_its_user() {
    let scene = Scene::new().await;
    let admin = scene.server.admin().await;
    let user = format!("/api/admin/users/{}", scene.ann.user_id);

    // A new password.
    let url = scene.url(&scene.ann).await;
    let change = json!({ "password": "another good password" });
    json_of(admin.request(Method::PATCH, &user).json(&change), 200).await;
    refused(scene.get(&url)).await;

    // An administrator who no longer is one.
    let other = json!({ "username": "root", "password": "a good password", "roles": ["admin"] });
    let root = json_of(admin.post("/api/admin/users").json(&other), 201).await;
    let client = scene.server.sign_in("root", "a good password").await;
    let url = scene.url(&client).await;
    let demote = json!({ "roles": ["user"] });
    let path = format!("/api/admin/users/{}", root["id"].as_str().expect("an ID"));
    json_of(admin.request(Method::PATCH, &path).json(&demote), 200).await;
    problem(scene.get(&url), 403, "forbidden").await;

    // A disabled user, also once enabled again.
    let ann = scene.server.sign_in("ann", "another good password").await;
    let url = scene.url(&ann).await;
    for disabled in [true, false] {
        let change = json!({ "disabled": disabled });
        json_of(admin.request(Method::PATCH, &user).json(&change), 200).await;
        refused(scene.get(&url)).await;
    }
}

#[tokio::test]
async fn playback_url_ends_with_recording_and_user() {
    let scene = Scene::new().await;
    let admin = scene.server.admin().await;
    let url = scene.url(&scene.ann).await;
    let path = format!("/api/recordings/{}", scene.id);
    let deleted = scene.ann.delete(&path).send().await.expect("an answer");
    assert_eq!(deleted.status(), 204);
    problem(scene.get(&url), 404, "not_found").await;

    let scene = Scene {
        id: scene.ann.record(&chromium_webm()).await,
        ..scene
    };
    let url = scene.url(&scene.ann).await;
    let user = format!("/api/admin/users/{}", scene.ann.user_id);
    let deleted = admin.delete(&user).send().await.expect("an answer");
    assert_eq!(deleted.status(), 204);
    refused(scene.get(&url)).await;
}
