//! Erasure of users.

use serde_json::{Value, json};

use crate::support::{Client, TestServer, chromium_webm, json_of, problem};
use crate::until;

async fn erase(admin: &Client, user_id: &str, query: &str, status: u16) -> Value {
    json_of(
        admin.post(&format!("/api/admin/users/{user_id}/erase{query}")),
        status,
    )
    .await
}

async fn verified(admin: &Client) -> bool {
    let found = json_of(admin.get("/api/admin/audit/verify"), 200).await;
    found["ok"] == true
}

/// Every text of every table that an erasure must change.
async fn database_text(server: &TestServer) -> String {
    let database = server.database().await;
    let mut text = String::new();
    for (table, columns) in [
        (
            "users",
            "id, username, username_key, email, display_name, subject, external_key, metadata",
        ),
        ("sessions", "id, user_id, app_id, external_id, metadata"),
        (
            "recordings",
            "id, user_id, filename, upload_metadata, metadata",
        ),
        ("api_tokens", "id, user_id, name"),
        ("sign_ins", "id, user_id, address, user_agent"),
        ("session_labels", "subject_id, owner_id, label"),
        ("audit", "actor_name, address, detail"),
        ("webhook_deliveries", "payload"),
    ] {
        for column in columns.split(", ") {
            let sql = format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL");
            let values: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .fetch_all(&database)
                .await
                .expect("rows");
            text += &values.join("\n");
            text.push('\n');
        }
    }
    text
}

#[tokio::test]
async fn erasure_removes_every_trace_of_a_user_but_pseudonyms() {
    let server = TestServer::with(&[("SORTIE_WEBHOOK_ALLOW_PRIVATE", "true")]).await;
    let admin = server.admin().await;
    let ann = server.user("annabel").await;
    let path = format!("/api/admin/users/{}", ann.user_id);
    let profile = json!({ "email": "annabel@example.org", "display_name": "Annabel Lee", "metadata": { "n": "annabel" } });
    json_of(admin.change(&path, &profile), 200).await;
    // Nothing listens there: the events stay queued.
    let webhook = json!({ "url": "http://127.0.0.1:9/hooks" });
    json_of(admin.post("/api/admin/webhooks").json(&webhook), 201).await;
    let webm = chromium_webm();
    let id = ann.record(&webm).await;
    let recording = format!("/api/recordings/{id}");
    json_of(
        admin.change(&recording, &json!({ "filename": "annabel.webm" })),
        200,
    )
    .await;
    let growing = ann.start_recording().await.0;
    let body = json!({ "app_id": "x", "metadata": { "who": "annabel" } });
    json_of(ann.post("/api/sessions").json(&body), 201).await;
    let token = json!({ "name": "annabel's token", "scopes": ["record"] });
    json_of(ann.post("/api/tokens").json(&token), 201).await;
    let bob = server.user("bob").await;
    let kept = bob.record(&webm).await;
    assert!(database_text(&server).await.contains("annabel"));
    until("an event with the user name is queued", async || {
        let queued = "SELECT COUNT(*) FROM webhook_deliveries WHERE payload LIKE '%annabel%'";
        let queued: i64 = sqlx::query_scalar(queued)
            .fetch_one(&server.database().await)
            .await
            .expect("a count");
        queued > 0
    })
    .await;
    assert!(verified(&admin).await);

    let done = erase(&admin, &ann.user_id, "", 200).await;
    assert_eq!(
        (&done["status"], &done["recordings_left"]),
        (&json!("done"), &json!(0))
    );
    let left = database_text(&server).await;
    assert!(!left.to_lowercase().contains("annabel"), "{left}");
    assert!(verified(&admin).await);
    for id in [&id, &growing] {
        problem(
            admin.get(&format!("/api/recordings/{id}")),
            404,
            "not_found",
        )
        .await;
        let files = std::fs::read_dir(server.recordings()).expect("the folder");
        let names: Vec<_> = files.flatten().map(|file| file.file_name()).collect();
        assert!(
            !names
                .iter()
                .any(|name| name.to_string_lossy().contains(id.as_str())),
            "{names:?}"
        );
    }
    problem(ann.get("/api/auth/me"), 401, "unauthenticated").await;
    problem(admin.get(&path), 404, "not_found").await;
    assert_eq!(bob.recording(&kept).await["status"], "ready");
    // The rows of the log stay, under the pseudonym.
    let rows = admin
        .audit(&format!("actor={}&action=recording.start", ann.user_id))
        .await;
    assert_eq!(rows.len(), 2);
    assert!(
        rows.iter()
            .all(|row| row["actor_name"] == done["pseudonym"]),
        "{rows:?}"
    );
    let requests = admin
        .audit(&format!("subject={}&action=user.erase", ann.user_id))
        .await;
    let details: Vec<_> = requests.iter().map(|row| &row["detail"]).collect();
    assert_eq!(details, ["completed", "requested"]);
    assert_eq!(requests[1]["actor_name"], "admin");

    // Idempotent.
    assert_eq!(erase(&admin, &ann.user_id, "", 200).await, done);
    assert_eq!(
        json_of(admin.get(&format!("{path}/erase")), 200).await,
        done
    );
    let requests = admin
        .audit(&format!("subject={}&action=user.erase", ann.user_id))
        .await;
    assert_eq!(requests.len(), 2);
    // The name is free again.
    server.user("annabel").await;
}

