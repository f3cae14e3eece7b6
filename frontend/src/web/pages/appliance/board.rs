use futures_util::future::{Either, select};
use gloo_net::http::Method;
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::{Appliance, Event, RecorderState, Recording, RecordingStatus};

use crate::appliance::{Clock, recorder, signal};
use crate::format;
use crate::link::Link;
use crate::web::api::{Api, ApiError};
use crate::web::dom;
use crate::web::news::follow;
use crate::web::pages::recordings::{Scope, Shelf};
use crate::web::poll::poll_while;
use crate::web::session::Session;

const ROUTE: &str = "/api/appliance";
const SECOND_MS: u32 = 1_000;
/// How often a running duration is looked at, so that no second is shown late.
const CLOCK_MS: u32 = 200;
/// How often it is asked what only changes slowly, and what nobody tells.
const SLOWLY_MS: u32 = 30_000;
/// A device that was unplugged does not even refuse: so long it has to answer.
const PATIENCE_MS: u32 = 5_000;

/// What the parts of the page share: the device as it is now, and the way to it.
#[derive(Clone, Copy)]
pub(super) struct Board {
    session: Session,
    /// The device as it said last; `None` before it has said anything.
    pub(super) state: RwSignal<Option<Appliance>>,
    /// Whether it answers.
    pub(super) link: RwSignal<Link>,
    /// What the device has refused, or could not do.
    pub(super) problem: RwSignal<Option<String>>,
    /// Changes when room and list may have.
    pub(super) changes: RwSignal<u32>,
    /// The list.
    pub(super) shelf: Shelf,
    /// Milliseconds of the recording under way, by the second.
    pub(super) duration_ms: Memo<u64>,
    clock: RwSignal<Clock>,
    /// A question is under way.
    is_asking: StoredValue<bool>,
}

impl Board {
    /// Asks the device, and follows it from then on.
    pub(super) fn new() -> Self {
        let clock = RwSignal::new(Clock::default());
        let now_ms = RwSignal::new(dom::monotonic_ms());
        let board = Self {
            session: Session::expect(),
            state: RwSignal::new(None),
            link: RwSignal::new(Link::default()),
            problem: RwSignal::new(None),
            changes: RwSignal::new(0),
            shelf: Shelf::at_address(Scope::Appliance),
            duration_ms: Memo::new(move |_| {
                let duration_ms = clock.with(|clock| clock.read(now_ms.get()));
                duration_ms / 1000 * 1000
            }),
            clock,
            is_asking: StoredValue::new(false),
        };
        let is_told = follow(Scope::Appliance.events(), move |event| board.hear(&event));
        Effect::new(move |was_told: Option<bool>| {
            let is_told = is_told.get();
            // The first time, and when the stream has broken off: that is how a loss shows first.
            if was_told != Some(false) && !is_told {
                board.ask();
            }
            is_told
        });
        poll_while(
            || true,
            SECOND_MS,
            move || {
                let mut is_due = false;
                // Nobody is told of the seconds that only count up to the next question.
                board.link.try_maybe_update(|link| {
                    let before = *link;
                    is_due = link.tick(is_told.get_untracked());
                    let is_shown = before.is_lost() || link.is_lost();
                    (is_shown, ())
                });
                if is_due {
                    board.ask();
                }
            },
        );
        poll_while(
            move || board.is_recording(),
            CLOCK_MS,
            move || {
                now_ms.set(dom::monotonic_ms());
            },
        );
        poll_while(
            move || !board.is_lost(),
            SLOWLY_MS,
            move || board.has_changed(),
        );
        board
    }

