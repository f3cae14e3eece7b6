//! What an answer, or the lack of one, means for the upload. Every status has one reaction.

use super::super::location;
use super::{
    DELETE_ATTEMPTS, FailureReason, Goal, MIN_KEEP_ALIVE_MS, Millis, Notice, Purpose, Response,
    Token, Upload, UploadLength, Wait, WaitReason,
};

/// A second 401 this soon after a new token is about the caller's rights, not about the token's age.
const TOKEN_GRACE_MS: Millis = 30_000;

/// How often an upload that vanished empty is created anew.
const RECREATIONS: u32 = 3;

impl Upload {
    pub(super) fn judge(&mut self, purpose: Purpose, response: &Response) {
        let status = response.status;
        let pause = response.retry_after_ms;
        // Success without either is a page of somebody else's.
        if status >= 400 || response.offset.is_some() || response.location.is_some() {
            self.answer_due = Millis::MAX;
        }
        match status {
            200..=299 => self.accepted(purpose, response),
            401 => self.unauthorized(response),
            // What is gone need not be deleted.
            404 | 410 if purpose == Purpose::Delete => {
                self.finish(Notice::Abandoned { deleted: true });
            }
            404 | 410 if purpose != Purpose::Create => self.gone(status),
            // Another person's token, or one that has lost its scope: the upload was ours when it began.
            403 if self.waits_for_sign_in()
                && (purpose != Purpose::Create || response.invalid_token) =>
            {
                self.unauthorized(response);
            }
            403 => self.fail(FailureReason::Forbidden),
            409 if purpose != Purpose::Create => self.recheck(WaitReason::Conflict),
            412 => self.fail(FailureReason::Version),
            413 => self.too_large(purpose, response),
            460 => self.recheck(WaitReason::Checksum),
            408 | 502 | 504 => {
                self.shrink(purpose);
                self.retry(WaitReason::Server { status }, pause);
            }
            423 | 425 | 429 | 500..=599 => self.retry(WaitReason::Server { status }, pause),
            // A browser follows redirects by itself; what is left of them is no tus server's.
            ..=399 => self.retry(WaitReason::NotTus { status }, pause),
            _ => self.fail(FailureReason::Rejected { status }),
        }
    }

    /// A request ended without an answer: nobody knows what the server got of it.
    pub(super) fn lost(&mut self, purpose: Purpose, reason: WaitReason) {
        self.shrink(purpose);
        self.retry(reason, None);
    }

    /// Tries again after a wait, asking for the offset first.
    pub(super) fn retry(&mut self, reason: WaitReason, pause: Option<Millis>) {
        self.doubt();
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
        // Without a network the time means nothing: that notice has been given.
        if !self.offline {
            if self.answer_due <= self.now {
                self.answer_due = Millis::MAX;
                self.notices.push_back(Notice::NeverAnswered);
            }
            self.waiting(Some(until), reason);
        }
    }

    /// The server's view differs from ours: ask at once, but wait when that has not helped before.
    fn recheck(&mut self, reason: WaitReason) {
        if self.backoff.failures() > 0 {
            return self.retry(reason, None);
        }
        self.doubt();
        self.backoff.count();
        self.given_up(reason);
    }

    fn given_up(&mut self, last: WaitReason) -> bool {
        let attempts = self.backoff.failures();
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
            self.contact = Some(self.now);
        }
        if let Some(silence) = response.silence_ms {
            let third = (silence / 3).max(MIN_KEEP_ALIVE_MS);
            self.keep_alive_ms = self.keep_alive_ms.min(third);
        }
        if response.stopped && !self.ended && !std::mem::replace(&mut self.stopped, true) {
            self.notices.push_back(Notice::StoppedByServer);
        }
        match purpose {
            Purpose::Create => self.created(response),
            Purpose::Ask => self.told(response),
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
            // Only a 201 is sure to have created something that must not be created twice.
            return if status == 201 {
                self.fail(FailureReason::NoLocation)
            } else {
                self.retry(WaitReason::NotTus { status }, response.retry_after_ms)
            };
        };
        let Some(creation) = &self.creation else {
            return;
        };
        let url = location::resolve(&creation.endpoint, location);
        self.url = Some(url.clone());
        self.goal = Goal::Send;
        self.renewed_at = None;
        self.changes = 0;
        self.resumed();
        self.notices.push_back(Notice::Created { url });
    }

    fn told(&mut self, response: &Response) {
        let status = response.status;
        let Some(offset) = response.offset else {
            return self.retry(WaitReason::NotTus { status }, response.retry_after_ms);
        };
        if let Some(length) = response.length {
            self.length = length;
        }
        self.goal = Goal::Send;
        self.move_to(offset);
        // A HEAD alone does not show that sending works again, unless there is nothing to send.
        if self.is_idle() {
            self.resumed();
        }
    }

    fn sent(&mut self, offset: u64, len: u64, declared: Option<u64>, response: &Response) {
        let status = response.status;
        let pause = response.retry_after_ms;
        let Some(now_at) = response.offset else {
            return self.retry(WaitReason::NotTus { status }, pause);
        };
        if let Some(declared) = declared {
            self.length = UploadLength::Known(declared);
        }
        self.renewed_at = None;
        self.changes = 0;
        if len > 0 && now_at == offset {
            // Success that moves nothing, again and again, would be a busy loop.
            return self.retry(WaitReason::Server { status }, pause);
        }
        self.sizing.succeeded(now_at.saturating_sub(offset));
        self.resumed();
        self.move_to(now_at);
    }

    /// The server says where it is; it is always right.
    fn move_to(&mut self, offset: u64) {
        if offset > self.available {
            return self.fail(FailureReason::ServerAhead {
                offset,
                available: self.available,
            });
        }
        if offset < self.acknowledged {
            let acknowledged = std::mem::replace(&mut self.acknowledged, offset);
            // With the bytes gone here as well, `settle` ends the upload.
            if offset >= self.released {
                self.notices.push_back(Notice::ServerLostBytes {
                    acknowledged,
                    offset,
                });
                self.retry(WaitReason::LostBytes, None);
            }
        } else if offset > self.acknowledged {
            self.acknowledged = offset;
            if offset > self.furthest {
                self.furthest = offset;
                self.backoff.reset();
            }
            self.resumed();
            self.notices.push_back(Notice::Acknowledged { offset });
        }
    }

    pub(super) fn resumed(&mut self) {
        if !self.offline && std::mem::take(&mut self.troubled) {
            self.notices.push_back(Notice::Resumed);
        }
    }

    fn unauthorized(&mut self, response: &Response) {
        self.doubt();
        let renewed = |at| self.now - at < TOKEN_GRACE_MS;
        if self.renewed_at.is_some_and(renewed) {
            if !self.waits_for_sign_in() {
                return self.fail(FailureReason::Unauthorized);
            }
            self.token = Token::Wanted;
            return self.retry(WaitReason::Token, response.retry_after_ms);
        }
        self.token = Token::Wanted;
        self.waiting(None, WaitReason::Token);
    }

    fn gone(&mut self, status: u16) {
        let untouched = self.acknowledged == 0 && self.released == 0;
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
            // Not the tus server's word: a proxy has a limit for one body, and smaller ones may pass.
            Purpose::Send { len, .. } if !response.tus && self.sizing.can_shrink_below(len) => {
                self.shrink(purpose);
                self.retry(WaitReason::PieceTooLarge, None);
            }
            _ => self.fail(FailureReason::TooLarge),
        }
    }

    fn shrink(&mut self, purpose: Purpose) {
        if let Purpose::Send { len, .. } = purpose {
            self.sizing.failed(len);
        }
    }
}
