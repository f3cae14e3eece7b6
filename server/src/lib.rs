//! The Sortie Recording server: ingest, storage, catalog, accounts and pages behind one HTTP listener.
//!
//! [`Server::open`] builds everything from a [`Config`] and a [`Clock`]; [`Server::serve`] answers until it
//! is told to stop. The binary is a thin shell around the two, and so are the tests.

mod accounts;
mod appliance;
mod assets;
mod catalog;
mod clock;
mod config;
mod connections;
mod events;
mod http;
mod ingest;
mod left_out;
mod metrics;
mod policy;
#[cfg(all(test, any(feature = "postgres", feature = "s3")))]
#[path = "../tests/support/ports.rs"]
mod ports;
mod private_files;
mod server;
mod storage;
mod sweep;
#[cfg(feature = "otel")]
mod telemetry;
#[cfg(all(test, feature = "postgres"))]
#[path = "../tests/support/postgres.rs"]
mod test_postgres;
#[cfg(any(feature = "otel", feature = "s3", feature = "sso"))]
mod tls;

pub use accounts::FirstAdmin;
pub use appliance::{Appliance, Captured, Removal, Shelf, ShelfError};
pub use catalog::{Copied, CopyError, copy_database};
pub use clock::{Clock, ManualClock, SystemClock};
#[cfg(feature = "sso")]
pub use config::OidcConfig;
#[cfg(feature = "postgres")]
pub use config::PostgresConfig;
#[cfg(feature = "s3")]
pub use config::{
    AzureStorageConfig, CommonStorageConfig, GcsStorageConfig, S3Key, S3StorageConfig,
};
pub use config::{
    Config, ConfigError, DatabaseConfig, ForwardedHeaders, JwtConfig, JwtKeys, LocalStorageConfig,
    Network, ProtectedQuota, PublicUrl, Secret, Settings, SignInConfig, StorageConfig,
    TelemetryConfig, VARIABLES, Variable, variables_help,
};
pub use private_files::keep_files_private;
pub use server::{OpenError, Server, verify_audit};
pub use sweep::{
    Sweep, SweepError, SweepFinding, SweepKind, SweepOptions, SweepOutcome, SweepReport, SweepTally,
};
#[cfg(feature = "otel")]
pub use telemetry::{Telemetry, TelemetryError};
