//! Configuration. [`Settings`] collects values from the environment and a file; [`Config::read`] parses them and
//! reports all errors together.
//!
//! A new variable is a line in `config/variables.rs`, a field of [`Config`] and a line in [`Config::read`].

mod database;
mod forwarded;
mod network;
mod origins;
#[cfg(feature = "postgres")]
mod postgres;
mod reader;
#[cfg(feature = "s3")]
mod s3;
mod secret;
mod settings;
mod sign_in;
#[cfg(feature = "s3")]
mod stores;
mod telemetry;
mod variables;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use reader::Reader;

pub use database::DatabaseConfig;
pub use forwarded::{ForwardedHeaders, PublicUrl};
pub use network::Network;
#[cfg(feature = "postgres")]
pub use postgres::PostgresConfig;
pub use reader::{Reader as ConfigReader, TomlValue, read_toml};
#[cfg(feature = "s3")]
pub use s3::{S3Key, S3StorageConfig};
pub use secret::Secret;
pub use settings::Settings;
#[cfg(feature = "sso")]
pub use sign_in::OidcConfig;
pub use sign_in::{JwtConfig, JwtKeys, SignInConfig};
#[cfg(feature = "s3")]
pub use stores::{AzureStorageConfig, CommonStorageConfig, GcsStorageConfig};
pub use telemetry::TelemetryConfig;
pub use variables::{VARIABLES, Variable, help as variables_help};

const MIB: u64 = 1024 * 1024;
/// Default log filter. The libraries' own messages about retries are left out.
const LOG: &str = "info,sqlx=warn,object_store=warn,aws_config=warn";

/// Largest quota, in MiB: 1 EiB.
const QUOTA_MB_MAX: u64 = 1 << 40;

/// Limit of the bytes that one user may protect from automatic deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectedQuota {
    /// No limit of protected bytes.
    Off,
    /// A quarter of the disk, if there is a threshold of disk usage.
    ShareOfDisk,
    /// This many bytes.
    Bytes(u64),
}

