//! Live picture of the input, as clients of the API see it.

use std::collections::HashSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::header::ACCEPT;
use serde_json::{Value, json};
use sortie_capture_agent::source::Desktop;

use crate::agent::{Agent, LOOKS, count, probe};
use crate::pictures::size;

const PICTURE: &str = "/api/appliance/picture";
const MULTIPART: &str = "multipart/x-mixed-replace";

async fn start(variables: &[(&str, &str)]) -> Agent {
    let agent = Agent::start(variables).await;
    agent.steady().await;
    agent
}

async fn still(agent: &Agent) -> Vec<u8> {
    let answer = agent.request(PICTURE).send().await.expect("an answer");
    let status = answer.status().as_u16();
    let kind = answer.headers()["content-type"].clone();
    let jpeg = answer.bytes().await.expect("a body").to_vec();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&jpeg));
    assert_eq!(kind, "image/jpeg");
    jpeg
}

/// Number of encoded frames since the start of the agent.
async fn encoded(agent: &Agent) -> u64 {
    let answer = agent.request("/metrics").send().await.expect("an answer");
    let text = answer.text().await.expect("text");
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("sortie_appliance_pictures_total "));
    line.expect("the metric").parse().expect("a number")
}

/// Reader of a stream's frames.
struct Frames {
    answer: reqwest::Response,
    received: Vec<u8>,
}

impl Frames {
    async fn open(agent: &Agent) -> Self {
        let answer = agent.request(PICTURE).header(ACCEPT, MULTIPART).send();
        Self::of(answer.await.expect("an answer"))
    }

    fn of(answer: reqwest::Response) -> Self {
        assert_eq!(answer.status().as_u16(), 200);
        let kind = answer.headers()["content-type"].to_str().expect("text");
        assert_eq!(kind, format!("{MULTIPART}; boundary=sortie-picture"));
        assert_eq!(answer.headers()["cache-control"], "no-store");
        Self {
            answer,
            received: Vec::new(),
        }
    }

    /// Returns the next frame; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = self.parse() {
                return Some(frame);
            }
            let chunk = self.answer.chunk().await.expect("no error")?;
            self.received.extend_from_slice(&chunk);
        }
    }

    fn parse(&mut self) -> Option<Vec<u8>> {
        let end = self.received.windows(4).position(|it| it == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&self.received[..end]).expect("text");
        assert!(head.contains("--sortie-picture\r\nContent-Type: image/jpeg\r\n"));
        let (_, length) = head.rsplit_once("Content-Length: ").expect("a length");
        let length: usize = length.parse().expect("a number");
        let begin = end + 4;
        let frame = self.received.get(begin..begin + length)?.to_vec();
        self.received.drain(..begin + length);
        assert!(frame.starts_with(&[0xFF, 0xD8]) && frame.ends_with(&[0xFF, 0xD9]));
        Some(frame)
    }
}

/// Decodes the luma of a JPEG with ffmpeg.
fn luma(jpeg: &[u8]) -> Vec<u8> {
    let mut decoder = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "mjpeg", "-i", "-"])
        .args(["-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg");
    let mut input = decoder.stdin.take().expect("piped");
    input.write_all(jpeg).expect("written");
    drop(input);
    decoder.wait_with_output().expect("it ends").stdout
}

/// Mean difference of two pictures.
fn difference(one: &[u8], other: &[u8]) -> u64 {
    let sum: u64 = one
        .iter()
        .zip(other)
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    sum / one.len() as u64
}

#[tokio::test]
async fn still_shows_a_frame_of_the_source() {
    let agent = start(&[]).await;
    let jpeg = still(&agent).await;
    assert_eq!(size(&jpeg), "mjpeg,320,240");
    let shown = luma(&jpeg);
    assert_eq!(shown.len(), 320 * 240);
    // The source's frames by number, with the range of a JPEG's luma.
    let mut desktop = Desktop::new(320, 240);
    let mut frames = (0..3_000).map(|_| {
        let limited = &desktop.advance()[..320 * 240];
        let full = limited
            .iter()
            .map(|luma| ((u32::from(*luma) - 16) * 255 / 219).min(255) as u8);
        full.collect::<Vec<_>>()
    });
    // The first line has the frame's number.
    let line = ..320 * 18;
    let found = frames.find(|frame| difference(&frame[line], &shown[line]) < 8);
    let found = found.expect("a frame with this number");
    let other = frames.nth(30).expect("another frame");
    let (same, different) = (difference(&found, &shown), difference(&other, &shown));
    assert!(same < 8 && different > 2 * same, "{same} and {different}");
}

