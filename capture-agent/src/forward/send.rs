//! Upload of one recording: executes the commands of the upload machine.

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

/// Interval of progress checks.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Longest transfer of one body with a bandwidth limit, in seconds.
const BODY_SECONDS: u64 = 10;

/// Bytes of the stream that can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// This many bytes are durable, and more may follow.
    Growing(u64),
    /// The recording is finished with this many bytes.
    Whole(u64),
    /// The recording is deleted.
    Gone,
}

/// Reason why a recording is not completely sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendError {
    Gone,
    /// The upload machine gave up.
    Failed(FailureReason),
}

type InFlight = (
    RequestId,
    Pin<Box<dyn Future<Output = Option<Response>> + Send>>,
);

/// Sends a recording until the server has all of it. Calls `extent` twice per second, and `on_notice` for each notice.
/// Dropping the future leaves the upload resumable.
///
/// # Errors
///
pub(super) async fn send(
    central: &Central,
    start: Start,
    bytes: Bytes,
    mut extent: impl FnMut() -> Extent,
    mut on_notice: impl FnMut(Notice),
) -> Result<(), SendError> {
    let seed = u64::from(monotonic().subsec_nanos());
    let mut machine = Upload::new(
        now(),
        start,
        config(central.target().bytes_per_second),
        seed,
    );
    let mut in_flight: Option<InFlight> = None;
    let mut looked = None::<Duration>;
    loop {
        if looked.is_none_or(|at| monotonic().saturating_sub(at) >= POLL_INTERVAL) {
            looked = Some(monotonic());
            match extent() {
                Extent::Growing(length) => machine.handle_available(now(), length),
                Extent::Whole(length) => {
                    machine.handle_available(now(), length);
                    machine.handle_end(now());
                }
                Extent::Gone => {
                    machine.handle_abandon(now(), Abandon::KeepOnServer);
                    return Err(SendError::Gone);
                }
            }
        }
        while let Some(command) = machine.poll_command() {
            match &command {
                Command::Cancel { request } => {
                    in_flight.take_if(|(under_way, _)| under_way == request);
                }
                // The token is configured and cannot be renewed.
                Command::RenewToken { .. } => {
                    machine.handle_token_failed(now(), RenewalFailure::Refused);
                }
                _ => {
                    let (central, bytes) = (central.clone(), bytes.clone());
                    in_flight = Some((
                        command.request(),
                        Box::pin(async move { central.upload(&command, &bytes).await }),
                    ));
                }
            }
        }
        while let Some(notice) = machine.poll_notice() {
            match notice {
                Notice::Done => return Ok(()),
                Notice::Failed { reason } => return Err(SendError::Failed(reason)),
                notice => on_notice(notice),
            }
        }
        let due = machine.poll_timeout().map(Duration::from_millis);
        let wait = due.map_or(POLL_INTERVAL, |due| due.saturating_sub(monotonic()));
        tokio::select! {
            (request, answer) = land(&mut in_flight) => {
                in_flight = None;
                match answer {
                    Some(answer) => machine.handle_response(now(), request, &answer),
                    None => machine.handle_failure(now(), request),
                }
            }
            () = tokio::time::sleep(wait.min(POLL_INTERVAL)) => {
                if let Some((request, _)) = &in_flight {
                    let sent = bytes.sent.load(Ordering::Relaxed);
                    machine.handle_progress(now(), *request, sent);
                }
                machine.handle_timeout(now());
            }
        }
    }
}

/// Waits for the answer to the request in progress; forever, without one.
async fn land(in_flight: &mut Option<InFlight>) -> (RequestId, Option<Response>) {
    match in_flight {
        Some((request, answer)) => (*request, answer.await),
        None => std::future::pending().await,
    }
}

fn now() -> Millis {
    Millis::try_from(monotonic().as_millis()).unwrap_or(Millis::MAX)
}

/// Limits the bodies to what a slow line transfers before the timeout.
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
    fn bandwidth_limit_bounds_body_duration() {
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
