//! `sortie-server sweep`: removes orphans, keeps referenced objects, and stops if the database looks wrong or a disk
//! seems not to be mounted.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use crate::support::{TestServer, chromium_webm};
use reqwest::StatusCode;

const STRAY: &str = "019aa5b2-0000-7000-8000-00000000000a";

/// Runs the program on a server's data.
fn sweep(server: &TestServer, arguments: &[&str]) -> Output {
    let mut program = server.program();
    program
        .arg("sweep")
        .args(arguments)
        .output()
        .expect("the server program")
}

#[track_caller]
fn output_text(output: &Output, code: i32) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8(text).expect("text");
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// Writes a file that was last modified `age` ago.
fn write_aged(path: &Path, bytes: &[u8], age: Duration) {
    std::fs::write(path, bytes).expect("a file");
    set_age(path, age);
}

fn set_age(path: &Path, age: Duration) {
    // The program under test uses the machine's clock.
    let written = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let then = written.unwrap_or(SystemTime::UNIX_EPOCH) - age;
    let file = File::options().write(true).open(path).expect("a file");
    file.set_modified(then).expect("a file system with times");
}

const OLD: Duration = Duration::from_secs(2 * 3600);

#[tokio::test]
async fn sweep_removes_orphans_and_keeps_recordings() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let ready = client.record(&chromium_webm()).await;
    let (growing, _) = client.start_recording().await;
    let stream = chromium_webm();
    let sent = client.patch(
        &format!("/api/uploads/{growing}"),
        0,
        stream[..5000].to_vec(),
    );
    assert_eq!(
        sent.send().await.expect("an answer").status(),
        StatusCode::NO_CONTENT
    );
    let partial = client
        .create_upload(&[("Upload-Length", "3"), ("Upload-Concat", "partial")])
        .await;
    let sent = client.patch(&partial, 0, b"abc".to_vec()).send().await;
    assert_eq!(sent.expect("an answer").status(), StatusCode::NO_CONTENT);
    let partial = partial.rsplit('/').next().expect("an id").to_owned();

    // Age alone does not make an orphan.
    let kept = [
        format!("{ready}.webm"),
        format!("{growing}.part"),
        format!("{partial}.piece"),
    ];
    for name in &kept {
        set_age(&server.file(name), OLD);
    }
    let orphans = [
        format!("{STRAY}.webm"),
        format!("{STRAY}.part"),
        format!("{STRAY}.bin.tmp"),
        format!("{ready}.bin.tmp"),
        format!("{ready}.part"),
    ];
    for name in &orphans {
        write_aged(&server.file(name), &[7; 1000], OLD);
    }
    let young = STRAY.replace('a', "b");
    write_aged(
        &server.file(&format!("{young}.webm")),
        b"young",
        Duration::ZERO,
    );
    let foreign = ["holiday.webm", "notes.txt", "lost+found"];
    for name in foreign {
        write_aged(&server.file(name), b"not ours", OLD);
    }

    let text = output_text(&sweep(&server, &["--dry-run"]), 3);
    assert!(
        text.contains(&format!("would remove     1.0 kB  {STRAY}.webm")),
        "{text}"
    );
    for name in &orphans {
        assert!(server.file(name).exists(), "{name} went in a dry run");
    }
    let text = output_text(&sweep(&server, &[]), 0);
    let counted = |words: &str, count: usize| {
        text.lines().any(|line| {
            let rest = line.strip_prefix(words).map(str::split_whitespace);
            rest.and_then(|mut words| words.next()) == Some(&count.to_string())
        })
    };
    assert!(counted("finished files without a recording", 1), "{text}");
    assert!(counted("unfinished files without a recording", 2), "{text}");
    assert!(counted("temporary files", 2), "{text}");
    assert!(counted("recordings whose file is gone", 0), "{text}");
    assert!(counted("swept", 5), "{text}");
    assert!(counted("too young, left alone", 1), "{text}");
    assert!(counted("not ours, left alone", 3), "{text}");
    for name in &orphans {
        assert!(!server.file(name).exists(), "{name} is still there");
    }
    for name in kept.iter().map(String::as_str).chain(foreign) {
        assert!(server.file(name).exists(), "{name} is gone");
    }
    output_text(&sweep(&server, &["--dry-run"]), 0);

    // The recording that grew meanwhile is intact.
    assert_eq!(client.offset(&growing).await, 5000);
    let rest = client
        .patch(
            &format!("/api/uploads/{growing}"),
            5000,
            stream[5000..].to_vec(),
        )
        .header("Upload-Length", stream.len());
    assert_eq!(
        rest.send().await.expect("an answer").status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(client.recording(&growing).await["status"], "ready");
}

