//! Hostile input against a server with limited memory: crafted files, forms, heads, idle and trickling connections.
//! `/healthz` answers within a second throughout, and an upload succeeds afterwards.

mod crafted;
mod group;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sortie_api::RecordingStatus;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::caller::{Caller, explain};
use crate::process::{Process, Setup};
use crate::webm::SAMPLE;
use group::Group;

/// Memory limit of the server's control group in bytes: the default of the Helm chart.
const MEMORY: u64 = 512 << 20;
/// Soft limit of open files before the server raises it: the default of most systems.
const FILES: u64 = 1024;
/// More connections than [`FILES`].
const IDLE: usize = 1100;
/// Time limit of `/healthz`.
const PROMPT: Duration = Duration::from_secs(1);
/// A late probe does not count if this program's own timers are late, too.
const OWN_LAG: Duration = Duration::from_millis(200);
/// Duration of each attack.
const ATTACK: Duration = Duration::from_secs(8);

/// Outcome of one attack.
#[derive(Debug)]
pub struct Attack {
    pub name: &'static str,
    /// Observation for the report.
    pub seen: String,
    /// Peak memory of the process so far in MiB.
    pub peak_mib: u64,
    /// Maximum of open descriptors during the attack.
    pub descriptors: usize,
    /// Slowest answer of `/healthz`.
    pub slowest: Duration,
    pub faults: Vec<String>,
}

#[derive(Debug)]
pub enum Outcome {
    /// Control groups cannot be created here; the reason.
    Skipped(String),
    Ran(Vec<Attack>),
}

/// A server under attack.
struct Target {
    server: Process,
    caller: Caller,
    address: String,
}

/// Runs all attacks on one server in a control group with 512 MiB.
pub async fn run(binary: &Path, folder: &Path) -> Result<Outcome> {
    let group = match Group::new(MEMORY) {
        Ok(group) => group,
        Err(error) => return Ok(Outcome::Skipped(format!("{error:#}"))),
    };
    let mut attacks = run_attacks(binary, &folder.join("soft"), &group, &NAMES[..9], false).await?;
    // With a hard limit, the server cannot raise the number of open files.
    let few = [NAMES[0], NAMES[9], NAMES[8]];
    attacks.extend(run_attacks(binary, &folder.join("hard"), &group, &few, true).await?);
    Ok(Outcome::Ran(attacks))
}

async fn run_attacks(
    binary: &Path,
    folder: &Path,
    group: &Group,
    names: &[&'static str],
    hard: bool,
) -> Result<Vec<Attack>> {
    std::fs::create_dir_all(folder)?;
    let mut setup = Setup::new(binary, folder);
    setup.under = group.shell(FILES, hard);
    // Treats loopback like any other address.
    let more = [
        ("SORTIE_TRUSTED_PROXIES", "none"),
        ("SORTIE_MAX_CONNECTIONS_PER_ADDRESS", "4096"),
        ("SORTIE_UPLOADS_PER_USER", "64"),
        ("SORTIE_RECORDING_MAX_SIZE_MB", "200"),
        ("SORTIE_LOG", "warn"),
    ];
    let more = more.map(|(name, value)| (name.to_owned(), value.into()));
    setup.environment.extend(more);
    let server = setup.start(0).await?;
    let caller = Caller::sign_in(&server.origin()).await?;
    let address = format!("127.0.0.1:{}", server.port());
    let target = Arc::new(Target {
        server,
        caller,
        address,
    });
    let mut attacks = Vec::new();
    for name in names {
        let number = NAMES.iter().position(|known| known == name);
        let attack = attack(Arc::clone(&target), name, number).await?;
        let dead = group.was_killed() || target.sample().is_none();
        attacks.push(attack);
        if dead {
            if let Some(last) = attacks.last_mut() {
                last.faults
                    .push("the server has ended, or was killed for want of memory".to_owned());
            }
            break;
        }
    }
    Ok(attacks)
}

const NAMES: [&str; 10] = [
    "idle connections",
    "floods of headers",
    "trickling bodies",
    "preambles and part headers",
    "crafted MP4",
    "crafted WebM",
    "names of parts",
    "readiness",
    "an upload afterwards",
    "bodies that hold seats",
];

/// Runs one attack while probing `/healthz`.
async fn attack(target: Arc<Target>, name: &'static str, number: Option<usize>) -> Result<Attack> {
    let done = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(Arc::clone(&target), Arc::clone(&done)));
    let acting = async {
        match number {
            Some(0) => target.idle_connections().await,
            Some(1) => target.header_floods().await,
            Some(2) => target.trickling_bodies().await,
            Some(3) => target.forms().await,
            Some(4) => target.files(crafted::mp4()?).await,
            Some(5) => target.files(crafted::webm()?).await,
            Some(6) => target.names_of_parts().await,
            Some(7) => target.readiness().await,
            Some(9) => target.held_connections().await,
            _ => target.upload().await,
        }
    };
    let acted = acting.await;
    done.store(true, Ordering::Relaxed);
    let mut attack = watching.await??;
    attack.name = name;
    match acted {
        Ok(seen) => attack.seen = seen,
        Err(error) => attack.faults.push(format!("{error:#}")),
    }
    Ok(attack)
}

