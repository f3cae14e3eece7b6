//! HTTP client of webhooks.

use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

use super::resolver::{Dns, NotPublic, PublicResolver, SystemDns};
use super::{signature, url};
use crate::config::Secret;

/// Time limit of an attempt, from the lookup of the name to the end of the answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read, so that the connection can be used again.
const ANSWER_MAX: usize = 64 * 1024;
const NO_CLIENT: &str = "This server cannot open TLS connections: install the certificate authorities of its system \
                         (package ca-certificates).";

/// Request to a receiver.
pub(crate) struct Message<'a> {
    pub(crate) url: &'a str,
    /// Value of the header `webhook-id`.
    pub(crate) id: &'a str,
    /// Body of the request: JSON.
    pub(crate) body: &'a str,
    /// Unix time in ms.
    pub(crate) now_ms: i64,
}

/// Outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The receiver answered with this status from 200 to 299.
    Delivered(u16),
    /// The receiver answered 410: it does not want further events.
    Gone,
    /// The receiver answered with another status, or not at all.
    Failed {
        status: Option<u16>,
        error: String,
        /// Time to wait that the receiver asked for (`Retry-After`).
        retry_after: Option<Duration>,
    },
}

impl Outcome {
    /// Returns status and error for lists.
    pub(crate) fn answer(&self) -> (Option<u16>, &str) {
        match self {
            Self::Delivered(status) => (Some(*status), ""),
            Self::Gone => (
                Some(StatusCode::GONE.as_u16()),
                "The receiver answered 410 (Gone).",
            ),
            Self::Failed { status, error, .. } => (*status, error),
        }
    }
}

/// Sends signed requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sender {
    dns: Arc<dyn Dns>,
    timeout: Duration,
    allow_private: bool,
    /// Created by the first request: a system without certificate authorities can run the server, but not send.
    http: Arc<OnceLock<reqwest::Client>>,
}

impl Sender {
    /// Sends to internal addresses and over plain HTTP only with `allow_private`.
    pub(crate) fn new(allow_private: bool) -> Self {
        Self::with_dns(allow_private, Arc::new(SystemDns), TIMEOUT)
    }

    fn with_dns(allow_private: bool, dns: Arc<dyn Dns>, timeout: Duration) -> Self {
        Self {
            dns,
            timeout,
            allow_private,
            http: Arc::default(),
        }
    }

    fn client(&self) -> reqwest::Result<&reqwest::Client> {
        if let Some(client) = self.http.get() {
            return Ok(client);
        }
        let mut builder = reqwest::Client::builder()
            .timeout(self.timeout)
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would resolve names itself, without the check.
            .no_proxy()
            .user_agent(concat!("sortie-recording/", env!("CARGO_PKG_VERSION")));
        if !self.allow_private {
            builder = builder.dns_resolver(Arc::new(PublicResolver(Arc::clone(&self.dns))));
        }
        let client = builder.build()?;
        Ok(self.http.get_or_init(|| client))
    }

    /// Whether endpoints may have internal addresses and plain HTTP.
    pub(crate) fn allows_private(&self) -> bool {
        self.allow_private
    }

    /// Sends a request, signed with each of these secrets.
    pub(crate) async fn send<'a>(
        &self,
        message: &Message<'_>,
        secrets: impl Iterator<Item = &'a Secret>,
    ) -> Outcome {
        let failed = |error: String| Outcome::Failed {
            status: None,
            error,
            retry_after: None,
        };
        // Checked again: an address in the URL needs no lookup, and the permission may have been withdrawn.
        let url = match url::check(message.url, self.allow_private) {
            Ok(url) => url,
            Err(reason) => return failed(reason.to_owned()),
        };
        let seconds = message.now_ms.div_euclid(1000);
        let signature = match signature::header(secrets, message.id, seconds, message.body) {
            Ok(signature) => signature,
            Err(error) => return failed(error.to_string()),
        };
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(%error, cause = error.source(), "cannot create the HTTP client of webhooks");
                return failed(NO_CLIENT.to_owned());
            }
        };
        let request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature)
            .body(message.body.to_owned());
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return failed(describe(&error).to_owned()),
        };
        let status = answer.status();
        let retry_after = answer.headers().get(RETRY_AFTER);
        let retry_after = retry_after
            .and_then(|value| value.to_str().ok())
            .and_then(|text| delay_of(text, seconds));
        // The status is the answer; an incomplete body does not change it.
        let mut read = 0;
        while let Ok(Some(bytes)) = answer.chunk().await {
            read += bytes.len();
            if read > ANSWER_MAX {
                break;
            }
        }
        if status.is_success() {
            return Outcome::Delivered(status.as_u16());
        }
        if status == StatusCode::GONE {
            return Outcome::Gone;
        }
        let hint = if status.is_redirection() {
            " Redirects are not followed."
        } else {
            ""
        };
        Outcome::Failed {
            status: Some(status.as_u16()),
            error: format!("The receiver answered {}.{hint}", status.as_u16()),
            retry_after,
        }
    }
}

/// Parses `Retry-After` (RFC 9110): seconds, or a date. `now` in seconds.
fn delay_of(text: &str, now: i64) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let date = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let now = Duration::from_secs(u64::try_from(now).ok()?);
    date.checked_sub(now)
}

