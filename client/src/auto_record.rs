//! When a session is to be recorded without being asked.

use crate::wire::SessionNow;

/// The event that says how a session is now.
pub(crate) const SESSION_EVENT: &str = "session";
/// The event that says that a session is gone.
pub(crate) const SESSION_DELETED_EVENT: &str = "session_deleted";

/// What a session's page is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionOrder {
    /// Start to record: auto-record is on, and its user has not stopped by hand in this session.
    Start,
    /// The session has ended: stop, and let the last bytes go.
    End,
}

/// Makes orders of what is heard of a session.
#[derive(Debug, Default)]
pub(crate) struct AutoRecordTrigger {
    wanted: bool,
    ended: bool,
}

impl AutoRecordTrigger {
    /// Takes how the session is now. Hearing the same again is no new order: a recording that its user stopped, or
    /// that failed, does not begin again because the server repeats itself.
    pub(crate) fn take(&mut self, session: &SessionNow) -> Option<SessionOrder> {
        if session.has_ended {
            return self.end();
        }
        let turned_on = session.auto_record && !self.wanted;
        self.wanted = session.auto_record;
        turned_on.then_some(SessionOrder::Start)
    }

    /// The session is gone.
    pub(crate) fn end(&mut self) -> Option<SessionOrder> {
        (!std::mem::replace(&mut self.ended, true)).then_some(SessionOrder::End)
    }

    /// Whether nothing more will come.
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
    fn it_starts_once_each_time_it_is_turned_on_and_ends_once() {
        let mut auto = AutoRecordTrigger::default();
        for (has_ended, auto_record, expected) in [
            (false, false, None),
            (false, true, Some(SessionOrder::Start)),
            // Said again after a lost connection.
            (false, true, None),
            // Its user stopped, or it was turned off.
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
