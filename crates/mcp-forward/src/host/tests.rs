use http::{HeaderMap, Uri};

use super::{AllowedHosts, HostName, RefusedHost, text};

fn check(listening: &str, others: &[&str], uri: &str, hosts: &[&str]) -> Result<(), String> {
    let others: Vec<HostName> = others.iter().map(|host| host.parse().unwrap()).collect();
    let mut headers = HeaderMap::new();
    for host in hosts {
        headers.append("host", host.parse().unwrap());
    }
    let uri: Uri = uri.parse().unwrap();
    AllowedHosts::new(listening.parse().unwrap(), others)
        .check(&uri, &headers)
        .map_err(|refused| text(&refused))
}

fn is_admitted(listening: &str, others: &[&str], host: &str) -> bool {
    check(listening, others, "/mcp", &[host]).is_ok()
}

#[test]
fn loopback_admits_loopback_names_and_its_own_address_with_any_port() {
    for host in [
        "localhost",
        "localhost:3000",
        "LocalHost:1",
        "localhost.:3000",
        "localhost:",
        "127.0.0.1",
        "127.0.0.1:8080",
        "127.9.9.9:3000",
        "[::1]",
        "[::1]:3000",
        "[::ffff:127.0.0.1]:3000",
    ] {
        for listening in ["127.0.0.1:3000", "[::1]:3000", "[::ffff:127.0.0.1]:3000"] {
            assert!(is_admitted(listening, &[], host), "{listening} {host}");
        }
    }
}

#[test]
fn loopback_refuses_every_other_host() {
    for host in [
        "evil.example",
        "evil.example:3000",
        "localhost.evil.example",
        "localhost.evil.example:3000",
        "127.0.0.1.evil.example",
        "evil-localhost",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost:80@evil.example",
        "localhost:99999",
        "localhost:x",
        "localhost/evil.example",
        "localhost, evil.example",
        "0.0.0.0:3000",
        "10.0.0.1",
        "[::2]:3000",
        "::1",
        "",
        ".",
        ":3000",
    ] {
        assert!(!is_admitted("127.0.0.1:3000", &[], host), "{host}");
        assert!(!is_admitted("[::1]:3000", &["mcp.example"], host), "{host}");
    }
}

#[test]
fn given_hosts_are_admitted_by_their_whole_name() {
    let others = ["MCP.example.com.", "10.0.0.7", "[2001:db8::1]"];
    for host in [
        "mcp.example.com",
        "mcp.EXAMPLE.com:8443",
        "mcp.example.com.",
        "10.0.0.7:1",
        "[2001:DB8:0::1]:443",
        "localhost",
    ] {
        assert!(is_admitted("127.0.0.1:3000", &others, host), "{host}");
    }
    for host in [
        "a.mcp.example.com",
        "mcp.example.com.evil.example",
        "example.com",
        "10.0.0.70",
    ] {
        assert!(!is_admitted("127.0.0.1:3000", &others, host), "{host}");
    }
}

#[test]
fn other_addresses_are_checked_only_when_hosts_are_given() {
    for listening in ["0.0.0.0:3000", "[::]:3000", "10.0.0.7:3000"] {
        assert!(is_admitted(listening, &[], "evil.example"), "{listening}");
        let others = ["mcp.example"];
        assert!(!is_admitted(listening, &others, "evil.example"));
        assert!(!is_admitted(listening, &others, "0.0.0.0:3000"));
        assert!(is_admitted(listening, &others, "mcp.example"));
        assert!(is_admitted(listening, &others, "localhost:3000"));
    }
    assert!(is_admitted(
        "10.0.0.7:3000",
        &["mcp.example"],
        "10.0.0.7:3000"
    ));
}

#[test]
fn every_host_that_a_request_names_must_be_admitted() {
    let check = |uri, hosts: &[&str]| check("127.0.0.1:3000", &[], uri, hosts);
    let evil = Err(text(&RefusedHost::Other("evil.example".parse().unwrap())));
    assert_eq!(check("http://localhost:3000/mcp", &[]), Ok(()));
    assert_eq!(check("http://localhost/mcp", &["127.0.0.1"]), Ok(()));
    assert_eq!(check("http://evil.example/mcp", &[]), evil);
    assert_eq!(check("http://evil.example/mcp", &["localhost"]), evil);
    assert_eq!(check("http://localhost/mcp", &["evil.example"]), evil);
    assert_eq!(check("/mcp", &["localhost", "evil.example:80"]), evil);
    assert_eq!(check("/mcp", &[]), Err(RefusedHost::Missing.to_string()));
}
