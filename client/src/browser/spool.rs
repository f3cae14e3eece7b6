//! Spool of a recording in the browser's storage.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use js_sys::Array;
use wasm_bindgen::JsValue;
use web_sys::Blob;

use super::blob_range::{BlobRange, Bytes, Slice, StoredFile};
use super::object::{array, number};
use super::spawn;
use super::time::sleep;
use super::worker::Worker;
use crate::numbers::{saturated, whole};
use crate::spool::{Change, Data, Fact, Put, SpoolJournal, Step, StoreFailure};
use crate::{Labels, Options, SpoolStorage, Target};

/// Event of the spool.
pub(super) enum SpoolNews {
    /// More bytes may be sent.
    Grown,
    /// The storage of new bytes has changed.
    Changed(Change),
}

/// Attempts to repeat a step by another worker. Browsers release the files and locks of a worker some time after its end.
const ATTEMPTS: u32 = 15;
/// Wait between these attempts.
const RETRY_MS: u32 = 400;

type Listener = Rc<dyn Fn(SpoolNews)>;

/// Bytes of one recording and their copy on the device. After a drop the copy stays for [`recover`](crate::recover)
/// unless it was [removed](Self::remove).
pub(super) struct Spool {
    this: Weak<Self>,
    run: RefCell<BlobRange>,
    journal: RefCell<SpoolJournal>,
    worker: RefCell<Option<Rc<Worker>>>,
    worker_url: Option<String>,
    folder: String,
    store: Cell<SpoolStorage>,
    /// Whether the worker was replaced.
    is_moved: Cell<bool>,
    is_removed: Cell<bool>,
    listener: RefCell<Option<Listener>>,
    /// Whether no more bytes follow.
    is_over: Cell<bool>,
}

impl Spool {
    /// Creates an empty spool. Without `options.durable` all bytes stay in memory.
    pub(super) fn new(options: &Options) -> Rc<Self> {
        let worker = options
            .durable
            .then(|| Worker::shared(options.worker_url.as_deref()))
            .flatten();
        let mut journal = SpoolJournal::new();
        for (fact, value) in facts(options) {
            journal.fact(fact, &value);
        }
        let random = js_sys::Math::random() * 4_294_967_296.0;
        Rc::new_cyclic(|this| Self {
            this: this.clone(),
            run: RefCell::default(),
            journal: RefCell::new(journal),
            worker: RefCell::new(worker),
            worker_url: options.worker_url.clone(),
            folder: format!("{}-{:08x}", whole(js_sys::Date::now()), saturated(random)),
            store: Cell::default(),
            is_moved: Cell::default(),
            is_removed: Cell::default(),
            listener: RefCell::default(),
            is_over: Cell::default(),
        })
    }

    /// Creates a spool of bytes from `start` on that are stored elsewhere.
    pub(super) fn of<T: Into<Bytes>>(start: u64, pieces: impl IntoIterator<Item = T>) -> Rc<Self> {
        let mut run = BlobRange::starting_at(start);
        for piece in pieces {
            run.push(piece);
        }
        let mut journal = SpoolJournal::new();
        journal.chunk(run.end(), 0);
        journal.opened(false);
        Rc::new_cyclic(|this| Self {
            this: this.clone(),
            run: RefCell::new(run),
            journal: RefCell::new(journal),
            worker: RefCell::default(),
            worker_url: None,
            folder: String::new(),
            store: Cell::default(),
            is_moved: Cell::default(),
            is_removed: Cell::default(),
            listener: RefCell::default(),
            is_over: Cell::default(),
        })
    }

    /// Opens the storage. Bytes that arrive before wait for it.
    pub(super) fn open(&self, listener: impl Fn(SpoolNews) + 'static) {
        self.listener.replace(Some(Rc::new(listener)));
        let Some(mut worker) = self.worker.borrow().clone() else {
            return self.input(|journal| journal.opened(false));
        };
        let this = self.this.clone();
        let folder = self.folder.clone();
        let worker_url = self.worker_url.clone();
        spawn(async move {
            let mut store = worker.open().await;
            let mut is_ours = store != SpoolStorage::Memory && worker.lock(&folder).await;
            while worker.is_dead()
                && let Some(next) = Worker::shared(worker_url.as_deref())
            {
                worker = next;
                store = worker.open().await;
                is_ours = store != SpoolStorage::Memory && worker.lock(&folder).await;
            }
            match this.upgrade() {
                Some(spool) => {
                    if is_ours {
                        spool.store.set(store);
                        spool.worker.replace(Some(worker));
                    } else {
                        spool.worker.take();
                    }
                    spool.input(|journal| journal.opened(is_ours));
                }
                None => worker.tell("unlock", &[folder.into()]),
            }
        });
    }

