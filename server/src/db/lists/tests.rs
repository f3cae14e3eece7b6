use std::collections::BTreeSet;

use sqlx::Row as _;

use super::super::testing::database;
use super::*;
use crate::db::pool::is_sqlite;
use crate::labels::{LabelsChange, filter};

const USERS: i64 = 3;

/// Rows with many equal values, so that the id decides.
pub(in crate::db) async fn seed(database: &Database, rows: i64) {
    for user in 0..USERS {
        sqlx::query("INSERT INTO users (id, username, username_key, password_hash, roles, created_ms) VALUES ($1, $2, $3, '', 'user', 0)")
            .bind(format!("user-{user}"))
            .bind(format!("Name_{user}"))
            .bind(format!("name_{user}"))
            .execute(&database.pool)
            .await
            .unwrap();
    }
    let text = "WITH RECURSIVE n(i) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT i - 1 FROM n WHERE i > 1) \
        INSERT INTO recordings (id, session_id, user_id, filename, size_bytes, duration_ms, storage_backend, \
        storage_path, status, kind, protected, created_ms, part_of, part, active_ms) \
        SELECT 'id-' || CAST(i * 7919 % 100003 AS TEXT), 'session-' || CAST(i % 11 AS TEXT), 'user-' || CAST(i % 3 AS TEXT), \
        'Talk 100% ' || CAST(i % 13 AS TEXT) || '.webm', i % 17 * 1000, i % 19 * 1000, 'local', '', \
        CASE i % 8 WHEN 0 THEN 'failed' WHEN 1 THEN 'processing' WHEN 2 THEN 'recording' ELSE 'ready' END, \
        CASE i % 23 WHEN 0 THEN 'partial' WHEN 1 THEN 'final' ELSE 'recording' END, \
        CASE i % 5 WHEN 0 THEN 1 ELSE 0 END, i / 4 * 1000, \
        CASE WHEN i > 40 AND i % 29 = 0 THEN 'id-7919' END, i, i % 7 * 1000 FROM n";
    // Both SQLite and PostgreSQL accept the recursion before INSERT.
    sqlx::query(text)
        .bind(rows)
        .execute(&database.pool)
        .await
        .unwrap();
}

/// Every combination of filters, in every order.
fn lists() -> Vec<List> {
    let mut lists = Vec::new();
    for number in 0..1_536 {
        let mut rest = number;
        let mut choose = |choices: usize| {
            let choice = rest % choices;
            rest /= choices;
            choice
        };
        lists.push(List {
            ascending: choose(2) == 1,
            sort: [Sort::Created, Sort::Duration, Sort::Size, Sort::Active][choose(4)],
            user_id: [None, Some("user-1".to_owned())][choose(2)].clone(),
            session_id: [None, Some("session-4".to_owned())][choose(2)].clone(),
            statuses: [
                vec![],
                vec![RecordingStatus::Ready],
                vec![RecordingStatus::Failed, RecordingStatus::Recording],
                vec![RecordingStatus::Uploading],
            ][choose(4)]
            .clone(),
            protected: [None, Some(true), Some(false)][choose(3)],
            from_ms: [None, Some(20_000)][choose(2)],
            to_ms: None,
            search: [None, Some("100% 1".to_owned())][choose(2)].clone(),
            labels: Vec::new(),
            ..List::default()
        });
        if let Some(list) = lists.last_mut().filter(|list| list.from_ms.is_some()) {
            list.to_ms = Some(60_000);
            (list.min_ms, list.max_ms) = (Some(2000), Some(15_000));
        }
    }
    lists
}

/// The same list, computed in memory.
fn expected(list: &List, all: &[RecordingRow], protected: &BTreeSet<String>) -> Vec<String> {
    let mut rows: Vec<_> = all
        .iter()
        .filter(|row| row.kind != crate::db::UploadKind::Partial)
        .filter(|row| row.part_of.is_none())
        .filter(|row| list.user_id.as_ref().is_none_or(|id| *id == row.user_id))
        .filter(|row| {
            list.session_id
                .as_ref()
                .is_none_or(|id| *id == row.session_id)
        })
        .filter(|row| list.statuses.is_empty() || list.statuses.contains(&row.status))
        .filter(|row| {
            list.protected
                .is_none_or(|wanted| wanted == protected.contains(&row.id))
        })
        .filter(|row| list.from_ms.is_none_or(|from_ms| row.created_ms >= from_ms))
        .filter(|row| list.to_ms.is_none_or(|to_ms| row.created_ms < to_ms))
        .filter(|row| list.min_ms.is_none_or(|min_ms| row.duration_ms >= min_ms))
        .filter(|row| list.max_ms.is_none_or(|max_ms| row.duration_ms <= max_ms))
        .filter(|row| {
            let text = format!(
                "{}\n{}",
                row.filename,
                row.username.as_deref().unwrap_or_default()
            );
            let text = text.to_lowercase();
            list.search
                .as_ref()
                .is_none_or(|search| search.split(' ').all(|word| text.contains(word)))
        })
        .map(|row| list.position(row))
        .collect();
    rows.sort_by(|a, b| (a.value, &a.id).cmp(&(b.value, &b.id)));
    if !list.ascending {
        rows.reverse();
    }
    rows.into_iter().map(|place| place.id).collect()
}

