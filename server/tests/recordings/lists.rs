//! Lists of recordings over HTTP: filters, order, pages, and the storage report.

use std::time::Duration;

use crate::support::{Client, TestServer, chromium_webm, header, json_of, problem};
use serde_json::Value;
use sqlx::Row as _;

/// Follows the pages of a list to its end; returns every recording's ID and the number of pages.
async fn all_pages(client: &Client, path: &str) -> (Vec<String>, usize) {
    let (mut ids, mut pages, mut next) = (Vec::new(), 0, Some(path.to_owned()));
    while let Some(path) = next {
        let answer = client.get(&path).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        let link = header(&answer, "link");
        next = link
            .strip_prefix('<')
            .and_then(|link| link.strip_suffix(">; rel=\"next\""))
            .map(str::to_owned);
        assert_eq!(next.is_none(), link.is_empty(), "{link}");
        let page: Value = answer.json().await.expect("JSON");
        for recording in page.as_array().expect("an array") {
            ids.push(recording["id"].as_str().unwrap_or_default().to_owned());
        }
        pages += 1;
    }
    (ids, pages)
}

#[tokio::test]
async fn recording_list_is_filtered_ordered_and_paged() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let bob = server.user("bob").await;
    let webm = chromium_webm();
    let mut made = Vec::new();
    for number in 0..3 {
        server.clock.advance(Duration::from_secs(60));
        made.push(ann.record(&webm[..webm.len() - number * 1000]).await);
    }
    server.clock.advance(Duration::from_secs(60));
    let failed = ann.record(b"not a video at all").await;
    let (open, session) = ann.start_recording().await;
    let foreign = bob.record(&webm).await;

    let newest_first = vec![
        open.clone(),
        failed.clone(),
        made[2].clone(),
        made[1].clone(),
        made[0].clone(),
    ];
    let oldest_first: Vec<_> = newest_first.iter().rev().cloned().collect();
    let mine = async |query: &str| all_pages(&ann, &format!("/api/recordings?{query}")).await.0;
    assert_eq!(mine("").await, newest_first);
    assert_eq!(mine("order=asc").await, oldest_first);
    assert_eq!(
        all_pages(&ann, "/api/recordings?limit=2").await,
        (newest_first.clone(), 3)
    );
    assert_eq!(
        all_pages(&ann, "/api/recordings?limit=2&order=asc").await,
        (oldest_first, 3)
    );
    assert_eq!(
        mine("status=ready&limit=1").await,
        [&made[2][..], &made[1], &made[0]]
    );
    assert_eq!(mine("status=failed,recording").await, [&open[..], &failed]);
    assert_eq!(mine(&format!("session_id={session}")).await, [&open[..]]);
    assert_eq!(mine(&format!("q={}", &session)).await, [&open[..]]);
    assert_eq!(mine("q=RECORDING_2026&status=failed").await, [&failed[..]]);
    assert_eq!(mine("q=no_such%25thing").await, [""; 0]);
    assert_eq!(
        mine("from=2026-11-21T09:32:00Z&to=2026-11-21T09:34:00Z").await,
        [&made[2][..], &made[1]]
    );
    assert_eq!(
        mine("from=2026-11-21T09:32:00Z&sort=size&status=ready&order=asc").await,
        [&made[2][..], &made[1]]
    );
    assert_eq!(
        mine("sort=size&status=ready").await,
        [&made[0][..], &made[1], &made[2]]
    );
    assert_eq!(mine("protected=true").await, [""; 0]);
    assert_eq!(mine("protected=false").await, newest_first);
    // An empty form field is no filter.
    assert_eq!(
        mine("q=&status=&from=&sort=&protected=").await,
        newest_first
    );
    assert_eq!(
        mine(&format!("user_id={}", ann.user_id)).await,
        newest_first
    );

    let admin = server.admin().await;
    let (all_users, _) = all_pages(&admin, "/api/admin/recordings?limit=1").await;
    assert_eq!(all_users.len(), 6);
    for bob in [bob.user_id.as_str(), "bob", "Bob"] {
        let path = format!("/api/admin/recordings?user_id={bob}");
        assert_eq!(all_pages(&admin, &path).await.0, [&foreign[..]], "{bob}");
    }
    let unknown_users = all_pages(&admin, "/api/admin/recordings?user_id=nobody").await;
    assert!(unknown_users.0.is_empty(), "{unknown_users:?}");
    assert_eq!(
        all_pages(&admin, "/api/admin/recordings?q=BOB").await.0,
        [&foreign[..]]
    );
    let rows = json_of(admin.get("/api/admin/recordings?q=bob"), 200).await;
    assert_eq!(rows[0]["username"], "bob");
    problem(ann.get("/api/admin/recordings"), 403, "forbidden").await;
    problem(ann.get("/api/admin/storage"), 403, "forbidden").await;
    let path = format!("/api/recordings?user_id={}", bob.user_id);
    problem(ann.get(&path), 400, "invalid_field").await;
}