    /// Appends a chunk that arrived when the recording was `recorded_ms` long, and returns its size in bytes.
    pub(super) fn push(&self, blob: Blob, recorded_ms: u64) -> u64 {
        let size = self.run.borrow_mut().push(blob);
        let end = self.end();
        if size > 0 {
            self.input(|journal| journal.chunk(end, recorded_ms));
        }
        size
    }

    /// Stores a fact about the recording.
    pub(super) fn know(&self, fact: Fact, value: &str) {
        self.input(|journal| journal.fact(fact, value));
    }

    /// Records that the server holds the bytes below `offset`. The spool may keep some of them for longer.
    pub(super) fn acknowledged(&self, offset: u64) {
        self.run.borrow_mut().release(offset);
        self.input(|journal| journal.acknowledged(offset));
    }

    /// Unlocks the copy for other tabs as soon as it is complete. The bytes stay readable here.
    pub(super) fn let_go(&self) {
        self.listener.take();
        self.is_over.set(true);
        if self.journal.borrow().is_idle() {
            self.unlock();
        }
    }

    fn unlock(&self) {
        if let Some(worker) = self.worker.take() {
            worker.tell("unlock", &[self.folder.as_str().into()]);
        }
    }

    /// Drops all bytes and removes the copy.
    pub(super) fn remove(&self) {
        {
            let mut run = self.run.borrow_mut();
            let end = run.end();
            run.release(end);
        }
        self.listener.take();
        self.is_removed.set(true);
        if self.worker.take().is_some()
            && let Some(worker) = Worker::revived()
        {
            self.remove_by(&worker);
        }
    }

    fn remove_by(&self, worker: &Worker) {
        worker.tell("remove", &[self.folder.as_str().into()]);
        worker.tell("unlock", &[self.folder.as_str().into()]);
    }

    /// Returns the offset of the first byte.
    pub(super) fn start(&self) -> u64 {
        self.run.borrow().start()
    }

