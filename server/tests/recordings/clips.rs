//! Clips and seek indexes of recordings.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use sortie_media::{SeekIndex, SeekIndexReader};

use crate::support::streams::{screen_webm, sparse_webm};
use crate::support::{Client, START_MS, TestServer, header, json_of, problem};
use sortie_server::{CapturedFile, Server};

/// A minute with a keyframe every ten seconds.
fn minute() -> Vec<u8> {
    screen_webm(60, |second| second % 2 == 0)
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../media/tests/data/");
    std::fs::read(format!("{folder}{name}")).expect("a fixture")
}

fn index_of(file: &[u8]) -> SeekIndex {
    let mut reader = SeekIndexReader::new(file.len() as u64);
    while let Some(range) = reader.wanted() {
        let at = |position| usize::try_from(position).expect("small");
        reader.push(&file[at(range.start)..at(range.end)]);
    }
    reader.finish().expect("an index")
}

async fn clip(client: &Client, id: &str, start_ms: u64, end_ms: u64) -> (HeaderMap, Vec<u8>) {
    let path = format!("/api/recordings/{id}/clip?start_ms={start_ms}&end_ms={end_ms}");
    let answer = client.get(&path).send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let head = client.request(reqwest::Method::HEAD, &path).send().await;
    let head = head.expect("an answer");
    for name in ["content-type", "content-disposition", "content-length"] {
        assert_eq!(header(&head, name), header(&answer, name), "{name}");
    }
    let headers = answer.headers().clone();
    (headers, answer.bytes().await.expect("a body").to_vec())
}

fn field(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).expect("a header");
    value.to_str().expect("a text").to_owned()
}

async fn check_webm(server: &TestServer) {
    let client = server.user("ann").await;
    let id = client.record(&minute()).await;
    let path = format!("/api/recordings/{id}");
    let title = json!({ "title": "Check/out" });
    let titled = client.request(reqwest::Method::PATCH, &path).json(&title);
    json_of(titled, 200).await;
    let (headers, bytes) = clip(&client, &id, 25_000, 35_000).await;
    assert_eq!(field(&headers, "content-type"), "video/webm");
    let name = field(&headers, "content-disposition");
    assert!(
        name.starts_with("attachment; filename=\"Check-out 00.00.20-00.00.35.webm\""),
        "{name}"
    );
    let index = index_of(&bytes);
    assert_eq!(index.duration_ms(), 15_000);
    let times: Vec<_> = index.keyframes().iter().map(|it| it.time_ms).collect();
    assert_eq!(times, [0, 10_000]);
    // To the end, and over it.
    for end_ms in [60_000, u64::MAX] {
        let (_, rest) = clip(&client, &id, 59_999, end_ms).await;
        assert_eq!(index_of(&rest).duration_ms(), 10_000);
    }

    let index = json_of(client.get(&format!("{path}/index")), 200).await;
    let times = json!([0, 10_000, 20_000, 30_000, 40_000, 50_000]);
    assert_eq!(
        (&index["duration_ms"], &index["times_ms"]),
        (&json!(60_000), &times)
    );
    let file = client.get(&format!("{path}/stream")).send().await;
    let file = file.expect("an answer").bytes().await.expect("a body");
    assert_eq!(index["media_type"], "video/webm; codecs=\"vp8\"");
    assert_eq!(index["size_bytes"], file.len());
    for position in index["positions"].as_array().expect("an array") {
        let at = usize::try_from(position.as_u64().expect("a number")).expect("small");
        assert_eq!(file[at..at + 4], [0x1F, 0x43, 0xB6, 0x75]);
    }
}

#[tokio::test]
async fn clip_begins_at_a_keyframe_and_ends_at_its_end() {
    check_webm(&TestServer::start().await).await;
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn clip_from_s3() {
    use crate::support::seaweedfs::seaweedfs;
    use crate::support::store::s3_server;

    check_webm(&s3_server(&seaweedfs().endpoint, &[]).await).await;
}

#[tokio::test]
async fn clip_of_mp4_has_a_known_size() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let id = client.record(&fixture("gstreamer-mp4mux.mp4")).await;
    let (headers, bytes) = clip(&client, &id, 500, 1500).await;
    assert_eq!(field(&headers, "content-type"), "video/mp4");
    assert_eq!(field(&headers, "content-length"), bytes.len().to_string());
    let name = field(&headers, "content-disposition");
    assert!(name.contains(".mp4\""), "{name}");
    let index = index_of(&bytes);
    assert!((1_000..=1_500).contains(&index.duration_ms()), "{index:?}");
    assert_eq!(index.keyframes()[0].time_ms, 0);
}

#[tokio::test]
async fn each_clip_is_audited() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = admin.record(&minute()).await;
    for _ in 0..2 {
        clip(&admin, &id, 0, 5_000).await;
    }
    let path = format!("/api/admin/audit?subject={id}&action=recording.download");
    let rows = json_of(admin.get(&path), 200).await;
    let rows = rows.as_array().expect("an array");
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(
        rows.iter()
            .all(|row| row["detail"] == "clip 00:00:00-00:00:05"),
        "{rows:?}"
    );
}

