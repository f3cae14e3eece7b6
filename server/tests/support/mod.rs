//! A real server for tests: a real socket, and a SQLite file and recordings in a temporary folder. With
//! `SORTIE_TEST_DB=postgres`, a PostgreSQL database replaces the file.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod appliance;
#[cfg(feature = "s3")]
pub(crate) mod azurite;
#[cfg(unix)]
pub(crate) mod faketime;
#[cfg(feature = "s3")]
pub(crate) mod fault_proxy;
pub(crate) mod images;
#[cfg(any(feature = "postgres", feature = "s3"))]
pub(crate) mod ports;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub(crate) mod process;
#[cfg(feature = "s3")]
pub(crate) mod seaweedfs;
pub(crate) mod stalled;
#[cfg(feature = "s3")]
pub(crate) mod store;
#[cfg(feature = "s3")]
pub(crate) mod streams;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sortie_server::{Appliance, Config, ManualClock, Server};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// 2026-11-21T09:30:00Z.
pub(crate) const START_MS: i64 = 1_795_253_400_000;
pub(crate) const ADMIN_PASSWORD: &str = "correct horse";
/// Upper bound of a wait: enough for slow machines, and below the two minutes after which the server ends stalled
/// requests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(100);
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) struct TestServer {
    pub(crate) url: String,
    pub(crate) clock: Arc<ManualClock>,
    folder: TempDir,
    variables: Vec<(String, String)>,
    appliance: Option<Arc<dyn Appliance>>,
    running: Option<(oneshot::Sender<()>, JoinHandle<std::io::Result<()>>)>,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a server with these variables overridden.
    pub(crate) async fn with(variables: &[(&str, &str)]) -> Self {
        Self::with_appliance(variables, None).await
    }

    /// Starts a server with an appliance's recorder.
    pub(crate) async fn with_appliance(
        variables: &[(&str, &str)],
        appliance: Option<Arc<dyn Appliance>>,
    ) -> Self {
        let mut server = Self {
            url: String::new(),
            clock: Arc::new(ManualClock::new(START_MS)),
            folder: tempfile::tempdir().expect("a temporary folder"),
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            appliance,
            running: None,
        };
        server.own_database();
        server.launch().await;
        server
    }

    /// With PostgreSQL, creates a database unless the test has chosen one.
    fn own_database(&mut self) {
        #[cfg(feature = "postgres")]
        if postgres::wanted() && self.variable("SORTIE_DB_TYPE").is_none() {
            let dsn = postgres::cluster().database();
            self.variables
                .push(("SORTIE_DB_TYPE".into(), "postgres".into()));
            self.variables.push(("SORTIE_DB_DSN".into(), dsn));
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().rfind(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Overrides a variable for the next start.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.into(), value.into()));
    }

    /// Connects to the server's database directly.
    pub(crate) async fn database(&self) -> sqlx::AnyPool {
        sqlx::any::install_default_drivers();
        sqlx::AnyPool::connect(&self.database_address())
            .await
            .expect("the database")
    }

    /// Database URL of the server.
    pub(crate) fn database_address(&self) -> String {
        let file = || format!("sqlite://{}", self.database_file().display());
        self.variable("SORTIE_DB_DSN")
            .map_or_else(file, str::to_owned)
    }

    /// The server's program, configured with this server's database and recordings.
    pub(crate) fn program(&self) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sortie-server"));
        command
            .env_clear()
            .env("SORTIE_DB", self.database_file())
            .env("SORTIE_RECORDING_STORAGE_PATH", self.recordings())
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn config(&self) -> Config {
        let defaults = [
            ("SORTIE_VIDEO_RECORDING_ENABLED", "true".to_owned()),
            ("SORTIE_HOST", "127.0.0.1".to_owned()),
            ("SORTIE_PORT", "0".to_owned()),
            ("SORTIE_ADMIN_PASSWORD", ADMIN_PASSWORD.to_owned()),
            ("SORTIE_UPLOADS_PER_USER", "1000".to_owned()),
            ("SORTIE_DB", self.database_file().display().to_string()),
            (
                "SORTIE_RECORDING_STORAGE_PATH",
                self.recordings().display().to_string(),
            ),
        ];
        Config::read(&|name| {
            let set = self.variable(name).map(str::to_owned);
            set.or_else(|| {
                defaults
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| value.clone())
            })
        })
        .unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    async fn launch(&mut self) {
        let clock: Arc<ManualClock> = Arc::clone(&self.clock);
        let server = Server::open_with(self.config(), clock, self.appliance.clone())
            .await
            .expect("the server starts");
        self.url = format!("http://{}", server.address());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        self.running = Some((stop, task));
    }

    /// Shuts down gracefully and starts again on the same data and another port.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.launch().await;
    }

    pub(crate) async fn stop(&mut self) {
        if let Some((stop, task)) = self.running.take() {
            let _ = stop.send(());
            task.await
                .expect("the server does not panic")
                .expect("the server stops in good order");
        }
    }

    /// Path of the SQLite database.
    pub(crate) fn database_file(&self) -> PathBuf {
        self.folder.path().join("sortie.db")
    }

    /// Folder of the recordings.
    pub(crate) fn recordings(&self) -> PathBuf {
        self.folder.path().join("recordings")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.recordings().join(name)
    }

    pub(crate) async fn sign_in(&self, username: &str, password: &str) -> Client {
        let answer = reqwest::Client::new()
            .post(format!("{}/api/auth/login", self.url))
            .json(&json!({ "username": username, "password": password }))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        let tokens: Value = answer.json().await.expect("JSON");
        Client {
            http: reqwest::Client::new(),
            url: self.url.clone(),
            token: tokens["access_token"].as_str().map(str::to_owned),
            user_id: tokens["user"]["id"].as_str().unwrap_or_default().to_owned(),
        }
    }

    pub(crate) async fn admin(&self) -> Client {
        self.sign_in("admin", ADMIN_PASSWORD).await
    }

    /// Creates a user without special rights and signs in.
    pub(crate) async fn user(&self, username: &str) -> Client {
        let admin = self.admin().await;
        let created = admin
            .post("/api/admin/users")
            .json(
                &json!({ "username": username, "password": "a good password", "roles": ["user"] }),
            )
            .send()
            .await
            .expect("an answer");
        assert_eq!(created.status(), StatusCode::CREATED);
        self.sign_in(username, "a good password").await
    }

    pub(crate) fn anonymous(&self) -> Client {
        Client {
            http: reqwest::Client::new(),
            url: self.url.clone(),
            token: None,
            user_id: String::new(),
        }
    }
}

