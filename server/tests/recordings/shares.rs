//! Share links: creation, viewers without an account, and everything that ends a link.

use std::time::Duration;

use crate::support::images::jpeg;
use crate::support::streams::screen_webm;
use crate::support::{Client, TestServer, chromium_webm, header, json_of, problem};
use reqwest::redirect::Policy;
use reqwest::{Method, Response};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(60 * 60);
const PASSWORD: &str = "open sesame";
const UNKNOWN: &str = "0123456789012345678901234567890123456789";

/// A server with a finished recording of `ann`, and a viewer without an account.
struct Scene {
    server: TestServer,
    ann: Client,
    id: String,
    viewer: reqwest::Client,
}

/// A link that was created.
struct Link {
    id: String,
    /// Address of the page.
    url: String,
    token: String,
}

/// Body of the form.
fn form(password: &str) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("password", password).finish()
}

/// A minute with a keyframe every ten seconds.
fn minute() -> Vec<u8> {
    screen_webm(60, |second| second % 2 == 0)
}

fn stranger() -> reqwest::Client {
    let client = reqwest::Client::builder().redirect(Policy::none());
    client.build().expect("a client")
}

impl Scene {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(variables: &[(&str, &str)]) -> Self {
        let server = TestServer::with(variables).await;
        let ann = server.user("ann").await;
        let id = ann.record(&chromium_webm()).await;
        Self {
            server,
            ann,
            id,
            viewer: stranger(),
        }
    }

    fn shares(&self) -> String {
        format!("/api/recordings/{}/shares", self.id)
    }

    async fn share_by(&self, client: &Client, body: Value) -> Link {
        let created = json_of(client.post(&self.shares()).json(&body), 201).await;
        let url = created["url"].as_str().expect("a URL").to_owned();
        let (_, token) = url.split_once("/s/").expect("a token");
        Link {
            id: created["id"].as_str().expect("an ID").to_owned(),
            token: token.to_owned(),
            url,
        }
    }

    async fn share(&self, body: Value) -> Link {
        self.share_by(&self.ann, body).await
    }

    async fn list(&self) -> Value {
        json_of(self.ann.get(&self.shares()), 200).await
    }

    async fn get(&self, url: &str) -> Response {
        self.viewer.get(url).send().await.expect("an answer")
    }

    async fn status(&self, url: &str) -> u16 {
        self.get(url).await.status().as_u16()
    }

    /// Sends the form as the server's own page does.
    async fn enter(&self, url: &str, password: &str) -> Response {
        let request = self.viewer.post(url).body(form(password));
        let request = request.header("sec-fetch-site", "same-origin").send();
        request.await.expect("an answer")
    }

    /// Asserts that page, file and picture of a link have the answer of an unknown one.
    #[track_caller]
    fn assert_ended<'a>(&'a self, link: &'a Link) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let other = link.url.replace(&link.token, UNKNOWN);
            for path in ["", "/file", "/poster", "?part=2"] {
                let ended = self.get(&format!("{}{path}", link.url)).await;
                let unknown = self.get(&format!("{other}{path}")).await;
                assert_eq!(ended.status(), 404, "{caller}: {path}");
                assert_eq!(unknown.status(), 404, "{caller}: {path}");
                let headers = |answer: &Response| {
                    let mut headers = answer.headers().clone();
                    headers.remove("date");
                    headers.remove("x-request-id");
                    headers
                };
                assert_eq!(headers(&ended), headers(&unknown), "{caller}: {path}");
                let ended = ended.text().await.expect("a body");
                assert!(ended.contains("This link is not available"), "{ended}");
                let unknown = unknown.text().await.expect("a body");
                assert_eq!(ended, unknown, "{caller}: {path}");
            }
            let head = self.viewer.head(format!("{}/file", link.url)).send().await;
            assert_eq!(head.expect("an answer").status(), 404, "{caller}");
            let range = self.viewer.get(format!("{}/file", link.url));
            let range = range.header("range", "bytes=0-9").send().await;
            assert_eq!(range.expect("an answer").status(), 404, "{caller}");
        }
    }

    async fn change_user(&self, id: &str, change: Value) {
        let admin = self.server.admin().await;
        let path = format!("/api/admin/users/{id}");
        json_of(admin.request(Method::PATCH, &path).json(&change), 200).await;
    }

    async fn audit(&self, action: &str) -> Vec<Value> {
        let path = format!("/api/admin/audit?action={action}&subject={}", self.id);
        let rows = json_of(self.server.admin().await.get(&path), 200).await;
        rows.as_array().expect("rows").clone()
    }
}

