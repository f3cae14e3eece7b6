//! Automatic recording of a session.

use crate::wire::SessionNow;

/// Server-sent event with the state of a session.
pub(crate) const SESSION_EVENT: &str = "session";
/// Server-sent event after the deletion of a session.
pub(crate) const SESSION_DELETED_EVENT: &str = "session_deleted";

/// Order to a page that watches a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionOrder {
    /// Start recording: auto-record is on, and the user has not stopped a recording of this session.
    Start,
    /// The session has ended: stop recording and upload the remaining bytes.
    End,
}

/// Derives orders from the states of a session.
#[derive(Debug, Default)]
pub(crate) struct AutoRecordTrigger {
    wanted: bool,
    ended: bool,
}

impl AutoRecordTrigger {
    /// Records the session's state and returns the resulting order. A repeated state results in no order: a recording
    /// that the user stopped, or that failed, does not start again.
    pub(crate) fn take(&mut self, session: &SessionNow) -> Option<SessionOrder> {
        if session.has_ended {
            return self.end();
        }
        let turned_on = session.auto_record && !self.wanted;
        self.wanted = session.auto_record;
        turned_on.then_some(SessionOrder::Start)
    }

    /// The session has ended or was deleted.
    pub(crate) fn end(&mut self) -> Option<SessionOrder> {
        (!std::mem::replace(&mut self.ended, true)).then_some(SessionOrder::End)
    }

    /// Whether no further order follows.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(has_ended: bool, auto_record: bool) -> SessionNow {
        SessionNow {
            id: "s".to_owned(),
            has_ended,
            auto_record,
        }
    }

    #[test]
    fn start_is_ordered_once_per_activation_and_end_once() {
        let mut auto = AutoRecordTrigger::default();
        for (has_ended, auto_record, expected) in [
            (false, false, None),
            (false, true, Some(SessionOrder::Start)),
            // Repeated after a lost connection.
            (false, true, None),
            // The user stopped, or auto-record was turned off.
            (false, false, None),
            (false, true, Some(SessionOrder::Start)),
            (true, false, Some(SessionOrder::End)),
            (true, true, None),
        ] {
            assert_eq!(auto.take(&session(has_ended, auto_record)), expected);
        }
        assert!(auto.has_ended());
        assert_eq!(auto.end(), None);
    }
}
