//! The agent as a person has it: the program with its test picture, asked over HTTP; ffprobe judges the files.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

const PASSWORD: &str = "correct horse";
/// How often something is asked for, at most: two minutes, for the machine may be busy with other things.
const LOOKS: u32 = 1200;

struct Agent {
    child: Child,
    url: String,
    folder: TempDir,
    client: reqwest::Client,
    token: String,
}

impl Agent {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::launch(folder, variables).await
    }

    async fn launch(folder: TempDir, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"))
            .arg("serve")
            .env("SORTIE_CAPTURE_SOURCE", "test")
            .env("SORTIE_CAPTURE_MODE", "320x240@30")
            .env("SORTIE_CAPTURE_HOST", "127.0.0.1")
            .env("SORTIE_CAPTURE_PORT", "0")
            .env("SORTIE_CAPTURE_PATH", folder.path().join("recordings"))
            .env("SORTIE_CAPTURE_DB", folder.path().join("agent.db"))
            .env("SORTIE_CAPTURE_ADMIN_PASSWORD", PASSWORD)
            .env("SORTIE_CAPTURE_THRESHOLD_PERCENT", "0")
            .env("SORTIE_CAPTURE_RESERVE_MB", "1")
            .env("SORTIE_CAPTURE_LOG", "warn")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let greeting = out.lines().next().expect("a greeting").expect("text");
        let (_, url) = greeting.rsplit_once(' ').expect("an address");
        // Whether this has TLS at all depends on what else is built with it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let login = json!({"username": "admin", "password": PASSWORD});
        let answer = client.post(format!("{url}/api/auth/login")).json(&login);
        let answer: Value = answer
            .send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON");
        Self {
            token: answer["access_token"].as_str().expect("a token").to_owned(),
            url: url.to_owned(),
            child,
            folder,
            client,
        }
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.url));
        let answer = request.bearer_auth(&self.token).json(&body).send().await;
        let answer = answer.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    async fn post(&self, path: &str, body: Value) {
        let (status, answer) = self.ask("POST", path, body).await;
        assert!(status < 300, "{path}: {status} {answer}");
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask("GET", path, json!({})).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Waits until what this path says is right.
    async fn until(&self, path: &str, right: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        for _ in 0..LOOKS {
            last = self.get(path).await;
            if right(&last) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{path} stays {last}");
    }

    async fn until_recorded(&self, seconds: f64) -> Value {
        let far = |state: &Value| state["file"]["duration_seconds"].as_f64() >= Some(seconds);
        self.until("/api/appliance", far).await
    }

    async fn signal(&self, state: &str) {
        self.post("/api/appliance/test-signal", json!({"state": state}))
            .await;
    }

    async fn settings(&self, settings: Value) {
        let (status, answer) = self.ask("PUT", "/api/admin/settings", settings).await;
        assert_eq!(status, 204, "{answer}");
    }

    fn file(&self, recording: &Value) -> PathBuf {
        let name = recording["filename"].as_str().expect("a name");
        self.folder.path().join("recordings").join(name)
    }

    fn kill(mut self) -> TempDir {
        self.child.kill().expect("it is there");
        self.child.wait().expect("its child");
        let empty = tempfile::tempdir().expect("a folder");
        std::mem::replace(&mut self.folder, empty)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds and frames, by an independent reader that must not complain.
fn probe(file: &PathBuf) -> (f64, u64) {
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=nb_read_frames:format=duration"])
        .arg(file)
        .output()
        .expect("ffprobe");
    let complaints = String::from_utf8_lossy(&probed.stderr);
    assert!(complaints.is_empty(), "{}: {complaints}", file.display());
    let text = String::from_utf8(probed.stdout).expect("text");
    let mut lines = text.lines();
    let frames = lines
        .next()
        .and_then(|line| line.trim_end_matches(',').parse().ok());
    let seconds = lines.next().and_then(|line| line.parse().ok());
    (seconds.expect("a length"), frames.expect("frames"))
}

fn count(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

const STEADY: fn(&Value) -> bool = |state| state["signal"]["state"] == "steady";

#[tokio::test]
async fn by_hand_it_needs_a_signal_and_what_is_stopped_is_in_the_list() {
    let agent = Agent::start(&[]).await;
    let idle = agent.until("/api/appliance", STEADY).await;
    assert_eq!(idle["recorder"], "idle");
    assert_eq!(idle["signal"]["width"], 320);

    agent.signal("no_signal").await;
    let lost = |state: &Value| state["signal"]["state"] == "no_signal";
    agent.until("/api/appliance", lost).await;
    let (status, problem) = agent
        .ask("POST", "/api/appliance/recording/start", json!({}))
        .await;
    assert_eq!(status, 409);
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|it| it.contains("needs a video signal")),
        "{problem}"
    );

    agent.signal("steady").await;
    agent.until("/api/appliance", STEADY).await;
    agent
        .post("/api/appliance/recording/start", json!({}))
        .await;
    let state = agent.until_recorded(1.0).await;
    assert_eq!(state["encoder"], "x264enc");
    // What grows is no recording yet.
    assert_eq!(agent.get("/api/recordings").await, json!([]));

    // A loss of the signal ends the file; when it is back another goes on with the session.
    agent.signal("no_lock").await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    let waiting = agent.get("/api/appliance").await;
    assert_eq!(waiting["recorder"], "waiting");
    agent.signal("steady").await;
    let state = agent.until_recorded(1.0).await;
    let both = state["duration_seconds"].as_f64().unwrap();
    assert!(
        both > list[0]["duration_seconds"].as_f64().unwrap() + 0.9,
        "{state}"
    );
    agent.post("/api/appliance/recording/stop", json!({})).await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 2)
        .await;
    assert_eq!(list[0]["session_id"], list[1]["session_id"]);
    for recording in list.as_array().unwrap() {
        let (seconds, frames) = probe(&agent.file(recording));
        let listed = recording["duration_seconds"].as_f64().unwrap();
        assert!((seconds - listed).abs() < 0.05, "{seconds} and {listed}");
        assert!(frames > 10 && recording["status"] == "ready", "{recording}");
        assert!(
            recording["filename"]
                .as_str()
                .unwrap()
                .starts_with("recording_20")
        );
    }
}

#[tokio::test]
async fn by_itself_it_follows_the_signal_and_what_a_kill_leaves_comes_into_the_list() {
    let agent = Agent::start(&[]).await;
    agent
        .settings(json!({"recording_auto_record": "true"}))
        .await;
    let state = agent.until_recorded(2.0).await;
    let name = state["file"]["filename"].as_str().unwrap().to_owned();
    let durable = state["file"]["duration_seconds"].as_f64().unwrap();

    let folder = agent.kill();
    assert!(
        folder
            .path()
            .join("recordings")
            .join(format!("{name}.part"))
            .exists()
    );
    let agent = Agent::launch(folder, &[]).await;
    let of_name = |list: &Value| {
        let list = list.as_array().expect("a list");
        list.iter()
            .find(|recording| recording["filename"] == name)
            .cloned()
    };
    let list = agent
        .until("/api/recordings", |list| of_name(list).is_some())
        .await;
    let recording = of_name(&list).unwrap();
    assert_eq!(recording["interrupted"], true);
    let (seconds, _) = probe(&agent.file(&recording));
    assert!(seconds >= durable - 0.05, "{seconds} of {durable} s");

    // Auto-record is as it was left, so it records already. Stop by hand holds.
    agent.until_recorded(1.0).await;
    agent.post("/api/appliance/recording/stop", json!({})).await;
    agent
        .until("/api/recordings", |list| count(list) == 2)
        .await;
    let state = agent.get("/api/appliance").await;
    assert_eq!(
        (&state["recorder"], &state["auto_record"]),
        (&json!("idle"), &json!(true))
    );
}

#[tokio::test]
async fn what_cannot_be_configured_so_is_told_at_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"))
        .arg("serve")
        .env("SORTIE_CAPTURE_SOURCE", "camera")
        .env("SORTIE_CAPTURE_PORT", "x")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("SORTIE_CAPTURE_SOURCE: ") && text.contains("SORTIE_CAPTURE_PORT: "),
        "{text}"
    );
}