    /// Asks the device how it is.
    fn ask(self) {
        if self.is_asking.try_get_value() != Some(false) {
            return;
        }
        self.is_asking.set_value(true);
        let api = self.session.api();
        spawn_local(async move {
            let answer = Box::pin(api.get::<Appliance>(ROUTE));
            let answer = match select(answer, TimeoutFuture::new(PATIENCE_MS)).await {
                Either::Left((answer, _)) => answer,
                Either::Right(_) => Err(ApiError::Unreachable),
            };
            // The page may have been left meanwhile.
            if self.is_asking.try_set_value(false).is_some() {
                return;
            }
            match answer {
                Ok(now) => {
                    self.heard();
                    self.take(now);
                }
                Err(ApiError::Unreachable | ApiError::Unreadable(_)) => self.missed(),
                Err(error) => {
                    self.heard();
                    self.problem.set(Some(self.session.explain(&error)));
                }
            }
        });
    }

    /// Asks again at once, because somebody does not want to wait.
    pub(super) fn hurry(self) {
        let is_due = self.link.try_update(Link::hurry);
        if is_due == Some(true) {
            self.ask();
        }
    }

    fn heard(self) {
        let mut was_lost = false;
        self.link.try_maybe_update(|link| {
            was_lost = link.heard();
            (was_lost, ())
        });
        if was_lost {
            self.shelf.page.poll();
            self.has_changed();
        }
    }

    fn missed(self) {
        self.link.update(Link::missed);
        self.clock.update(|clock| clock.hold(dom::monotonic_ms()));
    }

    fn hear(self, event: &Event) {
        self.heard();
        match event {
            Event::Hello => self.ask(),
            Event::Appliance(now) => self.take((**now).clone()),
            Event::Recording(recording) if recording.status == RecordingStatus::Ready => {
                self.has_changed();
            }
            Event::RecordingDeleted(_) => self.has_changed(),
            _ => {}
        }
        self.shelf.hear(event);
    }

    fn take(self, now: Appliance) {
        let duration_ms = format::seconds_to_ms(now.duration_seconds);
        let runs = now.recorder == RecorderState::Recording;
        self.clock
            .update(|clock| clock.told(duration_ms, runs, dom::monotonic_ms()));
        // What has not changed must not be drawn again.
        if self.state.with_untracked(|old| old.as_ref() != Some(&now)) {
            self.state.set(Some(now));
        }
    }

    /// Room and list are to be looked at again.
    pub(super) fn has_changed(self) {
        self.changes
            .try_update(|changes| *changes = changes.wrapping_add(1));
    }

    /// Begins or ends a recording; calls `done` with the answer.
    pub(super) fn order(self, order: &'static str, done: impl FnOnce(bool) + 'static) {
        self.problem.set(None);
        let api = self.session.api();
        spawn_local(async move {
            let address = format!("{ROUTE}/recording/{order}");
            let outcome = api.ask::<Appliance>(Method::POST, &address, &()).await;
            // The page may have been left meanwhile.
            if self.is_asking.is_disposed() {
                return;
            }
            done(outcome.is_ok());
            match outcome {
                Ok(now) => self.take(now),
                Err(error) => self.problem.set(Some(self.session.explain(&error))),
            }
        });
    }

    /// The calls to the server.
    pub(super) fn api(self) -> Api {
        self.session.api()
    }

    /// The sentence to show for an error.
    pub(super) fn explain(self, error: &ApiError) -> String {
        self.session.explain(error)
    }

    /// Looks at the device as it is now; tracked, as everything below.
    pub(super) fn with<O>(self, look: impl FnOnce(&Appliance) -> O) -> Option<O> {
        self.state.with(|now| now.as_ref().map(look))
    }

    /// Whether it does not answer.
    pub(super) fn is_lost(self) -> bool {
        self.link.with(|link| link.is_lost())
    }

    pub(super) fn is_recording(self) -> bool {
        self.with(|now| now.recorder == RecorderState::Recording)
            .unwrap_or(false)
    }

    /// What a screen reader is told when it changes: neither seconds nor bytes.
    pub(super) fn announcement(self) -> String {
        self.with(|now| format!("{}. {}.", signal(&now.signal), recorder(now)))
            .unwrap_or_default()
    }

    /// The recording with this id, as the list has it.
    pub(super) fn row(self, id: &str) -> Option<Recording> {
        self.shelf.row(id)
    }
}
