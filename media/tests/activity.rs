//! Idle spans found from encoded sizes, compared with the differences of pixels.
//!
//! ffmpeg writes a recording of a screen: a still page with a blinking cursor, a clock, scrolling, a video. ffmpeg also
//! measures how much each picture differs from the previous one. `cargo test -p sortie-media --test activity --
//! --nocapture` prints the figures.

mod common;

use std::path::Path;

use common::ffmpeg::run;
use common::store;
use sortie_media::{Activity, Indexer, Options, stored};

const SECONDS: u64 = 120;
/// Idle spans of the schedule in seconds, and what moves in them.
const IDLE: [(u64, u64, &str); 5] = [
    (0, 15, "cursor"),
    (24, 40, "clock"),
    (52, 75, "cursor"),
    (78, 95, "clock"),
    (105, 120, "nothing"),
];
const SCROLLING: [(u64, u64); 2] = [(15, 24), (75, 78)];
const VIDEO: [(u64, u64); 2] = [(40, 52), (95, 105)];
/// Average difference of a picture's luma (0–255) below which it is idle. A cursor or a clock changes less than this.
const SAME: f64 = 0.5;
/// Smallest F1 over time.
const F1: f64 = 0.95;

/// Settings of browsers.
const VP8: [&str; 8] = [
    "-c:v",
    "libvpx",
    "-deadline",
    "realtime",
    "-cpu-used",
    "-8",
    "-error-resilient",
    "1",
];
const VP9: [&str; 12] = [
    "-c:v",
    "libvpx-vp9",
    "-deadline",
    "realtime",
    "-cpu-used",
    "8",
    "-error-resilient",
    "1",
    "-lag-in-frames",
    "0",
    "-aq-mode",
    "3",
];
const X264: [&str; 4] = ["-c:v", "libx264", "-preset", "veryfast"];
const LOW_DELAY: [&str; 2] = ["-tune", "zerolatency"];
const FRAGMENTED: [&str; 4] = [
    "-movflags",
    "frag_keyframe+empty_moov+default_base_moof",
    "-frag_duration",
    "500000",
];

fn union(spans: &[(u64, u64)]) -> String {
    let spans: Vec<_> = spans
        .iter()
        .map(|(from, to)| format!("gte(t,{from})*lt(t,{to})"))
        .collect();
    spans.join("+")
}

/// Describes the screen as an ffmpeg filter graph: 320×180, ten pictures a second.
fn screen() -> String {
    let spans_of = |kind: &str| {
        let spans = IDLE.iter().filter(|(.., what)| *what == kind);
        spans.map(|&(from, to, _)| (from, to)).collect::<Vec<_>>()
    };
    let scrolled: Vec<_> = SCROLLING
        .iter()
        .map(|(from, to)| format!("clip(t-{from},0,{})*60", to - from))
        .collect();
    let mut graph = format!(
        "cellauto=s=160x540:rule=110:seed=7:r=10,scale=320:1080:flags=neighbor,trim=end_frame=1,loop=-1:1:0,\
         setpts=N/10/TB,format=gray,lutyuv=y='if(gt(val,100),235,30)',format=yuv420p,crop=320:180:0:'{}'[page];\
         testsrc2=s=160x90:r=10[video];[page][video]overlay=x=80:y=45:enable='{}',\
         drawbox=x=106:y=60:w=2:h=7:color=red:t=fill:enable='({})*lt(mod(t,1),0.5)'",
        scrolled.join("+"),
        union(&VIDEO),
        union(&spans_of("cursor")),
    );
    // A binary clock: the box of a bit is shown while the bit of the second is set.
    for bit in 0..5 {
        graph += &format!(
            ",drawbox=x={}:y=165:w=6:h=8:color=white:t=fill:enable='({})*mod(floor(t/{}),2)'",
            270 + 8 * bit,
            union(&spans_of("clock")),
            1 << bit,
        );
    }
    graph
}

/// Idle spans of more than five seconds by the differences of pixels, in seconds.
fn idle_pixels(file: &Path) -> Vec<(f64, f64)> {
    let file = file.to_str().expect("UTF-8");
    let graph = format!("movie={file},tblend=all_mode=difference,signalstats");
    let entries = "frame=pts_time:frame_tags=lavfi.signalstats.YAVG";
    let shown = ["-v", "error", "-f", "lavfi", "-i", &graph];
    let text = run(
        "ffprobe",
        &[&shown[..], &["-show_entries", entries, "-of", "csv=p=0"]].concat(),
    );
    let mut spans = Vec::new();
    let mut idle_from = Some(0.0);
    for line in text.lines() {
        let mut fields = line
            .split(',')
            .filter_map(|field| field.parse::<f64>().ok());
        let (time, difference) = (fields.next().expect(line), fields.next().expect(line));
        match idle_from {
            Some(from) if difference >= SAME => {
                spans.push((from, time));
                idle_from = None;
            }
            None if difference < SAME => idle_from = Some(time),
            _ => {}
        }
    }
    spans.extend(idle_from.map(|from| (from, SECONDS as f64)));
    spans.retain(|(from, to)| to - from > 5.0);
    spans
}

