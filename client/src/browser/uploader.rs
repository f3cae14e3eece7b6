//! Does what the upload machine says: sends its requests, keeps its time.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use gloo_events::EventListener;
use gloo_timers::callback::Timeout;
use sortie_tus::client::{
    Abandon, Command, Config, Notice, RenewalFailure, RequestId, Response, Start, Upload,
};
use sortie_tus::header;
use wasm_bindgen_futures::spawn_local;

use super::checksum::Checksums;
use super::credentials::Credentials;
use super::fetch::{Call, Cancel, Unanswered};
use super::spool::Spool;
use super::{now_ms, window};
use crate::RenewalFailed;
use crate::numbers::whole;

/// Browsers send no more than 64 KiB for pages that are gone, all requests and their heads together.
const KEEPALIVE_BYTES: u64 = 56 * 1024;

/// Uploads a growing spool. Dropping it cancels what is under way and leaves the server as it is.
pub(super) struct Uploader {
    driver: Rc<Driver>,
}

struct Driver {
    this: Weak<Self>,
    machine: RefCell<Upload>,
    spool: Rc<Spool>,
    access: Rc<Credentials>,
    checksums: Rc<Checksums>,
    leaving: Cell<bool>,
    /// The request under way goes on without the page.
    outlives: Cell<bool>,
    notify: Box<dyn Fn(Notice)>,
    /// The one request under way.
    flight: RefCell<Option<(RequestId, Cancel)>>,
    timer: RefCell<Option<Timeout>>,
    network: RefCell<Vec<EventListener>>,
    /// Itself, while the server is asked to delete what nobody holds any more.
    deleting: RefCell<Option<Rc<Self>>>,
    /// Guards against running in circles when a notice leads to a new input.
    running: Cell<bool>,
}

impl Uploader {
    /// Starts to upload what is in `spool` and will come. `notify` is told what happens.
    pub(super) fn new(
        start: Start,
        spool: Rc<Spool>,
        access: Rc<Credentials>,
        checksums: Rc<Checksums>,
        config: Config,
        notify: Box<dyn Fn(Notice)>,
    ) -> Self {
        // Fifty-three random bits spread the waits of many senders well enough.
        let seed = whole(js_sys::Math::random() * 9_007_199_254_740_992.0);
        let now = whole(now_ms());
        let mut machine = Upload::new(now, start, config, seed);
        machine.handle_released(spool.start());
        machine.handle_available(now, spool.available());
        let driver = Rc::new_cyclic(|this| Driver {
            this: this.clone(),
            machine: RefCell::new(machine),
            spool,
            access,
            checksums,
            leaving: Cell::default(),
            outlives: Cell::default(),
            notify,
            flight: RefCell::default(),
            timer: RefCell::default(),
            network: RefCell::default(),
            deleting: RefCell::default(),
            running: Cell::default(),
        });
        driver.listen_to_network();
        driver.run();
        Self { driver }
    }

    /// More bytes are in the spool.
    pub(super) fn grown(&self) {
        let end = self.driver.spool.available();
        self.driver.input(|machine, now| {
            machine.handle_available(now, end);
            // Hidden pages are given late timers; encoders keep their pace.
            machine.handle_timeout(now);
        });
    }

    /// No more bytes will come, and all of them may be sent.
    pub(super) fn end(&self) {
        self.driver.input(|machine, now| {
            machine.handle_available(now, self.driver.spool.end());
            machine.handle_end(now);
        });
    }

    /// The page may be gone soon: small bodies are sent so that they outlive it. Or it is not, after all.
    pub(super) fn page_leaves(&self, leaves: bool) {
        self.driver.leaving.set(leaves);
    }

    /// The page goes: what is pending goes once more, in one request that outlives it, if that is small enough.
    pub(super) fn page_goes(&self) {
        self.page_leaves(true);
        let driver = &self.driver;
        let acknowledged = driver.machine.borrow().acknowledged();
        let pending = driver.spool.available().saturating_sub(acknowledged);
        if pending <= KEEPALIVE_BYTES && !driver.outlives.get() {
            driver.input(Upload::handle_leaving);
        }
    }

    /// Time has passed; for pages whose timers come late.
    pub(super) fn tick(&self) {
        let due = self.driver.machine.borrow().poll_timeout();
        if due.is_some_and(|due| due <= whole(now_ms())) {
            self.driver.input(Upload::handle_timeout);
        }
    }

    /// Cancels it and deletes it on the server; that goes on after this handle is dropped.
    pub(super) fn delete(&self) {
        *self.driver.deleting.borrow_mut() = Some(Rc::clone(&self.driver));
        self.driver
            .input(|machine, now| machine.handle_abandon(now, Abandon::DeleteOnServer));
    }

    /// Where the upload is, once it exists.
    pub(super) fn url(&self) -> Option<String> {
        self.driver.machine.borrow().url().map(str::to_owned)
    }
}

fn is_offline() -> bool {
    web_sys::window().is_some_and(|it| !it.navigator().on_line())
}

