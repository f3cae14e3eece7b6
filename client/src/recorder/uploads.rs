//! Uploads of a recording's parts: one after the other, usually just one.
//!
//! A further part begins when the server has ended an upload (410, 404) or takes no more bytes in one, and when a
//! silent encoder was replaced. Each part is a file of its own; the server groups them by `continues`.

use super::begun_upload::BegunUpload;
use super::command::{BeginRequest, Command, RecordingSession, RestRequest, Sending};
use super::part_progress::PartProgress;
use super::tus::last_segment;
use crate::{Labels, RecorderError, Target, Waiting};

/// Consecutive uploads that the server ends without accepting a byte before the recording fails.
const FRUITLESS_UPLOADS: u32 = 3;
/// Upper limits of the first wait and of all waits between attempts to begin an upload.
const BACKOFF_MS: u32 = 500;
const BACKOFF_CAP_MS: u32 = 30_000;
/// Longest duration and largest size of a single picture.
const PICTURE_MS: u64 = 200;
const PICTURE_BYTES: u64 = 8 << 20;

/// Next step of the uploads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Command(Command),
    /// Replace the encoder, so that the recording continues in a further part.
    Split,
    /// These bytes at the end of a part are not uploaded.
    LeftOut(usize, u64),
    /// The server holds all parts.
    Done,
}

/// Outcome of an attempt to begin an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    Ready,
    /// The attempt is repeated, now or later.
    Again(Option<Waiting>),
    /// The session has ended: capture stops, and the upload goes to a separate session.
    SessionOver,
    Failed(RecorderError),
}

/// State of the recorder that uploads depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) now_ms: f64,
    pub(super) is_capturing: bool,
    /// Capture has ended and the encoder has emitted its last byte.
    pub(super) is_uploading: bool,
    pub(super) progress: &'a PartProgress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The upload waits until earlier parts are uploaded.
    Queued,
    Sending,
    /// The server has ended the upload of this part.
    EndedByServer(Rest),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Unread,
    Reading,
    Empty,
    /// The rest was read; the file has this many bytes before the rest itself.
    File(u64),
}

#[derive(Debug)]
struct Part {
    number: usize,
    /// Whether the encoder of the part has emitted its last byte.
    is_captured: bool,
    /// Whether the end of the part's bytes was reported.
    is_ended: bool,
    phase: Phase,
    /// Offset in the part where its upload begins, and bytes of front matter before that in the upload.
    from: u64,
    front: u64,
    is_created: bool,
}

