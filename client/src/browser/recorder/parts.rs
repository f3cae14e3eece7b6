//! Further parts of a recording: begun when the server has ended an upload, or takes no more in one.
//!
//! The npm package fetches this with `later_bg.wasm`, for few recordings ever have a second part: everything here is
//! reached through [`enable`] only.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use wasm_bindgen_futures::spawn_local;
use web_sys::Blob;

use super::super::capture::Capture;
use super::super::continued_file::FrontMatter;
use super::super::server::Begun;
use super::super::spool::Spool;
use super::super::time::sleep;
use super::super::uploader::Uploader;
use super::core::Core;
use super::upload::{Part, Remote};
use crate::clock::saturated;
use crate::later::later;
use crate::machine::Input;
use crate::spool::Fact;
use crate::{Event, RecorderError, State, StopReason, Waiting, Warning};

/// Ceilings of the first wait after a failure to begin a part, and of all.
const BACKOFF_MS: u32 = 500;
const BACKOFF_CAP_MS: u32 = 30_000;
/// Longest duration of the last picture.
const PICTURE_MS: u64 = 200;
/// Largest size of the last picture.
const LONG_BYTES: u64 = 8 << 20;

/// Something to do for a further part.
pub(super) enum Job {
    /// The server has ended the upload of this part.
    Continue(Rc<Part>),
    /// The server holds everything before this part, and may have begun an upload for it.
    Next(Rc<Part>, Option<Begun>),
    /// A fresh encoder is to fill a further part.
    Split,
}

/// Runs a job of the later module.
type RunJob = fn(&Core, Job);

thread_local! {
    static RUN: Cell<Option<RunJob>> = const { Cell::new(None) };
}

/// Does a job, as soon as that is [enabled](enable).
pub(super) fn perform(core: &Core, job: Job) {
    #[cfg(not(feature = "js"))]
    enable();
    match RUN.get() {
        Some(run) => run(core, job),
        None => core.remote.jobs.borrow_mut().push(job),
    }
}

/// Does what has waited for [`enable`].
pub(super) fn perform_waiting(core: &Core) {
    if let Some(run) = RUN.get() {
        for job in core.remote.jobs.take() {
            run(core, job);
        }
    }
}

/// Lets recordings have further parts.
pub(crate) fn enable() {
    // The compiler must not find out that there is just one: it would call that from where it is to be fetched later.
    let run: fn(&Core, Job) = run;
    RUN.set(Some(std::hint::black_box(run)));
}

fn run(core: &Core, job: Job) {
    match job {
        Job::Continue(part) => continue_elsewhere(core.this.clone(), part),
        Job::Next(part, begun) => begin_next(core.this.clone(), part, begun),
        Job::Split => split(core),
    }
}

/// Lets a fresh encoder fill a further part.
fn split(core: &Core) {
    if !core.state().is_capturing() {
        return;
    }
    core.retire_capture();
    let number = add_part(core);
    core.watch.heard();
    match core.start_capture(number) {
        Ok(()) if core.state() == State::Paused => core.with_capture(Capture::pause),
        Ok(()) => {}
        Err(error) => {
            core.tell(Event::Warning(Warning::Encoder(error.to_string())));
            core.remote.captured(number);
            core.news(Input::CaptureStopped(StopReason::EncoderFailed));
        }
    }
}

/// Adds the part that a fresh encoder fills. The one before ends with its encoder's last byte.
fn add_part(core: &Core) -> usize {
    let remote = &core.remote;
    let number = core.parts.borrow_mut().add();
    let part = Part::new(number, &core.options);
    name_first(remote);
    if let Some(first) = remote.continues.borrow().as_deref() {
        part.spool.know(Fact::Continues, first);
    }
    if let Some(begun) = remote.begun.borrow().as_ref() {
        part.spool.know(Fact::Session, &begun.session);
    }
    if let Some(owner) = core.owner.borrow().as_deref() {
        part.spool.know(Fact::Owner, owner);
    }
    part.open(&core.this);
    remote.queue.borrow_mut().push_back(Rc::clone(&part));
    remote.current.replace(part);
    number
}

/// Notes the recording that further parts belong to.
fn name_first(remote: &Remote) {
    let first = remote
        .ids
        .borrow()
        .first()
        .map(|it| last_segment(it).to_owned());
    remote.continues.replace(first);
}

/// The server has ended the upload of this part: what it does not hold goes on as a further part, and so does the
/// recording, with a fresh encoder, for a part must be a file of its own.
fn continue_elsewhere(core: Weak<Core>, part: Rc<Part>) {
    spawn_local(async move {
        let mut begun = None;
        if !part.captured.get() {
            let (sender, captured) = later();
            part.on_captured.replace(Some(sender));
            if core.upgrade().is_some_and(|it| it.state().is_capturing()) {
                begun = begin_part(&core).await;
                let Some(this) = core.upgrade().filter(|_| begun.is_some()) else {
                    return;
                };
                // Not when it is being stopped by now: then its last bytes are on their way.
                this.news(Input::Split);
            }
            captured.await;
        }
        let Some(this) = core.upgrade() else { return };
        let (safe, pending_ms) = {
            let parts = this.parts.borrow();
            (
                parts.safe_bytes_of(part.number),
                parts.pending_ms_of(part.number),
            )
        };
        drop(this);
        let front = front(&part).await;
        let rest = rest(&part, front, safe, pending_ms).await;
        if rest.is_some() && begun.is_none() {
            begun = begin_part(&core).await;
            if begun.is_none() {
                return;
            }
        }
        let begun = begun.flatten();
        let Some(core) = core.upgrade().filter(|it| !it.state().is_final()) else {
            return;
        };
        let remote = &core.remote;
        name_first(remote);
        let end = part.spool.end();
        let Some(rest) = rest else {
            if safe < end {
                core.tell(Event::Warning(Warning::LeftOut { bytes: end - safe }));
                core.parts.borrow_mut().acknowledged(part.number, end);
            }
            return remote.done(&core, &part, begun);
        };
        if let Some(begun) = begun {
            core.server_takes(begun.max_size_bytes);
            remote.ids.borrow_mut().push(begun.recording.clone());
            remote.urls.borrow_mut().push(begun.upload_url.clone());
            remote.begun.replace(Some(begun));
        }
        // The device keeps its copy of this part until the server has all of it.
        let spool = Spool::of(0, rest);
        let front = spool.end() - (end - safe);
        remote.send(&core, &part, spool, safe, front);
        part.with_uploader(Uploader::end);
    });
}

