//! Malformed fields: missing, of a wrong type, too long or with control characters. Each returns a 4xx with a sentence.

use crate::*;

/// Values that no text field accepts.
fn malformed_values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(7),
        json!(true),
        json!([]),
        json!({}),
        json!("a\u{0}b"),
        json!("a\nb"),
        json!("'; DROP TABLE users; --"),
        json!("../../etc/passwd"),
        json!("x".repeat(60_000)),
        json!("\u{202e}\u{feff}\u{10ffff}"),
    ]
}

#[tokio::test]
async fn malformed_fields_return_4xx() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = create(&admin, "ann", json!(["user"])).await;
    let user = user_path(&id);
    let bodies: [(Method, &str, Value, &[&str]); 6] = [
        (
            Method::POST,
            "/api/auth/login",
            json!({ "username": "nobody", "password": "a good password" }),
            &["username", "password"],
        ),
        (
            Method::POST,
            "/api/auth/refresh",
            json!({ "refresh_token": "unknown" }),
            &[],
        ),
        (
            Method::POST,
            "/api/auth/password",
            json!({ "current_password": "wrong password", "new_password": "a new password" }),
            &["current_password", "new_password"],
        ),
        (
            Method::POST,
            "/api/tokens",
            json!({ "name": "x", "scopes": ["root"], "expires_in_days": 0 }),
            &["name", "scopes"],
        ),
        (
            Method::POST,
            "/api/admin/users",
            json!({ "username": "x", "password": "short", "email": "no", "display_name": "a\n", "roles": [] }),
            &["username", "password"],
        ),
        (
            Method::PATCH,
            &user,
            json!({ "email": "no", "display_name": "a\n", "roles": [], "password": "x", "disabled": 1 }),
            &[],
        ),
    ];
    for (method, path, body, required) in bodies {
        let send = async |body: &Value| {
            // Outlasts the delay after wrong passwords.
            server.clock.advance(DAY / 48);
            let client = server.admin().await;
            let request = client.request(method.clone(), path).json(body);
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            let media_type = support::header(&answer, "content-type");
            let text = answer.text().await.expect("a body");
            assert!(
                (400..500).contains(&status) && media_type == "application/problem+json",
                "{method} {path} {}: {status} {text}",
                body.to_string().chars().take(100).collect::<String>()
            );
        };
        send(&body).await;
        for wrong in [json!([]), json!("text"), json!(null)] {
            send(&wrong).await;
        }
        for field in required {
            let mut without = body.clone();
            without.as_object_mut().expect("an object").remove(*field);
            send(&without).await;
        }
        for field in body.as_object().expect("an object").keys() {
            for wrong in malformed_values() {
                let mut with = body.clone();
                with[field] = wrong;
                send(&with).await;
            }
        }
    }
}

#[tokio::test]
async fn malformed_paths_and_headers_return_4xx() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let long = "x".repeat(5000);
    for id in [
        "%00",
        "..%2f..%2fetc",
        "'%20OR%201=1",
        "%ff",
        "%F0%9F%8E%A5",
        &long,
    ] {
        for (method, folder) in [
            (Method::GET, "/api/admin/users"),
            (Method::PATCH, "/api/admin/users"),
            (Method::DELETE, "/api/admin/users"),
            (Method::DELETE, "/api/tokens"),
        ] {
            let path = format!("{folder}/{id}");
            let request = admin.request(method, &path).json(&json!({}));
            let status = request.send().await.expect("an answer").status().as_u16();
            assert!((400..500).contains(&status), "{path}: {status}");
        }
    }
    for token in [
        "sortie_",
        "sortie_x",
        &format!("sortie_{long}"),
        "a.b.c",
        "é",
    ] {
        let request = server
            .anonymous()
            .get("/api/auth/me")
            .header("authorization", format!("Bearer {token}").into_bytes());
        support::problem(request, 401, "unauthenticated").await;
    }
}
