//! Ranges and conditions of a download (RFC 9110, sections 13 and 14), from a folder and from S3.

use crate::support::{Client, TestServer, chromium_webm, header, problem};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use sha2::{Digest as _, Sha256};

/// A finished recording and its validators.
struct Recording {
    client: Client,
    path: String,
    bytes: Vec<u8>,
    etag: String,
    modified: String,
}

/// Status and ranges of an answer; a whole file is one range from 0.
type Answer = (u16, Vec<(usize, Vec<u8>)>);

impl Recording {
    async fn new(server: &TestServer) -> Self {
        let client = server.admin().await;
        let id = client.record(&chromium_webm()).await;
        // `download` may redirect to the store.
        let path = format!("/api/recordings/{id}/stream");
        let whole = client.get(&path).send().await.expect("an answer");
        assert_eq!(whole.status(), StatusCode::OK);
        assert_eq!(header(&whole, "accept-ranges"), "bytes");
        assert_eq!(header(&whole, "content-type"), "video/webm");
        let (etag, modified) = (header(&whole, "etag"), header(&whole, "last-modified"));
        assert_eq!(etag, format!("\"{id}\""));
        assert_eq!(modified, "Sat, 21 Nov 2026 09:30:00 GMT");
        let bytes = whole.bytes().await.expect("a body").to_vec();
        Self {
            client,
            path,
            bytes,
            etag,
            modified,
        }
    }

    /// Sends these fields with `{etag}`, `{modified}` and `{size}` replaced.
    async fn ask(&self, method: Method, fields: &[(&str, &str)]) -> reqwest::Response {
        let mut request = self.client.request(method, &self.path);
        for (name, value) in fields {
            let value = value
                .replace("{etag}", &self.etag)
                .replace("{modified}", &self.modified)
                .replace("{size}", &self.bytes.len().to_string());
            request = request.header(*name, value);
        }
        request.send().await.expect("an answer")
    }

    /// Reads an answer to a GET; its lengths must be right, and its ranges must match the file.
    async fn answer(&self, fields: &[(&str, &str)]) -> Answer {
        let answer = self.ask(Method::GET, fields).await;
        let status = answer.status();
        let length = header(&answer, "content-length");
        let (media_type, range) = (
            header(&answer, "content-type"),
            header(&answer, "content-range"),
        );
        let body = answer.bytes().await.expect("a body").to_vec();
        if status == StatusCode::NOT_MODIFIED {
            assert!(body.is_empty());
            return (304, Vec::new());
        }
        if !status.is_success() {
            assert_eq!(media_type, "application/problem+json");
            if status == StatusCode::RANGE_NOT_SATISFIABLE {
                assert_eq!(range, format!("bytes */{}", self.bytes.len()));
            }
            return (status.as_u16(), Vec::new());
        }
        assert_eq!(length, body.len().to_string(), "{fields:?}");
        let parts = if status == StatusCode::OK {
            vec![(0, body)]
        } else {
            vec![(self.first_byte(&range, body.len()), body)]
        };
        for (at, bytes) in &parts {
            assert!(
                self.bytes[*at..].starts_with(bytes),
                "{fields:?}: other bytes at {at}"
            );
        }
        (status.as_u16(), parts)
    }

    /// Parses `bytes first-last/size`; checks the length unless it is 0.
    fn first_byte(&self, range: &str, length: usize) -> usize {
        let range = range.strip_prefix("bytes ").expect("the unit");
        let (range, size) = range.split_once('/').expect("a size");
        assert_eq!(size, self.bytes.len().to_string());
        let (first, last) = range.split_once('-').expect("two numbers");
        let (first, last): (usize, usize) = (
            first.parse().expect("a number"),
            last.parse().expect("a number"),
        );
        assert!(length == 0 || last + 1 - first == length);
        first
    }
}

/// A request's fields with the expected status and ranges (first byte, length).
type Row<'a> = (Fields<'a>, u16, Vec<(usize, usize)>);

type Fields<'a> = Vec<(&'a str, &'a str)>;

fn range(value: &str) -> Fields<'_> {
    vec![("Range", value)]
}

fn etag_range(condition: &str) -> Fields<'_> {
    vec![("Range", "bytes=0-99"), ("If-Range", condition)]
}

