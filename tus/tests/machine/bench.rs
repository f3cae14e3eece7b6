//! Test bench for a single machine: the test acts as adapter and server.

use sortie_tus::client::{
    Command, Config, FailureReason, Millis, Notice, RequestId, Response, Start, Upload,
    UploadLength, WaitReason,
};
use sortie_tus::metadata::Metadata;

pub(crate) const URL: &str = "/files/1";

pub(crate) struct Bench {
    pub(crate) upload: Upload,
    pub(crate) now: Millis,
}

/// A response of a tus server.
pub(crate) fn answer(status: u16, offset: Option<u64>) -> Response {
    Response {
        status,
        offset,
        tus: true,
        ..Response::default()
    }
}

impl Bench {
    pub(crate) fn new(start: Start) -> Self {
        Self::with(start, Config::default())
    }

    pub(crate) fn with(start: Start, config: Config) -> Self {
        Self {
            upload: Upload::new(0, start, config, 7),
            now: 0,
        }
    }

    /// Creates an upload of deferred length with `total` bytes to send, its first `PATCH` in flight.
    pub(crate) fn sending(total: u64) -> (Self, RequestId) {
        let mut bench = Self::fresh(total);
        let (request, offset, _) = bench.patch();
        assert_eq!(offset, 0);
        (bench, request)
    }

    /// Creates an upload of deferred length with `total` bytes to send.
    pub(crate) fn fresh(total: u64) -> Self {
        let mut bench = Self::new(Start::Fresh {
            url: URL.to_owned(),
            length: UploadLength::Deferred,
        });
        bench.upload.handle_available(0, total);
        bench
    }

    /// Creates a machine that must first create its upload.
    pub(crate) fn creating() -> (Self, RequestId) {
        let mut bench = Self::new(Start::Create {
            endpoint: "/files/".to_owned(),
            length: UploadLength::Deferred,
            metadata: Metadata::new(),
        });
        match bench.command() {
            Command::Create { request, .. } => (bench, request),
            other => panic!("not a creation: {other:?}"),
        }
    }

    /// Returns the next command; there must be one.
    #[track_caller]
    pub(crate) fn command(&mut self) -> Command {
        self.upload.poll_command().expect("a command")
    }

    #[track_caller]
    pub(crate) fn head(&mut self) -> RequestId {
        match self.command() {
            Command::Head { request, url } => {
                assert_eq!(url, URL);
                request
            }
            other => panic!("not a HEAD: {other:?}"),
        }
    }

    /// Returns request, offset and length of the next command, which must be a `PATCH`.
    #[track_caller]
    pub(crate) fn patch(&mut self) -> (RequestId, u64, u64) {
        match self.command() {
            Command::Patch {
                request,
                offset,
                len,
                ..
            } => (request, offset, len),
            other => panic!("not a PATCH: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn quiet(&mut self) {
        assert_eq!(self.upload.poll_command(), None);
    }

    pub(crate) fn respond(&mut self, request: RequestId, response: &Response) {
        self.now += 10;
        self.upload.handle_response(self.now, request, response);
    }

    pub(crate) fn notices(&mut self) -> Vec<Notice> {
        std::iter::from_fn(|| self.upload.poll_notice()).collect()
    }

    /// Advances past the current wait, and checks its reason and length.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, expected: WaitReason, longest: Millis) {
        self.quiet();
        let until = self.upload.poll_timeout().expect("a wait");
        let waiting = Notice::Waiting {
            until: Some(until),
            reason: expected,
        };
        assert_eq!(self.notices().last(), Some(&waiting));
        let wait = until - self.now;
        assert!((50..=longest).contains(&wait), "{wait} ms");
        self.upload.handle_timeout(until - 1);
        self.quiet();
        self.now = until;
        self.upload.handle_timeout(until);
    }

    /// Checks that the machine has failed for this reason and has nothing left to do.
    #[track_caller]
    pub(crate) fn failed(&mut self, expected: FailureReason) {
        let failed = Notice::Failed { reason: expected };
        assert_eq!(self.notices().last(), Some(&failed));
        self.finished();
    }

    #[track_caller]
    pub(crate) fn finished(&mut self) {
        assert!(self.upload.is_finished());
        self.quiet();
        assert_eq!(self.upload.poll_timeout(), None);
        self.upload.handle_available(self.now + 1, 1 << 40);
        self.upload.handle_end(self.now + 2);
        self.upload.handle_offline(self.now + 3);
        self.upload.handle_online(self.now + 4);
        self.upload.handle_timeout(self.now + 1_000_000);
        self.quiet();
        assert_eq!(self.notices(), []);
    }
}
