use super::super::testing::{at_most, database, growing, local_user};
use super::*;
use crate::db::{List, Position, RecordingRow, Sort};

async fn insert(database: &Database, row: &RecordingRow) {
    let inserted = database.recordings().insert(row, at_most(5000), None).await;
    inserted.unwrap();
}

/// IDs that a search finds, oldest first.
async fn found(database: &Database, search: &str) -> Vec<String> {
    let list = List {
        search: Some(search.to_owned()),
        ascending: true,
        ..List::default()
    };
    let page = database.lists().page(&list, None, 100).await.unwrap();
    page.rows.into_iter().map(|row| row.id).collect()
}

async fn execute(database: &Database, sql: &'static str) {
    let pool = &database.pool;
    sqlx::query(sql).execute(pool).await.unwrap();
}

#[tokio::test]
async fn search_follows_every_change_of_a_text() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await.unwrap();
    let ann = local_user("ann");
    database.users().insert(&ann).await.unwrap();
    let none: [&str; 0] = [];
    insert(&database, &growing("one")).await;
    assert_eq!(found(&database, "FIRST ann").await, ["one"]);
    for (change, term) in [
        (
            "UPDATE recordings SET title = 'Über die Brücke'",
            "uber BRUCKE",
        ),
        ("UPDATE recordings SET app_id = 'cad-tool'", "cad-t"),
        ("UPDATE recordings SET tags = '[\"night shift\"]'", "shift"),
        ("UPDATE recordings SET external_id = 'order/77'", "der/77"),
        (
            "UPDATE recordings SET metadata = '{\"seat\":[\"blue\",{\"n\":4711}]}'",
            "blue 471",
        ),
        ("UPDATE users SET display_name = 'Zoë'", "zoe"),
        (
            "INSERT INTO markers (id, recording_id, author_id, time_ms, kind, text, created_ms) \
             VALUES ('m', 'one', 'ann', 5, 'note', 'The screw fell', 1)",
            "screw",
        ),
        ("UPDATE markers SET text = 'The nut fell'", "nut"),
    ] {
        assert_eq!(found(&database, term).await, none, "before {change}");
        execute(&database, change).await;
        assert_eq!(found(&database, term).await, ["one"], "{change}");
    }
    assert_eq!(found(&database, "screw").await, none);
    // A match does not span two texts, and a name of metadata is no value.
    assert_eq!(found(&database, "nutzoe").await, none);
    assert_eq!(found(&database, "seat").await, none);
    execute(&database, "DELETE FROM markers").await;
    assert_eq!(found(&database, "nut").await, none);
    execute(&database, "UPDATE users SET username = 'annette'").await;
    assert_eq!(found(&database, "annette").await, ["one"]);

    // A further part is found by its markers only through the first part.
    let mut two = growing("two");
    two.part_of = Some("one".to_owned());
    two.part = 2;
    two.filename = "second.webm".to_owned();
    insert(&database, &two).await;
    execute(
        &database,
        "INSERT INTO markers (id, recording_id, author_id, time_ms, kind, text, created_ms) \
         VALUES ('n', 'two', 'ann', 5, 'note', 'Lunch', 1)",
    )
    .await;
    assert_eq!(found(&database, "lunch").await, ["one"]);
    assert_eq!(found(&database, "second").await, none);

    execute(&database, "DELETE FROM recordings").await;
    assert_eq!(found(&database, "annette").await, none);
    for table in ["recording_texts", "search_queue"] {
        let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(count)
            .fetch_one(&database.pool)
            .await
            .unwrap();
        assert_eq!(count, 0, "{table}");
    }
}

#[tokio::test]
async fn recordings_of_the_same_time_have_places_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await.unwrap();
    for number in 0..1_200 {
        insert(&database, &growing(&format!("{number}"))).await;
    }
    while database.search_index().update().await.unwrap() {}
    let places: Vec<i64> = sqlx::query_scalar("SELECT place FROM recording_texts ORDER BY place")
        .fetch_all(&database.pool)
        .await
        .unwrap();
    assert_eq!(places.len(), 1_200);
    let (first, end) = (first_place(1), first_place(2));
    assert!(places.iter().all(|place| (first..end).contains(place)));
}

