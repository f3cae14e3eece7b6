//! Real processes whose wall clock jumps and which are stopped: no recording ends, nothing is deleted, and users can
//! sign in.

use std::process::Command;
use std::time::Duration;

use crate::support::faketime::FakeClock;
use crate::support::process::Process;
use crate::support::{ADMIN_PASSWORD, Client, chromium_webm, json_of, problem, until};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

const JUMPS: [(&str, &str); 4] = [
    ("+1h", "ahead"),
    ("-1h", "behind"),
    ("+400d", "ahead"),
    ("-400d", "behind"),
];

/// Starts a server with a threshold that every disk exceeds: retention deletes ready recordings as soon as it runs.
fn start(clock: &FakeClock, folder: TempDir, variables: &[(&str, &str)]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sortie-server"));
    command
        .env_clear()
        .env("SORTIE_RECORDING_RETENTION_DAYS", "30")
        .env("SORTIE_RECORDING_DISK_HIGH_PERCENT", "1")
        .env("SORTIE_RECORDING_DISK_LOW_PERCENT", "0")
        .env(
            "SORTIE_RECORDING_STORAGE_PATH",
            folder.path().join("recordings"),
        )
        .env("SORTIE_DB", folder.path().join("sortie.db"))
        .env("SORTIE_LOG", "warn")
        .envs(variables.iter().copied());
    clock.apply_to(&mut command);
    Process::start(&mut command, Some(folder))
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn anonymous(url: &str) -> Client {
    // A server in this process would have installed the provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client {
        http: reqwest::Client::new(),
        url: url.to_owned(),
        token: None,
        user_id: String::new(),
    }
}

async fn sign_in(url: &str) -> (Client, Value) {
    let client = anonymous(url);
    let who = json!({ "username": "admin", "password": ADMIN_PASSWORD });
    let tokens = json_of(client.post("/api/auth/login").json(&who), 200).await;
    let signed_in = Client {
        token: tokens["access_token"].as_str().map(str::to_owned),
        ..client
    };
    (signed_in, tokens)
}

async fn rows(client: &Client, action: &str) -> usize {
    let log = json_of(
        client.get(&format!("/api/admin/audit?action={action}")),
        200,
    )
    .await;
    log.as_array().map_or(0, Vec::len)
}

async fn hold(client: &Client) -> Value {
    json_of(client.get("/api/admin/retention"), 200).await["hold"]["doubt"].clone()
}

