//! Rate of requests to a server that immediately and permanently responds with errors: it is not flooded.

use sortie_tus::client::{Command, Config, Response, Start, Upload, UploadLength};
use sortie_tus::metadata::Metadata;

/// Returns the number of requests in an hour of simulated time if `reply` responds to each without delay.
fn requests_in_an_hour(start: Start, reply: impl Fn(&Command) -> Response) -> u32 {
    let mut upload = Upload::new(0, start, Config::default(), 3);
    upload.handle_available(0, 10_000_000);
    upload.handle_end(0);
    let (mut now, mut requests) = (0, 0);
    while now < 3_600_000 && !upload.is_finished() {
        match upload.poll_command() {
            Some(Command::RenewToken { .. }) => upload.handle_token_renewed(now),
            Some(command) => {
                requests += 1;
                assert!(requests < 10_000, "a busy loop at {now} ms");
                upload.handle_response(now, command.request(), &reply(&command));
            }
            None => {
                now = upload.poll_timeout().expect("not finished, so waiting");
                upload.handle_timeout(now);
            }
        }
    }
    requests
}

fn fresh() -> Start {
    Start::Fresh {
        url: "/files/1".to_owned(),
        length: UploadLength::Deferred,
    }
}

fn status(status: u16) -> Response {
    Response {
        status,
        ..Response::default()
    }
}

fn at(offset: u64) -> Response {
    Response {
        offset: Some(offset),
        tus: true,
        ..status(200)
    }
}

/// Waits of 15 s on average, each followed by a `HEAD` and a `PATCH`: 480 requests, plus a random margin.
const MODEST: u32 = 700;

#[test]
fn requests_answered_with_any_status_are_limited() {
    for code in 100..600 {
        let requests = requests_in_an_hour(fresh(), |_| status(code));
        assert!((1..MODEST).contains(&requests), "{code}: {requests}");
    }
}

#[test]
fn bodies_answered_with_any_status_are_limited_although_offset_queries_succeed() {
    for code in 100..600 {
        let requests = requests_in_an_hour(fresh(), |command| match command {
            Command::Head { .. } => at(0),
            _ => status(code),
        });
        assert!((1..MODEST).contains(&requests), "{code}: {requests}");
    }
}

#[test]
fn creations_answered_with_any_status_are_limited() {
    for code in 100..600 {
        let start = Start::Create {
            endpoint: "/files".to_owned(),
            length: UploadLength::Deferred,
            metadata: Metadata::new(),
        };
        let requests = requests_in_an_hour(start, |_| status(code));
        assert!((1..MODEST).contains(&requests), "{code}: {requests}");
    }
}

#[test]
fn alternating_offset_does_not_cause_a_flood() {
    // Accepts a body, then denies it, so that every other response looks like progress.
    let requests = requests_in_an_hour(fresh(), |command| match command {
        Command::Patch { offset: 0, .. } => at(5),
        _ => at(0),
    });
    // Each wait covers three requests here.
    assert!((1..MODEST * 3 / 2).contains(&requests), "{requests}");
}