async fn paged(database: &Database, list: &List, limit: u32) -> Vec<String> {
    let (mut ids, mut after) = (Vec::new(), None);
    for _ in 0..1000 {
        let page = database
            .lists()
            .page(list, after.as_ref(), limit)
            .await
            .unwrap();
        assert!(page.rows.len() <= limit as usize);
        ids.extend(page.rows.into_iter().map(|row| row.id));
        after = page.next;
        if after.is_none() {
            return ids;
        }
    }
    panic!("a list without an end: {list:?}");
}

#[tokio::test]
async fn every_filter_combination_matches_an_in_memory_filter() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await.unwrap();
    seed(&database, 300).await;
    let all: Vec<RecordingRow> = sqlx::query_as(AssertSqlSafe(SELECT))
        .fetch_all(&database.pool)
        .await
        .unwrap();
    let protected: Vec<String> =
        sqlx::query_scalar("SELECT id FROM recordings WHERE protected = 1")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    let protected = protected.into_iter().collect();
    let mut lengths = BTreeSet::new();
    for list in lists() {
        let expected = expected(&list, &all, &protected);
        lengths.insert(expected.len());
        let found = paged(&database, &list, 25).await;
        assert_eq!(found, expected, "{list:?}");
    }
    assert!(lengths.len() > 30, "the combinations differ: {lengths:?}");
}

#[tokio::test]
async fn search_finds_whole_ids_and_parts_of_names_and_takes_them_literally() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await.unwrap();
    seed(&database, 40).await;
    for (search, found) in [
        ("id-7919", 1),
        (" session-10 ", 3),
        ("session", 0),
        ("NAME_1", 14),
        ("talk 100% 12", 3),
        ("name%1", 0),
        ("Name!", 0),
        ("_", 39),
        ("'; DROP TABLE recordings; --", 0),
        ("\" OR text : \"talk", 0),
    ] {
        let list = List {
            search: Some(search.to_owned()),
            ..List::default()
        };
        assert_eq!(paged(&database, &list, 500).await.len(), found, "{search}");
    }
}

/// Query plan, a line per step, indented by nesting.
async fn plan(connection: &mut AnyConnection, statement: Statement) -> Vec<String> {
    let sqlite = is_sqlite(connection);
    let prefix = if sqlite {
        "EXPLAIN QUERY PLAN"
    } else {
        "EXPLAIN"
    };
    let text = format!("{prefix} {}", statement.text);
    let rows = sqlx::query_with(AssertSqlSafe(text), statement.arguments)
        .persistent(false)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    let column = if sqlite { 3 } else { 0 };
    rows.iter().map(|row| row.get(column)).collect()
}

/// Makes PostgreSQL read an index if it can: its planner prefers to read and sort small tables completely.
async fn prefer_indexes(connection: &mut AnyConnection) {
    if is_sqlite(connection) {
        return;
    }
    for switch in [
        "enable_seqscan",
        "enable_bitmapscan",
        "enable_sort",
        "enable_incremental_sort",
    ] {
        let set = AssertSqlSafe(format!("SET {switch} = off"));
        sqlx::query(set).execute(&mut *connection).await.unwrap();
    }
}

