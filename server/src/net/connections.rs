//! Accepts connections, limits their number and idle times, and closes them gracefully.
//!
//! A connection is cut if a head is incomplete, a body is silent or an answer is unread for too long. A slow connection
//! that makes progress is kept: an upload over a slow network may take any time.
//!
//! A server at its limit closes idle connections to accept new ones, first those of the address with most connections.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, header};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, SignInConfig};
use crate::descriptors;
use crate::net::encryption::{Encrypted, PlainHttp, Tls, begins_with_tls};
use crate::net::registry::{Connection, Registry};

/// Limit of the bytes of a request's head.
const HEAD_MAX: usize = 16 * 1024;
/// Limit of the bytes of a request's head if tokens of an embedding platform are accepted: 64 KiB, and the other
/// headers.
const HEAD_MAX_WITH_TOKENS: usize = 80 * 1024;
/// Read buffer of each connection; a head must fit. With many senders, hyper's default of 400 KiB would be most of the
/// server's memory.
const READ_BUFFER: usize = HEAD_MAX;
/// Read buffer while at most [`FEW`] connections are open: takes a third less CPU time for each byte.
const LARGE_READ_BUFFER: usize = 128 * 1024;
const FEW: usize = 16;
/// A connection is cut if the peer reads nothing for this long. A paused player requests the rest again.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(120);
/// Delay after an accept that failed for lack of file descriptors or memory.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// Interval at which a server at its limit looks for an idle connection to close.
const RETRY: Duration = Duration::from_millis(50);
/// Time for a chosen idle connection to close gracefully. One with a partial head does not.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(10);
/// Length of the listen queue; the kernel limits it further (`net.core.somaxconn`). Beyond it the kernel drops a
/// connection's first packet, which the client repeats after a second.
const BACKLOG: u32 = 4096;
/// Divisor of the limit: number of connections that are closed together for a new one.
const BATCH_SHARE: usize = 32;
/// Body of the answer to a connection beyond the limit of its address.
const REFUSAL: &str = r#"{"type":"about:blank","title":"Too Many Requests","status":429,"code":"too_many_requests","detail":"Your address has too many open connections. Close some and try again."}"#;

/// Limits of number, size and time.
#[derive(Clone)]
pub(crate) struct Limits {
    /// Maximum number of open connections; more wait in the listen queue.
    max: usize,
    /// Maximum number of connections of one address other than a trusted proxy.
    per_address: usize,
    /// Contains the trusted proxies.
    sign_in: SignInConfig,
    /// Time limit for a request's head, and between two requests.
    head: Duration,
    /// Limit of the bytes of a head.
    head_bytes: usize,
    /// Time limit until the next bytes of a body.
    body: Duration,
}

impl Limits {
    /// Configured limits, with at most half of the process's file descriptors for connections; recordings, the database
    /// and outgoing connections need the others.
    pub(crate) fn of(config: &Config) -> Self {
        let half = (descriptors::limit() / 2).max(1);
        if half < config.max_connections {
            tracing::warn!(
                "SORTIE_MAX_CONNECTIONS is {}, but the limit of open files allows {half} connections; raise it \
                 (LimitNOFILE= of systemd, ulimit -n)",
                config.max_connections
            );
        }
        let max = config.max_connections.min(half);
        Self {
            max,
            // However low the limit, one address must not use all connections.
            per_address: config.max_connections_per_address.min((max / 2).max(1)),
            sign_in: config.sign_in.clone(),
            head: config.head_time,
            head_bytes: match config.sign_in.jwt {
                Some(_) => HEAD_MAX_WITH_TOKENS,
                None => HEAD_MAX,
            },
            body: config.body_silence,
        }
    }
}

/// Answers requests.
pub(crate) trait Answer: Clone + Send + 'static {
    fn answer(self, request: Request<Body>) -> impl Future<Output = Response> + Send;
}

/// Listens at this address.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restarted server must not wait for the connections of its predecessor. On Windows the option lets programs share
    // a port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stopping`, then lets every connection complete its current request.
pub(crate) async fn serve(
    listener: TcpListener,
    app: impl Answer,
    limits: Limits,
    tls: Option<Tls>,
    stopping: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(limits.max));
    let open = TaskTracker::new();
    let registry = Arc::new(Registry::default());
    // Several at a time, so that the next connections need not wait.
    let batch = (limits.max / BATCH_SHARE).max(1);
    // Dropping this future cuts the open connections.
    let cut = CancellationToken::new();
    let _cut = cut.clone().drop_guard();
    loop {
        let accepted = stopping.run_until_cancelled(listener.accept()).await;
        match accepted {
            None => break,
            Some(Ok((stream, peer))) => {
                let address = peer.ip().to_canonical();
                if !limits.sign_in.trusts_forwarding(address)
                    && registry.count(address) >= limits.per_address
                    && !registry.close_idle(Some(address), 1)
                {
                    // An answer without encryption would only be an error of TLS.
                    if tls.is_none() {
                        refuse(stream);
                    }
                    continue;
                }
                let permit = stopping.run_until_cancelled(permit(&permits, &registry, batch));
                let Some(Some(permit)) = permit.await else {
                    break;
                };
                let buffer = read_buffer(open.len()).max(limits.head_bytes);
                let session = Session {
                    peer,
                    entry: registry.add(address),
                    limits: limits.clone(),
                    buffer,
                    stopping: stopping.clone(),
                };
                let connection = session.run(stream, app.clone(), tls.clone());
                let cut = cut.clone();
                open.spawn(async move {
                    cut.run_until_cancelled(connection).await;
                    drop(permit);
                });
            }
            // Errors caused by the peer.
            Some(Err(error)) if is_peer_error(&error) => {}
            Some(Err(error)) => {
                tracing::error!("cannot accept connections: {error}");
                if !registry.close_idle(None, batch) {
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
    drop(listener);
    open.close();
    open.wait().await;
}

/// Waits for a permit, closing idle connections, `batch` at a time. `None`: the semaphore is closed.
async fn permit(
    permits: &Arc<Semaphore>,
    registry: &Registry,
    batch: usize,
) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
            return Some(permit);
        }
        registry.close_idle(None, batch);
        let permit = Arc::clone(permits).acquire_owned();
        if let Ok(permit) = tokio::time::timeout(RETRY, permit).await {
            return permit.ok();
        }
    }
}