impl Part {
    fn new(number: usize) -> Self {
        Self {
            number,
            is_captured: false,
            is_ended: false,
            phase: Phase::Queued,
            from: 0,
            front: 0,
            is_created: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    /// As a further part of the recording.
    Continuing,
    /// As a recording of its own: the first part was deleted.
    Separate,
    /// In a separate session: the original session has ended.
    OwnSession,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Request {
    Idle,
    Due(Attempt),
    InFlight(Attempt),
    RetryAt(f64),
}

#[derive(Debug)]
pub(super) struct Uploads {
    is_our_server: bool,
    session: Option<String>,
    labels: Labels,
    /// Parts of which the server does not hold all bytes, in order; the last one is being recorded.
    queue: Vec<Part>,
    next_part: usize,
    /// Whether uploads may begin: the encoder has started.
    is_open: bool,
    /// Upload on our server that no part uses yet.
    unused: Option<BegunUpload>,
    latest: Option<BegunUpload>,
    /// Recording ids on our server, or upload URLs on another one, of the parts whose uploads began; and their URLs.
    ids: Vec<String>,
    urls: Vec<String>,
    request: Request,
    backoff_ms: u32,
    fruitless: u32,
    is_done: bool,
}

impl Uploads {
    pub(super) fn new(target: &Target, labels: &Labels) -> Self {
        let session = match target {
            Target::Server { session, .. } => session.clone(),
            Target::Tus { .. } => None,
        };
        Self {
            is_our_server: matches!(target, Target::Server { .. }),
            session,
            labels: labels.clone(),
            queue: vec![Part::new(0)],
            next_part: 1,
            is_open: false,
            unused: None,
            latest: None,
            ids: Vec::new(),
            urls: Vec::new(),
            request: Request::Idle,
            backoff_ms: BACKOFF_MS,
            fruitless: 0,
            is_done: false,
        }
    }

    /// Returns the request that begins the recording; `None` with another tus server, which learns of it by the upload.
    pub(super) fn prepare(&mut self) -> Option<BeginRequest> {
        self.is_our_server.then(|| {
            self.request = Request::InFlight(Attempt::Separate);
            self.begin_request(Attempt::Separate)
        })
    }

    /// Takes the first upload on our server.
    pub(super) fn prepared(&mut self, begun: BegunUpload) {
        self.request = Request::Idle;
        self.latest = Some(begun.clone());
        self.unused = Some(begun);
    }

    /// Allows the first upload to begin.
    pub(super) fn open(&mut self) {
        self.is_open = true;
    }

    /// Adds the part that a fresh encoder fills.
    pub(super) fn add_part(&mut self) -> usize {
        let number = self.next_part;
        self.next_part += 1;
        self.queue.push(Part::new(number));
        number
    }

    /// Records that the encoder of a part has emitted its last byte.
    pub(super) fn captured(&mut self, number: usize) {
        if let Some(part) = self.part(number) {
            part.is_captured = true;
        }
    }

    /// Records that no more bytes of a part follow. For the part that was recorded last, the server must learn first
    /// that recording has ended.
    pub(super) fn end(&mut self, number: usize) -> Option<Command> {
        let part = self.part(number).filter(|it| !it.is_ended)?;
        part.is_ended = true;
        Some(Command::EndPart(number))
    }

    /// Whether a further part may begin because the server takes no more bytes in this one.
    pub(super) fn may_split(&self) -> bool {
        let is_ended = |it: &Part| matches!(it.phase, Phase::EndedByServer(_));
        !self.queue.iter().any(is_ended)
    }

    /// Takes the outcome of [`Command::BeginUpload`]. `jitter` is a random number between 0 and 1.
    pub(super) fn handle_begun(
        &mut self,
        now_ms: f64,
        begun: Result<BegunUpload, RecorderError>,
        jitter: f64,
    ) -> Begun {
        let Request::InFlight(attempt) = self.request else {
            return Begun::Again(None);
        };
        let error = match begun {
            Ok(begun) => {
                self.request = Request::Idle;
                self.backoff_ms = BACKOFF_MS;
                self.latest = Some(begun.clone());
                self.unused = Some(begun);
                return Begun::Ready;
            }
            Err(error) => error,
        };
        let waiting = match (&error, attempt) {
            (RecorderError::SignedOut, _) => Waiting::SignIn,
            (RecorderError::Unreachable, _) => self.retry(),
            (RecorderError::Refused(refusal), _) if matches!(refusal.status, ..400 | 408 | 425 | 500..) => {
                self.retry()
            }
            (RecorderError::Refused(refusal), Attempt::Continuing) => {
                if refusal.status == 404 {
                    // The recording was deleted, with its parts.
                    self.ids.clear();
                }
                self.request = Request::Due(Attempt::Separate);
                return Begun::Again(None);
            }
            (RecorderError::Refused(_), Attempt::Separate) => {
                self.request = Request::Due(Attempt::OwnSession);
                return Begun::SessionOver;
            }
            _ => {
                self.request = Request::Idle;
                return Begun::Failed(error);
            }
        };
        let wait_ms = f64::from(self.backoff_ms) * (0.5 + jitter / 2.0);
        self.request = Request::RetryAt(now_ms + wait_ms);
        self.backoff_ms = (self.backoff_ms * 2).min(BACKOFF_CAP_MS);
        Begun::Again(Some(waiting))
    }

    fn retry(&self) -> Waiting {
        Waiting::Retry {
            in_ms: self.backoff_ms.into(),
        }
    }

    /// Records that the server holds `offset` bytes of a part's upload; returns the offset in the part.
    pub(super) fn acknowledged(&mut self, number: usize, offset: u64) -> u64 {
        let Some(part) = self.part(number) else {
            return 0;
        };
        let (from, front) = (part.from, part.front);
        if offset > front {
            self.fruitless = 0;
        }
        from + offset.saturating_sub(front)
    }

    /// Records that another tus server has created the upload of a part.
    pub(super) fn created(&mut self, number: usize, url: String) {
        let Some(part) = self.part(number) else {
            return;
        };
        // An upload that vanished while it was empty is created again.
        if std::mem::replace(&mut part.is_created, true) {
            self.ids.pop();
            self.urls.pop();
        }
        self.ids.push(url.clone());
        self.urls.push(url);
    }

    /// Records that the server has ended the upload of a part. Returns whether the recording continues in a further
    /// part.
    pub(super) fn ended_by_server(&mut self, number: usize) -> bool {
        if self.fruitless >= FRUITLESS_UPLOADS {
            return false;
        }
        self.fruitless += 1;
        if let Some(part) = self.part(number) {
            part.phase = Phase::EndedByServer(Rest::Unread);
            part.is_created = false;
        }
        true
    }

    /// Takes the outcome of [`Command::ReadRest`]: bytes of front matter before the rest, or `None` without a file.
    pub(super) fn handle_rest(&mut self, number: usize, front: Option<u64>) {
        if let Some(part) = self.part(number)
            && part.phase == Phase::EndedByServer(Rest::Reading)
        {
            part.phase = Phase::EndedByServer(front.map_or(Rest::Empty, Rest::File));
        }
    }

    /// Records that the server holds all bytes of a part.
    pub(super) fn complete(&mut self, number: usize) -> Command {
        self.queue.retain(|it| it.number != number);
        Command::RemovePart(number)
    }

    /// Returns the next step. Must be called until it returns `None`.
    pub(super) fn step(&mut self, context: Context<'_>) -> Option<Step> {
        if !self.is_open || self.is_done {
            return None;
        }
        let last = self.next_part - 1;
        let former = |it: &&mut Part| it.number < last && it.is_captured && !it.is_ended;
        if let Some(part) = self.queue.iter_mut().find(former) {
            part.is_ended = true;
            return Some(Step::Command(Command::EndPart(part.number)));
        }
        let Some(front) = self.queue.first_mut() else {
            return self.finish(context.is_uploading);
        };
        let (number, is_captured) = (front.number, front.is_captured);
        let size = context.progress.size_of(number);
        match front.phase {
            Phase::Sending | Phase::EndedByServer(Rest::Reading) => None,
            // The encoder emitted nothing.
            Phase::Queued if number > 0 && is_captured && size == 0 => {
                Some(Step::Command(self.complete(number)))
            }
            Phase::Queued => {
                if self.needs_upload() {
                    return self.begin(context.now_ms);
                }
                let sending = self.send(number > 0, 0, 0);
                Some(Step::Command(Command::SendPart(sending)))
            }
            Phase::EndedByServer(Rest::Unread) if !is_captured => {
                if !context.is_capturing || number < last {
                    return None;
                }
                // Before the encoder is replaced, so that an outage costs no part.
                if self.needs_upload() {
                    return self.begin(context.now_ms);
                }
                Some(Step::Split)
            }
            Phase::EndedByServer(Rest::Unread) => {
                front.phase = Phase::EndedByServer(Rest::Reading);
                let from = context.progress.safe_bytes_of(number);
                let is_short = context.progress.pending_ms_of(number) <= PICTURE_MS;
                let request = RestRequest {
                    from,
                    may_be_picture: is_short && size - from <= PICTURE_BYTES,
                };
                Some(Step::Command(Command::ReadRest(number, request)))
            }
            Phase::EndedByServer(Rest::Empty) => {
                let left_out = size - context.progress.safe_bytes_of(number);
                if left_out > 0 {
                    // Counts as acknowledged from now on, so the next step completes the part.
                    return Some(Step::LeftOut(number, left_out));
                }
                Some(Step::Command(self.complete(number)))
            }
            Phase::EndedByServer(Rest::File(before)) => {
                if self.needs_upload() {
                    return self.begin(context.now_ms);
                }
                let from = context.progress.safe_bytes_of(number);
                let sending = self.send(true, from, before);
                Some(Step::Command(Command::SendRest(sending)))
            }
        }
    }

    fn finish(&mut self, is_uploading: bool) -> Option<Step> {
        if let Some(unused) = self.unused.take() {
            return Some(Step::Command(Command::DeleteUpload(unused.upload_url)));
        }
        self.is_done = is_uploading;
        is_uploading.then_some(Step::Done)
    }

    fn needs_upload(&self) -> bool {
        self.is_our_server && self.unused.is_none()
    }

    fn begin(&mut self, now_ms: f64) -> Option<Step> {
        let attempt = match self.request {
            Request::InFlight(_) => return None,
            Request::RetryAt(at_ms) if now_ms < at_ms => return None,
            Request::Due(attempt) => attempt,
            Request::Idle | Request::RetryAt(_) if self.ids.is_empty() => Attempt::Separate,
            Request::Idle | Request::RetryAt(_) => Attempt::Continuing,
        };
        self.request = Request::InFlight(attempt);
        let request = self.begin_request(attempt);
        Some(Step::Command(Command::BeginUpload(request)))
    }

    fn begin_request(&self, attempt: Attempt) -> BeginRequest {
        let own = self.latest.as_ref().map(|it| it.session.clone());
        let session = self.session.clone().or(own);
        BeginRequest {
            session: RecordingSession {
                id: session.filter(|_| attempt != Attempt::OwnSession),
                labels: self.labels.clone(),
            },
            continues: self
                .ids
                .first()
                .filter(|_| attempt == Attempt::Continuing)
                .cloned(),
        }
    }

    /// Stores the upload of the front part, whose bytes from `from` on follow `before` bytes of front matter.
    fn send(&mut self, is_further: bool, from: u64, before: u64) -> Sending {
        let continues = self.continues().filter(|_| is_further);
        let begun = self.unused.take();
        if let Some(begun) = &begun {
            self.ids.push(begun.recording.clone());
            self.urls.push(begun.upload_url.clone());
        }
        let mut number = 0;
        if let Some(part) = self.queue.first_mut() {
            number = part.number;
            part.phase = Phase::Sending;
            (part.from, part.front) = (from, before);
        }
        Sending {
            part: number,
            begun,
            continues,
        }
    }

    /// Returns the id of the first part, for the spool and for another tus server.
    pub(super) fn continues(&self) -> Option<String> {
        self.ids.first().map(|it| last_segment(it).to_owned())
    }

    pub(super) fn latest(&self) -> Option<&BegunUpload> {
        self.latest.as_ref()
    }

    /// Returns the id of the first part on our server.
    pub(super) fn recording_id(&self) -> Option<String> {
        let unused = self.unused.as_ref().map(|it| &it.recording);
        let first = self.ids.first().or(unused);
        first.filter(|_| self.is_our_server).cloned()
    }

    /// Returns the URL of the last part's upload.
    pub(super) fn url(&self) -> Option<String> {
        self.urls.last().cloned()
    }

    /// Returns the ids, or URLs with another tus server, of the parts if there are several.
    pub(super) fn parts(&self) -> Vec<String> {
        if self.ids.len() > 1 {
            self.ids.clone()
        } else {
            Vec::new()
        }
    }

    /// Removes all parts and returns the URLs of their uploads.
    pub(super) fn discard(&mut self) -> Vec<String> {
        self.queue.clear();
        self.is_done = true;
        let unused = self.unused.take().map(|it| it.upload_url);
        self.urls.drain(..).chain(unused).collect()
    }

    fn part(&mut self, number: usize) -> Option<&mut Part> {
        self.queue.iter_mut().find(|it| it.number == number)
    }
}
