//! Users and their administration.

use std::sync::Arc;

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use reqwest::StatusCode;
use sortie_server::{Config, ManualClock, Server};

use crate::support::{START_MS, header, problem};
use crate::*;

#[tokio::test]
async fn users_are_created_listed_changed_and_deleted() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let new = json!({
        "username": "Zoë", "password": "12345678", "email": "zoe@example.org", "display_name": "Zoë Z.",
    });
    let answer = admin
        .post("/api/admin/users")
        .json(&new)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let location = header(&answer, "location");
    let created: Value = answer.json().await.unwrap();
    let id = created["id"].as_str().unwrap();
    assert_eq!(location, user_path(id));
    let expected = json!({
        "id": id, "username": "Zoë", "email": "zoe@example.org", "display_name": "Zoë Z.",
        "roles": ["user"], "disabled": false, "must_change_password": false,
        "source": "local", "created_at": "2026-11-21T09:30:00.000Z",
    });
    assert_eq!(created, expected);
    let mut shown = json_of(admin.get(&location), 200).await;
    assert_eq!(shown["recordings"].take(), 0);
    shown.as_object_mut().map(|user| user.remove("recordings"));
    assert_eq!(shown, expected);
    let everybody = json_of(admin.get("/api/admin/users"), 200).await;
    assert_eq!(everybody.as_array().map(Vec::len), Some(2));
    assert_eq!(everybody[1], expected);

    for (patch, field, value) in [
        (json!({ "email": null }), "email", Value::Null),
        (
            json!({ "email": "z@example.org" }),
            "email",
            json!("z@example.org"),
        ),
        (json!({ "email": "" }), "email", Value::Null),
        (json!({ "display_name": "Z" }), "display_name", json!("Z")),
        (json!({ "display_name": null }), "display_name", Value::Null),
        (
            json!({ "roles": ["admin", "user", "admin"] }),
            "roles",
            json!(["user", "admin"]),
        ),
        (json!({ "disabled": true }), "disabled", json!(true)),
        (json!({ "disabled": false }), "disabled", json!(false)),
        (json!({}), "username", json!("Zoë")),
    ] {
        assert_eq!(
            json_of(change(&admin, id, &patch), 200).await[field],
            value,
            "{patch}"
        );
    }

    let gone = admin.delete(&location).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    for request in [
        admin.get(&location),
        admin.delete(&location),
        change(&admin, id, &json!({})),
    ] {
        problem(request, 404, "not_found").await;
    }
}

#[tokio::test]
async fn invalid_user_fields_are_refused_with_a_sentence() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = create(&admin, "taken", json!(["user"])).await;
    let good = json!({ "username": "ann", "password": "a good password", "roles": ["user"] });
    for (field, value, status, code) in [
        ("username", json!(""), 400, "invalid_field"),
        ("username", json!(" ann"), 400, "invalid_field"),
        ("username", json!("a\nb"), 400, "invalid_field"),
        ("username", json!("é".repeat(65)), 400, "invalid_field"),
        ("username", json!("TAKEN"), 409, "already_exists"),
        ("username", json!("é".repeat(64)), 201, ""),
        ("password", json!("1234567"), 400, "invalid_field"),
        ("password", json!("é".repeat(257)), 400, "invalid_field"),
        ("roles", json!([]), 400, "invalid_field"),
        ("roles", json!(["root"]), 400, "invalid_field"),
        ("email", json!("nobody"), 400, "invalid_field"),
        ("email", json!("a@b@c"), 400, "invalid_field"),
        ("email", json!("@example.org"), 400, "invalid_field"),
        ("email", json!("a b@example.org"), 400, "invalid_field"),
        (
            "email",
            json!(format!("{}@example.org", "a".repeat(250))),
            400,
            "invalid_field",
        ),
        ("display_name", json!("x".repeat(129)), 400, "invalid_field"),
        ("display_name", json!("a\u{7}"), 400, "invalid_field"),
    ] {
        let mut new = good.clone();
        new[field] = value.clone();
        let request = admin.post("/api/admin/users").json(&new);
        if status == 201 {
            json_of(request, 201).await;
            continue;
        }
        problem(request, status, code).await;
        if field != "username" {
            problem(change(&admin, &id, &json!({ field: value })), status, code).await;
        }
    }
    // Without this refusal, a misspelt field would look as if it had been changed.
    problem(
        change(&admin, &id, &json!({ "role": ["admin"] })),
        400,
        "invalid_field",
    )
    .await;
    problem(
        change(&admin, &id, &json!({ "username": "other" })),
        400,
        "invalid_field",
    )
    .await;
}

