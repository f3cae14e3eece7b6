//! The upload machine: its state and its inputs. Answers are judged in [`answer`], the next step is found in
//! [`next`].

mod answer;
mod next;

use std::collections::VecDeque;

use super::backoff::Backoff;
use super::flight::{Flight, Purpose};
use super::sizing::Sizing;
use super::{
    Command, Config, FailureReason, Millis, Notice, RequestId, Response, Start, UploadLength,
    WaitReason,
};
use crate::metadata::Metadata;

/// Gets one run of bytes to one tus upload.
///
/// The machine only deals in numbers of bytes; the bytes stay with the caller until
/// [`Notice::Acknowledged`] says that they may be dropped. There is one request at a time: what arrives
/// meanwhile goes together in the next one.
///
/// # Order of calls
/// 1. Tell it what is known: [`handle_available`](Self::handle_available),
///    [`handle_released`](Self::handle_released), [`handle_end`](Self::handle_end). For
///    [`Start::Resume`] this must come before the first command is polled.
/// 2. After every `handle_*`, poll [`poll_command`](Self::poll_command) and
///    [`poll_notice`](Self::poll_notice) until they return `None`, then set one timer to
///    [`poll_timeout`](Self::poll_timeout); it replaces the last one.
/// 3. When the timer fires, call [`handle_timeout`](Self::handle_timeout); too early does no harm.
///
/// `now` never runs backwards for the machine: the latest time it was given counts. Inputs after the last
/// notice ([`Notice::Done`], [`Notice::Abandoned`] or [`Notice::Failed`]) and answers to requests that are no
/// longer under way are ignored.
#[derive(Debug)]
pub struct Upload {
    config: Config,
    now: Millis,
    creation: Option<Creation>,
    url: Option<String>,
    goal: Goal,
    flight: Option<Flight>,
    wait: Option<Wait>,
    token: Token,
    /// When a token was last renewed, as long as no request that needs one has been accepted since.
    renewed_at: Option<Millis>,
    /// Different tokens in a row that were refused.
    changes: u32,
    offline: bool,
    /// When it is to be said that nobody has ever answered; never once somebody has, or it was said.
    answer_due: Millis,
    /// A [`Notice::Waiting`] was given that no [`Notice::Resumed`] has answered.
    troubled: bool,
    recreated: u32,
    available: u64,
    ended: bool,
    released: u64,
    /// Where the server is. Only the server's own word moves it.
    acknowledged: u64,
    /// The furthest the server has ever been: only what goes beyond is progress.
    furthest: u64,
    /// When the server last heard of this upload; nothing before its first answer about it.
    contact: Option<Millis>,
    /// Longest time without a request.
    keep_alive_ms: Millis,
    /// [`Notice::StoppedByServer`] was given.
    stopped: bool,
    /// What the server is known to believe.
    length: UploadLength,
    sizing: Sizing,
    backoff: Backoff,
    next_request: u64,
    commands: VecDeque<Command>,
    notices: VecDeque<Notice>,
}

/// What to do with an upload nobody wants to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abandon {
    /// Leave it as it is; it can be resumed later.
    KeepOnServer,
    /// Delete it. An upload whose creation was still under way may be left over, to expire on the server.
    DeleteOnServer,
}

/// Why there is no new token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalFailure {
    /// There will be none without the person: the upload fails.
    Refused,
    /// Whoever issues tokens cannot be reached: try again later.
    Unreachable,
}

/// What an upload is created with; kept in case it has to be created again.
#[derive(Clone, Debug)]
struct Creation {
    endpoint: String,
    length: UploadLength,
    metadata: Metadata,
}

/// What the next request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Create,
    /// The offset is in doubt.
    Ask,
    Send,
    Delete,
    Finished,
}

/// No request before this time.
#[derive(Clone, Copy, Debug)]
struct Wait {
    until: Millis,
    reason: WaitReason,
    /// The server asked for it (`Retry-After`), so coming back online does not end it.
    imposed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// No reason to doubt it.
    Good,
    /// A new one is to be asked for.
    Wanted,
    /// A new one is on its way.
    Asked,
}

/// So many different tokens that were refused in a row are asked to be replaced.
const TOKEN_CHANGES: u32 = 4;

/// After so long without a proper answer, from the beginning on, the address may be wrong.
const FIRST_ANSWER_MS: Millis = 3_000;

/// Shortest interval of the keep-alive, whatever the server says.
const MIN_KEEP_ALIVE_MS: Millis = 1_000;

/// Failures in a row after which an unwanted upload is left to expire instead of being deleted.
const DELETE_ATTEMPTS: u32 = 5;

