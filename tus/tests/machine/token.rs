//! Expiring access tokens.

use sortie_tus::client::{
    Abandon, Command, Config, FailureReason, Notice, RenewalFailure, Start, UploadLength,
    WaitReason,
};
use sortie_tus::metadata::Metadata;

use crate::bench::{Bench, URL, answer};

/// Creates a machine that has just received a 401 and requests a new token.
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
fn renewed_token_is_followed_by_an_offset_query() {
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
    // Accepted once, so the next 401 is again about expiry.
    bench.upload.handle_available(40, 300);
    let (request, _, _) = bench.patch();
    bench.respond(request, &answer(401, None));
    assert!(matches!(bench.command(), Command::RenewToken { .. }));
}

#[test]
fn rejected_new_token_is_final() {
    let mut bench = renewing();
    bench.upload.handle_token_renewed(30);
    let head = bench.head();
    bench.respond(head, &answer(401, None));
    bench.failed(FailureReason::Unauthorized);

    // A successful HEAD does not help if every PATCH is rejected.
    let mut bench = renewing();
    bench.upload.handle_token_renewed(30);
    let head = bench.head();
    bench.respond(head, &answer(200, Some(0)));
    let (request, _, _) = bench.patch();
    bench.respond(request, &answer(401, None));
    bench.failed(FailureReason::Unauthorized);
}

#[test]
fn several_different_tokens_are_tried() {
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

    // An accepted token resets the count.
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
fn token_may_expire_while_nothing_is_sent() {
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
fn refused_renewal_is_final() {
    let mut bench = renewing();
    bench
        .upload
        .handle_token_failed(30, RenewalFailure::Refused);
    bench.failed(FailureReason::Unauthorized);
}

#[test]
fn unreachable_issuer_is_retried() {
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
    // A token obtained elsewhere ends the wait.
    bench.upload.handle_token_renewed(bench.now);
    bench.head();
}

#[test]
fn unrequested_renewal_changes_nothing() {
    let (mut bench, request) = Bench::sending(100);
    bench.upload.handle_token_renewed(5);
    bench.upload.handle_token_failed(5, RenewalFailure::Refused);
    bench.respond(request, &answer(401, None));
    assert!(matches!(bench.command(), Command::RenewToken { .. }));
}

#[test]
fn creation_and_deletion_wait_for_tokens() {
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

/// Creates an upload that waits for a sign-in for any length of time, its first `PATCH` in flight.
fn waiting_for_sign_in() -> (Bench, sortie_tus::client::RequestId) {
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
fn refused_renewals_are_retried_with_backoff() {
    let (mut bench, request) = waiting_for_sign_in();
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
fn rejected_tokens_are_retried_with_backoff() {
    for status in [401, 403] {
        let (mut bench, request) = waiting_for_sign_in();
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
fn abandoned_upload_does_not_wait_for_a_sign_in() {
    let (mut bench, _) = waiting_for_sign_in();
    bench.upload.handle_abandon(0, Abandon::DeleteOnServer);
    bench.command();
    let request = bench.command().request();
    bench.respond(request, &answer(403, None));
    let abandoned = Notice::Abandoned { deleted: false };
    assert_eq!(bench.notices().last(), Some(&abandoned));
}