/// Configuration of a server, fixed at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// `SORTIE_VIDEO_RECORDING_ENABLED`: whether the recording routes exist.
    pub recording_enabled: bool,
    /// `SORTIE_RECORDING_STORAGE_BACKEND` and its variables.
    pub storage: StorageConfig,
    /// `SORTIE_RECORDING_MAX_SIZE_MB`, in bytes.
    pub max_size_bytes: u64,
    /// `SORTIE_RECORDING_SILENCE_SECONDS`: silence of a sender after which its recording is finished.
    pub silence: Duration,
    /// `SORTIE_RECORDING_MISSING_SECONDS`: time without live bytes after which a required recording is missing.
    pub recording_missing: Duration,
    /// `SORTIE_UPLOADS_PER_USER`: open uploads of one user, including complete partial uploads that are not joined yet.
    /// At least 1.
    pub uploads_per_user: u32,
    /// `SORTIE_QUOTA_MB_PER_USER`: limit of the bytes of one user's recordings; `None`: no quota.
    pub quota_bytes: Option<u64>,
    /// `SORTIE_QUOTA_PROTECTED_MB_PER_USER`: limit of the bytes that one user may protect from automatic deletion.
    pub protected_quota: ProtectedQuota,
    /// `SORTIE_INDEX_MEMORY_MB`, in bytes: memory for the indexes of all growing recordings.
    pub index_memory_bytes: u64,
    /// `SORTIE_RECORDING_RETENTION_DAYS`: age in days at which `ready` recordings are deleted; 0: never.
    pub retention_days: u32,
    /// `SORTIE_TRASH_DAYS`: days that deleted recordings stay in the trash; 0: there is no trash.
    pub trash_days: u32,
    /// `SORTIE_RECORDING_DISK_HIGH_PERCENT` and `SORTIE_RECORDING_DISK_LOW_PERCENT`: above the first usage the oldest
    /// recordings are deleted until the second is reached.
    pub disk_marks: Option<(u8, u8)>,
    /// `SORTIE_HOST`.
    pub host: IpAddr,
    /// `SORTIE_PORT`; 0: any free port.
    pub port: u16,
    /// `SORTIE_DB_TYPE` and its variables.
    pub database: DatabaseConfig,
    /// `SORTIE_ADMIN_USERNAME`.
    pub admin_username: String,
    /// `SORTIE_ADMIN_PASSWORD`; generated when absent.
    pub admin_password: Option<Secret>,
    /// `SORTIE_JWT_SECRET`; generated and stored when absent.
    pub jwt_secret: Option<Secret>,
    /// `SORTIE_SIGN_IN_LIFETIME_DAYS`: absolute lifetime of a sign-in.
    pub sign_in_lifetime: Duration,
    /// `SORTIE_SIGN_IN_IDLE_DAYS`: lifetime of an unused sign-in; at most the absolute one.
    pub sign_in_idle: Duration,
    /// `SORTIE_MAX_CONNECTIONS`: maximum of concurrent connections; further ones wait.
    pub max_connections: usize,
    /// `SORTIE_MAX_CONNECTIONS_PER_ADDRESS`: maximum of concurrent connections from one address that is no trusted
    /// proxy.
    pub max_connections_per_address: usize,
    /// `SORTIE_PUBLIC_URL`: address of the server in browsers.
    pub public_url: Option<PublicUrl>,
    /// `SORTIE_FORWARDED_HEADERS`: the headers in which trusted proxies describe the client.
    pub forwarded_headers: ForwardedHeaders,
    /// `SORTIE_HEADER_SECONDS`: time limit for a request's head, and between two requests.
    pub head_time: Duration,
    /// `SORTIE_BODY_SILENCE_SECONDS`: time limit for the next bytes of a body.
    pub body_silence: Duration,
    /// `SORTIE_CORS_ORIGINS`: sites whose pages may call the API with a token.
    pub cors_origins: Vec<String>,
    /// `SORTIE_FRAME_ANCESTORS`: sites that may frame the pages.
    pub frame_ancestors: Vec<String>,
    /// `SORTIE_HSTS_SECONDS`: `max-age` of HSTS; zero: off.
    pub hsts: Duration,
    /// `SORTIE_WEBHOOK_ALLOW_PRIVATE`: whether webhooks may use plain HTTP and addresses that are not public.
    pub webhook_allow_private: bool,
    /// `SORTIE_SHARING_ENABLED`: whether users may create share links, and existing ones work.
    pub sharing_enabled: bool,
    /// `SORTIE_REPLICA_ADDRESS`: URL at which other servers of the installation reach this one; empty: none.
    pub replica_url: String,
    /// `SORTIE_METRICS_PUBLIC`: whether the metrics are public.
    pub metrics_public: bool,
    /// `SORTIE_LOG`: log filter.
    pub log: String,
    /// Other sign-in methods than passwords.
    pub sign_in: SignInConfig,
    /// Export of traces, if configured.
    pub telemetry: Option<TelemetryConfig>,
}

/// Storage back end with its configuration.
#[derive(Clone, Debug)]
pub enum StorageConfig {
    /// `local`: a folder.
    Local(LocalStorageConfig),
    /// `s3`: a bucket.
    #[cfg(feature = "s3")]
    S3(S3StorageConfig),
    /// `azure`: a container.
    #[cfg(feature = "s3")]
    Azure(AzureStorageConfig),
    /// `gcs`: a Google Cloud Storage bucket.
    #[cfg(feature = "s3")]
    Gcs(GcsStorageConfig),
}

impl StorageConfig {
    /// Returns the configuration of the `local` back end, if that is used.
    pub(crate) fn local(&self) -> Option<&LocalStorageConfig> {
        match self {
            Self::Local(local) => Some(local),
            #[cfg(feature = "s3")]
            _ => None,
        }
    }

