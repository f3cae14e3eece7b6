//! A sender, a faulty network and a server in simulated time.

use std::collections::{BTreeMap, VecDeque};

use sortie_tus::client::{
    Command, Config, Millis, Notice, RenewalFailure, RequestId, Response, Start, Upload,
    UploadLength,
};
use sortie_tus::metadata::Metadata;

use crate::wire::{ENDPOINT, Http, Server, Stored};

/// Treatment of one request by the network.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// Delivered.
    None,
    /// Never delivered. If `quiet`, the sender gets no error.
    Lost { quiet: bool },
    /// Only `after` bytes of the body are delivered, and no response.
    Cut { after: usize, quiet: bool },
    /// Delivered, but its response is lost.
    AnswerLost { quiet: bool },
    /// Reported as failed, but delivered later.
    Late { by: Millis },
    /// Delivered, and delivered again later.
    Twice { by: Millis },
    /// Answered by an intermediary instead of the server.
    Status { status: u16 },
    /// Delivered, then answered with this status.
    StatusAfter { status: u16 },
}

/// An external event at the sender.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Produce(u64),
    End,
    Offline,
    Online,
    /// The process dies, and a new one resumes.
    Kill,
}

enum Pending {
    Outside(Event),
    Arrive {
        http: Http,
        arrived: usize,
        answer_to: Option<(Life, RequestId)>,
    },
    Answer(Life, RequestId, Response),
    Fail(Life, RequestId),
    Token {
        reachable: bool,
    },
}

/// Number of the sender's process; request identifiers start again with each process.
type Life = u32;

const LATENCY: Millis = 10;

pub(crate) struct World {
    pub(crate) now: Millis,
    pub(crate) upload: Upload,
    pub(crate) server: Server,
    pub(crate) source: Vec<u8>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) requests: u64,
    config: Config,
    life: Life,
    produced: u64,
    ended: bool,
    offline: bool,
    released: u64,
    faults: VecDeque<Fault>,
    pending: BTreeMap<(Millis, u64), Pending>,
    sequence: u64,
    in_air: Option<RequestId>,
    recent: VecDeque<Millis>,
    refused_at: Option<Millis>,
}

impl World {
    /// Creates a sender that creates its upload. Each request meets one of `faults`; later ones meet none.
    pub(crate) fn new(source: Vec<u8>, config: Config, faults: &[Fault]) -> Self {
        Self {
            now: 0,
            upload: Upload::new(0, creation(), config.clone(), 1),
            server: Server::new(),
            source,
            notices: Vec::new(),
            requests: 0,
            config,
            life: 0,
            produced: 0,
            ended: false,
            offline: false,
            released: 0,
            faults: faults.iter().copied().collect(),
            pending: BTreeMap::new(),
            sequence: 0,
            in_air: None,
            recent: VecDeque::new(),
            refused_at: None,
        }
    }

    pub(crate) fn schedule(&mut self, at: Millis, event: Event) {
        self.push(at, Pending::Outside(event));
    }

    /// Runs until the sender is finished. Panics if that takes longer than `limit`.
    pub(crate) fn run(&mut self, limit: Millis) {
        self.drain();
        while !self.upload.is_finished() {
            let event = self.pending.first_key_value().map(|((at, _), _)| *at);
            let timer = self.upload.poll_timeout();
            let next = event.into_iter().chain(timer).min();
            let next = next.expect("a sender that is not finished waits for something");
            assert!(
                next <= limit,
                "not finished after {limit} ms: {:?}",
                self.notices
            );
            self.now = self.now.max(next);
            match self.pending.first_entry() {
                Some(entry) if entry.key().0 <= self.now => {
                    let pending = entry.remove();
                    self.happen(pending);
                }
                _ => self.upload.handle_timeout(self.now),
            }
            self.drain();
        }
    }

    /// Returns the upload on the server.
    pub(crate) fn stored(&self) -> &Stored {
        let url = self.upload.url().expect("created");
        &self.server.uploads[url]
    }

    /// Checks that the sender is done and the server holds exactly its bytes.
    pub(crate) fn assert_complete(&self) {
        assert_eq!(self.notices.last(), Some(&Notice::Done));
        assert_eq!(self.stored().bytes, self.source);
        let length = UploadLength::Known(self.source.len() as u64);
        assert_eq!(self.stored().length, length);
    }

    fn push(&mut self, at: Millis, pending: Pending) {
        self.sequence += 1;
        self.pending.insert((at, self.sequence), pending);
    }

    fn happen(&mut self, pending: Pending) {
        match pending {
            Pending::Outside(event) => self.outside(event),
            Pending::Arrive {
                http,
                arrived,
                answer_to,
            } => {
                let mut response = self.server.handle(&http, arrived);
                if self.server.ends_silent(&http.url, self.now) {
                    response.status = 410;
                }
                response.silence_ms = self.server.silence_ms;
                if let Some((life, request)) = answer_to {
                    let answer = Pending::Answer(life, request, response);
                    self.push(self.now + LATENCY, answer);
                }
            }
            Pending::Answer(life, request, response) if life == self.life => {
                self.in_air.take_if(|it| *it == request);
                self.upload.handle_response(self.now, request, &response);
            }
            Pending::Fail(life, request) if life == self.life => {
                self.in_air.take_if(|it| *it == request);
                self.upload.handle_failure(self.now, request);
            }
            Pending::Answer(..) | Pending::Fail(..) => {}
            Pending::Token { reachable: true } => self.upload.handle_token_renewed(self.now),
            Pending::Token { reachable: false } => {
                let failure = RenewalFailure::Unreachable;
                self.upload.handle_token_failed(self.now, failure);
            }
        }
    }

