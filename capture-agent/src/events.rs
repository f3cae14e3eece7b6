//! What a program hears of a recording under way: one JSON object a line, on standard output.
//!
//! ```text
//! {"event":"leftover","name":"a.mp4","outcome":"finished","duration_ms":4500,"size_bytes":70000}
//! {"event":"begun","width":640,"height":480,"fps":59.94,"encoder":"x264enc"}
//! {"event":"written","name":"b.mp4","duration_ms":500,"size_bytes":9000,"dropped":0}      this much is durable
//! {"event":"finished","name":"b.mp4","duration_ms":900,"size_bytes":15000}
//! ```

use std::io::{self, Write as _};

use serde_json::{Value, json};
use sortie_capture_agent::record::Step;
use sortie_capture_agent::writer::{Finished, Leftover};

/// Writes the lines, each once.
#[derive(Default)]
pub(crate) struct Events {
    last: Option<Value>,
}

impl Events {
    /// Tells of a step; of progress only if there is some.
    pub(crate) fn step(&mut self, step: &Step) {
        let event = match step {
            Step::Leftover(leftover) => of_leftover(leftover),
            Step::Begun { mode, encoder } => json!({
                "event": "begun",
                "width": mode.width,
                "height": mode.height,
                "fps": f64::from(mode.fps.millihertz()) / 1000.0,
                "encoder": encoder,
            }),
            Step::Going { written, dropped } => {
                let Some(name) = &written.name else {
                    return;
                };
                json!({
                    "event": "written",
                    "name": name,
                    "duration_ms": written.duration_ms,
                    "size_bytes": written.size_bytes,
                    "dropped": dropped + written.dropped_frames,
                })
            }
            Step::Next(finished) => of_finished(finished),
        };
        if self.last.as_ref() != Some(&event) {
            write(&event);
            self.last = Some(event);
        }
    }

    /// Tells of the end.
    pub(crate) fn finished(file: &Finished) {
        write(&of_finished(file));
    }
}

fn write(event: &Value) {
    let mut out = io::stdout().lock();
    // Nobody who listens is no reason to stop recording. One write: a line is never half there for a reader.
    let _ = out
        .write_all(format!("{event}\n").as_bytes())
        .and_then(|()| out.flush());
}

fn of_finished(finished: &Finished) -> Value {
    json!({
        "event": "finished",
        "name": finished.name,
        "duration_ms": finished.duration_ms,
        "size_bytes": finished.size_bytes,
    })
}

fn of_leftover(leftover: &Leftover) -> Value {
    let (name, outcome, reason) = match leftover {
        Leftover::Finished(finished) => {
            let mut event = of_finished(finished);
            event["event"] = "leftover".into();
            event["outcome"] = "finished".into();
            return event;
        }
        Leftover::Empty(name) => (name, "empty", None),
        Leftover::Damaged(name, reason) => (name, "damaged", Some(reason.to_string())),
        Leftover::InUse(name) => (name, "in_use", None),
        Leftover::Stays(name, error) => (name, "stays", Some(error.to_string())),
    };
    json!({"event": "leftover", "name": name, "outcome": outcome, "reason": reason})
}
