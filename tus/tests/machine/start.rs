//! Start and end of uploads: lengths, coalescing, resumption, abandonment.

use sortie_tus::client::{
    Abandon, Command, FailureReason, Notice, Response, Start, UploadLength, WaitReason,
};
use sortie_tus::metadata::Metadata;

use crate::bench::{Bench, URL, answer};

#[track_caller]
fn declared(command: &Command) -> (u64, u64, Option<u64>) {
    match command {
        Command::Patch {
            offset,
            len,
            declare_length,
            ..
        } => (*offset, *len, *declare_length),
        other => panic!("not a PATCH: {other:?}"),
    }
}

#[test]
fn bytes_that_become_available_meanwhile_are_sent_together() {
    let (mut bench, request) = Bench::sending(10);
    for total in [20, 35, 30, 50] {
        bench.upload.handle_available(0, total);
        bench.quiet();
    }
    bench.respond(request, &answer(204, Some(10)));
    let (_, offset, len) = bench.patch();
    assert_eq!((offset, len), (10, 40));
}

#[test]
fn bodies_grow_with_success() {
    let (mut bench, mut request) = Bench::sending(100 << 20);
    let mut offset = 1 << 20;
    for expected in [2_u64 << 20, 4 << 20, 8 << 20, 8 << 20] {
        bench.respond(request, &answer(204, Some(offset)));
        let patch = bench.patch();
        assert_eq!((patch.1, patch.2), (offset, expected));
        (request, offset) = (patch.0, offset + expected);
    }
    bench.upload.handle_failure(bench.now, request);
    bench.wait_for(WaitReason::Network, 500);
    let head = bench.head();
    bench.respond(head, &answer(200, Some(offset)));
    assert_eq!(bench.patch().2, 4 << 20);
}

#[test]
fn last_body_declares_the_length() {
    let (mut bench, request) = Bench::sending(10);
    bench.upload.handle_available(0, 25);
    bench.upload.handle_end(0);
    bench.respond(request, &answer(204, Some(10)));
    let command = bench.command();
    assert_eq!(declared(&command), (10, 15, Some(25)));
    bench.respond(command.request(), &answer(204, Some(25)));
    let acknowledged = |offset| Notice::Acknowledged { offset };
    assert_eq!(
        bench.notices(),
        [acknowledged(10), acknowledged(25), Notice::Done]
    );
    bench.finished();
}

#[test]
fn empty_body_declares_the_length_of_a_complete_upload() {
    let (mut bench, request) = Bench::sending(10);
    bench.respond(request, &answer(204, Some(10)));
    bench.quiet();
    bench.upload.handle_end(20);
    let command = bench.command();
    assert_eq!(declared(&command), (10, 0, Some(10)));
    bench.respond(command.request(), &answer(204, Some(10)));
    assert_eq!(bench.notices().last(), Some(&Notice::Done));
}

#[test]
fn declaration_without_response_is_not_repeated() {
    let (mut bench, request) = Bench::sending(10);
    bench.respond(request, &answer(204, Some(10)));
    bench.upload.handle_end(20);
    let request = bench.command().request();
    bench.upload.handle_failure(30, request);
    bench.wait_for(WaitReason::Network, 500);
    let head = bench.head();
    let complete = Response {
        length: Some(UploadLength::Known(10)),
        ..answer(200, Some(10))
    };
    bench.respond(head, &complete);
    assert_eq!(bench.notices(), [Notice::Resumed, Notice::Done]);
    bench.finished();
}

#[test]
fn known_length_is_not_declared() {
    let mut bench = Bench::new(Start::Fresh {
        url: URL.to_owned(),
        length: UploadLength::Known(10),
    });
    bench.upload.handle_available(0, 10);
    bench.upload.handle_end(0);
    let command = bench.command();
    assert_eq!(declared(&command), (0, 10, None));
    bench.respond(command.request(), &answer(204, Some(10)));
    assert_eq!(bench.notices().last(), Some(&Notice::Done));
}

#[test]
fn creation_declares_the_length_if_known() {
    let mut metadata = Metadata::new();
    metadata.insert("filename", "a.webm").expect("a fine key");
    let mut bench = Bench::new(Start::Create {
        endpoint: "https://a.example/files".to_owned(),
        length: UploadLength::Deferred,
        metadata: metadata.clone(),
    });
    bench.upload.handle_end(0);
    let command = bench.command();
    let expected = Command::Create {
        request: command.request(),
        endpoint: "https://a.example/files".to_owned(),
        length: UploadLength::Known(0),
        metadata,
    };
    assert_eq!(command, expected);
    let http = command.http().expect("a request");
    assert_eq!((http.method, http.url), ("POST", "https://a.example/files"));
    let headers = [
        ("tus-resumable", "1.0.0".to_owned()),
        ("upload-length", "0".to_owned()),
        ("upload-metadata", "filename YS53ZWJt".to_owned()),
    ];
    assert_eq!(http.headers, headers);
    let created = Response {
        location: Some("/files/1".to_owned()),
        ..answer(201, None)
    };
    bench.respond(command.request(), &created);
    let url = "https://a.example/files/1".to_owned();
    assert_eq!(bench.upload.url(), Some(url.as_str()));
    assert_eq!(bench.notices(), [Notice::Created { url }, Notice::Done]);
}

