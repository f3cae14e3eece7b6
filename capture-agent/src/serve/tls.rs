//! Certificate of the appliance's pages: given in files, or self-signed.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sortie_server::Tls;
use tokio::signal::unix::{SignalKind, signal};

/// Lifetime of a self-signed certificate: Apple's systems accept at most 825 days.
const LIFE_MS: i64 = 800 * DAY_MS;
/// Remaining lifetime at which it is renewed.
const RENEW_MS: i64 = 30 * DAY_MS;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Line of a self-signed certificate's file with the end of its lifetime, Unix time in ms.
const EXPIRY: &str = "# expires_ms ";
/// Interval at which files are checked for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Origin of the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// PEM files with the certificate chain and its key.
    Files { certificate: PathBuf, key: PathBuf },
    /// PEM file with certificate and key, which the agent creates and renews.
    SelfSigned { file: PathBuf },
}

/// Description of the certificate, for the command `certificate`.
#[derive(Debug, Serialize)]
pub struct Description {
    /// File with the certificate.
    pub file: PathBuf,
    pub self_signed: bool,
    /// SHA-256 of the certificate, as browsers show it.
    pub sha256: String,
}

/// Modification times of the files, or `None` for a missing one.
pub(super) type Stamp = [Option<SystemTime>; 2];

/// Certificate and key that were read.
pub(super) struct Loaded {
    pub(super) config: ServerConfig,
    pub(super) description: Description,
    /// Taken before the read, so that a later change is noticed.
    pub(super) stamp: Stamp,
}

impl CertificateSource {
    /// Reads certificate and key. Creates or renews a self-signed certificate.
    ///
    /// # Errors
    ///
    /// A file cannot be read or written, or its content is invalid.
    pub(super) fn load(&self) -> anyhow::Result<Loaded> {
        if let Self::SelfSigned { file } = self {
            renew(file)?;
        }
        let stamp = self.stamp();
        let (description, chain) = self.read_chain()?;
        let (certificate, key) = self.files();
        let named = |path: &Path| path.display().to_string();
        let key = PrivateKeyDer::from_pem_file(key).with_context(|| named(key))?;
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .with_context(|| format!("{}: certificate or key is not usable", named(certificate)));
        let mut config = config?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Loaded {
            config,
            description,
            stamp,
        })
    }

    /// Describes the certificate, without its key and without creating one.
    ///
    /// # Errors
    ///
    /// The certificate cannot be read.
    pub fn describe(&self) -> anyhow::Result<Description> {
        self.read_chain().map(|(description, _)| description)
    }

    fn read_chain(&self) -> anyhow::Result<(Description, Vec<CertificateDer<'static>>)> {
        let (file, _) = self.files();
        let chain = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| file.display().to_string())?;
        let first = chain.first();
        let first =
            first.with_context(|| format!("{}: there is no certificate in it", file.display()))?;
        let description = Description {
            file: file.to_owned(),
            self_signed: matches!(self, Self::SelfSigned { .. }),
            sha256: fingerprint(first),
        };
        Ok((description, chain))
    }

    fn files(&self) -> (&Path, &Path) {
        match self {
            Self::Files { certificate, key } => (certificate, key),
            Self::SelfSigned { file } => (file, file),
        }
    }

    fn stamp(&self) -> Stamp {
        let (certificate, key) = self.files();
        [certificate, key].map(|path| std::fs::metadata(path).ok()?.modified().ok())
    }

    /// Replaces the certificate when its files change, at SIGHUP, and before a self-signed one expires.
    pub(super) async fn watch(self, mut seen: Stamp, tls: Tls) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                tracing::error!("the certificate is not renewed: {error}");
                return;
            }
        };
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                () = tokio::time::sleep(CHECK_INTERVAL) => false,
            };
            let is_due = matches!(&self, Self::SelfSigned { file } if is_due(file));
            let stamp = self.stamp();
            if !asked && !is_due && stamp == seen {
                continue;
            }
            match self.load() {
                Ok(loaded) => {
                    tls.replace(loaded.config);
                    let sha256 = loaded.description.sha256;
                    tracing::info!(sha256, "certificate replaced");
                    seen = loaded.stamp;
                }
                Err(error) => {
                    tracing::error!("the earlier certificate stays in use: {error:#}");
                    seen = stamp;
                }
            }
        }
    }
}

