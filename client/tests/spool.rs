//! Recovery from the browser's real storage: found, uploaded, saved, discarded.
#![cfg(target_arch = "wasm32")]

mod support;

use sortie_client::{
    Authorization, Event, OnServer, Options, Recorder, RecorderError, RecoverableRecording,
    Recovery, Source, SpoolStorage, State, Target, Warning, recover, upload_file,
};
use support::{CLUSTER, Heard, Server, TestCanvas, bytes_of, go_offline};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

fn options(owner: &str) -> Options {
    Options {
        timeslice_ms: 100,
        owner: Some(owner.to_owned()),
        ..Options::new(Target::server(""))
    }
}

/// Recovers the recordings of `owner`. All tests share one origin, so each has owners of its own.
async fn left(owner: &str) -> Vec<RecoverableRecording> {
    recover(Recovery {
        target: Target::server(""),
        authorization: Authorization::default(),
        owner: Some(owner.to_owned()),
        worker_url: None,
    })
    .await
}

async fn record(canvas: &TestCanvas, options: Options) -> Heard {
    let source = Source::canvas(canvas.element(), 30.0).open().await;
    let heard = Heard::new(Recorder::new(options));
    heard
        .recorder
        .start(source.expect("a canvas"))
        .expect("idle");
    heard
}

/// Records until at least 500 ms are unsent, and drops the recorder as a closed page does.
async fn leave_recoverable(server: &Server, owner: &str) -> u64 {
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options(owner)).await;
    let before = heard.progress(|it| it.safe_bytes > 0).await;
    assert_eq!(before.storage, SpoolStorage::Opfs);
    go_offline(true);
    let until = before.recorded_ms + 500;
    heard
        .progress(|it| it.recorded_ms >= until && it.pending_bytes > 0)
        .await;
    assert!(left(owner).await.is_empty(), "a live recording was offered");
    let size = heard.recorder.progress().size_bytes;
    drop(heard);
    go_offline(false);
    canvas.close();
    assert!((server.stored().len() as u64) < size);
    size
}

#[wasm_bindgen_test]
async fn recoverable_recording_is_uploaded_to_its_end() {
    let server = Server::open();
    let size = leave_recoverable(&server, "ann").await;
    assert!(
        left("bob").await.is_empty(),
        "bob was offered ann's recording"
    );
    let found = left("ann").await;
    let [leftover] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(leftover.on_server(), OnServer::Resumable);
    assert_eq!(leftover.recording_id(), Some("r1"));
    assert!(leftover.mime_type().starts_with("video/webm"));
    assert!(leftover.recorded_ms() >= 500);
    // The last chunk may not have been stored yet.
    assert!(leftover.size_bytes() <= size && leftover.size_bytes() > size / 2);
    assert!(left("ann").await.is_empty(), "it was offered twice");
    let done = leftover.upload(|_| {}).await.expect("it arrives");
    assert_eq!(done.size_bytes, leftover.size_bytes());
    assert_eq!(server.declared(), Some(done.size_bytes as f64));
    assert_eq!(server.stored().len() as u64, done.size_bytes);
    assert!(server.recorded_bytes().await.starts_with(&server.stored()));
    assert_eq!(leftover.parts().await.err(), Some(RecorderError::Storage));
    drop(found);
    assert!(left("ann").await.is_empty(), "it was offered again");
}

#[wasm_bindgen_test]
async fn recording_ended_by_the_server_is_uploaded_as_a_new_one() {
    let server = Server::open();
    leave_recoverable(&server, "carl").await;
    server.close_upload();
    let found = left("carl").await;
    assert_eq!(found[0].on_server(), OnServer::Closed);
    let done = found[0].upload(|_| {}).await.expect("it arrives");
    assert_eq!(server.stored().len() as u64, done.size_bytes);
    assert!(server.recorded_bytes().await.starts_with(&server.stored()));
}

