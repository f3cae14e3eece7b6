//! The upload machine: its state and inputs. [`response`] evaluates responses, [`next`] determines the next command.

mod next;
mod response;

use std::collections::VecDeque;

use super::backoff::Backoff;
use super::body_limit::BodyLimit;
use super::in_flight::{InFlight, Purpose};
use super::{
    Command, Config, FailureReason, Millis, Notice, RequestId, Response, Start, UploadLength,
    WaitReason,
};
use crate::metadata::Metadata;

/// State machine that sends a sequence of bytes to one tus upload.
///
/// The machine handles byte counts only. The caller keeps the bytes until [`Notice::Acknowledged`] allows to drop
/// them. At most one request is in flight; bytes that become available meanwhile are sent together in the next one.
///
/// # Order of calls
/// 1. Report the known state: [`handle_available`](Self::handle_available),
///    [`handle_released`](Self::handle_released), [`handle_end`](Self::handle_end). For [`Start::Resume`] this must
///    precede the first poll.
/// 2. After every `handle_*`, poll [`poll_command`](Self::poll_command) and [`poll_notice`](Self::poll_notice) until
///    they return `None`, then set a timer to [`poll_timeout`](Self::poll_timeout), which replaces the previous timer.
/// 3. When the timer fires, call [`handle_timeout`](Self::handle_timeout). Calling it early is harmless.
///
/// The machine uses the latest `now` it was given. It ignores inputs after the last notice ([`Notice::Done`],
/// [`Notice::Abandoned`] or [`Notice::Failed`]), and responses to requests that are no longer in flight.
#[derive(Debug)]
pub struct Upload {
    config: Config,
    now: Millis,
    creation: Option<Creation>,
    url: Option<String>,
    goal: Goal,
    in_flight: Option<InFlight>,
    wait: Option<Wait>,
    token: Token,
    /// Time of the last token renewal, until a request with the new token is accepted.
    renewed_at: Option<Millis>,
    /// Number of different tokens rejected in a row.
    changes: u32,
    offline: bool,
    /// Time at which [`Notice::NeverAnswered`] is due; `Millis::MAX` once a server has responded or it was emitted.
    never_answered_at: Millis,
    /// Whether a [`Notice::Waiting`] was emitted without a [`Notice::Resumed`] after it.
    waiting_reported: bool,
    recreated: u32,
    available: u64,
    ended: bool,
    released: u64,
    /// Offset of the server, as of its last response.
    acknowledged: u64,
    /// Highest offset of the server so far; only a higher one is progress.
    furthest: u64,
    /// Time of the last response about this upload; `None` before the first.
    last_contact: Option<Millis>,
    /// Longest time without a request.
    keep_alive_ms: Millis,
    /// Whether [`Notice::StoppedByServer`] was emitted.
    stopped: bool,
    /// Length that the server knows.
    length: UploadLength,
    body_limit: BodyLimit,
    backoff: Backoff,
    next_request: u64,
    commands: VecDeque<Command>,
    notices: VecDeque<Notice>,
}

/// Treatment of an abandoned upload on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abandon {
    /// Keep it, so that it can be resumed later.
    KeepOnServer,
    /// Delete it. An upload whose creation was in flight may remain until it expires.
    DeleteOnServer,
}

/// Reason why no new access token could be obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalFailure {
    /// The user must sign in again: the upload fails.
    Refused,
    /// The token issuer cannot be reached: the machine tries again later.
    Unreachable,
}

/// Parameters of the creation, kept in case the upload must be created again.
#[derive(Clone, Debug)]
struct Creation {
    endpoint: String,
    length: UploadLength,
    metadata: Metadata,
}

/// Purpose of the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Create,
    /// The offset is uncertain.
    QueryOffset,
    Send,
    Delete,
    Finished,
}

/// A pause before the next request.
#[derive(Clone, Copy, Debug)]
struct Wait {
    until: Millis,
    reason: WaitReason,
    /// Whether the server requested it (`Retry-After`), so that the return of the network does not end it.
    imposed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// Presumably valid.
    Valid,
    /// A new token must be requested.
    Needed,
    /// A new token has been requested.
    Requested,
}

/// Number of different tokens in a row whose rejection leads to another renewal.
const TOKEN_CHANGES: u32 = 4;

/// Time without a proper response since the start after which the URL may be wrong.
const FIRST_ANSWER_MS: Millis = 3_000;

/// Lower bound for the keep-alive interval.
const MIN_KEEP_ALIVE_MS: Millis = 1_000;

/// Number of consecutive failures after which an abandoned upload is left to expire.
const DELETE_ATTEMPTS: u32 = 5;

