//! Signing in at an OpenID provider: admission, roles, and a provider that misbehaves.

use jsonwebtoken::{Algorithm, Header};

use crate::oidc_provider::{Provider, begin, callback, cookies_of, key_header};
use crate::support::header;
use crate::*;

const ROLES: [(&str, &str); 2] = [
    ("SORTIE_OIDC_ROLE_CLAIM", "roles"),
    ("SORTIE_OIDC_ADMIN_VALUES", "operator, Domain Admins"),
];

/// Returns the user signed in by these cookies.
async fn user_by_cookies(server: &TestServer, cookies: &str) -> Value {
    let request = server
        .anonymous()
        .get("/api/auth/me")
        .header("cookie", cookies);
    json_of(request, 200).await
}

/// Signs in and returns the user.
async fn user(provider: &Provider, server: &TestServer, subject: &str) -> Value {
    let answer = provider.sign_in(server, subject).await;
    assert_eq!(
        answer.status(),
        303,
        "{}",
        answer.text().await.unwrap_or_default()
    );
    user_by_cookies(server, &cookies_of(&answer)).await
}

async fn audit(server: &TestServer, query: &str) -> Vec<Value> {
    let path = format!("/api/admin/audit?{query}");
    let rows = json_of(server.admin().await.get(&path), 200).await;
    rows.as_array().cloned().unwrap_or_default()
}

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

/// Changes the provider's behaviour.
type Change = fn(&Provider);

const CHECK_AGAIN: Duration = Duration::from_secs(61);
const HOUR: Duration = Duration::from_secs(3600);

/// Signs in and returns the browser's token pair.
async fn pair(provider: &Provider, server: &TestServer, subject: &str) -> Pair {
    let answer = provider.sign_in(server, subject).await;
    assert_eq!(
        answer.status(),
        303,
        "{}",
        answer.text().await.unwrap_or_default()
    );
    let cookies = cookies_of(&answer);
    let value = |name: &str| {
        let value = cookies.split("; ").find_map(|it| it.strip_prefix(name));
        value.expect("a cookie").to_owned()
    };
    Pair {
        access: value("sortie_access="),
        refresh: value("sortie_refresh="),
    }
}

