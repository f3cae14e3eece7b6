//! ID tokens and user info of a sign-in.

use jsonwebtoken::{Algorithm, Header};

use super::steps::{ROLES, user};
use crate::oidc_provider::{Provider, cookies_of, key_header};
use crate::*;

#[tokio::test]
async fn invalid_id_token_is_refused() {
    let provider = Provider::start().await;
    let server = provider.server(&[]).await;
    let crit = |names: &[&str]| {
        let mut header = key_header();
        header.crit = Some(names.iter().map(|&it| it.to_owned()).collect());
        header
    };
    let typed = |typ: &str| {
        let mut header = key_header();
        header.typ = Some(typ.to_owned());
        header
    };
    let mut unnamed = Header::new(Algorithm::ES256);
    unnamed.kid = Some("two".to_owned());
    for (why, header, altered) in [
        ("critical extension", crit(&["b64"]), json!({})),
        ("unknown critical extension", crit(&["x"]), json!({})),
        ("no critical extension", crit(&[]), json!({})),
        ("logout token", typed("logout+jwt"), json!({})),
        ("access token", typed("at+jwt"), json!({})),
        ("unknown key", unnamed, json!({})),
        ("another party", key_header(), json!({ "azp": "other" })),
        (
            "several parties",
            key_header(),
            json!({ "azp": [oidc_provider::CLIENT] }),
        ),
        ("another audience", key_header(), json!({ "aud": "other" })),
        (
            "an audience with spaces",
            key_header(),
            json!({ "aud": "other sortie" }),
        ),
        ("no audience", key_header(), json!({ "aud": null })),
        (
            "another issuer",
            key_header(),
            json!({ "iss": "https://evil.example" }),
        ),
        ("another nonce", key_header(), json!({ "nonce": "x" })),
        ("no nonce", key_header(), json!({ "nonce": null })),
        ("expired", key_header(), json!({ "exp": 1 })),
        ("no subject", key_header(), json!({ "sub": null })),
        (
            "a subject that is a list",
            key_header(),
            json!({ "sub": ["ann"] }),
        ),
    ] {
        provider.set().header = header;
        provider.set().altered = altered;
        let answer = provider.sign_in(&server, "ann").await;
        assert_eq!(answer.status(), 401, "{why}");
        assert!(!cookies_of(&answer).contains("sortie_access"), "{why}");
        // Only failures of the last minute count.
        server.clock.advance(MINUTE);
    }
    provider.set().header = typed("JWT");
    provider.set().altered =
        json!({ "aud": ["x", oidc_provider::CLIENT], "azp": oidc_provider::CLIENT });
    user(&provider, &server, "ann").await;
}

#[tokio::test]
async fn valid_id_token_suffices_when_user_info_fails() {
    let provider = Provider::start().await;
    let server = provider.server(&ROLES).await;
    provider.set().id_token = json!({ "roles": ["operator"], "name": "Ann" });
    for status in [401, 403, 404, 500, 503] {
        provider.set().user_info_status = status;
        let ann = user(&provider, &server, "ann").await;
        assert_eq!(ann["roles"], json!(["user", "admin"]), "{status}");
    }
    // User info about another subject, or malformed user info, is ignored.
    provider.set().user_info_status = 200;
    provider.set().id_token = json!({});
    for other in [
        json!({ "sub": "boss", "roles": ["operator"] }),
        json!({ "sub": null, "roles": ["operator"] }),
        json!({ "sub": ["ann"], "roles": ["operator"] }),
    ] {
        provider.set().user_info = other;
        let ann = user(&provider, &server, "ann").await;
        assert_eq!(ann["roles"], json!(["user"]));
    }
}

#[tokio::test]
async fn id_token_with_many_groups_is_accepted() {
    let provider = Provider::start().await;
    let variables = [("SORTIE_OIDC_ROLE_CLAIM", "groups"), ROLES[1]];
    let server = provider.server(&variables).await;
    let mut groups: Vec<_> = (0..150)
        .map(|number| {
            format!("CN=Group {number:03},OU=Departments and projects,DC=corp,DC=example,DC=com")
        })
        .collect();
    groups.push("operator".to_owned());
    provider.set().id_token = json!({ "groups": groups });
    let ann = user(&provider, &server, "ann").await;
    assert_eq!(ann["roles"], json!(["user", "admin"]));
    provider.set().id_token = json!({ "groups": "x".repeat(64 * 1024) });
    let answer = provider.sign_in(&server, "ann").await;
    assert_eq!(answer.status(), 401);
}
