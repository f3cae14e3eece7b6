//! Webhooks: events for other systems, driven by the audit log (<https://www.standardwebhooks.com>).
//!
//! [`Dispatcher`] reads the audit log from the cursor of each endpoint and queues the events in the same transaction
//! that moves the cursor ([`Queue`](queue::Queue)), so that a crash neither loses nor repeats an entry of the queue. It then claims
//! due deliveries and sends them ([`Sender`]). The ID of an event is derived from its audit row: a delivery that is
//! repeated after a crash has the same ID.
//!
//! Each endpoint has its own bounded number of concurrent requests, and the number of endpoints is bounded, so a
//! receiver that hangs delays only itself.

mod address;
mod dispatcher;
mod event;
mod queue;
mod resolver;
mod schedule;
mod sender;
mod signature;
mod url;

pub(crate) use dispatcher::Dispatcher;
pub(crate) use sender::{Message, Outcome, Sender};
pub(crate) use signature::new_secret;
pub(crate) use url::{check as check_url, host};

/// Most endpoints of a server.
pub(crate) const ENDPOINTS_MAX: u16 = 20;
