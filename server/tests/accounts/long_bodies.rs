//! Bodies that are still being received when their caller loses access.

use reqwest::multipart::{Form, Part};

use crate::support::stalled::StalledPatch;
use crate::support::until;
use crate::*;

const BYTES: &[u8] = &[7; 100_000];

/// Ways to lose access.
#[derive(Clone, Copy, Debug)]
enum End {
    Disable,
    SignOut,
    Revoke,
}

const ENDS: [End; 3] = [End::Disable, End::SignOut, End::Revoke];

async fn end_access(server: &TestServer, user: &Client, token_id: &str, end: End) {
    let admin = server.admin().await;
    let request = match end {
        End::Disable => change(&admin, &user.user_id, &json!({ "disabled": true })),
        End::SignOut => user.post("/api/auth/logout"),
        End::Revoke => user.delete(&format!("/api/tokens/{token_id}")),
    };
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{end:?}: {}", answer.status());
}

/// A signed-in user, the client whose access ends in this way, and the ID of its token.
async fn sender(server: &TestServer, end: End) -> (Client, Client, String) {
    let user = server.user(&format!("{end:?}").to_lowercase()).await;
    let body = json!({ "name": "encoder", "scopes": ["record", "read"] });
    let token = json_of(user.post("/api/tokens").json(&body), 201).await;
    let own = match end {
        End::Revoke => token["token"].as_str().map(str::to_owned),
        End::Disable | End::SignOut => user.token.clone(),
    };
    let sender = Client {
        http: user.http.clone(),
        url: user.url.clone(),
        token: own,
        user_id: user.user_id.clone(),
    };
    let id = token["id"].as_str().expect("an ID").to_owned();
    (user, sender, id)
}

#[tokio::test]
async fn body_of_a_patch_ends_with_the_access_of_its_sender() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let checks = ENDS.map(async |end| {
        let (user, sender, token) = sender(&server, end).await;
        let (id, _) = user.start_recording().await;
        let mut body = StalledPatch::live(&sender, &id).await;
        body.send_chunk(BYTES).await;
        end_access(&server, &user, &token, end).await;
        let answer = body.answer_head().await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{end:?}: {answer}");
        let kept = admin.recording(&id).await["size_bytes"].as_u64();
        assert_eq!(kept, Some(BYTES.len() as u64), "{end:?}");
    });
    futures_util::future::join_all(checks).await;
}

#[tokio::test]
async fn form_ends_with_the_access_of_its_sender() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for file_first in [false, true] {
        let user = server.user(&format!("ann{file_first}")).await;
        let (id, session) = user.start_recording().await;
        // A file that never ends.
        let file = futures_util::StreamExt::chain(
            futures_util::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(BYTES))]),
            futures_util::stream::pending(),
        );
        let file = Part::stream(reqwest::Body::wrap_stream(file)).file_name("a.webm");
        let form = match file_first {
            true => Form::new()
                .part("file", file)
                .text("recording_id", id.clone()),
            false => Form::new()
                .text("recording_id", id.clone())
                .part("file", file),
        };
        let path = format!("/api/sessions/{session}/recording/upload");
        let sending = tokio::spawn(user.post(&path).multipart(form).send());
        if !file_first {
            until("the form is received", async || {
                admin.recording(&id).await["status"] == "uploading"
            })
            .await;
        }
        end_access(&server, &user, "", End::Disable).await;
        let answer = sending.await.expect("no panic").expect("an answer");
        assert_eq!(answer.status(), 401, "file first: {file_first}");
    }
}
