//! Access tokens that run out.

use sortie_tus::client::{
    Abandon, Command, Config, FailureReason, Notice, RenewalFailure, Start, UploadLength,
    WaitReason,
};
use sortie_tus::metadata::Metadata;

use crate::bench::{Bench, URL, answer};

/// A machine that has just been told 401 and asks for a new token.
#[track_caller]
fn renewing() -> Bench {
    let (mut bench, request) = Bench::sending(100);
    bench.respond(request, &answer(401, None));
    let reason = WaitReason::Token;
    assert_eq!(
        bench.notices(),
        [Notice::Waiting {
            until: None,
            reason
        }]
    );
    assert!(matches!(bench.command(), Command::RenewToken { .. }));
    bench.quiet();
    assert_eq!(bench.upload.poll_timeout(), None);
    bench
}

#[test]
fn one_renewal_then_the_offset() {
    let mut bench = renewing();
    bench.upload.handle_available(20, 200);
    bench.quiet();
    bench.upload.handle_token_renewed(30);
    let head = bench.head();
    bench.respond(head, &answer(200, Some(0)));
    let (request, _, _) = bench.patch();
    bench.respond(request, &answer(204, Some(200)));
    assert_eq!(
        bench.notices(),
        [Notice::Resumed, Notice::Acknowledged { offset: 200 }]
    );
    // Accepted once: the next 401 is about age again.
    bench.upload.handle_available(40, 300);
    let (request, _, _) = bench.patch();
    bench.respond(request, &answer(401, None));
    assert!(matches!(bench.command(), Command::RenewToken { .. }));
}

#[test]
fn a_new_token_that_is_refused_is_final() {
    let mut bench = renewing();
    bench.upload.handle_token_renewed(30);
    let head = bench.head();
    bench.respond(head, &answer(401, None));
    bench.failed(FailureReason::Unauthorized);

    // Neither does it help that HEAD works when PATCH never does.
    let mut bench = renewing();
    bench.upload.handle_token_renewed(30);
    let head = bench.head();
    bench.respond(head, &answer(200, Some(0)));
    let (request, _, _) = bench.patch();
    bench.respond(request, &answer(401, None));
    bench.failed(FailureReason::Unauthorized);
}

#[test]
fn another_token_is_tried_and_another_but_not_for_ever() {
    let mut bench = renewing();
    for _ in 0..4 {
        bench.upload.handle_token_changed(30);
        let head = bench.head();
        bench.respond(head, &answer(401, None));
        assert!(matches!(bench.command(), Command::RenewToken { .. }));
    }
    bench.upload.handle_token_changed(30);
    let head = bench.head();
    bench.respond(head, &answer(401, None));
    bench.failed(FailureReason::Unauthorized);

    // What was accepted in between begins the count anew.
    let mut bench = renewing();
    for size in 2..9 {
        bench.upload.handle_token_changed(30);
        let head = bench.head();
        bench.respond(head, &answer(200, Some((size - 1) * 100 - 100)));
        let (request, _, _) = bench.patch();
        bench.respond(request, &answer(204, Some((size - 1) * 100)));
        bench.upload.handle_available(bench.now, size * 100);
        let (request, _, _) = bench.patch();
        bench.respond(request, &answer(401, None));
        assert!(matches!(bench.command(), Command::RenewToken { .. }));
    }
}

#[test]
fn a_token_may_run_out_while_nothing_is_sent() {
    let mut bench = renewing();
    bench.upload.handle_token_renewed(30);
    let head = bench.head();
    bench.respond(head, &answer(200, Some(100)));
    bench.now += 3_600_000;
    bench.upload.handle_available(bench.now, 200);
    let (request, _, _) = bench.patch();
    bench.respond(request, &answer(401, None));
    assert!(matches!(bench.command(), Command::RenewToken { .. }));
}

#[test]
fn no_new_token_is_final() {
    let mut bench = renewing();
    bench
        .upload
        .handle_token_failed(30, RenewalFailure::Refused);
    bench.failed(FailureReason::Unauthorized);
}

#[test]
fn an_unreachable_issuer_is_asked_again() {
    let mut bench = renewing();
    bench
        .upload
        .handle_token_failed(bench.now, RenewalFailure::Unreachable);
    bench.wait_for(WaitReason::Network, 500);
    assert!(matches!(bench.command(), Command::RenewToken { .. }));
    bench
        .upload
        .handle_token_failed(bench.now, RenewalFailure::Unreachable);
    bench.quiet();
    // A token that comes from elsewhere is as good, and ends the wait.
    bench.upload.handle_token_renewed(bench.now);
    bench.head();
}

