//! Support of the browser tests: a server and a canvas inside the page, and a recording listener.
#![expect(
    dead_code,
    unreachable_pub,
    reason = "shared by suites of which none needs all of it"
)]

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use sortie_client::{Event, EventListener, Progress, Recorder, State, StopReason};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, HtmlCanvasElement, MediaStream, MediaStreamTrack};

#[wasm_bindgen(module = "/tests/support/fake_server.js")]
extern "C" {
    pub type FakeServer;
    #[wasm_bindgen(constructor)]
    pub fn new() -> FakeServer;
    #[wasm_bindgen(method)]
    fn close(this: &FakeServer);
    #[wasm_bindgen(method)]
    fn recorded(this: &FakeServer) -> js_sys::Promise;
    #[wasm_bindgen(method)]
    pub fn fault(this: &FakeServer, what: &JsValue);
    #[wasm_bindgen(method)]
    pub fn requests(this: &FakeServer) -> Vec<String>;
    #[wasm_bindgen(method)]
    pub fn stored(this: &FakeServer) -> Vec<u8>;
    #[wasm_bindgen(method)]
    pub fn declared(this: &FakeServer) -> Option<f64>;
    #[wasm_bindgen(method, js_name = uploadMetadata)]
    pub fn upload_metadata(this: &FakeServer) -> Option<String>;
    #[wasm_bindgen(method, js_name = isDeleted)]
    pub fn is_deleted(this: &FakeServer) -> bool;
    #[wasm_bindgen(method)]
    pub fn authorizations(this: &FakeServer) -> Vec<String>;
    #[wasm_bindgen(method, js_name = expireSignIn)]
    pub fn expire_sign_in(this: &FakeServer, for_good: bool);
    #[wasm_bindgen(method, js_name = splitFirstChunk)]
    pub fn split_first_chunk(this: &FakeServer);
    #[wasm_bindgen(method, js_name = closeUpload)]
    pub fn close_upload(this: &FakeServer);
    #[wasm_bindgen(method, js_name = encoded)]
    fn encoded_by(this: &FakeServer, number: u32) -> js_sys::Promise;
    #[wasm_bindgen(method, js_name = partsBefore)]
    fn parts_before(this: &FakeServer) -> js_sys::Array;
    #[wasm_bindgen(method)]
    pub fn continues(this: &FakeServer) -> Vec<String>;
    #[wasm_bindgen(method, js_name = setSilence)]
    pub fn set_silence(this: &FakeServer, seconds: u32);
    #[wasm_bindgen(method, js_name = answerBusy)]
    pub fn answer_busy(this: &FakeServer, times: u32);
    #[wasm_bindgen(method, js_name = closeEveryUpload)]
    pub fn close_every_upload(this: &FakeServer);
    #[wasm_bindgen(method, js_name = stopRecording)]
    pub fn stop_recording(this: &FakeServer);
    #[wasm_bindgen(method, js_name = signInAgain)]
    pub fn sign_in_again(this: &FakeServer);
    #[wasm_bindgen(method, js_name = refuseStart)]
    pub fn refuse_start(this: &FakeServer, status: u16, detail: &str);

    pub type TestCanvas;
    #[wasm_bindgen(constructor)]
    pub fn new(moving: bool) -> TestCanvas;
    #[wasm_bindgen(method, js_name = paintNoise)]
    pub fn paint_noise(this: &TestCanvas);
    #[wasm_bindgen(method)]
    pub fn element(this: &TestCanvas) -> HtmlCanvasElement;
    #[wasm_bindgen(method)]
    pub fn close(this: &TestCanvas);

    /// Makes a method of the media devices fail with `name`; the returned function restores it.
    pub fn refuse(method: &str, name: &str) -> js_sys::Function;
    pub fn unplug(track: &MediaStreamTrack);
    fn camera(audio: bool) -> js_sys::Promise;
    #[wasm_bindgen(js_name = bytesOf)]
    fn bytes_of_blob(blob: &Blob) -> js_sys::Promise;
    #[wasm_bindgen(js_name = leavePage)]
    pub fn leave_page();
    #[wasm_bindgen(js_name = goOffline)]
    pub fn go_offline(offline: bool);
}

/// First bytes of every EBML document.
pub const EBML_MAGIC: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

/// ID of a WebM cluster.
pub const CLUSTER: [u8; 4] = [0x1f, 0x43, 0xb6, 0x75];