impl Driver {
    fn listen_to_network(&self) {
        let window = window();
        let listener = |event: &'static str, input: fn(&mut Upload, u64)| {
            let this = self.this.clone();
            EventListener::new(&window, event, move |_| {
                if let Some(driver) = this.upgrade() {
                    driver.input(input);
                }
            })
        };
        *self.network.borrow_mut() = vec![
            listener("offline", Upload::handle_offline),
            listener("online", Upload::handle_online),
        ];
    }

    fn input(&self, input: impl FnOnce(&mut Upload, u64)) {
        input(&mut self.machine.borrow_mut(), whole(now_ms()));
        self.run();
    }

    /// Carries out everything the machine wants and sets the timer for when it wants something again.
    fn run(&self) {
        if self.running.replace(true) {
            return;
        }
        loop {
            // Each poll ends its borrow before anything is done about it.
            if let Some(command) = { self.machine.borrow_mut().poll_command() } {
                self.carry_out(command);
            } else if let Some(notice) = { self.machine.borrow_mut().poll_notice() } {
                self.take_note(notice);
            } else {
                break;
            }
        }
        self.running.set(false);
        self.set_timer();
    }

    fn set_timer(&self) {
        let due = self.machine.borrow().poll_timeout();
        *self.timer.borrow_mut() = due.map(|due| {
            // Timers take 31 bits; a day is long enough to ask again.
            let wait = due.saturating_sub(whole(now_ms())).min(86_400_000);
            let this = self.this.clone();
            Timeout::new(u32::try_from(wait).unwrap_or(u32::MAX), move || {
                if let Some(driver) = this.upgrade() {
                    driver.input(Upload::handle_timeout);
                }
            })
        });
    }

    fn take_note(&self, notice: Notice) {
        match notice {
            Notice::Acknowledged { offset } => {
                self.spool.acknowledged(offset);
                self.machine
                    .borrow_mut()
                    .handle_released(self.spool.start());
            }
            Notice::Abandoned { .. } | Notice::Done | Notice::Failed { .. } => {
                self.network.borrow_mut().clear();
                // The caller holds a reference of its own until this returns.
                self.deleting.borrow_mut().take();
            }
            // Nobody is to blame, then.
            Notice::NeverAnswered if is_offline() => return,
            _ => {}
        }
        (self.notify)(notice);
    }

    fn carry_out(&self, command: Command) {
        let request = command.request();
        let Some(http) = command.http() else {
            match command {
                Command::Cancel { .. } => {
                    self.flight
                        .borrow_mut()
                        .take_if(|(under_way, _)| *under_way == request);
                }
                _ => self.renew_token(),
            }
            return;
        };
        let mut call = Call::new(http.method, http.url);
        call.headers = http.headers;
        if let Command::Patch { .. } = command {
            // The header says what it is.
            let body = self.spool.slice(http.body.start, http.body.end, "");
            let Some(body) = body else {
                // The machine never asks for what was released, so the browser could not make the blob.
                return self.later(request, async { Err(Unanswered) });
            };
            call.keepalive = self.leaving.get() && whole(body.size()) <= KEEPALIVE_BYTES;
            call.body = Some(body.into());
        }
        self.send(request, call);
    }

    fn send(&self, request: RequestId, mut call: Call) {
        let access = Rc::clone(&self.access);
        let checksums = Rc::clone(&self.checksums);
        let this = self.this.clone();
        self.outlives.set(call.keepalive);
        *self.flight.borrow_mut() = Some((request, Cancel::new()));
        self.later(request, async move {
            // What must outlive the page has no time for that.
            if !call.keepalive
                && let Some(sum) = checksums.of(&call, &access).await
            {
                call = call.header(header::UPLOAD_CHECKSUM, sum);
            }
            let call = match access.authorize(call).await {
                Ok(call) => call,
                Err(RenewalFailed::Unreachable) => return Err(Unanswered),
                // What the server would say to a request without a token.
                Err(RenewalFailed::Refused) => {
                    return Ok(Response {
                        status: 401,
                        tus: true,
                        ..Response::default()
                    });
                }
            };
            let sent = {
                let driver = this.upgrade().ok_or(Unanswered)?;
                let flight = driver.flight.borrow();
                let (_, cancel) = flight
                    .as_ref()
                    .filter(|it| it.0 == request)
                    .ok_or(Unanswered)?;
                call.send(cancel)
            };
            let answer = sent.await?;
            Ok(Response::read(answer.status(), |name| answer.header(name)))
        });
    }

    /// Gives the machine the outcome of a request when there is one.
    fn later(
        &self,
        request: RequestId,
        outcome: impl Future<Output = Result<Response, Unanswered>> + 'static,
    ) {
        let this = self.this.clone();
        spawn_local(async move {
            let outcome = outcome.await;
            if let Some(driver) = this.upgrade() {
                let landed = driver
                    .flight
                    .borrow_mut()
                    .take_if(|(under_way, _)| *under_way == request);
                if let Some((_, cancel)) = landed {
                    cancel.disarm();
                }
                driver.input(|machine, now| match &outcome {
                    Ok(response) => machine.handle_response(now, request, response),
                    Err(Unanswered) => machine.handle_failure(now, request),
                });
            }
        });
    }

    fn renew_token(&self) {
        let this = self.this.clone();
        let before = self.access.token();
        let renewal = self.access.renew();
        spawn_local(async move {
            let renewed = renewal.await;
            if let Some(driver) = this.upgrade() {
                let changed = driver.access.token() != before;
                driver.input(|machine, now| match renewed {
                    Ok(()) if changed => machine.handle_token_changed(now),
                    Ok(()) => machine.handle_token_renewed(now),
                    Err(RenewalFailed::Refused) => {
                        machine.handle_token_failed(now, RenewalFailure::Refused)
                    }
                    Err(RenewalFailed::Unreachable) => {
                        machine.handle_token_failed(now, RenewalFailure::Unreachable);
                    }
                });
            }
        });
    }
}
