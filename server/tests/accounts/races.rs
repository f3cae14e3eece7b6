//! Password changes, resets, disabling and deletion concurrent with sign-ins, refreshes and token creation:
//! a credential verified before the change is not accepted after it.

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use reqwest::StatusCode;

use crate::*;

const OLD: &str = "a good password";
const NEW: &str = "another good one";
const ROUNDS: usize = 4;

/// Actions that end every sign-in of a user.
#[derive(Clone, Copy, Debug)]
enum End {
    Reset,
    Disable,
    Delete,
    OwnChange,
    ByAdministrator,
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.expect("an answer").status().as_u16()
}

/// Signs in `count` times concurrently; returns the pairs of the successful ones.
async fn sign_ins(server: &TestServer, name: &str, times: usize) -> Vec<Pair> {
    let attempts = (0..times).map(async |_| {
        let answer = login(server, name, OLD).send().await.expect("an answer");
        match answer.status().as_u16() {
            200 => Some(Pair::of(&answer.json().await.expect("JSON"))),
            401 | 403 | 429 | 503 => None,
            other => panic!("{other}"),
        }
    });
    let pairs = futures_util::future::join_all(attempts).await;
    pairs.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_sign_ins_end_with_all_others() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for end in [
        End::Reset,
        End::Disable,
        End::Delete,
        End::OwnChange,
        End::ByAdministrator,
    ] {
        for round in 0..ROUNDS {
            let name = format!("{end:?}{round}").to_lowercase();
            let id = create(&admin, &name, json!(["user"])).await;
            // Late sign-ins of earlier rounds count as guesses of this address.
            let own = loop {
                let answer = login(&server, &name, OLD).send().await.expect("an answer");
                if answer.status() == StatusCode::TOO_MANY_REQUESTS {
                    server.clock.advance(Duration::from_secs(1));
                    continue;
                }
                assert_eq!(answer.status(), StatusCode::OK);
                break Pair::of(&answer.json().await.expect("JSON"));
            };
            let ending = async {
                // Ends the sign-ins while the first verifications run.
                tokio::time::sleep(Duration::from_millis(15 * round as u64)).await;
                let request = match end {
                    End::Reset => change(&admin, &id, &json!({ "password": NEW })),
                    End::Disable => change(&admin, &id, &json!({ "disabled": true })),
                    End::Delete => admin.delete(&user_path(&id)),
                    End::ByAdministrator => admin.delete(&format!("{}/sign-ins", user_path(&id))),
                    End::OwnChange => server
                        .anonymous()
                        .post("/api/auth/password")
                        .bearer_auth(&own.access)
                        .json(&json!({ "current_password": OLD, "new_password": NEW })),
                };
                status(request).await
            };
            let (pairs, ended) = tokio::join!(sign_ins(&server, &name, 4), ending);
            assert!((200..300).contains(&ended), "{end:?}: {ended}");
            if matches!(end, End::ByAdministrator) {
                // Sign-ins that began later are valid, and only those are listed.
                let list = json_of(admin.get(&format!("{}/sign-ins", user_path(&id))), 200).await;
                let listed = list.as_array().map_or(0, Vec::len);
                let mut alive = 0;
                for pair in &pairs {
                    alive += usize::from(pair.is_alive(&server).await == (true, true));
                }
                assert_eq!(alive, listed, "{list}");
                continue;
            }
            if matches!(end, End::Disable) {
                // Enabling the user again does not restore sign-ins.
                json_of(change(&admin, &id, &json!({ "disabled": false })), 200).await;
            }
            for pair in pairs {
                assert_eq!(pair.is_alive(&server).await, (false, false), "{end:?}");
            }
            let kept = matches!(end, End::OwnChange);
            assert_eq!(own.is_alive(&server).await, (kept, kept), "{end:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hash_renewal_does_not_restore_an_old_password() {
    let server = TestServer::start().await;
    let database = database(&server).await;
    let old = Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new(64, 1, 1, None).expect("parameters"),
    )
    .hash_password_with_salt(OLD.as_bytes(), b"0123456789abcdef")
    .expect("a hash")
    .to_string();
    for round in 0..2 * ROUNDS {
        // By then wrong passwords of the previous round are forgotten and its sign-ins have expired.
        server.clock.advance(60 * MINUTE);
        let admin = server.admin().await;
        let name = format!("ann{round}");
        let id = create(&admin, &name, json!(["user"])).await;
        sqlx::query("UPDATE users SET password_hash = $1 WHERE id = $2")
            .bind(&old)
            .bind(&id)
            .execute(&database)
            .await
            .expect("a statement");
        // The reset hashes for as long as the sign-in does; the delay varies which is first.
        let reset = json!({ "password": NEW });
        let delay = Duration::from_millis(5 * round as u64);
        let signing_in = async {
            tokio::time::sleep(delay).await;
            sign_ins(&server, &name, 2).await
        };
        let (pairs, reset) = tokio::join!(signing_in, status(change(&admin, &id, &reset)));
        assert_eq!(reset, 200);
        for pair in pairs {
            assert_eq!(pair.is_alive(&server).await, (false, false));
        }
        assert_eq!(status(login(&server, &name, OLD)).await, 401, "{round}");
        assert_eq!(status(login(&server, &name, NEW)).await, 200, "{round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_refreshes_end_with_their_sign_in() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for round in 0..3 * ROUNDS {
        let name = format!("ann{round}");
        let id = create(&admin, &name, json!(["user"])).await;
        let pair = Pair::of(&json_of(login(&server, &name, OLD), 200).await);
        let ending = match round % 3 {
            0 => server
                .anonymous()
                .post("/api/auth/logout")
                .bearer_auth(&pair.access),
            1 => change(&admin, &id, &json!({ "disabled": true })),
            _ => admin.delete(&user_path(&id)),
        };
        let refreshing = async {
            let mut pairs = vec![Pair {
                access: pair.access.clone(),
                refresh: pair.refresh.clone(),
            }];
            while let Some(last) = pairs.last() {
                let answer = refresh(&server, &last.refresh).send().await;
                let answer = answer.expect("an answer");
                if answer.status() != 200 {
                    assert_eq!(answer.status(), 401);
                    break;
                }
                pairs.push(Pair::of(&answer.json().await.expect("JSON")));
            }
            pairs
        };
        let (pairs, ended) = tokio::join!(refreshing, status(ending));
        assert!((200..300).contains(&ended), "{ended}");
        for pair in pairs {
            assert_eq!(pair.is_alive(&server).await, (false, false), "{round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrently_created_api_tokens_are_revoked() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for round in 0..ROUNDS {
        let name = format!("ann{round}");
        create(&admin, &name, json!(["user"])).await;
        let attacker = Pair::of(&json_of(login(&server, &name, OLD), 200).await);
        let own = Pair::of(&json_of(login(&server, &name, OLD), 200).await);
        let making = async {
            let mut tokens = Vec::new();
            // A user has a limited number of tokens: stops at the end of the sign-in, or below the limit.
            while tokens.len() < 90 {
                let body = json!({ "name": "t", "scopes": ["read"] });
                let request = server.anonymous().post("/api/tokens");
                let request = request.bearer_auth(&attacker.access).json(&body);
                let answer = request.send().await.expect("an answer");
                if answer.status() != 201 {
                    assert_eq!(answer.status(), 401);
                    break;
                }
                let made: Value = answer.json().await.expect("JSON");
                tokens.push(made["token"].as_str().expect("a token").to_owned());
            }
            tokens
        };
        let body = json!({ "current_password": OLD, "new_password": NEW, "revoke_tokens": true });
        let changing = server.anonymous().post("/api/auth/password");
        let changing = changing.bearer_auth(&own.access).json(&body);
        let (tokens, changed) = tokio::join!(making, status(changing));
        assert_eq!(changed, 204);
        for token in tokens {
            assert_eq!(status(me(&server, &token)).await, 401);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_password_changes_leave_one_password() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for round in 0..ROUNDS {
        let name = format!("ann{round}");
        create(&admin, &name, json!(["user"])).await;
        let (one, two) = (
            Pair::of(&json_of(login(&server, &name, OLD), 200).await),
            Pair::of(&json_of(login(&server, &name, OLD), 200).await),
        );
        let to = |pair: &Pair, new: &str| {
            let body = json!({ "current_password": OLD, "new_password": new });
            let request = server.anonymous().post("/api/auth/password");
            status(request.bearer_auth(&pair.access).json(&body))
        };
        let (first, second) = tokio::join!(to(&one, "password one"), to(&two, "password two"));
        assert!(
            matches!((first, second), (204, 401 | 403) | (401 | 403, 204)),
            "{first} {second}"
        );
        let (stands, falls) = match first {
            204 => (("password one", &one), ("password two", &two)),
            _ => (("password two", &two), ("password one", &one)),
        };
        assert_eq!(status(login(&server, &name, stands.0)).await, 200);
        assert_eq!(status(login(&server, &name, falls.0)).await, 401);
        assert_eq!(stands.1.is_alive(&server).await, (true, true));
        assert_eq!(falls.1.is_alive(&server).await, (false, false));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_deleted_during_a_request_is_signed_out() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let database = database(&server).await;
    for round in 0..4 {
        let name = format!("ann{round}");
        let id = create(&admin, &name, json!(["user"])).await;
        let pair = Pair::of(&json_of(login(&server, &name, OLD), 200).await);
        let mut deletion = database.begin().await.expect("a transaction");
        sqlx::query("DELETE FROM users WHERE id = $1")
            .bind(&id)
            .execute(&mut *deletion)
            .await
            .expect("a deletion");
        let post = |path: &str, body: Value| {
            let request = server.anonymous().post(path);
            request.bearer_auth(&pair.access).json(&body)
        };
        let request = match round {
            0 => login(&server, &name, OLD),
            1 => refresh(&server, &pair.refresh),
            2 => post("/api/tokens", json!({ "name": "t", "scopes": ["read"] })),
            _ => post("/api/sessions", json!({ "app_id": "a" })),
        };
        let committing = async {
            // Longer than the verification of a password: the request reads the user's row before the deletion commits.
            tokio::time::sleep(Duration::from_secs(1)).await;
            deletion.commit().await.expect("a commit");
        };
        let (status, ()) = tokio::join!(status(request), committing);
        assert_eq!(status, 401, "{round}");
    }
}
