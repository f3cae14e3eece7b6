//! Connections: taken, bounded in number and patience, and ended in good order.
//!
//! What holds one open without need is cut: a head that does not come, a body that falls silent, an answer that
//! nobody reads. What moves, however slowly, is left alone: an upload over a bad line takes as long as it takes.
//!
//! A server at its limit closes idle connections to accept new ones: first those of the address that has most.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, header};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tower_http::timeout::TimeoutBody;

use crate::config::{Config, SignInConfig};
use crate::net::registry::{Connection, Registry};

/// The longest head of a request, in bytes. Cookies and a platform's token fit several times.
const LONGEST_HEAD: usize = 16 * 1024;
/// The same where an embedding platform's tokens are accepted: a token of 64 KiB and the other headers.
const LONGEST_HEAD_WITH_TOKENS: usize = 80 * 1024;
/// The most that is read from a connection at once; a head must fit. Every connection has such a buffer, whether
/// anything comes or not: hyper's own 400 KiB would be most of the memory of a server with many senders.
const READ_BUFFER: usize = LONGEST_HEAD;
/// The same while no more than [`FEW`] are open: a third less processor time for each byte.
const LARGE_READ_BUFFER: usize = 128 * 1024;
const FEW: usize = 16;
/// An answer of which nothing could be sent for so long has nobody to read it. A paused player asks again.
const UNREAD: Duration = Duration::from_secs(120);
/// After an accept that failed for want of file descriptors or memory.
const BREATH: Duration = Duration::from_secs(1);

/// How often a server at its limit looks for an idle connection to close.
const RETRY: Duration = Duration::from_millis(50);
/// Time for an idle connection to close in good order once it was chosen. One that has begun a head does not.
const GOODBYE: Duration = Duration::from_millis(10);
/// Part of all connections that are closed together when a seat is needed.
const BATCH_SHARE: usize = 32;
/// Body of the answer to a connection beyond the limit of its address.
const REFUSAL: &str = r#"{"type":"about:blank","title":"Too Many Requests","status":429,"code":"too_many_requests","detail":"Your address has too many open connections. Close some and try again."}"#;

/// Raises the soft limit of open files to the hard limit; returns the limit in force. `None`: unlimited or unknown.
///
/// The usual soft limit of 1,024 is for programs that use `select`, which this one does not.
fn raise_descriptor_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(
                "the limit of open files stays at {:?}: {error}",
                limit.current
            );
            limit.current
        }
    }
}

/// Most open files of this process; `usize::MAX`: unlimited or unknown.
pub(crate) fn descriptor_limit() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let limit = raise_descriptor_limit();
        limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        })
    })
}

/// Limits in number and time.
#[derive(Clone)]
pub(crate) struct Limits {
    /// Connections at once; more wait to be accepted.
    most: usize,
    /// Connections at once from one address that is no trusted proxy.
    per_address: usize,
    /// Names the trusted proxies.
    sign_in: SignInConfig,
    /// For a request's head, and between two requests.
    head: Duration,
    /// The longest head, in bytes.
    head_bytes: usize,
    /// For the next bytes of a body.
    body: Duration,
}

impl Limits {
    /// Limits of this configuration, with the descriptors that this process may have: half of them are for
    /// connections, the others for recordings, the database and other servers.
    pub(crate) fn of(config: &Config) -> Self {
        let half = (descriptor_limit() / 2).max(1);
        if half < config.max_connections {
            tracing::warn!(
                "SORTIE_MAX_CONNECTIONS is {}, but the limit of open files allows {half} connections; raise it \
                 (LimitNOFILE= of systemd, ulimit -n)",
                config.max_connections
            );
        }
        let most = config.max_connections.min(half);
        Self {
            most,
            // However low the limits are, one address does not get all.
            per_address: config.max_connections_per_address.min((most / 2).max(1)),
            sign_in: config.sign_in.clone(),
            head: config.head_time,
            head_bytes: match config.sign_in.jwt {
                Some(_) => LONGEST_HEAD_WITH_TOKENS,
                None => LONGEST_HEAD,
            },
            body: config.body_silence,
        }
    }
}

