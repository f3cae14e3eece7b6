//! Pictures of the recorded stream, for lists and timelines.
//!
//! A picture is a convenience: whatever fails, the recording continues without it, and nothing is sent again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::MediaStream;

use super::super::credentials::Credentials;
use super::super::fetch::Call;
use super::super::object::{array, number, object, property, set};
use super::super::server::encode;
use super::super::worker::Worker;
use super::super::{document, spawn, window};
use crate::recorder::PictureSchedule;

/// Statuses that every other picture would get, too: pictures are not allowed, or the server is of an earlier version.
const REFUSALS: [u16; 3] = [403, 404, 405];

/// Takes pictures of one recording and sends them.
#[derive(Default)]
pub(super) struct Pictures {
    schedule: RefCell<PictureSchedule>,
    /// Whether a picture is being taken or sent, or the server has refused one.
    is_blocked: Cell<bool>,
}

impl Pictures {
    /// Takes a picture if one is due when a chunk of this part arrives. Not while the browser is offline: a picture
    /// is not kept.
    pub(super) fn handle_chunk(
        self: &Rc<Self>,
        (part, recorded_ms): (usize, u64),
        server: &str,
        recording: Option<&str>,
        stream: Option<MediaStream>,
        worker_url: Option<&str>,
        credentials: &Rc<Credentials>,
    ) {
        let due = self.schedule.borrow_mut().due(part, recorded_ms);
        let (Some(at_ms), Some(recording), Some(stream)) = (due, recording, stream) else {
            return;
        };
        let Some(worker) = Worker::shared(worker_url).filter(|_| window().navigator().on_line())
        else {
            return;
        };
        if self.is_blocked.replace(true) {
            return;
        }
        let path = "/api/recordings/".to_owned() + &encode(recording) + "/pictures?at_ms=";
        let url = server.to_owned() + &path + &at_ms.to_string();
        let (this, credentials) = (Rc::clone(self), Rc::clone(credentials));
        spawn(async move {
            let status = async {
                let mut call = Call::new("POST", &url);
                credentials.authorize(&mut call).await.ok()?;
                // Last, because a frame must be closed, which the worker does.
                let frame = frame(&stream).await?;
                worker.send_picture(&call, frame).await
            };
            let status = status.await;
            this.is_blocked
                .set(status.is_some_and(|status| REFUSALS.contains(&status)));
        });
    }
}

/// Returns the current frame of the recorded stream, which shows what the file shows: masks are painted over.
async fn frame(stream: &MediaStream) -> Option<JsValue> {
    if let Some(class) = class("MediaStreamTrackProcessor") {
        let track = stream.get_video_tracks().get(0);
        let options = object(&[("track", track), ("maxBufferSize", number(1))]);
        let processor = Reflect::construct(&class, &array(&[options])).ok()?;
        let frames = invoke(&property(&processor, "readable")?, "getReader")?;
        let read = settled(invoke(&frames, "read")?).await;
        let _closed = invoke(&frames, "cancel");
        return property(&read?, "value").filter(JsValue::is_object);
    }
    // Other browsers than Chromium: a video element costs the page more.
    let video: JsValue = document().create_element("video").ok()?.into();
    set(&video, "muted", &true.into());
    set(&video, "srcObject", stream);
    let played = settled(invoke(&video, "play")?).await;
    let options = object(&[("timestamp", number(0))]);
    let arguments = array(&[video.clone(), options]);
    let frame = class("VideoFrame").map(|class| Reflect::construct(&class, &arguments));
    set(&video, "srcObject", &JsValue::NULL);
    played.and(frame)?.ok()
}

fn class(name: &str) -> Option<Function> {
    property(&js_sys::global(), name)?.dyn_into().ok()
}

/// Calls a method without arguments.
fn invoke(object: &JsValue, name: &str) -> Option<JsValue> {
    let method: Function = property(object, name)?.dyn_into().ok()?;
    method.call0(object).ok()
}

async fn settled(promise: JsValue) -> Option<JsValue> {
    JsFuture::from(Promise::from(promise)).await.ok()
}
