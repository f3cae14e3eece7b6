//! Refresh tokens, logout, restarts.

use reqwest::StatusCode;

use crate::support::problem;
use crate::*;

#[tokio::test]
async fn refresh_token_returns_the_next_pair() {
    let server = TestServer::start().await;
    let mut pair = Pair::sign_in(&server).await;
    // Longer than the lifetime of a refresh token: a used sign-in lasts up to its absolute lifetime.
    for _ in 0..4 {
        server.clock.advance(6 * DAY);
        let next = pair.refreshed(&server).await;
        assert_ne!(next.refresh, pair.refresh);
        json_of(me(&server, &next.access), 200).await;
        pair = next;
    }
    server.clock.advance(7 * DAY);
    assert_eq!(
        problem(refresh(&server, &pair.refresh), 401, "unauthenticated").await,
        EXPIRED
    );
}

#[tokio::test]
async fn reused_refresh_token_ends_only_its_sign_in() {
    let server = TestServer::start().await;
    let (other, stolen) = (Pair::sign_in(&server).await, Pair::sign_in(&server).await);
    let next = stolen.refreshed(&server).await;
    server.clock.advance(Duration::from_millis(10_001));
    assert_eq!(
        problem(refresh(&server, &stolen.refresh), 401, "unauthenticated").await,
        EXPIRED
    );
    assert_eq!(next.is_alive(&server).await, (false, false));
    assert_eq!(stolen.is_alive(&server).await, (false, false));
    assert_eq!(other.is_alive(&server).await, (true, true));
}

#[tokio::test]
async fn concurrent_refreshes_of_two_tabs_both_stay_signed_in() {
    let server = TestServer::start().await;
    let pair = Pair::sign_in(&server).await;
    let (one, two) = tokio::join!(pair.refreshed(&server), pair.refreshed(&server));
    server.clock.advance(Duration::from_secs(10));
    let three = pair.refreshed(&server).await;
    for tab in [one, two, three] {
        assert_eq!(tab.is_alive(&server).await, (true, true));
    }
}

#[tokio::test]
async fn logout_ends_the_sign_in_immediately() {
    let server = TestServer::start().await;
    let logout = || server.anonymous().post("/api/auth/logout");
    let origin = server.url.clone();
    for how in [
        "refresh token",
        "access token",
        "both cookies",
        "refresh cookie",
        "access cookie",
    ] {
        let pair = Pair::sign_in(&server).await;
        json_of(me(&server, &pair.access), 200).await;
        let access = format!("sortie_access={}", pair.access);
        let refresh = format!("sortie_refresh={}", pair.refresh);
        let request = match how {
            "refresh token" => logout().json(&json!({ "refresh_token": pair.refresh })),
            "access token" => logout().bearer_auth(&pair.access),
            "both cookies" => logout()
                .header("origin", &origin)
                .header("cookie", format!("{access}; {refresh}")),
            "refresh cookie" => logout().header("origin", &origin).header("cookie", refresh),
            _ => logout().header("origin", &origin).header("cookie", access),
        };
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{how}");
        assert_eq!(
            cookies(&answer),
            [
                "sortie_access=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0",
                "sortie_refresh=; HttpOnly; SameSite=Lax; Path=/api/auth; Max-Age=0",
            ]
        );
        assert_eq!(pair.is_alive(&server).await, (false, false), "{how}");
    }
    // Signing out again succeeds.
    for request in [
        logout(),
        logout().json(&json!({ "refresh_token": "unknown" })),
        logout().bearer_auth("x"),
    ] {
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::NO_CONTENT
        );
    }
}

#[tokio::test]
async fn refresh_without_a_token_is_refused() {
    let server = TestServer::start().await;
    let ask = || server.anonymous().post("/api/auth/refresh");
    for request in [
        ask(),
        ask().json(&json!({})),
        ask().json(&json!({ "refresh_token": "unknown" })),
    ] {
        problem(request, 401, "unauthenticated").await;
    }
    problem(
        ask().header("content-type", "application/json").body("{"),
        400,
        "bad_request",
    )
    .await;
}

#[tokio::test]
async fn logout_at_another_replica_takes_effect_within_five_seconds() {
    let server = TestServer::start().await;
    let pair = Pair::sign_in(&server).await;
    json_of(me(&server, &pair.access), 200).await;
    sqlx::query("DELETE FROM sign_ins")
        .execute(&database(&server).await)
        .await
        .unwrap();
    server.clock.advance(Duration::from_secs(5));
    assert_eq!(
        problem(me(&server, &pair.access), 401, "unauthenticated").await,
        EXPIRED
    );
}

#[tokio::test]
async fn sign_in_survives_a_restart() {
    let mut server = TestServer::start().await;
    let pair = Pair::sign_in(&server).await;
    server.restart().await;
    assert_eq!(pair.is_alive(&server).await, (true, true));
}

#[tokio::test]
async fn forged_refresh_token_ends_no_sign_in() {
    let server = TestServer::start().await;
    let pair = Pair::sign_in(&server).await;
    let (id, _) = pair.refresh.split_once('.').expect("an id in front");
    let cut = &pair.refresh[..pair.refresh.len() - 4];
    for forged in [format!("{id}.forged"), format!("{id}.a.b"), cut.to_owned()] {
        problem(refresh(&server, &forged), 401, "unauthenticated").await;
        let logout = server.anonymous().post("/api/auth/logout");
        let logout = logout.json(&json!({ "refresh_token": forged }));
        assert_eq!(
            logout.send().await.unwrap().status(),
            StatusCode::NO_CONTENT
        );
    }
    assert_eq!(pair.is_alive(&server).await, (true, true));
}

#[tokio::test]
async fn purged_refresh_token_ends_its_sign_in() {
    let server = TestServer::start().await;
    let stolen = Pair::sign_in(&server).await;
    let next = stolen.refreshed(&server).await;
    // Like the hourly cleanup.
    sqlx::query("DELETE FROM refresh_tokens WHERE spent_ms IS NOT NULL")
        .execute(&database(&server).await)
        .await
        .unwrap();
    problem(refresh(&server, &stolen.refresh), 401, "unauthenticated").await;
    assert_eq!(next.is_alive(&server).await, (false, false));
}