    /// Local folder that receives data: the storage folder with `local`, else the staging folder.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Local(local) => &local.path,
            #[cfg(feature = "s3")]
            Self::S3(s3) => &s3.common.staging,
            #[cfg(feature = "s3")]
            Self::Azure(azure) => &azure.common.staging,
            #[cfg(feature = "s3")]
            Self::Gcs(gcs) => &gcs.common.staging,
        }
    }

    /// Final location of recordings, for users: the folder, or the bucket and its prefix.
    pub fn place(&self) -> String {
        match self {
            Self::Local(local) => local.path.display().to_string(),
            #[cfg(feature = "s3")]
            Self::S3(s3) => format!("{}/{}", s3.bucket, s3.common.prefix),
            #[cfg(feature = "s3")]
            Self::Azure(azure) => format!(
                "{}/{}/{}",
                azure.account, azure.container, azure.common.prefix
            ),
            #[cfg(feature = "s3")]
            Self::Gcs(gcs) => format!("gs://{}/{}", gcs.bucket, gcs.common.prefix),
        }
    }
}

/// The `local` storage back end.
#[derive(Clone, Debug)]
pub struct LocalStorageConfig {
    /// `SORTIE_RECORDING_STORAGE_PATH`.
    pub path: PathBuf,
}

/// Error in the value of one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Name of the variable.
    pub variable: &'static str,
    /// Error, with the allowed values.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.message)
    }
}

#[cfg(feature = "s3")]
const BACK_ENDS: &str = "local or s3, also azure or gcs";
#[cfg(not(feature = "s3"))]
const BACK_ENDS: &str = "local (this program was built without object stores)";

