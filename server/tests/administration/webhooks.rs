use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, TestServer, chromium_webm, header, json_of, problem, until};
use crate::webhook_receiver::{Answer, Receiver};
use crate::{DAY, MINUTE};

const PRIVATE: (&str, &str) = ("SORTIE_WEBHOOK_ALLOW_PRIVATE", "true");

async fn server() -> TestServer {
    TestServer::with(&[PRIVATE]).await
}

/// Creates a webhook; returns its path and its secret.
async fn create(admin: &Client, url: &str, events: &[&str]) -> (String, String) {
    let body = json!({ "url": url, "events": events });
    let created = json_of(admin.post("/api/admin/webhooks").json(&body), 201).await;
    let id = created["id"].as_str().expect("an id");
    let secret = created["secret"].as_str().expect("a secret");
    (format!("/api/admin/webhooks/{id}"), secret.to_owned())
}

async fn deliveries(admin: &Client, webhook: &str, query: &str) -> Vec<Value> {
    let list = json_of(admin.get(&format!("{webhook}/deliveries{query}")), 200).await;
    list.as_array().expect("an array").clone()
}

#[tokio::test]
async fn events_of_a_recording_arrive_in_order_and_signed() {
    let server = server().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let receiver = Receiver::start().await;
    // Events before the creation are not sent.
    ann.session().await;
    let (_, secret) = create(&admin, &format!("{}/hooks", receiver.url), &[]).await;
    let id = ann.record(&chromium_webm()).await;
    let recording = ann.recording(&id).await;
    // An event has the state of the time when it is queued.
    until("it is ready", async || {
        receiver.events().iter().any(|it| it == "recording.ready")
    })
    .await;
    let session = recording["session_id"].as_str().expect("an id");
    json_of(ann.post(&format!("/api/sessions/{session}/stop")), 200).await;
    let deleted = ann.delete(&format!("/api/recordings/{id}")).send().await;
    assert_eq!(deleted.expect("an answer").status(), 204);
    until("all events arrive", async || receiver.received().len() >= 5).await;
    let received = receiver.received();
    let of = |subject: &str| {
        let of_subject = received.iter().filter(|it| it.subject() == subject);
        of_subject.map(|it| it.event()).collect::<Vec<_>>()
    };
    assert_eq!(
        of(&id),
        ["recording.started", "recording.ready", "recording.deleted"]
    );
    assert_eq!(of(session), ["session.started", "session.ended"]);
    for request in &received {
        assert!(request.is_signed_with(&secret), "{request:?}");
        assert_eq!(request.path, "/hooks");
        assert!(request.id.starts_with("evt_"), "{request:?}");
        let seconds: i64 = request.timestamp.parse().expect("a number");
        assert_eq!(seconds, crate::support::START_MS / 1000);
        let body = request.json();
        assert_eq!(body["timestamp"], "2026-11-21T09:30:00.000Z");
        assert_eq!(body["data"]["user_id"], ann.user_id.as_str(), "{body}");
        let mut keys: Vec<_> = body.as_object().expect("an object").keys().collect();
        keys.sort();
        assert_eq!(keys, ["data", "timestamp", "type"]);
    }
    let ready = received.iter().find(|it| it.event() == "recording.ready");
    let ready = ready.expect("the event").json();
    assert_eq!(ready["data"]["recording"]["session_id"], session);
}

#[tokio::test]
async fn silent_recording_is_interrupted_and_then_ready() {
    let server = server().await;
    let admin = server.admin().await;
    let receiver = Receiver::start().await;
    create(
        &admin,
        &receiver.url,
        &["recording.ready", "recording.interrupted"],
    )
    .await;
    let (id, _) = admin.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    let sent = admin.patch(&upload, 0, chromium_webm()).send().await;
    assert_eq!(sent.expect("an answer").status(), 204);
    until("the silent recording is finished", async || {
        server.clock.advance(MINUTE);
        receiver.received().len() >= 2
    })
    .await;
    assert_eq!(
        receiver.events(),
        ["recording.interrupted", "recording.ready"]
    );
    let received = receiver.received();
    assert_eq!(received[1].json()["data"]["recording"]["interrupted"], true);
    assert_ne!(received[0].id, received[1].id);
}

