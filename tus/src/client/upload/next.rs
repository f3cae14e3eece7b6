//! Determination of the next command, and of the end of an upload.

use super::{
    Command, FailureReason, Goal, InFlight, Notice, Purpose, RequestId, Token, Upload, UploadLength,
};

impl Upload {
    pub(super) fn next_command(&mut self) -> Option<Command> {
        let held_up = self.in_flight.is_some() || self.wait.is_some() || self.offline;
        if held_up || self.goal == Goal::Finished || self.token == Token::Requested {
            return None;
        }
        if self.token == Token::Needed {
            self.token = Token::Requested;
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
        let mut creation = self.creation.clone()?;
        if self.ended && creation.length == UploadLength::Deferred {
            creation.length = UploadLength::Known(self.available);
        }
        self.length = creation.length;
        Some(Command::Create {
            request: self.launch(Purpose::Create),
            endpoint: creation.endpoint,
            length: creation.length,
            metadata: creation.metadata,
        })
    }

    fn send(&mut self) -> Option<Command> {
        let url = self.url.clone()?;
        let (len, declared) = self.unsent();
        if len == 0 && declared.is_none() {
            return None;
        }
        let offset = self.acknowledged;
        let len = len.min(self.body_limit.limit());
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

    /// Returns the number of bytes that the server lacks, and the length if the server does not know it.
    fn unsent(&self) -> (u64, Option<u64>) {
        // Creation, POST: "the Client MUST set the Upload-Length header in the next PATCH request, once the
        // length is known", so not only in the last one.
        let deferred = self.length == UploadLength::Deferred;
        let declare = (self.ended && deferred).then_some(self.available);
        (self.available - self.acknowledged, declare)
    }

    /// Whether nothing remains to be done until more bytes are available.
    pub(super) fn is_idle(&self) -> bool {
        self.goal == Goal::Send && self.in_flight.is_none() && self.unsent() == (0, None)
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
    pub(super) fn check_completion(&mut self) {
        if !matches!(self.goal, Goal::Send | Goal::QueryOffset) {
            return;
        }
        if let UploadLength::Known(server) = self.length
            && (self.available > server || (self.ended && self.available < server))
        {
            return self.fail(FailureReason::LengthMismatch {
                server,
                ours: self.available,
            });
        }
        if self.goal != Goal::Send {
            return;
        }
        if self.acknowledged < self.released {
            return self.fail(FailureReason::ServerLostBytes {
                offset: self.acknowledged,
                released: self.released,
            });
        }
        let complete = self.ended && self.acknowledged == self.available;
        if complete && self.length == UploadLength::Known(self.available) {
            self.finish(Notice::Done);
        }
    }
}
