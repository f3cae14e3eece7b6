//! Webhooks of the real program: kills during delivery, and the examples of `docs/webhooks.md`.
//!
//! `SORTIE_TEST_KILLS` sets the number of kills.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::process::Process;
use crate::support::{Client, json_of, until};
use crate::webhook_receiver::{Answer, Received, Receiver};

const KILLS: u64 = 20;

struct Installation {
    folder: TempDir,
    #[cfg(feature = "postgres")]
    dsn: Option<String>,
}

impl Installation {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            #[cfg(feature = "postgres")]
            dsn: crate::support::postgres::wanted()
                .then(|| crate::support::postgres::cluster().database()),
        }
    }

    fn start(&self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sortie-server"));
        let folder = self.folder.path();
        command
            .env_clear()
            .env("SORTIE_DB", folder.join("sortie.db"))
            .env("SORTIE_RECORDING_STORAGE_PATH", folder.join("recordings"))
            .env("SORTIE_WEBHOOK_ALLOW_PRIVATE", "true")
            .env("SORTIE_LOG", "warn");
        #[cfg(feature = "postgres")]
        if let Some(dsn) = &self.dsn {
            command
                .env("SORTIE_DB_TYPE", "postgres")
                .env("SORTIE_DB_DSN", dsn);
        }
        Process::start(&mut command, None)
    }
}

/// Deterministic random numbers (xorshift).
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Creates and stops sessions until the server is killed.
async fn work(client: Client) {
    loop {
        let body = json!({ "app_id": "test" });
        let Ok(answer) = client.post("/api/sessions").json(&body).send().await else {
            return;
        };
        let Ok(session) = answer.json::<Value>().await else {
            return;
        };
        let id = session["id"].as_str().unwrap_or_default();
        let stop = client.post(&format!("/api/sessions/{id}/stop"));
        if stop.send().await.is_err() {
            return;
        }
    }
}

/// Every page of the audit rows of an action.
async fn audit_rows(admin: &Client, action: &str) -> Vec<Value> {
    let path = format!("/api/admin/audit/export?format=jsonl&action={action}");
    let answer = admin.get(&path).send().await.expect("an answer");
    let text = answer.text().await.expect("a body");
    let rows = text.lines().map(serde_json::from_str::<Value>);
    rows.collect::<Result<_, _>>().expect("JSON")
}

