//! Sends queued events. Runs on every server; claims keep servers from sending the same event.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use sortie_api::AuditResult;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::queue::Queue;
use super::schedule;
use super::sender::{self, Message, Outcome, Sender};
use crate::change_feed::Source;
use crate::clock::Clock;
use crate::db::{
    Action, Actor, AttemptResult, AuditEvent, ClaimedDelivery, Database, DatabaseError, Due,
    WebhookRow,
};

/// Poll interval for rows of other servers and for due deliveries.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Shortest time between two searches for new rows, each of which queries every endpoint.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// Interval of the search for deliveries that are blocked without a reason.
const UNBLOCK_EVERY: Duration = Duration::from_secs(5 * 60);
/// Concurrent requests to one endpoint.
const PER_ENDPOINT: usize = 4;
/// Duration of a claim: an attempt with a margin for the database.
const CLAIM: Duration = Duration::from_secs(2 * sender::TIMEOUT.as_secs());
/// Time that attempts have to end when the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// Attempts after which old rows are deleted.
const TRIM_EVERY: u32 = 100;

/// Queues and sends events until the server stops.
pub(crate) struct Dispatcher<S> {
    queue: Queue<S>,
    attempts: Arc<Attempts>,
    /// Attempts in progress, each with its endpoint.
    running: JoinSet<()>,
    endpoints: HashMap<Id, String>,
    /// Attempts since old rows were deleted, by endpoint.
    untrimmed: HashMap<String, u32>,
    /// Last release of deliveries that were blocked without a reason.
    unblocked: Instant,
}

impl<S: Source> Dispatcher<S> {
    pub(crate) fn new(
        database: Database,
        source: S,
        sender: Sender,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            queue: Queue::new(database.clone(), source),
            attempts: Arc::new(Attempts {
                database,
                sender,
                clock,
            }),
            running: JoinSet::new(),
            endpoints: HashMap::new(),
            untrimmed: HashMap::new(),
            unblocked: Instant::now(),
        }
    }

    /// Runs until the server stops. Attempts in progress have a moment to end; the others are repeated later.
    pub(crate) async fn run(mut self, stopping: CancellationToken) {
        stopping.run_until_cancelled(self.work()).await;
        let ended = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            self.running.shutdown().await;
        }
    }

    async fn work(&mut self) {
        let database = self.attempts.database.clone();
        while let Err(error) = database.webhook_deliveries().release_claims().await {
            tracing::warn!("webhooks cannot be sent and will be retried: {error}");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let mut tick = tokio::time::interval(POLL_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let audited = database.audit().appended();
            tokio::pin!(audited);
            // Enabled before the queries: a row that is added during them wakes this task.
            audited.as_mut().enable();
            let has_more = match self.step().await {
                Ok(has_more) => has_more,
                Err(error) => {
                    tracing::warn!("webhooks cannot be sent and will be retried: {error}");
                    tokio::time::sleep(POLL_INTERVAL).await;
                    false
                }
            };
            if has_more {
                continue;
            }
            let stepped = Instant::now();
            loop {
                tokio::select! {
                    () = &mut audited => break,
                    _ = tick.tick() => break,
                    Some(ended) = self.running.join_next_with_id() => {
                        if let Err(error) = self.continue_after(&ended).await {
                            tracing::warn!("webhooks cannot be sent and will be retried: {error}");
                        }
                    }
                }
            }
            // Several rows in quick succession cost one step.
            tokio::time::sleep_until(stepped + MIN_INTERVAL).await;
        }
    }

    /// Starts the next attempts of the endpoint whose attempt has ended.
    async fn continue_after(
        &mut self,
        ended: &Result<(Id, ()), tokio::task::JoinError>,
    ) -> Result<(), DatabaseError> {
        let Some(id) = self.forget(ended) else {
            return Ok(());
        };
        match self.attempts.database.webhooks().to_send(&id).await? {
            Some(webhook) => self.start(webhook, self.attempts.clock.now_ms()).await,
            None => Ok(()),
        }
    }

    /// Queues new events and starts due attempts; returns whether further rows of the audit log are left.
    async fn step(&mut self) -> Result<bool, DatabaseError> {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.forget(&ended);
        }
        let now_ms = self.attempts.clock.now_ms();
        let mut has_more = false;
        let webhooks = self.attempts.database.webhooks().enabled().await?;
        self.queue.retain(&webhooks);
        if self.unblocked.elapsed() >= UNBLOCK_EVERY {
            self.unblocked = Instant::now();
            for webhook in &webhooks {
                let deliveries = self.attempts.database.webhook_deliveries();
                deliveries.unblock(&webhook.id).await?;
            }
        }
        for webhook in webhooks {
            has_more |= self.queue.fill(&webhook, now_ms).await?;
            self.start(webhook, now_ms).await?;
        }
        Ok(has_more)
    }

    /// Starts attempts of an endpoint's due deliveries, as many as may run.
    async fn start(&mut self, webhook: WebhookRow, now_ms: i64) -> Result<(), DatabaseError> {
        let deliveries = self.attempts.database.webhook_deliveries();
        let running = self.endpoints.values().filter(|id| **id == webhook.id);
        let free = PER_ENDPOINT.saturating_sub(running.count());
        if free == 0 {
            return Ok(());
        }
        let longest_ms = i64::try_from(schedule::LONGEST.as_millis()).unwrap_or(i64::MAX);
        let due = Due {
            now_ms,
            latest_ms: now_ms.saturating_add(longest_ms),
        };
        let claimed = deliveries.claim(&webhook.id, due, free, CLAIM).await?;
        let untrimmed = self.untrimmed.entry(webhook.id.clone()).or_default();
        *untrimmed += u32::try_from(claimed.len()).unwrap_or_default();
        if *untrimmed >= TRIM_EVERY {
            *untrimmed = 0;
            deliveries.trim(&webhook.id).await?;
        }
        let webhook = Arc::new(webhook);
        for delivery in claimed {
            let (attempts, webhook) = (Arc::clone(&self.attempts), Arc::clone(&webhook));
            let id = webhook.id.clone();
            let attempt = async move { attempts.attempt(&webhook, &delivery).await };
            let task = self.running.spawn(attempt);
            self.endpoints.insert(task.id(), id);
        }
        Ok(())
    }

    /// Removes an attempt that has ended; returns its endpoint.
    fn forget(&mut self, ended: &Result<(Id, ()), tokio::task::JoinError>) -> Option<String> {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.endpoints.remove(&id)
    }
}