#[tokio::test]
async fn recording_without_its_file_fails_with_a_reason() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let lost = client.record(&chromium_webm()).await;
    let there = client.record(&chromium_webm()).await;
    std::fs::remove_file(server.file(&format!("{lost}.webm"))).expect("a file");

    let text = output_text(&sweep(&server, &["--dry-run"]), 3);
    assert!(text.contains(&lost) && !text.contains(&there), "{text}");
    assert_eq!(client.recording(&lost).await["status"], "ready");

    output_text(&sweep(&server, &[]), 0);
    let recording = client.recording(&lost).await;
    assert_eq!(recording["status"], "failed");
    assert_eq!(
        recording["failure"],
        "The recording's file is no longer in the storage."
    );
    assert_eq!(client.recording(&there).await["status"], "ready");
    let answer = client
        .get(&format!("/api/recordings/{lost}/download"))
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::CONFLICT);
    let answer = client
        .delete(&format!("/api/recordings/{lost}"))
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn empty_database_or_storage_stops_the_sweep() {
    let server = TestServer::start().await;
    let stray = server.file(&format!("{STRAY}.webm"));
    write_aged(&stray, b"precious", OLD);
    let text = output_text(&sweep(&server, &[]), 1);
    assert!(text.contains("the right database"), "{text}");
    assert!(stray.exists());

    let client = server.admin().await;
    let id = client.record(&chromium_webm()).await;
    let file = server.file(&format!("{id}.webm"));
    let away = server.file("away");
    std::fs::rename(&file, &away).expect("a file");
    std::fs::remove_file(&stray).expect("a file");
    let text = output_text(&sweep(&server, &[]), 1);
    assert!(text.contains("mounted"), "{text}");
    assert_eq!(client.recording(&id).await["status"], "ready");
    output_text(&sweep(&server, &["--force"]), 0);
    assert_eq!(client.recording(&id).await["status"], "failed");
}

#[tokio::test]
async fn missing_database_is_neither_created_nor_swept() {
    let folder = tempfile::tempdir().expect("a folder");
    let stray = folder.path().join(format!("{STRAY}.webm"));
    write_aged(&stray, b"precious", OLD);
    let database = folder.path().join("nowhere.db");
    let output = Command::new(env!("CARGO_BIN_EXE_sortie-server"))
        .args(["sweep", "--force"])
        .env_clear()
        .env("SORTIE_DB", &database)
        .env("SORTIE_RECORDING_STORAGE_PATH", folder.path())
        .output()
        .expect("the server program");
    let text = output_text(&output, 1);
    assert!(text.contains("SORTIE_DB"), "{text}");
    assert!(stray.exists() && !database.exists());
}

#[tokio::test]
async fn wrong_usage_exits_with_2() {
    let server = TestServer::start().await;
    output_text(&sweep(&server, &["--min-age", "5"]), 2);
    let output = Command::new(env!("CARGO_BIN_EXE_sortie-server"))
        .arg("sweep")
        .env_clear()
        .env("SORTIE_PORT", "many")
        .output()
        .expect("the server program");
    assert!(output_text(&output, 2).contains("SORTIE_PORT"));
}
