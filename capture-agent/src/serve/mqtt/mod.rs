//! State and control of the recorder over MQTT, with Home Assistant's discovery.
//!
//! [`run`] connects and reconnects, [`Session`] publishes and executes commands while connected. Each connection has its own
//! client, so that no message of an earlier one is sent late. Recording never waits for the broker: the session reads
//! the recorder's state, and its queues are bounded.

mod broker;
mod connection;
mod discovery;
mod session;
mod state;
mod topics;

use std::time::Duration;

use sortie_server::ApplianceControl;

pub(super) use broker::is_topic;
pub use broker::{Address, Broker};

use crate::clock::monotonic;
use crate::recorder::Handle;
use connection::Failure;
use session::Session;
use topics::Device;

/// Name of this interface in the audit log.
pub(super) const INTERFACE: &str = "MQTT";
/// First interval between attempts to connect; it doubles up to the longest one.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LONGEST: Duration = Duration::from_secs(60);

/// Broker and recorder for [`run`].
pub(super) struct Setup {
    pub(super) broker: Broker,
    pub(super) control: ApplianceControl,
    /// For the cause of the recording.
    pub(super) recorder: Handle,
    pub(super) host: Option<String>,
    /// Text that distinguishes agents on this machine.
    pub(super) instance: String,
}

/// Publishes and executes commands until the future is dropped. The broker then publishes the last will.
pub(super) async fn run(setup: Setup) {
    let device = Device::new(&setup.broker, setup.host.as_deref(), &setup.instance);
    let mut retry = RETRY_FIRST;
    // The same failure is logged once, not at each attempt.
    let mut logged = None;
    loop {
        let begun_at = monotonic();
        let (failure, was_connected) = connect(&setup, &device).await;
        // A broker that accepts and then cuts each connection is asked less and less often as well.
        if was_connected && monotonic().saturating_sub(begun_at) >= RETRY_LONGEST {
            (retry, logged) = (RETRY_FIRST, None);
        }
        let words = failure.to_string();
        if logged.as_ref() != Some(&words) {
            let broker = &setup.broker.address;
            tracing::error!(%broker, "no connection to the MQTT broker: {words}. Recording is not affected; it is retried");
            logged = Some(words);
        }
        if matches!(failure, Failure::Credentials) {
            // Brokers lock out clients that repeat a wrong password quickly.
            retry = RETRY_LONGEST;
        }
        tokio::time::sleep(retry).await;
        retry = (retry * 2).min(RETRY_LONGEST);
    }
}

/// Connects once; returns why the connection ended, and whether the broker had accepted it.
async fn connect(setup: &Setup, device: &Device) -> (Failure, bool) {
    let (client, events) = match connection::open(&setup.broker, device) {
        Ok(opened) => opened,
        Err(failure) => return (failure, false),
    };
    let (send, packets) = connection::queue();
    let mut session = Session::new(setup, device, client);
    let failure = tokio::select! {
        failure = connection::drive(events, send) => failure,
        failure = session.run(packets) => failure,
    };
    (failure, session.is_connected())
}