#[tokio::test]
async fn viewer_without_account_sees_page_file_and_picture() {
    let scene = Scene::new().await;
    let title = json!({ "title": "<b>Q3 \"review\"" });
    let path = format!("/api/recordings/{}", scene.id);
    json_of(scene.ann.request(Method::PATCH, &path).json(&title), 200).await;
    let picture = scene.ann.post(&format!("{path}/pictures?at_ms=0"));
    let picture = picture.header("content-type", "image/jpeg");
    let added = picture.body(jpeg(320, 180, 1)).send().await;
    assert_eq!(added.expect("an answer").status(), 204);
    let link = scene.share(json!({})).await;
    assert_eq!(link.token.len(), 40);

    let page = scene.get(&link.url).await;
    assert_eq!(page.status(), 200);
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-robots-tag", "noindex, nofollow"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("vary", "Cookie, Accept"),
    ] {
        assert_eq!(header(&page, name), value, "{name}");
    }
    let policy = header(&page, "content-security-policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"));
    let html = page.text().await.expect("a page");
    assert!(html.contains("<h1 dir=\"auto\">&lt;b&gt;Q3 &quot;review&quot;</h1>"));
    assert!(html.contains("<meta name=\"robots\" content=\"noindex, nofollow\">"));
    assert!(html.contains(&format!("poster=\"/s/{}/poster\"", link.token)));
    assert!(!html.contains("<script") && !html.contains(&scene.id) && !html.contains("ann"));

    let file = format!("{}/file", link.url);
    let whole = scene.get(&file).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(header(&whole, "content-type"), "video/webm");
    assert_eq!(header(&whole, "cache-control"), "private, no-cache");
    assert_eq!(header(&whole, "referrer-policy"), "no-referrer");
    assert!(header(&whole, "content-disposition").starts_with("inline"));
    let tag = header(&whole, "etag");
    assert!(!tag.contains(&scene.id), "{tag}");
    let bytes = whole.bytes().await.expect("bytes");
    let own = scene.ann.get(&format!("{path}/stream")).send().await;
    assert_eq!(own.expect("an answer").bytes().await.expect("bytes"), bytes);
    let part = scene.viewer.get(&file).header("range", "bytes=10-19");
    let part = part.send().await.expect("an answer");
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.expect("bytes"), bytes.slice(10..20));
    let part = scene.viewer.get(&file).header("range", "bytes=99999999-");
    assert_eq!(part.send().await.expect("an answer").status(), 416);
    let known = scene.viewer.get(&file).header("if-none-match", tag);
    assert_eq!(known.send().await.expect("an answer").status(), 304);
    let head = scene.viewer.head(&file).send().await.expect("an answer");
    assert_eq!(header(&head, "content-length"), bytes.len().to_string());

    let poster = scene.get(&format!("{}/poster", link.url)).await;
    assert_eq!(poster.status(), 200);
    assert_eq!(header(&poster, "content-type"), "image/jpeg");
    assert_eq!(header(&poster, "x-robots-tag"), "noindex, nofollow");
    assert_eq!(
        scene
            .status(&format!("{}/s/style.css", scene.server.url))
            .await,
        200
    );
    // Chat programs add a slash, mail programs parameters.
    for path in ["/", "/file/"] {
        let answer = scene.get(&format!("{}{path}", link.url)).await;
        assert_eq!(header(&answer, "x-robots-tag"), "noindex, nofollow");
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(
        scene.status(&format!("{}?utm_source=mail", link.url)).await,
        200
    );
    for path in [
        "?part=2",
        "?part=-1",
        "?part=x",
        "/file?part=0",
        "/file?part=99999999999",
    ] {
        assert_eq!(
            scene.status(&format!("{}{path}", link.url)).await,
            404,
            "{path}"
        );
    }
}

/// Makes a recording of two parts with the same file, and returns their IDs.
async fn two_parts(client: &Client, file: &[u8]) -> [String; 2] {
    let (first, session) = client.start_recording().await;
    let upload = async |id: &str| {
        let request = client.patch(&format!("/api/uploads/{id}"), 0, file.to_vec());
        let answer = request.header("Upload-Length", file.len()).send().await;
        assert_eq!(answer.expect("an answer").status(), 204);
    };
    upload(&first).await;
    let start = format!("/api/sessions/{session}/recording/start");
    let next = client.post(&start).json(&json!({ "continues": first }));
    let next = json_of(next, 201).await;
    let second = next["recording_id"].as_str().expect("an ID").to_owned();
    upload(&second).await;
    [first, second]
}

#[tokio::test]
async fn every_part_of_a_recording_can_be_watched() {
    let scene = Scene::new().await;
    let parts = two_parts(&scene.ann, &chromium_webm()).await;
    let first = &parts[0];
    // The link of any part is that of the whole recording.
    for id in &parts {
        let path = format!("/api/recordings/{id}/shares");
        let created = json_of(scene.ann.post(&path), 201).await;
        assert_eq!(created["recording_id"], first.as_str());
        let url = created["url"].as_str().expect("a URL");
        let html = scene.get(url).await.text().await.expect("a page");
        assert!(html.contains("Part 1 of 2") && html.contains("?part=2\">Next part"));
        let html = scene.get(&format!("{url}?part=2")).await;
        let html = html.text().await.expect("a page");
        assert!(html.contains("Part 2 of 2") && html.contains("/file?part=2\""));
        for part in ["?part=1", "?part=2"] {
            assert_eq!(scene.status(&format!("{url}/file{part}")).await, 200);
        }
    }
}

