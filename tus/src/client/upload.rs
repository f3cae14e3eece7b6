//! The upload machine.

use std::collections::VecDeque;

use super::access_token::{AccessToken, TokenState};
use super::backoff::Backoff;
use super::body_limit::BodyLimit;
use super::in_flight::{InFlight, Purpose};
use super::location;
use super::notice_queue::NoticeQueue;
use super::offsets::Offsets;
use super::reaction::Reaction;
use super::{
    Command, Config, FailureReason, Millis, Notice, RequestId, Response, Start, UploadLength,
    WaitReason,
};

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
    /// [`Start::Create`], kept in case the upload must be created again.
    creation: Option<Start>,
    url: Option<String>,
    goal: Goal,
    in_flight: Option<InFlight>,
    wait: Option<Wait>,
    token: AccessToken,
    recreated: u32,
    offsets: Offsets,
    /// Time of the last response about this upload; `None` before the first.
    last_contact: Option<Millis>,
    /// Longest time without a request.
    keep_alive_ms: Millis,
    /// Whether [`Notice::StoppedByServer`] was emitted.
    stopped: bool,
    body_limit: BodyLimit,
    backoff: Backoff,
    next_request: u64,
    commands: VecDeque<Command>,
    notices: NoticeQueue,
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

/// Number of times that an upload that vanished while empty is created again.
const RECREATIONS: u32 = 3;

/// Lower bound for the keep-alive interval.
const MIN_KEEP_ALIVE_MS: Millis = 1_000;

/// Number of consecutive failures after which an abandoned upload is left to expire.
const DELETE_ATTEMPTS: u32 = 5;

