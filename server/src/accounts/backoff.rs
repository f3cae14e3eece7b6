//! Back-off against password guessing. Pure: the time is an argument.
//!
//! Wrong passwords are counted by account and origin, so that a stranger's guesses do not lock out the account's user
//! elsewhere. A device on which the user has signed in before, and a current sign-in, have counters of their own. All
//! other attempts share limits per address and per IPv6 network.
//!
//! An attempt is counted before its password is verified, so parallel attempts cannot exceed the limit.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Wrong guesses before a wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// For one account from one origin.
    account: u32,
    /// From one address: more than for an account, as a whole office may share an address.
    address: u32,
    /// From one IPv6 /48, the usual allocation of a customer.
    network: u32,
    /// For one account from all origins. `None`: not limited, because strangers could lock its user out.
    everywhere: Option<u32>,
}

/// Passwords of users.
pub(super) const SIGN_INS: Limits = Limits {
    account: 5,
    address: 20,
    network: 100,
    everywhere: None,
};
/// Passwords of share links. The account is the link, which only its recipients know.
pub(super) const SHARE_PASSWORDS: Limits = Limits {
    account: 5,
    address: 20,
    network: 100,
    everywhere: Some(50),
};
/// Tokens of share links. The account is the same for all tokens.
pub(super) const SHARE_TOKENS: Limits = Limits {
    account: 200,
    address: 200,
    network: 1000,
    everywhere: None,
};
/// First wait; each further failure doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Age at which failures are forgotten.
const MEMORY: Duration = Duration::from_secs(60 * 60);
/// Rows of each table: about a megabyte at most.
const CAPACITY: usize = 10_000;
/// Longer names are truncated; no account has such a name.
const LONGEST_NAME: usize = 64;

/// Origin of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Guesser {
    /// An address without further information.
    Address(IpAddr),
    /// A device on which the account's user has signed in before.
    Device(String),
    /// A current sign-in of the account's user.
    SignIn(String),
}

/// Account and origin of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct GuessKey {
    account: String,
    guesser: Guesser,
}

impl GuessKey {
    /// `account`: its name as typed, or its id.
    pub(super) fn new(account: &str, guesser: Guesser) -> Self {
        Self {
            account: account.to_lowercase().chars().take(LONGEST_NAME).collect(),
            guesser: match guesser {
                Guesser::Address(address) => Guesser::Address(network(address, 64)),
                known => known,
            },
        }
    }
}

/// Decision about an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Allowed. The attempt counts until [`Backoff::end`].
    Go,
    /// As many attempts are in progress as may still fail: try again when one of them has an outcome.
    Queue,
    /// Refused until this time has passed.
    Wait(Duration),
}

/// Outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Right,
    /// Wrong password, or no such account.
    Wrong,
    Unknown,
}

/// Failed attempts and attempts in progress.
#[derive(Debug)]
pub(super) struct Backoff {
    accounts: Failures<GuessKey>,
    addresses: Failures<IpAddr>,
    networks: Failures<IpAddr>,
    /// By account, whatever the origin.
    everywhere: Option<Failures<String>>,
}

impl Backoff {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            accounts: Failures::new(limits.account),
            addresses: Failures::new(limits.address),
            networks: Failures::new(limits.network),
            everywhere: limits.everywhere.map(Failures::new),
        }
    }

    /// Begins an attempt, if it is allowed.
    pub(super) fn begin(&mut self, key: &GuessKey, now_ms: i64) -> Admission {
        let mut admission = self.accounts.admission(key, now_ms);
        if let Some(everywhere) = &self.everywhere {
            admission = admission.stricter(everywhere.admission(&key.account, now_ms));
        }
        if let Guesser::Address(address) = key.guesser {
            admission = admission.stricter(self.addresses.admission(&address, now_ms));
            if let Some(network) = provider_network(address) {
                admission = admission.stricter(self.networks.admission(&network, now_ms));
            }
        }
        if admission == Admission::Go {
            self.each(key, now_ms, |row, _| row.pending += 1);
        }
        admission
    }

    /// Ends an attempt. A right password does not clear the failures of its address: otherwise an attacker with one
    /// password could continue to guess others.
    pub(super) fn end(&mut self, key: &GuessKey, outcome: Outcome, now_ms: i64) {
        self.each(key, now_ms, |row, now_ms| {
            row.pending = row.pending.saturating_sub(1);
            if outcome == Outcome::Wrong {
                row.fail(now_ms);
            }
        });
        if outcome == Outcome::Right
            && let Some(row) = self.accounts.rows.get_mut(key)
        {
            row.failures = 0;
        }
        self.accounts.forget_if_idle(key);
        if let Some(everywhere) = &mut self.everywhere {
            everywhere.forget_if_idle(&key.account);
        }
        if let Guesser::Address(address) = key.guesser {
            self.addresses.forget_if_idle(&address);
            if let Some(network) = provider_network(address) {
                self.networks.forget_if_idle(&network);
            }
        }
    }

    /// Applies `act` to every row that counts the attempt.
    fn each(&mut self, key: &GuessKey, now_ms: i64, act: impl Fn(&mut Row, i64)) {
        act(self.accounts.row(key.clone(), now_ms), now_ms);
        if let Some(everywhere) = &mut self.everywhere {
            act(everywhere.row(key.account.clone(), now_ms), now_ms);
        }
        if let Guesser::Address(address) = key.guesser {
            act(self.addresses.row(address, now_ms), now_ms);
            if let Some(network) = provider_network(address) {
                act(self.networks.row(network, now_ms), now_ms);
            }
        }
    }
}