impl Upload {
    /// Creates a machine at the time `now`. `seed` spreads the waits after failures and should differ between uploads.
    pub fn new(now: Millis, start: Start, config: Config, seed: u64) -> Self {
        let mut never_answered_at = now.saturating_add(FIRST_ANSWER_MS);
        let contact = matches!(start, Start::Fresh { .. }).then_some(now);
        let (goal, url, creation, length) = match start {
            Start::Create {
                endpoint,
                length,
                metadata,
            } => {
                let creation = Creation {
                    endpoint,
                    length,
                    metadata,
                };
                (Goal::Create, None, Some(creation), length)
            }
            Start::Fresh { url, length } => {
                // The caller has just created the upload, so the URL is right.
                never_answered_at = Millis::MAX;
                (Goal::Send, Some(url), None, length)
            }
            Start::Resume { url } => (Goal::QueryOffset, Some(url), None, UploadLength::Deferred),
        };
        Self {
            now,
            creation,
            url,
            goal,
            in_flight: None,
            wait: None,
            token: Token::Valid,
            renewed_at: None,
            changes: 0,
            offline: false,
            never_answered_at,
            waiting_reported: false,
            recreated: 0,
            available: 0,
            ended: false,
            released: 0,
            acknowledged: 0,
            furthest: 0,
            last_contact: contact,
            keep_alive_ms: config.keep_alive_ms.max(MIN_KEEP_ALIVE_MS),
            stopped: false,
            length,
            body_limit: BodyLimit::new(&config),
            backoff: Backoff::new(config.backoff_base_ms, config.backoff_cap_ms, seed),
            next_request: 0,
            commands: VecDeque::new(),
            notices: VecDeque::new(),
            config,
        }
    }

    /// Reports that `total` bytes are available, counted from the start of the sequence. Ignored if it is less than
    /// before, or after [`handle_end`](Self::handle_end).
    pub fn handle_available(&mut self, now: Millis, total: u64) {
        self.tick(now);
        if !self.ended {
            self.available = self.available.max(total);
        }
        self.check_completion();
    }

    /// Reports that no more bytes will follow, so that the length can be declared to the server.
    pub fn handle_end(&mut self, now: Millis) {
        self.tick(now);
        self.ended = true;
        self.check_completion();
    }

    /// Reports that the bytes below `up_to` were dropped. Only acknowledged bytes may be dropped.
    pub fn handle_released(&mut self, up_to: u64) {
        self.released = self.released.max(up_to);
    }

    /// Handles the response to a request.
    pub fn handle_response(&mut self, now: Millis, request: RequestId, response: &Response) {
        self.tick(now);
        if let Some(flight) = self.take_in_flight(request) {
            self.judge(flight.purpose, response);
            self.check_completion();
        }
    }

    /// Handles a request that ended without a response.
    pub fn handle_failure(&mut self, now: Millis, request: RequestId) {
        self.tick(now);
        if let Some(flight) = self.take_in_flight(request) {
            self.request_failed(flight.purpose, WaitReason::Network);
        }
    }

    /// Reports that `sent` bytes of the request's body were sent, which extends the timeout of a slow body. Optional.
    pub fn handle_progress(&mut self, now: Millis, request: RequestId, sent: u64) {
        self.tick(now);
        if let Some(flight) = self.in_flight.as_mut().filter(|it| it.request == request) {
            flight.progressed(sent, self.now, &self.config);
        }
    }

    /// Reports that the network is offline. No request is sent until [`handle_online`](Self::handle_online); a request
    /// in flight continues.
    pub fn handle_offline(&mut self, now: Millis) {
        self.tick(now);
        if !self.offline && self.goal != Goal::Finished {
            self.offline = true;
            // While offline, a missing response is no sign of a wrong URL.
            self.never_answered_at = Millis::MAX;
            self.waiting(None, WaitReason::Offline);
        }
    }

    /// Reports that the network is back, and continues immediately. An earlier request may hang on a dead connection,
    /// so it is cancelled and the offset queried. A creation continues, because a second one would create another
    /// upload.
    pub fn handle_online(&mut self, now: Millis) {
        self.tick(now);
        if !self.offline {
            return;
        }
        self.offline = false;
        self.end_wait();
        if let Some(Wait { until, reason, .. }) = self.wait {
            self.waiting(Some(until), reason);
        }
        if self
            .in_flight
            .is_some_and(|it| it.purpose != Purpose::Create)
        {
            self.cancel();
            self.query_offset();
        }
        if self.is_idle() {
            self.resumed();
        }
    }

    /// Reports that the sender may be closed before a response arrives, and a request in flight with it. The request
    /// is cancelled, and its bytes are sent again together with newer ones in a request that the adapter must keep
    /// alive.
    pub fn handle_closing(&mut self, now: Millis) {
        self.tick(now);
        let is_sending = |it: InFlight| matches!(it.purpose, Purpose::Send { .. });
        if self.in_flight.is_some_and(is_sending) {
            self.cancel();
        }
    }

    /// Reports that a new access token is in use.
    pub fn handle_token_renewed(&mut self, now: Millis) {
        self.tick(now);
        if self.token != Token::Valid {
            self.token = Token::Valid;
            self.renewed_at = Some(self.now);
            self.end_wait();
        }
    }

