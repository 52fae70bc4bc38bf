//! Operations of several requests, and tasks, in cells.

use super::*;
use crate::db::Unshipped;
use crate::db::retention::remove_requests;

/// A row of `requests` that is a leg of the operation `a`, or of none.
struct Leg {
    ts: i64,
    id: &'static str,
    leg: Option<i64>,
    end_reason: Option<&'static str>,
    operation_us: Option<i64>,
    state_in: bool,
}

const LEG: Leg = Leg {
    ts: 0,
    id: "a",
    leg: None,
    end_reason: None,
    operation_us: None,
    state_in: false,
};

/// Inserts a leg with a latency of 10 ms.
fn insert_leg(conn: &Connection, leg: &Leg) {
    conn.execute(
        "INSERT INTO requests (request_id, ts, proxy, method, tool, latency_us, status, bytes_in,
             operation_id, leg, end_reason, operation_us, state_in)
         VALUES (?1, ?2, 'p', 'tools/call', 'ask', 10000, 'ok', 10, ?3, ?4, ?5, ?6, ?7)",
        params![
            leg.id,
            leg.ts,
            leg.leg.map(|_| "a"),
            leg.leg,
            leg.end_reason,
            leg.operation_us,
            leg.state_in.then_some([1_u8; 8]),
        ],
    )
    .unwrap();
}

fn insert_task(conn: &Connection, ended_ts: Option<i64>, outcome: Option<&str>) {
    conn.execute(
        "INSERT INTO tasks (operation_id, task_id, updated_ts, ended_ts, outcome)
         VALUES ('a', 't', 0, ?1, ?2)",
        params![ended_ts, outcome],
    )
    .unwrap();
}

/// `start, outcome, calls, ended, bytes_in, max_latency_us, max_wall_us` of all hours.
fn hours(conn: &Connection) -> Vec<(i64, String, i64, i64, i64, i64, i64)> {
    conn.prepare(
        "SELECT start, outcome, calls, ended, bytes_in, max_latency_us, max_wall_us
         FROM request_rollups WHERE width = 3600000",
    )
    .unwrap()
    .query_map([], |row| row.try_into())
    .unwrap()
    .collect::<Result<_>>()
    .unwrap()
}

/// Returns the numbers of server times and wall times in all cells of hours.
fn timed(conn: &Connection) -> (u64, u64) {
    let sql = "SELECT latencies, coalesce(wall_latencies, latencies) FROM request_rollups
         WHERE width = 3600000";
    let mut statement = conn.prepare(sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    let (mut server, mut wall) = (Histogram::default(), Histogram::default());
    while let Some(row) = rows.next().unwrap() {
        server.merge(row.get_ref(0).unwrap().as_blob().unwrap());
        wall.merge(row.get_ref(1).unwrap().as_blob().unwrap());
    }
    (server.count(), wall.count())
}

#[test]
fn operation_begins_in_the_cell_of_its_first_request_and_ends_in_that_of_its_last() {
    let conn = file();
    let asks = Some("input_required");
    for leg in [
        Leg {
            ts: 0,
            id: "a",
            leg: Some(1),
            end_reason: asks,
            ..LEG
        },
        Leg {
            ts: 1_000,
            id: "b",
            leg: Some(2),
            end_reason: asks,
            ..LEG
        },
        Leg {
            ts: HOUR,
            id: "c",
            leg: Some(3),
            operation_us: Some(30_000),
            ..LEG
        },
        // The network sent it twice.
        Leg {
            ts: HOUR + 1,
            id: "d",
            leg: Some(4),
            ..LEG
        },
        Leg {
            ts: HOUR + 2,
            id: "e",
            ..LEG
        },
    ] {
        insert_leg(&conn, &leg);
    }
    roll_up_all(&conn);
    assert_eq!(
        hours(&conn),
        [
            (0, "input_required".to_owned(), 1, 0, 20, 0, 0),
            (
                HOUR,
                "ok".to_owned(),
                1,
                2,
                30,
                30_000,
                HOUR * 1000 + 10_000
            ),
        ]
    );
    assert_eq!(timed(&conn), (2, 2));
}

#[test]
fn unlinked_leg_is_not_rolled_up_before_it_is_a_minute_old() {
    let now = clock::unix_ms();
    let hour_ahead = now + HOUR;
    // It may itself ask for more input, and then seems to begin an operation.
    for (ts, leg, lonely, rolled_up) in [
        (now, None, LonelyLegs::Wait, 1),
        (now, Some(1), LonelyLegs::Wait, 1),
        (now, Some(2), LonelyLegs::Wait, 3),
        (now - 30_000, None, LonelyLegs::Wait, 1),
        (now - 61_000, None, LonelyLegs::Wait, 3),
        (hour_ahead, None, LonelyLegs::Wait, 3),
        (now, None, LonelyLegs::RollUp, 3),
    ] {
        let conn = file();
        for leg in [
            Leg { ts, id: "x", ..LEG },
            Leg {
                ts,
                id: "y",
                leg,
                state_in: true,
                ..LEG
            },
            Leg { ts, id: "z", ..LEG },
        ] {
            insert_leg(&conn, &leg);
        }
        let until = Instant::now() + Duration::from_secs(60);
        let slice = roll_up(&conn, &mut Default::default(), lonely, until).unwrap();
        assert!(slice.is_last);
        assert_eq!(rolled_up_to(&conn).unwrap(), rolled_up, "{lonely:?}");
    }
}

#[test]
fn end_of_a_task_is_a_wall_time_and_moves_to_a_refined_outcome() {
    let conn = file();
    let task = Some("task");
    insert_leg(
        &conn,
        &Leg {
            leg: Some(1),
            end_reason: task,
            ..LEG
        },
    );
    insert_task(&conn, None, None);
    roll_up_all(&conn);
    let begun = (0, "working".to_owned(), 1, 0, 10, 0, 0);
    assert_eq!(hours(&conn), std::slice::from_ref(&begun));

    conn.execute("UPDATE tasks SET ended_ts = ?1, outcome = 'ok'", [HOUR])
        .unwrap();
    assert_eq!(tasks_not_rolled_up(&conn).unwrap(), 1);
    roll_up_all(&conn);
    let wall_us = HOUR * 1000;
    let ok = |ended| (HOUR, "ok".to_owned(), 0, ended, 0, 0, wall_us);
    assert_eq!(hours(&conn), [begun.clone(), ok(1)]);
    assert_eq!(tasks_not_rolled_up(&conn).unwrap(), 0);

    conn.execute("UPDATE tasks SET outcome = 'tool_error'", [])
        .unwrap();
    roll_up_all(&conn);
    let moved = (HOUR, "tool_error".to_owned(), 0, 1, 0, 0, 0);
    assert_eq!(hours(&conn), [begun, ok(0), moved]);
    assert_eq!(timed(&conn), (0, 1), "a task has no server time");
}

#[test]
fn task_is_removed_with_its_first_request_once_its_end_is_counted() {
    let conn = file();
    let task = Some("task");
    insert_leg(
        &conn,
        &Leg {
            leg: Some(1),
            end_reason: task,
            ..LEG
        },
    );
    roll_up_all(&conn);
    insert_task(&conn, Some(HOUR), Some("ok"));
    let span = Span::ALL;
    assert_eq!(
        remove_requests(&conn, span, false, Unshipped::Keep).unwrap(),
        0
    );
    roll_up_all(&conn);
    assert_eq!(
        remove_requests(&conn, span, false, Unshipped::Keep).unwrap(),
        1
    );
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM tasks"), 0);
}