/// Closes a connection after [`REFUSAL`], if the socket accepts that without blocking.
fn refuse(stream: TcpStream) {
    let answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Type: application/problem+json\r\n\
         Retry-After: 5\r\nContent-Length: {}\r\n\r\n{REFUSAL}",
        REFUSAL.len()
    );
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(answer.as_bytes());
    }
}

fn is_peer_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

fn read_buffer(others: usize) -> usize {
    if others < FEW {
        LARGE_READ_BUFFER
    } else {
        READ_BUFFER
    }
}

/// Accepted connection with its limits.
struct Session {
    peer: SocketAddr,
    entry: Connection,
    limits: Limits,
    /// Size of the read buffer.
    buffer: usize,
    stopping: CancellationToken,
}

/// Connection after its first bytes.
enum Opened {
    Encrypted(Box<TlsStream<Pin<Box<TimeoutStream<TcpStream>>>>>),
    /// Plain HTTP at a port that speaks HTTPS.
    Plain(TcpStream),
}

impl Session {
    async fn run(self, stream: TcpStream, app: impl Answer, tls: Option<Tls>) {
        // Acknowledgements are small, and the sender waits for them.
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else {
            return self.answer(bounded(stream), app, false).await;
        };
        let opened = async {
            Ok(match begins_with_tls(&stream).await? {
                true => Opened::Encrypted(Box::new(tls.accept(bounded(stream)).await?)),
                false => Opened::Plain(stream),
            })
        };
        let opened: io::Result<Opened> = tokio::select! {
            opened = tokio::time::timeout(self.limits.head, opened) => {
                opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
            () = self.stopping.cancelled() => return,
            () = self.entry.chosen() => return,
        };
        match opened {
            Ok(Opened::Encrypted(stream)) => self.answer(stream, app, true).await,
            Ok(Opened::Plain(stream)) => self.answer(bounded(stream), PlainHttp, false).await,
            Err(error) => tracing::debug!(peer = %self.peer, "no TLS handshake: {error}"),
        }
    }

    /// Answers requests until the connection ends.
    async fn answer<S>(self, stream: S, app: impl Answer, is_encrypted: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Self {
            peer,
            entry,
            limits,
            buffer,
            stopping,
        } = self;
        let state = entry.state();
        let service = service_fn(move |request: Request<Incoming>| {
            let busy = state.begin();
            let is_read = Arc::new(AtomicBool::new(request.body().is_end_stream()));
            let mut request = request.map(|body| {
                Body::new(TrackedBody {
                    body,
                    silence_limit: limits.body,
                    last_frame: Instant::now(),
                    silence: None,
                    is_read: Arc::clone(&is_read),
                })
            });
            request.extensions_mut().insert(ConnectInfo(peer));
            if is_encrypted {
                request.extensions_mut().insert(Encrypted);
            }
            let app = app.clone();
            async move {
                let mut answer = app.answer(request).await;
                if !is_read.load(Ordering::Relaxed) {
                    // hyper closes the connection in this case; the client must not send its next request on it.
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(header::CONNECTION, close);
                }
                Ok::<_, Infallible>(answer.map(|body| busy.hold_until_sent(body)))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_header_size(limits.head_bytes)
            .max_buf_size(buffer)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopping.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = entry.chosen() => {
                connection.as_mut().graceful_shutdown();
                match tokio::time::timeout(CLOSE_TIMEOUT, connection.as_mut()).await {
                    Ok(ended) => ended,
                    // A request has arrived in the meantime.
                    Err(_) if entry.is_busy() => connection.await,
                    Err(_) => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, "connection cut: {error}");
        }
    }
}

/// Cuts a connection whose peer reads nothing for too long.
fn bounded(stream: TcpStream) -> Pin<Box<TimeoutStream<TcpStream>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(UNREAD_TIMEOUT));
    Box::pin(stream)
}

/// Request body that ends with an error after a silence, and records whether it was read to its end.
struct TrackedBody {
    body: Incoming,
    silence_limit: Duration,
    last_frame: Instant,
    /// Set when the body was first waited for. It is moved only when it elapses, because a long body has many frames.
    silence: Option<Pin<Box<Sleep>>>,
    is_read: Arc<AtomicBool>,
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.last_frame = Instant::now();
            if frame.is_none() || this.body.is_end_stream() {
                this.is_read.store(true, Ordering::Relaxed);
            }
            return Poll::Ready(frame.map(|frame| Ok(frame?)));
        }
        let limit = this.last_frame + this.silence_limit;
        let silence = this
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(limit)));
        while silence.as_mut().poll(cx).is_ready() {
            if Instant::now() >= limit {
                return Poll::Ready(Some(Err("the body was silent for too long".into())));
            }
            silence.as_mut().reset(limit);
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