#[tokio::test]
async fn range_of_a_recording_is_all_that_its_link_shares() {
    let mut scene = Scene::new().await;
    scene.id = scene.ann.record(&minute()).await;
    let path = format!("/api/recordings/{}", scene.id);
    let picture = scene.ann.post(&format!("{path}/pictures?at_ms=0"));
    let picture = picture.header("content-type", "image/jpeg");
    let added = picture.body(jpeg(320, 180, 1)).send().await;
    assert_eq!(added.expect("an answer").status(), 204);
    let link = scene
        .share(json!({ "start_ms": 25_000, "end_ms": 35_000 }))
        .await;
    // From the keyframe before the start.
    let listed = scene.list().await;
    for (name, value) in [("part", 1), ("start_ms", 20_000), ("end_ms", 35_000)] {
        assert_eq!(listed[0][name], value, "{listed}");
    }
    let html = scene.get(&link.url).await.text().await.expect("a page");
    assert!(
        html.contains("<time datetime=\"PT15S\">0:15</time>"),
        "{html}"
    );
    assert!(!html.contains("poster="), "{html}");

    let file = format!("{}/file", link.url);
    let whole = scene.get(&file).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(header(&whole, "accept-ranges"), "bytes");
    assert_eq!(header(&whole, "cache-control"), "private, no-cache");
    let name = header(&whole, "content-disposition");
    assert!(name.contains("Recording.webm"), "{name}");
    let tag = header(&whole, "etag");
    assert!(!tag.contains(&scene.id), "{tag}");
    let length = header(&whole, "content-length");
    let bytes = whole.bytes().await.expect("bytes");
    assert_eq!(length, bytes.len().to_string());
    let clip = scene
        .ann
        .get(&format!("{path}/clip?start_ms=25000&end_ms=35000"));
    let clip = clip.send().await.expect("an answer");
    assert_eq!(clip.bytes().await.expect("bytes"), bytes);
    for (range, expected) in [
        ("bytes=10-19", 10..20),
        ("bytes=-100", bytes.len() - 100..bytes.len()),
        ("bytes=5000-", 5000..bytes.len()),
    ] {
        let part = scene.viewer.get(&file).header("range", range);
        let part = part.send().await.expect("an answer");
        assert_eq!(part.status(), 206, "{range}");
        let part = part.bytes().await.expect("bytes");
        assert_eq!(part, bytes.slice(expected), "{range}");
    }
    let outside = scene.viewer.get(&file).header("range", "bytes=99999999-");
    assert_eq!(outside.send().await.expect("an answer").status(), 416);
    let known = scene.viewer.get(&file).header("if-none-match", tag);
    assert_eq!(known.send().await.expect("an answer").status(), 304);
    // Nothing else of the recording.
    for path in [
        "/poster",
        "?part=2",
        "/file?part=2",
        "/poster?part=1",
        "/file?part=0",
    ] {
        let url = format!("{}{path}", link.url);
        assert_eq!(scene.status(&url).await, 404, "{path}");
    }
    assert_eq!(scene.list().await[0]["views"], 1);
    let created = scene.audit("share.create").await;
    let detail = created[0]["detail"].as_str().expect("a detail");
    assert!(detail.ends_with("part 1, 20000–35000 ms"), "{detail}");
}

#[tokio::test]
async fn range_of_a_later_part_is_shared_alone() {
    let mut scene = Scene::new().await;
    let [first, second] = two_parts(&scene.ann, &minute()).await;
    scene.id = second;
    let link = scene
        .share(json!({ "start_ms": 0, "end_ms": 10_000 }))
        .await;
    assert_eq!(scene.list().await[0]["part"], 2);
    assert_eq!(scene.list().await[0]["recording_id"], first);
    let html = scene.get(&link.url).await.text().await.expect("a page");
    assert!(html.contains("PT10S") && !html.contains("<nav"), "{html}");
    for path in ["/file", "/file?part=2"] {
        let url = format!("{}{path}", link.url);
        assert_eq!(scene.status(&url).await, 200, "{path}");
    }
    let other = format!("{}/file?part=1", link.url);
    assert_eq!(scene.status(&other).await, 404);
    // The link ends with the first part.
    let gone = scene.ann.delete(&format!("/api/recordings/{first}")).send();
    assert_eq!(gone.await.expect("an answer").status(), 204);
    scene.assert_ended(&link).await;
}

