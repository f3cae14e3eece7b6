//! Silent encoders. Run in a separate page, because Chromium's encoder stays stuck afterwards.
#![cfg(target_arch = "wasm32")]

mod support;

use sortie_client::{Event, Options, Recorder, Source, Target, Warning};
use support::{Heard, Server, TestCanvas};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
async fn canvas_without_a_size_is_warned_of_within_ten_seconds() {
    let _server = Server::open();
    let canvas = TestCanvas::new(false);
    canvas.element().set_width(0);
    canvas.element().set_height(0);
    let source = Source::canvas(canvas.element(), 30.0)
        .open()
        .await
        .expect("a canvas");
    let heard = Heard::new(Recorder::new(Options::new(Target::server(""))));
    heard.recorder.start(source).expect("idle");
    let silent_ms = heard
        .first(|it| match it {
            Event::Warning(Warning::NoData { silent_ms }) => Some(*silent_ms),
            _ => None,
        })
        .await;
    assert!(silent_ms < 10_000, "{silent_ms}");
    // No byte was recorded, so no time counts.
    assert!(heard.recorder.progress().recorded_ms <= 1_000);
    heard.recorder.abort();
    canvas.close();
}
