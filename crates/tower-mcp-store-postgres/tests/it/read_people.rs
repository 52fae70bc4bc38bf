//! Sessions, clients, callers and slow requests of a fleet are those of a file.

use std::ops::ControlFlow;
use std::path::PathBuf;

use tower_mcp_store::maintenance::Maintenance;
use tower_mcp_store::query::{
    ClientFilter, NameKind, Reader, RequestFilter, SessionFilter, SessionOrder, Window,
};
use tower_mcp_store::{EndReason, RequestEvent, RequestStatus, SessionEvent, StoreEvent};
use tower_mcp_store_postgres::FleetReader;

use crate::read::{HOUR, START, filters, json_of, open, shipped};
use crate::support::{self, LONG, Replica, blocking, init, request};

const SESSIONS: u16 = 36;

const ORDERS: [SessionOrder; 4] = [
    SessionOrder::LastSeen,
    SessionOrder::Calls,
    SessionOrder::Errors,
    SessionOrder::Longest,
];

/// Returns sessions of two servers and several clients, four that begin at each moment, some
/// without values, and some that ended.
fn sessions() -> Vec<StoreEvent> {
    let mut events = Vec::new();
    for number in 0..SESSIONS {
        let pick = |among: &[Option<&'static str>]| among[usize::from(number) % among.len()];
        let mut event = SessionEvent::new(id(number));
        event.started_at = START + i64::from(number / 4) * HOUR / 6;
        event.proxy = ["default", "other"][usize::from(number % 5 == 1)].into();
        let clients = [
            Some("Claude"),
            None,
            Some("claude-ai"),
            Some("100%"),
            Some("Cursor"),
        ];
        event.client_name = pick(&clients).map(Into::into);
        event.client_version = pick(&[Some("1"), Some("2"), None]).map(Into::into);
        event.client_platform = pick(&[None, Some("Desktop")]).map(Into::into);
        event.protocol_version =
            pick(&[Some("2025-06-18"), None, Some("2025-11-25")]).map(Into::into);
        event.server_name = pick(&[Some("travel"), None]).map(Into::into);
        events.push(StoreEvent::Session(event));
        events.extend(requests_of(number).into_iter().map(StoreEvent::Request));
        if number % 3 == 0 {
            events.push(StoreEvent::SessionClosed {
                session_id: id(number).into(),
                ended_at: START + i64::from(number / 4) * HOUR / 6 + 90_000,
            });
        }
    }
    events
}

fn id(number: u16) -> String {
    format!("session {number:02}")
}

fn requests_of(number: u16) -> Vec<RequestEvent> {
    let requests = (0..number % 5).map(|place| {
        let mut event = request();
        event.ts = START + i64::from(number / 4) * HOUR / 6 + i64::from(place / 2) * 60_000;
        event.session_id = Some(id(number).into());
        event.proxy = ["default", "other"][usize::from(number % 5 == 1)].into();
        event.latency_us = 1_000 * u64::from(number % 7);
        event.principal = [None, Some("ann"), Some("bob")][usize::from(number % 3)].map(Into::into);
        event.protocol_version = number.is_multiple_of(2).then(|| "2025-06-18".into());
        if (number + place).is_multiple_of(4) {
            event.status = RequestStatus::Timeout;
        }
        event
    });
    requests.collect()
}

fn record(replica: &Replica, events: impl IntoIterator<Item = StoreEvent>) {
    for event in events {
        replica.store().record(event);
    }
    replica.store().flush(LONG).unwrap();
}

fn windows() -> [Window; 4] {
    [
        Window::ALL,
        Window::since(START + HOUR / 2),
        Window::ALL.until(START + HOUR),
        Window::since(START + HOUR / 6).until(START + HOUR / 3),
    ]
}

fn session_filters() -> Vec<SessionFilter> {
    let new = SessionFilter::new;
    let mut all = vec![
        new().server_name("other"),
        new().server_name("none"),
        new().client("claude"),
        new().client("CLAUDE-"),
        new().client("c*r"),
        new().client("100%"),
        new().client("nobody"),
        new().protocol("2025-06-18"),
        new()
            .protocol("2025-06-18")
            .server_name("other")
            .client("C"),
        new().active().client("claude"),
        new().active().server_name("default"),
        new().active().protocol("2025-11-25"),
    ];
    for window in windows() {
        all.extend([new().window(window), new().window(window).active()]);
    }
    all
}

fn client_filters() -> Vec<ClientFilter> {
    let new = ClientFilter::new;
    let mut all = vec![
        new().server_name("other"),
        new().server_name("none"),
        new().protocol("2025-06-18"),
        new().protocol("2025-11-25").server_name("default"),
    ];
    all.extend(windows().map(|window| new().window(window)));
    all
}

/// Compares the lists of sessions in all orders, and returns how many sessions they have.
fn compare_sessions(file: &Reader, fleet: &mut FleetReader) -> usize {
    let mut found = 0;
    for filter in session_filters() {
        for limit in [7, 1_000] {
            let expected = file.sessions(&filter, limit).unwrap();
            let answer = fleet.sessions(&filter, limit).unwrap();
            assert_eq!(json_of(&answer), json_of(&expected), "{filter:?} {limit}");
            found += expected.len();
            for order in ORDERS {
                let expected = file.sessions_by(&filter, order, limit).unwrap();
                let answer = fleet.sessions_by(&filter, order, limit).unwrap();
                let case = format!("{filter:?} {order:?} {limit}");
                assert_eq!(json_of(&answer), json_of(&expected), "{case}");
            }
        }
    }
    found
}

/// Compares clients, their revisions and callers, and returns how many there are.
fn compare_clients(file: &Reader, fleet: &mut FleetReader) -> usize {
    let mut found = 0;
    for filter in client_filters() {
        let clients = file.clients(&filter).unwrap();
        let revisions = file.client_revisions(&filter).unwrap();
        let callers = file.callers(&filter).unwrap();
        found += clients.len() + revisions.len() + callers.len();
        let expected = [json_of(&clients), json_of(&revisions), json_of(&callers)];
        let answer = [
            json_of(&fleet.clients(&filter).unwrap()),
            json_of(&fleet.client_revisions(&filter).unwrap()),
            json_of(&fleet.callers(&filter).unwrap()),
        ];
        assert_eq!(answer, expected, "{filter:?}");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_clients_are_those_of_the_file_before_it_removed_rows() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    record(&replica, sessions());
    replica.ship(database.target()).await.unwrap();
    let (target, path) = (database.target(), replica.path().to_owned());
    blocking(move || {
        let (file, mut fleet) = (Reader::open(&path).unwrap(), open(&target));
        let found = compare_sessions(&file, &mut fleet);
        assert!(found > 300, "{found} sessions");
        let found = compare_clients(&file, &mut fleet);
        assert!(found > 60, "{found} clients");
        Maintenance::open(path)
            .unwrap()
            .prune(START + HOUR, |_| ControlFlow::Continue(()))
            .unwrap();
    })
    .await;
    let kept = Reader::open(replica.path()).unwrap();
    let kept = kept.sessions(&SessionFilter::new(), 1_000).unwrap();
    assert!(kept.len() < usize::from(SESSIONS));
    replica.ship(database.target()).await.unwrap();
    let target = database.target();
    let all = blocking(move || {
        let found = open(&target).sessions(&SessionFilter::new(), 1_000);
        found.unwrap()
    });
    // The database keeps what the file removes.
    assert_eq!(all.await.len(), usize::from(SESSIONS));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_whose_requests_reached_two_servers_are_those_of_one_file_with_all_requests() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let (whole, home, other) = (Replica::new(), Replica::new(), Replica::new());
    record(&whole, sessions());
    let mut number = 0;
    let (elsewhere, at_home) = sessions().into_iter().partition(|event| {
        number += 1;
        matches!(event, StoreEvent::Request(_)) && number % 2 == 0
    });
    let (elsewhere, at_home): (Vec<_>, Vec<_>) = (elsewhere, at_home);
    assert!(elsewhere.len() > 20);
    record(&home, at_home);
    record(&other, elsewhere);
    other.ship(database.target()).await.unwrap();
    home.ship(database.target()).await.unwrap();
    let (target, path) = (database.target(), whole.path().to_owned());
    blocking(move || {
        let (file, mut fleet) = (Reader::open(path).unwrap(), open(&target));
        compare_sessions(&file, &mut fleet);
        compare_clients(&file, &mut fleet);
        for number in 0..SESSIONS {
            let expected = file.find_session(&id(number)).unwrap().one();
            assert_eq!(fleet.session(&id(number)).unwrap(), expected);
            let filter = RequestFilter::new().session(id(number));
            let expected = file.requests(&filter, 9, None).unwrap().into_iter();
            let found = fleet.requests(&filter, 9).unwrap().into_iter();
            let expected: Vec<i64> = expected.map(|found| found.ts).collect();
            let found: Vec<i64> = found.map(|found| found.request.ts).collect();
            assert_eq!(found, expected);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_requests_and_their_neighbours_are_those_of_the_file() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replica) = shipped(&server).await;
    record(&replica, sessions());
    let mut stream = request();
    stream.latency_us = 1 << 40;
    stream.end_reason = Some(EndReason::StreamEnd);
    record(&replica, [StoreEvent::Request(stream)]);
    replica.ship(database.target()).await.unwrap();
    let (target, path): (_, PathBuf) = (database.target(), replica.path().to_owned());
    blocking(move || {
        let (file, mut fleet) = (Reader::open(path).unwrap(), open(&target));
        let mut others = 0;
        for filter in filters() {
            for limit in [3, 1_000] {
                let expected = file.slow(&filter, limit).unwrap();
                let answer = fleet.slow(&filter, limit).unwrap();
                let requests: Vec<_> = answer.iter().map(|found| &found.request).collect();
                assert_eq!(json_of(&requests), json_of(&expected), "{filter:?}");
                for (of, slow) in answer.iter().zip(&expected).take(3) {
                    let expected = file.neighbours(slow, 2).unwrap();
                    let answer = fleet.neighbours(of, 2).unwrap();
                    let answer: Vec<_> = answer.iter().map(|found| &found.request).collect();
                    assert_eq!(json_of(&answer), json_of(&expected), "{slow:?}");
                    others += expected.len() - 1;
                }
            }
        }
        assert!(others > 100, "{others} neighbours");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_those_of_the_file() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replica) = shipped(&server).await;
    let (target, path) = (database.target(), replica.path().to_owned());
    blocking(move || {
        let (file, mut fleet) = (Reader::open(path).unwrap(), open(&target));
        for kind in [
            NameKind::Server,
            NameKind::Method,
            NameKind::Tool,
            NameKind::Client,
            NameKind::Principal,
        ] {
            for limit in [1, 1_000] {
                let expected = file.names(kind, "", limit).unwrap();
                assert!(!expected.is_empty(), "{kind:?}");
                assert_eq!(fleet.names(kind, limit).unwrap(), expected, "{kind:?}");
            }
        }
    })
    .await;
}
