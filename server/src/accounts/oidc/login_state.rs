//! Login states: signed cookies, each redeemed once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::{Deserialize, Serialize};

use super::error::OidcError;
use crate::accounts::error::IssueError;
use crate::accounts::random;
use crate::clock::Clock;

/// Longest time that a user may spend at the provider.
pub(crate) const ATTEMPT_SECONDS: i64 = 10 * 60;
/// Issuer of [`LoginState`]s, so that no other token of this server is accepted as one.
const ISSUER: &str = "sortie-oidc";
/// Failed sign-ins of one address allowed within [`PERIOD_MS`].
const FAILURES_PER_ADDRESS: u32 = 10;
const PERIOD_MS: i64 = 60_000;
/// Largest number of remembered addresses and of remembered redeemed attempts.
const CAPACITY: usize = 10_000;

/// Login state in a signed cookie while the user is at the provider.
#[derive(Serialize, Deserialize)]
pub(super) struct LoginState {
    pub(super) iss: String,
    /// Unix time in s.
    pub(super) exp: i64,
    /// Returned with the answer; ties it to this browser.
    pub(super) state: String,
    /// Returned in the ID token; ties it to this attempt.
    pub(super) nonce: String,
    /// PKCE verifier: proves that the redeemer of the code has requested it.
    pub(super) verifier: String,
    /// Path to return to.
    pub(super) return_to: String,
}

/// Redeemed attempts and failures of addresses.
#[derive(Default)]
struct Redemptions {
    /// `state` of redeemed attempts, with the Unix time in s until which it could come again.
    redeemed: HashMap<String, i64>,
    /// Failed or current redemptions by address, with the Unix time in ms at which counting began.
    failures: HashMap<IpAddr, (u32, i64)>,
}

impl Redemptions {
    /// Marks an attempt as redeemed; `false` if it was redeemed before.
    fn redeem(&mut self, login: &LoginState, now: i64) -> bool {
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

    /// Counts a redemption of an address as failed until [`Redemptions::succeeded`]. Returns the time to wait after too
    /// many failures.
    fn begin(&mut self, address: IpAddr, now_ms: i64) -> Option<Duration> {
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

    fn succeeded(&mut self, address: IpAddr) {
        if let Some((count, _)) = self.failures.get_mut(&network(address)) {
            *count = count.saturating_sub(1);
        }
    }
}

/// Issues, reads and redeems login states.
pub(super) struct LoginStates {
    clock: Arc<dyn Clock>,
    signing: EncodingKey,
    reading: DecodingKey,
    redemptions: Mutex<Redemptions>,
}

impl LoginStates {
    pub(super) fn new(secret: &[u8], clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            signing: EncodingKey::from_secret(secret),
            reading: DecodingKey::from_secret(secret),
            redemptions: Mutex::default(),
        }
    }

    /// Generates a login state.
    pub(super) fn generate(&self, return_to: String) -> Result<LoginState, IssueError> {
        let secret = || random::token().map_err(IssueError::Token);
        Ok(LoginState {
            iss: ISSUER.to_owned(),
            exp: self.clock.now_ms().div_euclid(1000) + ATTEMPT_SECONDS,
            state: secret()?,
            nonce: secret()?,
            verifier: secret()?,
            return_to,
        })
    }

    /// Returns the cookie of a login state.
    pub(super) fn cookie(&self, login: &LoginState) -> Result<String, IssueError> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), login, &self.signing)
            .map_err(|error| IssueError::Token(error.into()))
    }

    /// Reads the login state of a browser, unless it has expired.
    pub(super) fn open(&self, cookie: &str) -> Option<LoginState> {
        let mut validation = jsonwebtoken::Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        // Checked below against the server's clock.
        validation.validate_exp = false;
        let login: LoginState = jsonwebtoken::decode(cookie, &self.reading, &validation)
            .ok()?
            .claims;
        (self.clock.now_ms().div_euclid(1000) < login.exp).then_some(login)
    }

    /// Redeems a login state, once, and counts it as a failure of the address until [`LoginStates::succeeded`].
    pub(super) fn redeem(&self, login: &LoginState, address: IpAddr) -> Result<(), OidcError> {
        let (mut redemptions, now_ms) = (self.redemptions(), self.clock.now_ms());
        if let Some(wait) = redemptions.begin(address, now_ms) {
            return Err(OidcError::Wait(wait));
        }
        if !redemptions.redeem(login, now_ms.div_euclid(1000)) {
            return Err(OidcError::NoAttempt);
        }
        Ok(())
    }

    /// Counts the redemption of an address as successful.
    pub(super) fn succeeded(&self, address: IpAddr) {
        self.redemptions().succeeded(address);
    }

    fn redemptions(&self) -> MutexGuard<'_, Redemptions> {
        (self.redemptions.lock()).unwrap_or_else(PoisonError::into_inner)
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
