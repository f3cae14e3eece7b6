//! Puts the parts together and answers until told to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sortie_api::AuditVerification;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::accounts::{Accounts, FirstAdmin};
use crate::appliance::{Appliance, Importer};
use crate::clock::Clock;
use crate::config::{Config, DatabaseConfig, StorageConfig};
use crate::db::{Database, DatabaseError};
use crate::gc::Sweep;
use crate::http::{self, AppState};
#[cfg(any(feature = "otel", feature = "s3", feature = "sso"))]
use crate::net::tls::choose_tls;
use crate::net::{self, Limits};
use crate::retention::ClockWatch;
use crate::storage::{LocalStorage, Storage, StorageError};
#[cfg(feature = "s3")]
use crate::storage::{Place, S3Storage};
use crate::uploads::{TICK, Uploads};

/// How long requests in flight may take to end by themselves once the server is told to stop.
const GRACE: Duration = Duration::from_secs(10);
/// When what nobody could ever want is swept away: some time after the start, when everybody has come back.
const SWEEP_FIRST: Duration = Duration::from_secs(15 * 60);
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database.
    #[error("{variable}: cannot use the database {database}")]
    Database {
        /// The variable to look at.
        variable: &'static str,
        /// Its file, or where it is.
        database: String,
        /// What happened.
        #[source]
        source: anyhow::Error,
    },
    /// The storage.
    #[error("SORTIE_RECORDING_STORAGE_PATH: cannot write to the folder {path}")]
    Storage {
        /// Its folder.
        path: String,
        /// What happened.
        #[source]
        source: anyhow::Error,
    },
    /// The bucket, or the folder on the way to it.
    #[error(
        "SORTIE_RECORDING_STORAGE_BACKEND={back_end}: cannot use the bucket {bucket} with the staging folder {staging}"
    )]
    Bucket {
        /// `s3`, `azure` or `gcs`.
        back_end: &'static str,
        /// Its name.
        bucket: String,
        /// `SORTIE_RECORDING_STAGING_PATH`.
        staging: String,
        /// What happened.
        #[source]
        source: anyhow::Error,
    },
    /// The listener.
    #[error("SORTIE_HOST and SORTIE_PORT: cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// The accounts.
    #[error("cannot set up the accounts")]
    Accounts(#[source] anyhow::Error),
}

/// Follows the audit log's chain of hashes from its beginning, without a server. Another one may be running on the
/// same database.
///
/// # Errors
/// The database is not there or cannot be read.
pub async fn verify_audit(config: &Config) -> Result<AuditVerification, OpenError> {
    let failed = |source: anyhow::Error| OpenError::Database {
        variable: config.database.variable(),
        database: config.database.to_string(),
        source,
    };
    #[cfg_attr(
        not(feature = "postgres"),
        expect(irrefutable_let_patterns, reason = "there is no other")
    )]
    if let DatabaseConfig::Sqlite { file } = &config.database {
        // Opening would make one.
        std::fs::metadata(file).map_err(|error| failed(error.into()))?;
    }
    let database = Database::open(&config.database)
        .await
        .map_err(|error| failed(error.into()))?;
    let verified = database.verify_audit().await;
    database.close().await;
    verified.map_err(|error| failed(error.into()))
}

fn database_failed(config: &Config, source: DatabaseError) -> OpenError {
    OpenError::Database {
        variable: config.database.variable(),
        database: config.database.to_string(),
        source: source.into(),
    }
}

fn storage_failed(config: &Config, source: StorageError) -> OpenError {
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

/// Opens the database, creating it if need be.
pub(crate) async fn open_database(config: &Config) -> Result<Database, OpenError> {
    let database = Database::open(&config.database).await;
    database.map_err(|source| database_failed(config, source))
}

/// Opens the storage. Whether it works is another question.
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
        StorageConfig::S3(s3) => open_bucket(Place::S3(s3.clone()), config, clock, database),
        #[cfg(feature = "s3")]
        StorageConfig::Azure(azure) => {
            open_bucket(Place::Azure(azure.clone()), config, clock, database)
        }
        #[cfg(feature = "s3")]
        StorageConfig::Gcs(gcs) => open_bucket(Place::Gcs(gcs.clone()), config, clock, database),
    };
    #[cfg(not(feature = "s3"))]
    let _ = (clock, database);
    opened.map_err(|source| storage_failed(config, source))
}

#[cfg(feature = "s3")]
fn open_bucket(
    place: Place,
    config: &Config,
    clock: &Arc<dyn Clock>,
    database: &Database,
) -> Result<Arc<dyn Storage>, StorageError> {
    let opened = S3Storage::open(place, Arc::clone(clock), ledger(config, database));
    opened.map(|storage| Arc::new(storage) as Arc<dyn Storage>)
}

/// The book of who writes to what, where several servers may share a database and a bucket.
#[cfg(feature = "s3")]
fn ledger(config: &Config, database: &Database) -> Option<Arc<dyn crate::storage::Ledger>> {
    match &config.database {
        DatabaseConfig::Sqlite { .. } => {
            let _ = database;
            None
        }
        #[cfg(feature = "postgres")]
        DatabaseConfig::Postgres(_) => Some(Arc::new(database.clone())),
    }
}

/// A server that listens but does not answer yet.
pub struct Server {
    state: AppState,
    listener: TcpListener,
    address: SocketAddr,
    first_admin: Option<FirstAdmin>,
}

impl Server {
    /// Opens the database and the storage, takes up what a former run left open, and listens.
    pub async fn open(config: Config, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_with(config, clock, None).await
    }

