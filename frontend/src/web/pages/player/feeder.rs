//! Playback of a finished recording by Media Source Extensions, from the keyframes of its index.
//!
//! Firefox reads a WebM up to the keyframe after the start before it reports the metadata, and up to the keyframe after
//! the target of a seek before it shows a picture. Here it gets the bytes from the keyframe before the target at once. Used
//! in Firefox only, and for recordings without sound. Whatever fails makes the file itself the source of the video element
//! again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_util::future::{self, AbortHandle, Either};
use gloo_timers::future::TimeoutFuture;
use js_sys::Uint8Array;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::JsCast;
use sortie_api::SeekIndex;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, HtmlVideoElement, ReadableStreamDefaultReader};

use super::playback::{buffered, to_seconds};
use crate::format;
use crate::player::block_durations::BlockDurations;
use crate::player::live::View;
use crate::player::range_feed::RangeFeed;
use crate::web::api::{Api, ApiError, recording_path};
use crate::web::dom;
use crate::web::media_buffer::{AppendError, AttachedSource, MediaBuffer};

/// Interval at which the buffer is checked while nothing is requested.
const TICK_MS: u32 = 100;
/// Bytes that are requested with the index; the head of a WebM that this server writes is smaller.
const FIRST_BYTES: u64 = 8 << 10;
/// Pause before a failed request is repeated; doubled with each further failure, up to the second value.
const RETRY_MS: u32 = 500;
const RETRY_LIMIT_MS: u32 = 8_000;
/// Failures in a row after which the file is the source.
const RETRIES: u32 = 10;
/// Silence after which a connection counts as lost: after sleep, a browser may not notice.
const SILENCE_MS: u32 = 20_000;
/// Time for which the video element may not play although it has enough to play.
const STUCK_MS: u64 = 10_000;

/// Whether files are played by a feeder in this browser.
pub(super) fn is_wanted() -> bool {
    let agent = window().navigator().user_agent();
    agent.is_ok_and(|agent| agent.contains("Firefox/")) && MediaBuffer::is_available()
}

/// State that the page shares with the feeding task.
#[derive(Default)]
struct Shared {
    /// Whether the current request leads elsewhere.
    is_aborted: Cell<bool>,
    request: RefCell<Option<AbortController>>,
    feed: RefCell<Option<RangeFeed>>,
}

/// Fills the buffer of a video element with one recording. Dropping it ends the task and its request.
pub(super) struct Feeder {
    video: HtmlVideoElement,
    shared: Rc<Shared>,
    task: AbortHandle,
}

impl Feeder {
    /// Makes a new buffer the source of the video element. Calls `on_failure` if the recording cannot be played this way.
    pub(super) fn start(
        api: Api,
        video: &HtmlVideoElement,
        id: String,
        on_failure: impl FnOnce() + 'static,
    ) -> Option<Self> {
        let source = AttachedSource::attach(video)?;
        let shared = Rc::new(Shared::default());
        let run = Run {
            api,
            id,
            video: video.clone(),
            shared: shared.clone(),
        };
        let (running, task) = future::abortable(async move { run.run(source).await });
        spawn_local(async move {
            if running.await == Ok(()) {
                on_failure();
            }
        });
        Some(Self {
            video: video.clone(),
            shared,
            task,
        })
    }

