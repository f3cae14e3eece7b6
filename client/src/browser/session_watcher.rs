//! Watcher of a session: reads server-sent events, and polls where they are not available.

use std::rc::Rc;

use futures_util::future::{AbortHandle, abortable};

use super::credentials::Credentials;
use super::fetch::{Answer, Call, Cancel};
use super::json;
use super::server::encode;
use super::spawn;
use super::time::{sleep, within};
use crate::auto_record::{AutoRecordTrigger, SESSION_DELETED_EVENT, SESSION_EVENT, SessionOrder};
use crate::sse::EventReader;
use crate::wire::{Fields, SessionNow};
use crate::{Authorization, ErrorCode, RecorderError, Refusal, RenewalFailed, Target};

/// Shortest interval of attempts, and of polls without a stream.
const RETRY_MS: u32 = 2_000;
/// Random addition to the interval, so that pages do not reconnect to a restarted server simultaneously.
const JITTER_MS: f64 = 2_000.0;
/// Failed rounds in a row before they are reported.
const FAILURES: u32 = 3;
/// The server sends at least one event or comment every 15 s. A longer silence means that the connection is lost.
const SILENCE_MS: u32 = 45_000;

/// Orders the recording of a session, until it is dropped or the session has ended.
#[must_use = "dropping it ends the watch"]
#[derive(Debug)]
pub struct SessionWatcher {
    watching: AbortHandle,
}

impl SessionWatcher {
    /// Watches the session `session` of our server at `base` (`""` for the page's own origin). `on_order` is called
    /// from a separate task.
    pub fn new(
        base: impl Into<String>,
        session: impl Into<String>,
        authorization: Authorization,
        on_order: impl Fn(SessionOrder) + 'static,
    ) -> Self {
        Self::with_trouble(base, session, authorization, on_order, |_| {})
    }

    /// Like [`Self::new`]; `on_trouble` is called once per outage: with [`RecorderError::SignedOut`] and
    /// [`RecorderError::Unreachable`] while the watcher retries, with [`RecorderError::Refused`] before
    /// [`SessionOrder::End`] when the session is unknown or belongs to another user.
    pub fn with_trouble(
        base: impl Into<String>,
        session: impl Into<String>,
        authorization: Authorization,
        on_order: impl Fn(SessionOrder) + 'static,
        on_trouble: impl Fn(RecorderError) + 'static,
    ) -> Self {
        let (base, session) = (base.into(), session.into());
        let access = Credentials::new(authorization, &Target::session(&base, &session));
        let mut watch = Watch {
            base,
            session,
            access,
            auto: AutoRecordTrigger::default(),
            on_order: Box::new(on_order),
            on_trouble: Box::new(on_trouble),
            failures: 0,
            is_refused: false,
            is_reported: false,
            is_known: false,
        };
        let (watch, watching) = abortable(async move { watch.run().await });
        spawn(async move {
            let _aborted = watch.await;
        });
        Self { watching }
    }
}

impl Drop for SessionWatcher {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// The connection failed; the watcher retries.
struct Lost;

struct Watch {
    base: String,
    session: String,
    access: Rc<Credentials>,
    auto: AutoRecordTrigger,
    on_order: Box<dyn Fn(SessionOrder)>,
    on_trouble: Box<dyn Fn(RecorderError)>,
    /// Rounds in a row in which no request was answered with 200.
    failures: u32,
    /// The sign-in was refused in this round.
    is_refused: bool,
    /// `on_trouble` was called since the last answer with 200.
    is_reported: bool,
    /// The server has described the session at least once.
    is_known: bool,
}

impl Watch {
    async fn run(&mut self) {
        while !self.auto.has_ended() {
            if let Err(Lost) = self.listen().await {
                // Fallback for an old server, a buffering proxy, or too many open streams.
                if let Err(Lost) = self.ask().await {
                    self.count_failure();
                }
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 0 to JITTER_MS"
            )]
            let jitter = (js_sys::Math::random() * JITTER_MS) as u32;
            sleep(RETRY_MS + jitter).await;
        }
    }