#[tokio::test]
async fn erasure_needs_a_word_for_protected_recordings_and_another_administrator() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let ann = server.user("ann").await;
    let id = ann.record(&chromium_webm()).await;
    let protected = json!({ "protected": true });
    json_of(
        ann.change(&format!("/api/recordings/{id}"), &protected),
        200,
    )
    .await;
    let path = format!("/api/admin/users/{}/erase", ann.user_id);
    let detail = problem(admin.post(&path), 409, "conflict").await;
    assert!(detail.contains("include_protected=true"), "{detail}");
    // Nothing has changed.
    assert_eq!(ann.recording(&id).await["status"], "ready");
    problem(admin.get(&path), 404, "not_found").await;
    erase(&admin, &ann.user_id, "?include_protected=true", 200).await;

    problem(
        admin.post(&format!("{path}?include_protected=maybe")),
        400,
        "invalid_field",
    )
    .await;
    problem(
        admin.post(&format!("/api/admin/users/{}/erase", admin.user_id)),
        409,
        "conflict",
    )
    .await;
    for unknown in ["unknown", "%00"] {
        problem(
            admin.post(&format!("/api/admin/users/{unknown}/erase")),
            404,
            "not_found",
        )
        .await;
    }
}

#[tokio::test]
async fn erasure_waits_for_a_failing_storage_and_survives_a_restart() {
    let mut server = TestServer::start().await;
    let admin = server.admin().await;
    let ann = server.user("ann").await;
    let id = ann.record(&chromium_webm()).await;
    let name = ann.recording(&id).await["storage_path"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let file = server.file(&name);
    // A folder in the place of the file cannot be deleted.
    std::fs::remove_file(&file).expect("the file");
    std::fs::create_dir(&file).expect("a folder");
    let pending = erase(&admin, &ann.user_id, "", 202).await;
    assert_eq!(
        (&pending["status"], &pending["recordings_left"]),
        (&json!("pending"), &json!(1))
    );
    problem(ann.get("/api/auth/me"), 401, "unauthenticated").await;

    server.restart().await;
    let admin = server.admin().await;
    let path = format!("/api/admin/users/{}/erase", ann.user_id);
    assert_eq!(json_of(admin.get(&path), 200).await["status"], "pending");
    std::fs::remove_dir(&file).expect("the folder");
    until("the erasure completes", async || {
        json_of(admin.get(&path), 200).await["status"] == "done"
    })
    .await;
    assert!(verified(&admin).await);
    assert!(!database_text(&server).await.contains("ann"));
}

#[tokio::test]
async fn recordings_of_a_deleted_user_can_be_erased() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let ann = server.user("annabel").await;
    let id = ann.record(&chromium_webm()).await;
    let deleted = admin
        .delete(&format!("/api/admin/users/{}", ann.user_id))
        .send()
        .await;
    assert_eq!(deleted.expect("an answer").status(), 204);
    assert_eq!(admin.recording(&id).await["status"], "ready");
    erase(&admin, &ann.user_id, "", 200).await;
    problem(
        admin.get(&format!("/api/recordings/{id}")),
        404,
        "not_found",
    )
    .await;
    assert!(!database_text(&server).await.contains("annabel"));
    assert!(verified(&admin).await);
}

/// Creates a webhook at a receiver; returns its path.
#[cfg(feature = "webhooks")]
async fn webhook_to(admin: &Client, receiver: &crate::webhook_receiver::Receiver) -> String {
    let body = json!({ "url": receiver.url });
    let created = json_of(admin.post("/api/admin/webhooks").json(&body), 201).await;
    format!(
        "/api/admin/webhooks/{}",
        created["id"].as_str().expect("an id")
    )
}

