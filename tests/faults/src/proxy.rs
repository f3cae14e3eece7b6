//! A TCP proxy that breaks connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::dice::Dice;

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is cut after so many bytes from the sender.
    CutRequest {
        /// How many pass.
        after: u64,
    },
    /// It is cut after so many bytes from the server: what was done is not heard of.
    CutAnswer {
        /// How many pass.
        after: u64,
    },
    /// After so many bytes from the sender nothing passes any more, and nobody is told.
    Stall {
        /// How many pass.
        after: u64,
    },
    /// Every piece waits in both directions.
    Slow {
        /// How long.
        delay: Duration,
    },
    /// The sender's first bytes go to the server a second time, over a connection that is then left hanging:
    /// what a proxy that retries does, and a phone that changes networks.
    Double {
        /// How many bytes go twice.
        first: u64,
    },
}

impl Fault {
    /// One of this kind, at a moment that `dice` choose within a stream of about `most` bytes.
    pub fn drawn(self, dice: &mut Dice, most: u64) -> Self {
        // A few connections are good ones, or nothing would ever arrive.
        if dice.chance(25) {
            return Self::None;
        }
        match self {
            Self::None => Self::None,
            Self::CutRequest { .. } => Self::CutRequest {
                after: dice.size(1, most),
            },
            Self::CutAnswer { .. } => Self::CutAnswer {
                after: dice.within(0, 1500),
            },
            Self::Stall { .. } => Self::Stall {
                after: dice.size(1, most),
            },
            Self::Slow { .. } => Self::Slow {
                delay: Duration::from_millis(dice.within(1, 20)),
            },
            Self::Double { .. } => Self::Double {
                first: dice.size(300, most),
            },
        }
    }
}

/// A running proxy. Dropping it ends it and everything that passes through it.
#[derive(Debug)]
pub struct Proxy {
    origin: String,
    connections: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens and passes on to `port`, with faults of this kind.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(port: u16, kind: Fault, mut dice: Dice, most: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let connections = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((sender, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                let fault = kind.drawn(&mut dice, most);
                open.spawn(async move {
                    // A broken connection is what this is for.
                    let _ = pass(sender, port, fault).await;
                });
            }
        });
        Ok(Self {
            origin,
            connections,
            task,
        })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(sender: TcpStream, port: u16, fault: Fault) -> Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port)).await?;
    let (from_sender, to_sender) = sender.into_split();
    let (from_server, to_server) = server.into_split();
    let limit = |limit| Valve {
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
    // Whatever ends first ends both.
    tokio::select! {
        result = there.run(from_sender, to_server) => result,
        result = back.run(from_server, to_sender) => result,
    }
}

/// One direction.
struct Valve {
    limit: Option<u64>,
    delay: Option<Duration>,
    stalls: bool,
    copy: Option<(Arc<Mutex<TcpStream>>, u64)>,
}

impl Valve {
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
                // The ghost hangs until the connection ends; its answers are read by nobody.
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
