//! Connection to the broker: TCP or TLS, limits, and reasons of failures.

use std::io;
use std::sync::Arc;

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions,
    NetworkOptions, Packet, QoS,
};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

use super::broker::{Address, Broker};
use super::topics::Device;

/// Timeout of connection setup, and of a write.
const ANSWER_SECONDS: u64 = 10;
/// Interval of pings. A broker that does not answer until the next one is gone.
const KEEP_ALIVE_SECONDS: u16 = 30;
/// Largest packet of the broker: commands have a few bytes.
const INCOMING_MAX: usize = 16 << 10;
/// Largest packet to the broker: a picture.
const OUTGOING_MAX: usize = 1 << 20;
/// Messages that wait for the broker. More are a failure of the connection.
const OUTGOING_QUEUE: usize = 32;
/// Received packets that wait for the session. The connection is not read meanwhile.
const INCOMING_QUEUE: usize = 16;

/// Reason why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(
        "it refuses user name or password; check SORTIE_CAPTURE_MQTT_USERNAME and SORTIE_CAPTURE_MQTT_PASSWORD"
    )]
    Credentials,
    #[error("it refuses the connection ({0:?})")]
    Refused(ConnectReturnCode),
    #[error("it does not answer within {ANSWER_SECONDS} seconds")]
    Silent,
    #[error(
        "its certificate is not trusted ({0}); check the name in SORTIE_CAPTURE_MQTT_URL and SORTIE_CAPTURE_MQTT_CA"
    )]
    Certificate(rustls::Error),
    #[error("TLS cannot be used: {0}")]
    Tls(String),
    #[error("{0}")]
    Io(#[source] io::Error),
    #[error("it does not accept messages")]
    Congested,
    #[error("the connection broke ({0})")]
    Broken(String),
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ConnectionRefused(
                ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
            ) => Self::Credentials,
            ConnectionError::ConnectionRefused(code) => Self::Refused(code),
            ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => Self::Silent,
            ConnectionError::Io(error) => {
                let inner = error.get_ref();
                let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
                match tls {
                    Some(tls @ rustls::Error::InvalidCertificate(_)) => {
                        Self::Certificate(tls.clone())
                    }
                    Some(tls) => Self::Tls(tls.to_string()),
                    None => Self::Io(error),
                }
            }
            other => Self::Broken(other.to_string()),
        }
    }
}

/// Prepares a connection with the device's last will. Nothing is sent before [`drive`].
pub(super) fn open(broker: &Broker, device: &Device) -> Result<(AsyncClient, EventLoop), Failure> {
    let Address { host, port, tls } = &broker.address;
    let id = format!("sortie-{}", device.id);
    let mut options = MqttOptions::new(id, rumqttc::Broker::tcp(host.as_str(), *port));
    let will = LastWill::new(device.availability(), "offline", QoS::AtLeastOnce, true);
    options
        .set_keep_alive(KEEP_ALIVE_SECONDS)
        .set_clean_session(true)
        .set_max_packet_size(INCOMING_MAX, OUTGOING_MAX)
        .set_last_will(will);
    match (&broker.username, &broker.password) {
        (Some(name), Some(password)) => {
            options.set_credentials(name.as_str(), password.expose().to_owned());
        }
        (Some(name), None) => {
            options.set_username(name.as_str());
        }
        (None, _) => {}
    }
    if *tls {
        let connector = tls_connector(broker.authorities.as_deref().unwrap_or_default())?;
        let name = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(name).map_err(|error| Failure::Tls(error.to_string()))?;
        options.set_socket_connector(move |address, network| {
            let (connector, name) = (connector.clone(), name.clone());
            async move {
                let stream = rumqttc::default_socket_connect(address, network).await?;
                connector.connect(name, stream).await
            }
        });
    }
    let builder = AsyncClient::builder(options).capacity(OUTGOING_QUEUE);
    let (client, mut events) = builder.build();
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(ANSWER_SECONDS);
    network.set_tcp_nodelay(true);
    events.set_network_options(network);
    Ok((client, events))
}

/// Trusts the system's certificate authorities and these, as forwarding does.
fn tls_connector(authorities: &[u8]) -> Result<TlsConnector, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let authorities = CertificateDer::pem_slice_iter(authorities)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(&error))?;
    let verifier = Verifier::new_with_extra_roots(authorities, Arc::clone(&provider))
        .map_err(|error| failed(&error))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Queue between [`drive`] and the session.
pub(super) fn queue() -> (mpsc::Sender<Packet>, mpsc::Receiver<Packet>) {
    mpsc::channel(INCOMING_QUEUE)
}

/// Sends and receives until the connection fails; passes packets to the session. Keepalive continues meanwhile.
pub(super) async fn drive(mut events: EventLoop, packets: mpsc::Sender<Packet>) -> Failure {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(packet)) => {
                let concerns_session = matches!(
                    packet,
                    Packet::ConnAck(_) | Packet::Publish(_) | Packet::SubAck(_)
                );
                if concerns_session && packets.send(packet).await.is_err() {
                    return Failure::Broken("the session has ended".to_owned());
                }
            }
            Ok(Event::Outgoing(_)) => {}
            Err(error) => return error.into(),
        }
    }
}