fn none_match(tags: &str) -> Fields<'_> {
    vec![("If-None-Match", tags)]
}

fn since(date: &str) -> Fields<'_> {
    vec![("If-Modified-Since", date)]
}

async fn everything(recording: &Recording) {
    let size = recording.bytes.len();
    let whole = vec![(0, size)];

    let rows: Vec<Row<'_>> = vec![
        // Requests with one range.
        (range("bytes=0-0"), 206, vec![(0, 1)]),
        (range("bytes=100-299"), 206, vec![(100, 200)]),
        (range("bytes=100-"), 206, vec![(100, size - 100)]),
        (range("bytes=0-"), 206, whole.clone()),
        (range("bytes=-1"), 206, vec![(size - 1, 1)]),
        (range("bytes=-99999999"), 206, whole.clone()),
        (
            range("bytes=5-99999999999999999999999"),
            206,
            vec![(5, size - 5)],
        ),
        (range("bytes={size}-"), 416, vec![]),
        (range("bytes=99999999-"), 416, vec![]),
        (range("bytes=-0"), 416, vec![]),
        // Several ranges are ignored.
        (range("bytes=0-99,200-299"), 200, whole.clone()),
        (range("bytes=0-99,{size}-"), 200, whole.clone()),
        // No range at all.
        (range("bytes=5-2"), 200, whole.clone()),
        (range("bytes=0-1,x"), 200, whole.clone()),
        (range("seconds=1-2"), 200, whole.clone()),
        // Conditions.
        (etag_range("{etag}"), 206, vec![(0, 100)]),
        (etag_range("{modified}"), 206, vec![(0, 100)]),
        (etag_range("W/{etag}"), 200, whole.clone()),
        (etag_range("\"other\""), 200, whole.clone()),
        (
            etag_range("Sat, 21 Nov 2026 09:30:01 GMT"),
            200,
            whole.clone(),
        ),
        (etag_range("soon"), 200, whole.clone()),
        (none_match("{etag}"), 304, vec![]),
        (none_match("W/{etag}"), 304, vec![]),
        (none_match("\"a\", {etag} , \"b\""), 304, vec![]),
        (none_match("*"), 304, vec![]),
        (none_match("\"a\", \"b\""), 200, whole.clone()),
        (
            vec![("If-None-Match", "{etag}"), ("Range", "bytes=0-9")],
            304,
            vec![],
        ),
        (
            vec![
                ("If-None-Match", "\"a\""),
                ("If-Modified-Since", "{modified}"),
            ],
            200,
            whole.clone(),
        ),
        (since("{modified}"), 304, vec![]),
        (since("Sat, 21 Nov 2026 09:29:59 GMT"), 200, whole.clone()),
        (since("Sun, 22 Nov 2026 00:00:00 GMT"), 304, vec![]),
        (since("recently"), 200, whole.clone()),
        (vec![("If-Match", "{etag}")], 200, whole.clone()),
        (vec![("If-Match", "\"other\"")], 412, vec![]),
        (vec![("If-Match", "W/{etag}")], 412, vec![]),
        (
            vec![("If-Unmodified-Since", "{modified}")],
            200,
            whole.clone(),
        ),
        (
            vec![("If-Unmodified-Since", "Sat, 21 Nov 2026 09:29:59 GMT")],
            412,
            vec![],
        ),
    ];
    for (fields, status, ranges) in rows {
        let (got, parts) = recording.answer(&fields).await;
        let parts: Vec<_> = parts.iter().map(|(at, bytes)| (*at, bytes.len())).collect();
        assert_eq!((got, parts), (status, ranges), "{fields:?}");
    }
    // HEAD ignores ranges (section 14.2).
    for (fields, status) in [
        (vec![], 200),
        (range("bytes=0-9"), 200),
        (range("bytes=0-99,200-299"), 200),
        (range("bytes=99999999-"), 200),
        (none_match("{etag}"), 304),
        (since("{modified}"), 304),
        (vec![("If-Match", "\"other\"")], 412),
    ] {
        let head = recording.ask(Method::HEAD, &fields).await;
        assert_eq!(head.status().as_u16(), status, "{fields:?}");
        assert_eq!(header(&head, "content-range"), "");
        if status == 200 {
            assert_eq!(header(&head, "content-length"), size.to_string());
            assert_eq!(header(&head, "content-type"), "video/webm");
        }
        if status != 412 {
            assert_eq!(header(&head, "etag"), recording.etag);
        }
        assert!(head.bytes().await.expect("no body").is_empty());
    }
}

