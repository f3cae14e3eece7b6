//! A real S3 server for tests: SeaweedFS, one per test program, on free ports and in a temporary folder.
#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

pub(crate) const BUCKET: &str = "sortie";
/// A bucket without access control.
pub(crate) const OPEN_BUCKET: &str = "open";
/// Access key and secret with all rights.
pub(crate) const ADMIN: (&str, &str) = ("admin-key", "admin-secret");
/// Access key with the rights to read and list.
pub(crate) const READER: (&str, &str) = ("reader-key", "reader-secret");

/// Time limit of a start, generous for a busy machine.
const ATTEMPTS: u32 = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// Stops SeaweedFS and removes its folder at the end of the test program, even after a crash: this shell then reads
/// the end of its input.
const KEEPER: &str = r#"exec 2>/dev/null; "$@" >"$DIR/log" 2>&1 & weed=$!; read -r _; kill -9 $weed; wait $weed; rm -rf "$DIR""#;

pub(crate) struct SeaweedFs {
    pub(crate) endpoint: String,
    /// The supervising shell; closing its standard input stops the server.
    _keeper: Option<Child>,
}

/// The server of this test program, started at the first call.
pub(crate) fn seaweedfs() -> &'static SeaweedFs {
    static SERVER: OnceLock<SeaweedFs> = OnceLock::new();
    SERVER.get_or_init(SeaweedFs::start)
}

impl SeaweedFs {
    fn start() -> Self {
        // An external S3 server with this bucket and these keys; see docs/storage.md.
        if let Ok(endpoint) = std::env::var("SORTIE_TEST_S3_ENDPOINT") {
            return Self {
                endpoint,
                _keeper: None,
            };
        }
        let folder = tempfile::tempdir().map(TempDir::keep).expect("a folder");
        let identity = |name: &str, (access, secret): (&str, &str), actions: &[&str]| {
            serde_json::json!({
                "name": name,
                "credentials": [{ "accessKey": access, "secretKey": secret }],
                "actions": actions,
            })
        };
        let anonymous_actions =
            ["Read", "Write", "List", "Tagging"].map(|action| format!("{action}:{OPEN_BUCKET}"));
        let identities = serde_json::json!({ "identities": [
            { "name": "anonymous", "actions": anonymous_actions },
            identity("admin", ADMIN, &["Admin", "Read", "Write", "List", "Tagging"]),
            identity("reader", READER, &["Read", "List"]),
        ]});
        let config = folder.join("s3.json");
        std::fs::write(&config, identities.to_string()).expect("a file");

        let [
            master,
            master_grpc,
            volume,
            volume_grpc,
            filer,
            filer_grpc,
            s3,
            s3_grpc,
        ] = free_ports();
        let mut keeper = Command::new("sh")
            .env("DIR", &folder)
            .args(["-c", KEEPER, "keeper"])
            .arg(seaweedfs_program())
            .args(["server", "-ip=127.0.0.1", "-filer", "-s3"])
            .arg(format!("-dir={}", folder.display()))
            .arg(format!("-s3.config={}", config.display()))
            .arg("-master.telemetry=false")
            .args(["-master.volumeSizeLimitMB=64", "-volume.max=0"])
            .arg(format!("-master.port={master}"))
            .arg(format!("-master.port.grpc={master_grpc}"))
            .arg(format!("-volume.port={volume}"))
            .arg(format!("-volume.port.grpc={volume_grpc}"))
            .arg(format!("-filer.port={filer}"))
            .arg(format!("-filer.port.grpc={filer_grpc}"))
            .arg(format!("-s3.port={s3}"))
            .arg(format!("-s3.port.grpc={s3_grpc}"))
            // These services would listen on fixed ports, which a second server cannot share.
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        // Once the bucket exists, the server is ready.
        for _ in 0..ATTEMPTS {
            if make_bucket(filer, BUCKET)
                && make_bucket(filer, OPEN_BUCKET)
                && status(s3, "GET /healthz") == Some(200)
            {
                return Self {
                    endpoint: format!("http://127.0.0.1:{s3}"),
                    _keeper: Some(keeper),
                };
            }
            std::thread::sleep(PAUSE);
        }
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        drop(keeper.stdin.take());
        let _ = keeper.wait();
        panic!("SeaweedFS does not start:\n{log}");
    }
}

/// Creates a bucket, which is a folder of the filer.
fn make_bucket(filer: u16, bucket: &str) -> bool {
    matches!(
        status(filer, &format!("POST /buckets/{bucket}/")),
        // 409: the bucket exists already.
        Some(200..=299 | 409)
    )
}

/// Status of the answer to a request without a body.
fn status(port: u16, request: &str) -> Option<u16> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).ok()?;
    std::str::from_utf8(&answer[9..]).ok()?.parse().ok()
}

/// Ports that no process listened on a moment ago.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| super::ports::hold());
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}

/// The program that `scripts/seaweedfs.sh` installs.
fn seaweedfs_program() -> PathBuf {
    // Several crates of the workspace include this file.
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find_map(|folder| std::fs::read_to_string(folder.join("scripts/seaweedfs.sh")).ok())
        .expect("scripts/seaweedfs.sh");
    let version = script
        .lines()
        .find_map(|line| line.strip_prefix("SEAWEEDFS_VERSION="))
        .expect("a version");
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    let cache = folder("SORTIE_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("sortie")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/sortie")))
        .expect("HOME is set");
    let weed = cache.join(format!("tools/seaweedfs-{version}/bin/weed"));
    assert!(
        weed.exists(),
        "These tests need SeaweedFS, and {} is not there. Run scripts/seaweedfs.sh, which installs it.",
        weed.display()
    );
    weed
}