/// Returns the blobs of a file with the bytes of a part that the server does not hold. `None` if they are only the last
/// picture, which an encoder emits when it is stopped after a pause: alone, in the middle of a cluster, it does not play.
async fn rest(
    part: &Part,
    front: Option<FrontMatter>,
    safe: u64,
    pending_ms: u64,
) -> Option<Vec<Blob>> {
    let end = part.spool.end();
    let rest = part.spool.slice(safe, end, "").filter(|_| safe < end)?;
    let Some(front) = front.filter(|_| safe > 0) else {
        return Some(vec![rest]);
    };
    let is_picture = pending_ms <= PICTURE_MS && end - safe <= LONG_BYTES;
    if is_picture && front.media_start(&rest).await.is_none() {
        return None;
    }
    Some(front.with(rest).await)
}

/// Reads the front matter of a part.
async fn front(part: &Part) -> Option<FrontMatter> {
    let head = part.front.borrow().clone()?;
    FrontMatter::read(&head).await
}

/// Begins the upload of a part that waited for the one before it. `begun` is there already.
fn begin_next(core: Weak<Core>, part: Rc<Part>, begun: Option<Begun>) {
    spawn_local(async move {
        let begun = match begun {
            Some(begun) => Some(begun),
            None if part.is_void() => None,
            None => match begin_part(&core).await {
                Some(begun) => begun,
                None => return,
            },
        };
        let Some(core) = core.upgrade().filter(|it| !it.state().is_final()) else {
            return;
        };
        let remote = &core.remote;
        if let Some(begun) = begun {
            remote.begun(&core, &part, begun);
        }
        name_first(remote);
        if part.is_void() {
            return remote.done(&core, &part, None);
        }
        remote.send(&core, &part, Rc::clone(&part.spool), 0, 0);
        part.grown();
    });
}

/// Begins the next part on our server, however long that takes; with another server no upload begins here. `None` when
/// the recording has ended, or when the server refused the part: then the recording has failed.
async fn begin_part(core: &Weak<Core>) -> Option<Option<Begun>> {
    let mut ceiling_ms = BACKOFF_MS;
    loop {
        let begun = begin_once(core).await?;
        let this = core.upgrade().filter(|it| !it.state().is_final())?;
        let waiting = match begun {
            Ok(begun) => {
                this.waiting.set(None);
                this.report();
                return Some(begun);
            }
            Err(RecorderError::SignedOut) => Waiting::SignIn,
            Err(
                RecorderError::Unreachable
                | RecorderError::Refused {
                    status: 408 | 425 | 500..,
                    ..
                },
            ) => Waiting::Retry {
                in_ms: ceiling_ms.into(),
            },
            Err(error) => {
                this.news(Input::UploadFailed(error));
                return None;
            }
        };
        this.waiting.set(Some(waiting));
        this.report();
        drop(this);
        let wait = f64::from(ceiling_ms) * (0.5 + js_sys::Math::random() / 2.0);
        sleep(saturated(wait)).await;
        ceiling_ms = (ceiling_ms * 2).min(BACKOFF_CAP_MS);
    }
}

/// Tries once: as the next part; as a recording of its own if the one before was deleted; and in a session of its own
/// if that was not refused for the recording but because the session is over, which ends the capture.
async fn begin_once(core: &Weak<Core>) -> Option<Result<Option<Begun>, RecorderError>> {
    let (server, session, first) = {
        let core = core.upgrade()?;
        let Some((server, session)) = core.remote.server(&core) else {
            return Some(Ok(None));
        };
        let first = core.remote.ids.borrow().first().cloned();
        (server, session, first)
    };
    let is_refusal = |it: &Result<Begun, RecorderError>| matches!(it, Err(RecorderError::Refused { status, .. }) if *status < 500);
    let mut begun = server.begin(session.clone(), first.as_deref()).await;
    if is_refusal(&begun) && first.is_some() {
        if matches!(begun, Err(RecorderError::Refused { status: 404, .. })) {
            // It was deleted, with its parts.
            core.upgrade()?.remote.ids.borrow_mut().clear();
        }
        begun = server.begin(session, None).await;
    }
    if is_refusal(&begun) {
        core.upgrade()?.news(Input::Stop(StopReason::SessionEnded));
        begun = server.begin(None, None).await;
    }
    Some(begun.map(Some))
}

/// Names an upload on a server that has no ids: what tells its URL from others.
pub(in crate::browser) fn last_segment(url: &str) -> &str {
    let slash = url.bytes().rposition(|it| it == b'/');
    slash.and_then(|at| url.get(at + 1..)).unwrap_or(url)
}
