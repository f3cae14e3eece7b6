//! Schedule of auto-record, with a wall clock that the tests set.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::agent::{Agent, count, probe};
use crate::faketime::FakeClock;

const SCHEDULE: &str = "/api/appliance/schedule";
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Window of every day, in UTC, in hours from now.
fn window(from: i64, to: i64) -> Value {
    let time = |hours| {
        let time = Timestamp::now() + SignedDuration::from_hours(hours);
        time.strftime("%H:%M").to_string()
    };
    json!({ "days": DAYS, "start": time(from), "end": time(to) })
}

async fn set_schedule(agent: &Agent, windows: Value) -> Value {
    let schedule = json!({ "enabled": true, "time_zone": "UTC", "windows": windows });
    let (status, answer) = agent.ask("PUT", SCHEDULE, schedule).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// Sets the clock, and waits until the schedule follows it.
async fn jump(agent: &mut Agent, clock: &FakeClock, offset: &str, armed: bool) -> Value {
    clock.set(offset);
    // The tokens of another time may have expired.
    agent.sign_in().await;
    let follows = |state: &Value| state["schedule"]["armed"] == armed;
    agent.until("/api/appliance", follows).await
}

#[tokio::test]
async fn windows_start_and_end_automatic_recordings_and_follow_the_clock() {
    let clock = FakeClock::new();
    let mut agent = Agent::on_clock(&clock, &[]).await;
    let later = set_schedule(&agent, json!([window(2, 3)])).await;
    assert_eq!(later["armed"], false);
    let next_ms = later["next_change"].as_i64().expect("a time");
    let hours = (next_ms - Timestamp::now().as_millisecond()) / 60_000;
    assert!((100..=120).contains(&hours), "{later}");
    agent
        .settings(json!({ "recording_auto_record": "true" }))
        .await;
    let steady = |state: &Value| state["signal"]["state"] == "steady";
    let state = agent.until("/api/appliance", steady).await;
    assert_eq!(state["auto_record"], true, "the setting stays");
    assert_eq!(state["recorder"], "idle", "{state}");
    assert_eq!(state["schedule"]["next_change"], next_ms);

    // The clock is set into the window, and out of it again.
    jump(&mut agent, &clock, "+150m", true).await;
    agent.wait_recorded(1.0).await;
    jump(&mut agent, &clock, "+240m", false).await;
    let list = agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    assert_eq!(list[0]["status"], "ready");
    assert_eq!(list[0]["interrupted"], false);
    let (seconds, _) = probe(&agent.file(&list[0]));
    assert!(seconds >= 1.0, "{seconds}");
    let idle = |state: &Value| state["recorder"] == "idle";
    agent.until("/api/appliance", idle).await;

    // A start by hand continues after the window.
    jump(&mut agent, &clock, "+150m", true).await;
    let file = agent.wait_recorded(1.0).await["file"]["filename"].clone();
    agent.start_recording().await;
    let state = jump(&mut agent, &clock, "+240m", false).await;
    assert_eq!(state["file"]["filename"], file);
    let seconds = state["file"]["duration_seconds"].as_f64().expect("a time");
    let state = agent.wait_recorded(seconds + 1.0).await;
    assert_eq!(state["file"]["filename"], file, "the same file");
    agent.post("/api/appliance/recording/stop", json!({})).await;
    agent
        .until("/api/recordings", |list| count(list) == 2)
        .await;
    agent.until("/api/appliance", idle).await;

    // Off: always armed.
    let off = json!({ "enabled": false, "windows": [window(2, 3)] });
    let (_, answer) = agent.ask("PUT", SCHEDULE, off).await;
    assert_eq!(
        (&answer["armed"], &answer["next_change"]),
        (&json!(true), &Value::Null)
    );
    let state = agent.wait_recorded(1.0).await;
    assert_eq!(state["schedule"], Value::Null);
}

#[tokio::test]
async fn stop_by_hand_lasts_while_the_schedule_stays_armed() {
    let agent = Agent::start(&[]).await;
    agent
        .settings(json!({ "recording_auto_record": "true" }))
        .await;
    agent.wait_recorded(1.0).await;
    agent.post("/api/appliance/recording/stop", json!({})).await;
    let idle = |state: &Value| state["recorder"] == "idle";
    agent.until("/api/appliance", idle).await;
    set_schedule(&agent, json!([window(-2, 2)])).await;
    agent
        .settings(json!({ "storage_threshold_percent": "99" }))
        .await;
    agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    assert_eq!(agent.get("/api/appliance").await["recorder"], "idle");
}

#[tokio::test]
async fn clock_before_the_trusted_time_leaves_auto_record_armed() {
    let clock = FakeClock::new();
    // A machine without a clock of its own, before it has the time: 2002 or so.
    clock.set("-9000d");
    let mut agent = Agent::on_clock(&clock, &[]).await;
    agent
        .settings(json!({ "recording_auto_record": "true" }))
        .await;
    let answer = set_schedule(&agent, json!([window(2, 3)])).await;
    assert_eq!(answer["armed"], true);
    let problem = answer["problem"].as_str().expect("a sentence");
    assert!(
        problem.starts_with("The clock of the appliance is wrong"),
        "{problem}"
    );
    agent.wait_recorded(1.0).await;

    let state = jump(&mut agent, &clock, "+0", false).await;
    assert_eq!(state["schedule"]["problem"], Value::Null);
    let list = agent
        .until("/api/recordings", |list| count(list) == 1)
        .await;
    assert_eq!(list[0]["status"], "ready");
}

#[tokio::test]
async fn schedule_is_validated_stored_and_audited() {
    let agent = Agent::start(&[]).await;
    let empty = agent.get(SCHEDULE).await;
    assert_eq!(
        (&empty["enabled"], &empty["windows"], &empty["armed"]),
        (&json!(false), &json!([]), &json!(true))
    );
    let with = |window: Value| json!({ "enabled": true, "windows": [window] });
    let days = json!(["mon"]);
    let many = vec![json!({ "days": days, "start": "08:00", "end": "09:00" }); 65];
    for (body, expected) in [
        (
            with(json!({ "days": days, "start": "8:00", "end": "09:00" })),
            "windows[0].start: Enter a time",
        ),
        (
            with(json!({ "days": days, "start": "08:00", "end": "24:01" })),
            "windows[0].end: Enter a time",
        ),
        (
            with(json!({ "days": days, "start": "08:00", "end": "08:00" })),
            "windows[0].end: Start and end are the same",
        ),
        (
            with(json!({ "days": [], "start": "08:00", "end": "09:00" })),
            "windows[0].days: Choose at least one day",
        ),
        (
            with(json!({ "days": ["Mon"], "start": "08:00", "end": "09:00" })),
            "unknown variant `Mon`",
        ),
        (
            with(json!({ "days": days, "start": "08:00", "end": "09:00", "zone": "UTC" })),
            "unknown field `zone`",
        ),
        (
            json!({ "enabled": true, "windows": many }),
            "windows: A schedule has at most 64 windows",
        ),
        (
            json!({ "enabled": true, "windows": [], "armed": true }),
            "unknown field `armed`",
        ),
        (json!({ "enabled": true }), "missing field `windows`"),
        (
            json!({ "enabled": true, "windows": [], "time_zone": "Europe/Nowhere" }),
            "no time zone \"Europe/Nowhere\"",
        ),
        (
            json!({ "enabled": true, "windows": [], "time_zone": "../../../etc/hosts" }),
            "no time zone",
        ),
        (
            json!({ "enabled": true, "windows": [], "time_zone": "" }),
            "no time zone \"\"",
        ),
    ] {
        let (status, problem) = agent.ask("PUT", SCHEDULE, body.clone()).await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(
            status == 400 && detail.contains(expected),
            "{body}: {status} {problem}"
        );
    }
    assert_eq!(agent.get(SCHEDULE).await, empty, "nothing was changed");
    let request = agent.anonymous_request(SCHEDULE);
    assert_eq!(
        request.send().await.expect("an answer").status().as_u16(),
        401
    );

    let windows = json!([{ "days": ["fri", "mon", "fri"], "start": "22:00", "end": "24:00" }]);
    let schedule = json!({ "enabled": true, "time_zone": "Europe/Berlin", "windows": windows });
    for _ in 0..2 {
        let (status, answer) = agent.ask("PUT", SCHEDULE, schedule.clone()).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["windows"][0]["days"], json!(["mon", "fri"]));
        assert_eq!(answer["zone"], "Europe/Berlin");
        assert!(answer["next_change_local"].is_string(), "{answer}");
    }
    let log = agent.get("/api/admin/audit").await;
    let rows: Vec<_> = log
        .as_array()
        .expect("a list")
        .iter()
        .filter(|row| row["subject"] == "recording_schedule")
        .collect();
    assert_eq!(rows.len(), 1, "the second change was none");
    assert_eq!(rows[0]["detail"], "on: Mon Fri 22:00–24:00 (Europe/Berlin)");

    let agent = Agent::launch(agent.kill(), &[]).await;
    let stored = agent.get(SCHEDULE).await;
    assert_eq!(stored["windows"][0]["end"], "24:00");
    assert_eq!(stored["time_zone"], "Europe/Berlin");
    let state = agent.get("/api/appliance").await;
    assert_eq!(state["schedule"]["zone"], "Europe/Berlin");
}
