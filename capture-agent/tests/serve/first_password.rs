//! First sign-in with the generated password.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::agent::configure;

struct Fresh {
    child: Child,
    url: String,
    password: String,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Fresh {
    /// Starts an agent that generates the password of the administrator.
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"));
        let mut child = configure(&mut command, folder.path())
            .arg("serve")
            .env_remove("SORTIE_CAPTURE_ADMIN_PASSWORD")
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut last_word = || {
            let line = lines.next().expect("a line").expect("text");
            let (_, word) = line.rsplit_once(' ').expect("words");
            word.to_owned()
        };
        let url = last_word();
        let (_, name, password) = (last_word(), last_word(), last_word());
        assert_eq!(name, "admin");
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            child,
            url,
            password,
            client: reqwest::Client::new(),
            _folder: folder,
        }
    }

    async fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.url));
        let answer = request.bearer_auth(token).json(&body).send().await;
        let answer = answer.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    async fn sign_in(&self, password: &str) -> Value {
        let login = json!({"username": "admin", "password": password});
        let (status, tokens) = self.ask("", "POST", "/api/auth/login", login).await;
        assert_eq!(status, 200, "{tokens}");
        tokens
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn generated_password_must_be_changed_before_anything_else() {
    let agent = Fresh::start();
    let tokens = agent.sign_in(&agent.password).await;
    assert_eq!(tokens["user"]["must_change_password"], true, "{tokens}");
    let token = tokens["access_token"].as_str().expect("a token");
    for (method, path) in [
        ("GET", "/api/appliance"),
        ("GET", "/api/recordings"),
        ("POST", "/api/appliance/recording/start"),
        ("POST", "/api/tokens"),
        ("GET", "/api/events"),
        ("PUT", "/api/admin/settings"),
    ] {
        let (status, problem) = agent.ask(token, method, path, json!({})).await;
        assert_eq!(
            (status, &problem["code"]),
            (403, &json!("password_change_required")),
            "{method} {path}: {problem}"
        );
    }
    let (status, me) = agent.ask(token, "GET", "/api/auth/me", json!({})).await;
    assert_eq!((status, &me["must_change_password"]), (200, &json!(true)));

    let change = |new: &str| json!({"current_password": agent.password, "new_password": new});
    let path = "/api/auth/password";
    let same = agent.ask(token, "POST", path, change(&agent.password));
    assert_eq!(same.await.0, 400);
    let changed = agent.ask(token, "POST", path, change("my own password"));
    assert_eq!(changed.await.0, 204);
    // The sign-in that changed the password continues, without the restriction.
    let (status, answer) = agent.ask(token, "GET", "/api/appliance", json!({})).await;
    assert_eq!(status, 200, "{answer}");
    let tokens = agent.sign_in("my own password").await;
    assert_eq!(tokens["user"]["must_change_password"], false, "{tokens}");
}