/// A user's HTTP client.
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    pub(crate) user_id: String,
}

impl Client {
    /// The administrator of a server in another process.
    #[cfg(any(feature = "otel", feature = "s3", feature = "sso"))]
    pub(crate) async fn admin_at(url: &str) -> Self {
        // A server in this process would have installed the provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let anonymous = Self {
            http: reqwest::Client::new(),
            url: url.to_owned(),
            token: None,
            user_id: String::new(),
        };
        let who = json!({ "username": "admin", "password": ADMIN_PASSWORD });
        let tokens = json_of(anonymous.post("/api/auth/login").json(&who), 200).await;
        Self {
            token: tokens["access_token"].as_str().map(str::to_owned),
            user_id: tokens["user"]["id"].as_str().unwrap_or_default().to_owned(),
            ..anonymous
        }
    }

    /// The same user at another server on the same database.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self {
            http: self.http.clone(),
            url: url.to_owned(),
            token: self.token.clone(),
            user_id: self.user_id.clone(),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    pub(crate) fn tus(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).header("Tus-Resumable", "1.0.0")
    }

    pub(crate) fn patch(
        &self,
        path: &str,
        offset: u64,
        bytes: impl Into<reqwest::Body>,
    ) -> RequestBuilder {
        self.tus(Method::PATCH, path)
            .header("Content-Type", "application/offset+octet-stream")
            .header("Upload-Offset", offset)
            .body(bytes)
    }

    /// Creates an upload with these headers; returns its path.
    pub(crate) async fn create_upload(&self, headers: &[(&'static str, &str)]) -> String {
        let mut request = self.tus(Method::POST, "/api/uploads");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let location = header(&answer, "location");
        let text = answer.text().await.unwrap_or_default();
        assert_eq!(status, StatusCode::CREATED, "{headers:?}: {text}");
        location
    }

    pub(crate) async fn session(&self) -> String {
        let session = json_of(
            self.post("/api/sessions")
                .json(&json!({ "app_id": "test" })),
            201,
        )
        .await;
        session["id"].as_str().unwrap_or_default().to_owned()
    }

    /// Starts a recording; returns its ID and its session.
    pub(crate) async fn start_recording(&self) -> (String, String) {
        let session = self.session().await;
        let started = json_of(
            self.post(&format!("/api/sessions/{session}/recording/start")),
            201,
        )
        .await;
        assert_eq!(started["status"], "recording");
        (
            started["recording_id"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            session,
        )
    }

    /// Creates a finished recording of these bytes.
    pub(crate) async fn record(&self, bytes: &[u8]) -> String {
        let (id, _) = self.start_recording().await;
        let upload = format!("/api/uploads/{id}");
        let answer = self
            .patch(&upload, 0, bytes.to_vec())
            .header("Upload-Length", bytes.len())
            .send()
            .await
            .expect("an answer");
        assert_eq!(
            answer.status(),
            StatusCode::NO_CONTENT,
            "{}",
            answer.text().await.unwrap_or_default()
        );
        id
    }

    pub(crate) async fn recording(&self, id: &str) -> Value {
        json_of(self.get(&format!("/api/recordings/{id}")), 200).await
    }

    pub(crate) async fn offset(&self, id: &str) -> u64 {
        let answer = self
            .tus(Method::HEAD, &format!("/api/uploads/{id}"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        header(&answer, "upload-offset").parse().expect("a number")
    }
}

/// Returns the JSON of an answer that must have this status.
#[track_caller]
pub(crate) fn json_of(request: RequestBuilder, status: u16) -> impl Future<Output = Value> {
    let caller = std::panic::Location::caller();
    async move {
        let answer = request.send().await.expect("an answer");
        let got = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        assert_eq!(got, status, "{caller}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{caller}: {error}: {text}"))
    }
}

/// Checks that an answer is this problem with a sentence; returns the sentence.
#[track_caller]
pub(crate) fn problem(
    request: RequestBuilder,
    status: u16,
    code: &str,
) -> impl Future<Output = String> {
    let caller = std::panic::Location::caller();
    let code = code.to_owned();
    async move {
        let answer = request.send().await.expect("an answer");
        let got = answer.status().as_u16();
        let media_type = header(&answer, "content-type");
        let request_id = header(&answer, "x-request-id");
        let text = answer.text().await.expect("a body");
        assert_eq!(got, status, "{caller}: {text}");
        assert_eq!(media_type, "application/problem+json", "{caller}");
        let problem: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(problem["code"], code.as_str(), "{caller}: {text}");
        assert_eq!(problem["status"], status, "{caller}");
        assert_eq!(problem["request_id"], request_id.as_str(), "{caller}");
        let detail = problem["detail"].as_str().unwrap_or_default().to_owned();
        assert!(
            detail.ends_with('.'),
            "{caller}: not a sentence: {detail:?}"
        );
        detail
    }
}

pub(crate) fn header(answer: &reqwest::Response, name: &str) -> String {
    answer
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// Waits until the condition is true.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let waiting = async {
            while !is_so().await {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "{caller}: not after {PATIENCE:?}: {what}");
    }
}

/// A real recording by Chromium.
pub(crate) fn chromium_webm() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../media/tests/data/chromium-vp8.webm");
    std::fs::read(path).expect("the fixture of the media crate")
}