#[tokio::test]
async fn invalid_ranges_are_refused() {
    let scene = Scene::new().await;
    for (range, part) in [
        (json!({ "start_ms": 0 }), "both start_ms and end_ms"),
        (json!({ "end_ms": 10 }), "both start_ms and end_ms"),
        (json!({ "start_ms": 9, "end_ms": 9 }), "greater than"),
        (json!({ "start_ms": 9, "end_ms": 3 }), "greater than"),
        (
            json!({ "start_ms": 900_000, "end_ms": 990_000 }),
            "no picture in this range",
        ),
        (json!({ "start_ms": -1, "end_ms": 9 }), "start_ms"),
        (json!({ "start_ms": 0.5, "end_ms": 9 }), "start_ms"),
        (json!({ "start_ms": "NaN", "end_ms": 9 }), "start_ms"),
    ] {
        let request = scene.ann.post(&scene.shares()).json(&range);
        let sentence = problem(request, 400, "invalid_field").await;
        assert!(sentence.contains(part), "{range}: {sentence}");
    }
    let (open, _) = scene.ann.start_recording().await;
    let path = format!("/api/recordings/{open}/shares");
    let range = json!({ "start_ms": 0, "end_ms": 9 });
    problem(scene.ann.post(&path).json(&range), 409, "not_ready").await;
    // Far behind the end is the end.
    let to_end = json!({ "start_ms": 0, "end_ms": u64::MAX });
    let link = scene.share(to_end).await;
    assert_eq!(scene.status(&format!("{}/file", link.url)).await, 200);
}

