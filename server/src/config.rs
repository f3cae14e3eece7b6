//! Configuration from environment variables. All wrong values are reported together.

#[cfg(feature = "s3")]
mod s3;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(feature = "s3")]
pub use s3::{S3Key, S3StorageConfig};

const MIB: u64 = 1024 * 1024;

/// Everything that is set before the server starts.
#[derive(Clone)]
pub struct Config {
    /// `SORTIE_VIDEO_RECORDING_ENABLED`: whether the recording routes exist.
    pub recording_enabled: bool,
    /// `SORTIE_RECORDING_STORAGE_BACKEND` and what belongs to it.
    pub storage: StorageConfig,
    /// `SORTIE_RECORDING_MAX_SIZE_MB`, in bytes.
    pub max_size_bytes: u64,
    /// `SORTIE_RECORDING_SILENCE_SECONDS`: a recording whose sender is silent for longer is finished from
    /// what has arrived.
    pub silence: Duration,
    /// `SORTIE_HOST`.
    pub host: IpAddr,
    /// `SORTIE_PORT`; 0 takes any free port.
    pub port: u16,
    /// `SORTIE_DB`.
    pub database: PathBuf,
    /// `SORTIE_ADMIN_USERNAME`.
    pub admin_username: String,
    /// `SORTIE_ADMIN_PASSWORD`; generated when absent.
    pub admin_password: Option<String>,
    /// `SORTIE_JWT_SECRET`; generated and stored when absent.
    pub jwt_secret: Option<String>,
}

/// Where recordings are kept.
#[derive(Clone, Debug)]
pub enum StorageConfig {
    /// `local`: in a folder.
    Local(LocalStorageConfig),
    /// `s3`: in a bucket.
    #[cfg(feature = "s3")]
    S3(S3StorageConfig),
}

impl StorageConfig {
    /// The folder on the local disk where bytes are first: with `local` they stay there.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Local(local) => &local.path,
            #[cfg(feature = "s3")]
            Self::S3(s3) => &s3.staging,
        }
    }
}

/// The `local` storage back end.
#[derive(Clone, Debug)]
pub struct LocalStorageConfig {
    /// `SORTIE_RECORDING_STORAGE_PATH`.
    pub path: PathBuf,
}

/// One wrong value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with it and what is allowed.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.message)
    }
}

/// Reads variables and collects what is wrong with them.
struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    fn wrong(&mut self, variable: &'static str, message: impl Into<String>) {
        self.errors.push(ConfigError {
            variable,
            message: message.into(),
        });
    }

    fn flag(&mut self, name: &'static str, default: bool) -> bool {
        match self
            .text(name)
            .as_deref()
            .map(str::to_ascii_lowercase)
            .as_deref()
        {
            None => default,
            Some("true" | "1" | "yes" | "on") => true,
            Some("false" | "0" | "no" | "off") => false,
            Some(other) => {
                self.wrong(name, format!("{other:?} is neither true nor false"));
                default
            }
        }
    }

    fn number(&mut self, name: &'static str, default: u64, min: u64, max: u64) -> u64 {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.parse::<u64>() {
            Ok(value) if (min..=max).contains(&value) => value,
            _ => {
                self.wrong(
                    name,
                    format!("{text:?} is not a whole number from {min} to {max}"),
                );
                default
            }
        }
    }
}

#[cfg(feature = "s3")]
const BACK_ENDS: &str = "local or s3";
#[cfg(not(feature = "s3"))]
const BACK_ENDS: &str = "local (this program was built without s3)";

impl Config {
    /// Reads the environment.
    pub fn from_env() -> Result<Self, Vec<ConfigError>> {
        Self::read(&|name| std::env::var(name).ok())
    }

