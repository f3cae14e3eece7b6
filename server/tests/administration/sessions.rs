use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, TestServer, chromium_webm, header, json_of, problem};
use crate::{MINUTE, until};

async fn stop_recording(client: &Client, session: &str, recording: &str) {
    let path = format!("/api/sessions/{session}/recording/stop");
    let body = json!({ "recording_id": recording });
    json_of(client.post(&path).json(&body), 200).await;
}

#[tokio::test]
async fn stop_by_user_disables_auto_record_in_that_session_only() {
    let mut server = TestServer::start().await;
    server.admin().await.set_auto_record(true).await;
    let ann = server.user("ann").await;
    let (recording, session) = ann.start_recording().await;
    let other = ann.session().await;
    assert_eq!(ann.session_row(&session).await["auto_record"], true);

    stop_recording(&ann, &session, &recording).await;
    let declined = ann.session_row(&session).await;
    assert_eq!(declined["auto_record"], false);
    // The setting is unchanged.
    assert_eq!(declined["recording_policy"], "auto");
    assert_eq!(ann.session_row(&other).await["auto_record"], true);

    server.restart().await;
    let ann = server.sign_in("ann", "a good password").await;
    assert_eq!(ann.session_row(&session).await["auto_record"], false);
    // Toggling the setting does not undo the stop; recording can still be started by hand.
    let admin = server.admin().await;
    admin.set_auto_record(false).await;
    admin.set_auto_record(true).await;
    assert_eq!(ann.session_row(&session).await["auto_record"], false);
    json_of(
        ann.post(&format!("/api/sessions/{session}/recording/start")),
        201,
    )
    .await;
}

#[tokio::test]
async fn auto_record_of_a_session_overrides_the_setting() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let new = async |auto_record: Value| {
        let body = json!({ "app_id": "desktop", "auto_record": auto_record });
        let session = json_of(ann.post("/api/sessions").json(&body), 201).await;
        session["id"].as_str().unwrap_or_default().to_owned()
    };
    let (on, off, unset) = (
        new(json!(true)).await,
        new(json!(false)).await,
        new(json!(null)).await,
    );
    for setting in [false, true, false] {
        admin.set_auto_record(setting).await;
        for (id, expected, given) in [
            (&on, true, json!(true)),
            (&off, false, json!(false)),
            (&unset, setting, Value::Null),
        ] {
            let row = ann.session_row(id).await;
            assert_eq!(row["auto_record"], expected, "{row}");
            assert_eq!(row["recording_policy"], if expected { "auto" } else { "" });
            assert_eq!(row["auto_record_override"], given);
        }
    }
    let path = format!("/api/sessions/{off}");
    let changed = json_of(ann.change(&path, &json!({ "auto_record": true })), 200).await;
    assert_eq!(changed["auto_record"], true);
    let changed = json_of(ann.change(&path, &json!({ "auto_record": null })), 200).await;
    assert_eq!(
        (&changed["auto_record"], &changed["auto_record_override"]),
        (&json!(false), &Value::Null)
    );
    // A stop by hand counts here, too.
    let path = format!("/api/sessions/{on}");
    let started = json_of(ann.post(&format!("{path}/recording/start")), 201).await;
    let recording = started["recording_id"].as_str().unwrap_or_default();
    stop_recording(&ann, &on, recording).await;
    assert_eq!(ann.session_row(&on).await["auto_record"], false);
}

#[tokio::test]
async fn platform_moves_a_session_forward_only() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let new = json!({ "app_id": "desktop", "status": "creating" });
    let session = json_of(ann.post("/api/sessions").json(&new), 201).await;
    let path = format!(
        "/api/sessions/{}",
        session["id"].as_str().unwrap_or_default()
    );
    let become_ = |status: &str| ann.change(&path, &json!({ "status": status }));

    for (status, expected) in [
        ("creating", 200),
        ("running", 200),
        ("running", 200),
        ("creating", 409),
        ("expired", 200),
        ("expired", 200),
        ("running", 409),
        ("stopped", 409),
    ] {
        let answer = become_(status).send().await.expect("an answer");
        assert_eq!(answer.status(), expected, "{status}");
    }
    let ended = json_of(ann.get(&path), 200).await;
    assert_eq!(ended["status"], "expired");
    assert_eq!(ended["ended_at"], "2026-11-21T09:30:00.000Z");

    for body in [
        json!({}),
        json!({ "status": "paused" }),
        json!({ "status": "running", "app_id": "x" }),
        json!([]),
    ] {
        problem(ann.change(&path, &body), 400, "invalid_field").await;
    }
    for wrong in [json!(null), json!(1)] {
        let body = json!({ "status": wrong });
        problem(ann.change(&path, &body), 400, "bad_request").await;
    }
    let bob = server.user("bob").await;
    let running = json!({ "status": "running" });
    problem(bob.change(&path, &running), 403, "forbidden").await;
    problem(
        bob.change("/api/sessions/unknown", &running),
        404,
        "not_found",
    )
    .await;
    problem(bob.change("/api/sessions/%00", &running), 404, "not_found").await;
}

