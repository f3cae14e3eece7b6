//! Recorder with the frames of ustreamer: a program that writes its shared memory as ustreamer does, because no
//! encoder that ustreamer supports runs here, and one that serves its stream. `scripts/hdmi.sh ustreamer` runs the
//! real ustreamer.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use rustix::fs::{FlockOperation, flock};
use sortie_capture_agent::clock::monotonic;
use sortie_capture_agent::pipeline::IdleFrames;
use sortie_capture_agent::recorder::{Event, Handle, Limits, Recorder, Setup};
use sortie_capture_agent::signal::Signal;
use sortie_capture_agent::writer::Finished;

/// Generous limit, because the machine may be busy.
const LONG: Duration = Duration::from_secs(120);

/// Frames of a test picture, at the pace of a camera.
struct Frames {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
}

impl Frames {
    /// `encoder` ends with the form of its frames.
    fn start(width: u32, height: u32, encoder: &str) -> Self {
        gst::init().expect("it works");
        let description = format!(
            "videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height={height},framerate=30/1 \
             ! {encoder} ! appsink name=sink max-buffers=2 sync=false"
        );
        let pipeline = gst::parse::launch(&description).expect("it works");
        let pipeline = pipeline.downcast::<gst::Pipeline>().expect("it works");
        let sink = pipeline.by_name("sink").expect("it works");
        let sink = sink.downcast::<gst_app::AppSink>().expect("it works");
        pipeline.set_state(gst::State::Playing).expect("it works");
        Self { pipeline, sink }
    }

    fn h264(width: u32, height: u32) -> Self {
        let encoder = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 \
                       ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au";
        Self::start(width, height, encoder)
    }

    /// Next frame, and whether it is a keyframe.
    fn next(&self) -> (Vec<u8>, bool) {
        let sample = self.sink.pull_sample().expect("it works");
        let buffer = sample.buffer().expect("it works");
        let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        (buffer.map_readable().expect("it works").to_vec(), is_key)
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).expect("it works");
    }
}

/// Shared memory of ustreamer 4.9 on a 64-bit Intel processor, written as its `memsink_server_put` does.
struct Memory {
    path: PathBuf,
    file: File,
    frames: u64,
}

impl Memory {
    fn new(name: &str) -> Self {
        let path = Path::new("/dev/shm").join(name);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .expect("it works");
        file.set_len(32 << 20).expect("it works");
        Self {
            path,
            file,
            frames: 0,
        }
    }

    fn put(&mut self, size: (u32, u32), online: bool, data: &[u8], is_key: bool) {
        // As ustreamer, which waits a second for a client that reads.
        flock(&self.file, FlockOperation::LockExclusive).expect("it works");
        self.frames += 1;
        let mut head = [0_u8; 112];
        head[..8].copy_from_slice(&0xCAFE_BABE_CAFE_BABE_u64.to_le_bytes());
        head[8..12].copy_from_slice(&2_u32.to_le_bytes());
        head[16..24].copy_from_slice(&self.frames.to_le_bytes());
        head[24..32].copy_from_slice(&(data.len() as u64).to_le_bytes());
        head[32..36].copy_from_slice(&size.0.to_le_bytes());
        head[36..40].copy_from_slice(&size.1.to_le_bytes());
        head[40..44].copy_from_slice(b"H264");
        head[48] = u8::from(online);
        head[49] = u8::from(is_key);
        // The times stay 0: the agent then uses the time of its look.
        self.file.write_all_at(&head, 0).expect("it works");
        self.file.write_all_at(data, 128).expect("it works");
        flock(&self.file, FlockOperation::Unlock).expect("it works");
    }

