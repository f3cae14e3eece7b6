//! A real PostgreSQL for tests: a cluster in a temporary folder, and a database for each test.
#![allow(dead_code, reason = "each test program uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// The superuser, with a password that must be percent-encoded in a URL.
pub(crate) const USER: &str = "sortie";
pub(crate) const PASSWORD: &str = "p@ss/w?rd #1";

/// Time limit of a start, generous for a busy machine.
const ATTEMPTS: u32 = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// Stops PostgreSQL and removes its folder at the end of the test program, even after a crash: this shell then reads
/// the end of its input.
const KEEPER: &str = r#"exec 2>/dev/null; "$@" >>"$DIR/log" 2>&1 & server=$!; read -r _; kill -QUIT $server; wait $server; rm -rf "$DIR""#;

/// A cluster: one PostgreSQL server and its folder.
pub(crate) struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    /// The supervising shell; closing its standard input stops the server.
    keeper: Option<Child>,
    databases: AtomicU32,
}

/// The cluster of this test program, started at the first call.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::new)
}

/// Whether the tests run against PostgreSQL: `SORTIE_TEST_DB=postgres`.
pub(crate) fn wanted() -> bool {
    std::env::var("SORTIE_TEST_DB").is_ok_and(|kind| kind == "postgres")
}

impl Cluster {
    /// Creates and starts a cluster.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().map(TempDir::keep).expect("a folder");
        let programs = programs();
        fs::write(folder.join("password"), PASSWORD).expect("a file");
        fs::write(folder.join("log"), "").expect("a file");
        if is_root() {
            let status = Command::new("chown")
                .args(["-R", "nobody"])
                .arg(&folder)
                .status();
            assert!(status.is_ok_and(|status| status.success()), "chown");
        }
        let made = unprivileged(&programs.join("initdb"))
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-U", USER, "--pwfile"])
            .arg(folder.join("password"))
            .args([
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "--no-sync",
            ])
            .args(["--encoding=UTF8", "--locale=C.UTF-8"])
            .output()
            .expect("initdb");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut cluster = Self {
            folder,
            programs,
            port: free_port(),
            keeper: None,
            databases: AtomicU32::new(0),
        };
        cluster.start();
        cluster
    }

    /// Starts the server (again) with all committed data.
    pub(crate) fn start(&mut self) {
        let server = unprivileged(&self.programs.join("postgres"));
        let mut keeper = Command::new("sh");
        keeper
            .env("DIR", &self.folder)
            .args(["-c", KEEPER, "keeper"])
            .arg(server.get_program())
            .args(server.get_args())
            .arg("-D")
            .arg(self.folder.join("data"))
            .arg("-k")
            .arg(&self.folder)
            .arg("-p")
            .arg(self.port.to_string())
            // Test data need not survive a power failure.
            .args(["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"])
            .stdin(Stdio::piped());
        self.keeper = Some(keeper.spawn().expect("a shell"));
        for _ in 0..ATTEMPTS {
            if self.psql("postgres", "SELECT 1").is_ok() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        let log = fs::read_to_string(self.folder.join("log"));
        panic!("PostgreSQL does not start: {}", log.unwrap_or_default());
    }

    /// Stops the server immediately, like `pg_ctl stop -m fast`.
    pub(crate) fn stop(&mut self) {
        let stopped = unprivileged(&self.programs.join("pg_ctl"))
            .args(["stop", "-m", "fast", "-D"])
            .arg(self.folder.join("data"))
            .output()
            .expect("pg_ctl");
        assert!(stopped.status.success(), "{stopped:?}");
        // Keeps the shell from removing the folder.
        if let Some(mut keeper) = self.keeper.take() {
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
    }

    /// Creates an empty database; returns a connection string.
    pub(crate) fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"))
            .unwrap_or_else(|error| panic!("{error}"));
        self.dsn(&name)
    }

    /// Connection string through the socket, without a password.
    pub(crate) fn dsn(&self, database: &str) -> String {
        format!(
            "postgres://{USER}@localhost:{}/{database}?host={}",
            self.port,
            self.folder.display()
        )
    }

    /// Connection string over TCP for this user and password.
    pub(crate) fn network_dsn(&self, user: &str, password: &str, database: &str) -> String {
        let password = password.replace('\\', "\\\\").replace('\'', "\\'");
        format!(
            "host=127.0.0.1 port={} user={user} password='{password}' dbname={database}",
            self.port
        )
    }

    /// Runs a statement as the superuser; returns the output of `psql`.
    pub(crate) fn psql(&self, database: &str, statement: &str) -> Result<String, String> {
        let done = unprivileged(&self.programs.join("psql"))
            .args([
                "-qAtX",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                USER,
                "-d",
                database,
                "-h",
            ])
            .arg(&self.folder)
            .args(["-p", &self.port.to_string(), "-c", statement])
            .output()
            .map_err(|error| error.to_string())?;
        if done.status.success() {
            Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&done.stderr).into_owned())
        }
    }
}

/// PostgreSQL refuses to run as root.
fn unprivileged(program: &Path) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    // Not the test's folder, which an unprivileged user cannot enter.
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout == b"0\n")
}

/// Debian installs these programs outside the PATH, in a folder per version.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = versions
        .flatten()
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let folder = entry.path().join("bin");
            folder.join("initdb").exists().then_some((version, folder))
        })
        .max();
    if let Some((_, folder)) = newest {
        return folder;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|folder| folder.join("initdb").exists())
        .expect("PostgreSQL; `make setup` installs it")
}

fn free_port() -> u16 {
    let listener = super::ports::hold();
    listener.local_addr().expect("an address").port()
}
