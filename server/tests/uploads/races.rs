//! Pairs of concurrent requests: the invariants hold in either order.

use crate::support::{Client, TestServer, chromium_webm, json_of, problem};
use reqwest::Method;
use serde_json::{Value, json};

async fn administrator(server: &TestServer, name: &str) -> Client {
    let person = json!({ "username": name, "password": "a good password", "roles": ["admin"] });
    let admin = server.admin().await;
    json_of(admin.post("/api/admin/users").json(&person), 201).await;
    server.sign_in(name, "a good password").await
}

async fn status(client: &Client, method: Method, path: &str, body: &Value) -> u16 {
    let answer = client.request(method, path).json(body).send().await;
    answer.expect("an answer").status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn mutual_demotion_leaves_one_administrator() {
    let server = TestServer::start().await;
    let root = server.admin().await;
    let user = |person: &Client| format!("/api/admin/users/{}", person.user_id);
    for (n, body) in [
        json!({ "roles": ["user"] }),
        json!({ "disabled": true }),
        json!({ "roles": ["user"] }),
    ]
    .iter()
    .enumerate()
    {
        let (ann, bob) = (
            administrator(&server, &format!("ann{n}")).await,
            administrator(&server, &format!("bob{n}")).await,
        );
        // The first administrator demotes the other while there are two.
        let back = json!({ "roles": ["user"] });
        assert_eq!(status(&root, Method::PATCH, &user(&root), &back).await, 200);
        let (bobs, anns) = (user(&bob), user(&ann));
        let (one, other) = tokio::join!(
            status(&ann, Method::PATCH, &bobs, body),
            status(&bob, Method::PATCH, &anns, body),
        );
        // The second request comes from a demoted user, or would remove the last administrator.
        assert!(
            matches!(
                (one, other),
                (200, 401 | 403 | 409) | (401 | 403 | 409, 200)
            ),
            "{one} {other}"
        );
        let left = if one == 200 { &ann } else { &bob };
        let everybody = json_of(left.get("/api/admin/users"), 200).await;
        let administrators = everybody.as_array().into_iter().flatten().filter(|person| {
            let roles = person["roles"].as_array().expect("a list");
            roles.contains(&json!("admin")) && person["disabled"] != json!(true)
        });
        assert_eq!(administrators.count(), 1);
        let again = json!({ "roles": ["admin"] });
        assert_eq!(status(left, Method::PATCH, &user(&root), &again).await, 200);
        assert_eq!(status(&root, Method::PATCH, &user(left), &back).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rename_during_the_finish_is_kept() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let bytes = chromium_webm();
    for n in 0..5 {
        let (id, _) = client.start_recording().await;
        let (recording, name) = (format!("/api/recordings/{id}"), format!("talk {n}.webm"));
        let rename = json!({ "filename": name });
        let last = client
            .patch(&format!("/api/uploads/{id}"), 0, bytes.clone())
            .header("Upload-Length", bytes.len())
            .send();
        let (finished, renamed) =
            tokio::join!(last, status(&client, Method::PATCH, &recording, &rename));
        assert_eq!(
            (finished.expect("an answer").status().as_u16(), renamed),
            (204, 200)
        );
        let row = client.recording(&id).await;
        assert_eq!(
            (&row["status"], &row["filename"]),
            (&json!("ready"), &json!(name))
        );
    }
}

#[tokio::test]
async fn recording_patch_without_an_object_returns_400() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let id = client.record(&chromium_webm()).await;
    let path = format!("/api/recordings/{id}");
    for body in [
        json!([]),
        json!([true, "name.webm"]),
        json!([{}]),
        json!("x"),
        json!(null),
    ] {
        let change = client.request(Method::PATCH, &path).json(&body);
        problem(change, 400, "invalid_field").await;
    }
}

#[tokio::test]
async fn ended_session_stays_ended() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    for end in ["stopped", "expired", "failed"] {
        let session = client.session().await;
        let path = format!("/api/sessions/{session}");
        let ended = client
            .request(Method::PATCH, &path)
            .json(&json!({ "status": end }));
        json_of(ended, 200).await;
        for other in ["creating", "running", "stopped", "expired", "failed"] {
            let change = client
                .request(Method::PATCH, &path)
                .json(&json!({ "status": other }));
            if other == end {
                // An equal value changes nothing.
                assert_eq!(json_of(change, 200).await["status"], end);
            } else {
                problem(change, 409, "conflict").await;
            }
        }
        assert_eq!(json_of(client.get(&path), 200).await["status"], end);
    }
}

/// The sender of a deleted session has a grace time; then it is refused.
#[tokio::test]
async fn sender_of_a_deleted_session_is_refused() {
    let server = TestServer::with(&[("SORTIE_RECORDING_SILENCE_SECONDS", "60")]).await;
    let client = server.admin().await;
    let (id, session) = client.start_recording().await;
    let bytes = chromium_webm();
    let upload = format!("/api/uploads/{id}");
    let first = client
        .patch(&upload, 0, bytes[..10_000].to_vec())
        .send()
        .await;
    assert_eq!(first.expect("an answer").status(), 204);
    let gone = client
        .delete(&format!("/api/sessions/{session}"))
        .send()
        .await;
    assert_eq!(gone.expect("an answer").status(), 204);
    let mut at = 10_000;
    let ended = async {
        loop {
            // Sends small chunks while time passes, as the stream must not end before the server notices.
            server.clock.advance(std::time::Duration::from_millis(100));
            let end = (at + 1).min(bytes.len());
            let patch = client.patch(&upload, at as u64, bytes[at..end].to_vec());
            let answer = patch.send().await.expect("an answer").status().as_u16();
            match answer {
                204 if end < bytes.len() => at = end,
                204 => panic!("the sender was never refused"),
                423 => {}
                other => return other,
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let ended = tokio::time::timeout(std::time::Duration::from_secs(120), ended).await;
    assert!(matches!(ended, Ok(404 | 409 | 410)), "{ended:?}");
    let recording = client.recording(&id).await;
    assert_eq!(recording["status"], "ready", "{recording}");
}