/// `Want-Repr-Digest` returns the hash of the whole recording (RFC 9530); other requests do not compute it.
async fn digest(recording: &Recording) {
    let wanted = [("Want-Repr-Digest", "sha-512=3, sha-256=10")];
    let head = recording.ask(Method::HEAD, &wanted).await;
    assert_eq!(head.status(), StatusCode::OK);
    let hash = STANDARD.encode(Sha256::digest(&recording.bytes));
    assert_eq!(header(&head, "repr-digest"), format!("sha-256=:{hash}:"));
    let head = recording.ask(Method::HEAD, &[]).await;
    assert_eq!(header(&head, "repr-digest"), "");
}

#[tokio::test]
async fn ranges_and_conditions_from_a_folder() {
    let server = TestServer::start().await;
    let recording = Recording::new(&server).await;
    everything(&recording).await;
    digest(&recording).await;
    // The problem's text says what to do.
    let get = || recording.client.get(&recording.path);
    problem(
        get().header("If-Match", "\"x\""),
        412,
        "precondition_failed",
    )
    .await;
    let sentence = problem(
        get().header("Range", "bytes=99999999-"),
        416,
        "range_not_satisfiable",
    )
    .await;
    assert!(
        sentence.contains(&recording.bytes.len().to_string()),
        "{sentence}"
    );
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn ranges_and_conditions_from_s3() {
    use crate::support::seaweedfs::seaweedfs;
    use crate::support::store::s3_server;

    let server = s3_server(&seaweedfs().endpoint, &[]).await;
    let recording = Recording::new(&server).await;
    everything(&recording).await;
    digest(&recording).await;
}

/// A recording with this many padding bytes before its first frame.
fn padded_webm(padding: usize) -> Vec<u8> {
    const CLUSTER: [u8; 4] = [0x1F, 0x43, 0xB6, 0x75];
    let mut bytes = chromium_webm();
    let first = bytes.windows(4).position(|four| four == CLUSTER);
    let length = (padding as u64) | 1 << 56;
    // A `Void` element (RFC 8794, section 11.3.2) with distinguishable content.
    let mut void = vec![0xEC];
    void.extend(length.to_be_bytes());
    void.extend((0..padding).map(|at| (at / 1000).to_le_bytes()[at % 2]));
    bytes.splice(first.expect("a cluster")..first.expect("a cluster"), void);
    bytes
}

#[tokio::test]
async fn ranges_longer_than_a_read_block_are_complete() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let id = client.record(&padded_webm(1 << 20)).await;
    let file = server.file(&format!("{id}.webm"));
    let recording = Recording {
        client,
        path: format!("/api/recordings/{id}/stream"),
        bytes: std::fs::read(&file).expect("the file"),
        etag: String::new(),
        modified: String::new(),
    };
    // The server reads the file in blocks of 256 KiB.
    for (range, lengths) in [
        ("bytes=0-", vec![recording.bytes.len()]),
        ("bytes=1-", vec![recording.bytes.len() - 1]),
        ("bytes=262143-262144", vec![2]),
        ("bytes=262144-524287", vec![262_144]),
    ] {
        let (status, parts) = recording.answer(&[("Range", range)]).await;
        let got: Vec<_> = parts.iter().map(|(_, bytes)| bytes.len()).collect();
        assert_eq!((status, got), (206, lengths), "{range}");
    }
    // A file truncated externally ends the connection, so that the client does not take the download for complete.
    let shorter = std::fs::File::options().write(true).open(&file);
    shorter
        .and_then(|file| file.set_len(300_000))
        .expect("a file");
    // The number of bytes sent before the truncation varies.
    if let Ok(cut) = recording.client.get(&recording.path).send().await {
        assert_eq!(cut.status(), StatusCode::OK);
        assert!(cut.bytes().await.is_err());
    }
}
