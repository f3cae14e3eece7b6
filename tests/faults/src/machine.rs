//! The real upload state machine over HTTP: the browser's decisions with reqwest's requests.

use std::future::pending;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Method;
use sortie_tus::client::{Command, Config, Notice, RequestId, Response, Start, Upload};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::caller::Caller;
use crate::source::Source;

/// Cost of an upload.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub requests: u64,
    /// Number of waits before a retry.
    pub waits: u64,
}

/// Short times, so that a test with a thousand faults takes less than a minute.
pub fn short_timeouts() -> Config {
    Config {
        max_patch: 1 << 20,
        min_patch: 16 << 10,
        initial_patch: 128 << 10,
        backoff_base_ms: 10,
        backoff_cap_ms: 200,
        timeout_ms: 1500,
        slowest_bytes_per_s: 1 << 20,
        ..Config::default()
    }
}

/// Uploads a source to an existing upload. Fails if the state machine gives up.
pub async fn upload(
    caller: &Caller,
    id: &str,
    source: &Source,
    config: Config,
    seed: u64,
) -> Result<Cost> {
    let begun = Instant::now();
    let now = || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let start = Start::Resume {
        url: format!("/api/uploads/{id}"),
    };
    let mut machine = Upload::new(0, start, config, seed);
    machine.handle_available(now(), source.len());
    machine.handle_end(now());
    let mut cost = Cost::default();
    let mut flights = JoinSet::new();
    loop {
        while let Some(command) = machine.poll_command() {
            match command {
                Command::Cancel { .. } => flights.abort_all(),
                Command::RenewToken { .. } => bail!("the server rejects the token"),
                request => {
                    cost.requests += 1;
                    flights.spawn(send(caller.clone(), request, source.clone()));
                }
            }
        }
        while let Some(notice) = machine.poll_notice() {
            match notice {
                Notice::Done => return Ok(cost),
                Notice::Failed { reason } => bail!("the state machine gives up: {reason}"),
                Notice::ServerLostBytes {
                    acknowledged,
                    offset,
                } => bail!("{acknowledged} bytes were acknowledged, {offset} are there"),
                Notice::Waiting { .. } => cost.waits += 1,
                _ => {}
            }
        }
        let timeout = machine.poll_timeout();
        let timer = async {
            match timeout {
                Some(at) => sleep_until(begun + Duration::from_millis(at)).await,
                None => pending().await,
            }
        };
        tokio::select! {
            Some(landed) = flights.join_next(), if !flights.is_empty() => match landed {
                Ok((request, Some(response))) => machine.handle_response(now(), request, &response),
                Ok((request, None)) => machine.handle_failure(now(), request),
                // The request was cancelled.
                Err(_) => {}
            },
            () = timer => machine.handle_timeout(now()),
        }
    }
}

async fn send(caller: Caller, command: Command, source: Source) -> (RequestId, Option<Response>) {
    let request = command.request();
    (request, answer(&caller, &command, &source).await.ok())
}

async fn answer(caller: &Caller, command: &Command, source: &Source) -> Result<Response> {
    let http = command.http().context("not a request")?;
    let body = usize::try_from(http.body.start)?..usize::try_from(http.body.end)?;
    let mut request = caller
        .request(Method::from_bytes(http.method.as_bytes())?, http.url)
        .body(source.bytes().slice(body));
    for (name, value) in &http.headers {
        request = request.header(*name, value);
    }
    let answer = request.send().await?;
    let header = |name: &str| answer.headers().get(name)?.to_str().ok();
    Ok(Response::from_headers(answer.status().as_u16(), header))
}
