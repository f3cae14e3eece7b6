//! Tests of the JavaScript class, called as from a script.
#![cfg(all(target_arch = "wasm32", feature = "js-recorder"))]

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
    Recorder::new(&object(fields))
}

fn started(recorder: &Recorder) -> js_sys::Promise {
    recorder.start(&JsValue::UNDEFINED)
}

async fn settled(promise: impl JsCast) -> Result<JsValue, JsValue> {
    JsFuture::from(promise.unchecked_into::<js_sys::Promise>()).await
}

#[wasm_bindgen_test]
async fn script_records_a_canvas() {
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
        recorder.on(name, listener.unchecked_ref());
    };
    see("statechange");
    see("stopped");
    settled(started(&recorder)).await.expect("it records");
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
async fn failures_are_error_objects() {
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
    let error = settled(started(&recorder)).await.expect_err("refused");
    let error: js_sys::Error = error.dyn_into().expect("a real Error");
    assert_eq!(error.message(), "This is not your session.");
    assert_eq!(field(&error, "code"), "forbidden");
    assert_eq!(field(&error, "status"), 403);
    assert_eq!(field(&error, "retryable"), false);
    assert_eq!(field(&error, "retryAfter"), JsValue::UNDEFINED);
    let problem = field(&error, "problem");
    assert_eq!(field(&problem, "type"), "urn:sortie:problem:forbidden");
    canvas.close();
}

#[wasm_bindgen_test]
fn wrong_destination_and_source_are_named() {
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
        &[source, ("server", 5.into())],
        "exactly one of server and endpoint must be given",
    );
    let expected = "source must be something to record";
    check(std::slice::from_ref(&server), expected);
    check(&[server, ("source", "window".into())], expected);
}

#[wasm_bindgen_test]
async fn stop_settles_the_same_way_every_time() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let source = ("source", JsValue::from(canvas.element()));
    let recorder = recorder(&[
        ("server", "".into()),
        source.clone(),
        ("timeslice", 100.into()),
    ])
    .expect("good options");
    settled(started(&recorder)).await.expect("it records");
    let both = (recorder.stop(None), recorder.stop(None));
    let first = settled(both.0).await.expect("it arrives");
    for again in [both.1, recorder.stop(None)] {
        let again = settled(again).await.expect("it has arrived");
        assert_eq!(field(&again, "recordingId"), field(&first, "recordingId"));
    }

    server.refuse_start(409, "The session is not running.");
    let recorder = self::recorder(&[("server", "".into()), source]).expect("good options");
    let error = settled(started(&recorder)).await.expect_err("refused");
    for _ in 0..2 {
        let again = settled(recorder.stop(None)).await.expect_err("refused");
        assert_eq!(field(&again, "code"), field(&error, "code"));
        assert_eq!(field(&again, "message"), "The session is not running.");
    }
    canvas.close();
}

#[wasm_bindgen_test]
async fn stop_while_starting_cancels() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let recorder = recorder(&[("server", "".into()), ("source", canvas.element().into())])
        .expect("good options");
    let seen = Array::new();
    let push = Function::new_with_args("seen, event", "seen.push(event)");
    let listener = push.bind1(&JsValue::UNDEFINED, &seen);
    recorder.on("error", listener.unchecked_ref());
    let started = started(&recorder);
    // The source is still being opened.
    for promise in [
        settled(recorder.stop(None)).await,
        settled(started).await,
        settled(recorder.stop(None)).await,
    ] {
        let error = promise.expect_err("it was cancelled");
        assert_eq!(field(&error, "code"), "aborted");
    }
    assert_eq!((recorder.state(), seen.length()), ("aborted".to_owned(), 0));
    assert!(server.requests().is_empty(), "{:?}", server.requests());
    canvas.close();
}

#[wasm_bindgen_test]
async fn rejected_token_is_the_cause() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let token = Function::new_no_args(
        "if (globalThis.noToken) throw new RangeError(globalThis.noToken); return 'secret'",
    );
    let say = |text: JsValue| {
        Reflect::set(&js_sys::global(), &"noToken".into(), &text).expect("a global");
    };
    let options = [
        ("server", "".into()),
        ("source", canvas.element().into()),
        ("getToken", token.into()),
        ("timeslice", 100.into()),
    ];
    say("not signed in".into());
    let refused = recorder(&options).expect("good options");
    let error = settled(started(&refused)).await.expect_err("no token");
    assert_eq!(field(&error, "code"), "signed_out");
    assert_eq!(field(&field(&error, "cause"), "message"), "not signed in");

    say(JsValue::UNDEFINED);
    let recorder = recorder(&options).expect("good options");
    settled(started(&recorder)).await.expect("it records");
    say("gone to lunch".into());
    server.expire_sign_in(false);
    let waiting = loop {
        let waiting = field(&recorder.progress(), "waiting");
        if waiting.is_object() && !field(&waiting, "cause").is_undefined() {
            break waiting;
        }
        gloo_timers::future::TimeoutFuture::new(20).await;
    };
    assert_eq!(field(&waiting, "reason"), "sign_in");
    assert_eq!(field(&field(&waiting, "cause"), "message"), "gone to lunch");
    say(JsValue::UNDEFINED);
    server.sign_in_again();
    settled(recorder.stop(None)).await.expect("it arrives");
    server.assert_whole().await;
    canvas.close();
}
