//! Body of a long request, whose caller is checked again while it arrives.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::Fuse;
use futures_util::{Stream, StreamExt as _};
use sortie_api::ProblemCode;
use tokio::time::{Instant, Sleep};

use super::caller::Caller;
use crate::http::{ApiError, HttpState};
use crate::uploads::drain;

/// Interval of the checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(3);
/// Time for which a body of undeclared length may last after the stop of its recording: its last bytes are still in
/// transit.
const STOP_GRACE: Duration = Duration::from_secs(10);

pub(in crate::http) type CheckedBody =
    Pin<Box<dyn Stream<Item = Result<Bytes, axum::Error>> + Send>>;

/// Refusal of a body that was ended by a check.
#[derive(Clone, Default)]
pub(in crate::http) struct Refusal(Arc<Mutex<Option<(ApiError, CheckedBody)>>>);

impl Refusal {
    /// Returns the answer to a body that was ended by a check. Reads and discards the rest of the body for a while
    /// first, so that the sender receives the answer.
    pub(in crate::http) async fn answer(&self) -> Option<ApiError> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (error, rest) = refused?;
        drain(rest).await;
        Some(error)
    }
}

/// Checks the caller again while `body` arrives. A body whose caller has lost access ends with an error; see
/// [`Refusal`].
///
/// `live`: recording of a body without a declared length, which would otherwise continue after the stop of the
/// recording.
pub(in crate::http) fn check_while_received(
    state: &HttpState,
    caller: &Caller,
    live: Option<&str>,
    body: impl Stream<Item = Result<Bytes, axum::Error>> + Send + Unpin + 'static,
) -> (Refusal, CheckedBody) {
    let refusal = Refusal::default();
    let check = Check {
        state: state.clone(),
        caller: caller.clone(),
        live: live.map(str::to_owned),
        stopped_at: None,
    };
    let receiving = Receiving {
        body: Some(body.fuse()),
        check: Some(check),
        running: None,
        next_check: Instant::now() + CHECK_INTERVAL,
        timer: None,
        refusal: refusal.clone(),
    };
    (refusal, Box::pin(receiving))
}

/// Stream of a body, interrupted by checks.
struct Receiving<B> {
    /// `None` after a refusal.
    body: Option<Fuse<B>>,
    /// `None` while it runs.
    check: Option<Check>,
    running: Option<BoxFuture<'static, (Check, Result<(), ApiError>)>>,
    next_check: Instant,
    /// Set when the body was first waited for: most bodies arrive before their first check.
    timer: Option<Pin<Box<Sleep>>>,
    refusal: Refusal,
}

impl<B> Stream for Receiving<B>
where
    B: Stream<Item = Result<Bytes, axum::Error>> + Send + Unpin + 'static,
{
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(running) = &mut this.running {
                let (check, result) = ready!(running.as_mut().poll(cx));
                this.running = None;
                if let Err(error) = result {
                    this.refuse(error);
                    let error = std::io::Error::other("the body was refused while it arrived");
                    return Poll::Ready(Some(Err(axum::Error::new(error))));
                }
                this.check = Some(check);
                this.next_check = Instant::now() + CHECK_INTERVAL;
            }
            let Some(body) = &mut this.body else {
                return Poll::Ready(None);
            };
            if Instant::now() >= this.next_check
                && let Some(mut check) = this.check.take()
            {
                this.running = Some(Box::pin(async move {
                    let result = check.run().await;
                    (check, result)
                }));
                continue;
            }
            if let Poll::Ready(item) = body.poll_next_unpin(cx) {
                return Poll::Ready(item);
            }
            let at = this.next_check;
            let timer = this
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            if timer.deadline() != at {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }
}

impl<B> Receiving<B>
where
    B: Stream<Item = Result<Bytes, axum::Error>> + Send + 'static,
{
    fn refuse(&mut self, error: ApiError) {
        let refused = self.body.take().map(|body| (error, body.boxed()));
        let mut refusal = self
            .refusal
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *refusal = refused;
    }
}

/// Check of a body's caller.
struct Check {
    state: HttpState,
    caller: Caller,
    live: Option<String>,
    /// Time at which a check first saw the recording stopped.
    stopped_at: Option<Instant>,
}

impl Check {
    async fn run(&mut self) -> Result<(), ApiError> {
        match self.caller.check_again(&self.state).await {
            Ok(()) => {}
            Err(error) if error.code() == ProblemCode::Unauthenticated => return Err(error),
            // An outage of the database is no refusal: the received bytes do not need it.
            Err(error) => error.log(),
        }
        let is_stopped = |id: &String| self.state.uploads.is_stopped(id);
        if self.live.as_ref().is_some_and(is_stopped) {
            let stopped_at = *self.stopped_at.get_or_insert_with(Instant::now);
            if stopped_at.elapsed() >= STOP_GRACE {
                return Err(ApiError::new(
                    ProblemCode::Conflict,
                    "The recording was stopped. Received bytes are kept. Send only what was recorded before the stop: \
                     request the offset and resume.",
                ));
            }
        }
        Ok(())
    }
}
