//! External IDs and metadata of sessions, recordings and users.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::{Client, START_MS, TestServer, chromium_webm, header, json_of, problem};

const SECRET: &str = "the platform's secret of 32 bytes or more";

/// IDs of a list, page by page.
async fn ids(client: &Client, path: &str) -> Vec<String> {
    let (mut path, mut found) = (path.to_owned(), Vec::new());
    loop {
        let answer = client.get(&path).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        let link = header(&answer, "link");
        let rows: Vec<Value> = answer.json().await.expect("JSON");
        let ids = rows.iter().filter_map(|row| row["id"].as_str());
        found.extend(ids.map(str::to_owned));
        match link
            .split_once("<")
            .and_then(|(_, rest)| rest.split_once('>'))
        {
            Some((next, _)) => next.clone_into(&mut path),
            None => return found,
        }
    }
}

fn id_of(value: &Value) -> String {
    value["id"].as_str().unwrap_or_default().to_owned()
}

async fn new_session(client: &Client, external_id: &str, course: &str) -> String {
    let body = json!({ "app_id": "exam", "external_id": external_id, "metadata": { "course": course, "room": 3 } });
    let session = json_of(client.post("/api/sessions").json(&body), 201).await;
    assert_eq!(session["external_id"], external_id);
    assert_eq!(session["metadata"], body["metadata"]);
    id_of(&session)
}