    fn outside(&mut self, event: Event) {
        match event {
            Event::Produce(total) => {
                self.produced = total;
                self.upload.handle_available(self.now, total);
            }
            Event::End => {
                self.ended = true;
                self.upload.handle_end(self.now);
            }
            Event::Offline => {
                self.offline = true;
                self.upload.handle_offline(self.now);
            }
            Event::Online => {
                self.offline = false;
                self.upload.handle_online(self.now);
            }
            Event::Kill => self.kill(),
        }
    }

    fn kill(&mut self) {
        self.life += 1;
        self.in_air = None;
        let start = match self.upload.url() {
            Some(url) => Start::Resume {
                url: url.to_owned(),
            },
            None => creation(),
        };
        let seed = u64::from(self.life);
        self.upload = Upload::new(self.now, start, self.config.clone(), seed);
        self.upload.handle_available(self.now, self.produced);
        self.upload.handle_released(self.released);
        if self.ended {
            self.upload.handle_end(self.now);
        }
        if self.offline {
            self.upload.handle_offline(self.now);
        }
    }

    fn drain(&mut self) {
        while let Some(command) = self.upload.poll_command() {
            self.carry_out(&command);
        }
        while let Some(notice) = self.upload.poll_notice() {
            if let Notice::Acknowledged { offset } = notice {
                assert!(offset >= self.released, "acknowledged less than before");
                let held = self.stored().bytes.len() as u64;
                assert!(offset <= held, "acknowledged {offset}, held {held}");
                self.released = offset;
                self.upload.handle_released(offset);
            }
            self.notices.push(notice);
        }
        if let Some(url) = self.upload.url() {
            let held = &self.server.uploads[url].bytes;
            assert_eq!(held[..], self.source[..held.len()], "not what was sent");
        }
    }

    fn carry_out(&mut self, command: &Command) {
        let request = command.request();
        match command {
            Command::Cancel { .. } => {
                assert_eq!(
                    self.in_air.take(),
                    Some(request),
                    "cancels what is not there"
                );
                return;
            }
            Command::RenewToken { .. } => {
                let reachable = self.sequence.is_multiple_of(2);
                return self.push(self.now + 500, Pending::Token { reachable });
            }
            Command::Patch { offset, .. } => {
                assert!(*offset >= self.released, "these bytes are no longer kept");
            }
            _ => {}
        }
        assert!(!self.offline, "sent while offline");
        assert_eq!(self.in_air.replace(request), None, "two requests at once");
        self.requests += 1;
        self.recent.push_back(self.now);
        self.recent.retain(|at| *at + 1_000 > self.now);
        // With this latency a round trip takes 20 ms; more than 50 per second would not wait for responses.
        assert!(self.recent.len() <= 51, "a busy loop");
        let http = Http::from_command(command, &self.source).expect("a request");
        self.transmit(request, http);
    }

    fn transmit(&mut self, request: RequestId, http: Http) {
        let whole = http.body.len();
        let life = self.life;
        let there = self.now + LATENCY;
        let back = there + LATENCY;
        let arrive = |arrived, answered: bool| Pending::Arrive {
            http: http.clone(),
            arrived,
            answer_to: answered.then_some((life, request)),
        };
        let mut told_by_nobody = false;
        match self.faults.pop_front().unwrap_or(Fault::None) {
            Fault::None => return self.push(there, arrive(whole, true)),
            Fault::Twice { by } => {
                self.push(there, arrive(whole, true));
                return self.push(there + by, arrive(whole, false));
            }
            Fault::Status { status } => return self.answer(request, status, back),
            Fault::StatusAfter { status } => {
                self.push(there, arrive(whole, false));
                return self.answer(request, status, back);
            }
            Fault::Lost { quiet } => told_by_nobody = quiet,
            Fault::Cut { after, quiet } => {
                self.push(there, arrive(after.min(whole.saturating_sub(1)), false));
                told_by_nobody = quiet;
            }
            Fault::AnswerLost { quiet } => {
                self.push(there, arrive(whole, false));
                told_by_nobody = quiet;
            }
            Fault::Late { by } => self.push(there + by, arrive(whole, false)),
        }
        if !told_by_nobody {
            self.push(back, Pending::Fail(life, request));
        }
    }

    fn answer(&mut self, request: RequestId, status: u16, back: Millis) {
        // Tokens that expire faster than they are renewed are final.
        let recently = self.refused_at.is_some_and(|at| at + 100_000 > self.now);
        let status = if status == 401 && recently {
            503
        } else {
            status
        };
        if status == 401 {
            self.refused_at = Some(self.now);
        }
        let response = Response {
            status,
            ..Response::default()
        };
        self.push(back, Pending::Answer(self.life, request, response));
    }
}

fn creation() -> Start {
    Start::Create {
        endpoint: ENDPOINT.to_owned(),
        length: UploadLength::Deferred,
        metadata: Metadata::new(),
    }
}
