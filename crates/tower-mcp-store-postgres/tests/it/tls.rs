//! TLS by `sslmode`: a private authority, wrong hosts, expired certificates.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tower_mcp_store_postgres::{PostgresErrorKind, Target};

use crate::support::{self, Database, Postgres, Replica, init};

/// A server with a certificate, and the certificate of its authority.
struct Secured {
    server: Postgres,
    database: Database,
    authority: PathBuf,
    _folder: TempDir,
}

/// When a certificate ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Validity {
    Valid,
    Expired,
}

/// Starts a server whose certificate names a host; `None` without PostgreSQL.
async fn secured(host: &str, validity: Validity) -> Option<Secured> {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    if validity == Validity::Expired {
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let server = support::own_postgres_with(
        &[
            ("ssl", "on"),
            ("ssl_cert_file", "server.pem"),
            ("ssl_key_file", "server.key"),
        ],
        &[
            ("server.pem", &certificate.pem()),
            ("server.key", &key.serialize_pem()),
            // Plain text is refused.
            (
                "pg_hba.conf",
                "hostssl all all 127.0.0.1/32 trust\nlocal all all trust\n",
            ),
        ],
    )?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authority.pem");
    fs::write(&path, authority_pem).unwrap();
    let database = server.database().await;
    Some(Secured {
        server,
        database,
        authority: path,
        _folder: folder,
    })
}

impl Secured {
    fn target(&self, host: &str, query: &str) -> Target {
        let (port, name) = (self.server.port(), self.database.name());
        let url = format!("postgres://owner@{host}:{port}/{name}?{query}");
        url.parse().unwrap()
    }

    /// Returns the query that trusts the authority.
    fn trusting(&self, mode: &str) -> String {
        format!("sslmode={mode}&sslrootcert={}", self.authority.display())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_with_a_certificate_of_the_named_authority_is_verified() {
    let Some(secured) = secured("localhost", Validity::Valid).await else {
        return;
    };
    let target = secured.target("localhost", &secured.trusting("verify-full"));
    init(target.clone()).await.unwrap();
    let replica = Replica::new();
    replica.record("s", 5);
    assert_eq!(replica.ship(target).await.unwrap().inserted, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_of_another_authority_is_refused_unless_nothing_is_verified() {
    let Some(secured) = secured("localhost", Validity::Valid).await else {
        return;
    };
    for mode in ["verify-full", "verify-ca"] {
        // The operating system does not know the authority.
        let target = secured.target("localhost", &format!("sslmode={mode}"));
        let error = init(target).await.unwrap_err();
        assert_eq!(error.kind(), PostgresErrorKind::Certificate, "{error:?}");
    }
    let target = secured.target("localhost", "sslmode=require");
    init(target).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_of_another_host_is_refused_unless_only_the_authority_is_verified() {
    let Some(secured) = secured("db.example", Validity::Valid).await else {
        return;
    };
    let target = secured.target("localhost", &secured.trusting("verify-full"));
    let error = init(target).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::Certificate, "{error:?}");
    for mode in ["verify-ca", "require"] {
        let target = secured.target("localhost", &secured.trusting(mode));
        init(target).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_certificate_is_refused() {
    let Some(secured) = secured("localhost", Validity::Expired).await else {
        return;
    };
    for mode in ["verify-full", "verify-ca"] {
        let target = secured.target("localhost", &secured.trusting(mode));
        let error = init(target).await.unwrap_err();
        assert_eq!(error.kind(), PostgresErrorKind::Certificate, "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_is_not_an_alternative() {
    let Some(secured) = secured("localhost", Validity::Valid).await else {
        return;
    };
    let error = init(secured.target("localhost", "sslmode=disable")).await;
    assert_eq!(error.unwrap_err().kind(), PostgresErrorKind::Rights);
}
