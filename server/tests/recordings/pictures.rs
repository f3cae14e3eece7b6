//! Pictures: validation, access, thinning, poster, storyboard, quota, and their end.

use std::process::Command;

use reqwest::{RequestBuilder, StatusCode};

use crate::support::images::{jpeg, webp};
use crate::support::process::Process;
use crate::support::streams::screen_webm;
use crate::support::{Client, TestServer, header, json_of, problem};

fn path(id: &str) -> String {
    format!("/api/recordings/{id}/pictures")
}

fn post(client: &Client, id: &str, at_ms: &str, kind: &str, bytes: Vec<u8>) -> RequestBuilder {
    let post = client.post(&format!("{}?at_ms={at_ms}", path(id)));
    post.header("content-type", kind).body(bytes)
}

async fn add(client: &Client, id: &str, at_ms: u64, bytes: Vec<u8>) {
    let post = post(client, id, &at_ms.to_string(), "image/jpeg", bytes);
    let status = post.send().await.expect("an answer").status();
    assert_eq!(status, StatusCode::NO_CONTENT, "{at_ms}");
}

async fn poster(client: &Client, id: &str) -> reqwest::Response {
    let poster = client.get(&format!("/api/recordings/{id}/poster"));
    poster.send().await.expect("an answer")
}

async fn storyboard(client: &Client, id: &str) -> String {
    let storyboard = client.get(&format!("/api/recordings/{id}/storyboard.vtt"));
    let answer = storyboard.send().await.expect("an answer");
    assert_eq!(header(&answer, "content-type"), "text/vtt; charset=utf-8");
    answer.text().await.expect("a text")
}

#[tokio::test]
async fn pictures_become_poster_and_storyboard() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let id = client.record(&screen_webm(100, |_| true)).await;
    problem(
        client.get(&format!("/api/recordings/{id}/poster")),
        404,
        "not_found",
    )
    .await;
    problem(
        client.get(&format!("/api/recordings/{id}/storyboard.vtt")),
        404,
        "not_found",
    )
    .await;
    assert_eq!(client.recording(&id).await.get("pictures"), None);

    add(&client, &id, 1_000, jpeg(320, 180, 1)).await;
    add(&client, &id, 11_000, jpeg(320, 180, 2)).await;
    let post_webp = post(&client, &id, "100000", "image/webp", webp(180, 100));
    let added = post_webp.send().await.expect("an answer");
    assert_eq!(added.status(), StatusCode::NO_CONTENT);
    assert_eq!(client.recording(&id).await["pictures"], 3);

    // A tenth of the length is at 10 s.
    let answer = poster(&client, &id).await;
    assert_eq!(header(&answer, "content-type"), "image/jpeg");
    assert_eq!(header(&answer, "cache-control"), "private, no-cache");
    let etag = header(&answer, "etag");
    assert_eq!(answer.bytes().await.expect("a picture"), jpeg(320, 180, 2));
    let again = client.get(&format!("/api/recordings/{id}/poster?pictures=3"));
    let again = again.header("if-none-match", etag).send().await;
    assert_eq!(again.expect("an answer").status(), StatusCode::NOT_MODIFIED);

    let expected = "WEBVTT\n\n00:00:00.000 --> 00:00:11.000\npictures/1000#xywh=0,0,320,180\n\n\
         00:00:11.000 --> 00:01:40.000\npictures/11000#xywh=0,0,320,180\n\n\
         00:01:40.000 --> 00:01:40.001\npictures/100000#xywh=0,0,180,100\n";
    assert_eq!(storyboard(&client, &id).await, expected);
    let last = client.get(&format!("{}/100000", path(&id))).send().await;
    let last = last.expect("an answer");
    assert_eq!(header(&last, "content-type"), "image/webp");
    assert_eq!(last.bytes().await.expect("a picture"), webp(180, 100));
    for at in ["11001", "-1", "NaN", "99999999999999999999", "%00"] {
        let missing = client.get(&format!("{}/{at}", path(&id)));
        problem(missing, 404, "not_found").await;
    }
}

#[tokio::test]
async fn first_picture_of_ten_seconds_stays() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let id = client.record(&screen_webm(30, |_| true)).await;
    add(&client, &id, 12_000, jpeg(320, 180, 1)).await;
    add(&client, &id, 19_999, jpeg(320, 180, 2)).await;
    add(&client, &id, 12_000, jpeg(320, 180, 3)).await;
    assert_eq!(client.recording(&id).await["pictures"], 1);
    let bytes = poster(&client, &id).await.bytes().await;
    assert_eq!(bytes.expect("a picture"), jpeg(320, 180, 1));
}

