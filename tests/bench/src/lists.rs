//! Latency of list pages at any depth, on both databases.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use sortie_faults::caller::Caller;
use sortie_faults::process::{Process, Setup};
use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, Connection, Row};
use tokio::time::Instant;

use crate::contestant::memory;
use crate::postgres::Cluster;

/// Rows of a page: the server's default `limit`.
const PAGE: u64 = 100;
/// Requests before the measurement, and measured requests.
const WARM: usize = 20;
const COUNTED: usize = 300;

/// Owner of most recordings, and owner of few.
const MANY: &str = "many";
const FEW: &str = "few";
const PASSWORD: &str = "a password of the benchmark";

/// Number of recordings of `FEW`.
const FEW_ROWS: i64 = 10;

/// Half of the recordings belong to `MANY`, the others to owners with 500 each; a fifth has failed. None is growing, as
/// the server would finish it. Sizes and durations are not in the order of the IDs.
const SEED: &str = "WITH RECURSIVE n(i) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
    INSERT INTO recordings (id, session_id, user_id, filename, size_bytes, duration_ms, format, storage_backend, \
    storage_path, status, created_ms, completed_ms, title) \
    SELECT '01990000-0000-7000-8000-' || substr(CAST(1000000000000 + i AS TEXT), 2), \
    '01990000-0000-7000-9000-' || substr(CAST(1000000000000 + i / 3 AS TEXT), 2), \
    CASE WHEN i <= $2 THEN $3 WHEN i % 2 = 0 THEN $4 ELSE 'owner-' || CAST(i / 2 % 1000 AS TEXT) END, \
    'recording_' || CAST(i AS TEXT) || '.webm', i * 7919 % 1000003 * 100, i * 104729 % 1000003, 'webm', 'local', '', \
    CASE WHEN i % 5 = 0 THEN 'failed' ELSE 'ready' END, 1700000000000 + i * 1000, 1700000000500 + i * 1000, \
    'Lesson topic-' || CAST(10000 + i % 1000 AS TEXT) || ' seat-' || CAST(1000000 + i % 100000 AS TEXT) || \
    CASE WHEN i % 50 = 0 THEN ' Évaluation' ELSE '' END || CASE WHEN i * 10 <= $1 THEN ' archive' ELSE '' END FROM n";

/// Searches: words, and further parameters.
const SEARCHES: [(&str, &str); 12] = [
    ("a word of all", "lesson"),
    ("a word of 2 %", "evaluation"),
    ("a word of the oldest 10 %", "archive"),
    ("a word of 0.1 %", "topic-10123"),
    ("two words of 0.1 % and 2 %", "topic-10150+evaluation"),
    (
        "a word of 0.1 %, user_id=…, status=failed",
        "topic-10105&user_id={many}&status=failed",
    ),
    ("a word of 0.1 %, by size", "topic-10123&sort=size"),
    ("a word of 0.001 %", "seat-1000123"),
    (
        "a word of 0.001 %, user_id=…",
        "seat-1000124&user_id={many}",
    ),
    ("no match", "nothing+has+this+name"),
    ("a word of all, source=camera: none", "lesson&source=camera"),
    (
        "a word of the oldest 10 %, by size, source=camera: none",
        "archive&sort=size&source=camera",
    ),
];

