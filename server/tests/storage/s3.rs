//! The whole server with recordings in S3: a real store behind an unreliable network.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::seaweedfs::{ADMIN, BUCKET, seaweedfs};
use crate::support::store::{
    MIB, check_bad_day, check_deletion, check_failed, check_life, check_lost_completion,
    check_restarts, run_until_ready, s3_server, wait_until_confirmed,
};
use crate::support::streams::{download, finished, large_webm, send};
use crate::support::{TestServer, chromium_webm, header, json_of};
use reqwest::{Method, StatusCode};
use sortie_server::{
    Clock, ManualClock, Sweep, SweepFinding, SweepKind, SweepOptions, SystemClock,
};

/// A single server, which stages unconfirmed bytes on its own disk.
async fn single_server(endpoint: &str, more: &[(&str, &str)]) -> TestServer {
    let sqlite = [("SORTIE_DB_TYPE", "sqlite")];
    s3_server(endpoint, &[more, &sqlite].concat()).await
}

#[tokio::test]
async fn recording_is_stored_served_and_deleted() {
    let server = s3_server(&seaweedfs().endpoint, &[]).await;
    check_life(&server, "s3").await;
}

#[tokio::test]
async fn multipart_upload_resumes_after_a_restart() {
    let proxy = FaultProxy::start(&seaweedfs().endpoint, |_, _| Fault::None).await;
    let mut server = s3_server(&proxy.endpoint, &[]).await;
    let id = check_restarts(&mut server).await;
    let key = format!("/{id}.webm");
    let begun = |(line, _): &(String, Fault)| line.contains(&key) && line.contains("?uploads");
    assert_eq!(proxy.log().iter().filter(|&entry| begun(entry)).count(), 1);
}

#[tokio::test]
async fn store_faults_lose_no_byte() {
    let proxy = FaultProxy::start(&seaweedfs().endpoint, |_, _| Fault::None).await;
    let server = s3_server(&proxy.endpoint, &[]).await;
    check_bad_day(&proxy, &server).await;
}

/// The completion succeeds and its answer is lost: no error and no second object.
#[tokio::test]
async fn lost_answer_to_the_completion_is_tolerated() {
    let proxy = FaultProxy::start(&seaweedfs().endpoint, |_, _| Fault::None).await;
    let server = s3_server(&proxy.endpoint, &[]).await;
    let completes = |line: &str| line.starts_with("POST") && line.contains("?uploadId=");
    check_lost_completion(&proxy, &server, completes).await;
}

/// A store outage does not stop a recording: received bytes are staged.
#[tokio::test]
async fn store_outage_does_not_stop_a_recording() {
    let proxy = FaultProxy::start(&seaweedfs().endpoint, |_, _| Fault::None).await;
    let server = single_server(&proxy.endpoint, &[]).await;
    let client = server.admin().await;
    let stream = large_webm(30 * MIB);
    let (id, _) = client.start_recording().await;
    proxy.plan(|_, _| Fault::CutBefore);
    send(&client, &id, &stream, 0, 29 * MIB, 4 * MIB).await;
    assert_eq!(client.offset(&id).await, 29 * MIB as u64);
    proxy.plan(|_, _| Fault::None);
    send(&client, &id, &stream, 29 * MIB, stream.len(), 4 * MIB).await;
    assert!(download(&client, &id).await == finished(&stream));
}

/// A viewer receives what is on the disk of the server: the parts that are not in the store, and copies of the last ones.
#[tokio::test]
async fn growing_recording_is_watched_from_the_staging_folder() {
    let server = single_server(&seaweedfs().endpoint, &[]).await;
    let client = server.admin().await;
    let stream = large_webm(70 * MIB);
    let (id, _) = client.start_recording().await;
    send(&client, &id, &stream, 0, 60 * MIB, 4 * MIB).await;
    wait_until_confirmed(&server, &id, 6).await;
    let path = format!("/api/recordings/{id}/live");
    let newest = client.get(&path).send().await.expect("an answer");
    let first = client.get(&format!("{path}?from_ms=0")).send().await;
    let first = first.expect("an answer");
    for answer in [&newest, &first] {
        assert_eq!(answer.status(), StatusCode::OK);
    }
    send(&client, &id, &stream, 60 * MIB, stream.len(), 4 * MIB).await;
    let sent = |received: &[u8]| {
        let mut fours = received.windows(4);
        let head = fours.position(|four| four == [0x1F, 0x43, 0xB6, 0x75]);
        let media = &received[head.expect("a cluster")..];
        assert!(stream.ends_with(media));
        media.len()
    };
    let newest = newest.bytes().await.expect("the end of the recording");
    assert!((10 * MIB..12 * MIB).contains(&sent(&newest)));
    let first = first.bytes().await.expect("the end of the recording");
    assert!(sent(&first) > 34 * MIB, "{}", sent(&first));
    assert!(download(&client, &id).await == finished(&stream));
}

