//! Files and databases that do not belong together, and servers that are no databases.

use std::fs;

use tower_mcp_store::outbox::Outbox;
use tower_mcp_store_postgres::{PostgresErrorKind, ShipConfig, ship, ship_once};

use crate::ship::request_ids;
use crate::support::{self, LONG, Replica, blocking, init};

/// Copies the file, as a backup does.
fn copy(replica: &Replica, name: &str) -> std::path::PathBuf {
    let copy = replica.path().with_file_name(name);
    let sql = "VACUUM INTO ?1";
    let path = copy.to_str().unwrap();
    replica.file().execute(sql, [path]).unwrap();
    copy
}

/// Adds requests to a file.
fn record(path: &std::path::Path, count: u64) {
    let store = tower_mcp_store::Store::open(path).unwrap();
    for _ in 0..count {
        store.record(tower_mcp_store::StoreEvent::Request(support::request()));
    }
    store.shutdown(LONG).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn file_restored_from_a_copy_is_refused_until_it_is_rewound() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    replica.record("s", 10);
    replica.ship(database.target()).await.unwrap();
    let restored = copy(&replica, "restored.db");
    replica.record("s", 10);
    replica.ship(database.target()).await.unwrap();
    // The copy gives the ids 11 to 15 to other requests.
    record(&restored, 5);
    let config = || ShipConfig::new(database.target());
    let (path, once) = (restored.clone(), config());
    let error = blocking(move || ship_once(path, once)).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::Diverged);
    for way_out in ["--rewind", "--new-store-id"] {
        assert!(error.to_string().contains(way_out), "{error}");
    }
    assert_eq!(request_ids(&database).await, replica.request_ids());
    Outbox::open(&restored).unwrap().rewind().unwrap();
    let (path, once) = (restored, config());
    let stats = blocking(move || ship_once(path, once)).await.unwrap();
    assert_eq!((stats.attempted, stats.inserted), (15, 5));
    assert_eq!(database.number("SELECT count(*) FROM requests").await, 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_that_is_written_to_ships_under_an_id_of_its_own() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    replica.record("s", 3);
    replica.ship(database.target()).await.unwrap();
    let copied = copy(&replica, "copy.db");
    record(&copied, 2);
    replica.record("s", 4);
    replica.ship(database.target()).await.unwrap();
    let (path, config) = (copied.clone(), ShipConfig::new(database.target()));
    let error = blocking(move || ship_once(path, config)).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::Diverged);
    Outbox::open(&copied).unwrap().renew_store_id().unwrap();
    let config = ShipConfig::new(database.target());
    let stats = blocking(move || ship_once(copied, config)).await.unwrap();
    assert_eq!((stats.attempted, stats.inserted), (5, 2));
    assert_eq!(database.number("SELECT count(*) FROM sources").await, 2);
    assert_eq!(database.number("SELECT count(*) FROM requests").await, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_is_refused_until_the_file_is_rewound() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (first, second) = (server.database().await, server.database().await);
    init(first.target()).await.unwrap();
    init(second.target()).await.unwrap();
    let replica = Replica::new();
    replica.record("s", 3);
    replica.ship(first.target()).await.unwrap();
    let error = replica.ship(second.target()).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::Diverged, "{error}");
    assert_eq!(second.number("SELECT count(*) FROM requests").await, 0);
    Outbox::open(replica.path()).unwrap().rewind().unwrap();
    replica.ship(second.target()).await.unwrap();
    assert_eq!(request_ids(&second).await, replica.request_ids());
}

#[tokio::test(flavor = "multi_thread")]
async fn second_shipper_of_a_file_gets_an_error() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    let shipper = ship(replica.store(), ShipConfig::new(database.target())).unwrap();
    support::eventually("the first shipper works", async || {
        shipper.stats().is_caught_up
    })
    .await;
    let error = replica.ship(database.target()).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::Busy, "{error}");
    blocking(move || shipper.stop(LONG)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_is_no_postgresql_is_an_error_of_the_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            use std::io::{Read as _, Write as _};
            let mut stream = stream;
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let replica = Replica::new();
    replica.record("s", 1);
    let target = format!("postgres://u@127.0.0.1:{port}/d").parse().unwrap();
    let error = replica.ship(target).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::Connection, "{error}");
    assert!(error.to_string().contains("does not speak"), "{error}");
    assert_eq!(replica.request_ids().len(), 1);
    assert!(fs::exists(replica.path()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_never_answers_is_an_error_of_the_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let replica = Replica::new();
    replica.record("s", 1);
    let target = format!("postgres://u@127.0.0.1:{port}/d?connect_timeout=1").parse();
    let error = replica.ship(target.unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::Connection, "{error}");
    assert!(error.to_string().contains("does not answer"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shipper_is_dropped_at_once_while_its_server_does_not_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = format!("postgres://u@127.0.0.1:{port}/d?connect_timeout=600");
    let replica = Replica::new();
    let config = ShipConfig::new(target.parse().unwrap());
    let shipper = ship(replica.store(), config).unwrap();
    let _connection = listener.accept().await.unwrap();
    let dropped = blocking(move || drop(shipper));
    let in_time = tokio::time::timeout(LONG, dropped).await;
    assert!(in_time.is_ok(), "it waits for the server");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_asks_for_a_password_that_is_not_given_says_where_to_give_it() {
    let hba = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    let Some(server) = support::own_postgres_with(&[], &[("pg_hba.conf", hba)]) else {
        return;
    };
    let database = server.database().await;
    let error = init(database.target()).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::Rights, "{error}");
    assert!(error.to_string().contains("PGPASSWORD"), "{error}");
}
