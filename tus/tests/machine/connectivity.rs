//! A server that has never responded: reported once, while attempts continue.

use sortie_tus::client::{Command, Notice, Response, Start};

use crate::bench::{Bench, URL, answer};

const PAGE: Response = Response {
    status: 200,
    offset: None,
    length: None,
    location: None,
    retry_after_ms: None,
    tus: false,
    silence_ms: None,
    stopped: false,
    invalid_token: false,
};

/// Lets attempts fail for a minute, each with `outcome` or without a response. Returns the times of
/// [`Notice::NeverAnswered`].
#[track_caller]
fn said(bench: &mut Bench, outcome: Option<&Response>) -> Vec<u64> {
    let mut said = Vec::new();
    while bench.now < 60_000 {
        let request = bench.command().request();
        match outcome {
            Some(response) => bench.respond(request, response),
            None => bench.upload.handle_failure(bench.now, request),
        }
        for notice in bench.notices() {
            if notice == Notice::NeverAnswered {
                said.push(bench.now);
            }
        }
        bench.now = bench.upload.poll_timeout().expect("a wait");
        bench.upload.handle_timeout(bench.now);
    }
    said
}

fn creating() -> Bench {
    let (mut bench, request) = Bench::creating();
    bench.upload.handle_failure(0, request);
    bench.now = bench.upload.poll_timeout().expect("a wait");
    bench.upload.handle_timeout(bench.now);
    bench
}

#[track_caller]
fn check(bench: &mut Bench, outcome: Option<&Response>) {
    let said = said(bench, outcome);
    let [at] = said[..] else {
        panic!("not said once: {said:?}");
    };
    // Not reported at the first failures; by then the waits between attempts are a few seconds at most.
    assert!((3_000..12_000).contains(&at), "{at} ms");
}

#[test]
fn missing_responses_are_reported_once() {
    check(&mut creating(), None);
}

#[test]
fn responses_of_other_servers_are_reported_once() {
    check(&mut creating(), Some(&PAGE));
}

#[test]
fn resumed_upload_reports_a_missing_server() {
    let mut bench = Bench::new(Start::Resume {
        url: URL.to_owned(),
    });
    check(&mut bench, None);
}

#[test]
fn hanging_request_is_reported() {
    let (mut bench, _) = Bench::creating();
    bench.upload.handle_timeout(30_000);
    assert_eq!(bench.notices()[0], Notice::NeverAnswered);
}

#[test]
fn server_that_has_responded_once_is_not_reported() {
    let (mut bench, request) = Bench::creating();
    let created = Response {
        location: Some(URL.to_owned()),
        ..answer(201, None)
    };
    bench.respond(request, &created);
    bench.upload.handle_available(bench.now, 10);
    assert_eq!(said(&mut bench, None), []);

    let mut bench = Bench::fresh(10);
    assert_eq!(said(&mut bench, None), []);

    let mut bench = Bench::new(Start::Resume {
        url: URL.to_owned(),
    });
    bench.upload.handle_available(0, 10);
    let head = bench.head();
    bench.respond(head, &answer(200, Some(0)));
    assert_eq!(said(&mut bench, None), []);
}

#[test]
fn busy_server_is_not_reported() {
    assert_eq!(said(&mut creating(), Some(&answer(503, None))), []);
}

#[test]
fn offline_network_is_not_reported() {
    let (mut bench, request) = Bench::creating();
    bench.upload.handle_offline(0);
    bench.upload.handle_failure(20_000, request);
    bench.upload.handle_online(60_000);
    let Command::Create { request, .. } = bench.command() else {
        panic!("not a creation");
    };
    bench.upload.handle_failure(60_100, request);
    assert!(!bench.notices().contains(&Notice::NeverAnswered));
}