#[tokio::test]
async fn download_of_a_clip_can_be_continued() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for (file, name) in [
        (minute(), "00:00:00-00:00:25"),
        (fixture("gstreamer-mp4mux.mp4"), "00:00:00-00:00:01"),
    ] {
        let id = admin.record(&file).await;
        let path = format!("/api/recordings/{id}/clip?start_ms=0&end_ms=25000");
        let path = match name {
            "00:00:00-00:00:01" => path.replace("25000", "1000"),
            _ => path,
        };
        let whole = admin.get(&path).send().await.expect("an answer");
        assert_eq!(header(&whole, "accept-ranges"), "bytes");
        let tag = header(&whole, "etag");
        let length = header(&whole, "content-length");
        let whole = whole.bytes().await.expect("a body");
        assert_eq!(length, whole.len().to_string());
        for at in [0, 1, whole.len() / 2, whole.len() - 1] {
            let rest = admin.get(&path).header("range", format!("bytes={at}-"));
            let rest = rest.header("if-range", &tag).send().await;
            let rest = rest.expect("an answer");
            assert_eq!(rest.status(), 206, "{at}");
            let range = format!("bytes {at}-{}/{}", whole.len() - 1, whole.len());
            assert_eq!(header(&rest, "content-range"), range);
            assert_eq!(rest.bytes().await.expect("a body"), whole.slice(at..));
        }
        let rows = format!("/api/admin/audit?subject={id}&action=recording.download");
        let rows = json_of(admin.get(&rows), 200).await;
        let rows = rows.as_array().expect("an array");
        // The first request, and `bytes=0-`, which is the whole file again.
        assert_eq!(rows.len(), 2, "{rows:?}");
        assert_eq!(rows[0]["detail"], format!("clip {name}"));
    }
}

/// Its last keyframe interval is not read before the first byte is sent.
#[tokio::test]
async fn clip_of_a_long_keyframe_interval_is_sent_without_its_size() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = admin.record(&sparse_webm()).await;
    let path = format!("/api/recordings/{id}/clip?start_ms=0&end_ms=20000");
    let request = admin.get(&path).header("range", "bytes=100-");
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(header(&answer, "accept-ranges"), "none");
    assert_eq!(header(&answer, "content-length"), "");
    let bytes = answer.bytes().await.expect("a body");
    assert_eq!(index_of(&bytes).duration_ms(), 20_000);
}

#[tokio::test]
async fn invalid_ranges_are_refused() {
    let server = TestServer::start().await;
    let client = server.user("ann").await;
    let id = client.record(&minute()).await;
    let path = format!("/api/recordings/{id}/clip");
    for range in [
        "",
        "?start_ms=0",
        "?end_ms=1000",
        "?start_ms=2000&end_ms=1000",
        "?start_ms=1000&end_ms=1000",
        "?start_ms=60000&end_ms=70000",
        "?start_ms=18446744073709551615&end_ms=18446744073709551615",
        "?start_ms=0&end_ms=18446744073709551616",
        "?start_ms=NaN&end_ms=1000",
        "?start_ms=-1&end_ms=1000",
        "?start_ms=0.5&end_ms=1000",
        "?start_ms=0&end_ms=Infinity",
        "?start_ms=&end_ms=",
    ] {
        let sentence = problem(client.get(&format!("{path}{range}")), 400, "invalid_field").await;
        assert!(sentence.contains("_ms"), "{range}: {sentence}");
    }
    let range = "?start_ms=0&end_ms=1000";
    let other = server.user("bea").await;
    for route in [format!("clip{range}"), "index".to_owned()] {
        let path = format!("/api/recordings/{id}/{route}");
        problem(other.get(&path), 403, "forbidden").await;
        let path = format!("/api/recordings/nothing/{route}");
        problem(client.get(&path), 404, "not_found").await;
    }
}

#[tokio::test]
async fn recording_without_index_has_no_clip() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (open, _) = client.start_recording().await;
    let failed = client.record(b"this is no recording").await;
    let damaged = client.record(&minute()).await;
    std::fs::write(server.file(&format!("{damaged}.webm")), b"short").expect("writable");
    // Another program wrote an MP4 in fragments.
    let (name, bytes) = ("fragments.mp4", fixture("chromium-mp4.mp4"));
    std::fs::write(server.file(name), &bytes).expect("the folder is writable");
    let beside = Server::open(server.config(), server.clock.clone()).await;
    let importer = beside.expect("a server").importer();
    let file = CapturedFile {
        name: name.to_owned(),
        session: "019aa5b2-0000-7000-8000-00000000000a".to_owned(),
        created_ms: START_MS + 1,
        duration_ms: 2_000,
        size_bytes: bytes.len() as u64,
        modified_ms: None,
        folder: None,
        forward_pending: false,
        interrupted: false,
        failure: None,
    };
    assert!(importer.import(&file).await.expect("imported"));
    let list = json_of(client.get("/api/recordings"), 200).await;
    let rows = list.as_array().expect("an array");
    let fragmented = rows
        .iter()
        .find(|row| row["format"] == "mp4")
        .expect("a row");
    let fragmented = fragmented["id"].as_str().expect("an ID");
    for (id, code, word) in [
        (open.as_str(), "not_ready", "not ready"),
        (failed.as_str(), "not_ready", "cannot be played"),
        (damaged.as_str(), "conflict", "no index"),
        (fragmented, "conflict", "fragmented MP4"),
    ] {
        for route in ["clip?start_ms=0&end_ms=1000", "index"] {
            let path = format!("/api/recordings/{id}/{route}");
            let sentence = problem(client.get(&path), 409, code).await;
            assert!(sentence.contains(word), "{sentence}");
        }
    }
}

#[tokio::test]
async fn known_index_is_not_sent_again() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let id = client.record(&minute()).await;
    let path = format!("/api/recordings/{id}/index");
    let first = client.get(&path).send().await.expect("an answer");
    let etag = header(&first, "etag");
    assert_eq!(header(&first, "cache-control"), "private, no-cache");
    let again = client
        .get(&path)
        .header("if-none-match", &etag)
        .send()
        .await;
    assert_eq!(again.expect("an answer").status(), StatusCode::NOT_MODIFIED);
    let other = client.get(&path).header("if-none-match", "W/\"other\"");
    let _: Value = json_of(other, 200).await;
}
