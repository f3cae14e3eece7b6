//! Carries out the commands of the tus state machine: sends its requests and runs its timer.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use gloo_events::EventListener;
use gloo_timers::callback::Timeout;
use sortie_tus::client::{
    Abandon, Command, Config, Notice, RenewalFailure, RequestId, Response, Start, Upload,
};
use sortie_tus::header;

use super::blob_range::Slice;
use super::checksum::Checksums;
use super::credentials::Credentials;
use super::fetch::{Call, Cancel, Unanswered};
use super::problem::Problem;
use super::spool::Spool;
use super::worker::Worker;
use super::{now_ms, spawn, window};
use crate::numbers::whole;
use crate::{RecorderError, RenewalFailed};

/// Browsers send at most 64 KiB for closed pages, bodies and headers of all requests together.
const KEEPALIVE_BYTES: u64 = 56 * 1024;

/// Uploads a growing spool. Dropping it cancels the request under way and leaves the server as it is.
pub(super) struct Uploader {
    driver: Rc<Driver>,
}

struct Driver {
    this: Weak<Self>,
    machine: RefCell<Upload>,
    spool: Rc<Spool>,
    access: Rc<Credentials>,
    checksums: Rc<Checksums>,
    /// URL of the worker's script, if not the one in this module.
    worker_url: Option<String>,
    leaving: Cell<bool>,
    /// Whether the request under way continues after the page is closed.
    outlives: Cell<bool>,
    notify: Box<dyn Fn(Notice)>,
    /// Last error answer.
    problem: RefCell<Option<Problem>>,
    /// Request under way.
    flight: RefCell<Option<(RequestId, Cancel)>>,
    /// Timer and the time at which it fires.
    timer: RefCell<Option<(u64, Timeout)>>,
    network: RefCell<Vec<EventListener>>,
    /// Reference to itself while the upload is deleted after the handle was dropped.
    deleting: RefCell<Option<Rc<Self>>>,
    /// Set while commands are carried out; inputs meanwhile only add commands.
    running: Cell<bool>,
}

