//! When a session is to be recorded without being asked.

use sortie_api::Session;

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
pub(crate) struct AutoStart {
    wanted: bool,
    ended: bool,
}

impl AutoStart {
    /// Takes how the session is now. Hearing the same again is no new order: a recording that its user stopped, or
    /// that failed, does not begin again because the server repeats itself.
    pub(crate) fn take(&mut self, session: &Session) -> Option<SessionOrder> {
        if session.status.has_ended() {
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
    use sortie_api::SessionStatus;

    use super::*;

    fn session(status: SessionStatus, auto_record: bool) -> Session {
        Session {
            id: "s".to_owned(),
            user_id: "u".to_owned(),
            app_id: "record".to_owned(),
            status,
            recording_policy: String::new(),
            auto_record,
            created_at: "2026-11-21T09:30:00.000Z".to_owned(),
            ended_at: None,
        }
    }

    #[test]
    fn it_starts_once_each_time_it_is_turned_on_and_ends_once() {
        let mut auto = AutoStart::default();
        for (status, auto_record, expected) in [
            (SessionStatus::Creating, false, None),
            (SessionStatus::Running, true, Some(SessionOrder::Start)),
            // Said again after a lost connection.
            (SessionStatus::Running, true, None),
            // Its user stopped, or it was turned off.
            (SessionStatus::Running, false, None),
            (SessionStatus::Running, true, Some(SessionOrder::Start)),
            (SessionStatus::Expired, false, Some(SessionOrder::End)),
            (SessionStatus::Expired, true, None),
        ] {
            assert_eq!(auto.take(&session(status, auto_record)), expected);
        }
        assert!(auto.has_ended());
        assert_eq!(auto.end(), None);
    }
}
