//! Confirmation of sign-ins by the provider at each refresh.

use super::steps::{ROLES, audit, pair, status_of};
use crate::oidc_provider::{Provider, key_header};
use crate::*;

/// Changes the provider's behaviour.
type Change = fn(&Provider);

/// Longer than the validity of a confirmation.
const CHECK_AGAIN: Duration = Duration::from_secs(61);
const HOUR: Duration = Duration::from_secs(3600);

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
