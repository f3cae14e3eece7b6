//! Puts the parts together and answers until told to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sortie_api::AuditVerification;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::accounts::{Accounts, FirstAdmin};
use crate::appliance::{Appliance, Shelf};
use crate::catalog::{Catalog, CatalogError};
use crate::clock::Clock;
use crate::config::{Config, DatabaseConfig, StorageConfig};
use crate::connections::{self, Limits};
use crate::http::{self, AppState};
use crate::ingest::{Ingest, TICK};
use crate::policy::ClockWatch;
use crate::storage::{LocalStorage, Storage, StorageError};
#[cfg(feature = "s3")]
use crate::storage::{Place, S3Storage};
use crate::sweep::Sweep;
#[cfg(any(feature = "otel", feature = "s3", feature = "sso"))]
use crate::tls::choose_tls;

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
    Catalog {
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
    let failed = |source: anyhow::Error| OpenError::Catalog {
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
    let catalog = Catalog::open(&config.database)
        .await
        .map_err(|error| failed(error.into()))?;
    let verified = catalog.verify_audit().await;
    catalog.close().await;
    verified.map_err(|error| failed(error.into()))
}

fn catalog_failed(config: &Config, source: CatalogError) -> OpenError {
    OpenError::Catalog {
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
pub(crate) async fn open_catalog(config: &Config) -> Result<Catalog, OpenError> {
    let catalog = Catalog::open(&config.database).await;
    catalog.map_err(|source| catalog_failed(config, source))
}

/// Opens the storage. Whether it works is another question.
pub(crate) fn open_storage(
    config: &Config,
    clock: &Arc<dyn Clock>,
    catalog: &Catalog,
) -> Result<Arc<dyn Storage>, OpenError> {
    let opened = match &config.storage {
        StorageConfig::Local(local) => {
            LocalStorage::open(local.path.clone()).map(|local| Arc::new(local) as Arc<dyn Storage>)
        }
        #[cfg(feature = "s3")]
        StorageConfig::S3(s3) => open_bucket(Place::S3(s3.clone()), config, clock, catalog),
        #[cfg(feature = "s3")]
        StorageConfig::Azure(azure) => {
            open_bucket(Place::Azure(azure.clone()), config, clock, catalog)
        }
        #[cfg(feature = "s3")]
        StorageConfig::Gcs(gcs) => open_bucket(Place::Gcs(gcs.clone()), config, clock, catalog),
    };
    #[cfg(not(feature = "s3"))]
    let _ = (clock, catalog);
    opened.map_err(|source| storage_failed(config, source))
}

#[cfg(feature = "s3")]
fn open_bucket(
    place: Place,
    config: &Config,
    clock: &Arc<dyn Clock>,
    catalog: &Catalog,
) -> Result<Arc<dyn Storage>, StorageError> {
    let opened = S3Storage::open(place, Arc::clone(clock), ledger(config, catalog));
    opened.map(|storage| Arc::new(storage) as Arc<dyn Storage>)
}

/// The book of who writes to what, where several servers may share a database and a bucket.
#[cfg(feature = "s3")]
fn ledger(config: &Config, catalog: &Catalog) -> Option<Arc<dyn crate::storage::Ledger>> {
    match &config.database {
        DatabaseConfig::Sqlite { .. } => {
            let _ = catalog;
            None
        }
        #[cfg(feature = "postgres")]
        DatabaseConfig::Postgres(_) => Some(Arc::new(catalog.clone())),
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
        let catalog = open_catalog(&config).await?;
        let storage = open_storage(&config, &clock, &catalog)?;
        if config.recording_enabled {
            match storage.probe().await {
                // A recorder on board may make it writable yet, and its page has to say what is wrong.
                Err(error) if appliance.is_some() => {
                    tracing::error!("the storage cannot be used now: {error}");
                }
                probed => probed.map_err(|source| storage_failed(&config, source))?,
            }
        }
        let (accounts, first_admin) = Accounts::open(catalog.clone(), Arc::clone(&clock), &config)
            .await
            .map_err(OpenError::Accounts)?;
        let ingest = Ingest::new(
            catalog.clone(),
            Arc::clone(&storage),
            Arc::clone(&clock),
            &config,
        );
        let recovered = ingest.recover().await;
        recovered.map_err(|source| catalog_failed(&config, source))?;
        let watch =
            ClockWatch::open(catalog.clone(), Arc::clone(&clock), config.retention_days).await;
        let watch = Arc::new(watch.map_err(|source| catalog_failed(&config, source))?);
        let address = SocketAddr::new(config.host, config.port);
        let listen = |source| OpenError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let state = AppState::new(
            config, clock, catalog, storage, ingest, accounts, watch, appliance,
        );
        let applied = state.apply_settings().await;
        applied.map_err(|source| catalog_failed(&state.config, source))?;
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

    /// Where a recorder on board hands its finished files in.
    pub fn shelf(&self) -> Shelf {
        let (catalog, ingest) = (self.state.catalog.clone(), self.state.ingest.clone());
        Shelf::new(catalog, ingest, Arc::clone(&self.state.clock))
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
        let ingest = state.ingest.clone();
        let catalog = state.catalog.clone();
        let (events, retention) = (state.events.clone(), state.retention.clone());
        let stopping = CancellationToken::new();

        let following = tokio::spawn(crate::events::follow(state.clone()));
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
            let (ingest, stopping) = (ingest.clone(), stopping.clone());
            let watch = Arc::clone(retention.clock_watch());
            async move {
                ingest.start_silence();
                ingest.finish_pending().await;
                while stopping
                    .run_until_cancelled(tokio::time::sleep(TICK))
                    .await
                    .is_some()
                {
                    ingest.reap(watch.is_trusted()).await;
                }
            }
        });
        let sweeper = tokio::spawn({
            let sweep = Sweep::new(
                catalog.clone(),
                Arc::clone(&state.storage),
                ingest.clone(),
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
            let (ingest, stopping) = (ingest.clone(), stopping.clone());
            async move {
                stopping.cancelled().await;
                tokio::time::sleep(GRACE).await;
                ingest.shut_down();
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
        let serving = connections::serve(listener, http::router(state), limits, stopping.clone());
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
        ingest.close().await;
        clock_watch.close().await;
        catalog.close().await;
        Ok(())
    }
}