#[tokio::test]
async fn only_administrators_manage_users() {
    let server = TestServer::start().await;
    let user = server.user("ann").await;
    let path = user_path(&user.user_id);
    for (client, status, code) in [
        (&user, 403, "forbidden"),
        (&server.anonymous(), 401, "unauthenticated"),
    ] {
        let body = json!({ "roles": ["admin"] });
        problem(client.get("/api/admin/users"), status, code).await;
        problem(client.post("/api/admin/users").json(&body), status, code).await;
        problem(client.get(&path), status, code).await;
        problem(change(client, &user.user_id, &body), status, code).await;
        problem(client.delete(&path), status, code).await;
    }
    assert_eq!(
        json_of(user.get("/api/auth/me"), 200).await["roles"],
        json!(["user"])
    );
}

#[tokio::test]
async fn role_change_takes_effect_immediately() {
    let server = TestServer::start().await;
    let (admin, user) = (server.admin().await, server.user("ann").await);
    problem(user.get("/api/admin/users"), 403, "forbidden").await;
    json_of(
        change(&admin, &user.user_id, &json!({ "roles": ["admin"] })),
        200,
    )
    .await;
    json_of(user.get("/api/admin/users"), 200).await;
    json_of(
        change(&admin, &user.user_id, &json!({ "roles": ["user"] })),
        200,
    )
    .await;
    problem(user.get("/api/admin/users"), 403, "forbidden").await;
}

#[tokio::test]
async fn disabled_user_loses_every_credential_immediately() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for how in ["disabled", "deleted", "new password"] {
        let name = how.replace(' ', "-");
        let id = create(&admin, &name, json!(["user"])).await;
        let pair = Pair::of(&json_of(login(&server, &name, "a good password"), 200).await);
        json_of(me(&server, &pair.access), 200).await;
        match how {
            "disabled" => {
                drop(json_of(change(&admin, &id, &json!({ "disabled": true })), 200).await)
            }
            "deleted" => drop(admin.delete(&user_path(&id)).send().await.unwrap()),
            _ => drop(
                json_of(
                    change(&admin, &id, &json!({ "password": "another one" })),
                    200,
                )
                .await,
            ),
        }
        assert_eq!(pair.is_alive(&server).await, (false, false), "{how}");
        let (status, code) = if how == "disabled" {
            (403, "forbidden")
        } else {
            (401, "wrong_credentials")
        };
        problem(login(&server, &name, "a good password"), status, code).await;
        match how {
            "disabled" => {
                problem(
                    login(&server, &name, "a wrong one"),
                    401,
                    "wrong_credentials",
                )
                .await;
                json_of(change(&admin, &id, &json!({ "disabled": false })), 200).await;
                // Enabling the user again does not restore sign-ins.
                assert_eq!(pair.is_alive(&server).await, (false, false));
                json_of(login(&server, &name, "a good password"), 200).await;
            }
            "deleted" => drop(create(&admin, &name, json!(["user"])).await),
            _ => drop(json_of(login(&server, &name, "another one"), 200).await),
        }
    }
}

#[tokio::test]
async fn last_enabled_administrator_cannot_be_removed() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let other = create(&admin, "other", json!(["admin"])).await;
    json_of(change(&admin, &other, &json!({ "disabled": true })), 200).await;
    // A disabled administrator does not count as another administrator.
    for patch in [json!({ "disabled": true }), json!({ "roles": ["user"] })] {
        problem(change(&admin, &admin.user_id, &patch), 409, "conflict").await;
    }
    problem(admin.delete(&user_path(&admin.user_id)), 409, "conflict").await;
    let kept = json_of(admin.get("/api/auth/me"), 200).await;
    assert_eq!(kept["roles"], json!(["user", "admin"]));
    // Changes of other fields are allowed.
    json_of(
        change(
            &admin,
            &admin.user_id,
            &json!({ "roles": ["admin"], "email": "a@b.c" }),
        ),
        200,
    )
    .await;

    json_of(change(&admin, &other, &json!({ "disabled": false })), 200).await;
    let gone = admin
        .delete(&user_path(&admin.user_id))
        .send()
        .await
        .unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        problem(admin.get("/api/auth/me"), 401, "unauthenticated").await,
        EXPIRED
    );
}