#[tokio::test]
async fn every_list_reads_an_index_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await.unwrap();
    let mut connection = database.pool.acquire().await.unwrap();
    prefer_indexes(&mut connection).await;
    let place = Position {
        value: 30_000,
        id: "id-5".to_owned(),
    };
    for list in lists() {
        // A session has few recordings; lists that are not ordered by time sort them.
        let sorted = list.session_id.is_some() && list.sort != Sort::Created;
        for after in [None, Some(&place)] {
            let mut statements = vec![list.page(after, list.is_searched().then_some(&place), 101)];
            if list.is_searched() {
                statements.push(list.row_number(20, after));
            }
            for statement in statements {
                let text = statement.text.clone();
                let plan = plan(&mut connection, statement).await;
                let read: Vec<_> = plan
                    .iter()
                    .filter(|line| {
                        line.contains("SCAN r") || line.contains("Seq Scan on recordings")
                    })
                    .collect();
                assert!(read.is_empty(), "{text}\n{plan:#?}");
                // The rows of one page are sorted again after the lookup.
                let page = text.contains(") AS p");
                let sorts = plan
                    .iter()
                    .filter(|line| line.contains("TEMP B-TREE") || line.contains("Sort  ("))
                    .count();
                assert!(sorted || sorts <= usize::from(page), "{text}\n{plan:#?}");
            }
        }
    }
}

#[tokio::test]
async fn matches_of_a_search_are_read_from_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await.unwrap();
    let mut connection = database.pool.acquire().await.unwrap();
    if !is_sqlite(&connection) {
        // PostgreSQL decides by the size of the table.
        return;
    }
    let place = Position {
        value: 30_000,
        id: "id-5".to_owned(),
    };
    let limit = 10;
    for order in [
        Order::Value { limit },
        Order::Place { limit, end: None },
        Order::Place {
            limit,
            end: Some(20_000),
        },
        Order::At { time: 30_000 },
    ] {
        for list in lists() {
            let terms = IndexedTerms {
                terms: SearchTerms::new("talk"),
                rarest: vec!["tal".to_owned(), "alk".to_owned()],
                is_common: false,
            };
            let statement = list.matches(&terms, &place, order, true);
            let text = statement.text.clone();
            let plan = plan(&mut connection, statement).await;
            let is_whole = plan.iter().any(|line| line.contains("SCAN r"));
            assert!(!is_whole, "{text}\n{plan:#?}");
        }
    }
}

#[tokio::test]
async fn page_of_a_search_reads_a_bounded_number_of_matches() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await.unwrap();
    seed(&database, 200).await;
    for sort in [Sort::Created, Sort::Duration] {
        for ascending in [false, true] {
            let list = List {
                search: Some("talk".to_owned()),
                source: Some("camera".to_owned()),
                sort,
                ascending,
                ..List::default()
            };
            let (mut after, mut pages) = (None, 0);
            loop {
                let page = database
                    .lists()
                    .page(&list, after.as_ref(), 5)
                    .await
                    .unwrap();
                assert!(page.rows.is_empty());
                pages += 1;
                assert!(pages < 20, "{list:?} does not end");
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert!(pages > 3, "{list:?} was read in {pages} pages");
            let count = database.lists().count(&list, true).await.unwrap();
            assert!(count.count == 0 && !count.complete, "{count:?}");
        }
    }
}

/// Queries of the reaper and of the end of a session.
#[tokio::test]
async fn frequent_queries_read_only_their_index_range() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await.unwrap();
    let mut connection = database.pool.acquire().await.unwrap();
    if !is_sqlite(&connection) {
        sqlx::query("SET enable_seqscan = off")
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    for text in [
        "SELECT id FROM recordings AS r WHERE r.deleting = 0 AND r.status IN ('recording', 'uploading', 'processing')",
        "SELECT id FROM recordings AS r WHERE r.deleting = 1",
        "SELECT id FROM recordings AS r WHERE r.kind = 'final' AND r.upload_concat = 'x' AND r.deleting = 0",
        "SELECT id FROM recordings WHERE session_id = 'x' AND kind <> 'partial' AND status IN ('recording', 'uploading')",
        "SELECT id FROM recordings WHERE user_id = 'x' AND idempotency_key = 'x' \
         AND status IN ('recording', 'uploading') AND deleting = 0",
        "UPDATE recordings SET deleting = 1 WHERE deleting = 0 AND final_id IS NOT NULL \
         AND final_id NOT IN (SELECT id FROM recordings WHERE status IN ('recording', 'uploading', 'processing'))",
        "UPDATE recordings SET deleting = 1 WHERE deleting = 0 AND kind = 'partial' AND final_id IS NULL AND completed_ms <= 1",
    ] {
        let statement = Statement {
            text: text.to_owned(),
            ..Statement::default()
        };
        let plan = plan(&mut connection, statement).await;
        let whole: Vec<_> = plan
            .iter()
            .filter(|line| {
                line.contains("Seq Scan")
                    || (line.contains("SCAN")
                        && !line.contains("recordings_deleting")
                        && !line.contains("recordings_open"))
            })
            .collect();
        assert!(whole.is_empty(), "{text}\n{plan:#?}");
    }
}