impl Uploader {
    /// Starts the upload of `spool` and reports to `notify`.
    pub(super) fn new(
        start: Start,
        spool: Rc<Spool>,
        access: Rc<Credentials>,
        checksums: Rc<Checksums>,
        worker_url: Option<String>,
        config: Config,
        notify: Box<dyn Fn(Notice)>,
    ) -> Self {
        // 53 random bits are enough to spread the waits of many senders.
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
            worker_url,
            leaving: Cell::default(),
            outlives: Cell::default(),
            notify,
            problem: RefCell::default(),
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

    /// Notifies the machine that more bytes are in the spool.
    pub(super) fn grown(&self) {
        let end = self.driver.spool.available();
        self.driver.input(|machine, now| {
            machine.handle_available(now, end);
            // Also passes the time: timers of hidden pages are late, but chunks arrive at their usual rate.
            machine.handle_timeout(now);
        });
    }

    /// Records that no more bytes follow, and that all of them may be sent.
    pub(super) fn end(&self) {
        self.driver.input(|machine, now| {
            machine.handle_available(now, self.driver.spool.end());
            machine.handle_end(now);
        });
    }

    /// Records that the page is hidden and may be closed (`leaves`), or visible again. Small bodies are then sent so that
    /// they survive the page.
    pub(super) fn page_leaves(&self, leaves: bool) {
        self.driver.leaving.set(leaves);
    }

    /// The page is being closed: the pending bytes are sent again in one request that survives it, if they are small
    /// enough.
    pub(super) fn page_goes(&self) {
        self.page_leaves(true);
        let driver = &self.driver;
        let acknowledged = driver.machine.borrow().acknowledged();
        let pending = driver.spool.available().saturating_sub(acknowledged);
        if pending <= KEEPALIVE_BYTES && !driver.outlives.get() {
            driver.input(Upload::handle_closing);
        }
    }

    /// Runs a timer that is late.
    pub(super) fn tick(&self) {
        let due = self.driver.machine.borrow().poll_timeout();
        if due.is_some_and(|due| due <= whole(now_ms())) {
            self.driver.input(Upload::handle_timeout);
        }
    }

    /// Cancels the upload and deletes it on the server, even after this handle was dropped.
    pub(super) fn delete(&self) {
        *self.driver.deleting.borrow_mut() = Some(Rc::clone(&self.driver));
        self.driver
            .input(|machine, now| machine.handle_abandon(now, Abandon::DeleteOnServer));
    }

    /// Adds the server's explanation to the error of this upload.
    pub(super) fn explain(&self, error: RecorderError) -> RecorderError {
        match self.driver.problem.borrow().clone() {
            Some(problem) => problem.explain_error(error),
            None => error,
        }
    }

    /// Returns the URL of the upload, once it exists.
    pub(super) fn url(&self) -> Option<String> {
        self.driver.machine.borrow().url().map(str::to_owned)
    }
}

/// Calls `send` with the guard of a request, unless the request was cancelled.
fn with_cancel<T>(
    driver: &Weak<Driver>,
    request: RequestId,
    send: impl FnOnce(&Cancel) -> T,
) -> Result<T, Unanswered> {
    let driver = driver.upgrade().ok_or(Unanswered)?;
    let flight = driver.flight.borrow();
    let under_way = flight.as_ref().filter(|it| it.0 == request);
    under_way.map(|it| send(&it.1)).ok_or(Unanswered)
}

/// Keeps the last error answer, which explains a failure of the upload.
fn keep_problem(driver: &Weak<Driver>, response: &Response, text: String) {
    if let Some(driver) = driver.upgrade()
        && response.status >= 400
    {
        driver.problem.replace(Some(Problem {
            status: response.status,
            text,
            retry_after_ms: response.retry_after_ms.and_then(|it| it.try_into().ok()),
        }));
    }
}

fn is_offline() -> bool {
    !window().navigator().on_line()
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

    /// Carries out all commands and sets the timer.
    fn run(&self) {
        if self.running.replace(true) {
            return;
        }
        loop {
            // Each poll ends its borrow before the command is carried out.
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

    /// Sets the timer. One that fires too early stays: most are moved to a later time before they fire.
    fn set_timer(&self) {
        let Some(due) = self.machine.borrow().poll_timeout() else {
            return;
        };
        let mut timer = self.timer.borrow_mut();
        if timer.as_ref().is_some_and(|it| it.0 <= due) {
            return;
        }
        // Timers take 31 bits; after a day the machine is asked again.
        let wait = due.saturating_sub(whole(now_ms())).min(86_400_000);
        let this = self.this.clone();
        let timeout = Timeout::new(u32::try_from(wait).unwrap_or(u32::MAX), move || {
            if let Some(driver) = this.upgrade() {
                driver.timer.take();
                driver.input(Upload::handle_timeout);
            }
        });
        timer.replace((due, timeout));
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
                // The caller holds a reference until this returns.
                self.deleting.borrow_mut().take();
            }
            // A missing network is not the server's fault.
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
                    // The machine does not wait any longer; perhaps because the worker has ended without an event.
                    if let Some(worker) = Worker::existing() {
                        worker.end_if_silent();
                    }
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
        let mut body = None;
        if let Command::Patch { .. } = command {
            // The header names the type.
            let (start, end) = (http.body.start, http.body.end);
            let Some(slice) = self.spool.slice(start, end) else {
                // The machine never asks for released bytes, so the browser failed to create the blob.
                return self.later(request, async { Err(Unanswered) });
            };
            call.keepalive = self.leaving.get() && end - start <= KEEPALIVE_BYTES;
            body = Some(slice);
        }
        self.send(request, call, body);
    }

    fn send(&self, request: RequestId, mut call: Call, body: Option<Slice>) {
        let access = Rc::clone(&self.access);
        let checksums = Rc::clone(&self.checksums);
        let this = self.this.clone();
        self.outlives.set(call.keepalive);
        *self.flight.borrow_mut() = Some((request, Cancel::new()));
        // A request that must survive the page is sent by the page itself, and has no time for a checksum.
        let is_late = call.keepalive;
        let worker_url = self.worker_url.as_deref();
        let worker = (!is_late).then(|| Worker::shared(worker_url)).flatten();
        self.later(request, async move {
            let has_checksum =
                !is_late && body.is_some() && checksums.are_understood(&access).await;
            match access.authorize(&mut call).await {
                Ok(()) => {}
                Err(RenewalFailed::Unreachable) => return Err(Unanswered),
                // Answer that the server would send to a request without a token.
                Err(RenewalFailed::Refused) => {
                    return Ok(Response {
                        status: 401,
                        tus: true,
                        ..Response::default()
                    });
                }
            }
            if let Some(worker) = worker {
                let sent = with_cancel(&this, request, |cancel| {
                    call.send_by(&worker, body.as_ref(), has_checksum, cancel)
                });
                if let Ok(answer) = sent?.await {
                    let answer = answer?;
                    let response =
                        Response::from_headers(answer.status(), |name| answer.header(name));
                    keep_problem(&this, &response, answer.text());
                    return Ok(response);
                }
                // The worker has ended.
            }
            if let Some(body) = body {
                call.body = Some(body.read("").await.ok_or(Unanswered)?.into());
            }
            if has_checksum && let Some(sum) = Checksums::of(&call).await {
                call.header(header::UPLOAD_CHECKSUM, sum);
            }
            let answer = with_cancel(&this, request, |cancel| call.send(cancel))?.await?;
            let response = Response::from_headers(answer.status(), |name| answer.header(name));
            if response.status >= 400 {
                keep_problem(&this, &response, answer.text().await);
            }
            Ok(response)
        });
    }

    /// Reports the outcome of a request to the machine.
    fn later(
        &self,
        request: RequestId,
        outcome: impl Future<Output = Result<Response, Unanswered>> + 'static,
    ) {
        let this = self.this.clone();
        spawn(async move {
            let outcome = outcome.await;
            if let Some(driver) = this.upgrade() {
                driver.finish(request, &outcome);
            }
        });
    }

    fn finish(&self, request: RequestId, outcome: &Result<Response, Unanswered>) {
        let mut flight = self.flight.borrow_mut();
        if let Some((_, cancel)) = flight.take_if(|(under_way, _)| *under_way == request) {
            cancel.disarm();
        }
        drop(flight);
        self.input(|machine, now| match outcome {
            Ok(response) => machine.handle_response(now, request, response),
            Err(Unanswered) => machine.handle_failure(now, request),
        });
    }

    fn renew_token(&self) {
        let this = self.this.clone();
        let before = self.access.token();
        let renewal = self.access.renew();
        spawn(async move {
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