    /// Returns the offset behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.run.borrow().end()
    }

    /// Returns the end of the bytes that may be sent: bytes are stored before they are sent, if possible.
    pub(super) fn available(&self) -> u64 {
        self.journal.borrow().available()
    }

    /// Returns the storage of new bytes.
    pub(super) fn store(&self) -> SpoolStorage {
        if self.journal.borrow().is_in_memory() {
            SpoolStorage::Memory
        } else {
            self.store.get()
        }
    }

    /// Returns the bytes from `start` up to `end`; `None` if some were released.
    pub(super) fn slice(&self, start: u64, end: u64) -> Option<Slice> {
        self.run.borrow().slice(start, end)
    }

    fn input(&self, input: impl FnOnce(&mut SpoolJournal)) {
        let before = self.available();
        input(&mut self.journal.borrow_mut());
        self.after_input(before);
    }

    /// Writes and reports after an input. Before it the bytes up to `before` could be sent.
    fn after_input(&self, before: u64) {
        self.run_keeper();
        let change = self.journal.borrow_mut().poll_change();
        if let Some(change) = change {
            self.tell(SpoolNews::Changed(change));
        }
        if self.available() > before {
            self.tell(SpoolNews::Grown);
        }
    }

    fn tell(&self, news: SpoolNews) {
        let listener = self.listener.borrow().clone();
        if let Some(listener) = listener {
            listener(news);
        }
    }

    fn run_keeper(&self) {
        let step = self.journal.borrow_mut().poll();
        let Some(step) = step else {
            if self.is_over.get() && self.journal.borrow().is_idle() {
                self.unlock();
            }
            return;
        };
        let answer = self.write(&step);
        let this = self.this.clone();
        spawn(async move {
            let mut outcome = answer.await;
            for _ in 0..ATTEMPTS {
                if !matches!(outcome, Err(StoreFailure::Broken)) {
                    break;
                }
                let Some(spool) = this.upgrade() else { return };
                if !spool.has_other_worker().await {
                    break;
                }
                outcome = spool.write(&step).await;
                drop(spool);
                if outcome.is_err() {
                    sleep(RETRY_MS).await;
                }
            }
            let Some(spool) = this.upgrade() else { return };
            if let (Ok(_), Some((name, range))) = (&outcome, &step.seal) {
                let file = StoredFile {
                    folder: spool.folder.clone(),
                    name: name.clone(),
                    size: range.end - range.start,
                };
                spool.run.borrow_mut().replace(range, file);
            }
            spool.input(|journal| journal.done(outcome.map(|_| ())));
        });
    }

    /// Replaces the worker if it has ended. Returns whether a step that failed may succeed with another worker.
    async fn has_other_worker(&self) -> bool {
        let Some(worker) = self.worker.borrow().clone() else {
            return false;
        };
        if !worker.is_dead() {
            return self.is_moved.get();
        }
        if let Some(other) = Worker::shared(self.worker_url.as_deref())
            && other.open().await == self.store.get()
            && other.lock(&self.folder).await
        {
            if self.is_removed.get() {
                self.remove_by(&other);
                return false;
            }
            self.is_moved.set(true);
            self.worker.replace(Some(other));
            return true;
        }
        Worker::refusal().is_none()
    }

    /// Locks the copy by the next worker, because the worker has ended: without a lock, another tab could recover it.
    pub(super) fn move_to_next_worker(&self) {
        let this = self.this.clone();
        spawn(async move {
            for _ in 0..ATTEMPTS {
                let Some(spool) = this.upgrade() else { return };
                let is_moved = !spool
                    .worker
                    .borrow()
                    .as_ref()
                    .is_some_and(|it| it.is_dead());
                if is_moved || !spool.has_other_worker().await {
                    return;
                }
                drop(spool);
                sleep(RETRY_MS).await;
            }
        });
    }

    fn write(&self, step: &Step) -> impl Future<Output = Result<JsValue, StoreFailure>> + use<> {
        let asked = self.ask_to_write(step);
        async move {
            match asked {
                Some(answer) => answer.await,
                None => Err(StoreFailure::Broken),
            }
        }
    }

    fn ask_to_write(
        &self,
        step: &Step,
    ) -> Option<impl Future<Output = Result<JsValue, StoreFailure>> + use<>> {
        let puts = Array::new();
        for Put { file, at, data } in &step.puts {
            let data: JsValue = match data {
                Data::Lines(lines) => lines.into(),
                // New bytes are in the page.
                Data::Bytes(range) => self.slice(range.start, range.end)?.blob("")?.into(),
            };
            puts.push(&array(&[file.into(), number(*at), data]));
        }
        let seal = step.seal.as_ref();
        let seal = seal.map_or(JsValue::UNDEFINED, |(file, _)| file.into());
        let drop: Array = step.drop.iter().map(JsValue::from).collect();
        let worker = self.worker.borrow();
        let arguments = [self.folder.as_str().into(), puts.into(), seal, drop.into()];
        Some(worker.as_ref()?.ask("write", &arguments))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.unlock();
    }
}

/// Returns the facts that are known before a recording begins.
fn facts(options: &Options) -> Vec<(Fact, String)> {
    let mut facts = vec![(Fact::Started, whole(js_sys::Date::now()).to_string())];
    match &options.target {
        Target::Server { base, session } => {
            facts.push((Fact::Server, base.clone()));
            facts.extend(session.clone().map(|it| (Fact::Session, it)));
        }
        Target::Tus { endpoint } => facts.push((Fact::Endpoint, endpoint.clone())),
    }
    facts.push((Fact::Name, options.filename.clone()));
    let Labels {
        external_id,
        metadata,
    } = &options.labels;
    for (fact, value) in [
        (Fact::Owner, &options.owner),
        (Fact::ExternalId, external_id),
        (Fact::Metadata, metadata),
    ] {
        facts.extend(value.clone().map(|it| (fact, it)));
    }
    facts
}