#[tokio::test]
async fn failing_event_holds_back_only_later_events_of_its_subject() {
    let server = server().await;
    let admin = server.admin().await;
    let receiver = Receiver::with(|_| Answer::Status(200)).await;
    let (webhook, _) = create(&admin, &receiver.url, &["session.started", "session.ended"]).await;
    let (bad, good) = (admin.session().await, admin.session().await);
    until("both are started", async || receiver.received().len() == 2).await;
    let broken = bad.clone();
    receiver.script(move |request| {
        Answer::Status(if request.subject() == broken {
            500
        } else {
            200
        })
    });
    // A further event of `bad` waits behind the failing one.
    for session in [&bad, &good] {
        json_of(admin.post(&format!("/api/sessions/{session}/stop")), 200).await;
    }
    until("the good event arrives", async || {
        let received = receiver.received();
        received
            .iter()
            .any(|it| it.subject() == good && it.event() == "session.ended")
            && received.iter().any(|it| it.answered == 500)
    })
    .await;
    until("the failure is listed", async || {
        let pending = deliveries(&admin, &webhook, "?status=pending").await;
        pending.len() == 1 && pending[0]["last_status"] == 500
    })
    .await;
    let pending = deliveries(&admin, &webhook, "?status=pending").await;
    assert_eq!(pending[0]["subject"], bad.as_str());
    assert_eq!(pending[0]["last_error"], "The receiver answered 500.");

    // Retried with the same ID when its time comes.
    receiver.script(|_| Answer::Status(204));
    server.clock.advance(MINUTE);
    until("nothing is pending", async || {
        deliveries(&admin, &webhook, "?status=pending")
            .await
            .is_empty()
    })
    .await;
    let attempts: Vec<_> = receiver.received();
    let ids: Vec<_> = attempts
        .iter()
        .filter(|it| it.subject() == bad && it.event() == "session.ended")
        .map(|it| (it.id.clone(), it.body.clone()))
        .collect();
    assert!(ids.len() >= 2);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

/// The order of a recording's events holds while each of them fails once.
#[tokio::test]
async fn events_of_a_recording_keep_their_order_over_failures() {
    let server = server().await;
    let admin = server.admin().await;
    let mut attempts = HashMap::<String, u32>::new();
    let receiver = Receiver::with(move |request| {
        let count = attempts.entry(request.id.clone()).or_default();
        *count += 1;
        Answer::Status(if *count == 1 { 503 } else { 200 })
    })
    .await;
    create(&admin, &receiver.url, &[]).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(admin.record(&chromium_webm()).await);
    }
    until("every event is delivered", async || {
        server.clock.advance(MINUTE);
        let delivered = receiver.received();
        delivered.iter().filter(|it| it.answered == 200).count() >= 9
    })
    .await;
    let received = receiver.received();
    for id in ids {
        let delivered = received
            .iter()
            .filter(|it| it.subject() == id && it.answered == 200);
        let events: Vec<_> = delivered.map(|it| it.event()).collect();
        assert_eq!(events, ["recording.started", "recording.ready"]);
    }
}

