//! Random requests, sequential and concurrent, checked against a small model of an upload.
//!
//! `PROPTEST_CASES=500 cargo test -p sortie-server --test uploads interleavings` runs more than the usual 12 cases.

use std::time::Duration;

use crate::support::{Client, TestServer, chromium_webm, header};
use bytes::Bytes;
use futures_util::StreamExt;
use proptest::prelude::*;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;
use sortie_media::{HEAD_ROOM, Indexer};

/// Number of concurrent uploads.
const SLOTS: usize = 3;

/// Content of an upload.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// A valid recording.
    Webm,
    /// Content of no known container: stored raw.
    Pattern(u8),
    Partial(u8),
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Create {
        slot: usize,
        form: Form,
        declared: bool,
    },
    /// `off`: distance from the right offset. `last`: declares the length with the last byte.
    Patch {
        slot: usize,
        size: usize,
        off: i64,
        last: bool,
    },
    /// The sender disconnects after `after_ms`, in the middle of the body.
    Disconnect {
        slot: usize,
        size: usize,
        after_ms: u64,
    },
    /// A `PATCH` and another request concurrently.
    Race {
        slot: usize,
        size: usize,
        with: Other,
    },
    Stop {
        slot: usize,
    },
    Delete {
        slot: usize,
    },
    /// Concatenates all complete partial uploads.
    Join,
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum Other {
    Patch(usize),
    Head,
    Delete,
}

fn op() -> impl Strategy<Value = Op> {
    let slot = 0..SLOTS;
    let size = prop_oneof![1usize..40, 1usize..9000, Just(1 << 20)];
    let form = prop_oneof![
        2 => Just(Form::Webm),
        1 => any::<u8>().prop_map(Form::Pattern),
        2 => any::<u8>().prop_map(Form::Partial),
    ];
    let with = prop_oneof![
        3 => size.clone().prop_map(Other::Patch),
        3 => Just(Other::Head),
        1 => Just(Other::Delete),
    ];
    let off = prop_oneof![6 => Just(0), 1 => -5000i64..5000];
    prop_oneof![
        5 => (slot.clone(), form, any::<bool>())
            .prop_map(|(slot, form, declared)| Op::Create { slot, form, declared }),
        9 => (slot.clone(), size.clone(), off, any::<bool>())
            .prop_map(|(slot, size, off, last)| Op::Patch { slot, size, off, last }),
        3 => (slot.clone(), size.clone(), 0u64..6)
            .prop_map(|(slot, size, after_ms)| Op::Disconnect { slot, size, after_ms }),
        4 => (slot.clone(), size, with).prop_map(|(slot, size, with)| Op::Race { slot, size, with }),
        1 => slot.clone().prop_map(|slot| Op::Stop { slot }),
        1 => slot.prop_map(|slot| Op::Delete { slot }),
        2 => Just(Op::Join),
        1 => Just(Op::Restart),
    ]
}

/// Expected state of an upload.
struct Upload {
    id: String,
    /// Session of a recording that was started in one.
    session: Option<String>,
    form: Form,
    source: Vec<u8>,
    offset: usize,
    /// Highest offset that an abandoned request may still reach.
    at_most: usize,
    declared: bool,
    stopped: bool,
}

impl Upload {
    fn path(&self) -> String {
        format!("/api/uploads/{}", self.id)
    }

    fn is_complete(&self) -> bool {
        self.declared && self.offset == self.source.len()
    }

    fn is_partial(&self) -> bool {
        matches!(self.form, Form::Partial(_))
    }

    fn moved_to(&mut self, offset: usize) {
        self.offset = offset;
        self.at_most = offset;
    }
}

fn source(form: Form) -> Vec<u8> {
    match form {
        Form::Webm => chromium_webm(),
        Form::Pattern(seed) | Form::Partial(seed) => {
            let length = 3000 + usize::from(seed) * 40;
            (0..length)
                .map(|at| (at / 251).to_le_bytes()[0] ^ at.to_le_bytes()[0] ^ seed)
                .collect()
        }
    }
}

