//! Real central server in this process.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sortie_server::{Config, Server, SystemClock};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::agent::LOOKS;

const PASSWORD: &str = "a central password";

/// Changes a byte of a file.
pub(crate) fn flip_byte(path: &Path, position: u64) {
    let file = File::options().read(true).write(true).open(path);
    let file = file.expect("a file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).expect("a byte");
    file.write_all_at(&[!byte[0]], position).expect("written");
}

pub(crate) struct Central {
    pub(crate) url: String,
    pub(crate) port: u16,
    folder: TempDir,
    variables: Vec<(String, String)>,
    client: reqwest::Client,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Central {
    pub(crate) async fn start(variables: &[(&str, &str)]) -> Self {
        // Fails if the process has a provider already, which is harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut central = Self {
            url: String::new(),
            port: 0,
            folder: tempfile::tempdir().expect("a folder"),
            variables: variables.iter().map(owned).collect(),
            client: reqwest::Client::new(),
            running: None,
        };
        central.restart().await;
        central
    }

    /// Starts the server again with the same data.
    pub(crate) async fn restart(&mut self) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let config = Config::read(&|name| {
            let own = self.variables.iter().find(|(known, _)| known == name);
            own.map(|(_, value)| value.clone()).or_else(|| match name {
                "SORTIE_HOST" => Some("127.0.0.1".to_owned()),
                "SORTIE_PORT" => Some(self.port.to_string()),
                "SORTIE_DB" => Some(path("central.db")),
                "SORTIE_RECORDING_STORAGE_PATH" => Some(path("recordings")),
                "SORTIE_ADMIN_PASSWORD" => Some(PASSWORD.to_owned()),
                "SORTIE_VIDEO_RECORDING_ENABLED" => Some("true".to_owned()),
                _ => None,
            })
        });
        let server = Server::open(config.expect("a configuration"), Arc::new(SystemClock));
        let server = server.await.expect("it opens");
        self.port = server.address().port();
        self.url = format!("http://127.0.0.1:{}", self.port);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let stopped = async move {
                let _ = stopped.await;
            };
            server.serve(stopped).await.expect("it serves");
        });
        self.running = Some((stop, serving));
    }

    pub(crate) async fn stop(&mut self) {
        if let Some((stop, serving)) = self.running.take() {
            drop(stop);
            serving.await.expect("it ends");
        }
    }

    async fn admin(&self) -> String {
        let login = json!({"username": "admin", "password": PASSWORD});
        let request = self.client.post(format!("{}/api/auth/login", self.url));
        let answer = request.json(&login).send().await.expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// Creates the API token of an agent.
    pub(crate) async fn token(&self) -> String {
        self.token_with(&["record", "read"]).await
    }

    /// Creates an API token with these scopes.
    pub(crate) async fn token_with(&self, scopes: &[&str]) -> String {
        let request = self.client.post(format!("{}/api/tokens", self.url));
        let wanted = json!({"name": "agent", "scopes": scopes});
        let request = request.bearer_auth(self.admin().await).json(&wanted);
        let answer: Value = request
            .send()
            .await
            .expect("sent")
            .json()
            .await
            .expect("JSON");
        answer["token"].as_str().expect("a token").to_owned()
    }

    pub(crate) async fn recordings(&self) -> Vec<Value> {
        let request = self.client.get(format!("{}/api/recordings", self.url));
        let request = request.bearer_auth(self.admin().await);
        request
            .send()
            .await
            .expect("sent")
            .json()
            .await
            .expect("a list")
    }

    /// Requests a path as the administrator; returns media type and body.
    pub(crate) async fn get(&self, path: &str) -> (String, Vec<u8>) {
        let request = self.client.get(format!("{}{path}", self.url));
        let request = request.bearer_auth(self.admin().await);
        let answer = request.send().await.expect("sent");
        let kind = answer.headers()["content-type"].to_str().expect("text");
        let kind = kind.to_owned();
        (kind, answer.bytes().await.expect("a body").to_vec())
    }

    /// Waits until this many recordings are ready.
    pub(crate) async fn wait_ready(&self, count: usize) {
        let mut last = Vec::new();
        for _ in 0..LOOKS {
            last = self.recordings().await;
            let ready = last.iter().filter(|one| one["status"] == "ready");
            if ready.count() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not {count} are ready: {last:?}");
    }

    /// Changes a byte that a growing recording has received.
    pub(crate) fn damage_growing(&self) {
        let folder = self.folder.path().join("recordings");
        let entries = std::fs::read_dir(folder).expect("a folder");
        let mut paths = entries.map(|entry| entry.expect("an entry").path());
        let path = paths.find(|path| path.extension().is_some_and(|it| it == "part"));
        flip_byte(&path.expect("a growing recording"), 4096 + 6000);
    }

    pub(crate) async fn delete(&self, recording: &Value) {
        let id = recording["id"].as_str().expect("an id");
        let url = format!("{}/api/recordings/{id}", self.url);
        let request = self.client.delete(url).bearer_auth(self.admin().await);
        let answer = request.send().await.expect("sent");
        assert_eq!(answer.status().as_u16(), 204);
    }

    /// Reads the bytes of a recording.
    pub(crate) fn bytes(&self, recording: &Value) -> Vec<u8> {
        let name = recording["storage_path"].as_str().expect("a path");
        let path: PathBuf = self.folder.path().join("recordings").join(name);
        std::fs::read(path).expect("a file")
    }
}
