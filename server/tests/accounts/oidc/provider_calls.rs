//! Number of requests to the provider.

use super::steps::user;
use crate::oidc_provider::{Provider, begin, callback};
use crate::*;

#[tokio::test]
async fn concurrent_requests_share_one_provider_call() {
    let provider = Provider::start().await;
    let server = provider.server(&[]).await;
    let fifty = async || {
        let url = format!("{}/api/auth/oidc/login", server.url);
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let requests = (0..50).map(|_| client.get(&url).send());
        let answers = futures_util::future::join_all(requests).await;
        let statuses = answers.into_iter().map(|it| it.unwrap().status().as_u16());
        statuses.collect::<Vec<_>>()
    };
    provider.set().discovery_status = 503;
    assert_eq!(fifty().await, [503; 50]);
    assert_eq!(provider.calls("discovery"), 1);
    provider.set().discovery_status = 200;
    assert_eq!(fifty().await, [503; 50]);
    assert_eq!(provider.calls("discovery"), 1);
    server.clock.advance(Duration::from_secs(5));
    assert_eq!(fifty().await, [303; 50]);
    assert_eq!(provider.calls("discovery"), 2);
    // Discovery fails an hour later: the cached document stays in use and is not fetched for each request.
    server.clock.advance(Duration::from_secs(3600));
    provider.set().discovery_status = 503;
    assert_eq!(fifty().await, [303; 50]);
    assert_eq!(provider.calls("discovery"), 3);

    // One provider callback, replayed fifty times.
    let (cookie, code, state) = provider.callback_parts(&server, "ann").await;
    let requests = (0..50).map(|_| callback(&server, &cookie, &code, &state));
    let answers = futures_util::future::join_all(requests).await;
    let signed_in = answers.iter().filter(|it| it.status() == 303).count();
    assert_eq!(signed_in, 1);
    assert_eq!(provider.calls("token"), 1);

    // Forged codes from one address: only a few reach the provider.
    server.clock.advance(MINUTE);
    let mut attempts = Vec::new();
    for _ in 0..50 {
        let (cookie, location) = begin(&server).await;
        let url = reqwest::Url::parse(&location).unwrap();
        let state = url
            .query_pairs()
            .find(|(name, _)| name == "state")
            .unwrap()
            .1;
        attempts.push((cookie, state.into_owned()));
    }
    let requests = attempts
        .iter()
        .map(|(cookie, state)| callback(&server, cookie, "made-up", state));
    let answers = futures_util::future::join_all(requests).await;
    let refused = answers.iter().filter(|it| it.status() == 429).count();
    assert_eq!(refused, 40);
    assert!(
        answers
            .iter()
            .filter(|it| it.status() == 429)
            .all(|it| it.headers().contains_key("retry-after"))
    );
    assert_eq!(provider.calls("token"), 11);
    server.clock.advance(MINUTE);
    user(&provider, &server, "ann").await;
}

#[tokio::test]
async fn failing_token_endpoint_is_not_retried_immediately() {
    let provider = Provider::start().await;
    let server = provider.server(&[]).await;
    provider.set().token_status = 502;
    for _ in 0..5 {
        assert_eq!(provider.sign_in(&server, "ann").await.status(), 503);
    }
    assert_eq!(provider.calls("token"), 1);
    provider.set().token_status = 200;
    server.clock.advance(MINUTE);
    user(&provider, &server, "ann").await;
    // Failing key requests are shared as well, whatever tokens arrive.
    let provider = Provider::start().await;
    let server = provider.server(&[]).await;
    provider.set().keys_status = 500;
    for _ in 0..5 {
        assert_eq!(provider.sign_in(&server, "ann").await.status(), 503);
    }
    assert_eq!(provider.calls("keys"), 1);
}