#[test]
fn a_renewal_nobody_asked_for_changes_nothing() {
    let (mut bench, request) = Bench::sending(100);
    bench.upload.handle_token_renewed(5);
    bench.upload.handle_token_failed(5, RenewalFailure::Refused);
    bench.respond(request, &answer(401, None));
    assert!(matches!(bench.command(), Command::RenewToken { .. }));
}

#[test]
fn creation_and_deletion_wait_for_tokens_too() {
    let (mut bench, request) = Bench::creating();
    bench.respond(request, &answer(401, None));
    assert!(matches!(bench.command(), Command::RenewToken { .. }));
    bench.upload.handle_token_renewed(20);
    assert!(matches!(bench.command(), Command::Create { .. }));

    let mut bench = Bench::fresh(10);
    bench.upload.handle_abandon(0, Abandon::DeleteOnServer);
    let request = bench.command().request();
    bench.respond(request, &answer(401, None));
    assert!(matches!(bench.command(), Command::RenewToken { .. }));
    bench
        .upload
        .handle_token_failed(20, RenewalFailure::Refused);
    assert_eq!(
        bench.notices().last(),
        Some(&Notice::Abandoned { deleted: false })
    );
}

/// A recording's upload, which waits for a sign-in however long that takes, its first `PATCH` under way.
fn patient() -> (Bench, sortie_tus::client::RequestId) {
    let config = Config {
        wait_for_sign_in: true,
        ..Config::default()
    };
    let start = Start::Fresh {
        url: URL.to_owned(),
        length: UploadLength::Deferred,
    };
    let mut bench = Bench::with(start, config);
    bench.upload.handle_available(0, 100);
    let (request, _, _) = bench.patch();
    (bench, request)
}

#[test]
fn refused_renewals_are_waited_for_with_backoff() {
    let (mut bench, request) = patient();
    bench.respond(request, &answer(401, None));
    for attempt in 0..20_u32 {
        assert!(matches!(bench.command(), Command::RenewToken { .. }));
        bench
            .upload
            .handle_token_failed(bench.now, RenewalFailure::Refused);
        let longest = (500 << attempt.min(6)).min(30_000);
        bench.wait_for(WaitReason::Token, longest);
    }
    assert!(matches!(bench.command(), Command::RenewToken { .. }));
    bench.upload.handle_token_renewed(bench.now);
    let head = bench.head();
    bench.respond(head, &answer(200, Some(0)));
    let (request, _, _) = bench.patch();
    bench.notices();
    bench.respond(request, &answer(204, Some(100)));
    let offset = 100;
    let resumed = [Notice::Resumed, Notice::Acknowledged { offset }];
    assert_eq!(bench.notices(), resumed);
}

#[test]
fn refused_tokens_are_waited_for_with_backoff() {
    for status in [401, 403] {
        let (mut bench, request) = patient();
        bench.respond(request, &answer(status, None));
        for attempt in 0..20_u32 {
            assert!(matches!(bench.command(), Command::RenewToken { .. }));
            bench.upload.handle_token_renewed(bench.now);
            let head = bench.head();
            bench.respond(head, &answer(status, None));
            let longest = (500 << attempt.min(6)).min(30_000);
            bench.wait_for(WaitReason::Token, longest);
        }
    }
}

#[test]
fn forbidden_creation_is_final_unless_its_token_was_invalid() {
    let creating = || {
        let config = Config {
            wait_for_sign_in: true,
            ..Config::default()
        };
        let start = Start::Create {
            endpoint: "/files/".to_owned(),
            length: UploadLength::Deferred,
            metadata: Metadata::new(),
        };
        let mut bench = Bench::with(start, config);
        let request = bench.command().request();
        (bench, request)
    };
    let (mut bench, request) = creating();
    bench.respond(request, &answer(403, None));
    bench.failed(FailureReason::Forbidden);

    let (mut bench, request) = creating();
    let mut refused = answer(403, None);
    refused.invalid_token = true;
    bench.respond(request, &refused);
    assert!(matches!(bench.command(), Command::RenewToken { .. }));
}

#[test]
fn unwanted_upload_waits_for_no_sign_in() {
    let (mut bench, _) = patient();
    bench.upload.handle_abandon(0, Abandon::DeleteOnServer);
    bench.command();
    let request = bench.command().request();
    bench.respond(request, &answer(403, None));
    let abandoned = Notice::Abandoned { deleted: false };
    assert_eq!(bench.notices().last(), Some(&abandoned));
}
