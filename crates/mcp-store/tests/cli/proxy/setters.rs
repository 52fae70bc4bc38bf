//! Each setter of the libraries is a setting of the proxy.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::config::SETTINGS;

/// Each setter and its settings.
const SETTERS: &[(&str, &[&str])] = &[
    ("StoreBuilder::flush_interval", &["flush-interval"]),
    ("StoreBuilder::queue_events", &["queue-events"]),
    ("StoreBuilder::queue_bytes", &["queue-size"]),
    (
        "StoreBuilder::retention",
        &["retention-age", "retention-size"],
    ),
    ("StoreBuilder::hash_session_ids", &["hash-session-ids"]),
    ("StoreBuilder::instance", &["instance"]),
    ("StoreBuilder::shared_key", &["shared-key-file"]),
    ("StoreBuilder::group_readable", &["group-readable"]),
    ("Retention::max_age", &["retention-age"]),
    ("Retention::max_bytes", &["retention-size"]),
    ("Retention::polls", &["retention-polls"]),
    ("Retention::hourly_statistics", &["retention-hourly"]),
    ("Retention::daily_statistics", &["retention-daily"]),
    ("StoreLayer::server_name", &["server", "upstream"]),
    ("StoreLayer::upstream_url", &["upstream"]),
    ("StoreLayer::record_error_text", &["error-text"]),
    ("StoreLayer::record_tool_error_text", &["tool-error-text"]),
    ("StoreLayer::record_target_query", &["target-query"]),
    ("StoreLayer::skip_methods", &["skip-method"]),
    ("StoreLayer::resume_grace", &["resume-grace"]),
    ("StoreLayer::max_listing_bytes", &["max-listing"]),
    ("Forward::prefix", &["prefix"]),
    ("Forward::add_headers", &["headers-file"]),
    ("Forward::connect_timeout", &["connect-timeout"]),
    ("Forward::answer_timeout", &["answer-timeout"]),
    ("Forward::idle_timeout", &["idle-timeout"]),
    ("Server::head_timeout", &["head-timeout"]),
    ("Server::tls", &["tls-cert", "tls-key"]),
];

/// Each setter without a setting, and the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "StoreBuilder::on_recorded",
        "takes a function; the proxy prints each row with it",
    ),
    (
        "StoreLayer::request_id_extension",
        "is for handlers in the same process",
    ),
    (
        "Forward::client_scheme",
        "follows from whether the proxy serves TLS",
    ),
];

/// Adds the public functions that take and return one of these types, with their types.
fn find(types: &[&str], dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(types, &path, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for name in types {
            for block in text.split(&format!("\nimpl {name} {{\n")).skip(1) {
                let block = block.split("\n}\n").next().unwrap();
                for function in block.split("\n    pub fn ").skip(1) {
                    let signature = function.split('{').next().unwrap();
                    if signature.contains("self,") && signature.contains("-> Self") {
                        let end = signature.find(['(', '<']).unwrap();
                        found.insert(format!("{name}::{}", &signature[..end]));
                    }
                }
            }
        }
    }
}

#[test]
fn each_setter_of_the_libraries_is_a_setting_or_an_exception_with_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = BTreeSet::new();
    let types = ["StoreBuilder", "StoreLayer", "Retention"];
    find(&types, &root.join("src"), &mut found);
    let types = ["Forward", "Server"];
    find(&types, &root.join("crates/mcp-forward/src"), &mut found);
    let set = SETTERS.iter().map(|(setter, _)| *setter);
    let known = set.chain(EXCEPTIONS.iter().map(|(setter, _)| *setter));
    let known: BTreeSet<String> = known.map(str::to_owned).collect();
    assert_eq!(found, known);
    for (setter, settings) in SETTERS {
        for setting in *settings {
            let exists = SETTINGS.iter().any(|(name, _)| name == setting);
            assert!(exists, "{setter}: no setting {setting}");
        }
    }
}
