//! Running agent, controlled over HTTP; ffprobe checks its files.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::faketime::FakeClock;

pub(crate) const PASSWORD: &str = "correct horse";
/// Polls of a condition: two minutes, because the machine may be busy.
pub(crate) const LOOKS: u32 = 1200;

/// Sets the variables of an agent whose data is in a folder.
pub(crate) fn configure<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    command
        .env("SORTIE_CAPTURE_SOURCE", "test")
        .env("SORTIE_CAPTURE_MODE", "320x240@30")
        .env("SORTIE_CAPTURE_HOST", "127.0.0.1")
        .env("SORTIE_CAPTURE_PORT", "0")
        .env("SORTIE_CAPTURE_PATH", folder.join("recordings"))
        .env("SORTIE_CAPTURE_DB", folder.join("agent.db"))
        .env("SORTIE_CAPTURE_ADMIN_PASSWORD", PASSWORD)
        .env("SORTIE_CAPTURE_THRESHOLD_PERCENT", "0")
        .env("SORTIE_CAPTURE_LOG", "warn")
}

pub(crate) struct Agent {
    child: Child,
    url: String,
    pub(crate) folder: TempDir,
    client: reqwest::Client,
    token: String,
}

impl Agent {
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::launch(folder, variables).await
    }

    pub(crate) async fn launch(folder: TempDir, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"));
        command.arg("serve");
        Self::spawn(folder, command, variables).await
    }

    /// Starts an agent with its own wall clock.
    pub(crate) async fn on_clock(clock: &FakeClock, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"));
        command.arg("serve");
        clock.apply_to(&mut command);
        Self::spawn(folder, command, variables).await
    }

    /// Signs in again: tokens of another time may have expired.
    pub(crate) async fn sign_in(&mut self) {
        let login = json!({"username": "admin", "password": PASSWORD});
        let answer = self.client.post(format!("{}/api/auth/login", self.url));
        let answer = answer.json(&login).send().await.expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        answer["access_token"]
            .as_str()
            .expect("a token")
            .clone_into(&mut self.token);
    }

    /// Starts an agent with recordings on a 4 MiB tmpfs, prepared by the shell script `before`.
    pub(crate) async fn start_on_small_disk(before: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let recordings = folder.path().join("recordings");
        std::fs::create_dir(&recordings).expect("a folder");
        let script = format!(
            "mount -t tmpfs -o size=4m none \"$1\" && cd \"$1\" && {{ {before}; }} && cd / && exec \"$2\" serve"
        );
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
        command.arg(&recordings);
        command.arg(env!("CARGO_BIN_EXE_sortie-capture-agent"));
        Self::spawn(folder, command, variables).await
    }

    /// Runs a shell command in the folder for recordings, inside the agent's mount namespace.
    pub(crate) fn run_on_disk(&self, what: &str) {
        let id = self.child.id().to_string();
        let recordings = self.folder.path().join("recordings");
        let done = Command::new("nsenter")
            .args([
                "--target",
                &id,
                "--user",
                "--preserve-credentials",
                "--mount",
            ])
            .args(["sh", "-c", &format!("cd \"$1\" && {what}"), "sh"])
            .arg(recordings)
            .status();
        assert!(done.expect("nsenter").success(), "{what}");
    }

    /// Mounts a file system that never answers over the folder for recordings, like a network disk whose server is gone.
    /// Requires [`Self::start_on_small_disk`].
    pub(crate) fn hang_disk(&self) -> HangingDisk {
        // FUSE without a server: every access waits for the answer to the first message.
        const MOUNT: &str = "exec 3<>/dev/fuse && \
            mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 none \"$1\" && echo mounted && exec sleep infinity";
        let id = self.child.id().to_string();
        let mut child = Command::new("nsenter")
            .args(["--target", &id, "--user", "--preserve-credentials"])
            .args(["--mount", "sh", "-c", MOUNT, "sh"])
            .arg(self.folder.path().join("recordings"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("nsenter");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let mounted = out.lines().next().expect("it is mounted").expect("text");
        assert_eq!(mounted, "mounted");
        HangingDisk(child)
    }

    pub(crate) async fn spawn(
        folder: TempDir,
        mut command: Command,
        variables: &[(&str, &str)],
    ) -> Self {
        let mut child = configure(&mut command, folder.path())
            .env("SORTIE_CAPTURE_RESERVE_MB", "1")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let greeting = out.lines().next().expect("a greeting").expect("text");
        let (_, url) = greeting.rsplit_once(' ').expect("an address");
        // Whether this build has TLS depends on other crates in the build.
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

    /// Prepares a `GET` request of the administrator.
    pub(crate) fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.anonymous_request(path).bearer_auth(&self.token)
    }

    /// Prepares a `GET` request without a sign-in.
    pub(crate) fn anonymous_request(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.url));
        let answer = request.bearer_auth(&self.token).json(&body).send().await;
        let answer = answer.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    pub(crate) async fn post(&self, path: &str, body: Value) {
        let (status, answer) = self.ask("POST", path, body).await;
        assert!(status < 300, "{path}: {status} {answer}");
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask("GET", path, json!({})).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Polls a path until the answer meets a condition.
    pub(crate) async fn until(&self, path: &str, right: impl Fn(&Value) -> bool) -> Value {
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

    pub(crate) async fn download(&self, recording: &Value) -> Vec<u8> {
        let id = recording["id"].as_str().expect("an id");
        let url = format!("{}/api/recordings/{id}/download", self.url);
        let answer = self.client.get(url).bearer_auth(&self.token).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status().as_u16(), 200);
        answer.bytes().await.expect("a body").to_vec()
    }

    /// Requests a path until it exists; returns media type and body.
    pub(crate) async fn wait_found(&self, path: &str) -> (String, Vec<u8>) {
        for _ in 0..LOOKS {
            let request = self.client.get(format!("{}{path}", self.url));
            let answer = request.bearer_auth(&self.token).send().await;
            let answer = answer.expect("an answer");
            if answer.status().as_u16() == 200 {
                let kind = answer.headers()["content-type"].to_str().expect("text");
                let kind = kind.to_owned();
                return (kind, answer.bytes().await.expect("a body").to_vec());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{path} does not exist");
    }

    /// Waits for a signal.
    pub(crate) async fn steady(&self) -> Value {
        let steady = |state: &Value| state["signal"]["state"] == "steady";
        self.until("/api/appliance", steady).await
    }

    pub(crate) async fn start_recording(&self) {
        self.post("/api/appliance/recording/start", json!({})).await;
    }

    /// Starts a recording as soon as there is a signal, and waits until these seconds are recorded.
    pub(crate) async fn record(&self, seconds: f64) -> Value {
        self.steady().await;
        self.start_recording().await;
        self.wait_recorded(seconds).await
    }

    pub(crate) async fn wait_recorded(&self, seconds: f64) -> Value {
        let far = |state: &Value| state["file"]["duration_seconds"].as_f64() >= Some(seconds);
        self.until("/api/appliance", far).await
    }

    pub(crate) async fn signal(&self, state: &str) {
        self.post("/api/appliance/test-signal", json!({"state": state}))
            .await;
    }

    pub(crate) async fn settings(&self, settings: Value) {
        let (status, answer) = self.ask("PUT", "/api/admin/settings", settings).await;
        assert_eq!(status, 204, "{answer}");
    }

    pub(crate) fn file(&self, recording: &Value) -> PathBuf {
        let name = recording["filename"].as_str().expect("a name");
        self.folder.path().join("recordings").join(name)
    }

    pub(crate) fn kill(mut self) -> TempDir {
        self.child.kill().expect("it is there");
        self.child.wait().expect("its child");
        let empty = tempfile::tempdir().expect("a folder");
        std::mem::replace(&mut self.folder, empty)
    }
}

/// File system that does not answer; accesses fail after it is dropped.
pub(crate) struct HangingDisk(Child);

impl Drop for HangingDisk {
    fn drop(&mut self) {
        // The process may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // The process may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns seconds and frames, from ffprobe, which must not report an error.
pub(crate) fn probe(file: &PathBuf) -> (f64, u64) {
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

pub(crate) fn count(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}