#[tokio::test]
async fn links_are_listed_without_their_tokens() {
    let scene = Scene::new().await;
    let link = scene
        .share(json!({ "label": " For the board ", "expires_in": 3600 }))
        .await;
    let hidden = json!({ "password": PASSWORD });
    let second = scene.share(hidden).await;
    scene.get(&format!("{}/file", link.url)).await;
    scene.get(&format!("{}/file", link.url)).await;
    let list = scene.list().await;
    let text = list.to_string();
    assert!(
        !text.contains(&link.token) && !text.contains("argon2"),
        "{text}"
    );
    assert_eq!(list[0]["id"], second.id.as_str());
    assert_eq!(list[0]["has_password"], true);
    assert_eq!(list[0]["views"], 0);
    assert!(list[0].get("last_viewed_at").is_none());
    assert_eq!(list[1]["label"], "For the board");
    assert_eq!(list[1]["created_by"], "ann");
    assert_eq!(list[1]["views"], 1);
    assert_eq!(list[1]["last_viewed_at"], "2026-11-21T09:30:00.000Z");
    assert_eq!(list[1]["expires_at"], "2026-11-21T10:30:00.000Z");
    scene.server.clock.advance(HOUR);
    let ann = scene.server.sign_in("ann", "a good password").await;
    let list = json_of(ann.get(&scene.shares()), 200).await;
    assert_eq!(list.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn invalid_links_are_refused() {
    let scene = Scene::new().await;
    let path = scene.shares();
    for body in [
        json!({ "expires_in": 59 }),
        json!({ "expires_in": 31_536_001 }),
        json!({ "expires_in": -1 }),
        json!({ "password": "short" }),
        json!({ "password": "" }),
        json!({ "password": "x".repeat(257) }),
        json!({ "label": "x".repeat(101) }),
        json!({ "label": "a\u{0}b" }),
        json!({ "expire": 60 }),
        json!([]),
    ] {
        problem(scene.ann.post(&path).json(&body), 400, "invalid_field").await;
    }
    let bob = scene.server.user("bob").await;
    problem(bob.post(&path), 403, "forbidden").await;
    problem(bob.get(&path), 403, "forbidden").await;
    let link = scene.share(json!({})).await;
    let own = bob.record(&chromium_webm()).await;
    for recording in [&scene.id, &own] {
        let revoke = bob.delete(&format!("/api/recordings/{recording}/shares/{}", link.id));
        let status = revoke.send().await.expect("an answer").status();
        assert!(status == 403 || status == 404, "{status}");
    }
    assert_eq!(scene.status(&link.url).await, 200);
    let gone = scene.ann.delete(&format!("{path}/%00"));
    problem(gone, 404, "not_found").await;
    // Of many at the same time, those beyond the limit are refused.
    let creations = (0..60).map(|_| scene.ann.post(&path).send());
    let created = futures_util::future::join_all(creations).await;
    let statuses = created
        .iter()
        .map(|it| it.as_ref().map_or(0, |it| it.status().as_u16()));
    let created = statuses.clone().filter(|status| *status == 201).count();
    assert_eq!(created, 49, "{:?}", statuses.collect::<Vec<_>>());
    problem(scene.ann.post(&path), 409, "conflict").await;
    // Expired links make room.
    scene.server.clock.advance(8 * 24 * HOUR);
    let ann = scene.server.sign_in("ann", "a good password").await;
    scene.share_by(&ann, json!({})).await;
}

#[tokio::test]
async fn revoked_and_expired_links_look_like_unknown_ones() {
    let scene = Scene::new().await;
    let link = scene.share(json!({})).await;
    let file = format!("{}/file", link.url);
    let tag = header(&scene.get(&file).await, "etag");
    let path = format!("{}/{}", scene.shares(), link.id);
    let revoked = scene.ann.delete(&path).send().await.expect("an answer");
    assert_eq!(revoked.status(), 204);
    scene.assert_ended(&link).await;
    // A viewer with the file in the cache.
    let known = scene.viewer.get(&file).header("if-none-match", tag);
    assert_eq!(known.send().await.expect("an answer").status(), 404);
    problem(scene.ann.delete(&path), 404, "not_found").await;

    let link = scene.share(json!({ "expires_in": 3600 })).await;
    scene.server.clock.advance(HOUR - Duration::from_millis(1));
    assert_eq!(scene.status(&link.url).await, 200);
    scene.server.clock.advance(Duration::from_millis(1));
    scene.assert_ended(&link).await;
}

#[tokio::test]
async fn link_ends_with_its_recording() {
    let scene = Scene::new().await;
    let link = scene.share(json!({})).await;
    let path = format!("/api/recordings/{}", scene.id);
    let deleted = scene.ann.delete(&path).send().await.expect("an answer");
    assert_eq!(deleted.status(), 204);
    scene.assert_ended(&link).await;
    problem(scene.ann.post(&scene.shares()), 404, "not_found").await;
}

#[tokio::test]
async fn link_ends_when_its_creator_is_disabled_and_does_not_return() {
    let scene = Scene::new().await;
    let link = scene.share(json!({})).await;
    let admin = scene.server.admin().await;
    let kept = scene.share_by(&admin, json!({})).await;
    for disabled in [true, false] {
        let change = json!({ "disabled": disabled });
        scene.change_user(&scene.ann.user_id, change).await;
        scene.assert_ended(&link).await;
    }
    // That of another creator continues.
    assert_eq!(scene.status(&kept.url).await, 200);
}

#[tokio::test]
async fn link_ends_when_its_creator_is_deleted_or_erased() {
    let scene = Scene::new().await;
    let (admin, ann) = (scene.server.admin().await, &scene.ann.user_id);
    let link = scene.share(json!({})).await;
    let kept = scene.share_by(&admin, json!({})).await;
    let user = format!("/api/admin/users/{ann}");
    let deleted = admin.delete(&user).send().await.expect("an answer");
    assert_eq!(deleted.status(), 204);
    scene.assert_ended(&link).await;
    // The recording is kept, and with it the link of the administrator.
    assert_eq!(scene.status(&kept.url).await, 200);

    let scene = Scene::new().await;
    let link = scene.share(json!({ "label": "annabel" })).await;
    let erase = format!("/api/admin/users/{}/erase", scene.ann.user_id);
    let erased = scene.server.admin().await.post(&erase).send().await;
    assert!(erased.expect("an answer").status().is_success());
    scene.assert_ended(&link).await;
    let database = scene.server.database().await;
    let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM shares")
        .fetch_one(&database)
        .await
        .expect("a number");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn link_ends_when_its_creator_is_no_administrator_any_more() {
    let scene = Scene::new().await;
    let root = json!({ "username": "root", "password": "a good password", "roles": ["admin"] });
    let admin = scene.server.admin().await;
    let root = json_of(admin.post("/api/admin/users").json(&root), 201).await;
    let client = scene.server.sign_in("root", "a good password").await;
    let link = scene.share_by(&client, json!({})).await;
    assert_eq!(scene.status(&link.url).await, 200);
    let id = root["id"].as_str().expect("an ID");
    scene.change_user(id, json!({ "roles": ["user"] })).await;
    scene.assert_ended(&link).await;
}

#[tokio::test]
async fn password_is_required_and_opens_one_link() {
    let scene = Scene::new().await;
    let title = json!({ "title": "Secret plans" });
    let path = format!("/api/recordings/{}", scene.id);
    json_of(scene.ann.request(Method::PATCH, &path).json(&title), 200).await;
    let link = scene.share(json!({ "password": PASSWORD })).await;
    let other = scene.share(json!({ "password": PASSWORD })).await;

    let form = scene.get(&link.url).await;
    assert_eq!(form.status(), 200);
    assert_eq!(header(&form, "cache-control"), "no-store");
    let form = form.text().await.expect("a page");
    assert!(form.contains("Password required") && !form.contains("Secret plans"));
    for path in ["/file", "/poster"] {
        assert_eq!(scene.status(&format!("{}{path}", link.url)).await, 404);
    }
    let wrong = scene.enter(&link.url, "wrong password").await;
    assert_eq!(wrong.status(), 403);
    assert_eq!(header(&wrong, "set-cookie"), "");
    let wrong = wrong.text().await.expect("a page");
    assert!(wrong.contains("The password is wrong") && !wrong.contains("Secret plans"));
    // An unknown token has the same answer.
    let unknown = link.url.replace(&link.token, UNKNOWN);
    let unknown = scene.enter(&unknown, PASSWORD).await;
    assert_eq!(unknown.status(), 403);
    assert_eq!(unknown.text().await.expect("a page"), wrong);

    let right = scene.enter(&link.url, PASSWORD).await;
    assert_eq!(right.status(), 303);
    assert_eq!(header(&right, "location"), format!("/s/{}", link.token));
    let cookie = header(&right, "set-cookie");
    for part in [
        format!("Path=/s/{}", link.token).as_str(),
        "HttpOnly",
        "SameSite=Lax",
        "Max-Age=43200",
    ] {
        assert!(cookie.split("; ").any(|it| it == part), "{cookie}");
    }
    let (cookie, _) = cookie.split_once(';').expect("a cookie");
    let with = async |url: &str, cookie: &str| {
        let request = scene.viewer.get(url).header("cookie", cookie);
        request.send().await.expect("an answer")
    };
    let page = with(&link.url, cookie).await.text().await.expect("a page");
    assert!(page.contains("Secret plans"));
    let file = format!("{}/file", link.url);
    assert_eq!(with(&file, cookie).await.status(), 200);
    // Another host of the domain may have set a cookie of the name.
    let name = "sortie_share";
    for cookies in [
        format!("{cookie}; {name}=x.y"),
        format!("{name}=x.y; {cookie}"),
    ] {
        assert_eq!(with(&file, &cookies).await.status(), 200, "{cookies}");
    }
    // Neither for another link, nor forged, nor after its time.
    let others = format!("{}/file", other.url);
    assert_eq!(with(&others, cookie).await.status(), 404);
    let (name, value) = cookie.split_once('=').expect("a value");
    let (until, seal) = value.split_once('.').expect("a time");
    let later = until.parse::<i64>().expect("a number") + 1;
    for forged in [
        format!("{name}={later}.{seal}"),
        format!("{name}={until}."),
        format!("{name}={until}"),
        format!("{name}="),
        format!("{name}=9999999999999999999999.{seal}"),
    ] {
        assert_eq!(with(&file, &forged).await.status(), 404, "{forged}");
    }
    scene.server.clock.advance(12 * HOUR);
    assert_eq!(with(&file, cookie).await.status(), 404);
}

#[tokio::test]
async fn form_of_another_site_is_refused() {
    let scene = Scene::new().await;
    let link = scene.share(json!({ "password": PASSWORD })).await;
    let send = async |headers: &[(&str, &str)]| {
        let mut request = scene.viewer.post(&link.url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(form(PASSWORD));
        request.send().await.expect("an answer").status().as_u16()
    };
    for headers in [
        &[("sec-fetch-site", "cross-site"), ("origin", "null")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[],
    ] {
        assert_eq!(send(headers).await, 403, "{headers:?}");
    }
    for headers in [
        // Chromium on localhost and over HTTPS, and over plain HTTP: the page withholds its address.
        &[("sec-fetch-site", "same-origin"), ("origin", "null")][..],
        &[("origin", "null")],
        &[("origin", scene.server.url.as_str())],
    ] {
        assert_eq!(send(headers).await, 303, "{headers:?}");
    }
}

#[tokio::test]
async fn wrong_passwords_are_limited_by_address_and_by_link() {
    let variables = [("SORTIE_TRUSTED_PROXIES", "127.0.0.1")];
    let scene = Scene::with(&variables).await;
    let link = scene.share(json!({ "password": PASSWORD })).await;
    let guess = async |address: &str, url: &str, password: &str| {
        let request = scene.viewer.post(url).body(form(password));
        let request = request.header("x-forwarded-for", address);
        let request = request.header("sec-fetch-site", "same-origin").send();
        request.await.expect("an answer")
    };
    for _ in 0..5 {
        let answer = guess("192.0.2.1", &link.url, "wrong password").await;
        assert_eq!(answer.status(), 403);
    }
    // The right one waits, too: it would reveal that it is right.
    let answer = guess("192.0.2.1", &link.url, PASSWORD).await;
    assert_eq!(answer.status(), 429);
    assert_eq!(header(&answer, "retry-after"), "1");
    assert_eq!(header(&answer, "cache-control"), "no-store");
    let text = answer.text().await.expect("a page");
    assert!(text.contains("Try again in 1 second."), "{text}");
    // Another viewer is not kept waiting.
    assert_eq!(guess("192.0.2.2", &link.url, PASSWORD).await.status(), 303);
    // Many addresses share the limit of the link.
    let mut refused = 0;
    for number in 0..60 {
        let address = format!("198.51.100.{number}");
        let answer = guess(&address, &link.url, "wrong password").await;
        refused += u32::from(answer.status() == 429);
    }
    assert_eq!(refused, 15);
    assert_eq!(
        guess("203.0.113.1", &link.url, PASSWORD).await.status(),
        429
    );
    // Another link is not affected, and the wait passes.
    let other = scene.share(json!({ "password": PASSWORD })).await;
    assert_eq!(
        guess("203.0.113.1", &other.url, PASSWORD).await.status(),
        303
    );
    scene.server.clock.advance(HOUR);
    assert_eq!(
        guess("203.0.113.1", &link.url, PASSWORD).await.status(),
        303
    );
    // Sign-ins have limits of their own.
    scene.server.sign_in("ann", "a good password").await;
}

#[tokio::test]
async fn guessed_tokens_are_limited() {
    let scene = Scene::new().await;
    let link = scene.share(json!({})).await;
    let base = format!("{}/s", scene.server.url);
    for number in 0..200 {
        let path = if number % 2 == 0 { "" } else { "/file" };
        let url = format!("{base}/{number:040}{path}");
        assert_eq!(scene.status(&url).await, 404, "{number}");
    }
    let limited = scene.get(&format!("{base}/{UNKNOWN}")).await;
    assert_eq!(limited.status(), 429);
    assert_eq!(header(&limited, "retry-after"), "1");
    // A right guess is not told apart.
    assert_eq!(scene.status(&link.url).await, 429);
    scene.server.clock.advance(Duration::from_secs(1));
    assert_eq!(scene.status(&link.url).await, 200);
}

#[tokio::test]
async fn malformed_tokens_look_like_unknown_ones() {
    let scene = Scene::new().await;
    let link = scene.share(json!({})).await;
    let mut texts = Vec::new();
    for token in [
        UNKNOWN,
        "x",
        "%00",
        "%FF%FE",
        "..%2f..%2fetc%2fpasswd",
        "%E2%80%AE",
        &link.token.to_ascii_uppercase(),
        &link.token[1..],
        &format!("{}%00", link.token),
        &format!("{}%2F", link.token),
        &"a".repeat(4000),
        "'%20OR%201=1--",
    ] {
        let answer = scene.get(&format!("{}/s/{token}", scene.server.url)).await;
        assert_eq!(answer.status(), 404, "{token}");
        texts.push(answer.text().await.expect("a page"));
    }
    texts.dedup();
    assert_eq!(texts.len(), 1);
}

#[tokio::test]
async fn sharing_that_is_disabled_has_no_routes_and_no_links() {
    let mut scene = Scene::new().await;
    let link = scene.share(json!({})).await;
    scene.server.stop().await;
    scene.server.set_variable("SORTIE_SHARING_ENABLED", "false");
    scene.server.restart().await;
    let ann = scene.server.sign_in("ann", "a good password").await;
    problem(ann.get(&scene.shares()), 404, "not_found").await;
    problem(ann.post(&scene.shares()), 404, "not_found").await;
    let info = json_of(ann.get("/api/info"), 200).await;
    assert_eq!(info["sharing"], false);
    let url = format!("{}/s/{}", scene.server.url, link.token);
    for path in ["", "/file", "/poster"] {
        assert_eq!(scene.status(&format!("{url}{path}")).await, 404);
    }
    assert_eq!(scene.enter(&url, PASSWORD).await.status(), 404);
    // The owner still plays it, also by a playback URL.
    let path = format!("/api/recordings/{}/playback-url", scene.id);
    json_of(ann.post(&path), 201).await;
}

#[tokio::test]
async fn creation_views_and_revocation_are_audited_without_the_token() {
    let scene = Scene::new().await;
    let link = scene
        .share(json!({ "password": PASSWORD, "label": "For Bob" }))
        .await;
    scene.enter(&link.url, "wrong password").await;
    let right = scene.enter(&link.url, PASSWORD).await;
    let cookie = header(&right, "set-cookie");
    let (cookie, _) = cookie.split_once(';').expect("a cookie");
    let file = format!("{}/file", link.url);
    let watch = async || {
        let request = scene.viewer.get(&file).header("cookie", cookie);
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    };
    watch().await;
    watch().await;
    scene.server.clock.advance(HOUR);
    watch().await;
    let path = format!("{}/{}", scene.shares(), link.id);
    let ann = scene.server.sign_in("ann", "a good password").await;
    let revoked = ann.delete(&path).send().await.expect("an answer");
    assert_eq!(revoked.status(), 204);

    let created = scene.audit("share.create").await;
    let detail = created[0]["detail"].as_str().expect("a detail");
    assert!(detail.starts_with(&format!("share {}, until 2026-11-28", link.id)));
    assert!(detail.ends_with(", with a password"), "{detail}");
    assert_eq!(created[0]["actor_name"], "ann");
    let views = scene.audit("recording.view").await;
    assert_eq!(views.len(), 3, "{views:?}");
    for view in &views {
        assert_eq!(view["via"], "share");
        assert_eq!(view["address"], "127.0.0.1");
        let detail = view["detail"].as_str().expect("a detail");
        assert!(
            detail.starts_with(&format!("share {}", link.id)),
            "{detail}"
        );
    }
    let denied = views.iter().filter(|view| view["result"] == "denied");
    assert_eq!(denied.count(), 1);
    let revoked = scene.audit("share.revoke").await;
    assert_eq!(revoked[0]["detail"], format!("share {}", link.id));

    // Neither the log nor the database has the token, the password or the label of the log.
    let all = json_of(scene.server.admin().await.get("/api/admin/audit"), 200).await;
    let all = all.to_string();
    for secret in [&link.token, PASSWORD, "For Bob"] {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn metrics_do_not_name_tokens() {
    let scene = Scene::new().await;
    let link = scene.share(json!({})).await;
    for path in ["", "/file", "/poster", "/other"] {
        scene.get(&format!("{}{path}", link.url)).await;
    }
    let metrics = scene.server.admin().await.get("/metrics").send().await;
    let metrics = metrics.expect("an answer").text().await.expect("a body");
    assert!(metrics.contains("/s/{token}/file"), "{metrics}");
    assert!(!metrics.contains(&link.token));
}

#[tokio::test]
async fn concurrent_revocation_ends_every_request_that_follows() {
    let scene = Scene::new().await;
    for _ in 0..10 {
        let link = scene.share(json!({})).await;
        let path = format!("{}/{}", scene.shares(), link.id);
        let file = format!("{}/file", link.url);
        let watching = async {
            let requests = (0..8).map(|_| scene.status(&file));
            futures_util::future::join_all(requests).await
        };
        let revokes = (0..3).map(|_| scene.ann.delete(&path).send());
        let (statuses, revoked) =
            futures_util::join!(watching, futures_util::future::join_all(revokes));
        assert!(
            statuses.iter().all(|it| *it == 200 || *it == 404),
            "{statuses:?}"
        );
        let done = revoked
            .iter()
            .filter(|it| it.as_ref().is_ok_and(|it| it.status() == 204));
        assert_eq!(done.count(), 1);
        assert_eq!(scene.status(&file).await, 404);
    }
    assert_eq!(scene.audit("share.revoke").await.len(), 10);
}

#[tokio::test]
async fn link_to_an_unfinished_recording_waits_for_it() {
    let mut scene = Scene::new().await;
    let (id, _) = scene.ann.start_recording().await;
    scene.id = id.clone();
    let link = scene.share(json!({})).await;
    let page = scene.get(&link.url).await.text().await.expect("a page");
    assert!(page.contains("not complete yet"), "{page}");
    assert_eq!(scene.status(&format!("{}/file", link.url)).await, 404);
    let file = chromium_webm();
    let request = scene
        .ann
        .patch(&format!("/api/uploads/{id}"), 0, file.clone());
    let answer = request.header("Upload-Length", file.len()).send().await;
    assert_eq!(answer.expect("an answer").status(), 204);
    assert_eq!(scene.status(&format!("{}/file", link.url)).await, 200);
}

#[tokio::test]
async fn link_names_the_requested_host_unless_it_is_malformed() {
    let scene = Scene::new().await;
    for (host, expected) in [
        (
            "recordings.example:8080",
            "http://recordings.example:8080/s/",
        ),
        ("[::1]:8080", "http://[::1]:8080/s/"),
        ("evil.example\"<x>", "/s/"),
        ("user@evil.example", "/s/"),
    ] {
        let request = scene.ann.post(&scene.shares()).header("host", host);
        let created = json_of(request, 201).await;
        let url = created["url"].as_str().expect("a URL");
        assert!(url.starts_with(expected), "{host}: {url}");
    }
}

#[tokio::test]
async fn link_below_a_path_has_the_prefix() {
    let public = [("SORTIE_PUBLIC_URL", "https://example.com/record")];
    let scene = Scene::with(&public).await;
    let link = scene.share(json!({ "password": PASSWORD })).await;
    let path = format!("/record/s/{}", link.token);
    assert_eq!(link.url, format!("https://example.com{path}"));
    let url = format!("{}{path}", scene.server.url);
    let request = scene.viewer.post(&url).body(form(PASSWORD));
    let request = request.header("host", "example.com");
    let request = request.header("sec-fetch-site", "same-origin").send();
    let right = request.await.expect("an answer");
    assert_eq!(right.status(), 303);
    assert_eq!(header(&right, "location"), path);
    let cookie = header(&right, "set-cookie");
    assert!(cookie.contains(&format!("Path={path}")), "{cookie}");
    assert!(cookie.contains("Secure"), "{cookie}");
    let (cookie, _) = cookie.split_once(';').expect("a cookie");
    let page = scene.viewer.get(&url).header("cookie", cookie).send().await;
    let page = page.expect("an answer").text().await.expect("a page");
    assert!(page.contains(&format!("src=\"{path}/file\"")), "{page}");
    assert!(page.contains("href=\"/record/s/style.css\""), "{page}");
}