#[tokio::test]
async fn first_administrators_password_is_shown_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = || {
        let path = |name: &str| Some(folder.path().join(name).display().to_string());
        Config::read(&|name| match name {
            "SORTIE_HOST" => Some("127.0.0.1".to_owned()),
            "SORTIE_PORT" => Some("0".to_owned()),
            "SORTIE_ADMIN_USERNAME" => Some("root".to_owned()),
            "SORTIE_DB" => path("sortie.db"),
            "SORTIE_RECORDING_STORAGE_PATH" => path("recordings"),
            _ => None,
        })
        .unwrap_or_else(|errors| panic!("{errors:?}"))
    };
    let clock = || Arc::new(ManualClock::new(START_MS));
    let server = Server::open(config(), clock()).await.unwrap();
    let first = server
        .first_admin()
        .cloned()
        .expect("a first administrator");
    assert_eq!(first.username, "root");
    let password = first.generated_password.expect("a generated password");
    drop(server);

    let server = Server::open(config(), clock()).await.unwrap();
    assert!(server.first_admin().is_none());
    let url = format!("http://{}/api/auth/login", server.address());
    let serving = tokio::spawn(server.serve(std::future::pending()));
    let body = json!({ "username": "root", "password": password });
    let tokens = json_of(reqwest::Client::new().post(url).json(&body), 200).await;
    assert_eq!(tokens["user"]["roles"], json!(["user", "admin"]));
    serving.abort();
}

#[tokio::test]
async fn user_list_is_paged_and_searchable() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    // Names before and after "admin" in both cases, and a character with a meaning in LIKE.
    for name in ["ann", "Bob", "äsop", "per_cent", "percent", "Zoë"] {
        create(&admin, name, json!(["user"])).await;
    }
    let bob = json!({ "username": "x1", "password": "a good password", "display_name": "Robert", "email": "bob@x.org" });
    json_of(admin.post("/api/admin/users").json(&bob), 201).await;

    let names = async |path: &str| {
        let answer = admin.get(path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let link = header(&answer, "link");
        let next = link
            .split_once('>')
            .map(|(path, _)| path.trim_start_matches('<').to_owned());
        let page: Vec<Value> = answer.json().await.unwrap();
        let names: Vec<String> = page
            .iter()
            .filter_map(|it| it["username"].as_str().map(str::to_owned))
            .collect();
        (names, next)
    };
    let (mut everybody, mut sizes) = (Vec::new(), Vec::new());
    let mut next = Some("/api/admin/users?limit=3".to_owned());
    while let Some(path) = next {
        let (page, after) = names(&path).await;
        sizes.push(page.len());
        everybody.extend(page);
        next = after;
    }
    assert_eq!(sizes, [3, 3, 2]);
    assert_eq!(everybody, names("/api/admin/users").await.0);
    let mut sorted = everybody.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 8, "{everybody:?}");

    for (search, expected) in [
        ("BOB", &["Bob", "x1"][..]),
        ("robert", &["x1"]),
        ("r_c", &["per_cent"]),
        ("%25", &[]),
        ("ZO", &["Zoë"]),
        (
            "",
            &[
                "ann", "admin", "Bob", "per_cent", "percent", "x1", "Zoë", "äsop",
            ],
        ),
    ] {
        let (mut found, _) = names(&format!("/api/admin/users?q={search}")).await;
        let mut expected: Vec<_> = expected.iter().map(|name| (*name).to_owned()).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{search:?}");
    }
    let (page, next) = names("/api/admin/users?q=per&limit=1").await;
    let (rest, end) = names(&next.unwrap()).await;
    assert_eq!((page.len(), rest.len(), end), (1, 1, None));
    for query in [
        "limit=0",
        "limit=501",
        "limit=x",
        "cursor=!",
        "cursor=AA",
        "q=%00",
    ] {
        let request = admin.get(&format!("/api/admin/users?{query}"));
        problem(request, 400, "invalid_field").await;
    }
}

#[tokio::test]
async fn sign_in_renews_a_hash_with_old_parameters() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let old = Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new(64, 1, 1, None).unwrap(),
    )
    .hash_password_with_salt(b"a good password", b"0123456789abcdef")
    .unwrap()
    .to_string();
    let id = create(&admin, "ann", json!(["user"])).await;
    let database = database(&server).await;
    sqlx::query("UPDATE users SET password_hash = $1 WHERE id = $2")
        .bind(&old)
        .bind(&id)
        .execute(&database)
        .await
        .unwrap();
    let stored = async || -> String {
        let hash = sqlx::query_scalar("SELECT password_hash FROM users WHERE id = $1").bind(&id);
        hash.fetch_one(&database).await.unwrap()
    };
    problem(
        login(&server, "ann", "a wrong one"),
        401,
        "wrong_credentials",
    )
    .await;
    assert_eq!(stored().await, old);
    for _ in 0..2 {
        json_of(login(&server, "ann", "a good password"), 200).await;
        assert!(
            stored()
                .await
                .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
        );
    }
}
