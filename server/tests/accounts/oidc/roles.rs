//! Roles from claims.

use super::steps::{ROLES, audit, user};
use crate::oidc_provider::Provider;
use crate::*;

#[tokio::test]
async fn roles_are_read_from_every_providers_claim_format() {
    for (claim, claims, is_admin) in [
        // Zitadel.
        (
            "urn:zitadel:iam:org:project:roles",
            json!({ "urn:zitadel:iam:org:project:roles": { "operator": { "1": "a.example" } } }),
            true,
        ),
        // Keycloak, with a client whose id has dots.
        (
            "resource_access.sortie.example.com.roles",
            json!({ "resource_access": { "sortie.example.com": { "roles": ["operator"] } } }),
            true,
        ),
        // Auth0, with a claim named by a URL, and nested in one.
        (
            "https://example.org/app.roles",
            json!({ "https://example.org/app": { "roles": ["operator"] } }),
            true,
        ),
        // Entra ID, Okta, LDAP.
        (
            "groups",
            json!({ "groups": ["Users", "Domain Admins"] }),
            true,
        ),
        ("groups", json!({ "groups": "Domain Admins" }), true),
        ("scope", json!({ "scope": "openid operator" }), true),
        ("groups", json!({ "groups": ["Domain", "Admins"] }), false),
        ("roles", json!({ "roles": "no operator rights" }), false),
        ("roles", json!({ "roles": { "operator": false } }), false),
        ("roles", json!({ "roles": [["operator"]] }), false),
        ("roles", json!({ "roles": "Operator" }), false),
        ("roles", json!({}), false),
    ] {
        let provider = Provider::start().await;
        let variables = [("SORTIE_OIDC_ROLE_CLAIM", claim), ROLES[1]];
        let server = provider.server(&variables).await;
        let roles = match is_admin {
            true => json!(["user", "admin"]),
            false => json!(["user"]),
        };
        // Roles from the ID token, then from the user info.
        provider.set().id_token = claims.clone();
        assert_eq!(
            user(&provider, &server, "ann").await["roles"],
            roles,
            "{claims}"
        );
        provider.set().id_token = json!({});
        provider.set().user_info = claims.clone();
        assert_eq!(
            user(&provider, &server, "bob").await["roles"],
            roles,
            "{claims}"
        );
    }
}

#[tokio::test]
async fn role_changes_by_a_claim_are_audited() {
    let provider = Provider::start().await;
    let server = provider.server(&ROLES).await;
    provider.set().id_token = json!({ "roles": ["guest"] });
    let ann = user(&provider, &server, "ann").await;
    let path = format!("action=user.change&subject={}", ann["id"].as_str().unwrap());
    assert!(audit(&server, &path).await.is_empty());
    for (roles, word) in [("operator", "elevated"), ("guest", "demoted")] {
        provider.set().id_token = json!({ "roles": [roles] });
        for _ in 0..2 {
            user(&provider, &server, "ann").await;
        }
        let rows = audit(&server, &path).await;
        let detail = rows[0]["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with(word), "{detail}");
        assert!(detail.contains(&provider.issuer), "{detail}");
    }
    assert_eq!(audit(&server, &path).await.len(), 2);
    // Initial roles of a new user are logged, too.
    provider.set().id_token = json!({ "roles": ["operator"] });
    let boss = user(&provider, &server, "boss").await;
    let path = format!(
        "action=user.create&subject={}",
        boss["id"].as_str().unwrap()
    );
    let rows = audit(&server, &path).await;
    let detail = rows[0]["detail"].as_str().unwrap();
    assert!(detail.contains("roles by a claim: user, admin"), "{detail}");
}
