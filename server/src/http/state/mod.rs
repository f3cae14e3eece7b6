//! State of the handlers: the application's services and caches that only HTTP needs.

mod denials;
mod digests;
mod views;

use std::ops::Deref;
use std::sync::Arc;

use sortie_api::{Amount, ProblemCode};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::app::AppState;
use crate::db::{Action, Actor, AuditEvent, DatabaseError, Usage};
use crate::metrics::Total;

/// State of the router. Cheap to clone.
#[derive(Clone)]
pub(crate) struct HttpState {
    app: AppState,
    pub(in crate::http) caches: Arc<Caches>,
}

/// Outcome of a readiness check: the parts that failed, in words for the caller.
pub(in crate::http) type ReadinessCheck = Result<(), (ProblemCode, String)>;

/// Recordings by status, and those that await forwarding on an appliance.
#[derive(Clone)]
pub(in crate::http) struct Totals {
    pub(in crate::http) by_status: Arc<[Total]>,
    pub(in crate::http) unforwarded: Amount,
}

/// Results and histories of handlers. The locks of the asynchronous ones are held while a value is computed, so that
/// concurrent requests compute it once.
pub(in crate::http) struct Caches {
    /// Totals for `/metrics`, with the time in ms of the queries.
    pub(in crate::http) totals: Mutex<Option<(i64, Totals)>>,
    /// Storage usage for the report, with the time in ms of the query.
    pub(in crate::http) usage: Mutex<Option<(i64, Usage)>>,
    pub(in crate::http) readiness: Mutex<Option<(Instant, ReadinessCheck)>>,
    denials: denials::Denials,
    pub(in crate::http) views: views::Views,
    pub(in crate::http) digests: digests::Digests,
    /// Permits of indexes in memory.
    pub(in crate::http) indexes: tokio::sync::Semaphore,
    #[cfg(all(feature = "postgres", feature = "s3"))]
    pub(in crate::http) replicas: super::replicas::Replicas,
    /// Permits of concurrent test requests to webhooks.
    #[cfg(feature = "webhooks")]
    pub(in crate::http) webhook_tests: tokio::sync::Semaphore,
}

/// Indexes of recordings in memory at a time: that of a long MP4 has tens of megabytes.
const INDEXES: usize = 4;
/// Concurrent test requests to webhooks.
#[cfg(feature = "webhooks")]
const WEBHOOK_TESTS: usize = 4;

impl Default for Caches {
    fn default() -> Self {
        Self {
            totals: Mutex::default(),
            usage: Mutex::default(),
            readiness: Mutex::default(),
            denials: denials::Denials::default(),
            #[cfg(all(feature = "postgres", feature = "s3"))]
            replicas: super::replicas::Replicas::default(),
            views: views::Views::default(),
            digests: digests::Digests::default(),
            indexes: tokio::sync::Semaphore::new(INDEXES),
            #[cfg(feature = "webhooks")]
            webhook_tests: tokio::sync::Semaphore::new(WEBHOOK_TESTS),
        }
    }
}

impl HttpState {
    pub(crate) fn new(app: AppState) -> Self {
        Self {
            app,
            caches: Arc::default(),
        }
    }

    /// Days that deleted recordings stay in the trash; 0 if there is no trash. The folder of an appliance is its catalog and
    /// has none.
    pub(in crate::http) fn trash_days(&self) -> u32 {
        match self.appliance {
            Some(_) => 0,
            None => self.config.trash_days,
        }
    }

    /// Writes an event to the audit log.
    pub(in crate::http) async fn audit(&self, event: &AuditEvent<'_>) -> Result<(), DatabaseError> {
        self.database
            .audit()
            .append(self.clock.now_ms(), event)
            .await
    }

    /// Writes a denied request to the audit log, within the limits of [`denials::Denials`].
    pub(in crate::http) async fn audit_denial(
        &self,
        actor: &Actor,
        action: Action,
        subject: &str,
        detail: &str,
    ) {
        let now_ms = self.clock.now_ms();
        let denials = &self.caches.denials;
        denials
            .write(&self.database, now_ms, actor, action, subject, detail)
            .await;
    }
}

impl Deref for HttpState {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.app
    }
}