#[tokio::test]
async fn event_fails_after_72_hours_and_can_be_sent_again() {
    let server = server().await;
    let mut admin = server.admin().await;
    // Sign-ins do not last for three days.
    let token = json!({ "name": "test", "scopes": ["admin"] });
    let token = json_of(admin.post("/api/tokens").json(&token), 201).await;
    admin.token = token["token"].as_str().map(str::to_owned);
    let receiver = Receiver::with(|_| Answer::Status(500)).await;
    let (webhook, _) = create(&admin, &receiver.url, &["session.started"]).await;
    let session = admin.session().await;
    let started = server.clock_ms();
    until("the event fails", async || {
        let before = receiver.received().len();
        let pending = deliveries(&admin, &webhook, "?status=pending").await;
        let Some(next) = pending.first() else {
            return !deliveries(&admin, &webhook, "?status=failed")
                .await
                .is_empty();
        };
        // Advances to the next attempt only after the last one is stored.
        if next["attempts"] == before {
            let next_ms = rfc3339_ms(&next["next_attempt_at"]);
            let wait = u64::try_from(next_ms - server.clock_ms()).unwrap_or_default();
            server.clock.advance(Duration::from_millis(wait));
        }
        false
    })
    .await;
    assert_eq!(receiver.received().len(), 25);
    let hours = (server.clock_ms() - started) / 3_600_000;
    assert!((57..=72).contains(&hours), "{hours}");
    server.clock.advance(DAY);
    let failed = deliveries(&admin, &webhook, "?status=failed").await;
    assert_eq!((failed.len(), &failed[0]["subject"]), (1, &json!(session)));
    assert_eq!(failed[0]["next_attempt_at"], Value::Null);
    let row = json_of(admin.get(&webhook), 200).await;
    assert_eq!((&row["pending"], &row["failed"]), (&json!(0), &json!(1)));

    receiver.script(|_| Answer::Status(200));
    let event = failed[0]["event_id"].as_str().expect("an id");
    let resend = format!("{webhook}/deliveries/{event}/resend");
    let answer = admin.post(&resend).send().await.expect("an answer");
    assert_eq!(answer.status(), 202);
    until("it is delivered", async || {
        deliveries(&admin, &webhook, "?status=delivered")
            .await
            .len()
            == 1
    })
    .await;
    let received = receiver.received();
    assert!(received.iter().all(|it| it.id == event));
    let unknown = format!("{webhook}/deliveries/evt_unknown/resend");
    problem(admin.post(&unknown), 404, "not_found").await;
    let audit = admin.audit("action=webhook.resend").await;
    assert_eq!(audit[0]["detail"], event);
}

fn rfc3339_ms(value: &Value) -> i64 {
    let text = value.as_str().expect("a time");
    let time: jiff::Timestamp = text.parse().expect("RFC 3339");
    time.as_millisecond()
}

impl TestServer {
    fn clock_ms(&self) -> i64 {
        sortie_server::Clock::now_ms(&*self.clock)
    }
}

#[tokio::test]
async fn redirect_is_not_followed_and_gone_disables() {
    let server = server().await;
    let admin = server.admin().await;
    let target = Receiver::start().await;
    let to = target.url.clone();
    let receiver = Receiver::with(move |_| Answer::Redirect(to.clone())).await;
    let (webhook, _) = create(&admin, &receiver.url, &["session.started"]).await;
    admin.session().await;
    until("the failure is listed", async || {
        let pending = deliveries(&admin, &webhook, "").await;
        pending.first().is_some_and(|it| it["last_status"] == 302)
    })
    .await;
    assert!(target.received().is_empty());

    receiver.script(|_| Answer::Status(410));
    server.clock.advance(MINUTE);
    until("it is disabled", async || {
        json_of(admin.get(&webhook), 200).await["enabled"] == false
    })
    .await;
    let row = json_of(admin.get(&webhook), 200).await;
    assert_eq!(row["disabled_reason"], "The receiver answered 410 (Gone).");
    let failed = deliveries(&admin, &webhook, "?status=failed").await;
    let event = failed[0]["event_id"].as_str().expect("an id");
    let resend = format!("{webhook}/deliveries/{event}/resend");
    problem(admin.post(&resend), 409, "conflict").await;

    // Events while it is disabled are not sent, later ones are.
    admin.session().await;
    receiver.script(|_| Answer::Status(200));
    let enable = json!({ "enabled": true });
    let row = json_of(admin.change(&webhook, &enable), 200).await;
    assert_eq!(row["disabled_reason"], Value::Null);
    let session = admin.session().await;
    until("the later event arrives", async || {
        receiver.received().iter().any(|it| it.answered == 200)
    })
    .await;
    let received = receiver.received();
    let delivered: Vec<_> = received.iter().filter(|it| it.answered == 200).collect();
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].subject(), session);
}