struct List {
    name: &'static str,
    query: &'static str,
    /// SQL condition of its rows; `$1` is the ID of [`MANY`].
    condition: &'static str,
    /// Column of the order, and first letter of its cursors.
    order: (&'static str, char),
}

const BY_TIME: (&str, char) = ("created_ms", 'c');

const LISTS: [List; 8] = [
    List {
        name: "all",
        query: "",
        condition: "$1 <> ''",
        order: BY_TIME,
    },
    List {
        name: "all, by size",
        query: "&sort=size",
        condition: "$1 <> ''",
        order: ("size_bytes", 's'),
    },
    List {
        name: "status=failed",
        query: "&status=failed",
        condition: "$1 <> '' AND status = 'failed'",
        order: BY_TIME,
    },
    List {
        name: "user_id=…",
        query: "&user_id={many}",
        condition: "user_id = $1",
        order: BY_TIME,
    },
    List {
        name: "user_id=…, status=failed",
        query: "&user_id={many}&status=failed",
        condition: "user_id = $1 AND status = 'failed'",
        order: BY_TIME,
    },
    List {
        name: "metadata=course=biology",
        query: "&metadata=course=biology",
        condition: "$1 <> '' AND created_ms % 7000 = 0",
        order: BY_TIME,
    },
    List {
        name: "user_id=…, metadata=course=biology",
        query: "&user_id={many}&metadata=course=biology",
        condition: "user_id = $1 AND created_ms % 7000 = 0",
        order: BY_TIME,
    },
    List {
        name: "metadata=course=biology, status=failed",
        query: "&metadata=course=biology&status=failed",
        condition: "$1 <> '' AND created_ms % 7000 = 0 AND status = 'failed'",
        order: BY_TIME,
    },
];

/// Gives every seventh recording the label `$1`.
const LABEL: &str = "INSERT INTO recording_labels (id, subject_id, owner_id, label, position) \
    SELECT id || ' x', id, user_id, $1, created_ms FROM recordings WHERE created_ms % 7000 = 0 \
    AND id NOT IN (SELECT subject_id FROM recording_labels)";

/// Measures on SQLite and PostgreSQL with this number of recordings, and prints a line for each page.
pub(crate) async fn measure(
    binary: &Path,
    folder: &Path,
    rows: i64,
    mut print: impl FnMut(String),
) -> Result<()> {
    install_default_drivers();
    for kind in ["SQLite", "PostgreSQL"] {
        let place = tempfile::tempdir_in(folder)?;
        let mut setup = Setup::new(binary, place.path());
        let mut database = format!("sqlite://{}", setup.database.display());
        // Stops PostgreSQL when dropped.
        let cluster = if kind == "PostgreSQL" {
            let cluster = tokio::task::spawn_blocking(Cluster::new).await?;
            database = cluster.database();
            setup.environment = vec![
                ("SORTIE_DB_TYPE".to_owned(), "postgres".into()),
                ("SORTIE_DB_DSN".to_owned(), database.clone().into()),
            ];
            Some(cluster)
        } else {
            None
        };
        measure_one(kind, &setup, &database, rows, &mut print).await?;
        drop(cluster);
    }
    Ok(())
}

async fn measure_one(
    kind: &str,
    setup: &Setup,
    database: &str,
    rows: i64,
    print: &mut impl FnMut(String),
) -> Result<()> {
    // The server creates its tables.
    let process = setup.start(0).await?;
    let admin = Caller::sign_in(&process.origin()).await?;
    let (few, many) = (create(&admin, FEW).await?, create(&admin, MANY).await?);
    process.kill().await?;

    let mut connection = AnyConnection::connect(database).await?;
    let begun = Instant::now();
    sqlx::query(SEED)
        .bind(rows)
        .bind(FEW_ROWS)
        .bind(&few)
        .bind(&many)
        .execute(&mut connection)
        .await?;
    if kind == "PostgreSQL" {
        // Statistics that autovacuum collects on a real server.
        sqlx::query("VACUUM ANALYZE recordings")
            .execute(&mut connection)
            .await?;
    }
    eprintln!("{kind}: {rows} rows in {:.1?}", begun.elapsed());

    let process = setup.start(0).await?;
    await_search_index(&mut connection).await?;
    eprintln!(
        "{kind}: the texts are indexed after {:.1?}",
        begun.elapsed()
    );
    let admin = Caller::sign_in(&process.origin()).await?;
    let client = Caller::sign_in_as(&process.origin(), FEW, PASSWORD).await?;
    label(kind, &admin, &mut connection).await?;
    let mut line = |what: &str, page: &str, times: &[Duration], process: &Process| {
        print(format!(
            "| {kind} | {what} | {page} | {:.1} | {:.1} | {} |",
            percentile_ms(times, 50),
            percentile_ms(times, 99),
            resident_mib(process)?
        ));
        anyhow::Ok(())
    };

    // Baseline: time of a response without a database read, which includes machine and sender.
    let times = repeat(&client, "/healthz", None).await?;
    line("(no list: `/healthz`)", "", &times, &process)?;
    let times = repeat(&client, "/api/recordings", Some(u64::try_from(FEW_ROWS)?)).await?;
    line("their own, ten rows", "1", &times, &process)?;
    for list in LISTS {
        let path = format!("/api/admin/recordings?limit={PAGE}{}", list.query);
        let path = path.replace("{many}", &many);
        let times = repeat(&admin, &path, Some(PAGE)).await?;
        line(list.name, "1", &times, &process)?;
        let (page, cursor) = last_full_page(&mut connection, &list, &many).await?;
        let times = repeat(&admin, &format!("{path}&cursor={cursor}"), Some(PAGE)).await?;
        line(list.name, &page.to_string(), &times, &process)?;
    }
    for (name, search) in SEARCHES {
        let path =
            format!("/api/admin/recordings?limit={PAGE}&q={search}").replace("{many}", &many);
        let times = repeat(&admin, &path, None).await?;
        line(&format!("search: {name}"), "1", &times, &process)?;
    }
    let path = "/api/admin/recordings?q=seat-1000123";
    repeat(&admin, path, Some(u64::try_from(rows / 100_000)?)).await?;
    // The same search without the index.
    let mut times = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        let found = sqlx::query("SELECT id FROM recordings WHERE lower(title) LIKE '%seat-1000123%' ORDER BY created_ms DESC")
            .fetch_all(&mut connection)
            .await?;
        ensure!(found.len() as i64 == rows / 100_000, "{} rows", found.len());
        times.push(begun.elapsed());
    }
    times.sort();
    line("(`LIKE` on the title, no server)", "", &times, &process)?;
    let begun = Instant::now();
    let report = admin.request(Method::GET, "/api/admin/storage");
    let report = report.send().await?.error_for_status()?;
    let report: Value = report.json().await?;
    let took = begun.elapsed();
    ensure!(
        report["recordings"] == rows,
        "the report does not count all recordings"
    );
    line("the storage report, once", "", &[took], &process)?;
    connection.close().await?;
    process.kill().await
}