#[tokio::test]
async fn invalid_pictures_are_rejected() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let id = client.record(&screen_webm(5, |_| true)).await;
    let good = jpeg(320, 180, 1);
    for at in [
        "5001",
        "-1",
        "NaN",
        "1.5",
        "",
        "99999999999999999999",
        "1e3",
    ] {
        let wrong = post(&client, &id, at, "image/jpeg", good.clone());
        problem(wrong, 400, "invalid_field").await;
    }
    let missing = client.post(&path(&id)).header("content-type", "image/jpeg");
    problem(missing.body(good.clone()), 400, "invalid_field").await;
    for kind in ["image/png", "text/html", "image/svg+xml", ""] {
        let wrong = post(&client, &id, "0", kind, good.clone());
        problem(wrong, 415, "unsupported_media_type").await;
    }
    let mut torn = good.clone();
    torn.truncate(good.len() - 2);
    for (kind, bytes) in [
        ("image/jpeg", Vec::new()),
        ("image/jpeg", b"<script>alert(1)</script>".to_vec()),
        ("image/jpeg", webp(320, 180)),
        ("image/webp", good.clone()),
        ("image/jpeg", torn),
        ("image/jpeg", jpeg(321, 180, 1)),
        ("image/jpeg", jpeg(320, 181, 1)),
        ("image/jpeg", jpeg(0, 180, 1)),
        ("image/jpeg", jpeg(65_535, 65_535, 1)),
        ("image/webp", webp(16_383, 16_383)),
    ] {
        let wrong = post(&client, &id, "0", kind, bytes);
        problem(wrong, 400, "invalid_field").await;
    }
    let mut huge = good.clone();
    huge.splice(
        2..2,
        [0xFF, 0xFE, 0xFF, 0xFF].into_iter().chain([0; 65_533]),
    );
    problem(
        post(&client, &id, "0", "image/jpeg", huge),
        413,
        "too_large",
    )
    .await;
    let endless = vec![0; 10 << 20];
    problem(
        post(&client, &id, "0", "image/jpeg", endless),
        413,
        "too_large",
    )
    .await;
    assert_eq!(client.recording(&id).await.get("pictures"), None);
    let portrait = post(&client, &id, "0", "image/jpeg", jpeg(180, 320, 1));
    let portrait = portrait.send().await.expect("an answer");
    assert_eq!(portrait.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn long_recording_keeps_300_pictures() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let (id, _) = client.start_recording().await;
    let database = server.database().await;
    add(&client, &id, 0, jpeg(320, 180, 1)).await;
    for number in 1..300 {
        let copy = "INSERT INTO pictures (id, recording_id, at_ms, kind, width, height, bytes) \
             SELECT recording_id || ' ' || CAST($1 AS TEXT), recording_id, $1, kind, width, height, bytes \
             FROM pictures WHERE at_ms = 0";
        let copy = sqlx::query(copy).bind(number * 10_000_i64);
        copy.execute(&database).await.expect("a statement");
    }
    let size = i64::try_from(jpeg(320, 180, 1).len()).expect("small");
    let count = "UPDATE recordings SET pictures = 300, picture_bytes = 300 * $1";
    let counted = sqlx::query(count).bind(size).execute(&database).await;
    counted.expect("a statement");

    add(&client, &id, 3_000_000, jpeg(320, 180, 1)).await;
    assert_eq!(client.recording(&id).await["pictures"], 151);
    let bytes: i64 = sqlx::query_scalar("SELECT picture_bytes FROM recordings")
        .fetch_one(&database)
        .await
        .expect("a row");
    assert_eq!(bytes, 151 * size);
    add(&client, &id, 3_010_000, jpeg(320, 180, 2)).await;
    assert_eq!(client.recording(&id).await["pictures"], 151);
    let storyboard = storyboard(&client, &id).await;
    assert!(
        storyboard.contains("00:49:40.000 --> 00:50:00.000\n"),
        "{storyboard}"
    );
    assert_eq!(storyboard.matches("-->").count(), 151);
    // The newest one, as the recording grows.
    let etag = header(&poster(&client, &id).await, "etag");
    assert_eq!(etag, format!("\"{id}-3000000\""));
}

#[tokio::test]
async fn pictures_obey_the_access_rules_of_the_recording() {
    let server = TestServer::start().await;
    let (admin, ann, bea) = (
        server.admin().await,
        server.user("ann").await,
        server.user("bea").await,
    );
    let (id, session) = ann.start_recording().await;
    let (other, _) = ann.start_recording().await;
    let token = json_of(ann.post(&format!("/api/sessions/{session}/token")), 200).await;
    let mut page = server.anonymous();
    page.token = token["token"].as_str().map(str::to_owned);
    // The recorder may be ahead of the received bytes.
    add(&page, &id, 1_000, jpeg(320, 180, 1)).await;
    let outside = post(&page, &other, "0", "image/jpeg", jpeg(320, 180, 1));
    problem(outside, 403, "forbidden").await;
    let foreign = post(&bea, &id, "20000", "image/jpeg", jpeg(320, 180, 1));
    problem(foreign, 403, "forbidden").await;
    for what in ["poster", "storyboard.vtt", "pictures/1000"] {
        let path = format!("/api/recordings/{id}/{what}");
        problem(bea.get(&path), 403, "forbidden").await;
        problem(page.get(&path), 403, "forbidden").await;
        problem(server.anonymous().get(&path), 401, "unauthenticated").await;
        let allowed = admin.get(&path).send().await.expect("an answer");
        assert_eq!(allowed.status(), StatusCode::OK, "{what}");
    }
    // The storyboard shows the recording, so it is audited; the poster in a list is not.
    let views = format!("/api/admin/audit?subject={id}&action=recording.view");
    let rows = json_of(admin.get(&views), 200).await;
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    assert_eq!(rows[0]["actor_name"], "admin", "{rows}");
}

