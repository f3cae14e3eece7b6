//! HTTPS with a self-signed or a given certificate.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent::{PASSWORD, configure};

struct Secure {
    child: Child,
    url: String,
    folder: TempDir,
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sortie-capture-agent"));
    configure(&mut command, folder);
    command
}

impl Secure {
    fn start(folder: TempDir, variables: &[(&str, &Path)]) -> Self {
        let mut child = command(folder.path())
            .arg("serve")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let greeting = out.lines().next().expect("a greeting").expect("text");
        let (_, url) = greeting.rsplit_once(' ').expect("an address");
        Self {
            url: url.to_owned(),
            child,
            folder,
        }
    }

    fn self_signed() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::start(folder, &[("SORTIE_CAPTURE_TLS", Path::new("self-signed"))])
    }

    fn port(&self) -> u16 {
        let (_, port) = self.url.rsplit_once(':').expect("a port");
        port.parse().expect("a number")
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port())).expect("a connection")
    }

    /// Creates a client that trusts only the certificate in a file.
    fn client(pem: &Path) -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let pem = std::fs::read(pem).expect("a certificate");
        let certificate = reqwest::Certificate::from_pem(&pem).expect("a certificate");
        let builder = reqwest::Client::builder().tls_certs_only([certificate]);
        builder.build().expect("a client")
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write_certificate(folder: &Path) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).expect("a file");
    std::fs::write(folder.join("cert.pem"), certificate.pem()).expect("a file");
}

/// Whether a client that trusts its certificate reaches the agent.
async fn is_up(client: &reqwest::Client, url: &str) -> bool {
    let answer = client.get(url).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

#[tokio::test]
async fn self_signed_certificate_is_private_and_kept_and_cookies_are_secure() {
    let agent = Secure::self_signed();
    assert!(agent.url.starts_with("https://"), "{}", agent.url);
    let file = agent.folder.path().join("agent.tls.pem");
    let mode = std::fs::metadata(&file).expect("the file").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let client = Secure::client(&file);
    let login = json!({"username": "admin", "password": PASSWORD});
    let answer = client.post(format!("{}/api/auth/login", agent.url));
    let answer = answer.json(&login).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
    assert!(!cookies.is_empty());
    for cookie in cookies {
        let cookie = cookie.to_str().expect("text");
        assert!(cookie.contains("; Secure"), "{cookie}");
    }
    // HSTS would apply to other servers on the same host.
    assert_eq!(answer.headers().get("strict-transport-security"), None);

    let shown = command(agent.folder.path())
        .args(["certificate", "--json"])
        .env("SORTIE_CAPTURE_TLS", "self-signed")
        .output();
    let shown: Value = serde_json::from_slice(&shown.expect("output").stdout).expect("JSON");
    let fingerprint = shown["sha256"].as_str().expect("a fingerprint");
    assert_eq!(fingerprint.len(), 95, "{shown}");

    let before = std::fs::read(&file).expect("the file");
    let mut agent = agent;
    agent.child.kill().expect("it is there");
    agent.child.wait().expect("its child");
    let folder = std::mem::replace(&mut agent.folder, tempfile::tempdir().expect("a folder"));
    let again = Secure::start(folder, &[("SORTIE_CAPTURE_TLS", Path::new("self-signed"))]);
    assert_eq!(
        std::fs::read(again.folder.path().join("agent.tls.pem")).expect("the file"),
        before
    );
}

#[tokio::test]
async fn changed_certificate_is_used_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    write_certificate(folder.path());
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let variables = [
        ("SORTIE_CAPTURE_TLS_CERT", certificate.as_path()),
        ("SORTIE_CAPTURE_TLS_KEY", key.as_path()),
    ];
    let agent = Secure::start(folder, &variables);
    let url = format!("{}/healthz", agent.url);
    let first = Secure::client(&certificate);
    assert!(is_up(&first, &url).await);
    // A certificate without its key is not used.
    std::fs::write(&key, "no key").expect("a file");
    let id = rustix::process::Pid::from_raw(agent.child.id().cast_signed()).expect("an id");
    rustix::process::kill_process(id, rustix::process::Signal::HUP).expect("a signal");
    let fresh = Secure::client(&certificate);
    assert!(is_up(&fresh, &url).await);

    write_certificate(agent.folder.path());
    let mut found = false;
    for _ in 0..crate::agent::LOOKS {
        rustix::process::kill_process(id, rustix::process::Signal::HUP).expect("a signal");
        // A new client, because connections keep their certificate.
        if is_up(&Secure::client(&certificate), &url).await {
            found = true;
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(found, "the new certificate is not used");
}

#[test]
fn plain_http_is_redirected_or_refused() {
    let agent = Secure::self_signed();
    let ask = |head: &str| {
        let mut stream = agent.connect();
        stream.write_all(head.as_bytes()).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let host = format!("127.0.0.1:{}", agent.port());
    let page = ask(&format!(
        "GET /recordings?q=a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    ));
    assert!(page.starts_with("HTTP/1.1 308"), "{page}");
    assert!(
        page.contains(&format!("location: https://{host}/recordings?q=a\r\n")),
        "{page}"
    );
    let login = ask(&format!(
        "POST /api/auth/login HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ));
    assert!(login.starts_with("HTTP/1.1 400"), "{login}");
    assert!(login.contains("This port speaks HTTPS"), "{login}");
}

#[test]
fn incomplete_handshake_is_cut_and_delays_no_other_connection() {
    let folder = tempfile::tempdir().expect("a folder");
    let variables = [
        ("SORTIE_CAPTURE_TLS", Path::new("self-signed")),
        ("SORTIE_HEADER_SECONDS", Path::new("1")),
    ];
    let agent = Secure::start(folder, &variables);
    let mut silent = agent.connect();
    let mut partial = agent.connect();
    // The beginning of a handshake record.
    partial.write_all(&[22, 3, 1, 2, 0]).expect("written");
    let mut other = agent.connect();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    other.write_all(request).expect("written");
    let mut redirect = String::new();
    other.read_to_string(&mut redirect).expect("an answer");
    assert!(redirect.starts_with("HTTP/1.1 308"), "{redirect}");
    let mut answer = Vec::new();
    for stream in [&mut silent, &mut partial] {
        // Ends when the agent closes the connection.
        let _ = stream.read_to_end(&mut answer);
    }
    assert!(answer.len() < 64, "{answer:?}");
}

#[test]
fn certificate_without_key_stops_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = command(folder.path())
        .arg("serve")
        .env("SORTIE_CAPTURE_TLS_CERT", "/nowhere/cert.pem")
        .output()
        .expect("output");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("SORTIE_CAPTURE_TLS_KEY: the certificate needs its key"),
        "{text}"
    );
}