#[cfg(feature = "webhooks")]
#[tokio::test]
async fn events_that_are_queued_after_an_erasure_are_complete_and_without_personal_data() {
    let server = TestServer::with(&[("SORTIE_WEBHOOK_ALLOW_PRIVATE", "true")]).await;
    let admin = server.admin().await;
    let ann = server.user("annabel").await;
    let receiver = crate::webhook_receiver::Receiver::start().await;
    let webhook = webhook_to(&admin, &receiver).await;
    crate::webhooks::block_queue(&server, &webhook).await;
    let session = json!({ "app_id": "x", "metadata": { "who": "annabel" } });
    json_of(ann.post("/api/sessions").json(&session), 201).await;
    let id = ann.record(&chromium_webm()).await;
    erase(&admin, &ann.user_id, "", 200).await;
    crate::webhooks::release_queue(&server).await;
    until("the deletion arrives", async || {
        receiver.events().iter().any(|it| it == "recording.deleted")
    })
    .await;
    until("the sessions end", async || {
        let events = receiver.events();
        let count = |name: &str| events.iter().filter(|it| *it == name).count();
        count("session.started") == 2 && count("session.ended") == 2
    })
    .await;
    for name in ["recording.started", "recording.ready"] {
        assert!(receiver.events().iter().any(|it| it == name), "{name}");
    }
    let text = format!("{:?}", receiver.received());
    assert!(!text.contains("annabel"), "{text}");
    assert!(text.contains(&id));
    assert!(!database_text(&server).await.contains("annabel"));
}

#[tokio::test]
async fn erasure_finds_names_in_rows_about_deleted_recordings_and_tokens() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let ann = server.user("annabel").await;
    let id = ann.record(&chromium_webm()).await;
    let session = ann.recording(&id).await["session_id"].clone();
    let start = format!(
        "/api/sessions/{}/recording/start",
        session.as_str().expect("an id")
    );
    let part = json_of(ann.post(&start).json(&json!({ "continues": id })), 201).await;
    let part = part["recording_id"].as_str().expect("an id").to_owned();
    for id in [&id, &part] {
        let name = json!({ "filename": "annabel.webm" });
        let path = format!("/api/recordings/{id}");
        json_of(admin.change(&path, &name), 200).await;
    }
    let deleted = admin.delete(&format!("/api/recordings/{id}")).send().await;
    assert_eq!(deleted.expect("an answer").status(), 204);
    let growing = ann.start_recording().await.0;
    let start = format!(
        "/api/sessions/{}/recording/start",
        ann.recording(&growing).await["session_id"]
            .as_str()
            .expect("an id")
    );
    let body = json!({ "continues": growing });
    let part = json_of(ann.post(&start).json(&body), 201).await;
    let path = format!(
        "/api/recordings/{}",
        part["recording_id"].as_str().expect("an id")
    );
    json_of(
        admin.change(&path, &json!({ "filename": "annabel 2.webm" })),
        200,
    )
    .await;
    let token = json!({ "name": "annabel's laptop", "scopes": ["record"] });
    let token = json_of(ann.post("/api/tokens").json(&token), 201).await;
    let path = format!("/api/tokens/{}", token["id"].as_str().expect("an id"));
    let revoked = admin.delete(&path).send().await.expect("an answer");
    assert_eq!(revoked.status(), 204);
    let login = json!({ "username": "annabel", "password": "wrong password" });
    let login = server.anonymous().post("/api/auth/login").json(&login);
    assert_eq!(login.send().await.expect("an answer").status(), 401);
    let export = admin.get("/api/admin/audit/export?format=jsonl&actor=annabel");
    assert_eq!(export.send().await.expect("an answer").status(), 200);
    assert!(database_text(&server).await.contains("annabel's laptop"));

    erase(&admin, &ann.user_id, "", 200).await;
    let left = database_text(&server).await;
    assert!(!left.contains("annabel"), "{left}");
    let subject = format!("subject={}&action=sign_in&result=denied", ann.user_id);
    let refused = admin.audit(&subject).await;
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["address"], Value::Null, "{refused:?}");
    assert!(verified(&admin).await);
}