async fn me(client: &Client) -> u16 {
    let answer = client.get("/api/auth/me").send().await;
    answer.expect("an answer").status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_jumps_of_a_running_server_delete_and_end_nothing() {
    let clock = FakeClock::new();
    let server = start(&clock, folder(), &[]);
    let (client, tokens) = sign_in(&server.url).await;
    let bytes = chromium_webm();
    let ready = client.record(&bytes).await;
    let (growing, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{growing}");
    let half = bytes.len() / 2;
    let sent = client
        .patch(&upload, 0, bytes[..half].to_vec())
        .send()
        .await;
    assert_eq!(sent.expect("an answer").status(), 204);
    assert_eq!(hold(&client).await, Value::Null);

    for (round, (offset, doubt)) in JUMPS.into_iter().enumerate() {
        clock.set(offset);
        // Sign-in does not depend on tokens issued earlier.
        let (there, new_tokens) = sign_in(&server.url).await;
        assert_eq!(hold(&there).await, doubt, "{offset}");
        problem(there.post("/api/admin/retention/run"), 409, "conflict").await;
        until("the audit log has the row", async || {
            rows(&there, "clock.hold").await == round + 1
        })
        .await;
        let chain = json_of(there.get("/api/admin/audit/verify"), 200).await;
        assert_eq!(chain["first_bad_seq"], Value::Null, "{chain}");
        assert_eq!(there.recording(&growing).await["status"], "recording");
        assert_eq!(there.recording(&ready).await["status"], "ready");

        clock.set("+0");
        let (back, _) = sign_in(&server.url).await;
        assert_eq!(hold(&back).await, Value::Null, "{offset}");
        until("the audit log has the row", async || {
            rows(&back, "clock.resume").await == round + 1
        })
        .await;
        // Earlier tokens are valid again; tokens issued by a fast clock do not outlive their lifetime.
        assert_eq!(me(&client).await, 200, "{offset}");
        if doubt == "ahead" {
            assert_eq!(me(&there).await, 401, "{offset}");
        }
        let refresh = json!({ "refresh_token": new_tokens["refresh_token"] });
        let refreshed = back.post("/api/auth/refresh").json(&refresh).send().await;
        // Issued 400 days ago, it has expired.
        let expected = if offset == "-400d" { 401 } else { 200 };
        let refreshed = refreshed.expect("an answer").status();
        assert_eq!(refreshed, expected, "{offset}");
    }
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    json_of(
        anonymous(&server.url)
            .post("/api/auth/refresh")
            .json(&refresh),
        200,
    )
    .await;
    let last = client
        .patch(&upload, half as u64, bytes[half..].to_vec())
        .header("Upload-Length", bytes.len());
    assert_eq!(last.send().await.expect("an answer").status(), 204);
    assert_eq!(client.recording(&growing).await["status"], "ready");
    // Only the clock held retention back.
    let run = json_of(client.post("/api/admin/retention/run"), 200).await;
    assert_eq!(run["deleted"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_starts_with_a_wrong_clock_deletes_nothing_until_confirmed() {
    for (offset, doubt) in [("+400d", "ahead"), ("-400d", "behind")] {
        let clock = FakeClock::new();
        let place = folder();
        let (db, recordings) = (place.path().join("db"), place.path().join("recordings"));
        let variables = [
            ("SORTIE_DB", db.to_str().expect("text")),
            (
                "SORTIE_RECORDING_STORAGE_PATH",
                recordings.to_str().expect("text"),
            ),
        ];
        let server = start(&clock, folder(), &variables);
        let (client, _) = sign_in(&server.url).await;
        let ready = client.record(&chromium_webm()).await;
        drop(server);
        clock.set(offset);
        let server = start(&clock, folder(), &variables);
        let (client, _) = sign_in(&server.url).await;
        assert_eq!(hold(&client).await, doubt);
        problem(client.post("/api/admin/retention/run"), 409, "conflict").await;
        assert_eq!(client.recording(&ready).await["status"], "ready");
        let confirmed = client
            .post("/api/admin/retention/confirm-clock")
            .send()
            .await;
        assert_eq!(confirmed.expect("an answer").status(), 204);
        assert_eq!(hold(&client).await, Value::Null);
        // Dated by the earlier clock, the recording is now in the future.
        let deleted = u64::from(doubt == "ahead");
        let run = json_of(client.post("/api/admin/retention/run"), 200).await;
        assert_eq!(run["deleted"], deleted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_process_ends_no_recording() {
    let clock = FakeClock::new();
    let silence = [("SORTIE_RECORDING_SILENCE_SECONDS", "10")];
    let server = start(&clock, folder(), &silence);
    let (client, _) = sign_in(&server.url).await;
    let bytes = chromium_webm();
    let half = bytes.len() / 2;
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    let sent = client
        .patch(&upload, 0, bytes[..half].to_vec())
        .send()
        .await;
    assert_eq!(sent.expect("an answer").status(), 204);
    // The session of this recording has ended: the reaper finishes it.
    let (other, session) = client.start_recording().await;
    json_of(client.post(&format!("/api/sessions/{session}/stop")), 200).await;

    let process = rustix::process::Pid::from_child(&server.child);
    rustix::process::kill_process(process, rustix::process::Signal::STOP)
        .expect("a running process");
    tokio::time::sleep(Duration::from_secs(20)).await;
    rustix::process::kill_process(process, rustix::process::Signal::CONT)
        .expect("a running process");

    until("the reaper ticks", async || {
        // The sender has resumed, paused.
        let head = client.tus(Method::HEAD, &upload).send().await;
        assert_eq!(head.expect("an answer").status(), 200);
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.recording(&other).await["status"] == "failed"
    })
    .await;
    let last = client
        .patch(&upload, half as u64, bytes[half..].to_vec())
        .header("Upload-Length", bytes.len());
    assert_eq!(last.send().await.expect("an answer").status(), 204);
    let recording = client.recording(&id).await;
    assert_eq!(recording["status"], "ready");
    assert_eq!(recording["interrupted"], false);
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn only_the_replica_with_a_wrong_clock_holds_retention() {
    let dsn = crate::support::postgres::cluster().database();
    let recordings = folder();
    let path = recordings.path().to_str().expect("text");
    let variables = [
        ("SORTIE_DB_TYPE", "postgres"),
        ("SORTIE_DB_DSN", dsn.as_str()),
        ("SORTIE_RECORDING_STORAGE_PATH", path),
    ];
    let (right, wrong) = (FakeClock::new(), FakeClock::new());
    let first = start(&right, folder(), &variables);
    let (client, _) = sign_in(&first.url).await;
    wrong.set("+400d");
    let second = start(&wrong, folder(), &variables);
    let (there, _) = sign_in(&second.url).await;
    for offset in ["+400d", "-400d"] {
        wrong.set(offset);
        let (there, _) = sign_in(&second.url).await;
        let ready = client.record(&chromium_webm()).await;
        problem(there.post("/api/admin/retention/run"), 409, "conflict").await;
        assert_eq!(client.recording(&ready).await["status"], "ready");
        assert_eq!(hold(&client).await, Value::Null);
        let run = json_of(client.post("/api/admin/retention/run"), 200).await;
        assert_eq!(run["deleted"], 1, "{offset}");
    }
    // A lease taken under one clock does not bind replicas under another.
    wrong.set("+0");
    let (back, _) = sign_in(&second.url).await;
    until("the other replica accepts its clock again", async || {
        hold(&back).await == Value::Null
    })
    .await;
    let ready = client.record(&chromium_webm()).await;
    let run = json_of(back.post("/api/admin/retention/run"), 200).await;
    assert_eq!(run["deleted"], 1);
    assert_eq!(me(&there).await, 401);
    let gone = client.get(&format!("/api/recordings/{ready}")).send().await;
    assert_eq!(gone.expect("an answer").status(), 404);
}
