use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestServer, json_of, problem};

#[tokio::test]
async fn auto_record_applies_immediately_survives_a_restart_and_is_audited() {
    let mut server = TestServer::start().await;
    let admin = server.admin().await;
    let ann = server.user("ann").await;
    let settings = json_of(admin.get("/api/admin/settings"), 200).await;
    assert_eq!(settings, json!({ "recording_auto_record": "false" }));
    let session = ann.session().await;
    let before = ann.session_row(&session).await;
    assert_eq!(before["recording_policy"], "");
    assert_eq!(before["auto_record"], false);

    admin.set_auto_record(true).await;
    let after = ann.session_row(&session).await;
    assert_eq!(after["recording_policy"], "auto");
    assert_eq!(after["auto_record"], true);
    // An equal value is not logged.
    admin.set_auto_record(true).await;
    let log = admin.audit("action=settings.change").await;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0]["actor_name"], "admin");
    assert_eq!(log[0]["via"], "bearer");
    assert_eq!(log[0]["address"], "127.0.0.1");
    assert_eq!(log[0]["subject"], "recording_auto_record");
    assert_eq!(log[0]["detail"], "not set → true");

    server.restart().await;
    let admin = server.admin().await;
    let settings = json_of(admin.get("/api/admin/settings"), 200).await;
    assert_eq!(settings["recording_auto_record"], "true");
}

#[tokio::test]
async fn unknown_setting_is_refused_by_name_without_changes() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let put = |body: &Value| admin.request(Method::PUT, "/api/admin/settings").json(body);
    for (body, named) in [
        (
            json!({ "recording_auto_record": true }),
            "recording_auto_record",
        ),
        (
            json!({ "recording_auto_record": "yes" }),
            "recording_auto_record",
        ),
        (
            json!({ "recording_auto_record": null }),
            "recording_auto_record",
        ),
        (
            json!({ "recording_auto_record": "true\u{0}" }),
            "recording_auto_record",
        ),
        (json!({ "colour": "red" }), "colour"),
        (
            json!({ "recording_auto_record": "true", "jwt_secret": "x" }),
            "jwt_secret",
        ),
    ] {
        let detail = problem(put(&body), 400, "invalid_field").await;
        assert!(detail.contains(named), "{detail}");
    }
    for body in [json!([]), json!("true"), json!(null)] {
        problem(put(&body), 400, "invalid_field").await;
    }
    let long = json!({ "x".repeat(60_000): "true" });
    let detail = problem(put(&long), 400, "invalid_field").await;
    assert!(detail.len() < 200);
    let huge = json!({ "x".repeat(70_000): "true" });
    problem(put(&huge), 413, "too_large").await;
    let text = admin.request(Method::PUT, "/api/admin/settings").body("{}");
    problem(text, 415, "unsupported_media_type").await;

    let settings = json_of(admin.get("/api/admin/settings"), 200).await;
    assert_eq!(settings, json!({ "recording_auto_record": "false" }));
    let ann = server.user("ann").await;
    problem(ann.get("/api/admin/settings"), 403, "forbidden").await;
    problem(
        server.anonymous().get("/api/admin/settings"),
        401,
        "unauthenticated",
    )
    .await;
}