#[tokio::test]
async fn end_of_session_finishes_recording_of_a_silent_page() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let webm = chromium_webm();
    for end in ["stop", "delete", "expired", "failed"] {
        let (recording, session) = ann.start_recording().await;
        let (upload, half) = (format!("/api/uploads/{recording}"), webm.len() / 2);
        let sent = ann.patch(&upload, 0, webm[..half].to_vec()).send().await;
        assert_eq!(sent.expect("an answer").status(), 204);
        let path = format!("/api/sessions/{session}");
        let request = match end {
            "stop" => ann.post(&format!("{path}/stop")),
            "delete" => ann.delete(&path),
            status => ann.change(&path, &json!({ "status": status })),
        };
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{end}");
        assert_eq!(
            ann.recording(&recording).await["status"],
            "uploading",
            "{end}"
        );
        // Last bytes have a grace time of seconds, instead of the ten minutes of other silence.
        server.clock.advance(Duration::from_secs(11));
        until("the recording is finished", async || {
            ann.recording(&recording).await["status"] == "ready"
        })
        .await;
        assert_eq!(
            ann.recording(&recording).await["interrupted"],
            true,
            "{end}"
        );
        problem(
            ann.post(&format!("{path}/recording/start")),
            if end == "delete" { 404 } else { 409 },
            if end == "delete" {
                "not_found"
            } else {
                "session_not_running"
            },
        )
        .await;
    }
}

#[tokio::test]
async fn sender_is_refused_after_the_grace_time_of_its_ended_session() {
    let server = TestServer::with(&[("SORTIE_RECORDING_SILENCE_SECONDS", "60")]).await;
    let ann = server.user("ann").await;
    let webm = chromium_webm();
    let (recording, session) = ann.start_recording().await;
    json_of(ann.post(&format!("/api/sessions/{session}/stop")), 200).await;
    let upload = format!("/api/uploads/{recording}");
    let sent = ann.patch(&upload, 0, webm[..5000].to_vec()).send().await;
    assert_eq!(sent.expect("an answer").status(), 204);
    server.clock.advance(MINUTE);
    // Sends a byte at a time until the server refuses.
    let next = std::cell::Cell::new(5000);
    until("the server ends the upload", async || {
        let offset = next.replace(next.get() + 1);
        let chunk = webm[offset..=offset].to_vec();
        let sent = ann.patch(&upload, offset as u64, chunk).send().await;
        sent.expect("an answer").status() != 204
    })
    .await;
    assert_eq!(ann.recording(&recording).await["interrupted"], true);
}

#[tokio::test]
async fn stopped_recording_is_reported_in_the_next_answer() {
    let mut server = TestServer::start().await;
    let webm = chromium_webm();
    for (case, by_session) in [("session ended", true), ("recording stopped", false)] {
        let ann = match case {
            "session ended" => server.user("ann").await,
            _ => server.sign_in("ann", "a good password").await,
        };
        let (recording, session) = ann.start_recording().await;
        let upload = format!("/api/uploads/{recording}");
        let stop_headers = async |ann: &Client, offset: usize| {
            let chunk = webm[offset..offset + 1000].to_vec();
            let sent = ann.patch(&upload, offset as u64, chunk).send().await;
            let sent = sent.expect("an answer");
            assert_eq!(sent.status(), 204, "{case}");
            let asked = ann
                .tus(reqwest::Method::HEAD, &upload)
                .send()
                .await
                .expect("an answer");
            assert_eq!(asked.status(), 200, "{case}");
            [
                header(&sent, "sortie-stopped"),
                header(&asked, "sortie-stopped"),
            ]
        };
        assert_eq!(stop_headers(&ann, 0).await, ["", ""], "{case}");
        if by_session {
            json_of(ann.post(&format!("/api/sessions/{session}/stop")), 200).await;
        } else {
            stop_recording(&ann, &session, &recording).await;
        }
        assert_eq!(stop_headers(&ann, 1000).await, ["1", "1"], "{case}");
        // A restarted server reports it, too.
        server.restart().await;
        let ann = server.sign_in("ann", "a good password").await;
        assert_eq!(stop_headers(&ann, 2000).await, ["1", "1"], "{case}");
    }
}

#[tokio::test]
async fn session_list_is_paged_and_filtered_by_status() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(ann.session().await);
        server.clock.advance(MINUTE);
    }
    ids.reverse();
    json_of(ann.post(&format!("/api/sessions/{}/stop", ids[1])), 200).await;

    let mut seen = Vec::new();
    let mut path = "/api/sessions?limit=2&status=running".to_owned();
    loop {
        let answer = ann.get(&path).send().await.expect("an answer");
        let link = header(&answer, "link");
        let page: Vec<Value> = answer.json().await.expect("JSON");
        assert!(page.len() <= 2);
        seen.extend(
            page.into_iter()
                .filter_map(|row| row["id"].as_str().map(str::to_owned)),
        );
        let Some(next) = link.strip_prefix('<').and_then(|rest| rest.split_once('>')) else {
            break;
        };
        path = next.0.to_owned();
    }
    let running: Vec<_> = ids.iter().filter(|id| **id != ids[1]).cloned().collect();
    assert_eq!(seen, running);
    let all = json_of(admin.get("/api/sessions?all=true"), 200).await;
    assert_eq!(all.as_array().map(Vec::len), Some(5));
    let names = |list: &Value| -> Vec<_> {
        let rows = list.as_array().expect("a list").iter();
        rows.map(|row| row["username"].as_str().map(str::to_owned))
            .collect()
    };
    assert_eq!(names(&all), vec![Some("ann".to_owned()); 5]);
    let own = json_of(ann.get("/api/sessions"), 200).await;
    assert_eq!(names(&own), vec![None; 5]);
    assert_eq!(json_of(admin.get("/api/sessions"), 200).await, json!([]));
    problem(ann.get("/api/sessions?all=true"), 403, "forbidden").await;
    for query in ["status=x", "limit=0", "limit=501", "cursor=x", "all=1"] {
        problem(
            ann.get(&format!("/api/sessions?{query}")),
            400,
            "invalid_field",
        )
        .await;
    }
}