impl Admission {
    fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Wait(one), Self::Wait(other)) => Self::Wait(one.max(other)),
            (Self::Wait(wait), _) | (_, Self::Wait(wait)) => Self::Wait(wait),
            (Self::Queue, _) | (_, Self::Queue) => Self::Queue,
            (Self::Go, Self::Go) => Self::Go,
        }
    }
}

/// Truncates an IPv6 address to a network: a client with one address of a /64 controls all of it.
pub(crate) fn network(address: IpAddr, bits: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX << (128 - bits);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn provider_network(address: IpAddr) -> Option<IpAddr> {
    address.is_ipv6().then(|| network(address, 48))
}

#[derive(Debug)]
struct Failures<K> {
    free: u32,
    rows: HashMap<K, Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    failures: u32,
    pending: u32,
    /// Unix time in ms of the last failure, or of the row's first attempt.
    last_ms: i64,
}

impl Row {
    fn age(self, now_ms: i64) -> Duration {
        Duration::from_millis(u64::try_from(now_ms.saturating_sub(self.last_ms)).unwrap_or(0))
    }

    fn fail(&mut self, now_ms: i64) {
        if self.age(now_ms) >= MEMORY {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.last_ms = now_ms;
    }
}

impl<K: Eq + Hash + Clone> Failures<K> {
    fn new(free: u32) -> Self {
        Self {
            free,
            rows: HashMap::new(),
        }
    }

    fn admission(&self, key: &K, now_ms: i64) -> Admission {
        let Some(row) = self.rows.get(key) else {
            return Admission::Go;
        };
        let failures = match row.age(now_ms) >= MEMORY {
            true => 0,
            false => row.failures,
        };
        match failures.checked_sub(self.free) {
            Some(further) => {
                let wait =
                    FIRST_WAIT.saturating_mul(1_u32.checked_shl(further).unwrap_or(u32::MAX));
                let left = wait.min(LONGEST_WAIT).saturating_sub(row.age(now_ms));
                match (left.is_zero(), row.pending) {
                    (false, _) => Admission::Wait(left),
                    (true, 0) => Admission::Go,
                    (true, _) => Admission::Queue,
                }
            }
            None if failures.saturating_add(row.pending) >= self.free => Admission::Queue,
            None => Admission::Go,
        }
    }

    fn row(&mut self, key: K, now_ms: i64) -> &mut Row {
        if self.rows.len() >= CAPACITY && !self.rows.contains_key(&key) {
            self.evict(now_ms);
        }
        self.rows.entry(key).or_insert(Row {
            failures: 0,
            pending: 0,
            last_ms: now_ms,
        })
    }

    fn forget_if_idle(&mut self, key: &K) {
        let is_idle = |row: &Row| row.failures == 0 && row.pending == 0;
        if self.rows.get(key).is_some_and(is_idle) {
            self.rows.remove(key);
        }
    }

    fn evict(&mut self, now_ms: i64) {
        self.rows
            .retain(|_, row| row.pending > 0 || row.age(now_ms) < MEMORY);
        if self.rows.len() < CAPACITY {
            return;
        }
        let oldest = self
            .rows
            .iter()
            .min_by_key(|(_, row)| (row.pending > 0, row.last_ms))
            .map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.rows.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const START: i64 = 1_795_253_400_000;

    fn other(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))
    }

    fn key(account: &str, address: IpAddr) -> GuessKey {
        GuessKey::new(account, Guesser::Address(address))
    }

    /// Returns the wait before an attempt, without making it.
    fn wait(backoff: &mut Backoff, key: &GuessKey, now_ms: i64) -> Option<Duration> {
        match backoff.begin(key, now_ms) {
            Admission::Go => {
                backoff.end(key, Outcome::Unknown, now_ms);
                None
            }
            Admission::Wait(wait) => Some(wait),
            Admission::Queue => panic!("nothing is under way"),
        }
    }

    /// Fails `times` times, each time as soon as allowed; returns the time of the last failure.
    fn fail(backoff: &mut Backoff, key: &GuessKey, times: u32, mut now_ms: i64) -> i64 {
        for _ in 0..times {
            if let Some(wait) = wait(backoff, key, now_ms) {
                now_ms += i64::try_from(wait.as_millis()).unwrap();
            }
            assert_eq!(backoff.begin(key, now_ms), Admission::Go);
            backoff.end(key, Outcome::Wrong, now_ms);
        }
        now_ms
    }

    #[test]
    fn wait_begins_after_five_failures_and_doubles() {
        let seconds: Vec<u64> = (4..=17)
            .map(|times| {
                let mut backoff = Backoff::new(SIGN_INS);
                let now = fail(&mut backoff, &key("ann", HERE), times, START);
                wait(&mut backoff, &key("ann", HERE), now).map_or(0, |wait| wait.as_secs())
            })
            .collect();
        assert_eq!(
            seconds,
            [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
        );
    }

    #[test]
    fn wrong_passwords_of_a_share_link_count_for_all_addresses() {
        let mut backoff = Backoff::new(SHARE_PASSWORDS);
        let now = (0..50).fold(START, |now, number| {
            fail(&mut backoff, &key("link", other(number)), 1, now)
        });
        assert!(wait(&mut backoff, &key("link", HERE), now).is_some());
        assert_eq!(wait(&mut backoff, &key("other link", HERE), now), None);
        let hour = 60 * 60 * 1000;
        assert_eq!(wait(&mut backoff, &key("link", HERE), now + hour), None);
        // Those of a user do not lock the user out elsewhere.
        let mut backoff = Backoff::new(SIGN_INS);
        for number in 0..200 {
            fail(&mut backoff, &key("ann", other(number)), 1, START);
        }
        assert_eq!(wait(&mut backoff, &key("ann", HERE), START), None);
    }

    #[test]
    fn wait_ends_at_the_exact_millisecond() {
        let mut backoff = Backoff::new(SIGN_INS);
        let ann = key("ann", HERE);
        let now = fail(&mut backoff, &ann, 6, START);
        assert_eq!(
            wait(&mut backoff, &ann, now + 1),
            Some(Duration::from_millis(1999))
        );
        assert_eq!(wait(&mut backoff, &ann, now + 2000), None);
        assert_eq!(wait(&mut backoff, &key("bob", HERE), now), None);
        assert!(wait(&mut backoff, &key("ANN", HERE), now).is_some());
    }

    #[test]
    fn stranger_elsewhere_does_not_lock_out_an_account() {
        let mut backoff = Backoff::new(SIGN_INS);
        let mut now = START;
        for number in 0..50 {
            now = fail(&mut backoff, &key("ann", other(number)), 7, now);
        }
        assert_eq!(wait(&mut backoff, &key("ann", HERE), now), None);
        for known in [
            Guesser::Device("d1".to_owned()),
            Guesser::SignIn("s1".to_owned()),
        ] {
            let known = GuessKey::new("ann", known);
            assert_eq!(wait(&mut backoff, &known, now), None);
        }
    }

    #[test]
    fn known_device_behind_an_attackers_address_is_allowed() {
        let mut backoff = Backoff::new(SIGN_INS);
        let now = fail(&mut backoff, &key("ann", HERE), 30, START);
        assert!(wait(&mut backoff, &key("bob", HERE), now).is_some());
        let device = GuessKey::new("ann", Guesser::Device("d1".to_owned()));
        assert_eq!(wait(&mut backoff, &device, now), None);
        // The wait has an upper limit.
        let now = fail(&mut backoff, &device, 6, now);
        assert!(wait(&mut backoff, &device, now).is_some());
    }

    #[test]
    fn parallel_attempts_are_counted_before_their_outcome() {
        let mut backoff = Backoff::new(SIGN_INS);
        let ann = key("ann", HERE);
        for _ in 0..SIGN_INS.account {
            assert_eq!(backoff.begin(&ann, START), Admission::Go);
        }
        assert_eq!(backoff.begin(&ann, START), Admission::Queue);
        backoff.end(&ann, Outcome::Wrong, START);
        assert_eq!(backoff.begin(&ann, START), Admission::Queue);
        for _ in 1..SIGN_INS.account {
            backoff.end(&ann, Outcome::Wrong, START);
        }
        assert_eq!(backoff.begin(&ann, START), Admission::Wait(FIRST_WAIT));
        // After the wait one attempt is allowed, not five.
        assert_eq!(backoff.begin(&ann, START + 1000), Admission::Go);
        assert_eq!(backoff.begin(&ann, START + 1000), Admission::Queue);
        backoff.end(&ann, Outcome::Right, START + 1000);
        assert_eq!(backoff.begin(&ann, START + 1000), Admission::Go);
    }

    #[test]
    fn right_password_clears_the_account_but_not_the_address() {
        let mut backoff = Backoff::new(SIGN_INS);
        for number in 0..SIGN_INS.address - 1 {
            fail(
                &mut backoff,
                &key(&format!("name {number}"), HERE),
                1,
                START,
            );
        }
        let ann = key("ann", HERE);
        assert_eq!(backoff.begin(&ann, START), Admission::Go);
        backoff.end(&ann, Outcome::Right, START);
        fail(&mut backoff, &ann, 1, START);
        assert!(wait(&mut backoff, &ann, START).is_some());
        assert!(wait(&mut backoff, &key("bob", HERE), START).is_some());
        assert_eq!(wait(&mut backoff, &key("bob", other(1)), START), None);
    }

    #[test]
    fn failures_are_forgotten_after_an_hour() {
        let mut backoff = Backoff::new(SIGN_INS);
        let ann = key("ann", HERE);
        let now = fail(&mut backoff, &ann, 20, START) + 60 * 60 * 1000;
        fail(&mut backoff, &ann, 1, now);
        assert_eq!(wait(&mut backoff, &ann, now), None);
    }

    #[test]
    fn clock_set_back_starts_the_wait_anew() {
        let mut backoff = Backoff::new(SIGN_INS);
        let ann = key("ann", HERE);
        let now = fail(&mut backoff, &ann, 5, START);
        assert_eq!(wait(&mut backoff, &ann, now - 1_000_000), Some(FIRST_WAIT));
    }

    #[test]
    fn ipv6_addresses_are_counted_by_network() {
        let parse = |text: &str| network(text.parse().unwrap(), 64);
        assert_eq!(parse("2001:db8:1:2:aaaa::1"), parse("2001:db8:1:2:bbbb::2"));
        assert_ne!(parse("2001:db8:1:2::1"), parse("2001:db8:1:3::1"));
        assert_eq!(parse("::ffff:192.0.2.1"), HERE);
        let mut backoff = Backoff::new(SIGN_INS);
        let from = |number: u32| -> IpAddr { format!("2001:db8:1:{number:x}::1").parse().unwrap() };
        for number in 0..SIGN_INS.network {
            fail(
                &mut backoff,
                &key(&format!("name {number}"), from(number)),
                1,
                START,
            );
        }
        assert!(wait(&mut backoff, &key("ann", from(5000)), START).is_some());
        let elsewhere = "2001:db8:2::1".parse().unwrap();
        assert_eq!(wait(&mut backoff, &key("ann", elsewhere), START), None);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_row_is_evicted() {
        let mut backoff = Backoff::new(SIGN_INS);
        for number in 0..u32::try_from(CAPACITY).unwrap() + 5 {
            let name = key(&format!("name {number}"), other(number));
            fail(&mut backoff, &name, 1, START + i64::from(number));
        }
        assert_eq!(
            (backoff.accounts.rows.len(), backoff.addresses.rows.len()),
            (CAPACITY, CAPACITY)
        );
        let knows = |number: u32| {
            let name = key(&format!("name {number}"), other(number));
            backoff.accounts.rows.contains_key(&name)
        };
        assert!(!knows(4));
        assert!(knows(5));
    }
}