#[tokio::test]
async fn pictures_count_in_usage_and_quota() {
    let server = TestServer::with(&[("SORTIE_QUOTA_MB_PER_USER", "1")]).await;
    let client = server.user("ann").await;
    let id = client.record(&screen_webm(5, |_| true)).await;
    let size = client.recording(&id).await["size_bytes"].as_u64();
    let usage = json_of(client.get("/api/storage/usage"), 200).await;
    assert_eq!(usage["bytes"].as_u64(), size);
    let picture = jpeg(320, 180, 1);
    let with_picture = size.map(|size| size + picture.len() as u64);
    add(&client, &id, 0, picture.clone()).await;
    let usage = json_of(client.get("/api/storage/usage"), 200).await;
    assert_eq!(usage["bytes"].as_u64(), with_picture);
    let report = json_of(server.admin().await.get("/api/admin/storage"), 200).await;
    assert_eq!(report["used_bytes"].as_u64(), with_picture);
    assert_eq!(report["by_user"][0]["bytes"].as_u64(), with_picture);
    assert_eq!(report["growth"][0]["bytes"].as_u64(), with_picture);

    // Fills the quota.
    let full = server.user("bea").await;
    let (id, _) = full.start_recording().await;
    let upload = full.patch(&format!("/api/uploads/{id}"), 0, vec![0; 1 << 20]);
    assert!(
        upload
            .send()
            .await
            .expect("an answer")
            .status()
            .is_success()
    );
    let refused = post(&full, &id, "0", "image/jpeg", picture);
    problem(refused, 413, "quota_exceeded").await;
}

#[tokio::test]
async fn pictures_die_with_their_recording() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let (gone, kept) = (
        client.record(&screen_webm(3, |_| true)).await,
        client.record(&screen_webm(3, |_| true)).await,
    );
    add(&client, &gone, 0, jpeg(320, 180, 1)).await;
    add(&client, &kept, 0, jpeg(320, 180, 2)).await;
    let deleted = client
        .delete(&format!("/api/recordings/{gone}"))
        .send()
        .await;
    assert_eq!(deleted.expect("an answer").status(), StatusCode::NO_CONTENT);
    for what in ["poster", "storyboard.vtt", "pictures/0"] {
        let path = format!("/api/recordings/{gone}/{what}");
        problem(client.get(&path), 404, "not_found").await;
    }
    let late = post(&client, &gone, "0", "image/jpeg", jpeg(320, 180, 1));
    problem(late, 404, "not_found").await;
    let left: Vec<String> = sqlx::query_scalar("SELECT recording_id FROM pictures")
        .fetch_all(&server.database().await)
        .await
        .expect("rows");
    assert_eq!(left, [kept]);
}

#[tokio::test]
async fn finished_recording_hides_pictures_behind_its_end() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let (id, _) = client.start_recording().await;
    add(&client, &id, 1_000, jpeg(320, 180, 1)).await;
    add(&client, &id, 60_000, jpeg(320, 180, 2)).await;
    let bytes = screen_webm(3, |_| true);
    let upload = client.patch(&format!("/api/uploads/{id}"), 0, bytes.clone());
    let upload = upload.header("Upload-Length", bytes.len()).send().await;
    assert_eq!(upload.expect("an answer").status(), StatusCode::NO_CONTENT);
    let expected = "WEBVTT\n\n00:00:00.000 --> 00:00:03.000\npictures/1000#xywh=0,0,320,180\n";
    assert_eq!(storyboard(&client, &id).await, expected);
}

#[tokio::test]
async fn acknowledged_pictures_survive_sigkill() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sortie-server"));
        command
            .env("SORTIE_DB", folder.path().join("sortie.db"))
            .env("SORTIE_RECORDING_STORAGE_PATH", folder.path());
        Process::start(&mut command, None)
    };
    let process = start();
    let client = Client::admin_at(&process.url).await;
    let (id, _) = client.start_recording().await;
    for at in 0..20 {
        add(&client, &id, at * 10_000, jpeg(320, 180, 7)).await;
    }
    drop(process);
    let process = start();
    let client = client.at(&process.url);
    assert_eq!(client.recording(&id).await["pictures"], 20);
    let cues = storyboard(&client, &id).await;
    assert_eq!(cues.matches("-->").count(), 20);
    let bytes = poster(&client, &id).await.bytes().await;
    assert_eq!(bytes.expect("a picture"), jpeg(320, 180, 7));
    let same = post(&client, &id, "190000", "image/jpeg", jpeg(320, 180, 8));
    let same = same.send().await.expect("an answer");
    assert_eq!(same.status(), StatusCode::NO_CONTENT);
    assert_eq!(client.recording(&id).await["pictures"], 20);
}
