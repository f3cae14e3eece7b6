//! Live picture of the input. It is received while the page is visible, the device is reachable and there is a signal.

use futures_util::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use js_sys::{Array, Uint8Array};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::JsCast;
use sortie_api::SignalState;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, AbortSignal, Blob, Url};

use super::store::ApplianceStore;
use crate::appliance::{PictureReader, no_picture, picture_alt};
use crate::web::address::Link;
use crate::web::api::ApiError;
use crate::web::components::{Glyph, Icon};
use crate::web::dom;
use crate::web::poll::{poll_while, visibility};

const SECOND_MS: u32 = 1_000;
/// Age from which the last frame counts as outdated.
const OLD_MS: u64 = 3_000;
/// A stream without a frame for this long has failed; a proxy may hold it back.
const STALL_MS: u32 = 6_000;
/// Pause before another attempt after a problem.
const RETRY_MS: u32 = 2_000;
/// Single frames that are fetched before the stream is tried again.
const STILLS: u32 = 30;

/// Frame in memory of the browser, which is freed when this is dropped.
struct Frame {
    address: String,
}

impl Frame {
    fn new(jpeg: &[u8]) -> Option<Self> {
        let parts = Array::of1(&Uint8Array::from(jpeg));
        let blob = Blob::new_with_u8_array_sequence(&parts).ok()?;
        let address = Url::create_object_url_with_blob(&blob).ok()?;
        Some(Self { address })
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // Fails for no address of this page.
        let _ = Url::revoke_object_url(&self.address);
    }
}

/// How a stream ended.
enum StreamEnd {
    /// It had delivered frames.
    Interrupted,
    /// It has delivered none, and single frames may.
    Failed,
}

/// Frames that no view owns.
#[derive(Default)]
struct Internals {
    /// The shown frame, and the one before it, which the browser shows until the new one is decoded.
    frames: [Option<Frame>; 2],
    /// Ends the requests in progress.
    abort: Option<AbortController>,
}

#[derive(Clone, Copy)]
struct PictureStore {
    appliance: ApplianceStore,
    /// Address of the last frame.
    address: RwSignal<Option<String>>,
    /// Why there is no frame.
    problem: RwSignal<Option<String>>,
    /// Time of the last frame.
    received_ms: RwSignal<u64>,
    now_ms: RwSignal<u64>,
    internals: StoredValue<Internals, LocalStorage>,
}

impl PictureStore {
    fn new(appliance: ApplianceStore) -> Self {
        let store = Self {
            appliance,
            address: RwSignal::new(None),
            problem: RwSignal::new(None),
            received_ms: RwSignal::new(0),
            now_ms: RwSignal::new(dom::monotonic_ms()),
            internals: StoredValue::new_local(Internals::default()),
        };
        let visible = visibility();
        let has_signal = Memo::new(move |_| {
            let state = appliance.with(|now| now.signal.state);
            state == Some(SignalState::Steady)
        });
        let is_received =
            Memo::new(move |_| visible.get() && has_signal.get() && !appliance.is_unreachable());
        Effect::new(move |_| {
            store.stop();
            if is_received.get() {
                store.start();
            }
        });
        Effect::new(move |_| {
            if !has_signal.get() {
                store.clear();
            }
        });
        poll_while(
            move || store.address.with(Option::is_some),
            SECOND_MS,
            move || store.now_ms.set(dom::monotonic_ms()),
        );
        on_cleanup(move || store.stop());
        store
    }

    /// Seconds since the last frame, if it is outdated.
    fn age_s(self) -> Option<u64> {
        let age_ms = self.now_ms.get().saturating_sub(self.received_ms.get());
        (age_ms > OLD_MS).then_some(age_ms / 1_000)
    }

    fn stop(self) {
        let abort = self
            .internals
            .try_update_value(|internals| internals.abort.take());
        if let Some(abort) = abort.flatten() {
            abort.abort();
        }
    }

    fn start(self) {
        let Ok(abort) = AbortController::new() else {
            return;
        };
        let signal = abort.signal();
        self.internals
            .update_value(|internals| internals.abort = Some(abort));
        self.problem.set(None);
        spawn_local(self.receive(signal));
    }

    fn clear(self) {
        self.address.set(None);
        self.problem.set(None);
        self.internals
            .update_value(|internals| internals.frames = Default::default());
    }