/// Labels a seventh of the recordings: the server computes the label of the first, the others copy it.
async fn label(kind: &str, admin: &Caller, connection: &mut AnyConnection) -> Result<()> {
    let first: String =
        sqlx::query_scalar("SELECT MIN(id) FROM recordings WHERE created_ms % 7000 = 0")
            .fetch_one(&mut *connection)
            .await?;
    let body = json!({ "metadata": { "course": "biology" } });
    let path = format!("/api/recordings/{first}");
    let answer = admin.request(Method::PATCH, &path).json(&body).send();
    answer.await?.error_for_status()?;
    let label: String = sqlx::query_scalar("SELECT label FROM recording_labels")
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query(LABEL)
        .bind(label)
        .execute(&mut *connection)
        .await?;
    if kind == "PostgreSQL" {
        sqlx::query("VACUUM ANALYZE recording_labels")
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Waits until the server has indexed the texts of all recordings.
async fn await_search_index(connection: &mut AnyConnection) -> Result<()> {
    loop {
        let queued: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM search_queue")
            .fetch_one(&mut *connection)
            .await?;
        if queued == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Resident memory of the server in MiB.
fn resident_mib(process: &Process) -> Result<u64> {
    let id = process.id().context("the server has exited")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    Ok(memory(&status, "VmRSS:")? >> 20)
}

/// Percentile of sorted times.
fn percentile_ms(times: &[Duration], percent: usize) -> f64 {
    let time = times.get(times.len() * percent / 100);
    time.copied().unwrap_or_default().as_secs_f64() * 1000.0
}

/// Creates a user; returns the ID.
async fn create(admin: &Caller, username: &str) -> Result<String> {
    let user = json!({ "username": username, "password": PASSWORD, "roles": ["user"] });
    let answer = admin
        .request(Method::POST, "/api/admin/users")
        .json(&user)
        .send()
        .await?
        .error_for_status()?;
    let user: Value = answer.json().await?;
    Ok(user["id"].as_str().context("no id")?.to_owned())
}

/// Repeats a request; every answer of a list must have this number of rows.
async fn repeat(caller: &Caller, path: &str, rows: Option<u64>) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(COUNTED);
    for number in 0..WARM + COUNTED {
        let begun = Instant::now();
        let answer = caller.request(Method::GET, path).send().await?;
        let body = answer.error_for_status()?.bytes().await?;
        if number >= WARM {
            times.push(begun.elapsed());
        }
        if let Some(rows) = rows {
            let list: Vec<Value> = serde_json::from_slice(&body)?;
            ensure!(list.len() as u64 == rows, "{path}: {} rows", list.len());
        }
    }
    times.sort();
    Ok(times)
}

/// Number of the last page of a list, and the cursor of the page before it. The database counts the rows, as paging
/// there would take too long.
async fn last_full_page(
    connection: &mut AnyConnection,
    list: &List,
    many: &str,
) -> Result<(u64, String)> {
    let condition = list.condition;
    let (column, mark) = list.order;
    let count = format!("SELECT COUNT(*) FROM recordings WHERE {condition}");
    let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count))
        .bind(many)
        .fetch_one(&mut *connection)
        .await?;
    let page = u64::try_from(count)? / PAGE;
    let skipped = page.checked_sub(1).context("too few rows")? * PAGE;
    let before = skipped.checked_sub(1).context("a single page")?;
    let place = format!(
        "SELECT {column} AS k, id FROM recordings WHERE {condition} ORDER BY {column} DESC, id DESC LIMIT 1 OFFSET {before}"
    );
    let place = sqlx::query(sqlx::AssertSqlSafe(place))
        .bind(many)
        .fetch_one(connection)
        .await?;
    let (value, id): (i64, String) = (place.try_get("k")?, place.try_get("id")?);
    Ok((page, URL_SAFE_NO_PAD.encode(format!("{mark}.{value}.{id}"))))
}
