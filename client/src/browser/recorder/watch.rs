//! What a running recording keeps an eye on: the encoder, the room that is left, the page.

use std::cell::{Cell, RefCell};

use gloo_timers::callback::Interval;
use wasm_bindgen_futures::spawn_local;

use super::super::capture::Capture;
use super::super::source::OpenSource;
use super::super::wake_lock::WakeLock;
use super::super::worker::{TICK_MS, Ticking, Worker};
use super::super::{is_hidden, now_ms, quota};
use super::core::Core;
use super::parts::perform_waiting;
use crate::clock::whole;
use crate::machine::Input;
use crate::room::{Relief, Room};
use crate::watchdog::{Alarm, Watchdog};
use crate::{Event, Options, SpoolStorage, State, StopReason, Warning};

/// How often the room on the device is looked at, in ticks: every ten seconds.
const QUOTA_TICKS: u32 = 10_000 / TICK_MS;
/// How long after a pause, in ticks, the encoder is asked for what it has: by then it has encoded every picture.
const FLUSH_TICKS: u32 = 2;
/// How often a canvas in a hidden page is painted, in ticks.
const REPAINT_TICKS: u32 = 500 / TICK_MS;

/// What the watch needs between two ticks.
pub(super) struct Watch {
    tick: RefCell<Option<Tick>>,
    ticks: Cell<u32>,
    /// Ticks since the recording was paused.
    paused: Cell<u32>,
    watchdog: RefCell<Watchdog>,
    room: Cell<Room>,
    awake: RefCell<Option<WakeLock>>,
}

/// What makes a running recording look around.
#[expect(dead_code, reason = "held to be dropped")]
enum Tick {
    Worker(Ticking),
    Page(Interval),
}

impl Watch {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            tick: RefCell::default(),
            ticks: Cell::default(),
            paused: Cell::default(),
            watchdog: RefCell::new(Watchdog::new(options.timeslice_ms, wall_ms())),
            room: Cell::default(),
            awake: RefCell::default(),
        }
    }

    /// A chunk came; whether it shows that the encoder works.
    pub(super) fn chunk(&self, is_empty: bool) -> bool {
        self.watchdog.borrow_mut().chunk(wall_ms(), is_empty)
    }

    /// The encoder works, or a fresh one has begun.
    pub(super) fn heard(&self) {
        self.watchdog.borrow_mut().heard(wall_ms());
    }

    /// Nothing is recorded any more: the screen may go off.
    pub(super) fn sleep(&self) {
        self.awake.take();
    }

    /// Nothing is left to be watched.
    pub(super) fn end(&self) {
        self.tick.take();
    }
}

impl Core {
    /// From the encoder's start on, until [`Watch::end`].
    pub(super) fn begin_watch(&self) {
        let watchdog = Watchdog::new(self.options.timeslice_ms, wall_ms());
        self.watch.watchdog.replace(watchdog);
        self.run_tick();
        if self.options.durable {
            quota::persist();
        }
        if self.options.keep_awake {
            self.watch.awake.replace(Some(WakeLock::new()));
        }
    }

    fn run_tick(&self) {
        let this = self.this.clone();
        let tick = move || {
            if let Some(core) = this.upgrade() {
                core.tick();
            }
        };
        // The page's own timers come late, or not at all, while nobody looks at it.
        let worker = Worker::shared(self.options.worker_url.as_deref());
        self.watch.tick.replace(Some(match worker {
            Some(worker) => Tick::Worker(worker.ticking(tick)),
            None => Tick::Page(Interval::new(TICK_MS, tick)),
        }));
    }

    fn tick(&self) {
        let ticks = self.watch.ticks.get().wrapping_add(1);
        self.watch.ticks.set(ticks);
        self.remote.tick();
        perform_waiting(self);
        if self.state() == State::Starting {
            return self.watch_encoder();
        }
        if !self.state().is_capturing() {
            return;
        }
        if self.state() == State::Recording {
            self.watch.paused.set(0);
            self.report_time();
            self.check_limits();
        } else {
            self.watch.paused.set(self.watch.paused.get() + 1);
            // Sends the encoder's buffered data now, not after the pause.
            if self.watch.paused.get() == FLUSH_TICKS {
                self.with_capture(Capture::request_data);
            }
        }
        let stopped = {
            let source = self.source.borrow();
            let stopped = source.as_ref().filter(|it| it.was_stopped());
            stopped.map(OpenSource::end_reason)
        };
        if let Some(reason) = stopped {
            self.tell(Event::Warning(Warning::VideoEnded));
            return self.news(Input::Stop(reason));
        }
        self.watch_encoder();
        self.watch_memory();
        if ticks.is_multiple_of(QUOTA_TICKS) {
            self.watch_quota();
        }
        if ticks.is_multiple_of(REPAINT_TICKS) && is_hidden() {
            let source = self.source.borrow();
            if let Some(source) = source.as_ref() {
                source.repaint();
            }
        }
    }

    fn watch_encoder(&self) {
        if self.state() == State::Paused {
            self.watch.watchdog.borrow_mut().heard(wall_ms());
        }
        let alarm = self.watch.watchdog.borrow_mut().tick(wall_ms());
        match alarm {
            Some(Alarm::Quiet) => self.watch_canvas(),
            Some(Alarm::Silent { silent_ms }) => {
                self.silent(Warning::NoData { silent_ms });
            }
            Some(Alarm::Slept { asleep_ms }) => {
                self.tell(Event::Warning(Warning::Slept { asleep_ms }));
            }
            None => {}
        }
    }

    /// Nothing tells that a canvas has come to show what may not be recorded, and it gives nothing more.
    pub(super) fn watch_canvas(&self) {
        let source = self.source.borrow();
        let is_tainted = source.as_ref().is_some_and(OpenSource::is_tainted);
        if is_tainted && self.watch.watchdog.borrow_mut().silence() {
            self.silent(Warning::TaintedCanvas);
        }
    }

    fn watch_memory(&self) {
        let in_memory = self.remote.store() == SpoolStorage::Memory;
        let pending = self.parts.borrow().pending_bytes();
        let is_paused = self.state() == State::Paused;
        let mut room = self.watch.room.get();
        let relief = room.check(now_ms(), in_memory, pending, is_paused);
        self.watch.room.set(room);
        match relief {
            Some(Relief::Pause) => {
                self.tell(Event::Warning(Warning::StorageFull));
                self.news(Input::Pause);
            }
            Some(Relief::Resume) => self.news(Input::Resume),
            Some(Relief::Stop) => self.news(Input::Stop(StopReason::StorageFull)),
            None => {}
        }
    }

    fn watch_quota(&self) {
        if self.remote.store() == SpoolStorage::Memory {
            return;
        }
        let this = self.this.clone();
        spawn_local(async move {
            let left = quota::left_bytes().await;
            if let (Some(core), Some(left_bytes)) = (this.upgrade(), left) {
                let mut room = core.watch.room.get();
                let is_news = room.is_low_news(left_bytes);
                core.watch.room.set(room);
                if is_news {
                    core.tell(Event::Warning(Warning::StorageLow { left_bytes }));
                }
            }
        });
    }
}

fn wall_ms() -> u64 {
    whole(js_sys::Date::now())
}