impl Upload {
    /// A machine at the time `now`. `seed` spreads the waits after failures: give every upload another one.
    pub fn new(now: Millis, start: Start, config: Config, seed: u64) -> Self {
        let mut answer_due = now.saturating_add(FIRST_ANSWER_MS);
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
                // Somebody has just made it there.
                answer_due = Millis::MAX;
                (Goal::Send, Some(url), None, length)
            }
            Start::Resume { url } => (Goal::Ask, Some(url), None, UploadLength::Deferred),
        };
        Self {
            now,
            creation,
            url,
            goal,
            flight: None,
            wait: None,
            token: Token::Good,
            renewed_at: None,
            changes: 0,
            offline: false,
            answer_due,
            troubled: false,
            recreated: 0,
            available: 0,
            ended: false,
            released: 0,
            acknowledged: 0,
            furthest: 0,
            contact,
            keep_alive_ms: config.keep_alive_ms.max(MIN_KEEP_ALIVE_MS),
            stopped: false,
            length,
            sizing: Sizing::new(&config),
            backoff: Backoff::new(config.backoff_base_ms, config.backoff_cap_ms, seed),
            next_request: 0,
            commands: VecDeque::new(),
            notices: VecDeque::new(),
            config,
        }
    }

    /// There are `total` bytes now, counted from the start of the run. Less than before is ignored, and so is
    /// more after [`handle_end`](Self::handle_end).
    pub fn handle_available(&mut self, now: Millis, total: u64) {
        self.tick(now);
        if !self.ended {
            self.available = self.available.max(total);
        }
        self.settle();
    }

    /// No more bytes will come: what is available is all, and its length is declared to the server.
    pub fn handle_end(&mut self, now: Millis) {
        self.tick(now);
        self.ended = true;
        self.settle();
    }

    /// The bytes below `up_to` are no longer kept here. Only acknowledged ones may be dropped.
    pub fn handle_released(&mut self, up_to: u64) {
        self.released = self.released.max(up_to);
    }

    /// The answer to a request.
    pub fn handle_response(&mut self, now: Millis, request: RequestId, response: &Response) {
        self.tick(now);
        if let Some(flight) = self.land(request) {
            self.judge(flight.purpose, response);
            self.settle();
        }
    }

    /// A request ended without an answer.
    pub fn handle_failure(&mut self, now: Millis, request: RequestId) {
        self.tick(now);
        if let Some(flight) = self.land(request) {
            self.lost(flight.purpose, WaitReason::Network);
        }
    }

    /// `sent` bytes of the request's body have left: a slow body then gets more time. Optional.
    pub fn handle_progress(&mut self, now: Millis, request: RequestId, sent: u64) {
        self.tick(now);
        if let Some(flight) = self.flight.as_mut().filter(|it| it.request == request) {
            flight.progressed(sent, self.now, &self.config);
        }
    }

    /// There is no network. Nothing is sent until [`handle_online`](Self::handle_online); a request under
    /// way is left alone.
    pub fn handle_offline(&mut self, now: Millis) {
        self.tick(now);
        if !self.offline && self.goal != Goal::Finished {
            self.offline = true;
            // Nobody is to blame, and whoever has waited for a network waits on.
            self.answer_due = Millis::MAX;
            self.waiting(None, WaitReason::Offline);
        }
    }

    /// The network is back: go on at once. A request from before may hang on a dead connection, so it is
    /// cancelled and the offset asked; only a creation is left alone, which would make a second upload.
    pub fn handle_online(&mut self, now: Millis) {
        self.tick(now);
        if !self.offline {
            return;
        }
        self.offline = false;
        self.hurry();
        if let Some(Wait { until, reason, .. }) = self.wait {
            self.waiting(Some(until), reason);
        }
        if self.flight.is_some_and(|it| it.purpose != Purpose::Create) {
            self.cancel();
            self.doubt();
        }
        if self.is_idle() {
            self.resumed();
        }
    }

    /// Whoever sends may be gone before an answer comes, and take the request under way along. It is given up, and
    /// what it had goes again with what has come since: the adapter sees to it that this one outlives the sender.
    pub fn handle_leaving(&mut self, now: Millis) {
        self.tick(now);
        let is_sending = |it: Flight| matches!(it.purpose, Purpose::Send { .. });
        if self.flight.is_some_and(is_sending) {
            self.cancel();
        }
    }

    /// A new access token is in use.
    pub fn handle_token_renewed(&mut self, now: Millis) {
        self.tick(now);
        if self.token != Token::Good {
            self.token = Token::Good;
            self.renewed_at = Some(self.now);
            self.hurry();
        }
    }

    /// The same, and it is another token than the one before: should it be refused, too, the next one may do. Some
    /// that are refused in a row are final all the same: then it is not about their age.
    pub fn handle_token_changed(&mut self, now: Millis) {
        let is_wanted = self.token != Token::Good;
        self.handle_token_renewed(now);
        if is_wanted && self.changes < TOKEN_CHANGES {
            self.changes += 1;
            self.renewed_at = None;
        }
    }

    /// There is no new access token.
    pub fn handle_token_failed(&mut self, now: Millis, failure: RenewalFailure) {
        self.tick(now);
        if self.token != Token::Asked || self.goal == Goal::Finished {
            return;
        }
        self.token = Token::Wanted;
        match failure {
            RenewalFailure::Refused if self.waits_for_sign_in() => {
                self.retry(WaitReason::Token, None);
            }
            RenewalFailure::Refused => self.fail(FailureReason::Unauthorized),
            RenewalFailure::Unreachable => self.retry(WaitReason::Network, None),
        }
    }

    /// Stop. A request under way is cancelled. [`Notice::Abandoned`] follows: at once, or after the deletion.
    pub fn handle_abandon(&mut self, now: Millis, what: Abandon) {
        self.tick(now);
        if self.goal == Goal::Finished {
            return;
        }
        self.cancel();
        if what == Abandon::DeleteOnServer && self.url.is_some() {
            self.goal = Goal::Delete;
            self.backoff.reset();
            self.hurry();
        } else {
            let deleted = what == Abandon::DeleteOnServer && self.next_request == 0;
            self.finish(Notice::Abandoned { deleted });
        }
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Millis) {
        self.tick(now);
        if self.wait.is_some_and(|wait| wait.until <= self.now) {
            self.wait = None;
        }
        if let Some(flight) = self.flight.filter(|it| it.deadline <= self.now) {
            self.cancel();
            self.lost(flight.purpose, WaitReason::Timeout);
        } else if let Some(flight) = &mut self.flight
            && flight.report_at.is_some_and(|at| at <= self.now)
        {
            flight.report_at = None;
            let until = flight.deadline;
            if !self.offline {
                self.waiting(Some(until), WaitReason::Timeout);
            }
        }
        if self.keep_alive_at().is_some_and(|at| at <= self.now) {
            self.doubt();
        }
    }

    /// What to do next, if anything.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front().or_else(|| self.next_command())
    }

    /// What has happened, oldest first.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let deadline = self.flight.map(|flight| flight.deadline);
        let report = self.flight.and_then(|flight| flight.report_at);
        let wait = self.wait.map(|wait| wait.until);
        let keep_alive = self.keep_alive_at();
        let times = deadline.into_iter().chain(report).chain(wait);
        times.chain(keep_alive).min()
    }

    /// The upload, once it exists.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// How many bytes the server holds durably, as far as is known.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Whether the last notice has been given.
    pub fn is_finished(&self) -> bool {
        self.goal == Goal::Finished
    }

    /// When the server must hear of an upload that has nothing to send.
    fn keep_alive_at(&self) -> Option<Millis> {
        let contact = self.contact.filter(|_| {
            self.wait.is_none() && !self.offline && self.token == Token::Good && self.is_idle()
        })?;
        Some(contact.saturating_add(self.keep_alive_ms))
    }

    /// Whether the upload waits after a refused sign-in. An upload that is to be deleted is left to the server instead.
    fn waits_for_sign_in(&self) -> bool {
        self.config.wait_for_sign_in && self.goal != Goal::Delete
    }

    /// Ends a wait, unless the server asked for it.
    fn hurry(&mut self) {
        self.wait = self.wait.filter(|wait| wait.imposed);
    }

    fn tick(&mut self, now: Millis) {
        self.now = self.now.max(now);
    }

    /// Takes the request out of the air, if it is the one that is.
    fn land(&mut self, request: RequestId) -> Option<Flight> {
        self.flight.take_if(|flight| flight.request == request)
    }

    fn cancel(&mut self) {
        if let Some(Flight { request, .. }) = self.flight.take() {
            self.commands.push_back(Command::Cancel { request });
        }
    }

    /// The server's offset must be asked before anything else is sent.
    fn doubt(&mut self) {
        if self.goal == Goal::Send {
            self.goal = Goal::Ask;
        }
    }

    fn waiting(&mut self, until: Option<Millis>, reason: WaitReason) {
        self.troubled = true;
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