#[tokio::test]
async fn lost_multipart_upload_fails_the_recording() {
    let proxy = FaultProxy::start(&seaweedfs().endpoint, |_, _| Fault::None).await;
    let mut server = single_server(&proxy.endpoint, &[]).await;
    let client = server.admin().await;
    let stream = large_webm(20 * MIB);
    let (id, _) = client.start_recording().await;
    send(&client, &id, &stream, 0, 19 * MIB, 4 * MIB).await;
    wait_until_confirmed(&server, &id, 1).await;
    proxy.plan(|_, line| {
        if line.contains("uploadId=") {
            Fault::Status(404)
        } else {
            Fault::None
        }
    });
    send(&client, &id, &stream, 19 * MIB, stream.len(), 4 * MIB).await;
    check_failed(&client, &id).await;

    // The remaining bytes are kept until the recording is deleted.
    server.restart().await;
    let client = server.admin().await;
    check_failed(&client, &id).await;
    let kept = server.database_file().with_file_name("staging").join(&id);
    let head = std::fs::read(kept.join("00000.part")).expect("the first part");
    assert!(head == finished(&stream)[..head.len()], "the first part");
    check_deletion(&client, &id).await;
    assert!(!kept.exists());
}

/// Two servers misconfigured with one prefix: each classifies the other's objects as orphans.
#[tokio::test]
async fn sweep_removes_orphans_from_the_store() {
    let prefix = uuid::Uuid::new_v4().simple().to_string();
    let prefix = [("SORTIE_RECORDING_S3_PREFIX", prefix.as_str())];
    let one = single_server(&seaweedfs().endpoint, &prefix).await;
    let other = single_server(&seaweedfs().endpoint, &prefix).await;
    let client = one.admin().await;
    let ready = client.record(&chromium_webm()).await;
    let stream = large_webm(20 * MIB);
    let (growing, _) = client.start_recording().await;
    send(&client, &growing, &stream, 0, 19 * MIB, 4 * MIB).await;
    wait_until_confirmed(&one, &growing, 1).await;
    let others = other.admin().await;
    let kept = others.record(&chromium_webm()).await;
    let (began, _) = others.start_recording().await;

    let sweep = async |server: &TestServer, days: u64, dry_run: bool| {
        // Object times come from the store's clock.
        let clock = ManualClock::new(SystemClock.now_ms());
        clock.advance(Duration::from_secs(days * 86_400));
        let opened = Sweep::open(&server.config(), Arc::new(clock)).await;
        let options = SweepOptions {
            dry_run,
            min_age: Duration::from_secs(3600),
            force: false,
        };
        let mut found = Vec::new();
        let mut tell = |finding: &SweepFinding| found.push(finding.clone());
        let swept = opened.expect("a sweep").run(options, &mut tell).await;
        let report = swept.expect("a report");
        assert_eq!(report.failed, 0, "{found:?}");
        (report, found)
    };
    let (report, found) = sweep(&other, 0, false).await;
    assert_eq!(report.found().count, 0, "{found:?}");
    assert_eq!(report.young.count, 2, "{report:?}");
    for dry_run in [true, false] {
        let (report, found) = sweep(&other, 2, dry_run).await;
        assert_eq!(report.of(SweepKind::Object).count, 1, "{found:?}");
        assert_eq!(report.of(SweepKind::Upload).count, 1, "{found:?}");
        assert_eq!(report.found().count, 2, "{found:?}");
        assert!(
            found.iter().any(|it| it.name.contains(&ready))
                && found.iter().any(|it| it.name.contains(&growing)),
            "{found:?}"
        );
    }
    assert!(download(&others, &kept).await == finished(&chromium_webm()));
    assert_eq!(others.offset(&began).await, 0);
    let (report, found) = sweep(&other, 2, false).await;
    assert_eq!(report.found().count, 0, "{found:?}");

    let (report, found) = sweep(&one, 0, false).await;
    assert_eq!(report.of(SweepKind::Row).count, 1, "{found:?}");
    assert_eq!(client.recording(&ready).await["status"], "failed");
    send(&client, &growing, &stream, 19 * MIB, stream.len(), 4 * MIB).await;
    check_failed(&client, &growing).await;
}