#[tokio::test]
async fn sessions_are_found_by_external_id_and_metadata() {
    let server = TestServer::start().await;
    let (admin, ann, bob) = (
        server.admin().await,
        server.user("ann").await,
        server.user("bob").await,
    );
    let mut biology = Vec::new();
    for number in 0..5 {
        biology.push(new_session(&ann, &format!("exam-{number}"), "biology").await);
        new_session(&ann, &format!("other-{number}"), "history").await;
    }
    // Unique per owner: another user may use the same ID.
    let theirs = new_session(&bob, "exam-0", "biology").await;
    let again = json!({ "app_id": "exam", "external_id": "exam-0" });
    problem(
        ann.post("/api/sessions").json(&again),
        409,
        "already_exists",
    )
    .await;

    biology.reverse();
    for query in [
        "metadata=course%3Dbiology&limit=2",
        "metadata=course=biology",
        "metadata=%7B%22course%22:%22biology%22,%22room%22:3%7D",
        "metadata=course=biology&status=running&limit=2",
    ] {
        let found = ids(&ann, &format!("/api/sessions?{query}")).await;
        assert_eq!(found, biology, "{query}");
    }
    let one = ids(&ann, "/api/sessions?external_id=exam-0").await;
    assert_eq!(one, biology[4..]);
    let both = ids(&admin, "/api/sessions?all=true&external_id=exam-0").await;
    assert_eq!(both, [theirs.clone(), biology[4].clone()]);
    for nothing in [
        "external_id=exam",
        "metadata=course=chemistry",
        "metadata=room=3&status=stopped",
    ] {
        let found = ids(&ann, &format!("/api/sessions?{nothing}")).await;
        assert!(found.is_empty(), "{nothing}: {found:?}");
    }
    problem(
        ann.get("/api/sessions?metadata=course"),
        400,
        "invalid_field",
    )
    .await;

    // A change replaces the whole object; null removes.
    let path = format!("/api/sessions/{}", biology[0]);
    let change = json!({ "external_id": null, "metadata": { "course": "physics" } });
    let changed = json_of(ann.change(&path, &change), 200).await;
    assert_eq!(changed["external_id"], Value::Null);
    assert_eq!(changed["metadata"], json!({ "course": "physics" }));
    assert!(
        ids(&ann, "/api/sessions?metadata=room=3")
            .await
            .iter()
            .all(|id| *id != biology[0])
    );
    assert_eq!(
        ids(&ann, "/api/sessions?metadata=course=physics").await,
        biology[..1]
    );
    let taken = json!({ "external_id": "exam-0" });
    problem(ann.change(&path, &taken), 409, "already_exists").await;
    for wrong in [
        json!({ "metadata": { "a": "x".repeat(4096) } }),
        json!({ "metadata": { "a": [[[[1]]]] } }),
        json!({ "external_id": "" }),
        json!({ "external_id": "a\u{0}b" }),
    ] {
        problem(ann.change(&path, &wrong), 400, "invalid_field").await;
    }
    problem(bob.change(&path, &change), 403, "forbidden").await;
    // The audit log names what has changed, not the values.
    let rows = admin
        .audit(&format!("subject={}&action=session.change", biology[0]))
        .await;
    assert_eq!(rows[0]["detail"], "external ID, metadata");

    let deleted = ann.delete(&path).send().await.expect("an answer");
    assert_eq!(deleted.status(), 204);
    assert!(
        ids(&ann, "/api/sessions?metadata=course=physics")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn recordings_are_labelled_at_creation_and_later() {
    let server = TestServer::start().await;
    let (admin, ann, bob) = (
        server.admin().await,
        server.user("ann").await,
        server.user("bob").await,
    );
    let webm = chromium_webm();
    let session = ann.session().await;
    let body = json!({ "external_id": "attempt-1", "metadata": { "course": "biology" } });
    let start = format!("/api/sessions/{session}/recording/start");
    let started = json_of(ann.post(&start).json(&body), 201).await;
    let by_start = started["recording_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let shown = ann.recording(&by_start).await;
    assert_eq!(
        (&shown["external_id"], &shown["metadata"]),
        (&body["external_id"], &body["metadata"])
    );

    // The labels belong to the first part: those of a next part are ignored.
    let next = json!({ "continues": by_start, "external_id": "attempt-9" });
    let next = json_of(ann.post(&start).json(&next), 201).await;
    let part = next["recording_id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(ann.recording(&part).await["external_id"], Value::Null);

    let encoded = |text: &str| STANDARD.encode(text);
    let metadata = format!(
        "filename {},external_id {},metadata {}",
        encoded("x.webm"),
        encoded("attempt-1"),
        encoded(r#"{"course":"biology","grade":2}"#)
    );
    let upload = ann
        .create_upload(&[
            ("Upload-Length", &webm.len().to_string()),
            ("Upload-Metadata", &metadata),
        ])
        .await;
    let by_tus = upload.rsplit('/').next().unwrap_or_default().to_owned();
    let wrong = format!("metadata {}", encoded("[1]"));
    let refused = ann
        .tus(reqwest::Method::POST, "/api/uploads")
        .header("Upload-Length", "5")
        .header("Upload-Metadata", wrong);
    problem(refused, 400, "invalid_field").await;

    // Several recordings may have one external ID: a label never refuses an upload.
    let expected = [by_tus.clone(), by_start.clone()];
    for query in [
        "external_id=attempt-1&limit=1",
        "metadata=course=biology",
        "metadata=course=biology&external_id=attempt-1&order=desc&status=recording",
    ] {
        assert_eq!(
            ids(&ann, &format!("/api/recordings?{query}")).await,
            expected,
            "{query}"
        );
        assert_eq!(
            ids(&admin, &format!("/api/admin/recordings?{query}")).await,
            expected,
            "{query}"
        );
        assert!(
            ids(&bob, &format!("/api/recordings?{query}"))
                .await
                .is_empty(),
            "{query}"
        );
    }
    assert_eq!(
        ids(&ann, "/api/recordings?metadata=grade=2").await,
        std::slice::from_ref(&by_tus)
    );
    let sorted = ann.get("/api/recordings?metadata=grade=2&sort=size");
    problem(sorted, 400, "invalid_field").await;

    // A change of a part is one of the recording.
    let path = format!("/api/recordings/{part}");
    json_of(
        ann.change(&path, &json!({ "metadata": { "grade": 2 } })),
        200,
    )
    .await;
    assert_eq!(
        ann.recording(&by_start).await["metadata"],
        json!({ "grade": 2 })
    );
    assert_eq!(
        ids(&ann, "/api/recordings?metadata=grade=2").await,
        expected
    );
    assert_eq!(
        ids(&ann, "/api/recordings?metadata=course=biology").await,
        std::slice::from_ref(&by_tus)
    );

    // Recordings of a deleted user that are transferred are found by their new owner.
    let path = format!("/api/admin/users/{}?recordings=transfer", ann.user_id);
    let deleted = admin.delete(&path).send().await.expect("an answer");
    assert_eq!(deleted.status(), 204);
    assert_eq!(
        ids(&admin, "/api/recordings?external_id=attempt-1").await,
        expected
    );
}

#[tokio::test]
async fn users_are_found_by_external_id_metadata_and_subject() {
    let server = TestServer::with(&[("SORTIE_AUTH_JWT_SECRET", SECRET)]).await;
    let admin = server.admin().await;
    let new = |name: &str, external_id: &str| {
        json!({ "username": name, "password": "a good password", "external_id": external_id,
            "metadata": { "tenant": "north" } })
    };
    let mut north = Vec::new();
    for name in ["ada", "ben", "cleo"] {
        let body = new(name, &format!("p-{name}"));
        let created = json_of(admin.post("/api/admin/users").json(&body), 201).await;
        assert_eq!(
            (&created["external_id"], &created["metadata"]),
            (&body["external_id"], &body["metadata"])
        );
        north.push(id_of(&created));
    }
    let taken = admin
        .post("/api/admin/users")
        .json(&new("dan", "p-ada"))
        .send()
        .await;
    assert_eq!(taken.expect("an answer").status(), 409);
    let list = "/api/admin/users";
    assert_eq!(
        ids(&admin, &format!("{list}?metadata=tenant=north&limit=2")).await,
        north
    );
    assert_eq!(
        ids(&admin, &format!("{list}?external_id=p-ben")).await,
        north[1..2]
    );
    assert_eq!(ids(&admin, &format!("{list}?q=P-BEN")).await, north[1..2]);
    let path = format!("{list}/{}", north[0]);
    problem(
        admin.change(&path, &json!({ "external_id": "p-ben" })),
        409,
        "already_exists",
    )
    .await;
    let change = json!({ "external_id": "p-new", "metadata": null });
    let changed = json_of(admin.change(&path, &change), 200).await;
    assert_eq!(
        (&changed["external_id"], &changed["metadata"]),
        (&json!("p-new"), &Value::Null)
    );
    assert_eq!(
        ids(&admin, &format!("{list}?metadata=tenant=north")).await,
        north[1..]
    );

    // A user of the platform, created by its token.
    let claims = json!({ "sub": "crm|4711", "name": "Zoë", "exp": START_MS / 1000 + 86_400 });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&Header::default(), &claims, &key).expect("a token");
    let mut zoe = server.anonymous();
    zoe.token = Some(token);
    let me = json_of(zoe.get("/api/auth/me"), 200).await;
    assert_eq!(me["subject"], Value::Null, "for administrators only");
    let shown = json_of(admin.get(&format!("{list}/{}", id_of(&me))), 200).await;
    assert_eq!(shown["subject"], "crm|4711");
    for query in ["subject=crm%7C4711", "q=CRM%7C47"] {
        assert_eq!(
            ids(&admin, &format!("{list}?{query}")).await,
            [id_of(&me)],
            "{query}"
        );
    }
    assert!(ids(&admin, &format!("{list}?subject=crm")).await.is_empty());
    // The labels of a platform's user, too, are for administrators only.
    let path = format!("{list}/{}", id_of(&me));
    json_of(
        admin.change(&path, &json!({ "metadata": { "note": "x" } })),
        200,
    )
    .await;
    assert_eq!(
        json_of(zoe.get("/api/auth/me"), 200).await["metadata"],
        Value::Null
    );
}

#[tokio::test]
async fn refused_change_of_a_session_changes_nothing() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    new_session(&ann, "exam-1", "biology").await;
    let session = new_session(&ann, "exam-2", "biology").await;
    let path = format!("/api/sessions/{session}");
    let change = json!({ "status": "stopped", "external_id": "exam-1", "recording": "required" });
    problem(ann.change(&path, &change), 409, "already_exists").await;
    let shown = json_of(ann.get(&path), 200).await;
    assert_eq!(
        (&shown["status"], &shown["external_id"], &shown["recording"]),
        (&json!("running"), &json!("exam-2"), &json!("optional"))
    );
    json_of(ann.post(&format!("{path}/stop")), 200).await;
    let change = json!({ "status": "running", "metadata": { "course": "history" } });
    problem(ann.change(&path, &change), 409, "conflict").await;
    let shown = json_of(ann.get(&path), 200).await;
    assert_eq!(shown["metadata"]["course"], "biology");
}

#[tokio::test]
async fn owner_cannot_change_what_an_administrator_has_set() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let webm = chromium_webm();
    let session = json!({
        "app_id": "exam", "user_id": ann.user_id, "external_id": "exam-1", "metadata": { "course": "biology" },
        "auto_record": true,
    });
    let session = id_of(&json_of(admin.post("/api/sessions").json(&session), 201).await);
    let session = format!("/api/sessions/{session}");
    let recording = ann.record(&webm).await;
    let recording = format!("/api/recordings/{recording}");
    let grade = json!({ "metadata": { "grade": 2 } });
    json_of(admin.change(&recording, &grade), 200).await;
    for (path, change) in [
        (&session, json!({ "external_id": null })),
        (&session, json!({ "metadata": {}, "status": "stopped" })),
        (&session, json!({ "auto_record": false })),
        (
            &recording,
            json!({ "metadata": { "grade": 1 }, "protected": true }),
        ),
    ] {
        let detail = problem(ann.change(path, &change), 403, "forbidden").await;
        assert!(detail.contains("administrator"), "{change}: {detail}");
    }
    let shown = json_of(ann.get(&session), 200).await;
    assert_eq!(
        (
            &shown["status"],
            &shown["external_id"],
            &shown["auto_record"]
        ),
        (&json!("running"), &json!("exam-1"), &json!(true))
    );
    let shown = json_of(ann.get(&recording), 200).await;
    assert_eq!(
        (&shown["metadata"], &shown["protected"]),
        (&json!({ "grade": 2 }), &json!(false))
    );
    // The same values are no change; labels that the owner has set stay the owner's.
    let same = json!({ "external_id": "exam-1", "metadata": { "course": "biology" }, "auto_record": true });
    json_of(ann.change(&session, &same), 200).await;
    for id in ["attempt-1", "attempt-2"] {
        json_of(ann.change(&recording, &json!({ "external_id": id })), 200).await;
    }
    // An administrator changes and releases them.
    json_of(
        admin.change(&session, &json!({ "metadata": { "course": "history" } })),
        200,
    )
    .await;
    json_of(
        admin.change(&session, &json!({ "metadata": null, "auto_record": null })),
        200,
    )
    .await;
    let change = json!({ "metadata": { "own": 1 }, "auto_record": false });
    json_of(ann.change(&session, &change), 200).await;
    // Administrators change their own sessions with any of their tokens.
    let own = new_session(&admin, "own", "biology").await;
    let token = json!({ "name": "t", "scopes": ["record"] });
    let token = json_of(admin.post("/api/tokens").json(&token), 201).await;
    let mut service = admin.at(&server.url);
    service.token = token["token"].as_str().map(str::to_owned);
    let change = json!({ "external_id": "own-2" });
    json_of(
        service.change(&format!("/api/sessions/{own}"), &change),
        200,
    )
    .await;
}

#[tokio::test]
async fn change_to_the_same_values_is_not_audited() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let session = format!(
        "/api/sessions/{}",
        new_session(&ann, "exam-1", "biology").await
    );
    let recording = format!("/api/recordings/{}", ann.record(&chromium_webm()).await);
    let labels = json!({ "external_id": "a", "metadata": { "b": 1 } });
    json_of(ann.change(&recording, &labels), 200).await;
    let rows = async || {
        let verified = json_of(admin.get("/api/admin/audit/verify"), 200).await;
        verified["rows"].as_u64().expect("a number")
    };
    let before = rows().await;
    let same = json!({
        "external_id": "exam-1", "metadata": { "room": 3, "course": "biology" }, "auto_record": null,
        "recording": "optional", "status": "running",
    });
    for _ in 0..3 {
        json_of(ann.change(&session, &same), 200).await;
        json_of(ann.change(&recording, &labels), 200).await;
    }
    assert_eq!(rows().await, before);
}

#[tokio::test]
async fn labels_that_would_be_stored_differently_are_refused() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let session = format!(
        "/api/sessions/{}",
        new_session(&ann, "exam-1", "biology").await
    );
    let large = ann
        .request(reqwest::Method::PATCH, &session)
        .header("content-type", "application/json")
        .body(r#"{"metadata":{"id":12345678901234567890123}}"#);
    problem(large, 400, "invalid_field").await;
    for name in ["external_id", "metadata"] {
        let invalid = format!("{name} {}", STANDARD.encode(b"\xff"));
        let refused = ann
            .tus(reqwest::Method::POST, "/api/uploads")
            .header("Upload-Length", "5")
            .header("Upload-Metadata", invalid);
        problem(refused, 400, "invalid_field").await;
    }
}