#[tokio::test]
async fn pages_are_stable_while_recordings_come_and_go() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(client.start_recording().await.0);
    }
    let first = client
        .get("/api/recordings?limit=2")
        .send()
        .await
        .expect("an answer");
    let link = header(&first, "link");
    let next = link
        .trim_start_matches('<')
        .split('>')
        .next()
        .unwrap_or_default();
    // The last row of the page is deleted, and a newer one is added.
    let answer = client
        .delete(&format!("/api/recordings/{}", made[2]))
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), 204);
    client.start_recording().await;
    assert_eq!(all_pages(&client, next).await.0, [&made[1][..], &made[0]]);
}

#[tokio::test]
async fn invalid_list_query_is_refused_with_a_sentence() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let long = format!("q={}", "x".repeat(201));
    for query in [
        "limit=0",
        "limit=501",
        "limit=many",
        "limit=1&limit=2",
        "status=lost",
        "status=ready;DROP",
        "sort=name",
        "order=up",
        "protected=1",
        "from=yesterday",
        "to=2026-13-01T00:00:00Z",
        "from=2026-11-21",
        "cursor=x",
        "cursor=",
        "cursor=Yy4xLmEnIE9SIDE9MQ",
        "cursor=cy4xLmE",
        "q=%00",
        "q=a%0ab",
        "user_id=%00",
        "session_id=%1b",
        "unknown=1",
        &long,
    ] {
        for path in ["/api/recordings", "/api/admin/recordings"] {
            problem(client.get(&format!("{path}?{query}")), 400, "invalid_field").await;
        }
    }
    for query in [
        "q='%20OR%201=1--",
        "q=%25",
        "user_id='",
        "session_id=../../x",
        "q=%ff",
        "&&=&",
    ] {
        json_of(client.get(&format!("/api/admin/recordings?{query}")), 200).await;
    }
}

