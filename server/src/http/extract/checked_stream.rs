//! Stream that ends once the credential of its receiver is no longer valid.

use std::io;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::caller::Caller;
use crate::http::HttpState;

/// Interval at which the credential is checked again.
const CHECK_EVERY: Duration = Duration::from_secs(30);

/// Passes items on. Ends with an error once the caller's credential is no longer valid.
pub(in crate::http) fn checked<S: Stream + Unpin>(
    items: S,
    state: HttpState,
    caller: Caller,
) -> impl Stream<Item = io::Result<S::Item>> {
    let mut checks = tokio::time::interval_at(Instant::now() + CHECK_EVERY, CHECK_EVERY);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::try_unfold((items, checks), move |(mut items, mut checks)| {
        let (state, caller) = (state.clone(), caller.clone());
        async move {
            let next = next(&mut items, &mut checks, &state, &caller).await?;
            Ok(next.map(|next| (next, (items, checks))))
        }
    })
}

async fn next<S: Stream + Unpin>(
    items: &mut S,
    checks: &mut Interval,
    state: &HttpState,
    caller: &Caller,
) -> io::Result<Option<S::Item>> {
    loop {
        tokio::select! {
            biased;
            _ = checks.tick() => {
                let checked = caller.check_again(state).await;
                checked.map_err(|_| io::Error::from(io::ErrorKind::PermissionDenied))?;
            }
            next = items.next() => return Ok(next),
        }
    }
}
