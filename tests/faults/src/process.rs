//! The real server as a process that can be killed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Name of the first administrator.
pub const ADMIN: &str = "admin";
pub const PASSWORD: &str = "correct horse battery staple";

/// Time limit of a start; an unoptimised server on a busy machine takes seconds.
const START: Duration = Duration::from_secs(30);

/// Files and configuration of a server.
#[derive(Clone, Debug)]
pub struct Setup {
    pub binary: PathBuf,
    pub database: PathBuf,
    /// The folder for recordings.
    pub recordings: PathBuf,
    /// The server's output is appended to this file.
    pub log: PathBuf,
    /// Variables that override the defaults of these tests.
    pub environment: Vec<(String, OsString)>,
    /// A wrapper program for the server, with its arguments; usually empty.
    pub under: Vec<OsString>,
}

impl Setup {
    /// All files in one folder.
    pub fn new(binary: &Path, folder: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
            database: folder.join("sortie.db"),
            recordings: folder.join("recordings"),
            log: folder.join("server.log"),
            environment: Vec::new(),
            under: Vec::new(),
        }
    }

    /// Starts the server on `port`, or on any free port if 0; returns once it listens.
    pub async fn start(&self, port: u16) -> Result<Process> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        let mut words = self.under.clone();
        words.push(self.binary.clone().into());
        let (program, arguments) = words.split_first().context("no program")?;
        let mut child = Command::new(program)
            .args(arguments)
            .env("SORTIE_VIDEO_RECORDING_ENABLED", "true")
            .env("SORTIE_HOST", "127.0.0.1")
            .env("SORTIE_PORT", port.to_string())
            .env("SORTIE_DB", &self.database)
            .env("SORTIE_RECORDING_STORAGE_PATH", &self.recordings)
            .env("SORTIE_RECORDING_MAX_SIZE_MB", "20000")
            // Creations whose answers were lost in a kill stay open.
            .env("SORTIE_UPLOADS_PER_USER", "100000")
            .env("SORTIE_ADMIN_USERNAME", ADMIN)
            .env("SORTIE_ADMIN_PASSWORD", PASSWORD)
            .env(
                "SORTIE_JWT_SECRET",
                "known to the fault tests alone, 32 bytes",
            )
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                if let Some((_, url)) = line.split_once("listens on ") {
                    let (_, port) = url.rsplit_once(':').context("no port")?;
                    return Ok(port.parse::<u16>()?);
                }
            }
            bail!(
                "the server exited during the start; see {}",
                self.log.display()
            )
        };
        let port = tokio::time::timeout(START, listening)
            .await
            .context("the server does not start")??;
        // Drains the output, as a full pipe would block the server.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Process { child, port })
    }
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    port: u16,
}

impl Process {
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:<port>`.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills the server with SIGKILL. Fails if it had already exited, which is a crash.
    pub async fn kill(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server has exited: {status}");
        }
        self.child.kill().await.context("cannot kill the server")
    }
}

/// The server to test: `$SORTIE_SERVER`, or the one that cargo built beside this program.
pub fn server_binary() -> Result<PathBuf> {
    let binary = match std::env::var_os("SORTIE_SERVER") {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe()?.with_file_name("sortie-server"),
    };
    if !binary.exists() {
        bail!(
            "{} is not there; build it with `cargo build -p sortie-server` or name it in SORTIE_SERVER",
            binary.display()
        );
    }
    Ok(binary)
}
