//! Services that handlers and background tasks share.

use std::ops::Deref;
use std::sync::Arc;

use crate::accounts::Accounts;
use crate::appliance::Appliance;
use crate::change_feed::Events;
use crate::clock::{Clock, EARLIEST_MS};
use crate::config::Config;
use crate::db::{Database, DatabaseError};
use crate::eraser::Eraser;
use crate::metrics::Metrics;
use crate::retention::Retention;
use crate::storage::{DiskMonitor, Storage};
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
    /// Disk with the recordings, or with the staged tails.
    pub(crate) disk: Arc<DiskMonitor>,
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

/// Earliest plausible time: a correct clock is behind the last trusted time only by a correction.
fn earliest_ms(trusted_ms: Option<i64>) -> i64 {
    const CORRECTION_MS: i64 = 24 * 60 * 60 * 1000;
    let trusted_ms = trusted_ms.map_or(EARLIEST_MS, |it| it.saturating_sub(CORRECTION_MS));
    trusted_ms.max(EARLIEST_MS)
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
            let schedule = self.database.settings().schedule().await?;
            let trusted_ms = self.database.settings().trusted_time().await?;
            // The schedule first: without it, the start of the server would begin a recording outside of its windows.
            appliance.set_schedule(&schedule, earliest_ms(trusted_ms));
            appliance.set_auto_record(self.database.settings().auto_record().await?);
            if let Some(threshold) = self.database.settings().storage_threshold().await? {
                self.retention.set_threshold(threshold);
            }
        }
        Ok(())
    }
}
