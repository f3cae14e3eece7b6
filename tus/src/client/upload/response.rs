//! Evaluation of responses and failures. Every status has one reaction.

use super::super::location;
use super::{
    DELETE_ATTEMPTS, FailureReason, Goal, MIN_KEEP_ALIVE_MS, Millis, Notice, Purpose, Response,
    Token, Upload, UploadLength, Wait, WaitReason,
};

/// A second 401 this soon after a token renewal means missing permissions, not an expired token.
const TOKEN_GRACE_MS: Millis = 30_000;

/// Number of times that an upload that vanished while empty is created again.
const RECREATIONS: u32 = 3;

impl Upload {
    pub(super) fn judge(&mut self, purpose: Purpose, response: &Response) {
        let status = response.status;
        let pause = response.retry_after_ms;
        // A success without any tus header may come from a captive portal.
        if status >= 400 || response.offset.is_some() || response.location.is_some() {
            self.never_answered_at = Millis::MAX;
        }
        match status {
            200..=299 => self.accepted(purpose, response),
            401 => self.unauthorized(response),
            // The upload is already deleted.
            404 | 410 if purpose == Purpose::Delete => {
                self.finish(Notice::Abandoned { deleted: true });
            }
            404 | 410 if purpose != Purpose::Create => self.gone(status),
            // The token belongs to another user or has lost its scope: the upload was permitted when it began.
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
            // Browsers follow redirects themselves; other redirects do not come from a tus server.
            ..=399 => self.retry(WaitReason::NotTus { status }, pause),
            _ => self.fail(FailureReason::Rejected { status }),
        }
    }

    /// Handles a request without a response, whose effect on the server is unknown.
    pub(super) fn request_failed(&mut self, purpose: Purpose, reason: WaitReason) {
        self.shrink(purpose);
        self.retry(reason, None);
    }

    /// Retries after a wait, with a query of the offset.
    pub(super) fn retry(&mut self, reason: WaitReason, pause: Option<Millis>) {
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
        // [`WaitReason::Offline`] was already reported, and without a network the time is meaningless.
        if !self.offline {
            if self.never_answered_at <= self.now {
                self.never_answered_at = Millis::MAX;
                self.notices.push_back(Notice::NeverAnswered);
            }
            self.waiting(Some(until), reason);
        }
    }

    /// Queries the offset after a contradictory response: immediately at first, and with backoff if the contradiction
    /// persists.
    fn recheck(&mut self, reason: WaitReason) {
        if self.backoff.failures() > 0 {
            return self.retry(reason, None);
        }
        self.query_offset();
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
            self.last_contact = Some(self.now);
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

    fn offset_received(&mut self, response: &Response) {
        let status = response.status;
        let Some(offset) = response.offset else {
            return self.retry(WaitReason::NotTus { status }, response.retry_after_ms);
        };
        if let Some(length) = response.length {
            self.length = length;
        }
        self.goal = Goal::Send;
        self.move_to(offset);
        // A successful HEAD does not prove that sending works again, unless there is nothing to send.
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
            // Repeated success without progress would be a busy loop.
            return self.retry(WaitReason::Server { status }, pause);
        }
        self.body_limit.succeeded(now_at.saturating_sub(offset));
        self.resumed();
        self.move_to(now_at);
    }

    /// Adopts the server's offset, which is authoritative.
    fn move_to(&mut self, offset: u64) {
        if offset > self.available {
            return self.fail(FailureReason::ServerAhead {
                offset,
                available: self.available,
            });
        }
        if offset < self.acknowledged {
            let acknowledged = std::mem::replace(&mut self.acknowledged, offset);
            // If the bytes were dropped here, too, `check_completion` fails the upload.
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
        if !self.offline && std::mem::take(&mut self.waiting_reported) {
            self.notices.push_back(Notice::Resumed);
        }
    }

    fn unauthorized(&mut self, response: &Response) {
        self.query_offset();
        let renewed = |at| self.now - at < TOKEN_GRACE_MS;
        if self.renewed_at.is_some_and(renewed) {
            if !self.waits_for_sign_in() {
                return self.fail(FailureReason::Unauthorized);
            }
            self.token = Token::Needed;
            return self.retry(WaitReason::Token, response.retry_after_ms);
        }
        self.token = Token::Needed;
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