    /// Reads the stream to its end.
    async fn listen(&mut self) -> Result<(), Lost> {
        let id = encode(&self.session);
        // Dropped with this future, which ends the stream.
        let cancel = Cancel::new();
        let answer = self
            .get(&format!("/api/events?session={id}"), &cancel)
            .await?;
        let body = answer.body().ok_or(Lost)?;
        let mut reader = EventReader::default();
        loop {
            let chunk = within(SILENCE_MS, body.next()).await;
            let Some(Some(chunk)) = chunk else {
                return Ok(());
            };
            for event in reader.push(&chunk) {
                let Some(data) = json::object(&event.data) else {
                    continue;
                };
                match event.name.as_str() {
                    SESSION_EVENT => self.take(SessionNow::read(&data)),
                    SESSION_DELETED_EVENT if data.text("id").as_ref() == Some(&self.session) => {
                        self.order(AutoRecordTrigger::end);
                    }
                    _ => {}
                }
            }
            if self.auto.has_ended() {
                return Ok(());
            }
        }
    }

    async fn ask(&mut self) -> Result<(), Lost> {
        let cancel = Cancel::new();
        let id = encode(&self.session);
        let answer = self.get(&format!("/api/sessions/{id}"), &cancel).await?;
        let session = json::object(&answer.text().await).ok_or(Lost)?;
        self.take(SessionNow::read(&session));
        Ok(())
    }

    /// Fetches a resource. A session that does not exist any more has ended.
    async fn get(&mut self, path: &str, cancel: &Cancel) -> Result<Answer, Lost> {
        for attempt in 0..2 {
            let mut call = Call::new("GET", &(self.base.clone() + path));
            if let Err(failed) = self.access.authorize(&mut call).await {
                return Err(self.lost(failed));
            }
            let answer = call.send(cancel);
            let answer = within(SILENCE_MS, answer).await;
            let Some(Ok(answer)) = answer else {
                return Err(Lost);
            };
            match answer.status() {
                200 => {
                    self.failures = 0;
                    self.is_refused = false;
                    self.is_reported = false;
                    return Ok(answer);
                }
                401 if attempt == 0 => {
                    if let Err(failed) = self.access.renew().await {
                        return Err(self.lost(failed));
                    }
                }
                401 => return Err(self.lost(RenewalFailed::Refused)),
                // The session was deleted or belongs to another user.
                status @ (403 | 404) if path.starts_with("/api/sessions/") => {
                    // A known session that was deleted has ended. An unknown one was never recorded on behalf of this
                    // page.
                    if status == 403 || !self.is_known {
                        let detail = format!(
                            "The session {} does not exist or belongs to another user.",
                            self.session
                        );
                        let mut refusal = Refusal::of_status(status, detail);
                        if status == 404 {
                            refusal.code = ErrorCode::NotFound;
                        }
                        (self.on_trouble)(refusal.into());
                    }
                    self.order(AutoRecordTrigger::end);
                    return Err(Lost);
                }
                _ => return Err(Lost),
            }
        }
        Err(Lost)
    }

    /// Handles the state of a session; other sessions are ignored.
    fn take(&mut self, session: Option<SessionNow>) {
        if let Some(session) = session.filter(|it| it.id == self.session) {
            self.is_known = true;
            self.order(|auto| auto.take(&session));
        }
    }

    fn lost(&mut self, failed: RenewalFailed) -> Lost {
        self.is_refused |= failed == RenewalFailed::Refused;
        Lost
    }

    /// Reports a refused sign-in after the first round, and an unreachable server after several.
    fn count_failure(&mut self) {
        self.failures += 1;
        let trouble = if std::mem::take(&mut self.is_refused) {
            RecorderError::SignedOut
        } else if self.failures >= FAILURES {
            RecorderError::Unreachable
        } else {
            return;
        };
        if !self.auto.has_ended() && !std::mem::replace(&mut self.is_reported, true) {
            (self.on_trouble)(trouble);
        }
    }

    fn order(&mut self, of: impl FnOnce(&mut AutoRecordTrigger) -> Option<SessionOrder>) {
        if let Some(order) = of(&mut self.auto) {
            (self.on_order)(order);
        }
    }
}