#[tokio::test]
async fn picture_of_a_large_input_is_reduced() {
    for mode in ["1280x720@30", "1024x768@30"] {
        let agent = start(&[("SORTIE_CAPTURE_MODE", mode)]).await;
        let expected = match mode {
            "1280x720@30" => "mjpeg,640,360",
            _ => "mjpeg,480,360",
        };
        assert_eq!(size(&still(&agent).await), expected, "idle");
        agent.start_recording().await;
        agent.wait_recorded(0.5).await;
        assert_eq!(size(&still(&agent).await), expected, "recording");
    }
}

#[tokio::test]
async fn later_stills_show_later_frames() {
    let agent = start(&[]).await;
    let mut stills = HashSet::new();
    for _ in 0..LOOKS {
        stills.insert(still(&agent).await);
        if stills.len() == 3 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the picture stands still");
}

#[tokio::test]
async fn stream_delivers_frames_while_idle_and_into_a_recording() {
    let agent = start(&[]).await;
    let mut frames = Frames::open(&agent).await;
    let mut seen = HashSet::new();
    while seen.len() < 3 {
        seen.insert(frames.next().await.expect("a frame"));
    }
    // The recording takes the device, and the stream continues with its frames.
    agent.start_recording().await;
    agent.wait_recorded(1.0).await;
    for _ in 0..4 {
        frames.next().await.expect("a frame");
    }
    agent.post("/api/appliance/recording/stop", json!({})).await;
    agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    for _ in 0..4 {
        frames.next().await.expect("a frame");
    }
    let state = agent.get("/api/appliance").await;
    assert_eq!(state["problem"], Value::Null, "{state}");
}

#[tokio::test]
async fn query_overrides_accept_and_is_checked() {
    let agent = start(&[]).await;
    let path = format!("{PICTURE}?stream=true");
    let answer = agent.request(&path).send().await.expect("an answer");
    let mut frames = Frames::of(answer);
    frames.next().await.expect("a frame");
    let request = agent.request(&format!("{PICTURE}?stream=false"));
    let answer = request.header(ACCEPT, MULTIPART).send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "image/jpeg");
    assert_eq!(answer.headers()["vary"], "accept");
    for wrong in ["stream=perhaps", "width=99"] {
        let path = format!("{PICTURE}?{wrong}");
        let (status, _) = agent.ask("GET", &path, json!({})).await;
        assert_eq!(status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn picture_is_shown_while_only_the_preroll_runs() {
    for source in ["test", "test-grabber"] {
        let agent = start(&[
            ("SORTIE_CAPTURE_SOURCE", source),
            ("SORTIE_CAPTURE_PREROLL_SECONDS", "2"),
        ])
        .await;
        // Without a recording, only the pre-roll uses an encoder.
        let encodes = |state: &Value| state["encoder"].is_string();
        agent.until("/api/appliance", encodes).await;
        assert_eq!(encoded(&agent).await, 0, "without a viewer");
        assert_eq!(size(&still(&agent).await), "mjpeg,320,240", "{source}");
        let mut frames = Frames::open(&agent).await;
        let mut seen = HashSet::new();
        while seen.len() < 3 {
            seen.insert(frames.next().await.expect("a frame"));
        }
        let state = agent.get("/api/appliance").await;
        assert_eq!(state["recorder"], "idle", "{source}");
        assert_eq!(count(&agent.get("/api/recordings").await), 0);
        // The stream continues in the recording that takes the pre-roll over.
        agent.start_recording().await;
        agent.wait_recorded(2.0).await;
        for _ in 0..4 {
            frames.next().await.expect("a frame");
        }
    }
}

#[tokio::test]
async fn hundred_viewers_share_one_encoder_and_do_not_disturb_the_recording() {
    const VIEWERS: usize = 100;
    const FRAMES: usize = 4;
    let agent = start(&[]).await;
    agent.start_recording().await;
    agent.wait_recorded(0.5).await;
    assert_eq!(encoded(&agent).await, 0, "without a viewer");
    let viewers = (0..VIEWERS).map(|_| async {
        let mut frames = Frames::open(&agent).await;
        for _ in 0..FRAMES {
            frames.next().await.expect("a frame");
        }
    });
    futures_util::future::join_all(viewers).await;
    let encoded = encoded(&agent).await;
    assert!(
        (FRAMES as u64..=(VIEWERS * FRAMES / 2) as u64).contains(&encoded),
        "{encoded} frames for {VIEWERS} viewers of {FRAMES} frames"
    );
    agent.post("/api/appliance/recording/stop", json!({})).await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    let state = agent.get("/api/appliance").await;
    // Busy processors drop frames with or without viewers; the branch of the picture must not.
    let dropped = state["dropped_frames"].as_f64().expect("a number");
    let (seconds, frames) = probe(&agent.file(&list[0]));
    let missing = (seconds * 30.0).round() - frames as f64 - dropped;
    assert!(
        missing.abs() <= 1.0,
        "{frames} frames in {seconds} s, {dropped} dropped"
    );
    assert!(dropped < frames as f64 / 4.0, "{state}");
}

#[tokio::test]
async fn frames_are_encoded_only_while_watched() {
    let agent = start(&[]).await;
    agent.start_recording().await;
    agent.wait_recorded(2.0).await;
    assert_eq!(encoded(&agent).await, 0);
    still(&agent).await;
    assert_eq!(encoded(&agent).await, 1);
    let mut frames = Frames::open(&agent).await;
    for _ in 0..3 {
        frames.next().await.expect("a frame");
    }
    // A viewer that vanishes is noticed.
    drop(frames);
    let mut before = encoded(&agent).await;
    for _ in 0..LOOKS {
        let state = agent.get("/api/appliance").await;
        let seconds = state["file"]["duration_seconds"].as_f64().expect("seconds");
        agent.wait_recorded(seconds + 2.0).await;
        let now = encoded(&agent).await;
        if now == before {
            return;
        }
        before = now;
    }
    panic!("frames are encoded for no viewer");
}

#[tokio::test]
async fn missing_picture_is_explained_and_ends_the_stream() {
    for source in ["test", "test-grabber"] {
        let agent = start(&[
            ("SORTIE_CAPTURE_SOURCE", source),
            ("SORTIE_CAPTURE_NO_SIGNAL_SECONDS", "1"),
        ])
        .await;
        let mut frames = Frames::open(&agent).await;
        frames.next().await.expect("a frame");
        agent.signal("no_signal").await;
        while frames.next().await.is_some() {}
        let (status, problem) = agent.ask("GET", PICTURE, json!({})).await;
        assert_eq!(status, 409, "{source}: {problem}");
        assert_eq!(problem["detail"], "No picture: there is no signal.");
        let state = agent.get("/api/appliance").await;
        assert_eq!(state["signal"]["state"], "no_signal", "{source}");
        agent.signal("steady").await;
        agent.steady().await;
        agent.wait_found(PICTURE).await;
    }
}

#[tokio::test]
async fn picture_is_for_administrators() {
    let agent = start(&[]).await;
    let answer = agent.anonymous_request(PICTURE).send().await;
    assert_eq!(answer.expect("an answer").status().as_u16(), 401);
    let user = json!({"username": "visitor", "password": "a good password", "roles": ["user"]});
    agent.post("/api/admin/users", user).await;
    let login = json!({"username": "visitor", "password": "a good password"});
    let (_, tokens) = agent.ask("POST", "/api/auth/login", login).await;
    let token = tokens["access_token"].as_str().expect("a token");
    let answer = agent.anonymous_request(PICTURE).bearer_auth(token).send();
    assert_eq!(answer.await.expect("an answer").status().as_u16(), 403);
    assert_eq!(encoded(&agent).await, 0);
}
