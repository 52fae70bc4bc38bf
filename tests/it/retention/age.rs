use rusqlite::params;
use tower_mcp_store::query::{Percentiles, Reader, StatsFilter};
use tower_mcp_store::{Retention, Store};

use super::{CALLS, DAY_MS, await_value, days, end, file, insert, now};
use crate::support::{connect, fixture, fresh, record_requests, value};

#[test]
fn rows_are_kept_for_thirty_days_by_default() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    insert(&conn, 40, now() - 40 * DAY_MS - 60_000, DAY_MS);
    let store = Store::open(&path).unwrap();
    await_value(&conn, "SELECT count(*) FROM requests", 29);
    end(&store);
    let store = Store::builder(&path)
        .retention(Retention::default().max_age(days(7)))
        .open()
        .unwrap();
    await_value(&conn, "SELECT count(*) FROM requests", 6);
    end(&store);
}

#[test]
fn polls_and_pings_are_kept_for_a_day_and_statistics_count_them_for_longer() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    let methods = [
        "tasks/get",
        "tasks/list",
        "ping",
        "tasks/result",
        "tools/list",
    ];
    let from = now() - 2 * DAY_MS - 60_000;
    for method in methods {
        insert(&conn, 3, from, DAY_MS);
        let rename = "UPDATE requests SET method = ?1, tool = NULL WHERE tool IS NOT NULL";
        conn.execute(rename, [method]).unwrap();
    }
    let store = Store::open(&path).unwrap();
    let left = "SELECT group_concat(method || ' ' || n, ', ') FROM
        (SELECT method, count(*) AS n FROM requests GROUP BY method ORDER BY method)";
    let kept = "ping 1, tasks/get 1, tasks/list 1, tasks/result 3, tools/list 3";
    await_value(&conn, left, kept.to_owned());
    end(&store);
    let stats = Reader::open(&path)
        .unwrap()
        .stats(&StatsFilter::new())
        .unwrap();
    assert_eq!(
        (stats.total.calls, stats.percentiles),
        (15, Percentiles::Exact)
    );
    assert!(stats.groups.iter().all(|group| group.figures.calls == 3));
    let second = std::time::Duration::from_secs(1);
    let retention = Retention::default().polls(second);
    let store = Store::builder(&path).retention(retention).open().unwrap();
    await_value(&conn, left, "tasks/result 3, tools/list 3".to_owned());
    end(&store);
}

#[test]
fn sessions_are_removed_by_when_they_were_last_seen() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    let (old, new) = (now() - 31 * DAY_MS, now() - DAY_MS);
    for (id, started, seen, ended) in [
        ("old and closed", old, old, Some(old)),
        ("old and never closed", old, old, None),
        ("old and still there", old, new, None),
        ("new", new, new, Some(new)),
    ] {
        conn.execute(
            "INSERT INTO sessions (session_id, proxy, started_at, last_seen_at, ended_at)
             VALUES (?1, 'default', ?2, ?3, ?4)",
            params![id, started, seen, ended],
        )
        .unwrap();
    }
    let store = Store::open(&path).unwrap();
    await_value(&conn, "SELECT count(*) FROM sessions", 2);
    let left = "SELECT group_concat(session_id) FROM (SELECT session_id FROM sessions ORDER BY 1)";
    assert_eq!(value::<String>(&conn, left), "new,old and still there");
    end(&store);
}

#[test]
fn losses_and_runs_of_writers_are_removed_and_the_history_of_listings_stays() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    let old = now() - 31 * DAY_MS;
    conn.execute_batch(&format!(
        "INSERT INTO losses (from_ts, to_ts, reason) VALUES ({old}, {old}, 'queue_full');
         UPDATE writers SET started_at = {old}, seen_at = {old}, ended_at = {old};
         INSERT INTO schema_changes (upstream_url, method, change_type, detected_at)
             VALUES ('', 'tools/list', 'initial', {old});
         INSERT INTO server_schema (upstream_url, method, payload, captured_at, schema_hash)
             VALUES ('', 'tools/list', '{{}}', {old}, 'h');"
    ))
    .unwrap();
    let store = Store::open(&path).unwrap();
    await_value(&conn, "SELECT count(*) FROM losses", 0);
    await_value(&conn, "SELECT count(*) FROM writers", 1);
    end(&store);
    assert_eq!(
        value::<i64>(&conn, "SELECT count(*) FROM schema_changes"),
        1
    );
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM server_schema"), 1);
}