    /// Reports that a different access token is in use, which counts separately if it is rejected. Several different
    /// tokens rejected in a row are final: their age is not the reason.
    pub fn handle_token_changed(&mut self, now: Millis) {
        let is_wanted = self.token != Token::Valid;
        self.handle_token_renewed(now);
        if is_wanted && self.changes < TOKEN_CHANGES {
            self.changes += 1;
            self.renewed_at = None;
        }
    }

    /// Reports that no new access token could be obtained.
    pub fn handle_token_failed(&mut self, now: Millis, failure: RenewalFailure) {
        self.tick(now);
        if self.token != Token::Requested || self.goal == Goal::Finished {
            return;
        }
        self.token = Token::Needed;
        match failure {
            RenewalFailure::Refused if self.waits_for_sign_in() => {
                self.retry(WaitReason::Token, None);
            }
            RenewalFailure::Refused => self.fail(FailureReason::Unauthorized),
            RenewalFailure::Unreachable => self.retry(WaitReason::Network, None),
        }
    }

    /// Abandons the upload and cancels a request in flight. [`Notice::Abandoned`] follows immediately, or after the
    /// deletion.
    pub fn handle_abandon(&mut self, now: Millis, what: Abandon) {
        self.tick(now);
        if self.goal == Goal::Finished {
            return;
        }
        self.cancel();
        if what == Abandon::DeleteOnServer && self.url.is_some() {
            self.goal = Goal::Delete;
            self.backoff.reset();
            self.end_wait();
        } else {
            let deleted = what == Abandon::DeleteOnServer && self.next_request == 0;
            self.finish(Notice::Abandoned { deleted });
        }
    }

    /// Reports that the time of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Millis) {
        self.tick(now);
        if self.wait.is_some_and(|wait| wait.until <= self.now) {
            self.wait = None;
        }
        if let Some(flight) = self.in_flight.filter(|it| it.deadline <= self.now) {
            self.cancel();
            self.request_failed(flight.purpose, WaitReason::Timeout);
        } else if let Some(flight) = &mut self.in_flight
            && flight.report_at.is_some_and(|at| at <= self.now)
        {
            flight.report_at = None;
            let until = flight.deadline;
            if !self.offline {
                self.waiting(Some(until), WaitReason::Timeout);
            }
        }
        if self.keep_alive_at().is_some_and(|at| at <= self.now) {
            self.query_offset();
        }
    }

    /// Returns the next command.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front().or_else(|| self.next_command())
    }

    /// Returns the next notice, oldest first.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Returns the time at which [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let deadline = self.in_flight.map(|flight| flight.deadline);
        let report = self.in_flight.and_then(|flight| flight.report_at);
        let wait = self.wait.map(|wait| wait.until);
        let keep_alive = self.keep_alive_at();
        let times = deadline.into_iter().chain(report).chain(wait);
        times.chain(keep_alive).min()
    }

    /// Returns the URL of the upload, once it exists.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Returns the number of durable bytes on the server, as of its last response.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Whether the last notice has been emitted.
    pub fn is_finished(&self) -> bool {
        self.goal == Goal::Finished
    }

    /// Time of the next keep-alive request for an upload with nothing to send.
    fn keep_alive_at(&self) -> Option<Millis> {
        let contact = self.last_contact.filter(|_| {
            self.wait.is_none() && !self.offline && self.token == Token::Valid && self.is_idle()
        })?;
        Some(contact.saturating_add(self.keep_alive_ms))
    }

    /// Whether the upload waits for a sign-in after a rejected token. An abandoned upload does not.
    fn waits_for_sign_in(&self) -> bool {
        self.config.wait_for_sign_in && self.goal != Goal::Delete
    }

    /// Ends a wait, unless the server requested it.
    fn end_wait(&mut self) {
        self.wait = self.wait.filter(|wait| wait.imposed);
    }

    fn tick(&mut self, now: Millis) {
        self.now = self.now.max(now);
    }

    /// Removes and returns the request in flight if it has this identifier.
    fn take_in_flight(&mut self, request: RequestId) -> Option<InFlight> {
        self.in_flight.take_if(|flight| flight.request == request)
    }

    fn cancel(&mut self) {
        if let Some(InFlight { request, .. }) = self.in_flight.take() {
            self.commands.push_back(Command::Cancel { request });
        }
    }

    /// Makes the next request query the offset.
    fn query_offset(&mut self) {
        if self.goal == Goal::Send {
            self.goal = Goal::QueryOffset;
        }
    }

    fn waiting(&mut self, until: Option<Millis>, reason: WaitReason) {
        self.waiting_reported = true;
        self.notices.push_back(Notice::Waiting { until, reason });
    }

    fn fail(&mut self, reason: FailureReason) {
        if self.goal == Goal::Delete {
            self.finish(Notice::Abandoned { deleted: false });
        } else {
            self.finish(Notice::Failed { reason });
        }
    }

    fn finish(&mut self, last: Notice) {
        self.cancel();
        self.wait = None;
        self.goal = Goal::Finished;
        self.notices.push_back(last);
    }
}