    /// Ends a request that does not lead to the position of the video element.
    pub(super) fn on_seek(&self) {
        let feed = self.shared.feed.borrow();
        if let Some(feed) = &*feed
            && with_view(&self.video, |view| feed.needs_restart(view))
        {
            self.shared.abort();
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.abort();
    }
}

impl Shared {
    fn abort(&self) {
        self.is_aborted.set(true);
        if let Some(request) = &*self.request.borrow() {
            request.abort();
        }
    }
}

fn with_view<T>(video: &HtmlVideoElement, decide: impl FnOnce(View<'_>) -> T) -> T {
    let buffered = buffered(video);
    decide(View {
        position_ms: format::seconds_to_ms(video.current_time()),
        buffered: &buffered,
        is_paused: video.paused(),
        is_live: false,
    })
}

/// Task that requests ranges and appends them.
struct Run {
    api: Api,
    id: String,
    video: HtmlVideoElement,
    shared: Rc<Shared>,
}

/// Why a range has not been read.
enum ReadError {
    /// The same request may succeed later.
    Temporary,
    Permanent,
}

/// Bytes of a recording that are on the way to the buffer.
struct Pipe {
    buffer: MediaBuffer,
    /// Everything before the first cluster.
    head: Vec<u8>,
    durations: BlockDurations,
    duration_ms: u64,
    /// Requests in a row that have failed.
    failures: u32,
    /// Since when the video element does not play although it has enough to play.
    stuck_since_ms: Option<u64>,
}

impl Run {
    /// Feeds the buffer. Returns after a failure only.
    async fn run(&self, source: AttachedSource) {
        if let Some(mut pipe) = self.open(source).await {
            while self.step(&mut pipe).await.is_some() {}
        }
    }

    async fn open(&self, source: AttachedSource) -> Option<Pipe> {
        let path = recording_path(&self.id) + "/index";
        let index = self.api.get::<SeekIndex>(&path);
        let first = self.read((0, FIRST_BYTES - 1));
        let (index, first) = within_silence(future::join(index, first)).await.ok()?;
        let (index, mut head) = (index.ok()?, first.ok()?);
        let media_type = index.media_type.clone()?;
        // Firefox makes a new demuxer for a segment that begins before the end of all earlier ones, which then drops
        // everything up to a keyframe. With sound, most segments do.
        let is_silent = !media_type.contains(',');
        let is_webm = media_type.starts_with("video/webm;");
        if !is_silent || !is_webm || !MediaBuffer::supports(&media_type) {
            return None;
        }
        let (size_bytes, duration_ms) = (index.size_bytes, index.duration_ms);
        let feed = RangeFeed::new(index, size_bytes)?;
        let head_bytes = feed.head_bytes();
        if (head.len() as u64) < head_bytes {
            let rest = self.read((head.len() as u64, head_bytes - 1)).await;
            head.extend(rest.ok()?);
        }
        head.truncate(usize::try_from(head_bytes).ok()?);
        let mut durations = BlockDurations::default();
        durations.push(&head).ok()?;
        let buffer = source.add_buffer(&media_type).await?;
        buffer.set_duration(to_seconds(duration_ms));
        self.shared.feed.replace(Some(feed));
        Some(Pipe {
            buffer,
            head,
            durations,
            duration_ms,
            failures: 0,
            stuck_since_ms: None,
        })
    }

    /// Requests what the position needs, or waits; `None` after a failure.
    async fn step(&self, pipe: &mut Pipe) -> Option<()> {
        if self.decide(RangeFeed::needs_restart) {
            self.restart(pipe).await?;
        }
        if self.is_stuck(pipe) {
            return None;
        }
        // The position may have changed while the buffer was cleared.
        match self.decide(|feed, view| match feed.needs_restart(view) {
            true => None,
            false => feed.next_range(view),
        }) {
            Some(range) => self.pass(range, pipe).await?,
            None => TimeoutFuture::new(TICK_MS).await,
        }
        if self.decide(|feed, _| feed.is_at_end()) {
            let last = pipe.durations.finish(pipe.duration_ms);
            if !last.is_empty() && self.append(pipe, &last).await? {
                pipe.buffer.end_of_stream();
            }
        }
        Some(())
    }

    async fn restart(&self, pipe: &mut Pipe) -> Option<()> {
        let position_ms = format::seconds_to_ms(self.video.current_time());
        self.update(|feed| feed.restart(position_ms));
        pipe.durations.restart();
        pipe.stuck_since_ms = None;
        pipe.buffer.clear().await;
        pipe.buffer.begin_stream().ok()?;
        let head = Uint8Array::from(pipe.head.as_slice());
        pipe.buffer.append(&head).await.ok()
    }

    /// Whether the video element cannot play what it has.
    fn is_stuck(&self, pipe: &mut Pipe) -> bool {
        // HTML, section 4.8.11.7: HAVE_FUTURE_DATA is 3.
        if self.video.ready_state() >= 3 || !self.decide(RangeFeed::is_stuck_unless_playing) {
            pipe.stuck_since_ms = None;
            return self.video.ready_state() < 3 && self.decide(RangeFeed::has_missed);
        }
        let now_ms = dom::monotonic_ms();
        now_ms - *pipe.stuck_since_ms.get_or_insert(now_ms) > STUCK_MS
    }

    fn decide<T>(&self, decide: impl FnOnce(&RangeFeed, View<'_>) -> T) -> T
    where
        T: Default,
    {
        let feed = self.shared.feed.borrow();
        let decide = |feed| with_view(&self.video, |view| decide(feed, view));
        feed.as_ref().map(decide).unwrap_or_default()
    }

    fn update(&self, change: impl FnOnce(&mut RangeFeed)) {
        if let Some(feed) = &mut *self.shared.feed.borrow_mut() {
            change(feed);
        }
    }

    async fn request(&self, range: (u64, u64)) -> Result<ReadableStreamDefaultReader, ApiError> {
        let request = AbortController::new().ok();
        let signal = request.as_ref().map(AbortController::signal);
        self.shared.request.replace(request);
        self.shared.is_aborted.set(false);
        self.api.file_range(&self.id, range, signal.as_ref()).await
    }

    /// Reads a small range.
    async fn read(&self, range: (u64, u64)) -> Result<Vec<u8>, ReadError> {
        let reader = within_silence(self.request(range)).await??;
        let mut all = Vec::new();
        while let Some(bytes) = next(&reader).await? {
            all.extend(bytes);
        }
        Ok(all)
    }

    /// Appends a range while it arrives, up to its end or to a seek elsewhere. A request that fails for now is repeated
    /// with the next step.
    async fn pass(&self, range: (u64, u64), pipe: &mut Pipe) -> Option<()> {
        match self.pass_once(range, pipe).await {
            Ok(()) => Some(()),
            Err(_) if self.shared.is_aborted.get() => Some(()),
            Err(ReadError::Temporary) if pipe.failures < RETRIES => {
                self.shared.abort();
                let pause_ms = RETRY_MS << pipe.failures;
                pipe.failures += 1;
                self.pause(pause_ms.min(RETRY_LIMIT_MS)).await;
                Some(())
            }
            Err(_) => None,
        }
    }

    /// Waits, but not after a seek elsewhere.
    async fn pause(&self, ms: u32) {
        let until_ms = dom::monotonic_ms() + u64::from(ms);
        while dom::monotonic_ms() < until_ms && !self.decide(RangeFeed::needs_restart) {
            TimeoutFuture::new(TICK_MS).await;
        }
    }

    async fn pass_once(&self, range: (u64, u64), pipe: &mut Pipe) -> Result<(), ReadError> {
        let reader = within_silence(self.request(range)).await??;
        let mut rest = range.1 - range.0 + 1;
        while let Some(bytes) = next(&reader).await? {
            if self.shared.is_aborted.get() {
                return Ok(());
            }
            pipe.failures = 0;
            let clusters = pipe.durations.push(&bytes);
            let clusters = clusters.map_err(|_| ReadError::Permanent)?;
            self.update(|feed| feed.advance(bytes.len() as u64));
            rest = rest.saturating_sub(bytes.len() as u64);
            let has_passed = match clusters.is_empty() {
                true => true,
                false => {
                    let appended = self.append(pipe, &clusters).await;
                    appended.ok_or(ReadError::Permanent)?
                }
            };
            if !has_passed {
                return Ok(());
            }
            if self.is_stuck(pipe) {
                return Err(ReadError::Permanent);
            }
        }
        match rest {
            0 => Ok(()),
            _ => Err(ReadError::Temporary),
        }
    }

    /// Appends bytes, when there is room for them. `Some(false)` after a seek elsewhere, `None` after a failure.
    async fn append(&self, pipe: &Pipe, bytes: &[u8]) -> Option<bool> {
        let bytes = Uint8Array::from(bytes);
        loop {
            let appended = pipe.buffer.append(&bytes).await;
            let is_full = appended == Err(AppendError::Full);
            if let Some(end_ms) = self.decide(|feed, view| feed.evict_ms(view, is_full)) {
                pipe.buffer.remove_before(to_seconds(end_ms)).await;
                self.update(|feed| feed.evict(end_ms));
            } else if is_full {
                if self.decide(RangeFeed::needs_restart) {
                    self.update(RangeFeed::lose);
                    return Some(false);
                }
                if !self.decide(RangeFeed::is_playable) {
                    return None;
                }
                // Playback makes room.
                TimeoutFuture::new(TICK_MS).await;
            }
            match appended {
                Ok(()) => return Some(true),
                Err(AppendError::Full) => {}
                Err(AppendError::Broken) => return None,
            }
        }
    }
}

impl From<ApiError> for ReadError {
    fn from(error: ApiError) -> Self {
        match error.is_temporary() {
            true => Self::Temporary,
            false => Self::Permanent,
        }
    }
}

/// Waits for something of a connection, but not for a connection that is lost.
async fn within_silence<T>(waited: impl Future<Output = T>) -> Result<T, ReadError> {
    let waited = std::pin::pin!(waited);
    match future::select(waited, TimeoutFuture::new(SILENCE_MS)).await {
        Either::Left((found, _)) => Ok(found),
        Either::Right(_) => Err(ReadError::Temporary),
    }
}

/// Reads the next bytes; `None` at the end.
async fn next(reader: &ReadableStreamDefaultReader) -> Result<Option<Vec<u8>>, ReadError> {
    let read = within_silence(JsFuture::from(reader.read())).await?;
    let read = read.map_err(|_| ReadError::Temporary)?;
    // `{ done, value }` (WHATWG Streams, section 4.4); `value` is absent at the end.
    let value = js_sys::Reflect::get(&read, &"value".into()).unwrap_or_default();
    Ok(value.dyn_into::<Uint8Array>().ok().map(|it| it.to_vec()))
}