impl Config {
    /// Reads variables from any source; [`Settings::config`] uses the sources of a server.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<ConfigError>> {
        let mut reader = Reader::new(variable);
        let recording_enabled = reader.flag("SORTIE_VIDEO_RECORDING_ENABLED", false);
        let back_end = reader.text("SORTIE_RECORDING_STORAGE_BACKEND");
        match back_end.as_deref() {
            None | Some("local") => {}
            #[cfg(feature = "s3")]
            Some("s3" | "azure" | "gcs") => {}
            Some(other) => reader.wrong(
                "SORTIE_RECORDING_STORAGE_BACKEND",
                format!("{other:?} is not available; allowed: {BACK_ENDS}"),
            ),
        }
        let database_file = PathBuf::from(
            reader
                .text("SORTIE_DB")
                .unwrap_or_else(|| "sortie.db".to_owned()),
        );
        let database = DatabaseConfig::read(&mut reader, database_file.clone());
        let host = reader
            .text("SORTIE_HOST")
            .unwrap_or_else(|| "0.0.0.0".to_owned());
        let host = host.parse().unwrap_or_else(|_| {
            reader.wrong(
                "SORTIE_HOST",
                format!("{host:?} is not an IP address; for example 127.0.0.1 (this machine only) or 0.0.0.0"),
            );
            IpAddr::from([127, 0, 0, 1])
        });
        let admin_username = reader
            .text("SORTIE_ADMIN_USERNAME")
            .unwrap_or_else(|| "admin".to_owned());
        if admin_username.trim() != admin_username
            || admin_username.chars().count() > 64
            || admin_username.chars().any(char::is_control)
        {
            reader.wrong(
                "SORTIE_ADMIN_USERNAME",
                "must have 1 to 64 characters, no control characters and no white space around it",
            );
        }
        let admin_password = reader.text("SORTIE_ADMIN_PASSWORD");
        if admin_password
            .as_ref()
            .is_some_and(|text| !(8..=256).contains(&text.chars().count()))
        {
            reader.wrong("SORTIE_ADMIN_PASSWORD", "must have 8 to 256 characters");
        }
        let jwt_secret = reader.text("SORTIE_JWT_SECRET");
        if jwt_secret.as_ref().is_some_and(|secret| secret.len() < 32) {
            reader.wrong(
                "SORTIE_JWT_SECRET",
                "must have at least 32 bytes; `openssl rand -hex 32` makes a good one",
            );
        }
        let (sign_in_lifetime, sign_in_idle) = sign_in_lifetimes(&mut reader);
        let sign_in = SignInConfig::read(&mut reader, jwt_secret.as_deref());
        let port = reader.number("SORTIE_PORT", 8080, 0, u64::from(u16::MAX));
        let max_size_mb = reader.number("SORTIE_RECORDING_MAX_SIZE_MB", 500, 1, 16_777_216);
        let silence = reader.number("SORTIE_RECORDING_SILENCE_SECONDS", 600, 5, 31_536_000);
        let recording_missing = reader.number("SORTIE_RECORDING_MISSING_SECONDS", 30, 20, 86_400);
        let uploads = reader.number("SORTIE_UPLOADS_PER_USER", 32, 1, 1_000_000);
        let quota_mb = reader.number("SORTIE_QUOTA_MB_PER_USER", 0, 0, QUOTA_MB_MAX);
        let protected_quota_mb = reader
            .text("SORTIE_QUOTA_PROTECTED_MB_PER_USER")
            .is_some()
            .then(|| reader.number("SORTIE_QUOTA_PROTECTED_MB_PER_USER", 0, 0, QUOTA_MB_MAX));
        let index_memory_mb = reader.number("SORTIE_INDEX_MEMORY_MB", 64, 1, 65_536);
        let retention_days = reader.number("SORTIE_RECORDING_RETENTION_DAYS", 0, 0, 36_500);
        let trash_days = reader.number("SORTIE_TRASH_DAYS", 0, 0, 3_650);
        let disk_marks = disk_marks(&mut reader, back_end.as_deref());
        let path = reader
            .text("SORTIE_RECORDING_STORAGE_PATH")
            .unwrap_or_else(|| "/data/recordings".to_owned());
        let storage = match back_end.as_deref() {
            #[cfg(feature = "s3")]
            Some("s3") => StorageConfig::S3(S3StorageConfig::read(
                &mut reader,
                &database_file,
                max_size_mb * MIB,
            )),
            #[cfg(feature = "s3")]
            Some("azure") => StorageConfig::Azure(AzureStorageConfig::read(
                &mut reader,
                &database_file,
                max_size_mb * MIB,
            )),
            #[cfg(feature = "s3")]
            Some("gcs") => StorageConfig::Gcs(GcsStorageConfig::read(
                &mut reader,
                &database_file,
                max_size_mb * MIB,
            )),
            _ => StorageConfig::Local(LocalStorageConfig { path: path.into() }),
        };
        let max_connections = reader.number("SORTIE_MAX_CONNECTIONS", 4096, 1, 1_000_000);
        let max_per_address =
            reader.number("SORTIE_MAX_CONNECTIONS_PER_ADDRESS", 1024, 1, 1_000_000);
        let public_url = PublicUrl::read(&mut reader);
        let forwarded_headers = ForwardedHeaders::read(&mut reader);
        let head_time = reader.number("SORTIE_HEADER_SECONDS", 75, 1, 600);
        let body_silence = reader.number("SORTIE_BODY_SILENCE_SECONDS", 120, 1, 120);
        let cors_origins = origins::read(&mut reader, "SORTIE_CORS_ORIGINS");
        let frame_ancestors = origins::read(&mut reader, "SORTIE_FRAME_ANCESTORS");
        let hsts = reader.number("SORTIE_HSTS_SECONDS", 31_536_000, 0, 63_072_000);
        let webhook_allow_private = reader.flag("SORTIE_WEBHOOK_ALLOW_PRIVATE", false);
        let sharing_enabled = reader.flag("SORTIE_SHARING_ENABLED", true);
        let replica_url =
            forwarded::read_replica_url(&mut reader, u16::try_from(port).unwrap_or_default());
        let metrics_public = reader.flag("SORTIE_METRICS_PUBLIC", false);
        let log = reader.text("SORTIE_LOG").unwrap_or_else(|| LOG.to_owned());
        if let Err(error) = EnvFilter::try_new(&log) {
            reader.wrong("SORTIE_LOG", format!("{log:?} is no filter: {error}"));
        }
        let telemetry = TelemetryConfig::read(&mut reader);
        if !reader.errors.is_empty() {
            return Err(reader.errors);
        }
        Ok(Self {
            recording_enabled,
            storage,
            max_size_bytes: max_size_mb * MIB,
            silence: Duration::from_secs(silence),
            recording_missing: Duration::from_secs(recording_missing),
            uploads_per_user: u32::try_from(uploads).unwrap_or(32),
            quota_bytes: (quota_mb > 0).then(|| quota_mb.saturating_mul(MIB)),
            protected_quota: match protected_quota_mb {
                None => ProtectedQuota::ShareOfDisk,
                Some(0) => ProtectedQuota::Off,
                Some(mb) => ProtectedQuota::Bytes(mb.saturating_mul(MIB)),
            },
            index_memory_bytes: index_memory_mb * MIB,
            retention_days: u32::try_from(retention_days).unwrap_or_default(),
            trash_days: u32::try_from(trash_days).unwrap_or_default(),
            disk_marks,
            host,
            port: u16::try_from(port).unwrap_or(8080),
            database,
            admin_username,
            admin_password: admin_password.map(Secret::from),
            jwt_secret: jwt_secret.map(Secret::from),
            sign_in_lifetime,
            sign_in_idle,
            max_connections: usize::try_from(max_connections).unwrap_or(usize::MAX),
            max_connections_per_address: usize::try_from(max_per_address).unwrap_or(usize::MAX),
            public_url,
            forwarded_headers,
            head_time: Duration::from_secs(head_time),
            body_silence: Duration::from_secs(body_silence),
            cors_origins,
            frame_ancestors,
            hsts: Duration::from_secs(hsts),
            webhook_allow_private,
            sharing_enabled,
            replica_url,
            metrics_public,
            log,
            sign_in,
            telemetry,
        })
    }
}

