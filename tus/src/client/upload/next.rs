//! What to do next, and whether there is anything left to do.

use super::{
    Command, FailureReason, Flight, Goal, Notice, Purpose, RequestId, Token, Upload, UploadLength,
};

impl Upload {
    pub(super) fn next_command(&mut self) -> Option<Command> {
        let held_up = self.flight.is_some() || self.wait.is_some() || self.offline;
        if held_up || self.goal == Goal::Finished || self.token == Token::Asked {
            return None;
        }
        if self.token == Token::Wanted {
            self.token = Token::Asked;
            let request = self.name_request();
            return Some(Command::RenewToken { request });
        }
        match self.goal {
            Goal::Create => self.create(),
            Goal::Send => self.send(),
            Goal::Ask => {
                let url = self.url.clone()?;
                let request = self.launch(Purpose::Ask);
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
        let len = len.min(self.sizing.limit());
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

    /// Bytes the server lacks, and the length if it lacks that.
    fn unsent(&self) -> (u64, Option<u64>) {
        // Creation, POST: "the Client MUST set the Upload-Length header in the next PATCH request, once the
        // length is known", so not only in the last one.
        let deferred = self.length == UploadLength::Deferred;
        let declare = (self.ended && deferred).then_some(self.available);
        (self.available - self.acknowledged, declare)
    }

    /// Whether there is nothing to do until more bytes come.
    pub(super) fn is_idle(&self) -> bool {
        self.goal == Goal::Send && self.flight.is_none() && self.unsent() == (0, None)
    }

    fn launch(&mut self, purpose: Purpose) -> RequestId {
        let request = self.name_request();
        self.flight = Some(Flight::new(request, purpose, self.now, &self.config));
        request
    }

    fn name_request(&mut self) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        request
    }

    /// Ends the upload when it is complete, or when its numbers show that it never can be.
    pub(super) fn settle(&mut self) {
        if !matches!(self.goal, Goal::Send | Goal::Ask) {
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