/// Requests `/healthz` on new connections and samples the process, repeatedly.
async fn watch(target: Arc<Target>, done: Arc<AtomicBool>) -> Result<Attack> {
    let lag = Arc::new(AtomicUsize::new(0));
    let measuring = tokio::spawn({
        let (lag, done) = (Arc::clone(&lag), Arc::clone(&done));
        async move {
            while !done.load(Ordering::Relaxed) {
                let begun = Instant::now();
                tokio::time::sleep(Duration::from_millis(10)).await;
                let late = begun.elapsed().saturating_sub(Duration::from_millis(10));
                let late = usize::try_from(late.as_millis()).unwrap_or(usize::MAX);
                lag.fetch_max(late, Ordering::Relaxed);
            }
        }
    });
    let mut attack = Attack {
        name: "",
        seen: String::new(),
        peak_mib: 0,
        descriptors: 0,
        slowest: Duration::ZERO,
        faults: Vec::new(),
    };
    while !done.load(Ordering::Relaxed) {
        lag.store(0, Ordering::Relaxed);
        let begun = Instant::now();
        let answer = tokio::time::timeout(10 * PROMPT, target.ask("GET /healthz")).await;
        let took = begun.elapsed();
        let own = Duration::from_millis(lag.load(Ordering::Relaxed) as u64);
        if own < OWN_LAG {
            attack.slowest = attack.slowest.max(took);
        }
        match answer {
            Ok(Ok(status)) if status / 100 == 2 => {
                if took > PROMPT && own < OWN_LAG {
                    let ms = took.as_millis();
                    attack.faults.push(format!("/healthz took {ms} ms"));
                }
            }
            Ok(Ok(status)) => attack.faults.push(format!("/healthz answers {status}")),
            Ok(Err(error)) => attack.faults.push(format!("/healthz: {error:#}")),
            Err(_) => attack.faults.push("/healthz does not answer".to_owned()),
        }
        if let Some((peak_mib, descriptors)) = target.sample() {
            attack.peak_mib = attack.peak_mib.max(peak_mib);
            attack.descriptors = attack.descriptors.max(descriptors);
        }
        if attack.faults.len() > 5 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    done.store(true, Ordering::Relaxed);
    measuring.await?;
    Ok(attack)
}

impl Target {
    async fn connect(&self) -> Result<TcpStream> {
        Ok(TcpStream::connect(&self.address).await?)
    }

    /// Sends a request without a body on a new connection; returns the status.
    async fn ask(&self, line: &str) -> Result<u16> {
        let mut stream = self.connect().await?;
        let head = format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        status(&mut stream).await.context("no answer")
    }

    /// Peak memory in MiB and open descriptors of the server; `None` if it has exited.
    fn sample(&self) -> Option<(u64, usize)> {
        let id = self.server.id()?;
        let text = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let peak_kib: u64 = peak.split_whitespace().next()?.parse().ok()?;
        let descriptors = std::fs::read_dir(format!("/proc/{id}/fd")).ok()?.count();
        Some((peak_kib / 1024, descriptors))
    }

    fn authorization(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.caller.token())
    }

    async fn idle_connections(&self) -> Result<String> {
        let mut idle = Vec::new();
        for number in 0..IDLE {
            let mut stream = self.connect().await?;
            // Every third connection sends an incomplete request.
            if number % 3 == 0 {
                let _ = stream
                    .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
                    .await;
            }
            idle.push(stream);
        }
        tokio::time::sleep(ATTACK / 2).await;
        let created = self.caller.create(Some(4)).await?;
        let answer = self
            .caller
            .patch(&created, 0, Bytes::from_static(b"text"), None)
            .await?;
        ensure!(
            answer.status() == StatusCode::NO_CONTENT,
            "{}",
            explain(answer).await
        );
        Ok(format!("{} connections", idle.len()))
    }

    async fn header_floods(&self) -> Result<String> {
        let mut floods = JoinSet::new();
        for number in 0..200 {
            let address = self.address.clone();
            floods.spawn(async move {
                let mut stream = TcpStream::connect(address).await?;
                stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").await?;
                if number % 2 == 0 {
                    // One endless line.
                    stream.write_all(b"X-Long: ").await?;
                }
                let mut sent = 0_u64;
                let line = if number % 2 == 0 {
                    vec![b'a'; 16 << 10]
                } else {
                    b"X: a\r\n".repeat(1000)
                };
                while stream.write_all(&line).await.is_ok() && sent < 64 << 20 {
                    sent += line.len() as u64;
                }
                anyhow::Ok(sent)
            });
        }
        let mut most = 0;
        while let Some(flood) = floods.join_next().await {
            most = most.max(flood?.unwrap_or_default());
        }
        ensure!(most < 8 << 20, "{most} bytes of headers were taken");
        Ok(format!("at most {} KiB of headers were taken", most >> 10))
    }

    /// Sends bodies byte by byte to every route that accepts one.
    async fn trickling_bodies(&self) -> Result<String> {
        let answer = self
            .caller
            .request(Method::GET, "/api/openapi.json")
            .send()
            .await?;
        let description: Value = answer.json().await?;
        let paths = description["paths"].as_object().context("no paths")?;
        let session = self.session().await?;
        let upload = self.caller.create(None).await?;
        let mut routes = BTreeMap::new();
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().into_iter().flatten() {
                let Some(body) = operation.get("requestBody") else {
                    continue;
                };
                let kind = body["content"]
                    .as_object()
                    .and_then(|kinds| kinds.keys().next());
                let id = if path.contains("/sessions/") {
                    &session
                } else {
                    &upload
                };
                let path = path.replace("{id}", id);
                let kind = kind.cloned().unwrap_or_default();
                routes.insert((method.to_ascii_uppercase(), path), kind);
            }
        }
        ensure!(
            routes.len() > 10,
            "only {} routes take a body",
            routes.len()
        );
        let mut trickles = JoinSet::new();
        for _ in 0..10 {
            for ((method, path), kind) in &routes {
                let kind = match kind.as_str() {
                    "multipart/form-data" => "multipart/form-data; boundary=b",
                    kind => kind,
                };
                let head = format!(
                    "{method} {path} HTTP/1.1\r\nHost: a\r\n{}Content-Type: {kind}\r\nTus-Resumable: 1.0.0\r\n\
                     Upload-Offset: 0\r\nContent-Length: 60000\r\n\r\n",
                    self.authorization()
                );
                let address = self.address.clone();
                trickles.spawn(async move {
                    let mut stream = TcpStream::connect(address).await?;
                    stream.write_all(head.as_bytes()).await?;
                    let end = Instant::now() + ATTACK;
                    while Instant::now() < end && stream.write_all(b"-").await.is_ok() {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                    anyhow::Ok(())
                });
            }
        }
        let count = trickles.len();
        // A connection closed by the server counts as an answer.
        while trickles.join_next().await.is_some() {}
        Ok(format!("{count} bodies on {} routes", routes.len()))
    }

    /// Unauthenticated clients of another address send their bodies byte by byte.
    async fn held_connections(&self) -> Result<String> {
        let mut holders = JoinSet::new();
        for _ in 0..IDLE {
            let address = self.address.parse()?;
            holders.spawn(async move {
                let socket = TcpSocket::new_v4()?;
                socket.bind((Ipv4Addr::new(127, 0, 0, 2), 0).into())?;
                let mut stream = socket.connect(address).await?;
                let head =
                    "POST /api/auth/refresh HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                let begun = Instant::now();
                while begun.elapsed() < ATTACK && stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                anyhow::Ok(begun.elapsed() >= ATTACK)
            });
        }
        let mut held = 0;
        while let Some(holder) = holders.join_next().await {
            held += usize::from(holder?.unwrap_or_default());
        }
        ensure!(
            held > 0,
            "no connection was held, so the attack shows nothing"
        );
        Ok(format!("{held} of {IDLE} connections were held"))
    }

    async fn session(&self) -> Result<String> {
        let request = self.caller.request(Method::POST, "/api/sessions");
        let answer = request
            .json(&serde_json::json!({ "app_id": "hostile" }))
            .send()
            .await?;
        let session: Value = answer.error_for_status()?.json().await?;
        Ok(session["id"].as_str().context("no id")?.to_owned())
    }

    /// Endless preambles and part headers in forms, with and without a sign-in.
    async fn forms(&self) -> Result<String> {
        let session = self.session().await?;
        let mut floods = JoinSet::new();
        for number in 0..40 {
            let authorization = match number % 4 {
                3 => String::new(),
                _ => self.authorization(),
            };
            let path = match number % 4 {
                2 => "/api/sessions/unknown/recording/upload".to_owned(),
                _ => format!("/api/sessions/{session}/recording/upload"),
            };
            let begin = if number % 2 == 0 { "" } else { "--b\r\nA: " };
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\n{authorization}Content-Type: multipart/form-data; boundary=b\r\n\
                 Content-Length: {}\r\n\r\n{begin}",
                1_u64 << 40
            );
            let address = self.address.clone();
            floods.spawn(async move {
                let mut stream = TcpStream::connect(address).await?;
                stream.write_all(head.as_bytes()).await?;
                let (piece, mut sent) = (vec![b'\r'; 64 << 10], 0_u64);
                while sent < 64 << 20 && stream.write_all(&piece).await.is_ok() {
                    sent += piece.len() as u64;
                }
                anyhow::Ok(sent)
            });
        }
        let mut most = 0;
        while let Some(flood) = floods.join_next().await {
            most = most.max(flood?.unwrap_or_default());
        }
        ensure!(most < 16 << 20, "{most} bytes of a form were taken");
        Ok(format!("at most {} KiB of a form were taken", most >> 10))
    }

    /// Concurrent uploads of one crafted file to their end.
    async fn files(&self, file: Bytes) -> Result<String> {
        let mut uploads = JoinSet::new();
        for _ in 0..4 {
            let (caller, file) = (self.caller.clone(), file.clone());
            uploads.spawn(async move {
                let id = caller.create(None).await?;
                let length = file.len() as u64;
                let mut offset = 0;
                while offset < file.len() {
                    let end = file.len().min(offset + (1 << 20));
                    let declared = (end == file.len()).then_some(length);
                    let piece = file.slice(offset..end);
                    let answer = caller.patch(&id, offset as u64, piece, declared).await?;
                    if answer.status() != StatusCode::NO_CONTENT {
                        ensure!(
                            answer.status().is_client_error(),
                            "{}",
                            explain(answer).await
                        );
                        break;
                    }
                    offset = end;
                }
                caller.delete(&id).await?;
                anyhow::Ok(offset)
            });
        }
        let mut taken = 0;
        while let Some(upload) = uploads.join_next().await {
            taken += upload??;
        }
        Ok(format!("{} MiB of 4 uploads were taken", taken >> 20))
    }

    /// A concatenation that names one partial upload many times.
    async fn names_of_parts(&self) -> Result<String> {
        let create = self.caller.tus(Method::POST, "/api/uploads");
        let create = create
            .header("Upload-Length", 2 << 20)
            .header("Upload-Concat", "partial");
        let created = create.send().await?;
        let location = created
            .headers()
            .get("location")
            .context("no Location")?
            .to_str()?
            .to_owned();
        let id = location.rsplit('/').next().unwrap_or_default();
        let answer = self
            .caller
            .patch(id, 0, Bytes::from(vec![0; 2 << 20]), None)
            .await?;
        ensure!(
            answer.status() == StatusCode::NO_CONTENT,
            "{}",
            explain(answer).await
        );
        let names = vec![location.as_str(); 200].join(" ");
        let join = self.caller.tus(Method::POST, "/api/uploads");
        let joined = join
            .header("Upload-Concat", format!("final;{names}"))
            .send()
            .await?;
        ensure!(
            joined.status() == StatusCode::BAD_REQUEST,
            "{}",
            explain(joined).await
        );
        Ok("refused".to_owned())
    }

    async fn readiness(&self) -> Result<String> {
        let failed = AtomicUsize::new(0);
        let asking = (0..50).map(|_| async {
            for _ in 0..10 {
                if !matches!(self.ask("GET /readyz").await, Ok(200)) {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        futures_util::future::join_all(asking).await;
        let failed = failed.into_inner();
        ensure!(failed == 0, "{failed} of 500 checks failed");
        Ok("500 of 500 checks passed".to_owned())
    }

    async fn upload(&self) -> Result<String> {
        let id = self.caller.create(Some(SAMPLE.len() as u64)).await?;
        let answer = self
            .caller
            .patch(&id, 0, Bytes::from_static(SAMPLE), None)
            .await?;
        if answer.status() != StatusCode::NO_CONTENT {
            bail!("{}", explain(answer).await);
        }
        let row = self.caller.completed(&id, Duration::from_secs(30)).await?;
        ensure!(
            row.status == RecordingStatus::Ready,
            "the recording is {:?}",
            row.status
        );
        Ok("ready".to_owned())
    }
}

/// Status of the answer on a connection.
async fn status(stream: &mut TcpStream) -> Result<u16> {
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    Ok(std::str::from_utf8(&head[9..])?.parse()?)
}
