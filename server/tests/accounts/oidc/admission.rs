//! Admission of users by required claims and mail domains.

use super::steps::{audit, user};
use crate::oidc_provider::{Provider, cookies_of};
use crate::support::header;
use crate::*;

#[tokio::test]
async fn only_users_with_a_required_value_are_admitted() {
    let provider = Provider::start().await;
    let server = provider
        .server(&[
            ("SORTIE_OIDC_REQUIRED_CLAIM", "groups"),
            ("SORTIE_OIDC_REQUIRED_VALUES", "Sortie Users, staff"),
        ])
        .await;
    for groups in [
        json!("Sortie Users"),
        json!(["x", "staff"]),
        json!({ "staff": true }),
    ] {
        provider.set().id_token = json!({ "groups": groups });
        user(&provider, &server, "ann").await;
    }
    for groups in [
        json!(null),
        json!("Users"),
        json!("staff x"),
        json!(["STAFF"]),
        json!([["staff"]]),
        json!({ "staff": false }),
        json!(true),
    ] {
        provider.set().id_token = json!({ "groups": groups });
        let answer = provider.sign_in(&server, "mallory").await;
        assert_eq!(answer.status(), 403, "{groups}");
        assert!(!cookies_of(&answer).contains("sortie_access"));
        assert_eq!(header(&answer, "content-type"), "application/problem+json");
    }
    let admin = server.admin().await;
    let users = json_of(admin.get("/api/admin/users"), 200).await;
    assert_eq!(users.as_array().map(Vec::len), Some(2), "{users}");
    let denied = audit(&server, "action=sign_in&result=denied").await;
    // The same refusal again is not logged again.
    assert_eq!(denied.len(), 1);
    assert!(
        denied[0]["detail"]
            .as_str()
            .unwrap()
            .contains("REQUIRED_CLAIM")
    );

    // The required claim is in the user info, which is unreachable: the answer is "try again", not "no access".
    provider.set().id_token = json!({});
    provider.set().user_info = json!({ "groups": ["staff"] });
    user(&provider, &server, "bob").await;
    provider.set().user_info_status = 503;
    assert_eq!(provider.sign_in(&server, "bob").await.status(), 503);
}

#[tokio::test]
async fn only_users_with_a_verified_address_in_a_required_domain_are_admitted() {
    let provider = Provider::start().await;
    let server = provider
        .server(&[(
            "SORTIE_OIDC_REQUIRED_DOMAINS",
            "Example.org, lab.example.com",
        )])
        .await;
    for (email, verified, admitted) in [
        (json!("ann@example.org"), json!(true), true),
        (json!("ann@EXAMPLE.ORG"), json!(true), true),
        (json!("ann@lab.example.com"), json!("true"), true),
        (json!("ann@example.org"), json!(false), false),
        (json!("ann@example.org"), json!(null), false),
        (json!("ann@example.org"), json!("yes"), false),
        (json!("ann@example.org"), json!(1), false),
        (json!("ann@evil-example.org"), json!(true), false),
        (json!("ann@sub.example.org"), json!(true), false),
        (json!("ann@example.org@evil.example"), json!(true), false),
        (json!("ann@example.org "), json!(true), false),
        (json!("ann@ex\u{430}mple.org"), json!(true), false),
        (json!(["ann@example.org"]), json!(true), false),
        (json!("example.org"), json!(true), false),
        (
            json!("ann@evil.example,bob@example.org"),
            json!(true),
            false,
        ),
        (
            json!("ann@evil.example\u{0}@example.org"),
            json!(true),
            false,
        ),
        (json!("ann@evil@example.org"), json!(true), false),
        (json!(null), json!(true), false),
    ] {
        provider.set().id_token = json!({ "email": email, "email_verified": verified });
        let status = provider.sign_in(&server, "ann").await.status();
        let expected = if admitted { 303 } else { 403 };
        assert_eq!(status, expected, "{email} {verified}");
    }
    // `email_verified` of another source may refer to another address.
    let verified = json!({ "email": "mallory@evil.example", "email_verified": true });
    for (id_token, user_info) in [
        (json!({ "email": "ann@example.org" }), verified.clone()),
        (verified, json!({ "email": "ann@example.org" })),
    ] {
        provider.set().id_token = id_token;
        provider.set().user_info = user_info;
        assert_eq!(provider.sign_in(&server, "ann").await.status(), 403);
    }
    provider.set().id_token = json!({});
    provider.set().user_info = json!({ "email": "ann@example.org", "email_verified": true });
    assert_eq!(provider.sign_in(&server, "ann").await.status(), 303);
}

#[tokio::test]
async fn incomplete_requirement_stops_the_start() {
    let read = |more: &[(&str, &str)]| {
        let mut variables = vec![
            ("SORTIE_OIDC_ISSUER", "https://id.example"),
            ("SORTIE_OIDC_CLIENT_ID", "sortie"),
            (
                "SORTIE_OIDC_REDIRECT_URL",
                "https://sortie.example/api/auth/oidc/callback",
            ),
        ];
        variables.extend(more);
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        sortie_server::Config::read(&value)
            .err()
            .map(|errors| errors.len())
    };
    assert_eq!(read(&[]), None);
    for wrong in [
        [("SORTIE_OIDC_REQUIRED_CLAIM", "groups")],
        [("SORTIE_OIDC_REQUIRED_VALUES", "staff")],
        [("SORTIE_OIDC_REQUIRED_DOMAINS", ", ,")],
        [(
            "SORTIE_OIDC_REQUIRED_DOMAINS",
            "example.org lab.example.org",
        )],
        [("SORTIE_OIDC_REQUIRED_DOMAINS", "@example.org")],
        [("SORTIE_OIDC_ADMIN_VALUES", ",")],
        [("SORTIE_OIDC_SCOPES", "openid,email")],
    ] {
        assert_eq!(read(&wrong), Some(1), "{wrong:?}");
    }
}
