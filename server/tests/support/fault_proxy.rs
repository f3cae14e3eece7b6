//! A proxy between the server and the store that injects network and store faults.
#![allow(dead_code, reason = "each test program uses its part")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// Fault of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request is forwarded.
    None,
    /// Answers with this status; the request does not reach the store.
    Status(u16),
    /// Answers with 400 and this code; the request does not reach the store.
    Refused(&'static str),
    /// Closes the connection before the request reaches the store.
    CutBefore,
    /// Forwards the request and drops the answer.
    CutAfter,
    /// Forwards the request after a delay.
    Delay(Duration),
}

type Plan = Box<dyn FnMut(u64, &str) -> Fault + Send>;

/// A proxy with one request per connection, so that each has its own fault.
pub(crate) struct FaultProxy {
    pub(crate) endpoint: String,
    shared: Arc<Shared>,
    _accepting: AbortOnDropHandle<()>,
}

struct Shared {
    upstream: String,
    plan: Mutex<Plan>,
    count: AtomicU64,
    log: Mutex<Vec<(String, Fault)>>,
}

impl FaultProxy {
    /// Proxies `upstream` (`http://host:port`). The plan receives each request's number, from 1, and its first line,
    /// such as `PUT /bucket/key?partNumber=2&uploadId=… HTTP/1.1`.
    pub(crate) async fn start(
        upstream: &str,
        plan: impl FnMut(u64, &str) -> Fault + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            plan: Mutex::new(Box::new(plan)),
            count: AtomicU64::new(0),
            log: Mutex::default(),
        });
        let accepting = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let shared = Arc::clone(&shared);
                    // Injected faults end connections with errors.
                    tokio::spawn(async move { shared.serve(client).await });
                }
            }
        });
        Self {
            endpoint: format!("http://{address}"),
            shared,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    pub(crate) fn plan(&self, plan: impl FnMut(u64, &str) -> Fault + Send + 'static) {
        *locked(&self.shared.plan) = Box::new(plan);
    }

    /// Request lines so far with their faults.
    pub(crate) fn log(&self) -> Vec<(String, Fault)> {
        locked(&self.shared.log).clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    async fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        let head = loop {
            if client.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
            if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = String::from_utf8_lossy(&request[..head]).into_owned();
        let first_line = text.lines().next().unwrap_or_default().to_owned();
        let length: usize = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .unwrap_or_default();
        while request.len() < head + length {
            if client.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let fault = (locked(&self.plan))(number, &first_line);
        locked(&self.log).push((first_line, fault));
        match fault {
            Fault::CutBefore => return Ok(()),
            Fault::Status(status) => return refuse(&mut client, status, "SlowDown").await,
            Fault::Refused(code) => return refuse(&mut client, 400, code).await,
            Fault::Delay(pause) => tokio::time::sleep(pause).await,
            Fault::None | Fault::CutAfter => {}
        }
        let mut store = TcpStream::connect(&self.upstream).await?;
        // The signature covers the host, so it is unchanged. A bearer token is for Google, which this store is not.
        for line in text.split_inclusive("\r\n").filter(|line| *line != "\r\n") {
            if !line
                .to_ascii_lowercase()
                .starts_with("authorization: bearer")
            {
                store.write_all(line.as_bytes()).await?;
            }
        }
        store.write_all(b"Connection: close\r\n\r\n").await?;
        store.write_all(&request[head..]).await?;
        if fault == Fault::CutAfter {
            tokio::io::copy(&mut store, &mut tokio::io::sink()).await?;
        } else {
            tokio::io::copy(&mut store, &mut client).await?;
        }
        Ok(())
    }
}

async fn refuse(client: &mut TcpStream, status: u16, code: &str) -> std::io::Result<()> {
    let body = format!("<Error><Code>{code}</Code><Message>Not now.</Message></Error>");
    let answer = format!(
        "HTTP/1.1 {status} Fault\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    client.write_all(answer.as_bytes()).await
}