#[tokio::test]
async fn storage_report_counts_stored_recordings() {
    let server = TestServer::with(&[
        ("SORTIE_RECORDING_RETENTION_DAYS", "36500"),
        ("SORTIE_RECORDING_DISK_HIGH_PERCENT", "99"),
    ])
    .await;
    let admin = server.admin().await;
    let ann = server.user("ann").await;
    let empty = json_of(admin.get("/api/admin/storage"), 200).await;
    assert_eq!(
        (&empty["used_bytes"], &empty["recordings"]),
        (&0.into(), &0.into())
    );
    let rule = &empty["retention"];
    assert_eq!(rule["days"], 36500);
    assert_eq!(
        (&rule["high_percent"], &rule["low_percent"]),
        (&99.into(), &94.into())
    );
    let preview = json_of(admin.get("/api/admin/retention"), 200).await;
    assert!(rule["next_run_at"].is_string());
    assert_eq!(rule["next_run_at"], preview["next_run_at"]);

    let recording = ann.record(&chromium_webm()).await;
    let size = ann.recording(&recording).await["size_bytes"]
        .as_u64()
        .expect("a size");
    server.clock.advance(Duration::from_secs(24 * 60 * 60));
    let admin = server.admin().await;
    let ann = server.sign_in("ann", "a good password").await;
    admin.record(b"not a video").await;
    let failed_size = 11;
    let report = json_of(admin.get("/api/admin/storage"), 200).await;
    assert_eq!(report["backend"], "local");
    assert_eq!(report["used_bytes"], size + failed_size);
    assert_eq!(report["recordings"], 2);
    let free = report["free_bytes"].as_u64().expect("a disk");
    assert!(
        report["total_bytes"]
            .as_u64()
            .is_some_and(|total| total >= free)
    );
    assert_eq!(
        report["by_status"],
        serde_json::json!([
            { "status": "failed", "count": 1, "bytes": failed_size },
            { "status": "ready", "count": 1, "bytes": size },
        ])
    );
    assert_eq!(report["by_user"][0]["username"], "ann");
    assert_eq!(report["by_user"][0]["bytes"], size);
    assert_eq!(report["by_user"][1]["recordings"], 1);
    assert_eq!(
        report["growth"],
        serde_json::json!([
            { "day": "2026-11-21", "bytes": size, "recordings": 1 },
            { "day": "2026-11-22", "bytes": failed_size, "recordings": 1 },
        ])
    );

    // The report is cached for some seconds.
    ann.delete(&format!("/api/recordings/{recording}"))
        .send()
        .await
        .expect("an answer");
    let before = json_of(admin.get("/api/admin/storage"), 200).await;
    assert_eq!(before["recordings"], 2);
    server.clock.advance(Duration::from_secs(15));
    let after = json_of(admin.get("/api/admin/storage"), 200).await;
    assert_eq!(
        (&after["recordings"], &after["used_bytes"]),
        (&1.into(), &failed_size.into())
    );
}

/// Requests like a browser, which accepts compressed answers.
async fn browser_answer(client: &Client, path: &str) -> reqwest::Response {
    let request = client
        .get(path)
        .header("Accept-Encoding", "gzip, deflate, br");
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn only_json_lists_are_compressed() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    for _ in 0..20 {
        ann.start_recording().await;
    }
    let ready = ann.record(&chromium_webm()).await;
    let plain = ann.get("/api/recordings").send().await.expect("an answer");
    assert!(plain.headers().get("content-encoding").is_none());
    assert_eq!(header(&plain, "vary"), "accept-encoding");
    let plain = plain.bytes().await.expect("a body");

    let packed = browser_answer(&ann, "/api/recordings").await;
    assert_eq!(header(&packed, "content-encoding"), "gzip");
    let packed = packed.bytes().await.expect("a body");
    assert!(
        packed.len() * 4 < plain.len(),
        "{} of {}",
        packed.len(),
        plain.len()
    );
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::GzDecoder::new(&packed[..]),
        &mut unpacked,
    )
    .expect("gzip");
    let rows = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).expect("JSON");
    assert_eq!(rows(&unpacked), rows(&plain));

    // Recordings, event streams and answers that may contain a secret (BREACH) are not compressed.
    for path in [
        format!("/api/recordings/{ready}/stream"),
        format!("/api/recordings/{ready}/download"),
        "/api/auth/me".to_owned(),
        "/api/auth/methods".to_owned(),
    ] {
        let answer = browser_answer(&ann, &path).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.headers().get("content-encoding").is_none(), "{path}");
        let mut varies = answer.headers().get_all("vary").iter();
        assert!(varies.all(|value| value != "accept-encoding"), "{path}");
    }
    let mut events = browser_answer(&ann, "/api/events").await;
    assert!(events.headers().get("content-encoding").is_none());
    let first = events.chunk().await.expect("bytes").expect("an event");
    assert!(first.starts_with(b"event: hello"), "{first:?}");
}

