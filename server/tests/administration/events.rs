use serde_json::{Value, json};

use crate::support::{Client, PATIENCE, TestServer, chromium_webm, header, json_of, problem};

/// Reader of server-sent events (WHATWG HTML, 9.2).
struct Reader {
    answer: reqwest::Response,
    text: String,
    /// ID of the last event that had one.
    id: String,
}

impl Reader {
    async fn open(client: &Client, query: &str) -> Self {
        Self::of(client.get(&format!("/api/events{query}"))).await
    }

    /// Reconnects as a browser does.
    async fn resume(client: &Client, query: &str, last_id: &str) -> Self {
        let request = client.get(&format!("/api/events{query}"));
        Self::of(request.header("Last-Event-ID", last_id)).await
    }

    async fn of(request: reqwest::RequestBuilder) -> Self {
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, "content-type"), "text/event-stream");
        assert_eq!(header(&answer, "cache-control"), "no-store");
        Self {
            answer,
            text: String::new(),
            id: String::new(),
        }
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                        .unwrap_or_default()
                        .to_owned()
                };
                let (name, data, id) = (field("event"), field("data"), field("id"));
                if !id.is_empty() {
                    self.id = id;
                }
                self.text = rest.to_owned();
                if !name.is_empty() {
                    return Some((name, serde_json::from_str(&data).expect("JSON")));
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await;
            let chunk = chunk.expect("an event in time").ok().flatten()?;
            self.text += std::str::from_utf8(&chunk).expect("UTF-8");
        }
    }

    /// Returns the next event of this name that satisfies the condition.
    async fn expect(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (got, data) = self.next().await.expect("the stream continues");
            if got == name && fits(&data) {
                return data;
            }
        }
    }
}

