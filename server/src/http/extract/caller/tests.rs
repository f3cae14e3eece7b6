use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request};

use super::*;

#[track_caller]
fn check_origin(method: Method, headers: &[(&'static str, &'static str)], allowed: bool) {
    let map = headers
        .iter()
        .map(|(name, value)| {
            (
                axum::http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect();
    assert_eq!(
        check_same_origin(&method, &map).is_ok(),
        allowed,
        "{method} {headers:?}"
    );
}

#[test]
fn change_with_a_cookie_requires_the_same_origin() {
    let host = ("host", "sortie.example:8080");
    check_origin(
        Method::GET,
        &[host, ("origin", "https://evil.example")],
        true,
    );
    check_origin(Method::POST, &[host], false);
    check_origin(
        Method::POST,
        &[host, ("origin", "http://sortie.example:8080")],
        true,
    );
    check_origin(
        Method::POST,
        &[host, ("origin", "HTTP://sortie.example:8080")],
        false,
    );
    check_origin(
        Method::POST,
        &[host, ("origin", "http://SORTIE.example:8080")],
        true,
    );
    check_origin(
        Method::POST,
        &[host, ("origin", "http://sortie.example")],
        false,
    );
    check_origin(
        Method::POST,
        &[host, ("origin", "http://sortie.example:8081")],
        false,
    );
    check_origin(
        Method::POST,
        &[host, ("origin", "http://evil.example")],
        false,
    );
    check_origin(Method::POST, &[host, ("origin", "null")], false);
    check_origin(Method::POST, &[("host", ""), ("origin", "http://")], false);
    check_origin(
        Method::PATCH,
        &[("host", "a.example"), ("origin", "https://a.example:443")],
        true,
    );
    check_origin(
        Method::PATCH,
        &[("host", "a.example:443"), ("origin", "https://a.example")],
        true,
    );
    check_origin(
        Method::PATCH,
        &[("host", "a.example:443"), ("origin", "http://a.example")],
        false,
    );
    check_origin(
        Method::DELETE,
        &[host, ("sec-fetch-site", "same-origin")],
        true,
    );
    check_origin(Method::DELETE, &[host, ("sec-fetch-site", "none")], true);
    check_origin(
        Method::DELETE,
        &[host, ("sec-fetch-site", "same-site")],
        false,
    );
    check_origin(
        Method::DELETE,
        &[host, ("sec-fetch-site", "cross-site")],
        false,
    );
    // `Sec-Fetch-Site` takes precedence over `Origin`, which a proxy may have changed.
    let elsewhere = ("origin", "https://sortie.example");
    check_origin(
        Method::PUT,
        &[host, ("sec-fetch-site", "same-origin"), elsewhere],
        true,
    );
}

#[test]
fn bearer_scheme_ignores_case() {
    for (value, expected) in [
        ("Bearer abc", Some("abc")),
        ("bearer  abc", Some("abc")),
        ("Basic abc", None),
        ("Bearerabc", None),
    ] {
        let headers =
            HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
        assert_eq!(bearer_token(&headers), expected, "{value}");
    }
}

fn request(peer: &str, headers: &[(&'static str, &'static str)]) -> Parts {
    let mut request = Request::new(());
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        request.headers_mut().append(*name, value);
    }
    let (mut parts, ()) = request.into_parts();
    let peer: SocketAddr = peer.parse().unwrap();
    parts.extensions.insert(ConnectInfo(peer));
    parts
}

fn trusting(networks: &[&str]) -> SignInConfig {
    SignInConfig {
        proxy_header: Some("x-forwarded-user".to_owned()),
        trusted_proxies: networks.iter().map(|it| it.parse().unwrap()).collect(),
        ..SignInConfig::default()
    }
}

#[test]
fn user_name_header_is_accepted_once_and_from_trusted_proxies_only() {
    let sign_in = trusting(&["10.0.0.0/8"]);
    let name = |sign_in: &SignInConfig, peer: &str, headers: &[_]| {
        let parts = request(peer, headers);
        let name = proxied_name(sign_in, edge::peer(&parts.extensions), &parts.headers);
        name.map(|name| name.ok())
    };
    let ann = ("x-forwarded-user", "ann");
    assert_eq!(
        name(&sign_in, "10.0.0.1:1", &[ann]),
        Some(Some("ann".to_owned()))
    );
    assert_eq!(name(&sign_in, "10.0.0.1:1", &[ann, ann]), Some(None));
    assert_eq!(
        name(&sign_in, "10.0.0.1:1", &[("x-forwarded-user", "")]),
        None
    );
    assert_eq!(name(&sign_in, "10.0.0.1:1", &[]), None);
    assert_eq!(name(&sign_in, "127.0.0.1:1", &[ann]), None);
    assert_eq!(name(&SignInConfig::default(), "10.0.0.1:1", &[ann]), None);
}
