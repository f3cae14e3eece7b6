//! Memory of the indexes of growing MP4 recordings, against a real server.

mod support;

use reqwest::{Method, StatusCode};
use support::{Client, TestServer, header};

/// MiB for all indexes; one user may use a quarter.
const BUDGET_MB: u64 = 1;
/// Bytes that one user's indexes may use. With many uploads this exceeds the share slightly, as each index has a
/// minimum size.
const MOST: u64 = (BUDGET_MB << 18) + (64 << 10);

fn boxed(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len() + 8).expect("small");
    [&size.to_be_bytes()[..], kind, payload].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../media/tests/data/");
    std::fs::read(format!("{folder}{name}")).expect("a fixture")
}

/// Type, start and end of each top-level box.
fn boxes(file: &[u8]) -> Vec<([u8; 4], usize, usize)> {
    let (mut at, mut found) = (0, Vec::new());
    while at < file.len() {
        let number = |at: usize, width: usize| {
            let bytes = file[at..at + width].iter();
            bytes.fold(0usize, |number, &byte| number << 8 | usize::from(byte))
        };
        let size = match number(at, 4) {
            1 => number(at + 8, 8),
            size => size,
        };
        let kind = file[at + 4..at + 8].try_into().expect("four");
        found.push((kind, at, at + size));
        at += size;
    }
    found
}

fn kinds(file: &[u8]) -> Vec<[u8; 4]> {
    boxes(file).into_iter().map(|(kind, ..)| kind).collect()
}

/// The head of a recording, and its fragments repeated.
fn long_recording(name: &str, times: usize) -> Vec<u8> {
    let stream = fixture(name);
    let found = boxes(&stream);
    let moof = found.iter().find(|(kind, ..)| kind == b"moof");
    let (_, head, _) = *moof.expect("a moof");
    let last = found.iter().rfind(|(kind, ..)| kind == b"mdat");
    let (.., end) = *last.expect("an mdat");
    let mut long = stream[..head].to_vec();
    for _ in 0..times {
        let moved = long.len() - head;
        let from = long.len();
        long.extend(&stream[head..end]);
        // Moves absolute offsets along.
        let mut at = from;
        while let Some(found) = long[at..].windows(4).position(|at| at == b"tfhd") {
            at += found + 4;
            if long[at + 3] & 1 == 1 {
                let base = u64::from_be_bytes(long[at + 8..at + 16].try_into().expect("eight"));
                let base = base + moved as u64;
                long[at + 8..at + 16].copy_from_slice(&base.to_be_bytes());
            }
        }
    }
    long
}

/// A fragment with the maximum of index data for its size.
fn hostile_fragment(samples: u32) -> Vec<u8> {
    let each = (0..samples).flat_map(|n| words(&[n % 7 + 1, n % 3, (n % 2) << 16, n % 11]));
    let data_offset = 0;
    let trun = [words(&[0xF01, samples, data_offset]), each.collect()].concat();
    let traf = [
        boxed(b"tfhd", &words(&[0x0002_0000, 1])),
        boxed(b"trun", &trun),
    ];
    let moof = [
        boxed(b"mfhd", &words(&[0, 1])),
        boxed(b"traf", &traf.concat()),
    ];
    let moof = boxed(b"moof", &moof.concat());
    let bytes: u32 = (0..samples).map(|n| n % 7 + 1).sum();
    [moof, boxed(b"mdat", &vec![0; bytes as usize])].concat()
}

async fn open(client: &Client) -> String {
    client.create_upload(&[("Upload-Defer-Length", "1")]).await
}

async fn send(client: &Client, upload: &str, offset: usize, bytes: Vec<u8>) {
    let answer = client.patch(upload, offset as u64, bytes).send().await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::NO_CONTENT);
}