#[tokio::test]
async fn page_size_is_limited_by_the_number_of_parts() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let mut first = Vec::new();
    for _ in 0..4 {
        first.push(client.record(&chromium_webm()).await);
    }
    // 900 further parts of each recording, as a sender could create them in sequence.
    let pool = server.database().await;
    let row = sqlx::query("SELECT * FROM recordings LIMIT 1").fetch_one(&pool);
    let row = row.await.expect("a row");
    let columns = row.columns().iter().map(sqlx::Column::name);
    let own = ["id", "part_of", "part", "storage_path"];
    let columns: Vec<_> = columns.filter(|name| !own.contains(name)).collect();
    let columns = columns.join(", ");
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 901) \
         INSERT INTO recordings (id, part_of, part, storage_path, {columns}) \
         SELECT id || '-' || i, id, i, storage_path || i, {columns} FROM recordings, n"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .execute(&pool)
        .await
        .expect("parts");
    let mut path = "/api/recordings?limit=500".to_owned();
    let mut seen = Vec::new();
    let mut pages = 0;
    while !path.is_empty() {
        let answer = client.get(&path).send().await.expect("an answer");
        let link = answer
            .headers()
            .get("link")
            .map(|link| link.to_str().expect("text").to_owned());
        path = link.map_or_else(String::new, |link| {
            link[1..link.find('>').expect("an address")].to_owned()
        });
        let rows: Vec<Value> = answer.json().await.expect("a list");
        let parts: usize = rows
            .iter()
            .map(|row| row["parts"].as_array().expect("parts").len())
            .sum();
        assert!(parts <= 2000 + rows.len(), "{parts}");
        seen.extend(
            rows.iter()
                .map(|row| row["id"].as_str().expect("an id").to_owned()),
        );
        pages += 1;
    }
    first.reverse();
    assert_eq!((seen, pages), (first, 2));
}

/// A client that repeats the query with the last completion that it has seen gets every recording.
#[tokio::test]
async fn polling_by_completion_is_inclusive_and_misses_nothing() {
    let server = TestServer::start().await;
    let (admin, ann, bob) = (
        server.admin().await,
        server.user("ann").await,
        server.user("bob").await,
    );
    let webm = chromium_webm();
    // Started first, completed last.
    let (late, _) = ann.start_recording().await;
    let mut made = Vec::new();
    for number in 0..5 {
        // Two are completed in the same millisecond.
        if number != 2 {
            server.clock.advance(Duration::from_secs(1));
        }
        made.push(ann.record(&webm).await);
    }
    made.push(ann.record(b"not a video at all").await);
    let foreign = bob.record(&webm).await;
    // The clock is corrected by less than two minutes: the order of the completions holds.
    server.clock.jump(-90_000);
    let upload = format!("/api/uploads/{late}");
    let sent = ann.patch(&upload, 0, webm.clone());
    let sent = sent.header("Upload-Length", webm.len()).send().await;
    assert_eq!(sent.expect("an answer").status(), 204);
    made.push(late);

    let mut seen = Vec::<String>::new();
    let mut from = "2026-01-01T00:00:00Z".to_owned();
    loop {
        let path = format!("/api/recordings?completed_after={from}&limit=3");
        let page = json_of(ann.get(&path), 200).await;
        let page = page.as_array().expect("an array");
        let before = seen.len();
        for recording in page {
            let id = recording["id"].as_str().expect("an id").to_owned();
            if !seen.contains(&id) {
                seen.push(id);
            }
            recording["completed_at"]
                .as_str()
                .expect("a time")
                .clone_into(&mut from);
        }
        if seen.len() == before {
            break;
        }
    }
    let mut sorted = (seen.clone(), made.clone());
    sorted.0.sort();
    sorted.1.sort();
    assert_eq!(sorted.0, sorted.1);
    let times = async |id: &String| ann.recording(id).await["completed_at"].clone();
    assert_eq!(times(&made[6]).await, times(&made[5]).await);
    let all = "?completed_after=2026-01-01T00:00:00Z";
    let (paged, pages) = all_pages(&ann, &format!("/api/recordings{all}&limit=2")).await;
    assert_eq!((paged, pages), (seen.clone(), 4));
    let (of_all, _) = all_pages(&admin, &format!("/api/admin/recordings{all}")).await;
    assert!(of_all.contains(&foreign) && of_all.len() == made.len() + 1);
    let of_bob = format!("/api/admin/recordings{all}&user_id=bob");
    assert_eq!(all_pages(&admin, &of_bob).await.0, [foreign]);
    for wrong in [
        "completed_after=yesterday",
        "completed_after=2026-01-01T00:00:00Z&q=a",
    ] {
        problem(
            ann.get(&format!("/api/recordings?{wrong}")),
            400,
            "invalid_field",
        )
        .await;
    }
}