/// Four requests hang; they delay neither another endpoint nor the server's shutdown.
#[tokio::test]
async fn hanging_receiver_delays_only_its_own_events() {
    let mut server = server().await;
    let admin = server.admin().await;
    let hanging = Receiver::with(|_| Answer::Hang).await;
    let healthy = Receiver::start().await;
    create(&admin, &hanging.url, &["session.started"]).await;
    create(&admin, &healthy.url, &["session.started"]).await;
    for _ in 0..10 {
        admin.session().await;
    }
    until("the healthy receiver has all events", async || {
        healthy.received().len() == 10
    })
    .await;
    assert!(
        hanging.received().len() <= 4,
        "{}",
        hanging.received().len()
    );
    let before = tokio::time::Instant::now();
    server.stop().await;
    assert!(before.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn rotated_secrets_sign_together_for_a_day() {
    let server = server().await;
    let admin = server.admin().await;
    let receiver = Receiver::start().await;
    let (webhook, first) = create(&admin, &receiver.url, &["session.started"]).await;
    let rotated = json_of(admin.post(&format!("{webhook}/rotate-secret")), 200).await;
    let second = rotated["secret"].as_str().expect("a secret");
    assert_ne!(first, second);
    assert_eq!(rotated["previous_secret_until"], "2026-11-22T09:30:00.000Z");
    admin.session().await;
    until("the event arrives", async || receiver.received().len() == 1).await;
    let request = &receiver.received()[0];
    assert!(request.is_signed_with(&first) && request.is_signed_with(second));

    server.clock.advance(DAY);
    // The sign-in has expired.
    let admin = server.admin().await;
    admin.session().await;
    until("the event arrives", async || receiver.received().len() == 2).await;
    let request = &receiver.received()[1];
    assert!(!request.is_signed_with(&first) && request.is_signed_with(second));

    // No answer but those two, and no audit row, contains a secret.
    for path in [&webhook, "/api/admin/webhooks", "/api/admin/audit"] {
        let text = admin.get(path).send().await.expect("an answer");
        let text = text.text().await.expect("a body");
        assert!(!text.contains("whsec_"), "{path}: {text}");
    }
}

#[tokio::test]
async fn test_button_returns_the_result() {
    let server = server().await;
    let admin = server.admin().await;
    let receiver = Receiver::start().await;
    let (webhook, secret) = create(&admin, &receiver.url, &[]).await;
    let test = format!("{webhook}/test");
    let result = json_of(admin.post(&test), 200).await;
    let request = &receiver.received()[0];
    assert_eq!(
        result,
        json!({ "delivered": true, "status": 200, "event_id": request.id })
    );
    assert!(request.is_signed_with(&secret));
    assert_eq!(request.event(), "webhook.test");
    receiver.script(|_| Answer::Status(500));
    let result = json_of(admin.post(&test), 200).await;
    assert_eq!(result["delivered"], false);
    assert_eq!(result["error"], "The receiver answered 500.");
}

#[tokio::test]
async fn internal_addresses_are_refused_by_default() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let receiver = Receiver::start().await;
    let port = receiver.url.rsplit(':').next().expect("a port");
    for url in [
        receiver.url.clone(),
        format!("https://127.0.0.1:{port}/"),
        format!("https://[::1]:{port}/"),
        format!("https://0x7f.1:{port}/"),
        "https://169.254.169.254/".to_owned(),
        "https://ann:secret@example.com/".to_owned(),
        "nonsense".to_owned(),
        format!("https://example.com/{}", "a".repeat(2048)),
    ] {
        let body = json!({ "url": url });
        let request = admin.post("/api/admin/webhooks").json(&body);
        let detail = problem(request, 400, "invalid_field").await;
        assert!(!detail.contains("secret"), "{detail}");
    }
    // A name is resolved when the request is sent.
    let (webhook, _) = create(&admin, &format!("https://localhost:{port}/"), &[]).await;
    let result = json_of(admin.post(&format!("{webhook}/test")), 200).await;
    assert_eq!(result["delivered"], false);
    let error = "The name of the receiver does not resolve to a public address.";
    assert_eq!(result["error"], error);
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn endpoints_are_listed_changed_deleted_and_limited() {
    let server = server().await;
    let admin = server.admin().await;
    let receiver = Receiver::start().await;
    let (webhook, _) = create(&admin, &receiver.url, &["session.ended", "session.ended"]).await;
    let row = json_of(admin.get(&webhook), 200).await;
    assert_eq!(row["events"], json!(["session.ended"]));
    let change =
        json!({ "description": "Billing", "events": ["recording.ready"], "enabled": false });
    let row = json_of(admin.change(&webhook, &change), 200).await;
    assert_eq!(row["description"], "Billing");
    assert_eq!(row["events"], json!(["recording.ready"]));
    assert_eq!(row["enabled"], false);
    let audit = admin.audit("action=webhook.change").await;
    assert_eq!(audit[0]["detail"], "description, events, disabled");
    for wrong in [
        json!({ "description": "a".repeat(201) }),
        json!({ "url": "/" }),
        json!({ "events": ["webhook.test"] }),
        json!({ "colour": "red" }),
    ] {
        let status = admin.change(&webhook, &wrong).send().await;
        assert_eq!(status.expect("an answer").status(), 400, "{wrong}");
    }
    for _ in 0..19 {
        create(&admin, &receiver.url, &[]).await;
    }
    let body = json!({ "url": receiver.url });
    problem(
        admin.post("/api/admin/webhooks").json(&body),
        409,
        "conflict",
    )
    .await;
    let answer = admin.get("/api/admin/webhooks?limit=15").send().await;
    let link = header(&answer.expect("an answer"), "link");
    let next = link.split(['<', '>']).nth(1).expect("a link");
    let rest = json_of(admin.get(next), 200).await;
    assert_eq!(rest.as_array().map(Vec::len), Some(5));

    let deleted = admin.delete(&webhook).send().await.expect("an answer");
    assert_eq!(deleted.status(), 204);
    problem(admin.get(&webhook), 404, "not_found").await;
    problem(admin.delete(&webhook), 404, "not_found").await;
    problem(admin.post(&format!("{webhook}/test")), 404, "not_found").await;
}

#[tokio::test]
async fn queue_survives_a_restart() {
    let mut server = server().await;
    let mut admin = server.admin().await;
    let receiver = Receiver::with(|_| Answer::Status(503)).await;
    create(&admin, &receiver.url, &["session.started"]).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(admin.session().await);
    }
    until("every event was attempted", async || {
        receiver.received().len() >= 3
    })
    .await;
    server.stop().await;
    receiver.script(|_| Answer::Status(200));
    server.restart().await;
    server.clock.advance(MINUTE);
    admin.url.clone_from(&server.url);
    sessions.push(admin.session().await);
    until("all events are delivered", async || {
        let received = receiver.received();
        sessions.iter().all(|session| {
            let mut of_session = received.iter().filter(|it| it.subject() == *session);
            of_session.any(|it| it.answered == 200)
        })
    })
    .await;
}

/// Fills the queue of a webhook with deliveries that are due in an hour, so that no event is queued until they are removed.
pub(crate) async fn block_queue(server: &TestServer, webhook: &str) {
    let id = webhook.rsplit('/').next().expect("an id");
    let database = server.database().await;
    for batch in 0..20 {
        let rows: Vec<_> = (batch * 500..(batch + 1) * 500)
            .map(|number| {
                format!(
                    "('{id}/seed{number}', '{id}', 'seed{number}', {number}, 's{number}', 'recording.ready', '{{}}', \
                     'pending', {due}, 0)",
                    due = server.clock_ms() + 3_600_000
                )
            })
            .collect();
        let sql = format!(
            "INSERT INTO webhook_deliveries \
             (id, webhook_id, event_id, position, subject, event, payload, status, next_ms, created_ms) VALUES {}",
            rows.join(", ")
        );
        let inserted = sqlx::query(sqlx::AssertSqlSafe(sql));
        inserted.execute(&database).await.expect("rows");
    }
    // A count of the time before.
    tokio::time::sleep(Duration::from_millis(5_500)).await;
}

/// Lets the events since [`block_queue`] be queued.
pub(crate) async fn release_queue(server: &TestServer) {
    let removed = sqlx::query("DELETE FROM webhook_deliveries WHERE event_id LIKE 'seed%'");
    let removed = removed.execute(&server.database().await).await;
    removed.expect("a deletion");
}

#[tokio::test]
async fn events_of_parts_keep_the_order_of_their_recording_after_its_deletion() {
    let server = server().await;
    let admin = server.admin().await;
    let receiver = Receiver::start().await;
    let (webhook, _) = create(&admin, &receiver.url, &[]).await;
    block_queue(&server, &webhook).await;
    let (first, session) = admin.start_recording().await;
    let start = admin.post(&format!("/api/sessions/{session}/recording/start"));
    let part = json_of(start.json(&json!({ "continues": first })), 201).await;
    let part = part["recording_id"].as_str().expect("an id").to_owned();
    let bytes = chromium_webm();
    for id in [&first, &part] {
        let sent = admin.patch(&format!("/api/uploads/{id}"), 0, bytes.clone());
        let sent = sent.header("Upload-Length", bytes.len()).send().await;
        assert_eq!(sent.expect("an answer").status(), 204);
    }
    let deleted = admin
        .delete(&format!("/api/recordings/{first}"))
        .send()
        .await;
    assert_eq!(deleted.expect("an answer").status(), 204);
    release_queue(&server).await;
    until("all events arrive", async || {
        let events = receiver.events();
        let deleted = events.iter().filter(|it| *it == "recording.deleted");
        deleted.count() == 2
    })
    .await;
    for row in deliveries(&admin, &webhook, "").await {
        if row["event"]
            .as_str()
            .expect("a name")
            .starts_with("recording.")
        {
            assert_eq!(row["subject"], first.as_str(), "{row}");
        }
    }
    let received = receiver.received();
    let of_part: Vec<_> = received.iter().filter(|it| it.subject() == part).collect();
    let names: Vec<_> = of_part.iter().map(|it| it.event()).collect();
    assert_eq!(
        names,
        ["recording.started", "recording.ready", "recording.deleted"]
    );
    assert!(
        of_part
            .iter()
            .all(|it| it.json()["data"]["user_id"] == admin.user_id.as_str())
    );
}

#[tokio::test]
async fn answer_410_of_a_former_url_does_not_disable() {
    let server = server().await;
    let admin = server.admin().await;
    let late = Receiver::with(|_| Answer::Late(410, Duration::from_secs(1))).await;
    let next = Receiver::start().await;
    let (webhook, _) = create(&admin, &late.url, &["session.started"]).await;
    admin.session().await;
    until("the request is open", async || !late.received().is_empty()).await;
    let url = json!({ "url": next.url });
    json_of(admin.change(&webhook, &url), 200).await;
    until("the answer is recorded", async || {
        let failed = deliveries(&admin, &webhook, "?status=failed").await;
        !failed.is_empty()
    })
    .await;
    admin.session().await;
    until("the next event arrives at the new URL", async || {
        !next.received().is_empty()
    })
    .await;
    assert_eq!(json_of(admin.get(&webhook), 200).await["enabled"], true);
}

#[tokio::test]
async fn every_unexpired_secret_signs_after_two_rotations() {
    let server = server().await;
    let admin = server.admin().await;
    let receiver = Receiver::start().await;
    let (webhook, first) = create(&admin, &receiver.url, &["session.started"]).await;
    let mut secrets = vec![first];
    for _ in 0..2 {
        server.clock.advance(60 * MINUTE);
        // The sign-in has expired.
        let admin = server.admin().await;
        let rotated = json_of(admin.post(&format!("{webhook}/rotate-secret")), 200).await;
        secrets.push(rotated["secret"].as_str().expect("a secret").to_owned());
    }
    let admin = server.admin().await;
    admin.session().await;
    until("the event arrives", async || receiver.received().len() == 1).await;
    let request = &receiver.received()[0];
    for secret in &secrets {
        assert!(request.is_signed_with(secret), "{request:?}");
    }
    // The first one has expired, the second one has not.
    server.clock.advance(DAY - 30 * MINUTE);
    let admin = server.admin().await;
    admin.session().await;
    until("the event arrives", async || receiver.received().len() == 2).await;
    let request = &receiver.received()[1];
    let signs: Vec<_> = secrets
        .iter()
        .map(|it| request.is_signed_with(it))
        .collect();
    assert_eq!(signs, [false, true, true]);
}

#[tokio::test]
async fn next_attempt_waits_for_the_time_in_retry_after() {
    let server = server().await;
    let admin = server.admin().await;
    let receiver = Receiver::with(|_| Answer::RetryAfter("600")).await;
    let (webhook, _) = create(&admin, &receiver.url, &["session.started"]).await;
    admin.session().await;
    let mut next = Value::Null;
    until("the failure is listed", async || {
        let pending = deliveries(&admin, &webhook, "").await;
        next = pending
            .first()
            .map(|it| it["next_attempt_at"].clone())
            .unwrap_or_default();
        pending.first().is_some_and(|it| it["last_status"] == 503)
    })
    .await;
    assert_eq!(next, "2026-11-21T09:40:00.000Z");
}

#[tokio::test]
async fn event_that_is_sent_again_holds_back_later_events_of_its_subject() {
    let server = server().await;
    let admin = server.admin().await;
    let receiver = Receiver::start().await;
    let (webhook, _) = create(&admin, &receiver.url, &["session.started", "session.ended"]).await;
    let session = admin.session().await;
    until("the event arrives", async || receiver.received().len() == 1).await;
    receiver.script(|_| Answer::Status(500));
    json_of(admin.post(&format!("/api/sessions/{session}/stop")), 200).await;
    until("the attempt is recorded", async || {
        let pending = deliveries(&admin, &webhook, "?status=pending").await;
        pending.first().is_some_and(|it| it["last_status"] == 500)
    })
    .await;
    let started = receiver.received()[0].id.clone();
    let resend = admin.post(&format!("{webhook}/deliveries/{started}/resend"));
    assert_eq!(resend.send().await.expect("an answer").status(), 202);
    until("it is sent again", async || receiver.received().len() >= 3).await;
    // The failed first event keeps the second one back, though that is due.
    server.clock.advance(Duration::from_secs(4));
    receiver.script(|_| Answer::Status(200));
    server.clock.advance(MINUTE);
    until("both arrive", async || {
        // An attempt that was under way may have failed after the minute.
        server.clock.advance(Duration::from_secs(1));
        deliveries(&admin, &webhook, "?status=delivered")
            .await
            .len()
            == 2
    })
    .await;
    let received = receiver.received();
    let delivered: Vec<_> = received[1..]
        .iter()
        .filter(|it| it.answered == 200)
        .collect();
    let names: Vec<_> = delivered.iter().map(|it| it.event()).collect();
    assert_eq!(names, ["session.started", "session.ended"]);
}