/// Recordings of which the matches are at any place, and more than the rows that are read in order.
async fn seed(database: &Database, rows: i64, rows_of_a_time: i64, distance_ms: i64) {
    let text = "WITH RECURSIVE n(i) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT i - 1 FROM n WHERE i > 1) \
        INSERT INTO recordings (id, session_id, user_id, filename, size_bytes, duration_ms, storage_backend, \
        storage_path, status, kind, protected, created_ms) \
        SELECT 'id-' || CAST(i * 7919 % 100003 AS TEXT), 'session-' || CAST(i % 11 AS TEXT), 'user-' || CAST(i % 3 AS TEXT), \
        'Talk ' || CAST(i % 7 AS TEXT) || CASE WHEN i % 50 = 3 OR i < 9 THEN ' rare' ELSE '' END, i % 17 * 1000, \
        i % 19 * 1000, 'local', '', CASE i % 8 WHEN 0 THEN 'failed' WHEN 2 THEN 'recording' ELSE 'ready' END, \
        'recording', CASE i % 5 WHEN 0 THEN 1 ELSE 0 END, i / CAST($2 AS BIGINT) * CAST($3 AS BIGINT) FROM n";
    sqlx::query(text)
        .bind(rows)
        .bind(rows_of_a_time)
        .bind(distance_ms)
        .execute(&database.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn pages_of_a_search_are_in_order_and_full_without_other_filters() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await.unwrap();
    seed(&database, 1_000, 4, 1_000).await;
    while database.search_index().update().await.unwrap() {}
    let all = List::default();
    let all = database.lists().page(&all, None, 2_000).await.unwrap().rows;
    assert_eq!(all.len(), 1_000);
    let mut cases = 0;
    for number in 0..96 {
        let mut rest = number;
        let mut choose = |choices: usize| {
            let choice = rest % choices;
            rest /= choices;
            choice
        };
        let list = List {
            search: Some(["RÁRE", "talk 4 rare", "talk"][choose(3)].to_owned()),
            ascending: choose(2) == 1,
            sort: [Sort::Created, Sort::Size][choose(2)],
            user_id: [None, Some("user-2".to_owned())][choose(2)].clone(),
            protected: [None, Some(true)][choose(2)],
            from_ms: [None, Some(2_000)][choose(2)],
            ..List::default()
        };
        let words = list
            .search
            .clone()
            .unwrap_or_default()
            .replace('Á', "a")
            .to_lowercase();
        let mut expected: Vec<_> = all
            .iter()
            .filter(|row| {
                words
                    .split(' ')
                    .all(|word| row.filename.to_lowercase().contains(word))
            })
            .filter(|row| {
                list.user_id
                    .as_ref()
                    .is_none_or(|user| *user == row.user_id)
            })
            .filter(|row| {
                list.protected
                    .is_none_or(|protected| row.protected == protected)
            })
            .filter(|row| list.from_ms.is_none_or(|from| row.created_ms >= from))
            .map(|row| match list.sort {
                Sort::Created => (row.created_ms, row.id.clone()),
                _ => (row.size_bytes, row.id.clone()),
            })
            .collect();
        expected.sort();
        if !list.ascending {
            expected.reverse();
        }
        let (mut ids, mut after) = (Vec::new(), None::<Position>);
        loop {
            let page = database
                .lists()
                .page(&list, after.as_ref(), 7)
                .await
                .unwrap();
            let is_filtered =
                words.contains('4') || list.user_id.is_some() || list.protected.is_some();
            assert!(
                page.rows.len() == 7
                    || page.next.is_none()
                    || is_filtered
                    || list.sort == Sort::Size,
                "a short page: {list:?}"
            );
            ids.extend(page.rows.into_iter().map(|row| row.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
        assert_eq!(ids, expected, "{list:?}");
        cases += usize::from(ids.len() > 8);
    }
    assert!(cases > 40, "{cases} lists have several pages");
}

#[tokio::test]
async fn no_recording_of_times_with_many_matches_is_skipped() {
    for (rows_of_a_time, distance_ms) in [(300, 1_000), (300, 1), (13, 1), (17, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path()).await.unwrap();
        seed(&database, 1_000, rows_of_a_time, distance_ms).await;
        while database.search_index().update().await.unwrap() {}
        for (search, ascending, limit) in [
            ("talk", true, 7),
            ("talk", false, 7),
            ("talk", false, 500),
            ("talk 4", true, 3),
            ("talk 4", false, 3),
            ("rare", false, 3),
        ] {
            let list = List {
                search: Some(search.to_owned()),
                min_ms: Some(16_000),
                ascending,
                ..List::default()
            };
            let all = List {
                ascending,
                ..List::default()
            };
            let words: Vec<_> = search.split(' ').collect();
            let all = database.lists().page(&all, None, 2_000).await.unwrap();
            let expected = all.rows.into_iter().filter(|row| {
                let name = row.filename.to_lowercase();
                row.duration_ms >= 16_000 && words.iter().all(|word| name.contains(word))
            });
            let expected: Vec<_> = expected.map(|row| row.id).collect();
            let (mut found, mut after) = (Vec::new(), None::<Position>);
            loop {
                let page = database.lists().page(&list, after.as_ref(), limit).await;
                let page = page.unwrap();
                found.extend(page.rows.into_iter().map(|row| row.id));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(
                found, expected,
                "{rows_of_a_time} {distance_ms} {search} {ascending} {limit}"
            );
        }
    }
}

#[tokio::test]
async fn text_with_the_trigrams_of_a_word_but_not_the_word_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await.unwrap();
    seed(&database, 200, 4, 1_000).await;
    execute(
        &database,
        "UPDATE recordings SET title = 'bananas anan' WHERE created_ms >= 8000",
    )
    .await;
    execute(
        &database,
        "UPDATE recordings SET title = 'nananab' WHERE created_ms < 8000",
    )
    .await;
    while database.search_index().update().await.unwrap() {}
    let list = List {
        search: Some("nananab".to_owned()),
        ..List::default()
    };
    let (mut count, mut after) = (0, None::<Position>);
    loop {
        let page = database.lists().page(&list, after.as_ref(), 7);
        let page = page.await.unwrap();
        for row in &page.rows {
            assert!(row.created_ms < 8_000, "{row:?}");
        }
        count += page.rows.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let all = List {
        to_ms: Some(8_000),
        ..List::default()
    };
    let all = database.lists().page(&all, None, 1_000).await.unwrap();
    assert_eq!(count, all.rows.len());
    assert!(count > 20);
}
