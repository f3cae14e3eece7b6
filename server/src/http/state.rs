//! State that handlers share.

use std::ops::Deref;
use std::sync::Arc;

use super::layers::denials;
use super::{file, resources};
use crate::accounts::Accounts;
use crate::appliance::Appliance;
use crate::change_feed::Events;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::Database;
use crate::metrics::Metrics;
use crate::retention::{ClockWatch, Retention};
use crate::storage::Storage;
use crate::uploads::Uploads;

/// What every handler can reach. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Parts>);

/// See [`AppState`].
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) database: Database,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) uploads: Uploads,
    pub(crate) accounts: Accounts,
    pub(crate) metrics: Arc<Metrics>,
    pub(super) totals: resources::metrics::Kept,
    pub(crate) events: Events,
    pub(crate) retention: Retention,
    /// The recorder on board, if there is one.
    pub(crate) appliance: Option<Arc<dyn Appliance>>,
    pub(super) denials: denials::Denials,
    pub(super) views: file::Views,
    pub(super) readiness: resources::health::LastCheck,
    pub(super) digests: file::Digests,
    pub(crate) usage: resources::storage::LastUsage,
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl AppState {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, with every part of the server"
    )]
    pub(crate) fn new(
        config: Config,
        clock: Arc<dyn Clock>,
        database: Database,
        storage: Arc<dyn Storage>,
        uploads: Uploads,
        accounts: Accounts,
        watch: Arc<ClockWatch>,
        appliance: Option<Arc<dyn Appliance>>,
    ) -> Self {
        let metrics = Metrics::new();
        Self(Arc::new(Parts {
            events: Events::new(),
            retention: Retention::new(
                database.clone(),
                uploads.clone(),
                Arc::clone(&clock),
                &config,
                watch,
                metrics.retention_deletions(),
            ),
            appliance,
            denials: denials::Denials::default(),
            views: file::Views::default(),
            readiness: resources::health::LastCheck::default(),
            digests: file::Digests::default(),
            config,
            clock,
            database,
            storage,
            uploads,
            accounts,
            metrics: Arc::new(metrics),
            totals: resources::metrics::Kept::default(),
            usage: resources::storage::LastUsage::default(),
        }))
    }
}
