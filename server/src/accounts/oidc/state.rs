//! State that requests share: metadata, redeemed attempts, failures by address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Provider;
use super::error::OidcError;
use super::messages::LoginState;

/// Failed sign-ins of one address allowed within [`PERIOD_MS`].
const FAILURES_PER_ADDRESS: u32 = 10;
const PERIOD_MS: i64 = 60_000;
/// Largest number of remembered addresses and of remembered redeemed attempts.
const CAPACITY: usize = 10_000;

/// State shared by requests.
#[derive(Default)]
pub(super) struct State {
    /// Metadata with the Unix time in ms of the discovery.
    pub(super) provider: Option<(Arc<Provider>, i64)>,
    pub(super) discovery_failure: Option<Failure>,
    /// Unix time in ms at which the token endpoint did not answer.
    pub(super) tokens_failed_ms: Option<i64>,
    /// `state` of redeemed attempts, with the Unix time in s until which it could come again.
    pub(super) redeemed: HashMap<String, i64>,
    /// Failed or current redemptions by address, with the Unix time in ms at which counting began.
    pub(super) failures: HashMap<IpAddr, (u32, i64)>,
}

pub(super) struct Failure {
    pub(super) at_ms: i64,
    /// The answer was not that of a provider.
    pub(super) unbelievable: Option<String>,
}

impl Failure {
    pub(super) fn error(&self) -> OidcError {
        match &self.unbelievable {
            Some(why) => OidcError::Unbelievable(why.clone()),
            None => OidcError::Unavailable(anyhow::anyhow!("it did not answer a moment ago")),
        }
    }
}

impl State {
    /// Marks an attempt as redeemed; `false` if it was redeemed before.
    pub(super) fn redeem(&mut self, login: &LoginState, now: i64) -> bool {
        if self.redeemed.len() >= CAPACITY {
            self.redeemed.retain(|_, until| *until > now);
            if self.redeemed.len() >= CAPACITY {
                // The provider accepts a code only once, too.
                self.redeemed.clear();
            }
        }
        let known = self.redeemed.insert(login.state.clone(), login.exp);
        known.is_none()
    }

    /// Counts a redemption of an address as failed until [`State::succeeded`]. Returns the time to wait after too many
    /// failures.
    pub(super) fn begin(&mut self, address: IpAddr, now_ms: i64) -> Option<Duration> {
        let is_over = |since_ms: i64| !(0..PERIOD_MS).contains(&now_ms.saturating_sub(since_ms));
        if self.failures.len() >= CAPACITY {
            self.failures.retain(|_, (_, since_ms)| !is_over(*since_ms));
            if self.failures.len() >= CAPACITY {
                self.failures.clear();
            }
        }
        let (count, since_ms) = self.failures.entry(network(address)).or_insert((0, now_ms));
        if is_over(*since_ms) {
            (*count, *since_ms) = (0, now_ms);
        }
        if *count >= FAILURES_PER_ADDRESS {
            let left_ms = since_ms.saturating_add(PERIOD_MS).saturating_sub(now_ms);
            return Some(Duration::from_millis(left_ms.unsigned_abs()));
        }
        *count += 1;
        None
    }

    pub(super) fn succeeded(&mut self, address: IpAddr) {
        if let Some((count, _)) = self.failures.get_mut(&network(address)) {
            *count = count.saturating_sub(1);
        }
    }
}

/// Returns the address, or the /64 network of an IPv6 address: a host has all addresses of it.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
    }
}
