//! The class that JavaScript sees, used as a script would.
#![cfg(all(target_arch = "wasm32", feature = "js"))]

mod support;

use js_sys::{Array, Function, Object, Reflect};
use sortie_client::js::Recorder;
use support::{Server, TestCanvas};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

fn object(fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (key, value) in fields {
        Reflect::set(&object, &(*key).into(), value).expect("a new object");
    }
    object.into()
}

fn field(object: &JsValue, key: &str) -> JsValue {
    Reflect::get(object, &key.into()).expect("an object")
}

fn recorder(fields: &[(&str, JsValue)]) -> Result<Recorder, JsValue> {
    Recorder::new(object(fields).unchecked_ref())
}

async fn settled(promise: impl JsCast) -> Result<JsValue, JsValue> {
    JsFuture::from(promise.unchecked_into::<js_sys::Promise>()).await
}

#[wasm_bindgen_test]
async fn a_script_records_a_canvas() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let token = Function::new_no_args("return Promise.resolve('secret')");
    let recorder = recorder(&[
        ("server", "".into()),
        ("source", canvas.element().into()),
        ("getToken", token.into()),
        ("timeslice", 100.into()),
    ])
    .expect("good options");
    let seen = Array::new();
    let see = |name: &str| {
        let push = Function::new_with_args("seen, event", "seen.push(event)");
        let listener = push.bind1(&JsValue::UNDEFINED, &seen);
        recorder.on(
            JsValue::from(name).unchecked_ref(),
            listener.unchecked_ref(),
        );
    };
    see("statechange");
    see("stopped");
    settled(recorder.start(None)).await.expect("it records");
    assert_eq!(recorder.state(), "recording");
    assert!(
        recorder
            .mime_type()
            .is_some_and(|it| it.starts_with("video/webm"))
    );
    settled(recorder.pause()).await.expect("recording");
    settled(recorder.resume()).await.expect("paused");
    let done = settled(recorder.stop(None)).await.expect("it arrives");
    server.assert_whole().await;
    assert_eq!(field(&done, "recordingId"), "r1");
    assert_eq!(field(&done, "sizeBytes"), server.stored().len() as f64);
    let expected = [
        "starting",
        "recording",
        "paused",
        "recording",
        "stopping",
        "user",
        "uploading",
        "done",
    ];
    assert_eq!(
        seen.iter()
            .filter_map(|it| it.as_string())
            .collect::<Vec<_>>(),
        expected
    );
    assert!(
        server
            .authorizations()
            .iter()
            .all(|it| it == "Bearer secret")
    );
    canvas.close();
}

#[wasm_bindgen_test]
async fn failures_are_real_errors() {
    let server = Server::open();
    server.refuse_start(403, "This is not your session.");
    let canvas = TestCanvas::new(true);
    let recorder = recorder(&[("server", "".into()), ("source", canvas.element().into())])
        .expect("good options");
    let error = settled(recorder.pause()).await.expect_err("idle");
    assert_eq!(
        (field(&error, "name"), field(&error, "code")),
        ("RecorderError".into(), "wrong_state".into())
    );
    let error = settled(recorder.start(None)).await.expect_err("refused");
    let error: js_sys::Error = error.dyn_into().expect("a real Error");
    assert_eq!(error.message(), "This is not your session.");
    assert_eq!(field(&error, "code"), "refused");
    canvas.close();
}

#[wasm_bindgen_test]
fn wrong_options_are_named() {
    #[track_caller]
    fn check(fields: &[(&str, JsValue)], message: &str) {
        let error: js_sys::TypeError = recorder(fields)
            .expect_err("wrong")
            .dyn_into()
            .expect("a TypeError");
        assert_eq!(error.message(), message);
    }
    let source = ("source", JsValue::from("camera"));
    let server = ("server", JsValue::from(""));
    check(
        std::slice::from_ref(&source),
        "exactly one of server and endpoint must be given",
    );
    check(
        &[source.clone(), ("server", 5.into())],
        "server must be a string",
    );
    check(
        &[
            source.clone(),
            ("endpoint", "/f".into()),
            ("session", "s".into()),
        ],
        "session needs server: another tus server has no sessions",
    );
    let expected = "source must be an HTMLCanvasElement, a MediaStream, 'screen' or 'camera'";
    check(std::slice::from_ref(&server), expected);
    check(&[server.clone(), ("source", "window".into())], expected);
    check(
        &[server.clone(), source.clone(), ("timeslice", 0.into())],
        "timeslice must be a positive number",
    );
    check(
        &[server, source, ("microphone", "yes".into())],
        "microphone must be true or false",
    );
}