/// Extension and bytes of the finished file of a stream.
fn finished(stream: &[u8]) -> (&'static str, Vec<u8>) {
    let mut file = vec![0; usize::try_from(HEAD_ROOM).expect("small")];
    file.extend(stream);
    let mut indexer = Indexer::new();
    indexer.push(stream);
    let live: Vec<_> = std::iter::from_fn(|| indexer.poll_patch()).collect();
    let Ok(finish) = indexer.finish() else {
        return ("bin", stream.to_vec());
    };
    file.truncate(usize::try_from(finish.keep).expect("small"));
    file.extend(&finish.append);
    for patch in live.iter().chain(&finish.patches) {
        let at = usize::try_from(patch.position).expect("small");
        // Patches behind the end were truncated.
        if let Some(room) = file.get_mut(at..at + patch.bytes.len()) {
            room.copy_from_slice(&patch.bytes);
        }
    }
    (finish.container.extension(), file)
}

/// Another request preempted this one or holds the upload.
fn is_refused(status: StatusCode) -> bool {
    matches!(status, StatusCode::CONFLICT | StatusCode::LOCKED)
}

struct World {
    server: TestServer,
    client: Client,
    slots: [Option<Upload>; SLOTS],
    /// Complete recordings and the bytes they were made of.
    done: Vec<(String, Vec<u8>)>,
}

