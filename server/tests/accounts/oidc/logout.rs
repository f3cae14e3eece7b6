//! Back-channel logout.

use jsonwebtoken::{Algorithm, Header};

use super::steps::{audit, pair, status_of};
use crate::oidc_provider::{self, Provider, key_header};
use crate::support::header;
use crate::*;

/// Sends a logout token.
fn logout(server: &TestServer, token: &str) -> RequestBuilder {
    let body: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("logout_token", token)
        .finish();
    server
        .anonymous()
        .post("/api/auth/oidc/backchannel-logout")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
}

fn logout_header() -> Header {
    let mut header = key_header();
    header.typ = Some("logout+jwt".to_owned());
    header
}

fn logout_claims(provider: &Provider, jti: &str) -> Value {
    let now = support::START_MS / 1000;
    json!({
        "iss": provider.issuer, "aud": oidc_provider::CLIENT, "iat": now, "exp": now + 120, "jti": jti,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    })
}

#[tokio::test]
async fn logout_token_ends_sign_ins_of_a_session_or_subject() {
    let provider = Provider::start().await;
    let server = provider.server(&[]).await;
    let signed_in = async |subject: &str, sid: &str| {
        provider.set().id_token = json!({ "sid": sid });
        pair(&provider, &server, subject).await
    };
    let phone = signed_in("ann", "s-1").await;
    let laptop = signed_in("ann", "s-2").await;
    let bob = signed_in("bob", "s-3").await;
    let local = Pair::sign_in(&server).await;
    let is_in = async |pair: &Pair| status_of(me(&server, &pair.access)).await == 200;

    let mut claims = logout_claims(&provider, "1");
    claims["sid"] = json!("s-1");
    let by_session = provider.logout_token(&logout_header(), &claims);
    let answer = logout(&server, &by_session).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "cache-control"), "no-store");
    assert_eq!(phone.is_alive(&server).await, (false, false));
    assert!(is_in(&laptop).await && is_in(&bob).await);
    // A token with both `sub` and `sid` ends no session of another subject.
    let mut claims = logout_claims(&provider, "2");
    claims["sid"] = json!("s-3");
    claims["sub"] = json!("ann");
    let mixed = provider.logout_token(&logout_header(), &claims);
    assert_eq!(status_of(logout(&server, &mixed)).await, 200);
    assert!(is_in(&laptop).await && is_in(&bob).await);

    let mut claims = logout_claims(&provider, "3");
    claims["sub"] = json!("ann");
    let by_subject = provider.logout_token(&key_header(), &claims);
    assert_eq!(status_of(logout(&server, &by_subject)).await, 200);
    assert_eq!(laptop.is_alive(&server).await, (false, false));
    assert!(is_in(&bob).await && is_in(&local).await);
    let rows = audit(&server, "action=sign_in.end").await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(
        rows[0]["detail"]
            .as_str()
            .unwrap()
            .contains("logout at the OpenID provider")
    );

    // Each logout token is valid once.
    let again = signed_in("ann", "s-1").await;
    for token in [&by_session, &by_subject] {
        assert_eq!(status_of(logout(&server, token)).await, 400);
    }
    assert!(is_in(&again).await);
}

#[tokio::test]
async fn invalid_logout_token_ends_no_sign_in() {
    let provider = Provider::start().await;
    let server = provider.server(&[]).await;
    let ann = pair(&provider, &server, "ann").await;
    let now = support::START_MS / 1000;
    let with = |name: &str, value: Value| {
        let mut claims = logout_claims(&provider, "1");
        claims["sub"] = json!("ann");
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = with("jti", json!("1"));
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let wrong = [
        ("another issuer", with("iss", json!("https://evil.example"))),
        ("no issuer", without("iss")),
        ("another audience", with("aud", json!("other"))),
        ("no audience", without("aud")),
        ("no time", without("iat")),
        ("an old one", with("iat", json!(now - 3600))),
        ("from the future", with("iat", json!(now + 3600))),
        ("expired", with("exp", json!(now - 61))),
        ("a time that is text", with("exp", json!("soon"))),
        ("no events", without("events")),
        ("another event", with("events", json!({ "x": {} }))),
        (
            "an event that is no object",
            with("events", json!({ event: true })),
        ),
        ("events in a list", with("events", json!([event]))),
        ("a nonce", with("nonce", json!("x"))),
        ("a nonce of null", with("nonce", Value::Null)),
        ("no jti", without("jti")),
        ("an empty jti", with("jti", json!(""))),
        ("a jti that is a number", with("jti", json!(1))),
        ("neither subject nor session", without("sub")),
        ("a subject that is a list", with("sub", json!(["ann"]))),
        ("a session that is no text", with("sid", json!(1))),
        ("an empty session", with("sid", json!(""))),
    ];
    let mut tokens = Vec::new();
    for (why, claims) in &wrong {
        tokens.push((*why, provider.logout_token(&logout_header(), claims)));
    }
    let good = with("jti", json!("good"));
    let mut header = logout_header();
    header.crit = Some(vec!["x".to_owned()]);
    tokens.push(("critical extension", provider.logout_token(&header, &good)));
    header = logout_header();
    header.typ = Some("at+jwt".to_owned());
    tokens.push(("an access token", provider.logout_token(&header, &good)));
    let shared = jsonwebtoken::EncodingKey::from_secret(b"secret");
    let symmetric = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &good, &shared).unwrap();
    tokens.push(("signed with the client secret", symmetric));
    let other = jsonwebtoken::EncodingKey::from_ec_der(include_bytes!("../../data/test-ec-2.der"));
    let forged = jsonwebtoken::encode(&logout_header(), &good, &other).unwrap();
    tokens.push(("signed with another key", forged));
    tokens.push(("no token", "a.b.c".to_owned()));
    tokens.push(("nothing", String::new()));
    for (why, token) in &tokens {
        support::problem(logout(&server, token), 400, "bad_request").await;
        assert_eq!(status_of(me(&server, &ann.access)).await, 200, "{why}");
    }
    for body in ["", "logout_token", "x=y", "logout_token=a&logout_token=b"] {
        let request = server.anonymous().post("/api/auth/oidc/backchannel-logout");
        support::problem(request.body(body), 400, "bad_request").await;
    }
    // Rejected tokens did not consume the `jti` of the valid one.
    let good = provider.logout_token(&logout_header(), &good);
    assert_eq!(status_of(logout(&server, &good)).await, 200);
    assert_eq!(status_of(me(&server, &ann.access)).await, 401);
}

#[tokio::test]
async fn server_without_provider_has_no_back_channel_logout() {
    let server = TestServer::start().await;
    assert_eq!(status_of(logout(&server, "a.b.c")).await, 404);
}
