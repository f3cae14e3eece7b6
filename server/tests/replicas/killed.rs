//! Real processes that are killed: the others know every acknowledged byte.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::sync::RwLock;

use crate::Installation;
use crate::support::process::Process;
use crate::support::streams::{download, finished, large_webm};
use crate::support::{Client, header};

const MIB: u64 = 1024 * 1024;
/// Upper bound of any wait, generous for slow machines.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server in a separate process with a separate disk.
fn start(installation: &Installation) -> Process {
    let disk = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sortie-server"));
    command
        .env_clear()
        .envs(
            installation
                .variables
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .env("SORTIE_RECORDING_STAGING_PATH", disk.path().join("staging"))
        .env("SORTIE_LOG", "warn");
    Process::start(&mut command, Some(disk))
}

async fn started(installation: &Arc<Installation>) -> Process {
    let installation = Arc::clone(installation);
    let started = tokio::task::spawn_blocking(move || start(&installation));
    started.await.expect("no panic")
}

/// Deterministic random numbers.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// The servers by number; a caller may find one killed.
struct Servers(RwLock<Vec<Process>>);

impl Servers {
    async fn random_url(&self, rng: &mut Rng) -> String {
        let servers = self.0.read().await;
        let n = rng.below(servers.len() as u64);
        servers[usize::try_from(n).expect("small")].url.clone()
    }
}

/// Sends a stream in pieces, each to a random server. After a failure it reads the offset, which must not be below an
/// acknowledged one.
async fn upload(
    servers: &Servers,
    client: &Client,
    id: &str,
    stream: &[u8],
    answered: &AtomicU64,
    mut rng: Rng,
) {
    let upload = format!("/api/uploads/{id}");
    let (mut at, mut safe, length) = (0u64, 0u64, stream.len() as u64);
    while at < length {
        let end = (at + 1 + rng.below(MIB)).min(length);
        let range = usize::try_from(at).expect("small")..usize::try_from(end).expect("small");
        let there = client.at(&servers.random_url(&mut rng).await);
        let mut patch = there.patch(&upload, at, stream[range].to_vec());
        if end == length {
            patch = patch.header("Upload-Length", length);
        }
        if let Ok(answer) = patch.send().await
            && answer.status() == StatusCode::NO_CONTENT
        {
            answered.fetch_add(end - safe, Ordering::SeqCst);
            (at, safe) = (end, end);
            continue;
        }
        at = loop {
            let there = client.at(&servers.random_url(&mut rng).await);
            let asked = there.tus(Method::HEAD, &upload).send().await;
            match asked {
                Ok(answer) if answer.status() == StatusCode::OK => {
                    break header(&answer, "upload-offset").parse().expect("a number");
                }
                // Killed or restarting servers; never an answer that makes a sender stop retrying.
                Ok(answer) => assert!(
                    matches!(answer.status().as_u16(), 423 | 503),
                    "{}",
                    answer.status()
                ),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(
            at >= safe,
            "{safe} bytes were answered for, and {at} are there"
        );
        answered.fetch_add(at - safe, Ordering::SeqCst);
        safe = at;
    }
}

async fn wait_until_ready(client: &Client, id: &str) -> Value {
    let waiting = async {
        loop {
            let recording = client.recording(id).await;
            if recording["completed_at"].is_string() {
                return recording;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.expect("the recording is finished in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn random_kills_of_three_replicas_lose_no_byte() {
    const KILLS: u64 = 8;
    const STREAMS: u64 = 3;
    let installation = Arc::new(Installation::new(&[]));
    let mut processes = Vec::new();
    for _ in 0..3 {
        processes.push(started(&installation).await);
    }
    let client = Client::admin_at(&processes[0].url).await;
    let servers = Arc::new(Servers(RwLock::new(processes)));
    let stream: Arc<[u8]> = large_webm(10 * 1024 * 1024).into();
    let answered = Arc::new(AtomicU64::new(0));
    let mut uploads = Vec::new();
    for n in 1..=STREAMS {
        let (id, _) = client.start_recording().await;
        let (servers, stream, answered) = (
            Arc::clone(&servers),
            Arc::clone(&stream),
            Arc::clone(&answered),
        );
        let (task_id, client) = (id.clone(), client.at(&client.url));
        let task = tokio::spawn(async move {
            let rng = Rng(n * 0x9E37_79B9);
            upload(&servers, &client, &task_id, &stream, &answered, rng).await;
        });
        uploads.push((id, task));
    }
    // Kills depend on acknowledged bytes, so that a slow machine has as many.
    let total = STREAMS * stream.len() as u64;
    let mut rng = Rng(0x2545_F491);
    for kill in 1..=KILLS {
        let when = total * kill / (KILLS + 1) - rng.below(MIB / 2);
        let reached = async {
            while answered.load(Ordering::SeqCst) < when {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "the uploads make no progress");
        let n = usize::try_from(rng.below(3)).expect("small");
        let _ = servers.0.write().await[n].child.kill();
        let fresh = started(&installation).await;
        servers.0.write().await[n] = fresh;
    }
    let url = servers.random_url(&mut rng).await;
    let client = client.at(&url);
    for (id, task) in uploads {
        task.await.expect("no byte that was answered for is lost");
        let recording = wait_until_ready(&client, &id).await;
        assert_eq!(recording["status"], "ready", "{recording}");
        assert_eq!(recording["interrupted"], false, "{recording}");
        assert!(download(&client, &id).await == finished(&stream));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_finishes_upload_of_a_killed_one() {
    let installation = Arc::new(Installation::new(&[(
        "SORTIE_RECORDING_SILENCE_SECONDS",
        "5",
    )]));
    let (doomed, other) = (started(&installation).await, started(&installation).await);
    let client = Client::admin_at(&doomed.url).await;
    let stream = large_webm(9 * 1024 * 1024);
    let (id, _) = client.start_recording().await;
    let patch = client.patch(&format!("/api/uploads/{id}"), 0, stream.clone());
    let answer = patch.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    drop(doomed);
    let client = client.at(&other.url);
    let recording = wait_until_ready(&client, &id).await;
    assert_eq!(recording["status"], "ready", "{recording}");
    assert_eq!(recording["interrupted"], true, "{recording}");
    assert!(download(&client, &id).await == finished(&stream));
}
