//! Opens the configured database and storage.

use std::net::SocketAddr;
use std::sync::Arc;

use sortie_api::AuditVerification;

use crate::clock::Clock;
use crate::config::{Config, DatabaseConfig, StorageConfig};
use crate::db::{Database, DatabaseError};
#[cfg(feature = "s3")]
use crate::storage::{BucketLocation, BucketStorage};
use crate::storage::{LocalStorage, Storage, StorageError};

/// Errors of [`crate::Server::open`], each with the variable to check.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be used.
    #[error("{variable}: cannot use the database {database}")]
    Database {
        /// Environment variable to check.
        variable: &'static str,
        /// File or address of the database.
        database: String,
        /// Cause of the failure.
        #[source]
        source: anyhow::Error,
    },
    /// The local storage cannot be written.
    #[error("SORTIE_RECORDING_STORAGE_PATH: cannot write to the folder {path}")]
    Storage {
        /// Folder of `SORTIE_RECORDING_STORAGE_PATH`.
        path: String,
        /// Cause of the failure.
        #[source]
        source: anyhow::Error,
    },
    /// The bucket or its staging folder cannot be used.
    #[error(
        "SORTIE_RECORDING_STORAGE_BACKEND={back_end}: cannot use the bucket {bucket} with the staging folder {staging}"
    )]
    Bucket {
        /// `s3`, `azure` or `gcs`.
        back_end: &'static str,
        /// Name of the bucket.
        bucket: String,
        /// `SORTIE_RECORDING_STAGING_PATH`.
        staging: String,
        /// Cause of the failure.
        #[source]
        source: anyhow::Error,
    },
    /// The server cannot listen.
    #[error("SORTIE_HOST and SORTIE_PORT: cannot listen on {address}")]
    Listen {
        /// Configured address and port.
        address: SocketAddr,
        /// Cause of the failure.
        #[source]
        source: std::io::Error,
    },
    /// The accounts cannot be set up.
    #[error("cannot set up the accounts")]
    Accounts(#[source] anyhow::Error),
}

/// Verifies the audit log's hash chain without starting a server. A server may be running on the same database.
///
/// # Errors
/// The database does not exist or cannot be read.
pub async fn verify_audit(config: &Config) -> Result<AuditVerification, OpenError> {
    let failed = |source: anyhow::Error| OpenError::Database {
        variable: config.database.variable(),
        database: config.database.to_string(),
        source,
    };
    #[cfg_attr(
        not(feature = "postgres"),
        expect(irrefutable_let_patterns, reason = "only variant")
    )]
    if let DatabaseConfig::Sqlite { file } = &config.database {
        // Opening would create the file.
        std::fs::metadata(file).map_err(|error| failed(error.into()))?;
    }
    let database = Database::open(&config.database)
        .await
        .map_err(|error| failed(error.into()))?;
    let verified = database.audit().verify().await;
    database.close().await;
    verified.map_err(|error| failed(error.into()))
}

pub(crate) fn database_failed(config: &Config, source: DatabaseError) -> OpenError {
    OpenError::Database {
        variable: config.database.variable(),
        database: config.database.to_string(),
        source: source.into(),
    }
}

pub(crate) fn storage_failed(config: &Config, source: StorageError) -> OpenError {
    match &config.storage {
        StorageConfig::Local(local) => OpenError::Storage {
            path: local.path.display().to_string(),
            source: source.into(),
        },
        #[cfg(feature = "s3")]
        StorageConfig::S3(s3) => bucket_failed("s3", &s3.bucket, &s3.common.staging, source),
        #[cfg(feature = "s3")]
        StorageConfig::Azure(azure) => {
            bucket_failed("azure", &azure.container, &azure.common.staging, source)
        }
        #[cfg(feature = "s3")]
        StorageConfig::Gcs(gcs) => bucket_failed("gcs", &gcs.bucket, &gcs.common.staging, source),
    }
}

#[cfg(feature = "s3")]
fn bucket_failed(
    back_end: &'static str,
    bucket: &str,
    staging: &std::path::Path,
    source: StorageError,
) -> OpenError {
    OpenError::Bucket {
        back_end,
        bucket: bucket.to_owned(),
        staging: staging.display().to_string(),
        source: source.into(),
    }
}

/// Opens the database; creates a missing SQLite file.
pub(crate) async fn open_database(config: &Config) -> Result<Database, OpenError> {
    let database = Database::open(&config.database).await;
    database.map_err(|source| database_failed(config, source))
}

/// Opens the storage without checking that it works; [`Storage::probe`] does.
pub(crate) fn open_storage(
    config: &Config,
    clock: &Arc<dyn Clock>,
    database: &Database,
) -> Result<Arc<dyn Storage>, OpenError> {
    let opened = match &config.storage {
        StorageConfig::Local(local) => {
            LocalStorage::open(local.path.clone()).map(|local| Arc::new(local) as Arc<dyn Storage>)
        }
        #[cfg(feature = "s3")]
        StorageConfig::S3(s3) => {
            open_bucket(BucketLocation::S3(s3.clone()), config, clock, database)
        }
        #[cfg(feature = "s3")]
        StorageConfig::Azure(azure) => open_bucket(
            BucketLocation::Azure(azure.clone()),
            config,
            clock,
            database,
        ),
        #[cfg(feature = "s3")]
        StorageConfig::Gcs(gcs) => {
            open_bucket(BucketLocation::Gcs(gcs.clone()), config, clock, database)
        }
    };
    #[cfg(not(feature = "s3"))]
    let _ = (clock, database);
    opened.map_err(|source| storage_failed(config, source))
}

#[cfg(feature = "s3")]
fn open_bucket(
    location: BucketLocation,
    config: &Config,
    clock: &Arc<dyn Clock>,
    database: &Database,
) -> Result<Arc<dyn Storage>, StorageError> {
    let opened = BucketStorage::open(location, Arc::clone(clock), leases(config, database));
    opened.map(|storage| Arc::new(storage) as Arc<dyn Storage>)
}

/// Lease table, if several servers may share the database and the bucket.
#[cfg(feature = "s3")]
fn leases(config: &Config, database: &Database) -> Option<Arc<dyn crate::storage::UploadLeases>> {
    match &config.database {
        DatabaseConfig::Sqlite { .. } => {
            let _ = database;
            None
        }
        #[cfg(feature = "postgres")]
        DatabaseConfig::Postgres(_) => Some(Arc::new(database.upload_leases(&config.replica_url))),
    }
}
