//! Copies of WebM and Matroska recordings as MP4.

use reqwest::{Method, StatusCode};
use serde_json::json;
use sortie_media::Indexer;

use crate::support::{Client, TestServer, chromium_webm, header, json_of, problem};

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../media/tests/data/");
    std::fs::read(format!("{folder}{name}")).expect("a fixture")
}

/// Checks that an answer is an MP4 of about this many milliseconds.
async fn check(answer: reqwest::Response, duration_ms: u64) -> Vec<u8> {
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(header(&answer, "content-type"), "video/mp4");
    assert_eq!(header(&answer, "accept-ranges"), "none");
    assert!(header(&answer, "vary").contains("Accept"));
    let name = header(&answer, "content-disposition");
    assert!(name.contains(".mp4\""), "{name}");
    let bytes = answer.bytes().await.expect("a body").to_vec();
    let mut indexer = Indexer::new();
    indexer.push(&bytes);
    let found = indexer.duration_ms();
    assert!(
        found.abs_diff(duration_ms) < 150,
        "{found} of {duration_ms}"
    );
    bytes
}

async fn duration_ms(client: &Client, id: &str) -> u64 {
    let row = json_of(client.get(&format!("/api/recordings/{id}")), 200).await;
    let seconds = row["duration_seconds"].as_f64().expect("a duration");
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small"
    )]
    let ms = (seconds * 1000.0) as u64;
    ms
}

async fn check_copies(server: &TestServer) {
    let client = server.user("ann").await;
    for name in [
        "chromium-vp9-opus.webm",
        "chromium-avc1-opus-mkv.mkv",
        "chromium-av1-opus.webm",
    ] {
        let id = client.record(&fixture(name)).await;
        let length_ms = duration_ms(&client, &id).await;
        let path = format!("/api/recordings/{id}");
        let get = async |path: &str| client.get(path).send().await.expect("an answer");
        let whole = check(get(&format!("{path}/download?format=mp4")).await, length_ms).await;
        let played = check(get(&format!("{path}/stream?format=mp4")).await, length_ms).await;
        assert_eq!(whole, played);
        let accepting = client
            .get(&format!("{path}/stream"))
            .header("accept", "video/mp4");
        let accepted = accepting.send().await.expect("an answer");
        assert_eq!(check(accepted, length_ms).await, whole);
        // Players accept everything, and get the recording.
        let own = client
            .get(&format!("{path}/stream"))
            .header("accept", "video/mp4, */*;q=0.1");
        let own = own.send().await.expect("an answer");
        assert_ne!(header(&own, "content-type"), "video/mp4");
        assert_eq!(header(&own, "accept-ranges"), "bytes");
        let clip = get(&format!("{path}/clip?start_ms=0&end_ms=900&format=mp4")).await;
        check(clip, 900).await;
        let head = client.request(Method::HEAD, &format!("{path}/download?format=mp4"));
        let head = head.send().await.expect("an answer");
        assert_eq!(header(&head, "content-type"), "video/mp4");
        assert_eq!(header(&head, "content-length"), "");
    }
}

#[tokio::test]
async fn recording_is_copied_as_mp4() {
    check_copies(&TestServer::start().await).await;
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn copy_is_not_redirected_to_s3() {
    use crate::support::seaweedfs::seaweedfs;
    use crate::support::store::s3_server;

    check_copies(&s3_server(&seaweedfs().endpoint, &[]).await).await;
}

#[tokio::test]
async fn mp4_is_sent_as_it_is() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let id = client.record(&fixture("ffmpeg-ordinary.mp4")).await;
    let path = format!("/api/recordings/{id}/stream");
    let own = client.get(&path).send().await.expect("an answer");
    let same = client.get(&format!("{path}?format=mp4")).send().await;
    let same = same.expect("an answer");
    assert_eq!(header(&same, "etag"), header(&own, "etag"));
    assert_eq!(header(&same, "accept-ranges"), "bytes");
    let bytes = same.bytes().await.expect("a body");
    assert_eq!(bytes, own.bytes().await.expect("a body"));
}

#[tokio::test]
async fn copy_that_is_not_possible_is_refused() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let id = client.record(&chromium_webm()).await;
    let path = format!("/api/recordings/{id}");
    for route in [
        "download?format=mp4",
        "stream?format=mp4",
        "clip?start_ms=0&end_ms=900&format=mp4",
    ] {
        let refused = client.get(&format!("{path}/{route}"));
        let sentence = problem(refused, 406, "not_acceptable").await;
        assert!(
            sentence.contains("VP8") && sentence.contains("Download"),
            "{sentence}"
        );
    }
    let only_mp4 = client
        .get(&format!("{path}/download"))
        .header("accept", "video/mp4");
    problem(only_mp4, 406, "not_acceptable").await;
    let sentence = problem(
        client.get(&format!("{path}/download?format=avi")),
        400,
        "invalid_field",
    )
    .await;
    assert!(sentence.contains("mp4"), "{sentence}");
    let other = server.user("bea").await;
    problem(
        other.get(&format!("{path}/download?format=mp4")),
        403,
        "forbidden",
    )
    .await;
    let (open, _) = client.start_recording().await;
    let open = format!("/api/recordings/{open}/download?format=mp4");
    problem(client.get(&open), 409, "not_ready").await;
}

#[tokio::test]
async fn each_copy_is_audited_as_a_download() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = admin.record(&fixture("chromium-vp9-opus.webm")).await;
    let path = format!("/api/recordings/{id}/download?format=mp4");
    for method in [Method::GET, Method::HEAD, Method::GET] {
        let answer = admin
            .request(method, &path)
            .send()
            .await
            .expect("an answer");
        answer.bytes().await.expect("a body");
    }
    let path = format!("/api/admin/audit?subject={id}&action=recording.download");
    let rows = json_of(admin.get(&path), 200).await;
    assert_eq!(rows.as_array().map(Vec::len), Some(2), "{rows:?}");
}

#[tokio::test]
async fn playback_url_and_share_link_serve_copies() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let id = client.record(&fixture("chromium-vp9-opus.webm")).await;
    let length_ms = duration_ms(&client, &id).await;
    let path = format!("/api/recordings/{id}");
    for (route, suffix) in [
        ("playback-url", "&format=mp4"),
        ("shares", "/file?format=mp4"),
    ] {
        let created = client.post(&format!("{path}/{route}")).json(&json!({}));
        let created = json_of(created, 201).await;
        let url = format!("{}{suffix}", created["url"].as_str().expect("a URL"));
        let answer = client.http.get(url).send().await.expect("an answer");
        check(answer, length_ms).await;
    }
    let shares = json_of(client.get(&format!("{path}/shares")), 200).await;
    assert_eq!(shares[0]["views"], 1);
}