#[tokio::test]
async fn session_stream_gets_settings_and_own_session_only() {
    let server = TestServer::start().await;
    let (admin, ann, bob) = (
        server.admin().await,
        server.user("ann").await,
        server.user("bob").await,
    );
    let session = ann.session().await;
    let mut page = Reader::open(&ann, &format!("?session={session}")).await;
    let hello = json!({ "last_event": head(&admin).await });
    assert_eq!(page.next().await, Some(("hello".to_owned(), hello)));
    let settings = json!({ "recording_auto_record": false });
    assert_eq!(page.next().await, Some(("settings".to_owned(), settings)));
    let (name, data) = page.next().await.expect("a session");
    assert_eq!(
        (name.as_str(), &data["auto_record"]),
        ("session", &json!(false))
    );

    // Bob's events come first in the log; ann receives only the later ones.
    bob.session().await;
    admin.set_auto_record(true).await;
    let settings = json!({ "recording_auto_record": true });
    assert_eq!(page.next().await, Some(("settings".to_owned(), settings)));
    let (name, data) = page.next().await.expect("a session");
    assert_eq!(
        (name.as_str(), &data["auto_record"]),
        ("session", &json!(true))
    );
    assert_eq!(data["id"], session.as_str());

    let started = json_of(
        ann.post(&format!("/api/sessions/{session}/recording/start")),
        201,
    )
    .await;
    let id = started["recording_id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let recording = page
        .expect("recording", |data| data["id"] == id.as_str())
        .await;
    assert_eq!(recording["status"], "recording");
    let webm = chromium_webm();
    let upload = format!("/api/uploads/{id}");
    let sent = ann.patch(&upload, 0, webm[..5000].to_vec()).send().await;
    assert_eq!(sent.expect("an answer").status(), 204);
    page.expect("recording", |data| data["size_bytes"] == 5000)
        .await;
    json_of(
        ann.post(&format!("/api/sessions/{session}/recording/stop"))
            .json(&json!({ "recording_id": id })),
        200,
    )
    .await;
    page.expect("session", |data| data["auto_record"] == false)
        .await;
    json_of(ann.post(&format!("/api/sessions/{session}/stop")), 200).await;
    page.expect("session", |data| data["status"] == "stopped")
        .await;

    let deleted = ann.delete(&format!("/api/recordings/{id}")).send().await;
    assert_eq!(deleted.expect("an answer").status(), 204);
    // A user's stream has the event; a session's stream does not, as a deleted recording no longer names its session.
    assert_eq!(
        ann.delete(&format!("/api/sessions/{session}"))
            .send()
            .await
            .expect("an answer")
            .status(),
        204
    );
    page.expect("session_deleted", |data| data["id"] == session.as_str())
        .await;
}

#[tokio::test]
async fn user_stream_gets_own_recordings_and_admin_stream_all() {
    let server = TestServer::start().await;
    let (admin, ann, bob) = (
        server.admin().await,
        server.user("ann").await,
        server.user("bob").await,
    );
    let mut list = Reader::open(&ann, "").await;
    let mut all = Reader::open(&admin, "?all=true").await;
    let foreign = bob.record(&chromium_webm()).await;
    all.expect("recording", |data| {
        data["id"] == foreign.as_str() && data["status"] == "ready"
    })
    .await;
    let own = ann.record(&chromium_webm()).await;
    let (first, data) = loop {
        let (name, data) = list.next().await.expect("an event");
        if name != "hello" && name != "settings" {
            break (name, data);
        }
    };
    assert_eq!(
        (first.as_str(), &data["user_id"]),
        ("session", &json!(ann.user_id))
    );
    list.expect("recording", |data| {
        assert_eq!(data["id"], own.as_str());
        data["status"] == "ready"
    })
    .await;
    ann.delete(&format!("/api/recordings/{own}"))
        .send()
        .await
        .expect("an answer");
    list.expect("recording_deleted", |data| data["id"] == own.as_str())
        .await;
    all.expect("recording_deleted", |data| data["id"] == own.as_str())
        .await;

    problem(ann.get("/api/events?all=true"), 403, "forbidden").await;
    problem(ann.get("/api/events?all=yes"), 400, "invalid_field").await;
    problem(ann.get("/api/events?session=unknown"), 404, "not_found").await;
    let session = bob.session().await;
    problem(
        ann.get(&format!("/api/events?session={session}")),
        403,
        "forbidden",
    )
    .await;
    problem(
        server.anonymous().get("/api/events"),
        401,
        "unauthenticated",
    )
    .await;
}

#[tokio::test]
async fn streams_are_limited_and_end_at_shutdown() {
    let mut server = TestServer::start().await;
    let ann = server.user("ann").await;
    let mut open = Vec::new();
    for _ in 0..30 {
        open.push(Reader::open(&ann, "").await);
    }
    problem(ann.get("/api/events"), 429, "too_many_requests").await;
    let last = open.pop().expect("a reader");
    drop(open);
    crate::until("the other streams are closed", async || {
        ann.get("/api/events")
            .send()
            .await
            .expect("an answer")
            .status()
            == 200
    })
    .await;
    server.restart().await;
    // The stream ended cleanly: one that blocked the shutdown would be cut off with an error after the grace time.
    let mut rest = last.answer;
    while rest.chunk().await.expect("a good end").is_some() {}
}

/// Waits for the end of a stream.
async fn ends(mut reader: Reader) {
    while reader.next().await.is_some() {}
}

fn with_token(client: &Client, token: &Value) -> Client {
    Client {
        http: client.http.clone(),
        url: client.url.clone(),
        token: token["token"].as_str().map(str::to_owned),
        user_id: client.user_id.clone(),
    }
}

async fn api_token(owner: &Client, scope: &str) -> (Client, String) {
    let body = json!({ "name": scope, "scopes": [scope] });
    let created = json_of(owner.post("/api/tokens").json(&body), 201).await;
    let id = created["id"].as_str().expect("an id").to_owned();
    (with_token(owner, &created), id)
}

#[tokio::test]
async fn stream_ends_with_its_credential() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.user("ann").await;
    for how in [
        "logout",
        "own list",
        "others",
        "administrator",
        "reuse",
        "token",
        "password",
        "disabled",
        "deleted",
    ] {
        let mut ann = server.sign_in("ann", "a good password").await;
        let login = json!({ "username": "ann", "password": "a good password" });
        let login = server.anonymous().post("/api/auth/login").json(&login);
        let login = json_of(login, 200).await;
        ann.token = login["access_token"].as_str().map(str::to_owned);
        let refresh = |token: &Value| {
            let body = json!({ "refresh_token": token });
            server.anonymous().post("/api/auth/refresh").json(&body)
        };
        let other = server.sign_in("ann", "a good password").await;
        let (token, token_id) = api_token(&other, "read").await;
        let list = json_of(ann.get("/api/auth/sign-ins"), 200).await;
        let mut list = list.as_array().into_iter().flatten();
        let current = list.find(|it| it["current"] == true).expect("its own");
        let sign_in = current["id"].as_str().expect("an id").to_owned();
        let user = format!("/api/admin/users/{}", ann.user_id);
        let stream = match how {
            "token" => Reader::open(&token, "").await,
            _ => Reader::open(&ann, "").await,
        };
        // Uses another credential of the same user; stays open where a single credential ends.
        let mut going_on = Reader::open(&other, "").await;
        let request = match how {
            "logout" => ann.post("/api/auth/logout"),
            "own list" => other.delete(&format!("/api/auth/sign-ins/{sign_in}")),
            "others" => other.delete("/api/auth/sign-ins"),
            "administrator" => admin.delete(&format!("{user}/sign-ins")),
            "reuse" => {
                // Spent, and its successor used: a copy.
                let next = json_of(refresh(&login["refresh_token"]), 200).await;
                json_of(refresh(&next["refresh_token"]), 200).await;
                refresh(&login["refresh_token"])
            }
            "token" => other.delete(&format!("/api/tokens/{token_id}")),
            "password" => {
                let change = json!({ "current_password": "a good password", "new_password": "a good password" });
                other.post("/api/auth/password").json(&change)
            }
            "disabled" => admin
                .request(reqwest::Method::PATCH, &user)
                .json(&json!({ "disabled": true })),
            _ => admin.delete(&user),
        };
        let status = request.send().await.expect("an answer").status().as_u16();
        assert_eq!(
            (200..300).contains(&status),
            how != "reuse",
            "{how}: {status}"
        );
        ends(stream).await;
        if matches!(how, "logout" | "own list" | "others" | "reuse" | "token") {
            let session = other.session().await;
            going_on
                .expect("session", |data| data["id"] == session.as_str())
                .await;
        }
        if how == "disabled" {
            let enable = json!({ "disabled": false });
            let request = admin.request(reqwest::Method::PATCH, &user).json(&enable);
            json_of(request, 200).await;
        }
    }
}