/// F1 of the found spans over time, in steps of 100 ms, up to the end of the recording.
fn f1(expected: &[(f64, f64)], found: &[(f64, f64)], duration_ms: u64) -> f64 {
    let is_in =
        |spans: &[(f64, f64)], at: f64| spans.iter().any(|&(from, to)| from <= at && at < to);
    let (mut hits, mut misses) = (0.0, 0.0);
    for step in 0..duration_ms / 100 {
        let at = step as f64 / 10.0 + 0.05;
        match (is_in(expected, at), is_in(found, at)) {
            (true, true) => hits += 1.0,
            (false, false) => {}
            _ => misses += 1.0,
        }
    }
    2.0 * hits / (2.0 * hits + misses)
}

fn idle(activity: &Activity) -> Vec<(f64, f64)> {
    let spans = activity.summary().idle_ms;
    let seconds = |ms: u64| ms as f64 / 1000.0;
    spans
        .iter()
        .map(|&(from, to)| (seconds(from), seconds(to)))
        .collect()
}

/// Activity of a file that is read again.
fn rescan(file: &[u8]) -> Activity {
    let read_at = |offset: u64, buffer: &mut [u8]| {
        let rest = &file[usize::try_from(offset).expect("small")..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    };
    let scanned = stored::scan(file.len() as u64, read_at, |_| Ok(()));
    let mut indexer = scanned.expect("in memory");
    indexer.end();
    indexer.activity()
}

#[test]
fn idle_spans_agree_with_pixel_differences() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = folder.path().join("source.mkv");
    let screen = screen();
    let seconds = SECONDS.to_string();
    let mut arguments = vec!["-v", "error", "-f", "lavfi", "-i", &screen, "-t", &seconds];
    arguments.extend(["-c:v", "libx264", "-preset", "ultrafast", "-qp", "0"]);
    arguments.push(source.to_str().expect("UTF-8"));
    run("ffmpeg", &arguments);

    let schedule: Vec<_> = (IDLE.iter())
        .map(|&(from, to, _)| (from as f64, to as f64))
        .collect();
    let expected = idle_pixels(&source);
    let agreement = f1(&schedule, &expected, SECONDS * 1000);
    assert!(
        agreement > 0.99,
        "pixels and schedule: {agreement}: {expected:?}"
    );

    let vfr = ["-vf", "mpdecimate=hi=64:lo=32:frac=0", "-fps_mode", "vfr"];
    let constant = |rate| {
        [
            "-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate,
        ]
    };
    let (low, high) = (constant("250k"), constant("300k"));
    let cases: [(&str, &str, Vec<&[&str]>); 9] = [
        (
            "VP8, 1 Mbit/s",
            "webm",
            vec![&VP8, &["-b:v", "1000k", "-g", "100"]],
        ),
        (
            "VP8, 250 kbit/s constant",
            "webm",
            vec![&VP8, &low, &["-g", "40"]],
        ),
        (
            "VP9, 1 Mbit/s",
            "webm",
            vec![&VP9, &["-b:v", "1000k", "-g", "100"]],
        ),
        (
            "VP9, variable frame rate",
            "webm",
            vec![&vfr, &VP9, &["-b:v", "1000k", "-g", "20"]],
        ),
        (
            "H.264, quality 26, fragmented",
            "mp4",
            vec![&X264, &LOW_DELAY, &["-crf", "26", "-g", "100"], &FRAGMENTED],
        ),
        (
            "H.264, keyframe every 2 s",
            "mp4",
            vec![
                &X264,
                &LOW_DELAY,
                &["-b:v", "2000k", "-g", "20"],
                &FRAGMENTED,
            ],
        ),
        (
            "H.264, 300 kbit/s constant",
            "mp4",
            vec![&X264, &LOW_DELAY, &high, &["-g", "50"]],
        ),
        ("H.264, B-frames", "mp4", vec![&X264, &["-crf", "20"]]),
        (
            "H.264 in Matroska",
            "mkv",
            vec![&X264, &["-crf", "30", "-bf", "0", "-g", "30"]],
        ),
    ];
    for (index, (name, extension, options)) in cases.iter().enumerate() {
        let path = folder.path().join(format!("{index}.{extension}"));
        let mut arguments = vec!["-v", "error", "-i", source.to_str().expect("UTF-8")];
        arguments.extend(options.iter().copied().flatten());
        arguments.push(path.to_str().expect("UTF-8"));
        run("ffmpeg", &arguments);
        let stream = std::fs::read(&path).expect("ffmpeg has written it");

        let mut indexer = Indexer::new();
        stream.chunks(10_000).for_each(|chunk| indexer.push(chunk));
        let received = indexer.activity();
        let found = idle(&received);
        let f1 = f1(&expected, &found, indexer.report().duration_ms);
        println!("{name}: F1 {f1:.3}");
        assert!(
            f1 >= F1,
            "{name}: {f1:.3}: {found:?}, expected {expected:?}"
        );

        let (file, _) = store(&stream, Options::default()).expect("a playable recording");
        assert_eq!(rescan(&file.bytes), received, "{name}: finished");
        assert_eq!(rescan(&stream), received, "{name}: as received");
        let bytes = received.to_bytes();
        assert_eq!(Activity::from_bytes(&bytes), Some(received), "{name}");
    }
}