#[wasm_bindgen_test]
async fn rest_of_an_ended_upload_becomes_a_further_part() {
    let server = Server::open();
    let canvas = TestCanvas::new(false);
    canvas.paint_noise();
    let large = Options {
        video_bits_per_second: 100_000_000,
        keyframe_interval_ms: 300,
        ..options("hans")
    };
    let heard = record(&canvas, large).await;
    // By then the device has released the first segment.
    let safe = heard.progress(|it| it.safe_bytes > 5 << 20).await;
    go_offline(true);
    heard
        .progress(|it| it.recorded_ms > safe.recorded_ms + 700)
        .await;
    drop(heard);
    go_offline(false);
    canvas.close();
    server.close_upload();

    let found = left("hans").await;
    let (size, kept) = (found[0].size_bytes(), found[0].kept_bytes());
    assert_eq!(found[0].on_server(), OnServer::Closed);
    assert!(kept < size, "all {size} bytes are on the device");
    // A saved file states the missing bytes, and equals the uploaded file.
    assert_eq!(found[0].missing_bytes(), size - kept);
    let saved = bytes_of(&found[0].bytes().await.expect("readable")).await;
    let done = found[0].upload(|_| {}).await.expect("it arrives");
    assert_eq!(server.continues(), ["", "r1"]);
    assert_eq!(done.parts, ["r1", "r2"]);

    let encoded = server.encoded(0).await;
    let size = usize::try_from(size).expect("it fits");
    let tail = &encoded[size - usize::try_from(kept).expect("it fits")..size];
    let part = server.stored();
    assert!(saved == part, "the saved file has a gap");
    assert!(part.ends_with(tail), "bytes of the device are missing");
    let cluster = |bytes: &[u8]| bytes.windows(4).position(|it| it == CLUSTER);
    let front = &encoded[..cluster(&encoded).expect("a cluster")];
    assert!(part.starts_with(front), "no front matter");
    let between = &part[front.len()..part.len() - tail.len()];
    // A Void element covers the bytes before the first cluster.
    match cluster(tail).expect("a cluster in the tail") {
        0 => assert!(between.is_empty()),
        hidden => {
            let hidden = hidden as u64 | 1 << 56;
            assert_eq!(between, [&[0xec][..], &hidden.to_be_bytes()].concat());
        }
    }
}

#[wasm_bindgen_test]
async fn recoverable_recording_can_be_saved_and_discarded() {
    let server = Server::open();
    leave_recoverable(&server, "dora").await;
    let found = left("dora").await;
    let mut bytes = Vec::new();
    for part in found[0].parts().await.expect("readable") {
        bytes.extend(bytes_of(&part).await);
    }
    assert_eq!(bytes.len() as u64, found[0].kept_bytes());
    assert_eq!(found[0].missing_bytes(), 0);
    assert!(server.recorded_bytes().await.starts_with(&bytes));
    found[0].discard().await;
    assert!(server.is_deleted());
    drop(found);
    assert!(left("dora").await.is_empty());
}

#[wasm_bindgen_test]
async fn failed_recording_is_recoverable_and_complete_one_is_not() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(&canvas, options("emil")).await;
    heard.progress(|it| it.safe_bytes > 0).await;
    server.fault(&413.into());
    heard.reaches(State::Failed).await;
    let error = heard
        .first(|it| match it {
            Event::Failed(error) => Some(error.clone()),
            _ => None,
        })
        .await;
    assert_eq!(error, RecorderError::TooLarge);
    let found = loop {
        // The last chunk is still being written.
        let found = left("emil").await;
        if !found.is_empty() {
            break found;
        }
    };
    assert_eq!(found[0].size_bytes(), heard.recorder.progress().size_bytes);
    found[0].discard().await;
    drop((heard, server));

    let _server = Server::open();
    let heard = record(&canvas, options("fritz")).await;
    heard.progress(|it| it.safe_bytes > 0).await;
    heard.finish().await;
    drop(heard);
    assert!(left("fritz").await.is_empty());
    canvas.close();
}

// Runs first, because all recorders of a page share one worker: tests run in reverse alphabetical order.
#[wasm_bindgen_test]
async fn worker_that_fails_to_load_is_reported() {
    let server = Server::open();
    let canvas = TestCanvas::new(true);
    let heard = record(
        &canvas,
        Options {
            worker_url: Some("/there/is/none.js".to_owned()),
            ..options("gina")
        },
    )
    .await;
    heard
        .first(|it| matches!(it, Event::Warning(Warning::NotDurable)).then_some(()))
        .await;
    let progress = heard.progress(|it| it.safe_bytes > 0).await;
    assert_eq!(progress.storage, SpoolStorage::Memory);
    heard.finish().await;
    server.assert_whole().await;
    canvas.close();
}

#[wasm_bindgen_test]
async fn file_upload_reports_progress() {
    let server = Server::open();
    server.fault(&503.into());
    let parts = js_sys::Array::of1(&js_sys::Uint8Array::from(&[7; 3_000_000][..]));
    let file = web_sys::Blob::new_with_u8_array_sequence(&parts).expect("a blob");
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let tell = std::rc::Rc::clone(&seen);
    let done = upload_file(
        &file,
        "clip.webm",
        Target::server(""),
        Authorization::default(),
        move |it| tell.borrow_mut().push(it),
    )
    .await
    .expect("it arrives");
    assert_eq!(done.recording_id.as_deref(), Some("r1"));
    assert_eq!(server.stored(), vec![7; 3_000_000]);
    // "clip.webm" in Base64.
    let metadata = server.upload_metadata().unwrap_or_default();
    assert!(metadata.contains("filename Y2xpcC53ZWJt"), "{metadata}");
    let seen = seen.borrow();
    assert!(seen.iter().any(|it| it.waiting.is_some()), "{seen:?}");
    assert_eq!(seen.last().map(|it| it.safe_bytes), Some(3_000_000));
}
