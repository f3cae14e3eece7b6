//! The Sortie Recording server: uploads, storage, database, accounts and pages behind one HTTP listener.
//!
//! [`Server::open`] builds a server from a [`Config`] and a [`Clock`]; [`Server::serve`] answers requests until it is
//! told to stop. The binary and the tests call these two.

mod accounts;
mod app;
mod appliance;
mod appliance_control;
mod assets;
mod backends;
mod change_feed;
mod clock;
mod config;
mod db;
mod descriptors;
mod digest;
mod eraser;
mod gc;
mod http;
mod labels;
mod left_out;
mod live_picture;
mod metrics;
mod net;
mod picture;
#[cfg(all(test, any(feature = "postgres", feature = "s3")))]
#[path = "../tests/support/ports.rs"]
mod ports;
mod private_files;
mod required_recordings;
mod retention;
mod run_to_completion;
mod server;
mod storage;
mod tags;
#[cfg(feature = "otel")]
mod telemetry;
#[cfg(all(test, feature = "postgres"))]
#[path = "../tests/support/postgres.rs"]
mod test_postgres;
mod uploads;
#[cfg(feature = "webhooks")]
mod webhooks;

pub use accounts::FirstAdmin;
pub use appliance::{
    Appliance, CapturedFile, CapturedPicture, GrowingRecording, ImportError, Importer,
    Measurements, Removal, SignalHistory,
};
pub use appliance_control::{ApplianceControl, ControlError};
pub use backends::{OpenError, verify_audit};
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
    Config, ConfigError, ConfigReader, DatabaseConfig, ForwardedHeaders, JwtConfig, JwtKeys,
    LocalStorageConfig, Network, ProtectedQuota, PublicUrl, Secret, Settings, SignInConfig,
    StorageConfig, TelemetryConfig, TomlValue, VARIABLES, Variable, read_toml, variables_help,
};
pub use db::ImportedFile;
pub use db::{Copied, CopyError, copy_database};
pub use gc::{
    Sweep, SweepError, SweepFinding, SweepKind, SweepOptions, SweepOutcome, SweepReport, SweepTally,
};
pub use live_picture::{LivePicture, NoPicture};
pub use net::Tls;
pub use picture::interval_ms as picture_interval_ms;
pub use private_files::keep_files_private;
pub use server::Server;
pub use storage::{open_regular, open_regular_with, remove_snapshot};
#[cfg(feature = "otel")]
pub use telemetry::{Telemetry, TelemetryError};