/// Fake server for the duration of a test.
pub struct Server(FakeServer);

impl Server {
    pub fn open() -> Self {
        Self(FakeServer::new())
    }

    /// Returns the output of all encoders.
    pub async fn recorded_bytes(&self) -> Vec<u8> {
        bytes(self.recorded()).await
    }

    /// Returns the output of encoder `number`.
    pub async fn encoded(&self, number: u32) -> Vec<u8> {
        bytes(self.encoded_by(number)).await
    }

    /// Returns the bytes that the server holds of each part, in order.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        let before = self.parts_before();
        let before = before
            .iter()
            .map(|it| js_sys::Uint8Array::new(&it).to_vec());
        before.chain([self.stored()]).collect()
    }

    /// Asserts that the server holds exactly the encoder's output, and that it is not empty.
    pub async fn assert_whole(&self) {
        let recorded = bytes(self.recorded()).await;
        assert!(
            recorded.starts_with(&EBML_MAGIC),
            "{:x?}",
            recorded.get(..16)
        );
        assert_eq!(
            self.stored().len(),
            recorded.len(),
            "{:#?}",
            self.requests()
        );
        assert!(self.stored() == recorded, "the bytes are out of order");
    }
}

impl std::ops::Deref for Server {
    type Target = FakeServer;

    fn deref(&self) -> &FakeServer {
        &self.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Recorder with all its events.
pub struct Heard {
    pub recorder: Recorder,
    memory: Rc<RefCell<(Vec<Event>, Option<Waker>)>>,
    _listener: EventListener,
}

impl Heard {
    pub fn new(recorder: Recorder) -> Self {
        let memory: Rc<RefCell<(Vec<Event>, Option<Waker>)>> = Rc::default();
        let heard = Rc::clone(&memory);
        let listener = recorder.on_event(move |event| {
            let (events, waker) = &mut *heard.borrow_mut();
            events.push(event);
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        });
        Self {
            recorder,
            memory,
            _listener: listener,
        }
    }

    /// Waits for the first event, from the beginning, for which `pick` returns a value.
    pub async fn first<T>(&self, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        poll_fn(|context| {
            let (events, waker) = &mut *self.memory.borrow_mut();
            *waker = Some(context.waker().clone());
            events
                .iter()
                .find_map(&mut pick)
                .map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    pub async fn reaches(&self, wanted: State) {
        self.first(|event| match event {
            Event::State(state) if *state == wanted => Some(()),
            Event::Failed(error) if wanted != State::Failed => panic!("failed: {error}"),
            _ => None,
        })
        .await;
    }

    pub async fn progress(&self, enough: impl Fn(&Progress) -> bool) -> Progress {
        self.first(|event| match event {
            Event::Progress(progress) => enough(progress).then_some(*progress),
            _ => None,
        })
        .await
    }

    pub fn all<T>(&self, pick: impl FnMut(&Event) -> Option<T>) -> Vec<T> {
        self.memory.borrow().0.iter().filter_map(pick).collect()
    }

    pub fn states(&self) -> Vec<State> {
        self.all(|event| {
            if let Event::State(state) = event {
                Some(*state)
            } else {
                None
            }
        })
    }

    pub fn stop_reasons(&self) -> Vec<StopReason> {
        self.all(|event| {
            if let Event::Stopped(reason) = event {
                Some(*reason)
            } else {
                None
            }
        })
    }

    /// Stops and waits until the server holds all bytes.
    pub async fn finish(&self) {
        self.recorder.stop(StopReason::User).expect("recording");
        self.reaches(State::Done).await;
    }
}

pub async fn camera_stream(audio: bool) -> MediaStream {
    JsFuture::from(camera(audio))
        .await
        .expect("the fake camera")
        .unchecked_into()
}

pub async fn bytes_of(blob: &Blob) -> Vec<u8> {
    bytes(bytes_of_blob(blob)).await
}

pub fn tracks(stream: &MediaStream) -> Vec<MediaStreamTrack> {
    stream
        .get_tracks()
        .iter()
        .map(JsCast::unchecked_into)
        .collect()
}

async fn bytes(promise: js_sys::Promise) -> Vec<u8> {
    let array: js_sys::Uint8Array = JsFuture::from(promise)
        .await
        .expect("bytes")
        .unchecked_into();
    array.to_vec()
}