/// Ends an upload; returns its recording and its file.
async fn finish(client: &Client, upload: &str, length: usize) -> (serde_json::Value, Vec<u8>) {
    let answer = client
        .patch(upload, length as u64, Vec::new())
        .header("Upload-Length", length)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let id = upload.rsplit('/').next().expect("an id");
    let recording = client.recording(id).await;
    assert_eq!(recording["status"], "ready", "{recording}");
    let file = client
        .get(&format!("/api/recordings/{id}/download"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(file.status(), StatusCode::OK);
    (recording, file.bytes().await.expect("a file").to_vec())
}

async fn index_memory(client: &Client) -> u64 {
    let text = client.get("/metrics").send().await.expect("an answer");
    let text = text.text().await.expect("text");
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("sortie_index_memory_bytes "));
    value.expect("a value").parse().expect("a number")
}

async fn server() -> TestServer {
    TestServer::with(&[
        ("SORTIE_INDEX_MEMORY_MB", &BUDGET_MB.to_string()),
        ("SORTIE_METRICS_PUBLIC", "true"),
    ])
    .await
}

/// Uses all index memory that a user may have.
async fn exhaust(client: &Client) -> Vec<(String, Vec<u8>)> {
    let head = {
        let stream = fixture("chromium-avc1-mp4.mp4");
        let found = boxes(&stream);
        let moof = found.iter().find(|(kind, ..)| kind == b"moof");
        stream[..moof.expect("a moof").1].to_vec()
    };
    let mut uploads = Vec::new();
    let counts = [(6000, 5), (2000, 6), (500, 8), (100, 8)];
    let counts = counts.map(|(samples, uploads)| vec![samples; uploads]);
    for samples in counts.concat() {
        let stream = [head.clone(), hostile_fragment(samples)].concat();
        let upload = open(client).await;
        send(client, &upload, 0, stream.clone()).await;
        uploads.push((upload, stream));
    }
    uploads
}

#[tokio::test]
async fn hostile_mp4_indexes_stay_within_their_memory_limit() {
    let server = server().await;
    let mallory = server.user("mallory").await;
    let uploads = exhaust(&mallory).await;
    let used = index_memory(&mallory).await;
    assert!((BUDGET_MB << 17..=MOST).contains(&used), "{used} bytes");

    // Neither further uploads nor further bytes of the same uploads increase the memory.
    for (upload, stream) in &uploads {
        let more = hostile_fragment(20_000);
        send(&mallory, upload, stream.len(), more).await;
        let used = index_memory(&mallory).await;
        assert!(used <= MOST, "{used} bytes");
    }
    // Another user's recording still has an index.
    let ann = server.user("ann").await;
    let stream = long_recording("chromium-mp4.mp4", 20);
    let upload = open(&ann).await;
    send(&ann, &upload, 0, stream.clone()).await;
    let (_, file) = finish(&ann, &upload, stream.len()).await;
    assert_eq!(kinds(&file), [*b"ftyp", *b"mdat", *b"moov"]);

    for (upload, _) in &uploads {
        let gone = mallory.tus(Method::DELETE, upload).send().await;
        let gone = gone.expect("an answer");
        assert_eq!(
            gone.status(),
            StatusCode::NO_CONTENT,
            "{}",
            header(&gone, "date")
        );
    }
    assert_eq!(index_memory(&mallory).await, 0);
}

#[tokio::test]
async fn recording_without_memory_for_its_index_plays() {
    let mut server = server().await;
    let ann = server.user("ann").await;
    let cases = [
        ("chromium-mp4.mp4", 100),
        ("ffmpeg-absolute.mp4", 100),
        ("ffmpeg-moov-samples.mp4", 100),
    ];
    let mut expected = Vec::new();
    for (name, times) in cases {
        let stream = long_recording(name, times);
        let upload = open(&ann).await;
        send(&ann, &upload, 0, stream.clone()).await;
        let (recording, file) = finish(&ann, &upload, stream.len()).await;
        assert_eq!(kinds(&file), [*b"ftyp", *b"mdat", *b"moov"], "{name}");
        expected.push(recording["duration_seconds"].clone());
    }

    let held = exhaust(&ann).await;
    let mut growing = Vec::new();
    for (name, times) in cases {
        let stream = long_recording(name, times);
        let upload = open(&ann).await;
        let half = stream.len() / 2;
        send(&ann, &upload, 0, stream[..half].to_vec()).await;
        send(&ann, &upload, half, stream[half..].to_vec()).await;
        growing.push((upload, stream));
    }
    assert!(index_memory(&ann).await <= MOST);
    for ((upload, stream), duration) in growing.iter().zip(&expected) {
        let (recording, file) = finish(&ann, upload, stream.len()).await;
        assert_eq!(&recording["duration_seconds"], duration);
        let found = kinds(&file);
        // Samples before the first fragment need an index that the server appends at the end.
        if upload == &growing[2].0 {
            assert!(found == [*b"ftyp", *b"mdat", *b"moov"]);
            continue;
        }
        assert!(found[..3] == [*b"ftyp", *b"moov", *b"free"]);
        assert!(found.iter().filter(|kind| *kind == b"moof").count() > 100);
        // Absolute fragment offsets match the new position.
        let last = boxes(&file).into_iter().rfind(|(kind, ..)| kind == b"moof");
        let (_, moof, _) = last.expect("a moof");
        let fragment = &file[moof..];
        let tfhd = fragment.windows(4).position(|at| at == b"tfhd");
        let tfhd = tfhd.expect("a tfhd") + 4;
        if fragment[tfhd + 3] & 1 == 1 {
            let base = fragment[tfhd + 8..tfhd + 16].try_into().expect("eight");
            assert_eq!(u64::from_be_bytes(base), moof as u64);
        } else {
            assert!(file.ends_with(&stream[stream.len() / 2..]));
        }
    }
    // After a restart, the rebuilt indexes keep within their memory limit, too.
    server.restart().await;
    let ann = server.sign_in("ann", "a good password").await;
    for (upload, _) in &held {
        let answer = ann.tus(Method::HEAD, upload).send().await;
        assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
        let used = index_memory(&ann).await;
        assert!(used <= MOST, "{used} bytes");
    }
}