#[test]
fn resumption_queries_the_offset() {
    let mut bench = Bench::new(Start::Resume {
        url: URL.to_owned(),
    });
    bench.upload.handle_available(0, 100);
    bench.upload.handle_released(40);
    bench.upload.handle_end(0);
    let head = bench.head();
    bench.respond(head, &answer(200, Some(70)));
    assert_eq!(bench.notices(), [Notice::Acknowledged { offset: 70 }]);
    assert_eq!(declared(&bench.command()), (70, 30, Some(100)));
}

#[test]
fn resumption_below_the_available_bytes_fails() {
    let mut bench = Bench::new(Start::Resume {
        url: URL.to_owned(),
    });
    bench.upload.handle_available(0, 100);
    bench.upload.handle_released(40);
    let head = bench.head();
    bench.respond(head, &answer(200, Some(39)));
    bench.failed(FailureReason::ServerLostBytes {
        offset: 39,
        released: 40,
    });
}

#[test]
fn different_length_means_other_bytes() {
    let mut bench = Bench::new(Start::Resume {
        url: URL.to_owned(),
    });
    bench.upload.handle_available(0, 100);
    bench.upload.handle_end(0);
    let head = bench.head();
    let other = Response {
        length: Some(UploadLength::Known(99)),
        ..answer(200, Some(50))
    };
    bench.respond(head, &other);
    bench.failed(FailureReason::LengthMismatch {
        server: 99,
        ours: 100,
    });

    let mut bench = Bench::new(Start::Fresh {
        url: URL.to_owned(),
        length: UploadLength::Known(10),
    });
    bench.upload.handle_available(0, 11);
    bench.failed(FailureReason::LengthMismatch {
        server: 10,
        ours: 11,
    });
}

#[test]
fn bytes_after_the_end_are_ignored() {
    let mut bench = Bench::fresh(10);
    bench.upload.handle_end(0);
    bench.upload.handle_available(0, 20);
    assert_eq!(declared(&bench.command()), (0, 10, Some(10)));
}

#[test]
fn abandoned_upload_is_kept() {
    let (mut bench, request) = Bench::sending(10);
    bench.upload.handle_abandon(5, Abandon::KeepOnServer);
    assert_eq!(bench.command(), Command::Cancel { request });
    assert_eq!(bench.notices(), [Notice::Abandoned { deleted: false }]);
    bench.finished();
}

#[test]
fn abandoned_upload_is_deleted() {
    for status in [204, 404, 410] {
        let (mut bench, request) = Bench::sending(10);
        bench.upload.handle_abandon(5, Abandon::DeleteOnServer);
        assert_eq!(bench.command(), Command::Cancel { request });
        let Command::Delete { request, url } = bench.command() else {
            panic!("not deleted");
        };
        assert_eq!(url, URL);
        assert_eq!(bench.notices(), []);
        bench.respond(request, &answer(status, None));
        assert_eq!(bench.notices(), [Notice::Abandoned { deleted: true }]);
        bench.finished();
    }
}

#[test]
fn failing_deletion_is_left_to_expiry() {
    let mut bench = Bench::fresh(10);
    bench.upload.handle_abandon(5, Abandon::DeleteOnServer);
    for _ in 0..4 {
        let request = bench.command().request();
        bench.upload.handle_failure(bench.now, request);
        bench.wait_for(WaitReason::Network, 8_000);
    }
    let request = bench.command().request();
    bench.upload.handle_failure(bench.now, request);
    assert_eq!(bench.notices(), [Notice::Abandoned { deleted: false }]);
    bench.finished();

    let mut bench = Bench::fresh(10);
    bench.upload.handle_abandon(5, Abandon::DeleteOnServer);
    let request = bench.command().request();
    bench.respond(request, &answer(403, None));
    assert_eq!(bench.notices(), [Notice::Abandoned { deleted: false }]);
}

#[test]
fn upload_without_creation_needs_no_deletion() {
    let mut bench = Bench::new(Start::Create {
        endpoint: "/files".to_owned(),
        length: UploadLength::Deferred,
        metadata: Metadata::new(),
    });
    bench.upload.handle_abandon(5, Abandon::DeleteOnServer);
    assert_eq!(bench.notices(), [Notice::Abandoned { deleted: true }]);
    bench.finished();

    let (mut bench, request) = Bench::creating();
    bench.upload.handle_abandon(5, Abandon::DeleteOnServer);
    assert_eq!(bench.command(), Command::Cancel { request });
    assert_eq!(
        bench.notices(),
        [Notice::Abandoned { deleted: false }],
        "nobody knows"
    );
}
