//! Composition root: builds the services and the router, and serves until told to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, Method, Uri};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::accounts::{Accounts, FirstAdmin};
use crate::app::{AppState, GRACE, Services, Tasks};
use crate::appliance::{Appliance, Importer};
use crate::appliance_control::ApplianceControl;
use crate::assets::Pages;
use crate::backends::{OpenError, database_failed, open_database, open_storage, storage_failed};
use crate::change_feed::{self, Events};
use crate::clock::Clock;
use crate::config::Config;
use crate::eraser::Eraser;
use crate::http::{self, HttpState};
use crate::metrics::Metrics;
#[cfg(any(
    feature = "otel",
    feature = "s3",
    feature = "sso",
    feature = "webhooks"
))]
use crate::net::tls::choose_tls;
use crate::net::{self, Limits, Tls};
use crate::retention::{ClockWatch, Retention};
use crate::storage::DiskMonitor;
use crate::uploads::Uploads;
#[cfg(feature = "webhooks")]
use crate::webhooks;

/// Server that is bound to its address but does not serve yet.
pub struct Server {
    state: AppState,
    listener: TcpListener,
    address: SocketAddr,
    first_admin: Option<FirstAdmin>,
    tls: Option<Tls>,
}

impl Server {
    /// Opens the database and the storage, recovers the uploads of an earlier run, and binds the address.
    pub async fn open(config: Config, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_with(config, clock, None).await
    }

    /// Like [`Self::open`]; with the recorder of an appliance, the routes below `/api/appliance` are registered and its
    /// stored settings are applied.
    pub async fn open_with(
        config: Config,
        clock: Arc<dyn Clock>,
        appliance: Option<Arc<dyn Appliance>>,
    ) -> Result<Self, OpenError> {
        // Independent of the storage: tests create HTTP clients that need the provider.
        #[cfg(any(
            feature = "otel",
            feature = "s3",
            feature = "sso",
            feature = "webhooks"
        ))]
        choose_tls();
        let database = open_database(&config).await?;
        let storage = open_storage(&config, &clock, &database)?;
        if config.recording_enabled {
            match storage.probe().await {
                // An appliance may make its disk writable later, and its page shows the error.
                Err(error) if appliance.is_some() => {
                    tracing::error!("the storage is not usable yet: {error}");
                }
                probed => probed.map_err(|source| storage_failed(&config, source))?,
            }
        }
        let (accounts, first_admin) = Accounts::open(
            database.clone(),
            Arc::clone(&clock),
            &config,
            appliance.is_some(),
        )
        .await
        .map_err(OpenError::Accounts)?;
        let disk = Arc::new(DiskMonitor::open(config.storage.folder()).await);
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
        let failed = |source| OpenError::Listen { address, source };
        let listener = net::listen(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        #[cfg(feature = "webhooks")]
        let webhooks = webhooks::Sender::new(config.webhook_allow_private);
        let metrics = match appliance {
            Some(_) => Metrics::new().with_appliance(),
            None => Metrics::new(),
        };
        let retention = Retention::new(
            database.clone(),
            uploads.clone(),
            Arc::clone(&clock),
            &config,
            watch,
            metrics.retention_deletions(),
        );
        let eraser = Eraser::new(database.clone(), uploads.clone(), Arc::clone(&clock));
        let state = AppState::new(Services {
            config,
            clock,
            database,
            storage,
            disk,
            uploads,
            accounts,
            metrics: Arc::new(metrics),
            events: Events::new(),
            retention,
            #[cfg(feature = "webhooks")]
            webhooks,
            eraser,
            appliance,
        });
        let applied = state.apply_settings().await;
        applied.map_err(|source| database_failed(&state.config, source))?;
        Ok(Self {
            state,
            listener,
            address,
            first_admin,
            tls: None,
        })
    }

    /// Address that the listener is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves HTTPS instead of HTTP.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// URL for a browser on this machine.
    pub fn url(&self) -> String {
        let address = self.address;
        let scheme = self.tls.as_ref().map_or("http", |_| "https");
        if address.ip().is_unspecified() {
            format!("{scheme}://localhost:{}", address.port())
        } else {
            format!("{scheme}://{address}")
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

    /// Control of the recorder for an interface in this process, named `interface` in the audit log; `None` without an
    /// appliance.
    pub fn appliance_control(&self, interface: &'static str) -> Option<ApplianceControl> {
        ApplianceControl::new(self.state.clone(), interface)
    }

    /// Administrator that this start created because the database had no users.
    pub fn first_admin(&self) -> Option<&FirstAdmin> {
        self.first_admin.as_ref()
    }

    /// Serves until `stop` completes; then completes requests in flight and keeps all received bytes.
    pub async fn serve(
        self,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let Self {
            state,
            listener,
            tls,
            ..
        } = self;
        let stopping = CancellationToken::new();
        let http_state = HttpState::new(state.clone());
        let feed = change_feed::follow(
            state.events.clone(),
            state.database.clone(),
            http_state.clone(),
        );
        let tasks = Tasks::start(&state, feed, &stopping);
        #[cfg(feature = "webhooks")]
        tasks.add({
            let (database, clock) = (state.database.clone(), Arc::clone(&state.clock));
            let sender = state.webhooks.clone();
            webhooks::Dispatcher::new(database, http_state.clone(), sender, clock)
                .run(stopping.clone())
        });
        tokio::spawn({
            let (state, stopping) = (state.clone(), stopping.clone());
            async move {
                stop.await;
                tracing::info!("stopping: completing requests in flight");
                state.events.shut_down();
                state.retention.shut_down();
                stopping.cancel();
            }
        });
        let pages = Pages::below(&state.config.public_path(""));
        let pages = move |method: Method, uri: Uri, headers: HeaderMap| async move {
            pages.respond(&method, uri.path(), &headers)
        };
        let app = http::router(http_state, pages);
        let serving = net::serve(
            listener,
            app,
            Limits::of(&state.config),
            tls,
            stopping.clone(),
        );
        let hard_stop = async {
            stopping.cancelled().await;
            tokio::time::sleep(GRACE + GRACE / 2).await;
        };
        tokio::select! {
            () = serving => {}
            () = hard_stop => tracing::warn!("some connections did not end in time and are cut"),
        }
        tasks.join().await;
        state.uploads.close().await;
        state.retention.clock_watch().close().await;
        state.database.close().await;
        Ok(())
    }
}