#[test]
fn rows_of_an_older_version_are_kept_until_a_retention_is_set() {
    let (_dir, path) = fixture(4);
    let store = Store::open(&path).unwrap();
    let conn = connect(&path);
    // A second round rolls up what is recorded now.
    await_value(&conn, CALLS, 40);
    record_requests(&store, 66_000);
    await_value(&conn, CALLS, 66_040);
    end(&store);
    let old = format!(
        "SELECT count(*) FROM requests WHERE ts < {}",
        now() - 30 * DAY_MS
    );
    assert_eq!(value::<i64>(&conn, &old), 40);
    let store = Store::builder(&path)
        .retention(Retention::default())
        .open()
        .unwrap();
    await_value(&conn, &old, 0);
    end(&store);
}

#[test]
fn unlimited_file_keeps_everything() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    insert(&conn, 10, DAY_MS, DAY_MS);
    let store = Store::builder(&path)
        .retention(Retention::unlimited())
        .open()
        .unwrap();
    await_value(&conn, CALLS, 10);
    end(&store);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM requests"), 10);
}

#[tokio::test]
async fn events_of_an_idle_file_are_removed_except_the_newest_of_a_live_session() {
    use tower_mcp_store::event_store::{EventRecord, EventStore};
    use tower_mcp_store::session_store::{SessionRecord, SessionStore};

    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let events = store.event_store();
    let live = SessionRecord::new("sdk", "live", "{}", days(100));
    store.session_store().save(&live).await.unwrap();
    for (session, last) in [("dead", 2), ("live", 4), ("new", 3)] {
        for id in 1..=last {
            let event = EventRecord::new(id, "{}");
            events.append(session, event).await.unwrap();
        }
    }
    drop(events);
    end(&store);
    let conn = connect(&path);
    let month = 31 * DAY_MS * 1000;
    conn.execute_batch(&format!(
        "UPDATE sse_events SET n = n - {month} WHERE id <= 2 OR log = 2"
    ))
    .unwrap();

    let store = Store::open(&path).unwrap();
    await_value(&conn, "SELECT count(*) FROM sse_events", 2);
    let events = store.event_store().max_age(days(100));
    assert_eq!(events.complete_after("dead").await.unwrap(), None);
    for (session, complete_after) in [("live", 3), ("new", 2)] {
        let kept = events.replay_after(session, 0).await.unwrap();
        let kept: Vec<_> = kept.iter().map(|event| event.id).collect();
        assert_eq!(kept, [complete_after + 1], "{session}");
        let found = events.complete_after(session).await.unwrap();
        assert_eq!(found, Some(complete_after), "{session}");
    }
    let totals = "SELECT events || ' ' || bytes FROM sse_totals";
    assert_eq!(value::<String>(&conn, totals), "2 132");
    // A session starts again at its first event.
    events
        .append("dead", EventRecord::new(1, "{}"))
        .await
        .unwrap();
    assert_eq!(events.replay_after("dead", 0).await.unwrap().len(), 1);
    drop(events);
    end(&store);
}

