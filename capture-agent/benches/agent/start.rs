//! Time from a signal to its first durable frame.

use std::path::Path;
use std::sync::mpsc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sortie_capture_agent::clock::monotonic;
use sortie_capture_agent::pipeline::IdleFrames;
use sortie_capture_agent::recorder::{Event, Limits, Recorder, Setup};
use sortie_capture_agent::signal::{Reading, Signal};
use sortie_capture_agent::source::Source;

use crate::median;

const ROUNDS: usize = 9;
const LONG: Duration = Duration::from_secs(60);

/// Measures the recorder of `serve` with its test source. The latency of a real receiver and its driver is added to
/// this.
pub(crate) fn measure(folder: &Path) -> Result<()> {
    let mode = "1920x1080@30".parse()?;
    let setup = Setup {
        source: Source::Test,
        mode: Some(mode),
        no_signal_after: None,
        idle_frames: IdleFrames::Drop,
        folder: folder.join("start"),
        preroll: Duration::ZERO,
        split: Limits::default(),
        hook: None,
        hook_limit: LONG,
        reserve_bytes: 0,
        auto: true,
    };
    let (send, events) = mpsc::channel();
    let recorder = Recorder::start(setup, move |event| {
        let _ = send.send((monotonic(), event));
    })?;
    let handle = recorder.handle();
    let input = handle.test_input().context("no test source")?;
    let (mut begun, mut durable) = (Vec::new(), Vec::new());
    // The first round also tries encoders, as after power-on.
    for _ in 0..=ROUNDS {
        input.switch(Reading::NoSignal);
        while handle.snapshot().signal != Signal::NoSignal || handle.snapshot().recording {
            sleep(Duration::from_millis(20));
        }
        // Lets the previous file finish.
        sleep(Duration::from_secs(1));
        while events.try_recv().is_ok() {}
        input.switch(Reading::Locked(mode));
        let on = monotonic();
        let at = loop {
            if let (at, Event::Begun { .. }) = events.recv_timeout(LONG)? {
                break at;
            }
        };
        while handle.snapshot().written.duration_ms == 0 {
            sleep(Duration::from_millis(5));
        }
        begun.push((at - on).as_secs_f64() * 1000.0);
        durable.push((monotonic() - on).as_secs_f64() * 1000.0);
    }
    let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let (begun, durable) = (&begun[1..], &durable[1..]);
    println!("| from the signal, 1080p30, {ROUNDS} times | median | most |\n|---|--:|--:|");
    println!(
        "| to the file with its first frame | {:.0} ms | {:.0} ms |",
        median(begun.to_vec()),
        most(begun)
    );
    println!(
        "| to its first half second on the disk | {:.0} ms | {:.0} ms |\n",
        median(durable.to_vec()),
        most(durable)
    );
    Ok(())
}
