//! Services that handlers and background tasks share.

use std::ops::Deref;
use std::sync::Arc;

use crate::accounts::Accounts;
use crate::appliance::Appliance;
use crate::change_feed::Events;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Database, DatabaseError};
use crate::eraser::Eraser;
use crate::metrics::Metrics;
use crate::retention::Retention;
use crate::storage::Storage;
use crate::uploads::Uploads;
#[cfg(feature = "webhooks")]
use crate::webhooks;

/// Handle to the [`Services`]. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Services>);

pub(crate) struct Services {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) database: Database,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) uploads: Uploads,
    pub(crate) accounts: Accounts,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) events: Events,
    pub(crate) retention: Retention,
    #[cfg(feature = "webhooks")]
    pub(crate) webhooks: webhooks::Sender,
    pub(crate) eraser: Eraser,
    /// The recorder of an appliance.
    pub(crate) appliance: Option<Arc<dyn Appliance>>,
}

impl Deref for AppState {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

impl AppState {
    pub(crate) fn new(services: Services) -> Self {
        Self(Arc::new(services))
    }

    /// Applies the settings in the database to the appliance's recorder and to retention.
    pub(crate) async fn apply_settings(&self) -> Result<(), DatabaseError> {
        if let Some(appliance) = &self.appliance {
            appliance.set_auto_record(self.database.settings().auto_record().await?);
            if let Some(threshold) = self.database.settings().storage_threshold().await? {
                self.retention.set_threshold(threshold);
            }
        }
        Ok(())
    }
}
