//! Progress of a recording for programs: one JSON object per line on standard output.
//!
//! ```text
//! {"event":"recovered","name":"a.mp4","outcome":"finished","duration_ms":4500,"size_bytes":70000}
//! {"event":"begun","width":640,"height":480,"fps":59.94,"encoder":"x264enc"}
//! {"event":"written","name":"b.mp4","duration_ms":500,"size_bytes":9000,"dropped":0}      this much is durable
//! {"event":"finished","name":"b.mp4","duration_ms":900,"size_bytes":15000}
//! ```

use std::io::{self, Write as _};

use serde_json::{Value, json};
use sortie_capture_agent::record::Step;
use sortie_capture_agent::writer::{Finished, RecoveredFile};

/// Writer of the lines; omits repetitions.
#[derive(Default)]
pub(crate) struct Events {
    last: Option<Value>,
}

impl Events {
    /// Writes a step; progress only when bytes became durable.
    pub(crate) fn step(&mut self, step: &Step) {
        let event = match step {
            Step::RecoveredFile(recovered) => describe_recovered(recovered),
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

    /// Writes the last line.
    pub(crate) fn finished(file: &Finished) {
        write(&of_finished(file));
    }
}

fn write(event: &Value) {
    let mut out = io::stdout().lock();
    // A closed pipe does not stop the recording. A single write keeps lines whole for the reader.
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

fn describe_recovered(recovered: &RecoveredFile) -> Value {
    let (name, outcome, reason) = match recovered {
        RecoveredFile::Finished(finished) => {
            let mut event = of_finished(finished);
            event["event"] = "recovered".into();
            event["outcome"] = "finished".into();
            return event;
        }
        RecoveredFile::Empty(name) => (name, "empty", None),
        RecoveredFile::Damaged(name, reason) => (name, "damaged", Some(reason.to_string())),
        RecoveredFile::InUse(name) => (name, "in_use", None),
        RecoveredFile::Stays(name, error) => (name, "stays", Some(error.to_string())),
    };
    json!({"event": "recovered", "name": name, "outcome": outcome, "reason": reason})
}
