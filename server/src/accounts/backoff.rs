//! Slows down whoever guesses passwords. Pure: the time is an argument.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Wrong passwords for one name before it has to wait.
const FREE_FOR_ACCOUNT: u32 = 5;
/// Wrong passwords from one address before it has to wait. More than for a name: a whole office may share
/// an address, and who tries many names from one address soon meets this.
const FREE_FOR_ADDRESS: u32 = 20;
/// The first wait; each further failure doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Failures older than this are forgotten.
const MEMORY: Duration = Duration::from_secs(60 * 60);
/// Names and addresses remembered at once (each): about a megabyte at most.
const CAPACITY: usize = 10_000;
/// Longer names are told apart by their first bytes only; nobody has such a name.
const LONGEST_NAME: usize = 64;

/// Failed sign-ins by name and by address.
#[derive(Debug)]
pub(super) struct Backoff {
    accounts: Failures<String>,
    addresses: Failures<IpAddr>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            accounts: Failures::new(FREE_FOR_ACCOUNT),
            addresses: Failures::new(FREE_FOR_ADDRESS),
        }
    }
}

impl Backoff {
    /// How long to wait before the next attempt; `None`: go on.
    pub(super) fn wait(&self, account: &str, address: IpAddr, now_ms: i64) -> Option<Duration> {
        self.accounts
            .wait(&account_key(account), now_ms)
            .max(self.addresses.wait(&address_key(address), now_ms))
    }

    /// A wrong password, or a name that nobody has.
    pub(super) fn failed(&mut self, account: &str, address: IpAddr, now_ms: i64) {
        self.accounts.add(account_key(account), now_ms);
        self.addresses.add(address_key(address), now_ms);
    }

    /// The right password. The address keeps its failures: else whoever has one password could go on
    /// guessing others.
    pub(super) fn succeeded(&mut self, account: &str) {
        self.accounts.rows.remove(&account_key(account));
    }
}

fn account_key(name: &str) -> String {
    name.to_lowercase().chars().take(LONGEST_NAME).collect()
}

/// Whoever has one IPv6 address has its /64.
fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[derive(Debug)]
struct Failures<K> {
    free: u32,
    rows: HashMap<K, Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    count: u32,
    last_ms: i64,
}

impl Row {
    fn age(self, now_ms: i64) -> Duration {
        Duration::from_millis(u64::try_from(now_ms.saturating_sub(self.last_ms)).unwrap_or(0))
    }
}

impl<K: Eq + Hash + Clone> Failures<K> {
    fn new(free: u32) -> Self {
        Self {
            free,
            rows: HashMap::new(),
        }
    }

    fn wait(&self, key: &K, now_ms: i64) -> Option<Duration> {
        let row = *self.rows.get(key)?;
        let further = row.count.checked_sub(self.free)?;
        let wait = FIRST_WAIT.saturating_mul(1_u32.checked_shl(further).unwrap_or(u32::MAX));
        let left = wait.min(LONGEST_WAIT).saturating_sub(row.age(now_ms));
        (!left.is_zero()).then_some(left)
    }

    fn add(&mut self, key: K, now_ms: i64) {
        if self.rows.len() >= CAPACITY && !self.rows.contains_key(&key) {
            self.make_room(now_ms);
        }
        let row = self.rows.entry(key).or_insert(Row {
            count: 0,
            last_ms: now_ms,
        });
        if row.age(now_ms) >= MEMORY {
            row.count = 0;
        }
        *row = Row {
            count: row.count.saturating_add(1),
            last_ms: now_ms,
        };
    }

    fn make_room(&mut self, now_ms: i64) {
        self.rows.retain(|_, row| row.age(now_ms) < MEMORY);
        if self.rows.len() < CAPACITY {
            return;
        }
        let oldest = self
            .rows
            .iter()
            .min_by_key(|(_, row)| row.last_ms)
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

    /// Fails `times` times for one name, each time from a new address and as soon as it may.
    fn fail(backoff: &mut Backoff, times: u32, mut now: i64) -> i64 {
        for number in 0..times {
            let address = other(number);
            if let Some(wait) = backoff.wait("ann", address, now) {
                now += i64::try_from(wait.as_millis()).unwrap();
            }
            backoff.failed("ann", address, now);
        }
        now
    }

    #[test]
    fn five_are_free_then_each_doubles_up_to_a_quarter_of_an_hour() {
        let seconds: Vec<u64> = (4..=17)
            .map(|times| {
                let mut backoff = Backoff::default();
                let now = fail(&mut backoff, times, START);
                backoff
                    .wait("ann", HERE, now)
                    .map_or(0, |wait| wait.as_secs())
            })
            .collect();
        assert_eq!(
            seconds,
            [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]
        );
    }

    #[test]
    fn a_wait_ends_and_is_told_to_the_millisecond() {
        let mut backoff = Backoff::default();
        let now = fail(&mut backoff, 6, START);
        assert_eq!(
            backoff.wait("ann", HERE, now + 1),
            Some(Duration::from_millis(1999))
        );
        assert_eq!(backoff.wait("ann", HERE, now + 2000), None);
        assert_eq!(backoff.wait("bob", HERE, now), None);
    }

    #[test]
    fn a_name_is_one_name_however_it_is_written() {
        let mut backoff = Backoff::default();
        let now = fail(&mut backoff, 5, START);
        assert!(backoff.wait("ANN", HERE, now).is_some());
    }

    #[test]
    fn the_right_password_clears_the_name_but_not_the_address() {
        let mut backoff = Backoff::default();
        for _ in 0..FREE_FOR_ADDRESS {
            backoff.failed("ann", HERE, START);
        }
        backoff.succeeded("Ann");
        assert_eq!(backoff.wait("ann", other(1), START), None);
        assert!(backoff.wait("ann", HERE, START).is_some());
        assert!(backoff.wait("bob", HERE, START).is_some());
    }

    #[test]
    fn an_hour_later_all_is_forgotten() {
        let mut backoff = Backoff::default();
        let now = fail(&mut backoff, 20, START) + 60 * 60 * 1000;
        backoff.failed("ann", HERE, now);
        assert_eq!(backoff.wait("ann", HERE, now), None);
    }

    #[test]
    fn a_clock_that_goes_back_only_makes_the_wait_start_anew() {
        let mut backoff = Backoff::default();
        let now = fail(&mut backoff, 5, START);
        assert_eq!(backoff.wait("ann", HERE, now - 1_000_000), Some(FIRST_WAIT));
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one() {
        let parse = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(parse("2001:db8:1:2:aaaa::1"), parse("2001:db8:1:2:bbbb::2"));
        assert_ne!(parse("2001:db8:1:2::1"), parse("2001:db8:1:3::1"));
        assert_eq!(parse("::ffff:192.0.2.1"), HERE);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let mut backoff = Backoff::default();
        for number in 0..u32::try_from(CAPACITY).unwrap() + 5 {
            backoff.failed(
                &format!("name {number}"),
                other(number),
                START + i64::from(number),
            );
        }
        assert_eq!(
            (backoff.accounts.rows.len(), backoff.addresses.rows.len()),
            (CAPACITY, CAPACITY)
        );
        assert!(!backoff.accounts.rows.contains_key("name 4"));
        assert!(backoff.accounts.rows.contains_key("name 5"));
    }
}