impl Upload {
    /// Creates a machine at the time `now`. `seed` spreads the waits after failures and should differ between uploads.
    pub fn new(now: Millis, start: Start, config: Config, seed: u64) -> Self {
        let mut notices = NoticeQueue::new(now);
        let mut contact = None;
        let (goal, url, creation, length) = match start {
            Start::Create { length, .. } => (Goal::Create, None, Some(start), length),
            Start::Fresh { url, length } => {
                // The caller has just created the upload, so the URL is right.
                notices.url_is_right();
                contact = Some(now);
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
            token: AccessToken::default(),
            recreated: 0,
            offsets: Offsets::new(length),
            last_contact: contact,
            keep_alive_ms: config.keep_alive_ms.max(MIN_KEEP_ALIVE_MS),
            stopped: false,
            body_limit: BodyLimit::new(&config),
            backoff: Backoff::new(config.backoff_base_ms, config.backoff_cap_ms, seed),
            next_request: 0,
            commands: VecDeque::new(),
            notices,
            config,
        }
    }

    /// Reports that `total` bytes are available, counted from the start of the sequence. Ignored if it is less than
    /// before, or after [`handle_end`](Self::handle_end).
    pub fn handle_available(&mut self, now: Millis, total: u64) {
        self.tick(now);
        let offsets = &mut self.offsets;
        if !offsets.ended {
            offsets.available = offsets.available.max(total);
        }
        self.check_completion();
    }

    /// Reports that no more bytes will follow, so that the length can be declared to the server.
    pub fn handle_end(&mut self, now: Millis) {
        self.tick(now);
        self.offsets.ended = true;
        self.check_completion();
    }

    /// Reports that the bytes below `up_to` were dropped. Only acknowledged bytes may be dropped.
    pub fn handle_released(&mut self, up_to: u64) {
        self.offsets.released = self.offsets.released.max(up_to);
    }

    /// Handles the response to a request.
    pub fn handle_response(&mut self, now: Millis, request: RequestId, response: &Response) {
        self.tick(now);
        if let Some(flight) = self.take_in_flight(request) {
            self.react(flight.purpose, response);
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
        if !self.notices.offline && self.goal != Goal::Finished {
            self.notices.offline = true;
            // While offline, a missing response is no sign of a wrong URL.
            self.notices.url_is_right();
            self.notices.waiting(None, WaitReason::Offline);
        }
    }

    /// Reports that the network is back, and continues immediately. An earlier request may hang on a dead connection,
    /// so it is cancelled and the offset queried. A creation continues, because a second one would create another
    /// upload.
    pub fn handle_online(&mut self, now: Millis) {
        self.tick(now);
        if !std::mem::take(&mut self.notices.offline) {
            return;
        }
        self.end_wait();
        if let Some(Wait { until, reason, .. }) = self.wait {
            self.notices.waiting(Some(until), reason);
        }
        if self
            .in_flight
            .is_some_and(|it| it.purpose != Purpose::Create)
        {
            self.cancel();
            self.query_offset();
        }
        if self.is_idle() {
            self.notices.resumed();
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
        if self.token.renewed(self.now) {
            self.end_wait();
        }
    }

    /// Reports that a different access token is in use, which counts separately if it is rejected. Several different
    /// tokens rejected in a row are final: their age is not the reason.
    pub fn handle_token_changed(&mut self, now: Millis) {
        self.tick(now);
        if self.token.changed(self.now) {
            self.end_wait();
        }
    }

    /// Reports that no new access token could be obtained.
    pub fn handle_token_failed(&mut self, now: Millis, failure: RenewalFailure) {
        self.tick(now);
        if self.token.state != TokenState::Requested || self.goal == Goal::Finished {
            return;
        }
        self.token.state = TokenState::Needed;
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
            if !self.notices.offline {
                self.notices.waiting(Some(until), WaitReason::Timeout);
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
        self.notices.pop()
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
        self.offsets.acknowledged
    }

    /// Whether the last notice has been emitted.
    pub fn is_finished(&self) -> bool {
        self.goal == Goal::Finished
    }

    /// Time of the next keep-alive request for an upload with nothing to send.
    fn keep_alive_at(&self) -> Option<Millis> {
        let contact = self.last_contact.filter(|_| {
            let is_held_up = self.wait.is_some() || self.notices.offline;
            !is_held_up && self.token.state == TokenState::Valid && self.is_idle()
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
        self.notices.push(last);
    }

    // Commands.

    fn next_command(&mut self) -> Option<Command> {
        let held_up = self.in_flight.is_some() || self.wait.is_some() || self.notices.offline;
        if held_up || self.goal == Goal::Finished || self.token.state == TokenState::Requested {
            return None;
        }
        if self.token.state == TokenState::Needed {
            self.token.state = TokenState::Requested;
            let request = self.name_request();
            return Some(Command::RenewToken { request });
        }
        match self.goal {
            Goal::Create => self.create(),
            Goal::Send => self.send(),
            Goal::QueryOffset => {
                let url = self.url.clone()?;
                let request = self.launch(Purpose::QueryOffset);
                Some(Command::Head { request, url })
            }
            Goal::Delete => {
                let url = self.url.clone()?;
                let request = self.launch(Purpose::Delete);
                Some(Command::Delete { request, url })
            }
            Goal::Finished => None,
        }
    }

    fn create(&mut self) -> Option<Command> {
        let Some(Start::Create {
            endpoint,
            mut length,
            metadata,
        }) = self.creation.clone()
        else {
            return None;
        };
        if self.offsets.ended && length == UploadLength::Deferred {
            length = UploadLength::Known(self.offsets.available);
        }
        self.offsets.length = length;
        Some(Command::Create {
            request: self.launch(Purpose::Create),
            endpoint,
            length,
            metadata,
        })
    }

    fn send(&mut self) -> Option<Command> {
        let url = self.url.clone()?;
        let (len, declared) = self.offsets.unsent();
        if len == 0 && declared.is_none() {
            return None;
        }
        let offset = self.offsets.acknowledged;
        let len = len.min(self.body_limit.limit);
        Some(Command::Patch {
            request: self.launch(Purpose::Send {
                offset,
                len,
                declared,
            }),
            url,
            offset,
            len,
            declare_length: declared,
        })
    }

    /// Whether nothing remains to be done until more bytes are available.
    fn is_idle(&self) -> bool {
        self.goal == Goal::Send && self.in_flight.is_none() && self.offsets.unsent() == (0, None)
    }

    fn launch(&mut self, purpose: Purpose) -> RequestId {
        let request = self.name_request();
        self.in_flight = Some(InFlight::new(request, purpose, self.now, &self.config));
        request
    }

    fn name_request(&mut self) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        request
    }

    /// Finishes the upload if it is complete, and fails it if it can never be.
    fn check_completion(&mut self) {
        if matches!(self.goal, Goal::Send | Goal::QueryOffset) {
            match self.offsets.outcome(self.goal == Goal::Send) {
                Some(Ok(())) => self.finish(Notice::Done),
                Some(Err(reason)) => self.fail(reason),
                None => {}
            }
        }
    }

    // Responses.

    fn react(&mut self, purpose: Purpose, response: &Response) {
        let status = response.status;
        let pause = response.retry_after_ms;
        // A success without any tus header may come from a captive portal.
        if status >= 400 || response.offset.is_some() || response.location.is_some() {
            self.notices.url_is_right();
        }
        match Reaction::to(purpose, response, self.waits_for_sign_in()) {
            Reaction::Accept => self.accepted(purpose, response),
            Reaction::RenewToken => self.unauthorized(response),
            Reaction::Deleted => self.finish(Notice::Abandoned { deleted: true }),
            Reaction::Gone => self.gone(status),
            Reaction::Recheck(reason) => self.recheck(reason),
            Reaction::TooLarge => self.too_large(purpose, response),
            Reaction::Shrink(reason) => {
                self.shrink(purpose);
                self.retry(reason, pause);
            }
            Reaction::Retry(reason) => self.retry(reason, pause),
            Reaction::Fail(reason) => self.fail(reason),
        }
    }

    /// Handles a request without a response, whose effect on the server is unknown.
    fn request_failed(&mut self, purpose: Purpose, reason: WaitReason) {
        self.shrink(purpose);
        self.retry(reason, None);
    }

    /// Retries after a wait, with a query of the offset.
    fn retry(&mut self, reason: WaitReason, pause: Option<Millis>) {
        self.query_offset();
        let wait = self.backoff.next().max(pause.unwrap_or_default());
        if self.given_up(reason) {
            return;
        }
        let until = self.now.saturating_add(wait);
        self.wait = Some(Wait {
            until,
            reason,
            imposed: pause.is_some(),
        });
        self.notices.retrying(self.now, until, reason);
    }

    /// Queries the offset after a contradictory response: immediately at first, and with backoff if the contradiction
    /// persists.
    fn recheck(&mut self, reason: WaitReason) {
        if self.backoff.failures > 0 {
            return self.retry(reason, None);
        }
        self.query_offset();
        self.backoff.count();
        self.given_up(reason);
    }

    fn given_up(&mut self, last: WaitReason) -> bool {
        let attempts = self.backoff.failures;
        let limit = match self.goal {
            Goal::Delete => Some(DELETE_ATTEMPTS),
            _ => self.config.give_up_after,
        };
        let over = limit.is_some_and(|limit| attempts >= limit);
        if over {
            self.fail(FailureReason::GaveUp { attempts, last });
        }
        over
    }

    fn accepted(&mut self, purpose: Purpose, response: &Response) {
        if response.tus || response.offset.is_some() {
            self.last_contact = Some(self.now);
        }
        if let Some(silence) = response.silence_ms {
            let third = (silence / 3).max(MIN_KEEP_ALIVE_MS);
            self.keep_alive_ms = self.keep_alive_ms.min(third);
        }
        if response.stopped && !self.offsets.ended && !std::mem::replace(&mut self.stopped, true) {
            self.notices.push(Notice::StoppedByServer);
        }
        match purpose {
            Purpose::Create => self.created(response),
            Purpose::QueryOffset => self.offset_received(response),
            Purpose::Send {
                offset,
                len,
                declared,
            } => self.sent(offset, len, declared, response),
            Purpose::Delete => self.finish(Notice::Abandoned { deleted: true }),
        }
    }

    fn created(&mut self, response: &Response) {
        let status = response.status;
        let Some(location) = &response.location else {
            // Only 201 means that an upload was certainly created, which must not be created twice.
            return if status == 201 {
                self.fail(FailureReason::NoLocation)
            } else {
                self.retry(WaitReason::NotTus { status }, response.retry_after_ms)
            };
        };
        let Some(Start::Create { endpoint, .. }) = &self.creation else {
            return;
        };
        let url = location::resolve(endpoint, location);
        self.url = Some(url.clone());
        self.goal = Goal::Send;
        self.token.accepted();
        self.notices.resumed();
        self.notices.push(Notice::Created { url });
    }

    fn offset_received(&mut self, response: &Response) {
        let status = response.status;
        let Some(offset) = response.offset else {
            return self.retry(WaitReason::NotTus { status }, response.retry_after_ms);
        };
        if let Some(length) = response.length {
            self.offsets.length = length;
        }
        self.goal = Goal::Send;
        self.move_to(offset);
        // A successful HEAD does not prove that sending works again, unless there is nothing to send.
        if self.is_idle() {
            self.notices.resumed();
        }
    }

    fn sent(&mut self, offset: u64, len: u64, declared: Option<u64>, response: &Response) {
        let status = response.status;
        let pause = response.retry_after_ms;
        let Some(now_at) = response.offset else {
            return self.retry(WaitReason::NotTus { status }, pause);
        };
        if let Some(declared) = declared {
            self.offsets.length = UploadLength::Known(declared);
        }
        self.token.accepted();
        if len > 0 && now_at == offset {
            // Repeated success without progress would be a busy loop.
            return self.retry(WaitReason::Server { status }, pause);
        }
        self.body_limit.succeeded(now_at.saturating_sub(offset));
        self.notices.resumed();
        self.move_to(now_at);
    }

    /// Adopts the server's offset, which is authoritative.
    fn move_to(&mut self, offset: u64) {
        let Offsets {
            available,
            acknowledged,
            released,
            ..
        } = self.offsets;
        if offset > available {
            return self.fail(FailureReason::ServerAhead { offset, available });
        }
        if offset < acknowledged {
            self.offsets.acknowledged = offset;
            // If the bytes were dropped here, too, `check_completion` fails the upload.
            if offset >= released {
                self.notices.push(Notice::ServerLostBytes {
                    acknowledged,
                    offset,
                });
                self.retry(WaitReason::LostBytes, None);
            }
        } else if offset > acknowledged {
            if self.offsets.advance(offset) {
                self.backoff.reset();
            }
            self.notices.resumed();
            self.notices.push(Notice::Acknowledged { offset });
        }
    }

    fn unauthorized(&mut self, response: &Response) {
        self.query_offset();
        if !self.token.rejected(self.now) {
            self.notices.waiting(None, WaitReason::Token);
        } else if self.waits_for_sign_in() {
            self.retry(WaitReason::Token, response.retry_after_ms);
        } else {
            self.fail(FailureReason::Unauthorized);
        }
    }

    fn gone(&mut self, status: u16) {
        let untouched = self.offsets.acknowledged == 0 && self.offsets.released == 0;
        if self.creation.is_none() || !untouched || self.recreated >= RECREATIONS {
            return self.fail(FailureReason::Gone { status });
        }
        self.recreated += 1;
        self.url = None;
        self.goal = Goal::Create;
        self.retry(WaitReason::Gone, None);
    }

    fn too_large(&mut self, purpose: Purpose, response: &Response) {
        match purpose {
            // The response comes from a proxy with a body size limit; smaller bodies may pass.
            Purpose::Send { len, .. } if !response.tus && self.body_limit.can_shrink_below(len) => {
                self.shrink(purpose);
                self.retry(WaitReason::PieceTooLarge, None);
            }
            _ => self.fail(FailureReason::TooLarge),
        }
    }

    fn shrink(&mut self, purpose: Purpose) {
        if let Purpose::Send { len, .. } = purpose {
            self.body_limit.failed(len);
        }
    }
}