#[tokio::test]
async fn events_and_session_records_of_idle_stores_are_removed_at_their_own_age() {
    use tower_mcp_store::event_store::{EventRecord, EventStore};
    use tower_mcp_store::session_store::{SessionRecord, SessionStore};

    let (_dir, path) = fresh();
    let conn = file(&path);
    let store = Store::open(&path).unwrap();
    let events = store.event_store().max_age(days(2));
    for id in 1..=3 {
        let event = EventRecord::new(id, "{}");
        events.append("s", event).await.unwrap();
    }
    for id in ["expired", "live"] {
        let record = SessionRecord::new("sdk", id, "{}", days(1));
        store.session_store().save(&record).await.unwrap();
    }
    drop(events);
    end(&store);
    conn.execute_batch(&format!(
        "UPDATE sse_events SET n = n - {} WHERE id <= 2;
         UPDATE sdk_sessions SET expires_at = expires_at - {} WHERE session_id = 'expired'",
        3 * DAY_MS * 1000,
        2 * DAY_MS
    ))
    .unwrap();

    let store = Store::builder(&path)
        .retention(Retention::unlimited())
        .open()
        .unwrap();
    await_value(&conn, "SELECT count(*) FROM sdk_sessions", 1);
    await_value(&conn, "SELECT count(*) FROM sse_events", 1);
    let left = "SELECT session_id FROM sdk_sessions";
    assert_eq!(value::<String>(&conn, left), "live");
    let complete = store.event_store().complete_after("s").await.unwrap();
    assert_eq!(complete, Some(2), "the store reports the missing events");
    end(&store);
}

#[tokio::test]
async fn events_of_a_clock_that_was_ahead_are_dated_now() {
    use tower_mcp_store::event_store::{EventRecord, EventStore};

    const AHEAD: &str = "SELECT count(*) FROM sse_events WHERE n > 1000000 * (unixepoch() + 60)";
    let (_dir, path) = fresh();
    let conn = file(&path);
    let store = Store::open(&path).unwrap();
    let events = store.event_store();
    for id in 1..=200 {
        let session = if id % 2 == 0 { "a" } else { "b" };
        let event = EventRecord::new(id, "{}");
        events.append(session, event).await.unwrap();
    }
    drop(events);
    end(&store);
    let day = DAY_MS * 1000;
    conn.execute_batch(&format!(
        "UPDATE sse_events SET n = n + {day} WHERE id > 50"
    ))
    .unwrap();
    let order = "SELECT group_concat(id) FROM (SELECT id FROM sse_events ORDER BY n)";
    let before: String = value(&conn, order);

    let store = Store::open(&path).unwrap();
    let events = store.event_store().max_age(days(1));
    // It comes after the events of the future until they are dated.
    events
        .append("a", EventRecord::new(201, "{}"))
        .await
        .unwrap();
    drop(events);
    end(&store);
    let store = Store::open(&path).unwrap();
    await_value(&conn, AHEAD, 0);
    end(&store);
    assert_eq!(value::<String>(&conn, order), format!("{before},201"));
    // So the store removes them by their age.
    conn.execute_batch(&format!("UPDATE sse_events SET n = n - {day} - 60000000"))
        .unwrap();
    let store = Store::open(&path).unwrap();
    await_value(&conn, "SELECT count(*) FROM sse_events", 0);
    end(&store);
}

#[test]
fn rows_of_a_clock_that_was_ahead_are_removed_with_later_rows() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    let ahead = now() + 365 * DAY_MS;
    insert(&conn, 100, ahead, 50);
    insert(&conn, 10, now() - 40 * DAY_MS, 50);
    insert(&conn, 10, now() - DAY_MS, 50);
    insert(&conn, 5, ahead + DAY_MS, 50);
    let sql = "INSERT INTO sessions (session_id, proxy, started_at, last_seen_at)
        VALUES (?1, 'p', ?2, ?3)";
    for (id, days) in [("old", 40), ("new", 1)] {
        conn.execute(sql, params![id, now() - days * DAY_MS, ahead])
            .unwrap();
    }
    let store = Store::open(&path).unwrap();
    await_value(&conn, "SELECT count(*) FROM requests", 10 + 5);
    await_value(&conn, "SELECT count(*) FROM sessions", 1);
    end(&store);
    assert_eq!(value::<i64>(&conn, CALLS), 125);
}

#[test]
fn requests_that_cannot_be_removed_are_counted() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    insert(&conn, 10_000, now() - 40 * DAY_MS, 50);
    conn.execute_batch(
        "CREATE TRIGGER keep BEFORE DELETE ON requests BEGIN SELECT raise(ABORT, 'keep'); END",
    )
    .unwrap();
    let store = Store::open(&path).unwrap();
    await_value(&conn, CALLS, 10_000);
    end(&store);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM requests"), 10_000);
}