#[tokio::test]
async fn raw_upload_is_stored_unchanged() {
    let server = s3_server(&seaweedfs().endpoint, &[]).await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let stream = b"Just text. ".repeat(MIB);
    send(&client, &id, &stream, 0, stream.len(), 5 * MIB).await;
    let recording = client.recording(&id).await;
    assert_eq!(recording["status"], "failed");
    assert_eq!(recording["size_bytes"], stream.len());
    check_deletion(&client, &id).await;
}

/// Files of a staging folder. On a shared database, each server has a subfolder.
fn staged(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            if name.starts_with(".server-") {
                staged(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Partial uploads are separate objects, some of several parts; joining them creates one and removes them.
#[tokio::test]
async fn partial_uploads_are_joined_in_the_store() {
    let server = s3_server(&seaweedfs().endpoint, &[]).await;
    let client = server.admin().await;
    let stream = large_webm(22 * MIB);
    let mut parts = Vec::new();
    for piece in [&stream[..17 * MIB + 5], &stream[17 * MIB + 5..]] {
        let length = piece.len().to_string();
        let headers = [("Upload-Concat", "partial"), ("Upload-Length", &length)];
        let upload = client.create_upload(&headers).await;
        let mut at = 0;
        for chunk in piece.chunks(3 * MIB) {
            let sent = client.patch(&upload, at, chunk.to_vec()).send().await;
            let status = sent.expect("an answer").status();
            assert_eq!(status, StatusCode::NO_CONTENT, "at {at}");
            at += chunk.len() as u64;
        }
        parts.push(upload);
    }
    let concat = format!("final;{}", parts.join(" "));
    let whole = client.create_upload(&[("Upload-Concat", &concat)]).await;
    let id = whole.rsplit('/').next().expect("an id");
    assert_eq!(client.recording(id).await["status"], "ready");
    assert!(download(&client, id).await == finished(&stream));
    for part in parts {
        let answer = client.tus(Method::HEAD, &part).send().await;
        let status = answer.expect("an answer").status();
        assert!(
            status == StatusCode::NOT_FOUND || status == StatusCode::GONE,
            "{status}"
        );
    }
    let staging = server.database_file().with_file_name("staging");
    let left = staged(&staging);
    assert!(left.is_empty(), "something is still staged: {left:?}");
}

#[tokio::test]
async fn download_redirects_to_the_store() {
    let redirect = [("SORTIE_RECORDING_S3_REDIRECT", "true")];
    let server = s3_server(&seaweedfs().endpoint, &redirect).await;
    let client = server.admin().await;
    let stream = chromium_webm();
    let id = client.record(&stream).await;
    let path = format!("{}/api/recordings/{id}/download", server.url);
    let token = client.token.clone().unwrap_or_default();
    let stays = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let ask = |method: Method, path: &str| stays.request(method, path).bearer_auth(&token).send();

    let answer = ask(Method::GET, &path).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
    let location = header(&answer, "location");
    assert!(location.starts_with(&seaweedfs().endpoint), "{location}");
    let object = reqwest::get(location).await.expect("an answer");
    assert!(header(&object, "content-disposition").starts_with("attachment; filename="));
    assert!(object.bytes().await.expect("a body") == finished(&stream));

    // The URL is signed for GET only, and the player's page loads media from its own origin only.
    let answer = ask(Method::HEAD, &path).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let played = path.replace("/download", "/stream");
    let answer = ask(Method::GET, &played).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let _ = json_of(client.get("/api/recordings"), 200).await;
}

/// Output of the program with these store settings and credentials.
fn run_until_ready_with(credentials: &[(&str, &str)]) -> String {
    let variables = [
        ("SORTIE_RECORDING_STORAGE_BACKEND", "s3"),
        ("SORTIE_RECORDING_S3_BUCKET", BUCKET),
        ("SORTIE_RECORDING_S3_ENDPOINT", &seaweedfs().endpoint),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    run_until_ready(&[&variables, credentials].concat())
}

#[test]
fn credentials_come_from_a_profile() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config");
    let profile = format!(
        "[profile recorder]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        ADMIN.0, ADMIN.1
    );
    std::fs::write(&config, profile).expect("a file");
    let said = run_until_ready_with(&[
        ("AWS_CONFIG_FILE", &config.display().to_string()),
        ("AWS_PROFILE", "recorder"),
    ]);
    assert!(said.contains("listens on"), "{said}");
}

#[test]
fn start_without_credentials_lists_the_sources_tried() {
    let said = run_until_ready_with(&[]);
    assert!(said.contains("cannot use the bucket sortie"), "{said}");
    assert!(said.contains("credentials: none were found"), "{said}");
}
