//! Password guessing: it is slowed down and cannot lock out other users.

use crate::support::problem;
use crate::*;

const PROXIED: &[(&str, &str)] = &[("SORTIE_TRUSTED_PROXIES", "127.0.0.1")];

fn from_address(request: RequestBuilder, address: &str) -> RequestBuilder {
    request.header("x-forwarded-for", address.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_guesses_are_limited_like_sequential_ones() {
    let server = TestServer::start().await;
    let guesses = (0..40).map(async |_| {
        let answer = login(&server, "admin", "wrong password").send().await;
        answer.expect("an answer").status().as_u16()
    });
    let statuses = futures_util::future::join_all(guesses).await;
    let verified = statuses.iter().filter(|it| **it == 401).count();
    assert_eq!(verified, 5, "{statuses:?}");
    assert!(
        statuses.iter().all(|it| matches!(it, 401 | 429)),
        "{statuses:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_sign_ins_with_the_right_password_all_succeed() {
    let server = TestServer::start().await;
    let sign_ins = (0..20).map(|_| Pair::sign_in(&server));
    assert_eq!(futures_util::future::join_all(sign_ins).await.len(), 20);
}

#[tokio::test]
async fn guesses_from_other_addresses_do_not_lock_out_a_known_device() {
    let server = TestServer::with(PROXIED).await;
    let own = Pair::of(&json_of(login(&server, "admin", ADMIN_PASSWORD), 200).await);
    for number in 0..40 {
        let guess = login(&server, "admin", "wrong password");
        let guess = from_address(guess, &format!("198.51.100.{}", number % 8));
        let status = guess.send().await.expect("an answer").status();
        assert_eq!(status, 401);
    }
    let again = |address| from_address(login(&server, "admin", ADMIN_PASSWORD), address);
    problem(again("198.51.100.1"), 429, "too_many_requests").await;
    json_of(again("203.0.113.1"), 200).await;
    // A sign-in in progress stays valid and may verify its password.
    let change = json!({ "current_password": ADMIN_PASSWORD, "new_password": "another one" });
    let change = server
        .anonymous()
        .post("/api/auth/password")
        .bearer_auth(&own.access)
        .json(&change);
    let change = from_address(change, "198.51.100.1").send().await;
    assert_eq!(change.expect("an answer").status(), 204);
}

#[tokio::test]
async fn known_device_signs_in_from_a_guessers_address() {
    let server = TestServer::start().await;
    server.user("ann").await;
    let page = |name: &str, password: &str, cookie: Option<&str>| {
        let body = json!({ "username": name, "password": password, "cookies_only": true });
        let request = server.anonymous().post("/api/auth/login").json(&body);
        match cookie {
            Some(cookie) => request.header("cookie", format!("sortie_device={cookie}")),
            None => request,
        }
    };
    let device = async |name: &str, password: &str| {
        let answer = page(name, password, None).send().await.expect("an answer");
        let cookies = cookies(&answer);
        let device = cookies
            .iter()
            .find_map(|it| it.strip_prefix("sortie_device=")?.split(';').next());
        device.expect("a device").to_owned()
    };
    let known = device("admin", ADMIN_PASSWORD).await;
    let anns = device("ann", "a good password").await;
    for _ in 0..5 {
        let guess = login(&server, "admin", "wrong password");
        problem(guess, 401, "wrong_credentials").await;
    }
    let forged = format!("{}.{}", known.split('.').next().unwrap_or_default(), "x");
    // Device cookies of another user and forged ones count as unknown devices.
    for cookie in [
        None,
        Some(anns.as_str()),
        Some(&forged),
        Some("x"),
        Some(""),
    ] {
        let request = page("admin", ADMIN_PASSWORD, cookie);
        problem(request, 429, "too_many_requests").await;
    }
    json_of(page("admin", ADMIN_PASSWORD, Some(&known)), 200).await;
    // A known device has a separate, equal budget of guesses.
    for _ in 0..5 {
        let guess = page("admin", "wrong password", Some(&known));
        problem(guess, 401, "wrong_credentials").await;
    }
    let request = page("admin", ADMIN_PASSWORD, Some(&known));
    problem(request, 429, "too_many_requests").await;
}

#[tokio::test]
async fn password_guesses_with_a_stolen_sign_in_are_limited() {
    let server = TestServer::start().await;
    let stolen = Pair::sign_in(&server).await;
    let guess = || {
        let body = json!({ "current_password": "a guess", "new_password": "another one" });
        let request = server.anonymous().post("/api/auth/password");
        request.bearer_auth(&stolen.access).json(&body)
    };
    for _ in 0..5 {
        problem(guess(), 403, "forbidden").await;
    }
    problem(guess(), 429, "too_many_requests").await;
    // The user is not locked out.
    Pair::sign_in(&server).await;
}

#[tokio::test]
async fn audit_rows_of_guesses_are_limited() {
    let server = TestServer::with(PROXIED).await;
    let admin = server.admin().await;
    for number in 0..60 {
        let guess = login(&server, &format!("name {number}"), "x");
        let guess = from_address(guess, &format!("198.51.100.{}", number % 4));
        problem(guess, 401, "wrong_credentials").await;
    }
    let refused = "/api/admin/audit?action=sign_in&result=denied&limit=500";
    let log = json_of(admin.get(refused), 200).await;
    // One row for each address: guesses of unknown names are not logged individually.
    assert_eq!(log.as_array().map(Vec::len), Some(4), "{log}");
    server.clock.advance(MINUTE);
    let guess = from_address(login(&server, "admin", "wrong"), "198.51.100.9");
    problem(guess, 401, "wrong_credentials").await;
    let log = json_of(admin.get(refused), 200).await;
    assert_eq!(log.as_array().map(Vec::len), Some(5), "{log}");
    assert_eq!(log[0]["subject"], admin.user_id.as_str());
}
