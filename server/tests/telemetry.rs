//! Traces as a collector receives them: a real OTLP/HTTP receiver and the real program.
#![cfg(feature = "otel")]

mod support;

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode as Code};
use prost::Message;
use support::process::Process;
use support::{Client, chromium_webm, json_of};

/// Trace and span of the caller (W3C Trace Context, section 3.2).
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const PARENT: u64 = 0x00f0_67aa_0ba9_02b7;

#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

/// Starts a collector; returns its URL.
async fn collector(received: Received) -> String {
    async fn take(State(received): State<Received>, headers: HeaderMap, body: Bytes) -> StatusCode {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert_eq!(headers["api-key"], "a key");
        let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
        received.0.lock().expect("a lock").push(request);
        StatusCode::OK
    }
    let routes = axum::Router::new()
        .route("/v1/traces", axum::routing::post(take))
        .with_state(received);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}")
}

fn start(collector: &str) -> Process {
    start_with_log(collector, "warn", Stdio::inherit())
}

fn start_with_log(collector: &str, filter: &str, log: Stdio) -> Process {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sortie-server"));
    command
        .env_clear()
        .env("SORTIE_DB", folder.path().join("sortie.db"))
        .env("SORTIE_RECORDING_STORAGE_PATH", folder.path())
        .env("SORTIE_LOG", filter)
        .stderr(log)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a key")
        .env("OTEL_SERVICE_NAME", "recordings-north");
    Process::start(&mut command, Some(folder))
}

/// Stops the program with SIGTERM, like systemd and Kubernetes, and waits for its exit.
fn stop(mut process: Process) -> Duration {
    let id = i32::try_from(process.child.id()).expect("small");
    let id = rustix::process::Pid::from_raw(id).expect("an id");
    let began = now();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it runs");
    let status = process.child.wait().expect("it ends");
    assert!(status.success(), "{status}");
    began.elapsed()
}

#[expect(clippy::disallowed_methods, reason = "how long a process takes to end")]
fn now() -> Instant {
    Instant::now()
}

fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found
        .value
        .as_ref()
        .and_then(|AnyValue { value }| value.as_ref())
}

