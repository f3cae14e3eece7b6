//! Connections: taken, bounded in number and patience, and ended in good order.
//!
//! What holds one open without need is cut: a head that does not come, a body that falls silent, an answer that
//! nobody reads. What moves, however slowly, is left alone: an upload over a bad line takes as long as it takes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tower_http::timeout::TimeoutBody;

use crate::config::Config;

/// The longest head of a request, in bytes. Cookies and a platform's token fit several times.
const LONGEST_HEAD: usize = 16 * 1024;
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

/// How much, and how long.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at once; more wait to be taken.
    most: usize,
    /// For a request's head, and between two requests.
    head: Duration,
    /// For the next bytes of a body.
    body: Duration,
}

impl Limits {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            most: config.max_connections,
            head: config.head_time,
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
    let room = Arc::new(Semaphore::new(limits.most));
    let open = TaskTracker::new();
    // Whoever waits no longer for the end drops this future, and what is still open is cut.
    let cut = CancellationToken::new();
    let _cut = cut.clone().drop_guard();
    loop {
        let taken = stopping
            .run_until_cancelled(async {
                let seat = Arc::clone(&room).acquire_owned().await;
                (listener.accept().await, seat)
            })
            .await;
        match taken {
            None => break,
            Some((Ok((stream, peer)), seat)) => {
                let buffer = read_buffer(open.len());
                let connection =
                    answer(stream, peer, app.clone(), limits, buffer, stopping.clone());
                let cut = cut.clone();
                open.spawn(async move {
                    cut.run_until_cancelled(connection).await;
                    drop(seat);
                });
            }
            // The peer's trouble, not ours.
            Some((Err(error), _)) if is_of_peer(&error) => {}
            Some((Err(error), _)) => {
                tracing::error!("no connection can be taken: {error}");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    open.close();
    open.wait().await;
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
    app: Router,
    limits: Limits,
    buffer: usize,
    stopping: CancellationToken,
) {
    // An acknowledgement is small, and somebody waits for it.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| Body::new(TimeoutBody::new(limits.body, body)));
        request.extensions_mut().insert(ConnectInfo(peer));
        let app = app.clone();
        async move {
            Ok::<_, Infallible>(
                app.oneshot(request)
                    .await
                    .unwrap_or_else(|never| match never {}),
            )
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_header_size(LONGEST_HEAD)
        .max_buf_size(buffer)
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, "a connection was cut: {error}");
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