    /// Reads variables from anywhere.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<ConfigError>> {
        let mut reader = Reader {
            variable,
            errors: Vec::new(),
        };
        let recording_enabled = reader.flag("SORTIE_VIDEO_RECORDING_ENABLED", false);
        let back_end = reader.text("SORTIE_RECORDING_STORAGE_BACKEND");
        match back_end.as_deref() {
            None | Some("local") => {}
            #[cfg(feature = "s3")]
            Some("s3") => {}
            Some(other) => reader.wrong(
                "SORTIE_RECORDING_STORAGE_BACKEND",
                format!("{other:?} is not available; allowed: {BACK_ENDS}"),
            ),
        }
        match reader.text("SORTIE_DB_TYPE").as_deref() {
            None | Some("sqlite") => {}
            Some(other) => reader.wrong(
                "SORTIE_DB_TYPE",
                format!("{other:?} is not available in this version; allowed: sqlite"),
            ),
        }
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
        let port = reader.number("SORTIE_PORT", 8080, 0, u64::from(u16::MAX));
        let max_size_mb = reader.number("SORTIE_RECORDING_MAX_SIZE_MB", 500, 1, 16_777_216);
        let silence = reader.number("SORTIE_RECORDING_SILENCE_SECONDS", 600, 5, 31_536_000);
        let path = reader
            .text("SORTIE_RECORDING_STORAGE_PATH")
            .unwrap_or_else(|| "/data/recordings".to_owned());
        let database = reader
            .text("SORTIE_DB")
            .unwrap_or_else(|| "sortie.db".to_owned());
        let database = PathBuf::from(database);
        let storage = match back_end.as_deref() {
            #[cfg(feature = "s3")]
            Some("s3") => StorageConfig::S3(S3StorageConfig::read(
                &mut reader,
                &database,
                max_size_mb * MIB,
            )),
            _ => StorageConfig::Local(LocalStorageConfig { path: path.into() }),
        };
        if !reader.errors.is_empty() {
            return Err(reader.errors);
        }
        Ok(Self {
            recording_enabled,
            storage,
            max_size_bytes: max_size_mb * MIB,
            silence: Duration::from_secs(silence),
            host,
            port: u16::try_from(port).unwrap_or(8080),
            database,
            admin_username,
            admin_password,
            jwt_secret,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn read(variables: &[(&str, &str)]) -> Result<Config, Vec<ConfigError>> {
        Config::read(&|name| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_set_gives_the_documented_defaults() {
        let config = read(&[]).unwrap_or_else(|errors| panic!("{errors:?}"));
        assert!(!config.recording_enabled);
        assert!(
            matches!(&config.storage, StorageConfig::Local(local) if local.path == Path::new("/data/recordings"))
        );
        assert_eq!(config.max_size_bytes, 500 * 1024 * 1024);
        assert_eq!(
            (config.host.to_string().as_str(), config.port),
            ("0.0.0.0", 8080)
        );
        assert_eq!(config.database, PathBuf::from("sortie.db"));
        assert_eq!(config.admin_username, "admin");
    }

    #[test]
    fn every_wrong_value_is_reported_at_once() {
        let errors = read(&[
            ("SORTIE_VIDEO_RECORDING_ENABLED", "maybe"),
            ("SORTIE_PORT", "70000"),
            ("SORTIE_HOST", "localhost"),
            ("SORTIE_RECORDING_MAX_SIZE_MB", "-1"),
            ("SORTIE_RECORDING_STORAGE_BACKEND", "tape"),
            ("SORTIE_DB_TYPE", "oracle"),
            ("SORTIE_JWT_SECRET", "short"),
            ("SORTIE_ADMIN_PASSWORD", "short"),
        ])
        .err()
        .unwrap_or_default();
        let variables: Vec<_> = errors.iter().map(|error| error.variable).collect();
        assert_eq!(
            variables,
            [
                "SORTIE_VIDEO_RECORDING_ENABLED",
                "SORTIE_RECORDING_STORAGE_BACKEND",
                "SORTIE_DB_TYPE",
                "SORTIE_HOST",
                "SORTIE_ADMIN_PASSWORD",
                "SORTIE_JWT_SECRET",
                "SORTIE_PORT",
                "SORTIE_RECORDING_MAX_SIZE_MB",
            ]
        );
        assert_eq!(
            errors[6].to_string(),
            "SORTIE_PORT: \"70000\" is not a whole number from 0 to 65535"
        );
    }
}
