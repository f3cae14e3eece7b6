//! Body of a long request, whose caller is checked again while it arrives.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use sortie_api::ProblemCode;
use tokio::time::Instant;

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
    body: impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static,
) -> (Refusal, CheckedBody) {
    let refusal = Refusal::default();
    let receiving = Receiving {
        state: state.clone(),
        caller: caller.clone(),
        live: live.map(str::to_owned),
        body: Some(body.boxed()),
        next_check: Instant::now() + CHECK_INTERVAL,
        stopped_at: None,
        refusal: refusal.clone(),
    };
    let checked = futures_util::stream::unfold(receiving, |mut receiving| async move {
        let item = receiving.next().await?;
        Some((item, receiving))
    });
    // A body may be drained after its end.
    (refusal, checked.fuse().boxed())
}

struct Receiving {
    state: HttpState,
    caller: Caller,
    live: Option<String>,
    /// `None` after a refusal.
    body: Option<CheckedBody>,
    next_check: Instant,
    /// Time at which a check first saw the recording stopped.
    stopped_at: Option<Instant>,
    refusal: Refusal,
}

impl Receiving {
    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        loop {
            if Instant::now() >= self.next_check {
                if let Err(error) = self.check().await {
                    let refused = self.body.take().map(|body| (error, body));
                    *self
                        .refusal
                        .0
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner) = refused;
                    let error = std::io::Error::other("the body was refused while it arrived");
                    return Some(Err(axum::Error::new(error)));
                }
                self.next_check = Instant::now() + CHECK_INTERVAL;
            }
            let body = self.body.as_mut()?;
            if let Ok(item) = tokio::time::timeout_at(self.next_check, body.next()).await {
                return item;
            }
        }
    }

    async fn check(&mut self) -> Result<(), ApiError> {
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
