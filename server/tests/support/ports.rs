//! Free ports for programs that need a port number.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

/// Reserves a port that no process listens on until the value is dropped.
///
/// The port is below the range that the system assigns, 32768 and above. Several test programs run concurrently, and
/// the system could assign such a port before its use.
pub(crate) fn hold() -> TcpListener {
    loop {
        let seed = RandomState::new().hash_one(());
        let port = 10_000 + u16::try_from(seed % 20_000).expect("small");
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener;
        }
    }
}
