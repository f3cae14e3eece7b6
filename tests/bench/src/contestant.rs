//! Contestants and their start.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sortie_faults::caller::Caller;
use sortie_faults::process::{Process, Setup};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// `write` and `fdatasync` per chunk, a thread for each stream, no network.
    Floor,
    /// A minimal HTTP receiver; see [`crate::http_floor`].
    HttpFloor,
    Sortie,
    /// rustus with its defaults: not durable.
    Rustus,
    /// rustus with `--force-fsync`.
    RustusFsync,
    /// `@tus/server` with `@tus/file-store`: not durable.
    TusNode,
}

/// Paths of the programs; contestants without one are skipped.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) sortie: PathBuf,
    pub(crate) rustus: Option<PathBuf>,
    /// Folder of `tus-server.mjs` with its packages.
    pub(crate) peers: Option<PathBuf>,
}

impl Contestant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::HttpFloor => "HTTP floor",
            Self::Sortie => "sortie-server",
            Self::Rustus => "rustus (not durable)",
            Self::RustusFsync => "rustus + fsync",
            Self::TusNode => "@tus/server (not durable)",
        }
    }

    /// All contestants available on this machine.
    pub(crate) fn all(programs: &Programs) -> Vec<Self> {
        let mut all = vec![Self::Floor, Self::HttpFloor, Self::Sortie];
        if programs.rustus.is_some() {
            all.extend([Self::RustusFsync, Self::Rustus]);
        }
        if programs.peers.is_some() {
            all.push(Self::TusNode);
        }
        all
    }

    /// Starts a server; `None` for the floor.
    pub(crate) async fn start(self, programs: &Programs, folder: &Path) -> Result<Option<Running>> {
        let port = free_port()?;
        let mut command = match self {
            Self::Floor => return Ok(None),
            Self::HttpFloor => {
                let mut command = Command::new(std::env::current_exe()?);
                command
                    .args(["--serve-http-floor", &port.to_string()])
                    .arg("--folder")
                    .arg(folder);
                command
            }
            Self::Sortie => {
                let process = Setup::new(&programs.sortie, folder).start(0).await?;
                let caller = Caller::sign_in(&process.origin()).await?;
                return Ok(Some(Running {
                    address: Address {
                        port: process.port(),
                        files: "/api/uploads",
                        authorization: format!("Authorization: Bearer {}\r\n", caller.token()),
                    },
                    server: Server::Sortie(process),
                }));
            }
            Self::Rustus | Self::RustusFsync => {
                let program = programs.rustus.as_ref().context("no rustus")?;
                let mut command = Command::new(program);
                command
                    .args(["--host", "127.0.0.1", "--log-level", "ERROR"])
                    .args(["--max-body-size", "67108864", "--port", &port.to_string()])
                    .arg("--data-dir")
                    .arg(folder)
                    .arg("--info-dir")
                    .arg(folder);
                if self == Self::RustusFsync {
                    command.args(["--force-fsync", "true"]);
                }
                command
            }
            Self::TusNode => {
                let peers = programs.peers.as_ref().context("no @tus/server")?;
                let mut command = Command::new("node");
                command
                    .arg(peers.join("tus-server.mjs"))
                    .arg(port.to_string())
                    .arg(folder);
                command
            }
        };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name()))?;
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(Some(Running {
                    address: Address {
                        port,
                        files: "/files",
                        authorization: String::new(),
                    },
                    server: Server::Other(child),
                }));
            }
            if let Some(status) = child.try_wait()? {
                bail!("{} exited during the start: {status}", self.name());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("{} does not start", self.name())
    }
}

#[derive(Debug)]
enum Server {
    Sortie(Process),
    Other(Child),
}

/// Address and authorization of a server.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) port: u16,
    /// Path for creating uploads.
    pub(crate) files: &'static str,
    /// A header line with its CRLF, or empty.
    pub(crate) authorization: String,
}

#[derive(Debug)]
pub(crate) struct Running {
    address: Address,
    server: Server,
}

impl Running {
    pub(crate) fn address(&self) -> Address {
        self.address.clone()
    }

    /// Resource usage of the server process.
    pub(crate) fn process_usage(&self) -> ProcessUsage {
        let id = match &self.server {
            Server::Sortie(process) => process.id(),
            Server::Other(child) => child.id(),
        };
        ProcessUsage(id.unwrap_or_default())
    }

    pub(crate) async fn stop(self) -> Result<()> {
        match self.server {
            Server::Sortie(process) => process.kill().await,
            Server::Other(mut child) => Ok(child.kill().await?),
        }
    }
}

/// Resource usage of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessUsage(u32);

impl ProcessUsage {
    fn file(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.0);
        Ok(std::fs::read_to_string(path)?)
    }

    /// CPU time of all threads so far, in steps of 10 ms.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let stat = self.file("stat")?;
        // The name in the second field may contain spaces; after its parenthesis only numbers follow.
        let (_, rest) = stat
            .rsplit_once(')')
            .context("no name in /proc/<id>/stat")?;
        let ticks = |field: usize| {
            let text = rest
                .split_whitespace()
                .nth(field)
                .context("missing field in /proc/<id>/stat")?;
            anyhow::Ok(text.parse::<u64>()?)
        };
        Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
    }

    /// Peak resident memory so far in bytes.
    pub(crate) fn peak_memory(&self) -> Result<u64> {
        memory(&self.file("status")?, "VmHWM:")
    }
}

/// A size in `/proc/<id>/status`, in bytes.
pub(crate) fn memory(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib
        .context("missing size in /proc/<id>/status")?
        .trim()
        .parse::<u64>()?
        * 1024)
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}