#[tokio::test]
async fn appliance_events_reach_administrators_only() {
    let recorder = std::sync::Arc::new(crate::support::appliance::FakeRecorder::new());
    let server = TestServer::with_appliance(&[], Some(recorder)).await;
    let admin = server.admin().await;
    let (read, _) = api_token(&admin, "read").await;
    let (record, _) = api_token(&admin, "record").await;
    let (full, _) = api_token(&admin, "admin").await;
    let mut limited = [
        Reader::open(&read, "").await,
        Reader::open(&record, "").await,
    ];
    let mut whole = [
        Reader::open(&admin, "").await,
        Reader::open(&full, "").await,
    ];
    for reader in &mut whole {
        reader.expect("appliance", |_| true).await;
    }
    // A later event arrives in these streams without the appliance's event before it.
    let session = admin.session().await;
    for reader in &mut limited {
        loop {
            let (name, data) = reader.next().await.expect("an event");
            assert_ne!(name, "appliance");
            if name == "session" && data["id"] == session.as_str() {
                break;
            }
        }
    }
}

/// Number of the newest row of the audit log.
async fn head(admin: &Client) -> i64 {
    let rows = json_of(admin.get("/api/admin/audit?limit=1"), 200).await;
    rows[0]["seq"].as_i64().expect("a number")
}

#[tokio::test]
async fn resumed_stream_replays_missed_changes_once_and_without_hello() {
    let server = TestServer::start().await;
    let (admin, ann, bob) = (
        server.admin().await,
        server.user("ann").await,
        server.user("bob").await,
    );
    let mut stream = Reader::open(&ann, "").await;
    let known = ann.session().await;
    stream
        .expect("session", |data| data["id"] == known.as_str())
        .await;
    let last_id = stream.id.clone();
    assert_eq!(last_id, head(&admin).await.to_string());
    drop(stream);

    // While ann is not connected.
    let (missed, deleted) = (
        ann.record(&chromium_webm()).await,
        ann.record(&chromium_webm()).await,
    );
    bob.record(&chromium_webm()).await;
    let answer = ann.delete(&format!("/api/recordings/{deleted}")).send();
    assert_eq!(answer.await.expect("an answer").status(), 204);
    admin.set_auto_record(true).await;

    let mut stream = Reader::resume(&ann, "", &last_id).await;
    let mut names = Vec::new();
    loop {
        let (name, data) = stream.next().await.expect("an event");
        assert_ne!(name, "hello");
        assert_ne!(data["user_id"], bob.user_id.as_str(), "{data}");
        names.push(name.clone());
        if name == "recording" {
            assert_eq!(
                (&data["id"], &data["status"]),
                (&json!(missed), &json!("ready"))
            );
        }
        if name == "settings" {
            assert_eq!(data, json!({ "recording_auto_record": true }));
            break;
        }
    }
    // One event for each resource, with its current state.
    let count = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
    assert_eq!(count("recording"), 1, "{names:?}");
    assert_eq!(count("recording_deleted"), 1, "{names:?}");
    assert_eq!(count("session"), 2, "{names:?}");
    assert_eq!(stream.id, head(&admin).await.to_string());
    // The stream continues with new changes.
    let live = ann.session().await;
    let (name, data) = stream.next().await.expect("an event");
    assert_eq!((name.as_str(), &data["id"]), ("session", &json!(live)));

    // An administrator's stream of all users and a session's stream are resumed with their own rules.
    let mut all = Reader::resume(&admin, "?all=true", &last_id).await;
    all.expect("recording", |data| data["user_id"] == bob.user_id.as_str())
        .await;
    let mut session = Reader::resume(&ann, &format!("?session={known}"), &last_id).await;
    let (name, _) = session.next().await.expect("an event");
    assert_eq!(name, "settings");
    problem(
        ann.get("/api/events?all=true").header("Last-Event-ID", "1"),
        403,
        "forbidden",
    )
    .await;
}

