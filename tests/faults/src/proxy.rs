//! A TCP proxy that breaks connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::rng::SplitMix64;

/// Fault of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Cut after `after` bytes from the sender.
    CutRequest {
        after: u64,
    },
    /// Cut after `after` bytes from the server: answers are lost.
    CutAnswer {
        after: u64,
    },
    /// After `after` bytes from the sender, the connection stalls without an error.
    Stall {
        after: u64,
    },
    /// Delays every piece of data in both directions.
    Slow {
        delay: Duration,
    },
    /// Sends the sender's first bytes to the server again over a connection that then stalls, like a retrying proxy
    /// or a phone that changes networks.
    Double {
        first: u64,
    },
}

impl Fault {
    /// Returns a fault of this kind at a random moment within a stream of about `most` bytes.
    pub fn random(self, rng: &mut SplitMix64, most: u64) -> Self {
        // A few connections have no fault, else no upload would complete.
        if rng.chance(25) {
            return Self::None;
        }
        match self {
            Self::None => Self::None,
            Self::CutRequest { .. } => Self::CutRequest {
                after: rng.size(1, most),
            },
            Self::CutAnswer { .. } => Self::CutAnswer {
                after: rng.within(0, 1500),
            },
            Self::Stall { .. } => Self::Stall {
                after: rng.size(1, most),
            },
            Self::Slow { .. } => Self::Slow {
                delay: Duration::from_millis(rng.within(1, 20)),
            },
            Self::Double { .. } => Self::Double {
                first: rng.size(300, most),
            },
        }
    }
}

/// A running proxy. Dropping it ends it and all its connections.
#[derive(Debug)]
pub struct Proxy {
    origin: String,
    connections: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens and forwards to `port` with faults of this kind.
    pub async fn start(port: u16, kind: Fault, mut rng: SplitMix64, most: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let connections = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((sender, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                let fault = kind.random(&mut rng, most);
                open.spawn(async move {
                    // Injected faults end connections with errors.
                    let _ = forward(sender, port, fault).await;
                });
            }
        });
        Ok(Self {
            origin,
            connections,
            task,
        })
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(sender: TcpStream, port: u16, fault: Fault) -> Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port)).await?;
    let (from_sender, to_sender) = sender.into_split();
    let (from_server, to_server) = server.into_split();
    let limit = |limit| Direction {
        limit,
        delay: None,
        stalls: false,
        copy: None,
    };
    let (mut there, mut back) = (limit(None), limit(None));
    match fault {
        Fault::None => {}
        Fault::CutRequest { after } => there.limit = Some(after),
        Fault::CutAnswer { after } => back.limit = Some(after),
        Fault::Stall { after } => {
            there.limit = Some(after);
            there.stalls = true;
        }
        Fault::Slow { delay } => {
            there.delay = Some(delay);
            back.delay = Some(delay);
        }
        Fault::Double { first } => {
            let ghost = TcpStream::connect(("127.0.0.1", port)).await?;
            there.copy = Some((Arc::new(Mutex::new(ghost)), first));
        }
    }
    // The end of either direction ends both.
    tokio::select! {
        result = there.run(from_sender, to_server) => result,
        result = back.run(from_server, to_sender) => result,
    }
}

/// One direction of a connection.
struct Direction {
    limit: Option<u64>,
    delay: Option<Duration>,
    stalls: bool,
    copy: Option<(Arc<Mutex<TcpStream>>, u64)>,
}

impl Direction {
    async fn run(
        mut self,
        mut from: impl AsyncReadExt + Unpin,
        mut to: impl AsyncWriteExt + Unpin,
    ) -> Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                to.shutdown().await?;
                return Ok(());
            }
            if let Some(delay) = self.delay {
                tokio::time::sleep(delay).await;
            }
            let mut bytes = &buffer[..read];
            if let Some(limit) = &mut self.limit {
                bytes = &bytes[..bytes.len().min(usize::try_from(*limit)?)];
                *limit -= bytes.len() as u64;
            }
            if let Some((ghost, left)) = &mut self.copy {
                let again = &bytes[..bytes.len().min(usize::try_from(*left)?)];
                *left -= again.len() as u64;
                // The duplicate stays open until the connection ends; its answers are discarded.
                let _ = ghost.lock().await.write_all(again).await;
            }
            to.write_all(bytes).await?;
            if self.limit == Some(0) {
                if self.stalls {
                    std::future::pending::<()>().await;
                }
                return Ok(());
            }
        }
    }
}