/// Attempts to send one delivery.
struct Attempts {
    database: Database,
    sender: Sender,
    clock: Arc<dyn Clock>,
}

impl Attempts {
    async fn attempt(&self, webhook: &WebhookRow, delivery: &ClaimedDelivery) {
        let now_ms = self.clock.now_ms();
        let message = Message {
            url: &webhook.url,
            id: &delivery.event_id,
            body: &delivery.payload,
            now_ms,
        };
        let outcome = self.sender.send(&message, webhook.secrets(now_ms)).await;
        let now_ms = self.clock.now_ms();
        let failed = delivery.attempts.saturating_add(1);
        let result = match &outcome {
            Outcome::Delivered(_) => AttemptResult::Delivered,
            Outcome::Gone => AttemptResult::Failed,
            Outcome::Failed { retry_after, .. } => {
                match schedule::delay(failed, rand::rng().random(), *retry_after) {
                    Some(delay) => {
                        let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
                        AttemptResult::Deferred(now_ms.saturating_add(delay_ms))
                    }
                    None => AttemptResult::Failed,
                }
            }
        };
        let (status, error) = outcome.answer();
        if result == AttemptResult::Failed {
            tracing::warn!(
                webhook = webhook.id,
                event = delivery.event_id,
                "webhook failed: {error}"
            );
        } else {
            tracing::debug!(
                webhook = webhook.id,
                event = delivery.event_id,
                ?status,
                "webhook sent: {error}"
            );
        }
        let deliveries = self.database.webhook_deliveries();
        let recorded = deliveries
            .record(delivery, result, (status, error), now_ms)
            .await;
        // The claim expires, and the event is sent again.
        if let Err(error) = recorded {
            tracing::warn!(
                webhook = webhook.id,
                "the result of a webhook is not stored: {error}"
            );
        }
        if outcome == Outcome::Gone {
            self.disable(webhook, error, now_ms).await;
        }
    }

    /// Disables an endpoint whose receiver has answered 410, as Standard Webhooks requires.
    async fn disable(&self, webhook: &WebhookRow, reason: &str, now_ms: i64) {
        let actor = Actor::system();
        let event = AuditEvent::done(&actor, Action::WebhookChange, &webhook.id)
            .detail("disabled: the receiver answered 410")
            .result(AuditResult::Ok);
        let webhooks = self.database.webhooks();
        let disabled = webhooks.disable(&webhook.id, &webhook.url, reason, now_ms, &event);
        if let Err(error) = disabled.await {
            tracing::warn!(
                webhook = webhook.id,
                "the webhook could not be disabled: {error}"
            );
        }
    }
}
