//! Carries out what the upload machine decides for one recording.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sortie_tus::client::{
    Abandon, Command, Config, FailureReason, Millis, Notice, RenewalFailure, RequestId, Response,
    Start, Upload,
};

use super::central::{Bytes, Central};
use crate::clock::monotonic;

/// How often it is looked how far the recording is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A body is to take no longer than this, where the bandwidth is limited.
const BODY_SECONDS: u64 = 10;

/// How far a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// So many bytes of its stream are durable.
    Growing(u64),
    /// These are all.
    Whole(u64),
    /// It is no more.
    Gone,
}

/// Why it is not all with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsent {
    /// There is nothing left to send.
    Gone,
    /// The machine has given up.
    Failed(FailureReason),
}

type Flight = (
    RequestId,
    Pin<Box<dyn Future<Output = Option<Response>> + Send>>,
);

/// Sends a recording until the server has all of it. `extent` is asked twice a second; `on_notice` hears the rest.
/// Dropping the future leaves the server as it is.
///
/// # Errors
///
/// [`Unsent`].
pub(super) async fn send(
    central: &Central,
    start: Start,
    bytes: Bytes,
    mut extent: impl FnMut() -> Extent,
    mut on_notice: impl FnMut(Notice),
) -> Result<(), Unsent> {
    let seed = u64::from(monotonic().subsec_nanos());
    let mut machine = Upload::new(
        now(),
        start,
        config(central.target().bytes_per_second),
        seed,
    );
    let mut flight: Option<Flight> = None;
    let mut looked = None::<Duration>;
    loop {
        if looked.is_none_or(|at| monotonic().saturating_sub(at) >= LOOK_EVERY) {
            looked = Some(monotonic());
            match extent() {
                Extent::Growing(length) => machine.handle_available(now(), length),
                Extent::Whole(length) => {
                    machine.handle_available(now(), length);
                    machine.handle_end(now());
                }
                Extent::Gone => {
                    machine.handle_abandon(now(), Abandon::KeepOnServer);
                    return Err(Unsent::Gone);
                }
            }
        }
        while let Some(command) = machine.poll_command() {
            match &command {
                Command::Cancel { request } => {
                    flight.take_if(|(under_way, _)| under_way == request);
                }
                // The token is what the configuration says.
                Command::RenewToken { .. } => {
                    machine.handle_token_failed(now(), RenewalFailure::Refused);
                }
                _ => {
                    let (central, bytes) = (central.clone(), bytes.clone());
                    flight = Some((
                        command.request(),
                        Box::pin(async move { central.upload(&command, &bytes).await }),
                    ));
                }
            }
        }
        while let Some(notice) = machine.poll_notice() {
            match notice {
                Notice::Done => return Ok(()),
                Notice::Failed { reason } => return Err(Unsent::Failed(reason)),
                notice => on_notice(notice),
            }
        }
        let due = machine.poll_timeout().map(Duration::from_millis);
        let wait = due.map_or(LOOK_EVERY, |due| due.saturating_sub(monotonic()));
        tokio::select! {
            (request, answer) = land(&mut flight) => {
                flight = None;
                match answer {
                    Some(answer) => machine.handle_response(now(), request, &answer),
                    None => machine.handle_failure(now(), request),
                }
            }
            () = tokio::time::sleep(wait.min(LOOK_EVERY)) => {
                if let Some((request, _)) = &flight {
                    let sent = bytes.sent.load(Ordering::Relaxed);
                    machine.handle_progress(now(), *request, sent);
                }
                machine.handle_timeout(now());
            }
        }
    }
}

/// The answer to the request under way; never, without one.
async fn land(flight: &mut Option<Flight>) -> (RequestId, Option<Response>) {
    match flight {
        Some((request, answer)) => (*request, answer.await),
        None => std::future::pending().await,
    }
}

fn now() -> Millis {
    Millis::try_from(monotonic().as_millis()).unwrap_or(Millis::MAX)
}

/// Bodies that a limited line has done with in time, however slow it is meant to be.
fn config(bytes_per_second: Option<u64>) -> Config {
    let usual = Config::default();
    let Some(limit) = bytes_per_second else {
        return usual;
    };
    let max_patch = usual
        .max_patch
        .min(limit.saturating_mul(BODY_SECONDS))
        .max(1);
    Config {
        max_patch,
        min_patch: usual.min_patch.min(max_patch),
        initial_patch: usual.initial_patch.min(max_patch),
        slowest_bytes_per_s: usual.slowest_bytes_per_s.min(limit / 4).max(1),
        ..usual
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limited_line_gets_bodies_that_it_can_carry_in_time() {
        assert_eq!(config(None), Config::default());
        assert_eq!(config(Some(100 << 20)), Config::default());
        for limit in [1, 1000, 100_000] {
            let config = config(Some(limit));
            assert!(config.min_patch <= config.initial_patch);
            assert!(config.initial_patch <= config.max_patch);
            let seconds = config.max_patch / limit;
            let allowed = config.timeout_ms / 1000 + config.max_patch / config.slowest_bytes_per_s;
            assert!(seconds <= BODY_SECONDS && 2 * seconds <= allowed, "{limit}");
        }
    }
}