impl Config {
    /// Returns the path of this server's `path` in browsers.
    pub(crate) fn public_path(&self, path: &str) -> String {
        let prefix = self.public_url.as_ref().map_or("", |url| &url.prefix);
        format!("{prefix}{path}")
    }
}

/// Returns the absolute and the idle lifetime of sign-ins.
fn sign_in_lifetimes(reader: &mut Reader<'_>) -> (Duration, Duration) {
    const LIFETIME: &str = "SORTIE_SIGN_IN_LIFETIME_DAYS";
    const IDLE: &str = "SORTIE_SIGN_IN_IDLE_DAYS";
    let lifetime = reader.number(LIFETIME, 30, 1, 3650);
    let idle = reader.number(IDLE, lifetime.min(7), 1, 3650);
    if idle > lifetime {
        reader.wrong(
            IDLE,
            format!("{idle} is more than {LIFETIME}, which is {lifetime}"),
        );
    }
    let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
    (days(lifetime), days(idle))
}

/// Returns the high and the low disk threshold, if configured.
fn disk_marks(reader: &mut Reader<'_>, back_end: Option<&str>) -> Option<(u8, u8)> {
    const HIGH: &str = "SORTIE_RECORDING_DISK_HIGH_PERCENT";
    const LOW: &str = "SORTIE_RECORDING_DISK_LOW_PERCENT";
    let low_is_set = reader.text(LOW).is_some();
    if reader.text(HIGH).is_none() {
        if low_is_set {
            reader.wrong(LOW, format!("has no effect without {HIGH}"));
        }
        return None;
    }
    if matches!(back_end, Some("s3" | "azure" | "gcs")) {
        reader.wrong(
            HIGH,
            "is for the storage local: a bucket has no disk of this machine",
        );
        return None;
    }
    let high = reader.number(HIGH, 80, 1, 99);
    let low = reader.number(LOW, high.saturating_sub(5), 0, 98);
    if low >= high {
        reader.wrong(LOW, format!("{low} is not below {HIGH}, which is {high}"));
    }
    Some((u8::try_from(high).ok()?, u8::try_from(low).ok()?))
}

#[cfg(test)]
mod tests;