    /// Receives frames until it is stopped.
    async fn receive(self, abort: AbortSignal) {
        while !abort.aborted() {
            let outcome = match self.stream(&abort).await {
                Ok(StreamEnd::Interrupted) => Ok(()),
                Ok(StreamEnd::Failed) | Err(ApiError::Unreachable | ApiError::Unreadable(_)) => {
                    self.stills(&abort).await
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => {}
                Err(ApiError::SignedOut) => return,
                Err(error) => self.explain(&error, &abort),
            }
            TimeoutFuture::new(RETRY_MS).await;
        }
    }

    /// Receives a stream until it ends.
    async fn stream(self, abort: &AbortSignal) -> Result<StreamEnd, ApiError> {
        let reader = self.appliance.api().picture_stream(Some(abort)).await?;
        let mut pictures = PictureReader::default();
        let mut end = StreamEnd::Failed;
        loop {
            let read = JsFuture::from(reader.read());
            let read = match select(read, TimeoutFuture::new(STALL_MS)).await {
                Either::Left((read, _)) => read,
                Either::Right(_) => {
                    // The server notices that the response is no longer read.
                    let _ = reader.cancel();
                    return Ok(end);
                }
            };
            let Ok(read) = read else {
                return Ok(end);
            };
            // `{ done, value }` (WHATWG Streams, section 4.4); `value` is absent at the end.
            let value = js_sys::Reflect::get(&read, &"value".into()).unwrap_or_default();
            let Ok(bytes) = value.dyn_into::<Uint8Array>() else {
                return Ok(end);
            };
            match pictures.push(&bytes.to_vec()) {
                Ok(Some(jpeg)) => {
                    end = StreamEnd::Interrupted;
                    self.show(&jpeg, abort);
                }
                Ok(None) => {}
                Err(_) => {
                    let _ = reader.cancel();
                    return Ok(StreamEnd::Failed);
                }
            }
        }
    }

    /// Fetches single frames for a while.
    async fn stills(self, abort: &AbortSignal) -> Result<(), ApiError> {
        for _ in 0..STILLS {
            if abort.aborted() {
                break;
            }
            let jpeg = self.appliance.api().picture(Some(abort)).await?;
            self.show(&jpeg, abort);
            TimeoutFuture::new(SECOND_MS).await;
        }
        Ok(())
    }

    fn show(self, jpeg: &[u8], abort: &AbortSignal) {
        // The page may have been closed.
        if abort.aborted() {
            return;
        }
        let Some(frame) = Frame::new(jpeg) else {
            return;
        };
        self.address.set(Some(frame.address.clone()));
        self.internals.update_value(|internals| {
            internals.frames.swap(0, 1);
            internals.frames[0] = Some(frame);
        });
        let now_ms = dom::monotonic_ms();
        self.received_ms.set(now_ms);
        self.now_ms.set(now_ms);
        self.problem.set(None);
    }

    fn explain(self, error: &ApiError, abort: &AbortSignal) {
        if !abort.aborted() {
            self.problem.set(Some(self.appliance.explain(error)));
        }
    }
}

/// Card with the live picture, or the reason why there is none.
#[component]
pub(super) fn LivePicture(appliance: ApplianceStore) -> impl IntoView {
    let store = PictureStore::new(appliance);
    let has_frame = Memo::new(move |_| store.address.with(Option::is_some));
    let age_s = Memo::new(move |_| store.age_s().filter(|_| has_frame.get()));
    let growing = Memo::new(move |_| {
        let file = appliance.with(|now| now.file.clone()).flatten();
        file.and_then(|file| file.recording_id)
    });
    let alt = move || {
        let device = appliance.with(|now| now.device.clone()).flatten();
        picture_alt(device.as_deref(), age_s.get())
    };
    let missing = move || {
        let state = appliance.with(|now| now.signal.state);
        let by_signal = state.and_then(no_picture).map(ToOwned::to_owned);
        let text = by_signal.or_else(|| store.problem.get());
        text.unwrap_or_else(|| "Waiting for the first picture…".to_owned())
    };
    // Over an outdated frame, the problem says why.
    let note = move || {
        age_s.get().map(|age_s| {
            let problem = store.problem.get().map(|problem| format!(" {problem}"));
            format!("Last picture {age_s} s ago.{}", problem.unwrap_or_default())
        })
    };
    view! {
        <div
            class="live-picture"
            class:is-old=move || age_s.get().is_some()
        >
            <Show
                when=move || has_frame.get()
                fallback=move || view! { <p class="live-picture-missing">{missing}</p> }
            >
                <img
                    class="live-picture-frame"
                    width="640"
                    height="360"
                    src=move || store.address.get()
                    alt=alt
                />
                {move || note().map(|note| view! { <p class="live-picture-note">{note}</p> })}
            </Show>
            {move || {
                growing
                    .get()
                    .map(|id| {
                        view! {
                            <Link to=format!("/recordings/{id}") attr:class="button live-picture-link">
                                <Icon glyph=Glyph::Play />
                                "Live view"
                            </Link>
                        }
                    })
            }}
        </div>
    }
}
