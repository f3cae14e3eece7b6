//! Registry of open connections: how many an address has, and which idle one to close when a limit is reached.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
pub(super) struct Registry {
    connections: Mutex<HashMap<u64, Arc<State>>>,
    /// Orders connections and the times at which they became idle.
    sequence: Arc<AtomicU64>,
}

/// State of one connection.
#[derive(Debug)]
pub(super) struct State {
    address: IpAddr,
    /// Requests whose answer is not completely sent.
    requests: AtomicUsize,
    /// Sequence number of the last change to idle.
    idle_since: AtomicU64,
    chosen: CancellationToken,
    sequence: Arc<AtomicU64>,
}

/// Entry of one connection; removed from the registry on drop.
#[derive(Debug)]
pub(super) struct Connection {
    registry: Arc<Registry>,
    number: u64,
    state: Arc<State>,
}

/// Guard of a request in flight.
#[derive(Debug)]
pub(super) struct Busy(Arc<State>);

/// Client of an address. A host usually has all addresses of its IPv6 /64, so these count as one client.
fn client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

impl Registry {
    fn locked(&self) -> MutexGuard<'_, HashMap<u64, Arc<State>>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(self: &Arc<Self>, address: IpAddr) -> Connection {
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(State {
            address: client(address),
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(number),
            chosen: CancellationToken::new(),
            sequence: Arc::clone(&self.sequence),
        });
        self.locked().insert(number, Arc::clone(&state));
        Connection {
            registry: Arc::clone(self),
            number,
            state,
        }
    }

    /// Counts the connections of an address that are not about to be closed.
    pub(super) fn count(&self, address: IpAddr) -> usize {
        let address = client(address);
        let connections = self.locked();
        let of_address = connections.values().filter(|it| it.address == address);
        of_address.filter(|it| !it.chosen.is_cancelled()).count()
    }

    /// Chooses up to `most` connections to close, those idle for longest, of `address` or of the addresses with most
    /// connections. Returns `false` if none is idle.
    pub(super) fn close_idle(&self, address: Option<IpAddr>, most: usize) -> bool {
        let address = address.map(client);
        let connections = self.locked();
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for state in connections.values() {
            *counts.entry(state.address).or_default() += 1;
        }
        let idle = connections.values().filter(|state| {
            state.requests.load(Ordering::Acquire) == 0
                && !state.chosen.is_cancelled()
                && address.is_none_or(|address| state.address == address)
        });
        let mut idle: Vec<_> = idle
            .map(|state| {
                let count = counts.get(&state.address).copied().unwrap_or_default();
                let idle_since = state.idle_since.load(Ordering::Relaxed);
                (Reverse(count), idle_since, state)
            })
            .collect();
        idle.sort_unstable_by_key(|(count, idle_since, _)| (*count, *idle_since));
        for (_, _, state) in idle.iter().take(most) {
            state.chosen.cancel();
        }
        !idle.is_empty()
    }
}

impl Connection {
    /// State for the connection's requests.
    pub(super) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    /// Completes when the connection is to be closed.
    pub(super) async fn chosen(&self) {
        self.state.chosen.cancelled().await;
    }

    /// Whether a request is in flight.
    pub(super) fn is_busy(&self) -> bool {
        self.state.requests.load(Ordering::Acquire) > 0
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.registry.locked().remove(&self.number);
    }
}

impl State {
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(self))
    }
}

impl Busy {
    /// Wraps the body of the answer: the request is in flight until the body is sent.
    pub(super) fn hold_until_sent(self, body: Body) -> Body {
        Body::new(BusyBody { body, _busy: self })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let now = self.0.sequence.fetch_add(1, Ordering::Relaxed);
        self.0.idle_since.store(now, Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Body that keeps its request in flight.
struct BusyBody {
    body: Body,
    _busy: Busy,
}

impl HttpBody for BusyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_connection_of_the_busiest_address_is_chosen_first() {
        let registry = Arc::new(Registry::default());
        let many: IpAddr = "203.0.113.1".parse().unwrap();
        let few: IpAddr = "203.0.113.2".parse().unwrap();
        let lone = registry.add(few);
        let first = registry.add(many);
        let second = registry.add(many);
        let busy = first.state().begin();
        assert!(registry.close_idle(None, 1));
        assert!(second.state.chosen.is_cancelled());
        assert!(!lone.state.chosen.is_cancelled() && first.is_busy());
        assert_eq!(registry.count(many), 1);
        // The other connection of that address is busy.
        assert!(!registry.close_idle(Some(many), 1));
        drop(busy);
        assert!(registry.close_idle(Some(many), 1));
        drop(first);
        drop(second);
        assert_eq!(registry.count(many), 0);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let registry = Arc::new(Registry::default());
        let _one = registry.add("2001:db8::1".parse().unwrap());
        let _other = registry.add("2001:db8::2:1".parse().unwrap());
        assert_eq!(registry.count("2001:db8::3".parse().unwrap()), 2);
        assert_eq!(registry.count("2001:db8:0:1::3".parse().unwrap()), 0);
    }
}