/// Returns the SHA-256 of a certificate in the form `AB:CD:…`.
fn fingerprint(certificate: &[u8]) -> String {
    let bytes = Sha256::digest(certificate);
    let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

/// Whether a self-signed certificate is missing or expires soon.
fn is_due(file: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else {
        return true;
    };
    let expiry = text.lines().find_map(|line| line.strip_prefix(EXPIRY));
    let expiry = expiry.and_then(|ms| ms.trim().parse::<i64>().ok());
    expiry.is_none_or(|ms| ms.saturating_sub(now_ms()) < RENEW_MS)
}

/// Writes a new self-signed certificate if the file has none or it expires soon.
fn renew(file: &Path) -> anyhow::Result<()> {
    if !is_due(file) {
        return Ok(());
    }
    let expires_ms = now_ms().saturating_add(LIFE_MS);
    let expires = jiff::Timestamp::from_millisecond(expires_ms)?;
    let expires = expires.to_zoned(jiff::tz::TimeZone::UTC).date();
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    let mut params = CertificateParams::new(names(&host))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(
        DnType::CommonName,
        format!("Sortie capture agent on {host}"),
    );
    // A clock that is behind must not make the certificate invalid.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(
        expires.year().into(),
        expires.month().unsigned_abs(),
        expires.day().unsigned_abs(),
    );
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let text = format!(
        "{EXPIRY}{expires_ms}\n{}{}",
        certificate.pem(),
        key.serialize_pem()
    );
    replace_private(file, &text).with_context(|| file.display().to_string())
}

/// Replaces a file that only its owner may read, durably.
fn replace_private(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    // It may be left from an interrupted attempt, with other permissions.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    let mut written = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    std::fs::rename(&new, file)
}

/// Names and addresses of this machine.
fn names(host: &str) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    // A certificate can only have DNS names.
    let is_name = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if is_name && !host.is_empty() && host != "localhost" {
        names.push(host.to_owned());
        if !host.contains('.') {
            names.push(format!("{host}.local"));
        }
    }
    let mut addresses = vec![
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    // Addresses for documentation: a UDP socket sends nothing when it connects.
    for (from, to) in [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")] {
        addresses.extend(outgoing_address(from, to));
    }
    names.extend(addresses.iter().map(ToString::to_string));
    names
}

/// Returns the address from which this machine reaches another one.
fn outgoing_address(from: &str, to: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    let address = socket.local_addr().map(|address: SocketAddr| address.ip());
    address.ok().filter(|address| !address.is_loopback())
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn certificate_is_kept_and_renewed_before_it_expires() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.tls.pem");
        let source = CertificateSource::SelfSigned { file: file.clone() };
        assert!(source.describe().is_err(), "created without a start");
        let first = source.load().unwrap().description;
        assert!(first.self_signed);
        assert_eq!(source.load().unwrap().description.sha256, first.sha256);
        assert_eq!(source.describe().unwrap().sha256, first.sha256);

        let text = std::fs::read_to_string(&file).unwrap();
        let (_, pem) = text.split_once('\n').unwrap();
        let soon = now_ms() + RENEW_MS - DAY_MS;
        std::fs::write(&file, format!("{EXPIRY}{soon}\n{pem}")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_ne!(source.load().unwrap().description.sha256, first.sha256);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn names_contain_only_what_a_certificate_can_have() {
        let named = names("pikvm");
        assert!(named.contains(&"pikvm.local".to_owned()), "{named:?}");
        let named = names("a host");
        assert!(!named.contains(&"a host".to_owned()), "{named:?}");
        assert!(CertificateParams::new(named).is_ok());
    }
}