/// Event and subject that an audit row stands for.
fn expected(rows: Vec<Value>, event: &'static str) -> Vec<(String, &'static str)> {
    let subjects = rows.into_iter();
    let subjects = subjects.map(|row| row["subject"].as_str().unwrap_or_default().to_owned());
    subjects.map(|subject| (subject, event)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_during_delivery_lose_no_event_and_duplicates_share_their_id() {
    let kills = std::env::var("SORTIE_TEST_KILLS").ok();
    let kills = kills.and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let installation = Installation::new();
    // Some answers are lost, so that a delivery is cut between the receiver and its record.
    let mut count = 0_u32;
    let receiver = Receiver::with(move |_| {
        count += 1;
        Answer::Status(if count.is_multiple_of(17) { 503 } else { 200 })
    })
    .await;
    let mut process = installation.start();
    let first = Client::admin_at(&process.url).await;
    let body = json!({ "name": "test", "scopes": ["record", "read", "admin"] });
    let token = json_of(first.post("/api/tokens").json(&body), 201).await;
    let client = |url: &str| Client {
        http: reqwest::Client::new(),
        url: url.to_owned(),
        token: token["token"].as_str().map(str::to_owned),
        user_id: first.user_id.clone(),
    };
    let body = json!({ "url": receiver.url });
    let created = client(&process.url).post("/api/admin/webhooks").json(&body);
    let secret = json_of(created, 201).await;
    let secret = secret["secret"].as_str().expect("a secret");
    let mut rng = Rng(0x2545_F491_4F6C_DD1D);
    let begin = Instant::now();
    for _ in 0..kills {
        let before = receiver.received().len();
        let worker = tokio::spawn(work(client(&process.url)));
        // At a random moment after the first delivery of this run.
        until("a delivery", async || receiver.received().len() > before).await;
        tokio::time::sleep(Duration::from_millis(rng.below(80))).await;
        drop(process);
        worker.abort();
        process = tokio::task::block_in_place(|| installation.start());
    }
    let admin = client(&process.url);
    // Nothing is pending and the log has no event that was not queued.
    let last = admin.session().await;
    until("the last event is delivered", async || {
        let list = json_of(admin.get("/api/admin/webhooks"), 200).await;
        let received = receiver.received();
        list[0]["pending"] == 0 && received.iter().any(|it| it.subject() == last)
    })
    .await;
    let mut events = expected(
        audit_rows(&admin, "session.create").await,
        "session.started",
    );
    events.extend(expected(
        audit_rows(&admin, "session.change").await,
        "session.ended",
    ));
    let received = receiver.received();
    let delivered: Vec<_> = received.iter().filter(|it| it.answered == 200).collect();
    let mut by_event = HashMap::<(String, String), Vec<&Received>>::new();
    for request in &delivered {
        assert!(request.is_signed_with(secret));
        let key = (request.subject(), request.event());
        by_event.entry(key).or_default().push(request);
    }
    let mut lost = Vec::new();
    for (subject, event) in &events {
        let key = (subject.clone(), (*event).to_owned());
        if !by_event.contains_key(&key) {
            lost.push(key);
        }
    }
    let mut ids = HashMap::new();
    for (key, requests) in &by_event {
        let first = requests[0];
        for request in requests {
            assert_eq!((&request.id, &request.body), (&first.id, &first.body));
        }
        let other = ids.insert(&first.id, key);
        assert_eq!(other, None, "two events have the ID {}", first.id);
    }
    // The first delivery of a session's end follows a delivery of its start.
    let mut started = std::collections::HashSet::new();
    for request in &delivered {
        if request.event() == "session.started" {
            started.insert(request.subject());
        } else {
            assert!(
                started.contains(&request.subject()),
                "out of order: {request:?}"
            );
        }
    }
    println!(
        "{kills} kills in {:?}: {} events, {} deliveries, {} duplicates, {} lost",
        begin.elapsed(),
        events.len(),
        delivered.len(),
        delivered.len() - by_event.len(),
        lost.len(),
    );
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(by_event.len(), events.len());
}

/// Returns the first block of code of this language in `docs/webhooks.md`.
fn example(language: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/webhooks.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let begin = format!("```{language}\n");
    let (_, code) = page.split_once(&begin).expect("an example");
    let (code, _) = code.split_once("```").expect("the end of the example");
    code.to_owned()
}

/// Runs a program that reads `[headers, body, secret]` from its standard input and prints `true` or `false`.
fn verify(program: &str, file: &std::path::Path, request: &Received, secret: &str) -> String {
    let headers = json!({
        "webhook-id": request.id,
        "webhook-timestamp": request.timestamp,
        "webhook-signature": request.signature,
    });
    let mut child = Command::new(program)
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let input = json!([headers, request.body, secret]).to_string();
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{program}");
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .to_lowercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_of_the_document_verify_a_real_request() {
    let installation = Installation::new();
    let receiver = Receiver::start().await;
    let process = tokio::task::block_in_place(|| installation.start());
    let admin = Client::admin_at(&process.url).await;
    let body = json!({ "url": receiver.url });
    let created = json_of(admin.post("/api/admin/webhooks").json(&body), 201).await;
    let webhook = created["id"].as_str().expect("an id");
    let old = created["secret"].as_str().expect("a secret");
    let rotate = format!("/api/admin/webhooks/{webhook}/rotate-secret");
    let rotated = json_of(admin.post(&rotate), 200).await;
    let new = rotated["secret"].as_str().expect("a secret");
    admin.session().await;
    until("a request", async || !receiver.received().is_empty()).await;
    let request = &receiver.received()[0];
    let mut forged = request.clone();
    forged.body = forged.body.replace("started", "ended");
    let mut replayed = request.clone();
    replayed.timestamp = "1000000000".to_owned();

    let folder = installation.folder.path();
    let (js, py) = (folder.join("verify.mjs"), folder.join("verify.py"));
    let main = "\nimport { readFileSync } from 'node:fs'\n\
        console.log(isSigned(...JSON.parse(readFileSync(0, 'utf8'))))\n";
    std::fs::write(&js, example("js") + main).expect("a file");
    let main = "\nimport json, sys\nprint(is_signed(*json.load(sys.stdin)))\n";
    std::fs::write(&py, example("python") + main).expect("a file");
    for (program, file) in [("node", &js), ("python3", &py)] {
        for (request, secret, expected) in [
            (request, old, "true"),
            (request, new, "true"),
            (request, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "false"),
            (&forged, new, "false"),
            (&replayed, new, "false"),
        ] {
            let verified = verify(program, file, request, secret);
            assert_eq!(verified, expected, "{program}: {request:?}");
        }
    }
}