#[tokio::test]
async fn pending_erasure_cannot_be_evaded() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let ann = server.user("ann").await;
    let id = ann.record(&chromium_webm()).await;
    let name = ann.recording(&id).await["storage_path"].clone();
    let file = server.file(name.as_str().expect("a path"));
    // A folder in the place of the file cannot be deleted.
    std::fs::remove_file(&file).expect("the file");
    std::fs::create_dir(&file).expect("a folder");
    erase(&admin, &ann.user_id, "", 202).await;

    let path = format!("/api/admin/users/{}", ann.user_id);
    let enable = json!({ "disabled": false, "password": "a good password" });
    problem(admin.change(&path, &enable), 409, "conflict").await;
    for how in [
        "",
        "?recordings=keep",
        "?recordings=transfer",
        "?recordings=delete",
    ] {
        problem(admin.delete(&format!("{path}{how}")), 409, "conflict").await;
    }
    let session = json!({ "app_id": "x", "user_id": ann.user_id });
    problem(admin.post("/api/sessions").json(&session), 409, "conflict").await;
    assert_eq!(json_of(admin.get(&path), 200).await["disabled"], true);
    std::fs::remove_dir(&file).expect("the folder");
    until("the erasure completes", async || {
        let erasure = json_of(admin.get(&format!("{path}/erase")), 200).await;
        erasure["status"] == "done"
    })
    .await;
    problem(admin.change(&path, &enable), 404, "not_found").await;
}

#[cfg(feature = "webhooks")]
#[tokio::test]
async fn sessions_of_deleted_and_erased_users_end() {
    let server = TestServer::with(&[("SORTIE_WEBHOOK_ALLOW_PRIVATE", "true")]).await;
    let admin = server.admin().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let receiver = crate::webhook_receiver::Receiver::start().await;
    webhook_to(&admin, &receiver).await;
    let sessions = [ann.session().await, bob.session().await];
    erase(&admin, &ann.user_id, "", 200).await;
    let deleted = admin.delete(&format!("/api/admin/users/{}", bob.user_id));
    assert_eq!(deleted.send().await.expect("an answer").status(), 204);
    until("both sessions end", async || {
        let received = receiver.received();
        sessions.iter().all(|session| {
            received
                .iter()
                .any(|it| it.event() == "session.ended" && it.subject() == *session)
        })
    })
    .await;
}

#[tokio::test]
async fn first_administrator_can_be_erased_after_deletion() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let created = admin.audit(&format!("subject={}", admin.user_id)).await;
    assert!(
        created.iter().any(|row| row["action"] == "user.create"),
        "{created:?}"
    );
    let second =
        json!({ "username": "second", "password": "a good password", "roles": ["user", "admin"] });
    json_of(admin.post("/api/admin/users").json(&second), 201).await;
    let second = server.sign_in("second", "a good password").await;
    // A log of an earlier version has no row of the creation.
    let database = server.database().await;
    let changed =
        sqlx::query("UPDATE audit SET action = 'sign_in' WHERE action = 'user.create' AND seq = 1");
    changed.execute(&database).await.expect("a change");
    let deleted = second.delete(&format!("/api/admin/users/{}", admin.user_id));
    assert_eq!(deleted.send().await.expect("an answer").status(), 204);
    erase(&second, &admin.user_id, "", 200).await;
    for unknown in ["system", ""] {
        let path = format!("/api/admin/users/{unknown}/erase");
        let answer = second.post(&path).send().await.expect("an answer");
        assert_eq!(answer.status(), 404, "{unknown}");
    }
}

/// Another server knows a disabled user until its cache expires.
#[cfg(feature = "postgres")]
#[tokio::test]
async fn denial_of_an_erased_user_at_another_server_has_no_name() {
    let server = TestServer::start().await;
    if !server.database_address().starts_with("postgres") {
        return;
    }
    let dsn = server.database_address();
    let other = TestServer::with(&[("SORTIE_DB_TYPE", "postgres"), ("SORTIE_DB_DSN", &dsn)]).await;
    let admin = server.admin().await;
    let ann = server.user("annabel").await;
    let foreign = admin.session().await;
    let ann = ann.at(&other.url);
    json_of(ann.get("/api/auth/me"), 200).await;
    erase(&admin, &ann.user_id, "", 200).await;
    let path = format!("/api/sessions/{foreign}");
    problem(ann.get(&path), 403, "forbidden").await;
    assert!(!database_text(&server).await.contains("annabel"));
    let rows = admin
        .audit(&format!("actor={}&action=session.access", ann.user_id))
        .await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["address"], Value::Null);
    assert!(verified(&admin).await);
}
