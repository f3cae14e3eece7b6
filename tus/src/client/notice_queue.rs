//! Queue of notices.

use std::collections::VecDeque;

use super::{Millis, Notice, WaitReason};

/// Time without a proper response since the start after which the URL may be wrong.
const FIRST_ANSWER_MS: Millis = 3_000;

/// Notices for the caller. Repeats neither that the upload resumed nor that no server answered.
#[derive(Debug)]
pub(super) struct NoticeQueue {
    queue: VecDeque<Notice>,
    pub(super) offline: bool,
    /// Whether a [`Notice::Waiting`] was emitted without a [`Notice::Resumed`] after it.
    waiting_reported: bool,
    /// Time at which [`Notice::NeverAnswered`] is due; `Millis::MAX` once a server has responded or it was emitted.
    never_answered_at: Millis,
}

impl NoticeQueue {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            queue: VecDeque::new(),
            offline: false,
            waiting_reported: false,
            never_answered_at: now.saturating_add(FIRST_ANSWER_MS),
        }
    }

    pub(super) fn push(&mut self, notice: Notice) {
        self.queue.push_back(notice);
    }

    pub(super) fn pop(&mut self) -> Option<Notice> {
        self.queue.pop_front()
    }

    /// Records that the URL is right, or that a missing response is no sign of a wrong one.
    pub(super) fn url_is_right(&mut self) {
        self.never_answered_at = Millis::MAX;
    }

    pub(super) fn waiting(&mut self, until: Option<Millis>, reason: WaitReason) {
        self.waiting_reported = true;
        self.push(Notice::Waiting { until, reason });
    }

    /// Reports a wait after a failure.
    pub(super) fn retrying(&mut self, now: Millis, until: Millis, reason: WaitReason) {
        // [`WaitReason::Offline`] was already reported, and without a network the time is meaningless.
        if !self.offline {
            if self.never_answered_at <= now {
                self.never_answered_at = Millis::MAX;
                self.push(Notice::NeverAnswered);
            }
            self.waiting(Some(until), reason);
        }
    }

    pub(super) fn resumed(&mut self) {
        if !self.offline && std::mem::take(&mut self.waiting_reported) {
            self.push(Notice::Resumed);
        }
    }
}