impl World {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let client = server.admin().await;
        Self {
            server,
            client,
            slots: Default::default(),
            done: Vec::new(),
        }
    }

    async fn step(&mut self, op: Op) {
        match op {
            Op::Create {
                slot,
                form,
                declared,
            } => self.create(slot, form, declared).await,
            Op::Patch {
                slot,
                size,
                off,
                last,
            } => self.patch(slot, size, off, last).await,
            Op::Disconnect {
                slot,
                size,
                after_ms,
            } => self.disconnect(slot, size, after_ms).await,
            Op::Race { slot, size, with } => self.race(slot, size, with).await,
            Op::Stop { slot } => self.stop(slot).await,
            Op::Delete { slot } => self.delete(slot).await,
            Op::Join => self.join().await,
            Op::Restart => {
                self.server.restart().await;
                self.client.url.clone_from(&self.server.url);
            }
        }
        for slot in 0..SLOTS {
            self.check_state(slot).await;
        }
    }

    async fn create(&mut self, slot: usize, form: Form, declared: bool) {
        if self.slots[slot].is_some() {
            return;
        }
        let source = source(form);
        let length = source.len().to_string();
        let mut headers = vec![if declared {
            ("Upload-Length", length.as_str())
        } else {
            ("Upload-Defer-Length", "1")
        }];
        let (path, session) = match form {
            Form::Webm if !declared => {
                let (id, session) = self.client.start_recording().await;
                (id, Some(session))
            }
            Form::Partial(_) => {
                headers.push(("Upload-Concat", "partial"));
                (self.client.create_upload(&headers).await, None)
            }
            _ => (self.client.create_upload(&headers).await, None),
        };
        let id = path.rsplit('/').next().unwrap_or_default().to_owned();
        self.slots[slot] = Some(Upload {
            id,
            session,
            form,
            source,
            offset: 0,
            at_most: 0,
            declared,
            stopped: false,
        });
    }

    async fn patch(&mut self, slot: usize, size: usize, off: i64, last: bool) {
        let Some(upload) = &mut self.slots[slot] else {
            let answer = self
                .client
                .patch("/api/uploads/nothing", 0, "x")
                .send()
                .await;
            assert_eq!(answer.expect("an answer").status(), StatusCode::NOT_FOUND);
            return;
        };
        let size = size.min(upload.source.len() - upload.offset);
        let bytes = upload.source[upload.offset..][..size].to_vec();
        let at = upload.offset as u64;
        let (path, to) = (upload.path(), at.saturating_add_signed(off));
        let end = upload.offset + size;
        let declares = last && !upload.declared && end == upload.source.len() && to == at;
        let mut request = self.client.patch(&path, to, bytes);
        if declares {
            request = request.header("Upload-Length", end);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        if to != at {
            assert_eq!(status, StatusCode::CONFLICT);
            return;
        }
        // An abandoned request may have advanced the offset, or preempts this one late.
        if upload.at_most > upload.offset && is_refused(status) {
            upload.at_most = upload.at_most.max(end);
            return;
        }
        assert_eq!(
            status,
            StatusCode::NO_CONTENT,
            "{}",
            answer.text().await.unwrap_or_default()
        );
        assert_eq!(header(&answer, "upload-offset"), end.to_string());
        upload.moved_to(end);
        upload.declared |= declares;
    }

    async fn disconnect(&mut self, slot: usize, size: usize, after_ms: u64) {
        let Some(upload) = self.slots[slot].as_mut().filter(|it| !it.is_complete()) else {
            return;
        };
        // One byte less than the rest: the moment of an abandoned last byte's finish is not part of the model.
        let left = upload.source.len() - upload.offset;
        let size = size.min(left.saturating_sub(1));
        let bytes = Bytes::copy_from_slice(&upload.source[upload.offset..][..size]);
        let pieces: Vec<_> = bytes
            .chunks(700)
            .map(|it| Ok::<_, std::io::Error>(bytes.slice_ref(it)))
            .collect();
        let never = futures_util::stream::pending();
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces).chain(never));
        let sending = self
            .client
            .patch(&upload.path(), upload.offset as u64, body)
            .send();
        // The body never ends, so only an earlier abandoned request causes an answer.
        if let Ok(answer) = tokio::time::timeout(Duration::from_millis(after_ms), sending).await {
            let status = answer.expect("an answer").status();
            assert!(
                upload.at_most > upload.offset && is_refused(status),
                "{status}"
            );
        }
        upload.at_most = upload.at_most.max(upload.offset + size);
    }

    async fn race(&mut self, slot: usize, size: usize, with: Other) {
        let Some(upload) = self.slots[slot].as_mut().filter(|it| !it.is_complete()) else {
            return;
        };
        let (left, path) = (upload.source.len() - upload.offset, upload.path());
        // Without a known offset and bytes to send, the race has no winner.
        if left == 0 || upload.at_most > upload.offset {
            return;
        }
        let at = upload.offset;
        let patch = |size: usize| -> RequestBuilder {
            self.client
                .patch(&path, at as u64, upload.source[at..][..size].to_vec())
        };
        let size = size.min(left);
        let status =
            |answer: Result<reqwest::Response, _>| answer.expect("an answer").status().as_u16();
        match with {
            Other::Patch(other) => {
                let other = other.min(left);
                let (one, two) = futures_util::join!(patch(size).send(), patch(other).send());
                match (status(one), status(two)) {
                    (204, 409 | 423) => upload.moved_to(at + size),
                    (409 | 423, 204) => upload.moved_to(at + other),
                    both => panic!("exactly one wins, not {both:?}"),
                }
            }
            Other::Head => {
                let head = self.client.tus(Method::HEAD, &path).send();
                let (one, head) = futures_util::join!(patch(size).send(), head);
                let head = head.expect("an answer");
                let seen: usize = header(&head, "upload-offset").parse().expect("a number");
                assert!((at..=at + size).contains(&seen));
                match status(one) {
                    204 => upload.moved_to(at + size),
                    423 => upload.moved_to(seen),
                    other => panic!("{other}"),
                }
            }
            Other::Delete => {
                let (one, gone) = futures_util::join!(
                    patch(size).send(),
                    self.client.tus(Method::DELETE, &path).send()
                );
                assert_eq!(status(gone), 204);
                assert!(matches!(status(one), 204 | 404 | 423));
                self.check_deleted(slot).await;
            }
        }
    }

    async fn stop(&mut self, slot: usize) {
        let Some(upload) = &mut self.slots[slot] else {
            return;
        };
        let Some(session) = &upload.session else {
            return;
        };
        let path = format!("/api/sessions/{session}/recording/stop");
        let request = self
            .client
            .post(&path)
            .json(&json!({ "recording_id": upload.id }));
        assert_eq!(
            request.send().await.expect("an answer").status(),
            StatusCode::OK
        );
        upload.stopped = true;
    }

    async fn delete(&mut self, slot: usize) {
        let Some(upload) = &self.slots[slot] else {
            return;
        };
        let gone = self.client.tus(Method::DELETE, &upload.path()).send().await;
        assert_eq!(gone.expect("an answer").status(), StatusCode::NO_CONTENT);
        self.check_deleted(slot).await;
    }

    /// Checks that a deleted upload is not found and has no file.
    async fn check_deleted(&mut self, slot: usize) {
        let Some(upload) = self.slots[slot].take() else {
            return;
        };
        let head = self.client.tus(Method::HEAD, &upload.path()).send().await;
        assert_eq!(head.expect("an answer").status(), StatusCode::NOT_FOUND);
        let folder = std::fs::read_dir(self.server.recordings()).expect("the folder");
        let names = folder.map(|entry| entry.expect("an entry").file_name());
        let left: Vec<_> = names
            .filter(|name| name.to_string_lossy().starts_with(&upload.id))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }

    async fn join(&mut self) {
        let parts: Vec<_> = self
            .slots
            .iter_mut()
            .filter_map(|slot| slot.take_if(|it| it.is_partial() && it.is_complete()))
            .collect();
        if parts.is_empty() {
            return;
        }
        let paths: Vec<_> = parts.iter().map(Upload::path).collect();
        let concat = format!("final;{}", paths.join(" "));
        let path = self
            .client
            .create_upload(&[("Upload-Concat", &concat)])
            .await;
        let id = path.rsplit('/').next().unwrap_or_default().to_owned();
        let whole = parts.into_iter().flat_map(|part| part.source).collect();
        self.done.push((id, whole));
    }

    /// Compares the server and its disk with the model.
    async fn check_state(&mut self, slot: usize) {
        let Some(upload) = &mut self.slots[slot] else {
            return;
        };
        let head = self
            .client
            .tus(Method::HEAD, &upload.path())
            .send()
            .await
            .expect("an answer");
        assert_eq!(head.status(), StatusCode::OK);
        let offset: usize = header(&head, "upload-offset").parse().expect("a number");
        assert!(
            (upload.offset..=upload.at_most).contains(&offset),
            "{offset}"
        );
        upload.offset = offset;
        let length = header(&head, "upload-length");
        assert_eq!(
            length,
            if upload.declared {
                upload.source.len().to_string()
            } else {
                String::new()
            }
        );
        let complete = upload.is_complete();
        if !complete {
            let path = self.server.file(&format!("{}.part", upload.id));
            let object = std::fs::read(path).expect("the growing file");
            let stream = &object[4096..];
            assert!(
                stream.len() >= offset,
                "{offset} bytes acknowledged, {} there",
                stream.len()
            );
            // Sizes inside a recording are patched.
            if !matches!(upload.form, Form::Webm) {
                assert!(
                    upload.source.starts_with(stream),
                    "other bytes than were sent"
                );
            }
        }
        if upload.is_partial() {
            return;
        }
        let status = self.client.recording(&upload.id).await["status"].clone();
        let expected = match (complete, upload.form) {
            (true, Form::Webm) => "ready",
            (true, _) => "failed",
            (false, _) if upload.stopped => "uploading",
            (false, _) => "recording",
        };
        assert_eq!(status, expected);
        if complete && let Some(upload) = self.slots[slot].take() {
            self.done.push((upload.id, upload.source));
        }
    }

    /// Checks that the complete recordings, byte for byte, are the only files.
    fn check_files(self) {
        let mut expected: Vec<_> = Vec::new();
        for (id, stream) in &self.done {
            let (extension, file) = finished(stream);
            let name = format!("{id}.{extension}");
            let stored = std::fs::read(self.server.file(&name)).expect("the finished file");
            assert!(stored == file, "{name} is not what was sent");
            expected.push(name);
        }
        for upload in self.slots.iter().flatten() {
            let extension = if upload.is_complete() {
                "piece"
            } else {
                "part"
            };
            expected.push(format!("{}.{extension}", upload.id));
        }
        let folder = std::fs::read_dir(self.server.recordings()).expect("the folder");
        let names = folder.map(|it| {
            it.expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        expected.sort();
        assert_eq!(names, expected);
    }
}

fn cases() -> ProptestConfig {
    let default = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 60,
        ..ProptestConfig::default()
    };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => default,
        None => ProptestConfig {
            cases: 12,
            ..default
        },
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn random_requests_agree_with_the_model(ops in prop::collection::vec(op(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut world = World::new().await;
            for op in ops {
                world.step(op).await;
            }
            world.check_files();
        });
    }
}