#[tokio::test]
async fn list_says_after_which_change_a_stream_must_begin() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let list = async |caller: &Client, path: &str| {
        let answer = caller.get(path).send().await.expect("an answer");
        header(&answer, "last-event-id").to_owned()
    };
    let before = list(&ann, "/api/recordings").await;
    let all = list(&admin, "/api/admin/recordings?limit=1").await;
    assert_eq!((&before, &all), (&head(&admin).await.to_string(), &before));
    let mut stream = Reader::open(&ann, "").await;
    let (_, hello) = stream.next().await.expect("hello");
    assert_eq!(hello["last_event"].to_string(), before);
    drop(stream);

    let recorded = ann.record(&chromium_webm()).await;
    let mut stream = Reader::resume(&ann, "", &before).await;
    let (mut name, mut data) = stream.next().await.expect("an event");
    while name != "recording" {
        assert_ne!(name, "hello");
        (name, data) = stream.next().await.expect("an event");
    }
    assert_eq!(data["id"], recorded.as_str());
    let after = list(&ann, "/api/recordings").await;
    assert!(after.parse::<i64>().ok() > before.parse().ok(), "{after}");
}

#[tokio::test]
async fn stream_that_cannot_be_resumed_begins_with_hello() {
    let server = TestServer::start().await;
    let (admin, ann) = (server.admin().await, server.user("ann").await);
    let head = head(&admin).await;
    for last_id in [
        // Of a log that was replaced by an older one.
        (head + 1_000).to_string(),
        "-1".to_owned(),
        "x".to_owned(),
        "99999999999999999999".to_owned(),
    ] {
        let mut stream = Reader::resume(&ann, "", &last_id).await;
        let (name, _) = stream.next().await.expect("an event");
        assert_eq!(name, "hello", "{last_id}");
    }
    // More changes than are replayed.
    for number in 0..=1000 {
        admin.set_auto_record(number % 2 == 0).await;
    }
    let mut stream = Reader::resume(&ann, "", &head.to_string()).await;
    let (name, _) = stream.next().await.expect("an event");
    assert_eq!(name, "hello");
    let id: i64 = stream.id.parse().expect("a number");
    assert!(id > head + 1000);
}

#[tokio::test]
async fn session_stream_gets_deletions_of_its_recordings_only() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let webm = chromium_webm();
    let (recording, other) = (ann.record(&webm).await, ann.record(&webm).await);
    let session = ann.recording(&recording).await["session_id"].clone();
    let query = format!("?session={}", session.as_str().expect("an id"));
    let mut stream = Reader::open(&ann, &query).await;
    stream.expect("session", |_| true).await;
    let last_id = stream.id.clone();
    for id in [&other, &recording] {
        let deleted = ann.delete(&format!("/api/recordings/{id}")).send().await;
        assert_eq!(deleted.expect("an answer").status(), 204);
    }
    let live = stream.expect("recording_deleted", |_| true).await;
    assert_eq!(live["id"], recording.as_str());
    let mut resumed = Reader::resume(&ann, &query, &last_id).await;
    let (name, data) = resumed.next().await.expect("an event");
    assert_eq!(
        (name.as_str(), &data["id"]),
        ("recording_deleted", &json!(recording))
    );
}

#[tokio::test]
async fn resumed_streams_of_one_user_get_all_missed_changes() {
    let server = TestServer::start().await;
    let (admin, ann, bob) = (
        server.admin().await,
        server.user("ann").await,
        server.user("bob").await,
    );
    let last_id = head(&admin).await.to_string();
    let mut missed = Vec::new();
    for _ in 0..120 {
        missed.push(ann.session().await);
        bob.session().await;
    }
    let mut streams = Vec::new();
    for _ in 0..6 {
        streams.push(Reader::resume(&ann, "", &last_id).await);
    }
    for mut stream in streams {
        for session in &missed {
            let (name, data) = stream.next().await.expect("an event");
            assert_eq!((name.as_str(), &data["id"]), ("session", &json!(session)));
        }
    }
}
