//! Ports for programs that must be told which.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

/// Holds a port that nobody listens on, as long as this lives.
///
/// It is none that the system gives to whoever wants any, 32768 and above: several programs of tests run at a time, and
/// between now and its use another one would get it now and then.
pub(crate) fn hold() -> TcpListener {
    loop {
        let dice = RandomState::new().hash_one(());
        let port = 10_000 + u16::try_from(dice % 20_000).expect("small");
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener;
        }
    }
}