/// Describes an error without the URL.
fn describe(error: &reqwest::Error) -> &'static str {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<NotPublic>() {
            return "The name of the receiver does not resolve to a public address.";
        }
        source = cause.source();
    }
    if error.is_timeout() {
        "The receiver did not answer in time."
    } else if error.is_connect() {
        "The receiver could not be reached."
    } else {
        "The connection to the receiver was lost before it answered."
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::super::resolver::Lookup;
    use super::*;

    /// Answers the lookups of any name in turn; the last answer repeats.
    struct StubDns(Mutex<Vec<Vec<SocketAddr>>>);

    impl Dns for StubDns {
        fn lookup(&self, _: &str) -> Lookup {
            let mut answers = self.0.lock().unwrap();
            let answer = if answers.len() > 1 {
                answers.remove(0)
            } else {
                answers[0].clone()
            };
            Box::pin(async move { Ok(answer) })
        }
    }

    fn secret() -> Secret {
        super::super::new_secret().unwrap()
    }

    fn stub(answers: &[&[&str]]) -> Arc<dyn Dns> {
        let parse = |text: &&str| SocketAddr::new(text.parse().unwrap(), 0);
        let answers = answers.iter().map(|list| list.iter().map(parse).collect());
        Arc::new(StubDns(Mutex::new(answers.collect())))
    }

    fn choose_provider() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }

    async fn send(sender: &Sender, url: &str) -> Outcome {
        let message = Message {
            url,
            id: "evt_1",
            body: "{}",
            now_ms: 0,
        };
        sender.send(&message, std::iter::once(&secret())).await
    }

    /// Receiver that counts its connections.
    async fn counting_receiver() -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                drop(connection);
            }
        });
        (address, count)
    }

    #[test]
    fn retry_after_is_parsed_in_both_forms() {
        let seconds = |text| delay_of(text, 784_111_777).map(|delay| delay.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:48:37 GMT"), None);
        for wrong in ["", "-1", "soon", "1.5"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn name_of_an_internal_address_is_refused_before_connecting() {
        choose_provider();
        let (address, connections) = counting_receiver().await;
        for internal in [
            "127.0.0.1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "10.0.0.1",
            "100.64.0.1",
            "fe80::1",
            "fd00::1",
            "::1",
        ] {
            let dns = stub(&[&[internal]]);
            let sender = Sender::with_dns(false, dns, Duration::from_secs(5));
            let url = format!("https://receiver.example:{}/", address.port());
            let outcome = send(&sender, &url).await;
            let (_, error) = outcome.answer();
            assert!(error.contains("public address"), "{internal}: {error}");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 0);
    }

    /// The check and the connection use the same lookup: there is no second one that could answer differently.
    #[tokio::test]
    async fn rebound_name_never_leads_to_an_internal_address() {
        choose_provider();
        let (address, connections) = counting_receiver().await;
        // 240.0.0.1 would be refused; a public address that this machine cannot reach stands for the first answer.
        let dns = stub(&[&["192.175.48.1"], &["127.0.0.1"]]);
        let sender = Sender::with_dns(false, dns, Duration::from_millis(500));
        let url = format!("https://receiver.example:{}/", address.port());
        for _ in 0..3 {
            assert!(matches!(send(&sender, &url).await, Outcome::Failed { .. }));
        }
        assert_eq!(connections.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn internal_addresses_among_public_ones_are_left_out() {
        let dns = stub(&[&["127.0.0.1", "8.8.8.8", "10.0.0.1"]]);
        let name = "receiver.example".parse().unwrap();
        let resolver = PublicResolver(dns);
        let found = reqwest::dns::Resolve::resolve(&resolver, name).await;
        let found: Vec<_> = found
            .ok()
            .unwrap()
            .map(|found| found.ip().to_string())
            .collect();
        assert_eq!(found, ["8.8.8.8"]);
    }

    /// Receiver that sends an answer of this head and then zeros until the connection ends; returns the bytes sent.
    async fn endless_receiver(head: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = connection.read(&mut request).await;
                let _ = connection.write_all(head.as_bytes()).await;
                while connection.write_all(&[0; 16 * 1024]).await.is_ok() {
                    counter.fetch_add(16 * 1024, Ordering::SeqCst);
                }
            }
        });
        (address, sent)
    }

    #[tokio::test]
    async fn answer_of_a_gigabyte_is_cut_off() {
        choose_provider();
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
        let (address, sent) = endless_receiver(head).await;
        let sender = Sender::new(true);
        let outcome = send(&sender, &format!("http://{address}/")).await;
        assert_eq!(outcome, Outcome::Delivered(200));
        // More was sent into the buffers of the sockets, but not the gigabyte.
        assert!(sent.load(Ordering::SeqCst) < 32 * 1024 * 1024);
    }

    #[tokio::test]
    async fn hanging_receiver_fails_after_the_time_limit() {
        choose_provider();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let sender = Sender::with_dns(true, Arc::new(SystemDns), Duration::from_millis(300));
        let outcome = send(&sender, &format!("http://{address}/")).await;
        assert_eq!(
            outcome.answer(),
            (None, "The receiver did not answer in time.")
        );
    }
}