/// Answers until `stopping`, then lets every connection end the request it is at.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    stopping: CancellationToken,
) {
    let seats = Arc::new(Semaphore::new(limits.most));
    let open = TaskTracker::new();
    let registry = Arc::new(Registry::default());
    // More than one, so that the next callers need not wait.
    let batch = (limits.most / BATCH_SHARE).max(1);
    // Whoever waits no longer for the end drops this future, and what is still open is cut.
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
                    refuse(stream);
                    continue;
                }
                let seat = stopping.run_until_cancelled(seat(&seats, &registry, batch));
                let Some(Some(seat)) = seat.await else { break };
                let buffer = read_buffer(open.len()).max(limits.head_bytes);
                let connection = answer(
                    stream,
                    peer,
                    registry.add(address),
                    app.clone(),
                    limits.clone(),
                    buffer,
                    stopping.clone(),
                );
                let cut = cut.clone();
                open.spawn(async move {
                    cut.run_until_cancelled(connection).await;
                    drop(seat);
                });
            }
            // The peer's trouble, not ours.
            Some(Err(error)) if is_of_peer(&error) => {}
            Some(Err(error)) => {
                tracing::error!("no connection can be taken: {error}");
                if !registry.close_idle(None, batch) {
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
    drop(listener);
    open.close();
    open.wait().await;
}

/// Waits for a seat; closes idle connections, `batch` at a time, until there is one. `None`: never.
async fn seat(
    seats: &Arc<Semaphore>,
    registry: &Registry,
    batch: usize,
) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(seat) = Arc::clone(seats).try_acquire_owned() {
            return Some(seat);
        }
        registry.close_idle(None, batch);
        let seat = Arc::clone(seats).acquire_owned();
        if let Ok(seat) = tokio::time::timeout(RETRY, seat).await {
            return seat.ok();
        }
    }
}

/// Closes a connection with [`REFUSAL`], as far as the socket takes it now.
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

fn is_of_peer(error: &io::Error) -> bool {
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

async fn answer(
    stream: TcpStream,
    peer: SocketAddr,
    entry: Connection,
    app: Router,
    limits: Limits,
    buffer: usize,
    stopping: CancellationToken,
) {
    // An acknowledgement is small, and somebody waits for it.
    let _ = stream.set_nodelay(true);
    let state = entry.state();
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = state.begin();
        let is_read = Arc::new(AtomicBool::new(request.body().is_end_stream()));
        let mut request = request.map(|body| {
            Body::new(TrackedBody {
                body: Box::pin(TimeoutBody::new(limits.body, body)),
                is_read: Arc::clone(&is_read),
            })
        });
        request.extensions_mut().insert(ConnectInfo(peer));
        let app = app.clone();
        async move {
            let answer = app.oneshot(request).await;
            let mut answer = answer.unwrap_or_else(|never| match never {});
            if !is_read.load(Ordering::Relaxed) {
                // hyper closes the connection then; a client that is not told would send its next request into it.
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
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = entry.chosen() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(GOODBYE, connection.as_mut()).await {
                Ok(ended) => ended,
                // A request came meanwhile.
                Err(_) if entry.is_busy() => connection.await,
                Err(_) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, "a connection was cut: {error}");
    }
}

/// Request body that records whether it was read to its end.
struct TrackedBody {
    body: Pin<Box<TimeoutBody<Incoming>>>,
    is_read: Arc<AtomicBool>,
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = <TimeoutBody<Incoming> as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(self.body.as_mut().poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.is_read.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that gives up when its peer reads nothing for [`UNREAD`].
struct Patient {
    stream: TcpStream,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            waiting: None,
        }
    }

    /// Passes on what came of writing, unless it is too long that nothing did.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.waiting = None;
            return result;
        }
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(UNREAD)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