    /// The same, with a recorder on board: then there are the routes below `/api/appliance`, and its settings are
    /// as they were left.
    pub async fn open_with(
        config: Config,
        clock: Arc<dyn Clock>,
        appliance: Option<Arc<dyn Appliance>>,
    ) -> Result<Self, OpenError> {
        // Whatever the back end: clients of this process, as in tests, are built on the same HTTP client.
        #[cfg(any(feature = "otel", feature = "s3", feature = "sso"))]
        choose_tls();
        let database = open_database(&config).await?;
        let storage = open_storage(&config, &clock, &database)?;
        if config.recording_enabled {
            match storage.probe().await {
                // A recorder on board may make it writable yet, and its page has to say what is wrong.
                Err(error) if appliance.is_some() => {
                    tracing::error!("the storage cannot be used now: {error}");
                }
                probed => probed.map_err(|source| storage_failed(&config, source))?,
            }
        }
        let (accounts, first_admin) = Accounts::open(database.clone(), Arc::clone(&clock), &config)
            .await
            .map_err(OpenError::Accounts)?;
        let uploads = Uploads::new(
            database.clone(),
            Arc::clone(&storage),
            Arc::clone(&clock),
            &config,
        );
        let recovered = uploads.recover().await;
        recovered.map_err(|source| database_failed(&config, source))?;
        let watch =
            ClockWatch::open(database.clone(), Arc::clone(&clock), config.retention_days).await;
        let watch = Arc::new(watch.map_err(|source| database_failed(&config, source))?);
        let address = SocketAddr::new(config.host, config.port);
        let listen = |source| OpenError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let state = AppState::new(
            config, clock, database, storage, uploads, accounts, watch, appliance,
        );
        let applied = state.apply_settings().await;
        applied.map_err(|source| database_failed(&state.config, source))?;
        Ok(Self {
            state,
            listener,
            address,
            first_admin,
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address to open in a browser on this machine.
    pub fn url(&self) -> String {
        let address = self.address;
        if address.ip().is_unspecified() {
            format!("http://localhost:{}", address.port())
        } else {
            format!("http://{}:{}", address.ip(), address.port())
        }
    }

    /// Importer for the files of a recorder in this process.
    pub fn importer(&self) -> Importer {
        Importer::new(
            self.state.database.clone(),
            self.state.uploads.clone(),
            self.state.retention.clone(),
            Arc::clone(&self.state.clock),
        )
    }

    /// The administrator that this start created, if the database had nobody.
    pub fn first_admin(&self) -> Option<&FirstAdmin> {
        self.first_admin.as_ref()
    }

    /// Answers until `stop` is ready; then finishes what is in flight, with everything received kept.
    pub async fn serve(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let Self {
            state, listener, ..
        } = self;
        let uploads = state.uploads.clone();
        let database = state.database.clone();
        let (events, retention) = (state.events.clone(), state.retention.clone());
        let stopping = CancellationToken::new();

        let following = tokio::spawn(crate::change_feed::follow(state.clone()));
        let retaining = tokio::spawn({
            let (retention, stopping) = (retention.clone(), stopping.clone());
            let watch = Arc::clone(retention.clock_watch());
            let accounts = state.accounts.clone();
            let enabled = state.config.recording_enabled;
            async move {
                while stopping
                    .run_until_cancelled(tokio::time::sleep(TICK))
                    .await
                    .is_some()
                {
                    watch.tick().await;
                    accounts.clean_up(watch.is_trusted()).await;
                    if enabled {
                        retention.tick().await;
                    }
                }
            }
        });
        let reaper = tokio::spawn({
            let (uploads, stopping) = (uploads.clone(), stopping.clone());
            let watch = Arc::clone(retention.clock_watch());
            async move {
                uploads.start_silence();
                uploads.finish_pending().await;
                while stopping
                    .run_until_cancelled(tokio::time::sleep(TICK))
                    .await
                    .is_some()
                {
                    uploads.reap(watch.is_trusted()).await;
                }
            }
        });
        let sweeper = tokio::spawn({
            let sweep = Sweep::new(
                database.clone(),
                Arc::clone(&state.storage),
                uploads.clone(),
                Arc::clone(&state.clock),
            );
            let stopping = stopping.clone();
            let watch = Arc::clone(retention.clock_watch());
            stopping.run_until_cancelled_owned(async move {
                tokio::time::sleep(SWEEP_FIRST).await;
                loop {
                    while !watch.is_trusted() {
                        tokio::time::sleep(TICK).await;
                    }
                    sweep.daily().await;
                    tokio::time::sleep(SWEEP_EVERY).await;
                }
            })
        });
        // A long PATCH would hold the door open for as long as its sender likes: after the grace it is
        // ended with what it has brought, and its sender goes on after the restart.
        let closer = tokio::spawn({
            let (uploads, stopping) = (uploads.clone(), stopping.clone());
            async move {
                stopping.cancelled().await;
                tokio::time::sleep(GRACE).await;
                uploads.shut_down();
            }
        });
        let limits = Limits::of(&state.config);
        let clock_watch = Arc::clone(retention.clock_watch());
        let stop = {
            let stopping = stopping.clone();
            async move {
                stop.await;
                tracing::info!("stopping: finishing what is in flight");
                events.shut_down();
                retention.shut_down();
                stopping.cancel();
            }
        };
        tokio::spawn(stop);
        let serving = net::serve(listener, http::router(state), limits, stopping.clone());
        let hard_stop = async {
            stopping.cancelled().await;
            tokio::time::sleep(GRACE + GRACE / 2).await;
        };
        tokio::select! {
            () = serving => {}
            () = hard_stop => {
                tracing::warn!("some connections did not end in time and are cut");
            }
        }
        stopping.cancel();
        closer.abort();
        let _ = reaper.await;
        let _ = retaining.await;
        following.abort();
        let _ = sweeper.await;
        uploads.close().await;
        clock_watch.close().await;
        database.close().await;
        Ok(())
    }
}