async fn status_of(request: RequestBuilder) -> u16 {
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn each_refresh_re_evaluates_roles() {
    for (refreshes_id_token, in_user_info) in [(true, false), (false, true), (true, true)] {
        let provider = Provider::start().await;
        let server = provider.server(&ROLES).await;
        provider.set().refreshes_id_token = refreshes_id_token;
        let say = |roles: &str| {
            let claims = json!({ "roles": [roles] });
            match in_user_info {
                true => provider.set().user_info = claims,
                false => provider.set().id_token = claims,
            }
        };
        say("operator");
        let mut tokens = pair(&provider, &server, "ann").await;
        let users = |token: &str| {
            server
                .anonymous()
                .get("/api/admin/users")
                .bearer_auth(token)
        };
        json_of(users(&tokens.access), 200).await;
        for (roles, status, word) in [("guest", 403, "demoted"), ("operator", 200, "elevated")] {
            say(roles);
            server.clock.advance(CHECK_AGAIN);
            let calls = provider.calls("token");
            let before = tokens.access.clone();
            tokens = tokens.refreshed(&server).await;
            // Access tokens issued earlier have the new roles, too.
            assert_eq!(status_of(users(&tokens.access)).await, status);
            assert_eq!(status_of(users(&before)).await, status);
            // A recent confirmation is still valid.
            tokens = tokens.refreshed(&server).await;
            assert_eq!(provider.calls("token"), calls + 1);
            let rows = audit(&server, "action=user.change").await;
            assert!(
                rows[0]["detail"].as_str().unwrap().starts_with(word),
                "{rows:?}"
            );
        }
    }
}

#[tokio::test]
async fn provider_refusal_ends_the_sign_in() {
    let provider = Provider::start().await;
    let required = [
        ("SORTIE_OIDC_REQUIRED_CLAIM", "groups"),
        ("SORTIE_OIDC_REQUIRED_VALUES", "staff"),
    ];
    let server = provider.server(&required).await;
    let admitted = json!({ "groups": ["staff"] });
    let denials: [(&str, Change); 4] = [
        ("invalid_grant", |it| {
            it.set().refresh_error = Some("invalid_grant")
        }),
        ("login_required", |it| {
            it.set().refresh_error = Some("login_required")
        }),
        ("REQUIRED_CLAIM", |it| {
            it.set().id_token = json!({ "groups": ["guests"] })
        }),
        ("another subject", |it| {
            it.set().altered = json!({ "sub": "mallory" })
        }),
    ];
    for (why, deny) in denials {
        provider.set().id_token = admitted.clone();
        provider.set().refresh_error = None;
        provider.set().altered = json!({});
        let tokens = pair(&provider, &server, "ann").await;
        assert_eq!(status_of(me(&server, &tokens.access)).await, 200);
        deny(&provider);
        server.clock.advance(CHECK_AGAIN);
        assert_eq!(
            status_of(refresh(&server, &tokens.refresh)).await,
            401,
            "{why}"
        );
        assert_eq!(tokens.is_alive(&server).await, (false, false), "{why}");
        let rows = audit(&server, "action=sign_in.end").await;
        let detail = rows[0]["detail"].as_str().unwrap();
        assert!(detail.contains(why), "{why}: {detail}");
    }
}

#[tokio::test]
async fn sign_in_survives_provider_outage_for_a_day() {
    let provider = Provider::start().await;
    let server = provider
        .server(&[ROLES[0], ROLES[1], ("SORTIE_OIDC_UNCONFIRMED_HOURS", "10")])
        .await;
    let down: [(Change, Change); 4] = [
        (
            |it| it.set().token_status = 503,
            |it| it.set().token_status = 200,
        ),
        // A refusal of our client credentials says nothing about the user.
        (
            |it| it.set().token_status = 401,
            |it| it.set().token_status = 200,
        ),
        (
            |it| it.set().user_info_status = 503,
            |it| it.set().user_info_status = 200,
        ),
        (
            |it| it.set().header.kid = Some("two".to_owned()),
            |it| it.set().header = key_header(),
        ),
    ];
    for (fail, recover) in down {
        provider.set().id_token = json!({ "roles": ["operator"] });
        let mut tokens = pair(&provider, &server, "ann").await;
        provider.set().id_token = json!({ "roles": [] });
        fail(&provider);
        for hours in [1, 8] {
            server.clock.advance(HOUR * hours);
            tokens = tokens.refreshed(&server).await;
            let user = json_of(me(&server, &tokens.access), 200).await;
            assert_eq!(user["roles"], json!(["user", "admin"]));
        }
        server.clock.advance(HOUR * 2);
        assert_eq!(status_of(refresh(&server, &tokens.refresh)).await, 503);
        recover(&provider);
        server.clock.advance(CHECK_AGAIN);
        tokens = tokens.refreshed(&server).await;
        let user = json_of(me(&server, &tokens.access), 200).await;
        assert_eq!(user["roles"], json!(["user"]));
    }
}

#[tokio::test]
async fn sign_in_without_refresh_token_is_confirmed_by_user_info() {
    let provider = Provider::start().await;
    let server = provider.server(&ROLES).await;
    provider.set().gives_refresh_tokens = false;
    provider.set().user_info = json!({ "roles": ["operator"] });
    let mut tokens = pair(&provider, &server, "ann").await;
    provider.set().user_info = json!({});
    server.clock.advance(CHECK_AGAIN);
    tokens = tokens.refreshed(&server).await;
    let user = json_of(me(&server, &tokens.access), 200).await;
    assert_eq!(user["roles"], json!(["user"]));
    // The provider's access token has expired, so the user's state is unknown: tolerated for a day.
    provider.set().user_info_status = 401;
    server.clock.advance(HOUR);
    tokens = tokens.refreshed(&server).await;
    server.clock.advance(HOUR * 22);
    tokens = tokens.refreshed(&server).await;
    server.clock.advance(HOUR * 2);
    assert_eq!(status_of(refresh(&server, &tokens.refresh)).await, 401);

    // The provider refuses an unexpired access token: the sign-in ends.
    provider.set().user_info_status = 200;
    let tokens = pair(&provider, &server, "ann").await;
    provider.set().user_info_status = 401;
    server.clock.advance(CHECK_AGAIN);
    assert_eq!(status_of(refresh(&server, &tokens.refresh)).await, 401);

    // Roles that only the ID token has cannot be evaluated again: they stay for a day.
    provider.set().user_info_status = 200;
    provider.set().id_token = json!({ "roles": ["operator"] });
    let tokens = pair(&provider, &server, "bob").await;
    server.clock.advance(HOUR * 23);
    let tokens = tokens.refreshed(&server).await;
    let user = json_of(me(&server, &tokens.access), 200).await;
    assert_eq!(user["roles"], json!(["user", "admin"]));
    server.clock.advance(HOUR * 2);
    assert_eq!(status_of(refresh(&server, &tokens.refresh)).await, 401);
}

#[tokio::test]
async fn concurrent_refreshes_exchange_the_provider_token_once() {
    let provider = Provider::start().await;
    let server = provider.server(&ROLES).await;
    let tokens = pair(&provider, &server, "ann").await;
    server.clock.advance(CHECK_AGAIN);
    let requests = (0..10).map(|_| status_of(refresh(&server, &tokens.refresh)));
    assert_eq!(futures_util::future::join_all(requests).await, [200; 10]);
    assert_eq!(provider.calls("token"), 2);
    assert!(audit(&server, "action=sign_in.end").await.is_empty());
    let again = pair(&provider, &server, "ann").await;
    server.clock.advance(CHECK_AGAIN);
    // The provider rotates its refresh token; each is valid once.
    let again = again.refreshed(&server).await;
    server.clock.advance(CHECK_AGAIN);
    again.refreshed(&server).await;
}

#[tokio::test]
async fn provider_tokens_are_encrypted_and_deleted_with_the_sign_in() {
    let provider = Provider::start().await;
    let server = provider.server(&[]).await;
    let tokens = pair(&provider, &server, "ann").await;
    let pool = database(&server).await;
    let stored = async || -> Vec<String> {
        sqlx::query_scalar("SELECT refresh_token || ' ' || access_token FROM oidc_sign_ins")
            .fetch_all(&pool)
            .await
            .unwrap()
    };
    let rows = stored().await;
    assert_eq!(rows.len(), 1);
    assert!(rows[0].len() > 40 && !rows[0].contains("refresh-") && !rows[0].contains("access-"));
    let logout = server.anonymous().post("/api/auth/logout");
    let body = json!({ "refresh_token": tokens.refresh });
    assert_eq!(status_of(logout.json(&body)).await, 204);
    assert!(stored().await.is_empty());

    // A sign-in without stored provider tokens cannot be confirmed and ends.
    let tokens = pair(&provider, &server, "ann").await;
    sqlx::query("DELETE FROM oidc_sign_ins")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(status_of(refresh(&server, &tokens.refresh)).await, 401);
    assert_eq!(tokens.is_alive(&server).await, (false, false));
}

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
    let other = jsonwebtoken::EncodingKey::from_ec_der(include_bytes!("../data/test-ec-2.der"));
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
