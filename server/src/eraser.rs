//! Erasure of users: deletes everything of a user, and replaces personal data in the audit log.
//!
//! A request is a row of the database. One of the servers carries it out under a lease and continues it after a crash; every
//! step can be repeated. Deletions that the storage refuses are retried by the reaper, and the erasure waits for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::db::{Actor, Database, DatabaseError, ERASURE, Lease, Personal};
use crate::uploads::Uploads;

/// Interval at which pending erasures are looked for.
const POLL: Duration = Duration::from_secs(5);
/// Duration of the lease; extended after each step.
const LEASE: Duration = Duration::from_secs(120);

/// Carries out erasures. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Eraser {
    database: Database,
    uploads: Uploads,
    clock: Arc<dyn Clock>,
    requested: Arc<Notify>,
}

/// Reason why an erasure stops before its end.
enum Stop {
    /// Recordings are left whose bytes the storage has not deleted yet.
    Waiting,
    /// Another server holds the lease.
    LeaseLost,
    Failed(DatabaseError),
}

impl From<DatabaseError> for Stop {
    fn from(error: DatabaseError) -> Self {
        Self::Failed(error)
    }
}

impl Eraser {
    pub(crate) fn new(database: Database, uploads: Uploads, clock: Arc<dyn Clock>) -> Self {
        Self {
            database,
            uploads,
            clock,
            requested: Arc::default(),
        }
    }

    /// Starts pending erasures now.
    pub(crate) fn wake(&self) {
        self.requested.notify_one();
    }

    /// Carries out erasures until the future is dropped.
    pub(crate) async fn run(self) {
        loop {
            if let Err(error) = self.run_pending().await {
                tracing::warn!("cannot erase users, will try again: {error}");
            }
            let _ = tokio::time::timeout(POLL, self.requested.notified()).await;
        }
    }

    async fn run_pending(&self) -> Result<(), DatabaseError> {
        let mut pending = self.database.erasures().pending(None).await?;
        if pending.is_empty() {
            return Ok(());
        }
        let Some(lease) = self.database.leases().take(ERASURE, LEASE).await? else {
            return Ok(());
        };
        // Page by page: erasures that wait for the storage do not keep later ones from starting.
        while let Some(last) = pending.last().cloned() {
            for row in pending {
                let user_id = row.user_id;
                match self.erase(&user_id, &lease).await {
                    Ok(()) => tracing::info!(user_id, "user erased"),
                    Err(Stop::Waiting) => {}
                    Err(Stop::LeaseLost) => return Ok(()),
                    Err(Stop::Failed(error)) => {
                        tracing::warn!(user_id, "cannot erase a user, will try again: {error}");
                    }
                }
            }
            let after = (last.requested_ms, last.user_id.as_str());
            pending = self.database.erasures().pending(Some(after)).await?;
        }
        self.database.leases().give_back(&lease).await
    }

    async fn erase(&self, user_id: &str, lease: &Lease) -> Result<(), Stop> {
        let (actor, now_ms) = (Actor::system(), self.clock.now_ms());
        let sessions = self.database.sessions();
        while sessions.end_some_of(user_id, &actor, now_ms).await? > 0 {
            self.extend(lease).await?;
        }
        self.delete_recordings(user_id, lease).await?;
        if self.database.owners().count_rows(user_id).await? > 0 {
            return Err(Stop::Waiting);
        }
        // Tokens, sign-ins, sessions and labels go with the row.
        let users = self.database.users();
        if !users.delete(user_id).await? && users.get(user_id).await?.is_some() {
            tracing::warn!(
                user_id,
                "cannot erase the only administrator yet: add another administrator"
            );
            return Err(Stop::Waiting);
        }
        self.database.markers().erase_author(user_id).await?;
        self.erase_traces(user_id, Some(lease)).await?;
        let now_ms = self.clock.now_ms();
        self.database.erasures().complete(user_id, now_ms).await?;
        Ok(())
    }

    /// Repeats the last steps of a completed erasure.
    pub(crate) async fn repeat(&self, user_id: &str) -> Result<(), DatabaseError> {
        match self.erase_traces(user_id, None).await {
            Err(Stop::Failed(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes personal data from queued events and from the audit log.
    async fn erase_traces(&self, user_id: &str, lease: Option<&Lease>) -> Result<(), Stop> {
        #[cfg(feature = "webhooks")]
        self.database.webhook_deliveries().erase(user_id).await?;
        for personal in [Personal::Actor(user_id), Personal::Subject(user_id)] {
            self.erase_from_log(personal, lease).await?;
        }
        let (log, mut after) = (self.database.audit(), None);
        loop {
            let (objects, last) = log.objects_to_erase(user_id, after).await?;
            for id in &objects {
                self.erase_from_log(Personal::Subject(id), lease).await?;
            }
            if last.is_none() {
                return Ok(());
            }
            after = last;
        }
    }

    async fn extend(&self, lease: &Lease) -> Result<(), Stop> {
        match self.database.leases().extend(lease, LEASE).await? {
            true => Ok(()),
            false => Err(Stop::LeaseLost),
        }
    }

    /// Deletes the user's recordings and uploads.
    async fn delete_recordings(&self, user_id: &str, lease: &Lease) -> Result<(), Stop> {
        let actor = Actor::system();
        loop {
            let ids = self.database.owners().recordings_to_delete(user_id).await?;
            if ids.is_empty() {
                return Ok(());
            }
            let mut deleted = 0;
            for id in ids {
                self.extend(lease).await?;
                match self.uploads.delete(&id, &actor, "").await {
                    Ok(()) => deleted += 1,
                    // A partial upload is deleted with its final upload; the reaper retries a failed deletion.
                    Err(error) => tracing::warn!(recording = id, "cannot delete yet: {error}"),
                }
            }
            if deleted == 0 {
                return Err(Stop::Waiting);
            }
        }
    }

    async fn erase_from_log(
        &self,
        personal: Personal<'_>,
        lease: Option<&Lease>,
    ) -> Result<(), Stop> {
        let mut after = None;
        loop {
            if let Some(lease) = lease {
                self.extend(lease).await?;
            }
            let now_ms = self.clock.now_ms();
            match self.database.audit().erase(personal, after, now_ms).await? {
                None => return Ok(()),
                last => after = last,
            }
        }
    }
}