fn text(value: &str) -> Option<Value> {
    Some(Value::StringValue(value.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn collector_receives_the_complete_trace_of_a_request() {
    let received = Received::default();
    let collector = collector(received.clone()).await;
    let started = tokio::task::spawn_blocking(move || start(&collector)).await;
    let server = started.expect("no panic");
    let client = Client::admin_at(&server.url).await;
    let (id, _) = client.start_recording().await;
    let bytes = chromium_webm();
    let patch = client
        .patch(&format!("/api/uploads/{id}"), 0, bytes.clone())
        .header("Upload-Length", bytes.len())
        .header("traceparent", TRACEPARENT);
    assert_eq!(patch.send().await.expect("an answer").status(), 204);
    let lost = client
        .get("/api/recordings/nothing?token=secret")
        .send()
        .await;
    assert_eq!(lost.expect("an answer").status(), 400);
    client.get("/healthz").send().await.expect("an answer");
    // The program exports all spans before it exits.
    tokio::task::spawn_blocking(|| stop(server))
        .await
        .expect("no panic");

    let requests = std::mem::take(&mut *received.0.lock().expect("a lock"));
    let resources: Vec<_> = requests.iter().flat_map(|it| &it.resource_spans).collect();
    for resource in &resources {
        let attributes = &resource.resource.as_ref().expect("a resource").attributes;
        let name = attribute(attributes, "service.name");
        assert_eq!(name, text("recordings-north").as_ref());
    }
    let spans: Vec<&Span> = resources
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| &scope.spans)
        .collect();
    let named = |name: &str| {
        let found = spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| {
            let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
            panic!("no {name} in {names:?}")
        })
    };
    let request = named("PATCH /api/uploads/{id}");
    assert_eq!(request.kind(), SpanKind::Server);
    assert_eq!(request.trace_id, TRACE.to_be_bytes());
    assert_eq!(request.parent_span_id, PARENT.to_be_bytes());
    for (key, expected) in [
        ("http.request.method", text("PATCH")),
        ("http.route", text("/api/uploads/{id}")),
        ("url.path", text(&format!("/api/uploads/{id}"))),
        ("http.response.status_code", Some(Value::IntValue(204))),
    ] {
        assert_eq!(
            attribute(&request.attributes, key),
            expected.as_ref(),
            "{key}"
        );
    }
    // Work done for the request belongs to the same trace.
    for name in ["storage append", "storage sync", "finish", "storage finish"] {
        assert_eq!(named(name).trace_id, TRACE.to_be_bytes(), "{name}");
    }
    let finish = named("finish");
    assert_eq!(finish.parent_span_id, request.span_id);
    assert_eq!(
        attribute(&finish.attributes, "sortie.recording"),
        text(&id).as_ref()
    );
    // A client error does not mark the span as failed; the query string is not recorded.
    let lost = named("GET /api/recordings/{id}");
    assert!(
        lost.status
            .as_ref()
            .is_none_or(|status| status.code() != Code::Error)
    );
    assert_ne!(lost.trace_id, TRACE.to_be_bytes());
    assert!(!format!("{spans:?}").contains("secret"));
    assert!(spans.iter().all(|span| !span.name.contains("healthz")));
}

/// At the most talkative level of the log.
#[tokio::test(flavor = "multi_thread")]
async fn token_of_a_share_link_is_neither_traced_nor_logged() {
    let received = Received::default();
    let collector = collector(received.clone()).await;
    let log = tempfile::NamedTempFile::new().expect("a file");
    let output = Stdio::from(log.reopen().expect("a file"));
    let started =
        tokio::task::spawn_blocking(move || start_with_log(&collector, "trace", output)).await;
    let server = started.expect("no panic");
    let client = Client::admin_at(&server.url).await;
    let id = client.record(&chromium_webm()).await;
    let body = serde_json::json!({ "password": "open sesame" });
    let shares = format!("/api/recordings/{id}/shares");
    let share = json_of(client.post(&shares).json(&body), 201).await;
    let url = share["url"].as_str().expect("a URL");
    let (_, token) = url.split_once("/s/").expect("a token");
    for path in ["", "/file", "/poster", "/other", "?part=2"] {
        let answer = client.http.get(format!("{url}{path}")).send().await;
        assert!(answer.expect("an answer").status().as_u16() < 500);
    }
    let form = client.http.post(url).header("origin", "null");
    let unlocked = form.body("password=open+sesame").send().await;
    assert!(unlocked.expect("an answer").status().as_u16() < 400);
    let playback = format!("/api/recordings/{id}/playback-url");
    let playback = json_of(client.post(&playback), 201).await;
    let playback = playback["url"].as_str().expect("a URL");
    let played = client.http.get(playback).send().await;
    assert_eq!(played.expect("an answer").status(), 200);
    let (_, playback) = playback.split_once("playback=").expect("a token");
    tokio::task::spawn_blocking(|| stop(server))
        .await
        .expect("no panic");

    let traces = format!("{:?}", received.0.lock().expect("a lock"));
    let log = std::fs::read_to_string(log.path()).expect("the log");
    for text in [&traces, &log] {
        assert!(text.contains("/s/…/file"));
        for secret in [token, playback, "sesame"] {
            let at = text.find(secret);
            let around = at.map(|at| text[at.saturating_sub(200)..].chars().take(300));
            let around = around.map(Iterator::collect::<String>);
            assert_eq!(around, None, "{secret}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_collector_does_not_delay_requests() {
    // Accepts connections and never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let collector = format!("http://{}", silent.local_addr().expect("an address"));
    let started = tokio::task::spawn_blocking(move || start(&collector)).await;
    let server = started.expect("no panic");
    let client = Client::admin_at(&server.url).await;
    let id = client.record(&chromium_webm()).await;
    assert_eq!(client.recording(&id).await["status"], "ready");
    let took = tokio::task::spawn_blocking(|| stop(server))
        .await
        .expect("no panic");
    assert!(took < Duration::from_secs(60), "{took:?}");
}