/// Labels some recordings: every third with `course=biology`, every fifth with an external ID, all with `all=1`.
async fn label(database: &Database) {
    let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM recordings ORDER BY created_ms, id")
        .fetch_all(&database.pool)
        .await
        .unwrap();
    let actor = crate::db::Actor::system();
    for (number, id) in ids.iter().enumerate() {
        let mut metadata = sortie_api::Metadata::new();
        metadata.insert("all".to_owned(), 1.into());
        if number % 3 == 0 {
            metadata.insert("course".to_owned(), "biology".into());
        }
        let labels = LabelsChange {
            external_id: (number % 5 == 0).then(|| Some("exam 7".to_owned())),
            metadata: Some(Some(metadata)),
        };
        let change = crate::db::RecordingChange {
            labels,
            ..crate::db::RecordingChange::default()
        };
        let editor = crate::db::Editor {
            actor: &actor,
            is_admin: false,
        };
        let recordings = database.recordings();
        let row = recordings.get(id).await.unwrap().unwrap();
        let changed = recordings.change(&row, &change, None, editor, 1).await;
        assert_eq!(changed.unwrap(), crate::db::Changed::Done);
    }
}

/// Lists of time with every other filter, and the labels that they require.
fn labelled_lists() -> Vec<List> {
    let labels = [
        (Some("exam 7"), None),
        (None, Some("course=biology")),
        (Some("exam 7"), Some(r#"{"course":"biology","all":1}"#)),
        (None, Some("course=history")),
    ];
    let lists = lists()
        .into_iter()
        .filter(|list| list.sort == Sort::Created);
    lists
        .flat_map(|list| {
            labels.map(|(external_id, metadata)| List {
                labels: filter(LabelKind::Recording, external_id, metadata).unwrap(),
                ..list.clone()
            })
        })
        .collect()
}

#[tokio::test]
async fn labelled_lists_match_an_in_memory_filter() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await.unwrap();
    seed(&database, 120).await;
    label(&database).await;
    let all: Vec<RecordingRow> = sqlx::query_as(AssertSqlSafe(SELECT))
        .fetch_all(&database.pool)
        .await
        .unwrap();
    let protected: Vec<String> =
        sqlx::query_scalar("SELECT id FROM recordings WHERE protected = 1")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    let protected = protected.into_iter().collect();
    let mut lengths = BTreeSet::new();
    for list in labelled_lists() {
        let labelled: Vec<_> = all
            .iter()
            .filter(|row| {
                let index = row.labels.index(LabelKind::Recording);
                list.labels.iter().all(|label| index.contains(label))
            })
            .cloned()
            .collect();
        let expected = expected(&list, &labelled, &protected);
        lengths.insert(expected.len());
        assert_eq!(paged(&database, &list, 7).await, expected, "{list:?}");
    }
    assert!(lengths.len() > 8, "the combinations differ: {lengths:?}");
}

#[tokio::test]
async fn labelled_list_reads_the_index_of_its_label() {
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await.unwrap();
    let mut connection = database.pool.acquire().await.unwrap();
    prefer_indexes(&mut connection).await;
    let place = Position {
        value: 30_000,
        id: "id-5".to_owned(),
    };
    for list in labelled_lists() {
        let statements = [
            list.page(Some(&place), Some(&place), 101),
            list.row_number(20, Some(&place)),
        ];
        for statement in statements {
            let text = statement.text.clone();
            let plan = plan(&mut connection, statement).await;
            let scans = plan.iter().any(|line| {
                line.contains("SCAN r")
                    || line.contains("SCAN l")
                    || line.contains("Seq Scan on recording")
            });
            let index = match &list.user_id {
                Some(_) => "recording_labels_owner",
                None => "recording_labels_label",
            };
            let is_read = plan.iter().any(|line| line.contains(index));
            assert!(is_read && !scans, "{text}\n{plan:#?}");
            let sorts = plan
                .iter()
                .filter(|line| line.contains("TEMP B-TREE") || line.contains("Sort  ("))
                .count();
            let page = text.contains(") AS p");
            assert!(sorts <= usize::from(page), "{text}\n{plan:#?}");
        }
    }
}