    /// Whether a client has left its time.
    fn has_client(&self) -> bool {
        let mut time = [0; 10];
        self.file.read_exact_at(&mut time, 112).expect("it works");
        time != [0; 10]
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// States of the simulated ustreamer.
const ONLINE: u32 = 0;
const OFFLINE: u32 = 1;
const LARGER: u32 = 2;
const SILENT: u32 = 3;

/// Writes frames until it is stopped.
struct Ustreamer {
    shown: Arc<AtomicU32>,
    stopped: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<bool>>,
}

impl Ustreamer {
    fn start(name: &str) -> Self {
        let (shown, stopped) = (Arc::<AtomicU32>::default(), Arc::<AtomicBool>::default());
        let mut memory = Memory::new(name);
        let (shows, stops) = (Arc::clone(&shown), Arc::clone(&stopped));
        let thread = thread::spawn(move || {
            let mut current = None;
            while !stops.load(Ordering::Relaxed) {
                let show = shows.load(Ordering::Relaxed);
                let size = if show == LARGER {
                    (640, 360)
                } else {
                    (320, 240)
                };
                if current.as_ref().is_none_or(|(it, _)| *it != size) {
                    current = Some((size, Frames::h264(size.0, size.1)));
                }
                let Some((_, frames)) = &current else {
                    continue;
                };
                let (data, is_key) = frames.next();
                if show != SILENT {
                    memory.put(size, show != OFFLINE, &data, is_key);
                }
            }
            memory.has_client()
        });
        Self {
            shown,
            stopped,
            thread: Some(thread),
        }
    }

    fn show(&self, shown: u32) {
        self.shown.store(shown, Ordering::Relaxed);
    }

    /// Stops it; returns whether it had a client.
    fn stop(&mut self) -> bool {
        self.stopped.store(true, Ordering::Relaxed);
        self.thread
            .take()
            .is_some_and(|it| it.join().expect("it works"))
    }
}

fn start(folder: &Path, source: &str) -> (Recorder, mpsc::Receiver<Event>) {
    let setup = Setup {
        source: source.parse().expect("a source"),
        mode: None,
        no_signal_after: None,
        folder: folder.to_owned(),
        split: Limits::default(),
        hook: None,
        hook_limit: LONG,
        reserve_bytes: 0,
        idle_frames: IdleFrames::Drop,
        preroll: Duration::ZERO,
        auto: true,
    };
    let (send, events) = mpsc::channel();
    let recorder = Recorder::start(setup, move |event| drop(send.send(event)));
    (recorder.expect("it starts"), events)
}

#[track_caller]
fn finished(events: &mpsc::Receiver<Event>) -> Finished {
    loop {
        match events.recv_timeout(LONG).expect("an event") {
            Event::Finished { file, .. } => return file,
            Event::Begun { .. } | Event::Problem(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[track_caller]
fn wait(handle: &Handle, right: impl Fn(&Handle) -> bool) {
    let begun = monotonic();
    while monotonic() - begun < LONG {
        if right(handle) {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("it stays {:?}", handle.snapshot());
}

fn is_growing(handle: &Handle) -> bool {
    let written = handle.snapshot().written;
    written.name.is_some() && written.duration_ms > 1500
}

/// Decodes a file with ffmpeg, which must not report an error; returns width, height and number of frames.
#[track_caller]
fn decoded(file: &Path) -> (u32, u32, u64) {
    let played = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        // The usual time base is that of a constant rate.
        .args(["-enc_time_base", "-1", "-f", "null", "-"])
        .output()
        .expect("ffmpeg");
    assert!(played.stderr.is_empty(), "{played:?}");
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=width,height,nb_read_frames"])
        .arg(file)
        .output()
        .expect("ffprobe");
    let text = String::from_utf8(probed.stdout).expect("text");
    let numbers: Vec<u64> = text
        .trim()
        .split(',')
        .map(|it| it.parse().expect(&text))
        .collect();
    let side = |number: u64| u32::try_from(number).expect("a side");
    (side(numbers[0]), side(numbers[1]), numbers[2])
}

#[test]
fn h264_of_the_shared_memory_is_recorded_across_changes() {
    let dir = tempfile::tempdir().unwrap();
    let name = format!("sortie-test-{}", std::process::id());
    let mut ustreamer = Ustreamer::start(&name);
    let (recorder, events) = start(dir.path(), &format!("ustreamer:{name}"));
    let handle = recorder.handle();
    wait(handle, is_growing);
    assert_eq!(handle.snapshot().encoder, None, "nothing is encoded again");
    // The source behind ustreamer has no signal.
    ustreamer.show(OFFLINE);
    let first = finished(&events);
    wait(handle, |it| {
        it.snapshot().signal == Signal::NoSignal && !is_growing(it)
    });
    // Another resolution begins another file.
    ustreamer.show(ONLINE);
    wait(handle, is_growing);
    ustreamer.show(LARGER);
    let second = finished(&events);
    wait(handle, |it| {
        let size = match it.snapshot().signal {
            Signal::Steady(mode) => (mode.width, mode.height),
            _ => (0, 0),
        };
        size == (640, 360) && is_growing(it)
    });
    // ustreamer hangs, and is restarted.
    ustreamer.show(SILENT);
    let third = finished(&events);
    wait(handle, |it| {
        it.snapshot().signal == Signal::NoDevice && !is_growing(it)
    });
    let problem = handle.snapshot().problem.expect("a reason");
    assert!(problem.words.contains("no frame for 5 s"), "{problem}");
    assert!(ustreamer.stop(), "it writes only while it has clients");
    let mut restarted = Ustreamer::start(&name);
    wait(handle, is_growing);
    drop(recorder);
    restarted.stop();
    let fourth = finished(&events);
    for (file, size) in [
        (first, (320, 240)),
        (second, (320, 240)),
        (third, (640, 360)),
        (fourth, (320, 240)),
    ] {
        let (width, height, frames) = decoded(&dir.path().join(&file.name));
        assert_eq!((width, height), size, "{file:?}");
        // Of 30 a second; a busy machine shows fewer.
        assert!(frames > file.duration_ms / 200, "{frames} of {file:?}");
    }
}

#[test]
fn missing_memory_is_a_problem_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let (recorder, _events) = start(dir.path(), "ustreamer:sortie-test-missing");
    wait(recorder.handle(), |it| it.snapshot().problem.is_some());
    let problem = recorder.handle().snapshot().problem.expect("a reason");
    let words = "ustreamer (sortie-test-missing): No such file or directory";
    assert!(problem.words.starts_with(words), "{problem}");
}

/// Serves one client after the other with JPEG pictures in ustreamer's form.
fn serve(listener: &TcpListener, online: &AtomicBool) {
    while let Ok((mut client, _)) = listener.accept() {
        let mut request = [0; 4096];
        let read = client.read(&mut request).unwrap_or(0);
        let request = String::from_utf8_lossy(&request[..read]).into_owned();
        if !request.starts_with("GET /stream?extra_headers=1 ") {
            let _ = client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            continue;
        }
        let _ = stream(&mut client, online);
    }
}

fn stream(client: &mut TcpStream, online: &AtomicBool) -> std::io::Result<()> {
    let frames = Frames::start(320, 240, "jpegenc");
    client.write_all(
        b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=boundarydonotcross\r\n\r\n\
          --boundarydonotcross\r\n",
    )?;
    loop {
        let (jpeg, _) = frames.next();
        let head = format!(
            "Content-Type: image/jpeg\r\nContent-Length: {}\r\nX-UStreamer-Online: {}\r\n\
             X-UStreamer-Width: 320\r\nX-UStreamer-Height: 240\r\n\r\n",
            jpeg.len(),
            online.load(Ordering::Relaxed)
        );
        client.write_all(head.as_bytes())?;
        client.write_all(&jpeg)?;
        client.write_all(b"\r\n--boundarydonotcross\r\n")?;
    }
}

#[test]
fn mjpeg_over_http_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let online = Arc::new(AtomicBool::new(true));
    let shows = Arc::clone(&online);
    thread::spawn(move || serve(&listener, &shows));
    let (recorder, events) = start(dir.path(), &format!("ustreamer:http://{address}/stream"));
    wait(recorder.handle(), is_growing);
    online.store(false, Ordering::Relaxed);
    let file = finished(&events);
    wait(recorder.handle(), |it| {
        it.snapshot().signal == Signal::NoSignal
    });
    let (width, height, frames) = decoded(&dir.path().join(&file.name));
    assert_eq!((width, height), (320, 240));
    assert!(frames > 0);
}

#[test]
fn other_server_is_a_problem_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve(&listener, &AtomicBool::new(true)));
    let (recorder, _events) = start(dir.path(), &format!("ustreamer:http://{address}/other"));
    wait(recorder.handle(), |it| it.snapshot().problem.is_some());
    let problem = recorder.handle().snapshot().problem.expect("a reason");
    assert!(problem.words.contains("404 Not Found"), "{problem}");
}
