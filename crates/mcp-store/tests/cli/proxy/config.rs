//! Settings from options, the environment and a file.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Proxy, closed_url};
use super::upstream::{Received, Upstream, ok, result};
use crate::run::{command, failed, json};

/// Each setting with four values: the default, and those of the file, the environment and the
/// option.
pub(crate) const SETTINGS: &[(&str, [&str; 4])] = &[
    ("db", ["./mcp-store.db", "a.db", "b.db", "c.db"]),
    (
        "upstream",
        ["", "http://a/mcp", "http://b/mcp", "http://c/mcp"],
    ),
    (
        "listen",
        [
            "127.0.0.1:3000",
            "127.0.0.1:1",
            "127.0.0.1:2",
            "127.0.0.1:3",
        ],
    ),
    ("prefix", ["", "/a", "/b", "/c"]),
    ("headers-file", ["", "a.txt", "b.txt", "c.txt"]),
    ("allow-host", ["", "a.example", "b.example", "c.example"]),
    ("server", ["default", "a", "b", "c"]),
    ("connect-timeout", ["10s", "1s", "2s", "3s"]),
    ("answer-timeout", ["unlimited", "1s", "2s", "3s"]),
    ("idle-timeout", ["unlimited", "1s", "2s", "3s"]),
    ("head-timeout", ["30s", "1s", "2s", "3s"]),
    ("tls-cert", ["", "a.pem", "b.pem", "c.pem"]),
    ("tls-key", ["", "a.pem", "b.pem", "c.pem"]),
    ("admin", ["", "127.0.0.1:1", "2", ":3"]),
    ("ready-needs-store", ["false", "true", "false", "true"]),
    ("skip-method", ["", "ping", "tasks/get", "tasks/list"]),
    ("error-text", ["true", "false", "true", "false"]),
    ("tool-error-text", ["false", "true", "false", "true"]),
    ("target-query", ["true", "false", "true", "false"]),
    ("hash-session-ids", ["false", "true", "false", "true"]),
    ("shared-key-file", ["", "a.key", "b.key", "c.key"]),
    ("resume-grace", ["5m", "1m", "2m", "3m"]),
    ("max-listing", ["4MiB", "1MiB", "2MiB", "3MiB"]),
    ("instance", ["", "a", "b", "c"]),
    ("group-readable", ["false", "true", "false", "true"]),
    ("flush-interval", ["40ms", "1ms", "2ms", "3ms"]),
    ("queue-events", ["262144", "1", "2", "3"]),
    ("queue-size", ["88MiB", "1MiB", "2MiB", "3MiB"]),
    ("retention-age", ["30d", "1d", "2d", "unlimited"]),
    ("retention-size", ["1GiB", "1MiB", "2MiB", "unlimited"]),
    ("retention-polls", ["1d", "2d", "3d", "unlimited"]),
    ("retention-hourly", ["60d", "1d", "2d", "unlimited"]),
    ("retention-daily", ["400d", "1d", "2d", "unlimited"]),
    ("log-format", ["text", "json", "text", "json"]),
    ("quiet", ["false", "true", "false", "true"]),
];

/// Runs `proxy --print-config` without a database of the environment.
fn print(dir: &Path, arguments: &[String], variables: &[(String, &str)]) -> Output {
    let mut command = command(dir, &["proxy", "--print-config"]);
    command.env_remove("MCP_STORE_DB").current_dir(dir);
    command
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)));
    command.output().unwrap()
}

/// Returns a file with one line for each setting, in their order.
fn file(dir: &Path) -> String {
    let path = dir.join("proxy.toml");
    let lines = SETTINGS
        .iter()
        .map(|(name, [_, value, ..])| format!("{name} = \"{value}\"\n"));
    fs::write(&path, lines.collect::<String>()).unwrap();
    path.display().to_string()
}

#[test]
fn option_precedes_environment_which_precedes_file_which_precedes_default() {
    let dir = TempDir::new().unwrap();
    let path = file(dir.path());
    let config = ["--config".to_owned(), path.clone(), "--json".to_owned()];
    let variable = |name: &str| format!("MCP_STORE_{}", name.to_uppercase().replace('-', "_"));
    let variables: Vec<_> = SETTINGS
        .iter()
        .map(|(name, values)| (variable(name), values[2]))
        .collect();
    let option = |(name, values): &(&str, [&str; 4])| format!("--{name}={}", values[3]);
    let options: Vec<_> = config
        .iter()
        .cloned()
        .chain(SETTINGS.iter().map(option))
        .collect();

    for (nth, arguments, variables) in [
        (0, &config[2..], &[][..]),
        (1, &config[..], &[]),
        (2, &config[..], &variables[..]),
        (3, &options[..], &variables[..]),
    ] {
        let output = print(dir.path(), arguments, variables);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let printed = String::from_utf8(output.stdout).unwrap();
        let printed: Vec<Value> = printed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        // A new setting belongs into the table.
        let names: Vec<&str> = printed
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        let expected: Vec<&str> = SETTINGS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, expected);
        for (line, (one, (name, values))) in printed.iter().zip(SETTINGS).enumerate() {
            let value = one["values"][0].as_str().unwrap_or_default();
            assert_eq!(value, values[nth], "{name}");
            let source = match nth {
                0 => "default".to_owned(),
                1 => format!("{path}:{}", line + 1),
                2 => format!("environment {}", variable(name)),
                _ => format!("option --{name}"),
            };
            assert_eq!(one["source"], source, "{name}");
        }
    }
}

#[test]
fn printed_settings_are_a_file_with_the_same_settings_and_show_no_secret() {
    let dir = TempDir::new().unwrap();
    let arguments = [
        "--upstream=https://u:p@h/mcp?key=k",
        "--skip-method=ping",
        "--skip-method=a",
    ];
    let arguments = arguments.map(str::to_owned);
    let first = String::from_utf8(print(dir.path(), &arguments, &[]).stdout).unwrap();
    assert!(
        first.contains("upstream = [\"https://...@h/mcp?...\"]"),
        "{first}"
    );
    assert!(first.contains("skip-method = [\"ping\", \"a\"]"), "{first}");
    let path = dir.path().join("proxy.toml");
    fs::write(&path, &first).unwrap();
    let config = ["--config".to_owned(), path.display().to_string()];
    let second = String::from_utf8(print(dir.path(), &config, &[]).stdout).unwrap();
    let values = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| line.split("  #").next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(values(&first), values(&second));
}

#[test]
fn invalid_line_is_refused_with_its_number() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let path = dir.path().join("proxy.toml");
    let config = path.display().to_string();
    for (line, reason) in [
        (
            "retention-aeg = \"7d\"",
            "unknown key `retention-aeg`; a similar one is `retention-age`",
        ),
        ("nothing = []", "unknown key `nothing`"),
        ("config = \"other.toml\"", "unknown key `config`"),
        ("json = true", "unknown key `json`"),
        ("retention-age = 7", "expected a duration"),
        ("retention-size = \"much\"", "expected a size"),
        ("queue-events = 0", "expected a number from 1 on"),
        ("log-format = \"xml\"", "[possible values: text, json]"),
        (
            "queue-events = 1.5",
            "`queue-events` is not a text, a number",
        ),
        (
            "resume-grace = [\"1m\", \"2m\"]",
            "cannot be used multiple times",
        ),
        ("quiet = ", "string values must be quoted"),
    ] {
        fs::write(&path, format!("# A comment.\n\n{line}\n")).unwrap();
        let error = failed(
            2,
            &db,
            &["proxy", "--config", &config, "--upstream", "http://h"],
        );
        assert!(
            error.starts_with(&format!("error: {config}:3: ")),
            "{error}"
        );
        assert!(error.contains(reason), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let error = failed(2, &db, &["proxy", "--config", "/absent.toml"]);
    assert!(
        error.contains("cannot read the configuration /absent.toml"),
        "{error}"
    );
    let error = failed(2, &db, &["proxy", "--format", "csv"]);
    assert!(error.contains("prints no CSV"), "{error}");
    let error = failed(2, &db, &["proxy"]);
    assert!(
        error.contains("pass its address as --upstream URL"),
        "{error}"
    );
    assert!(!db.exists());
}

#[test]
fn table_of_a_file_has_a_value_for_each_server() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("proxy.toml");
    let text = "[upstream]\ngit = \"http://b/mcp\"\nweather = \"http://a/mcp\"\n\n\
                [prefix]\nweather = \"/weather\"\n";
    fs::write(&path, text).unwrap();
    let config = ["--config".to_owned(), path.display().to_string()];
    let printed = String::from_utf8(print(dir.path(), &config, &[]).stdout).unwrap();
    for line in [
        "upstream = [\"git=http://b/mcp\", \"weather=http://a/mcp\"]  # ",
        "prefix = [\"weather=/weather\"]  # ",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
}

/// Starts a proxy whose settings are these lines of a file.
fn start(dir: &TempDir, lines: &str) -> Proxy {
    let path = dir.path().join("proxy.toml");
    let lines = format!("listen = \"127.0.0.1:0\"\n{lines}\n");
    fs::write(&path, lines).unwrap();
    let arguments = ["proxy", "--config", &path.display().to_string()];
    Proxy::run(command(&dir.path().join("mcp.db"), &arguments))
}

#[test]
fn settings_of_a_file_determine_what_is_recorded() {
    fn answer(request: &Received) -> String {
        match request.body.as_str() {
            body if body.contains("resources/read") => {
                let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"none"}}"#;
                ok("application/json", error)
            }
            // The stream ends without an answer.
            body if body.contains("tools/call") => ok("text/event-stream", "id: 1\ndata:\n\n"),
            body if body.contains("tools/list") => {
                let tools = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}"#;
                ok("application/json", tools)
            }
            _ => result(),
        }
    }
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let upstream = Upstream::start(answer);
    let settings = format!(
        "upstream = \"{}\"
         server = \"weather\"
         skip-method = [\"ping\"]
         error-text = false
         target-query = false
         hash-session-ids = true
         resume-grace = \"0s\"
         max-listing = 0
         instance = \"pod-1\"
         retention-age = \"7d\"
         retention-size = \"unlimited\"",
        upstream.url()
    );
    let mut proxy = start(&dir, &settings);
    let uri = r#""params":{"uri":"file:///a?secret"}"#;
    let send = |method: &str, params: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}",{params}}}"#);
        proxy.post("/mcp", "mcp-session-id: s1\r\n", &body)
    };
    send("ping", r#""params":{}"#);
    send("resources/read", uri);
    send("tools/list", r#""params":{}"#);
    send("tools/call", r#""params":{"name":"a"}"#);
    // With the default it would be printed after five minutes.
    proxy.output.wait_for("tools/call a");
    proxy.stop();

    let rows = json(&db, &["logs"]);
    assert_eq!(rows.len(), 3, "{rows:#?}");
    assert_eq!(rows[0]["method"], "resources/read");
    assert_eq!(rows[0]["proxy"], "weather");
    assert_eq!(rows[0]["error_code"], "-32002");
    assert_eq!(rows[0]["error_msg"], Value::Null);
    assert_eq!(rows[0]["target"], "file:///a");
    assert!(
        rows[0]["session_id"]
            .as_str()
            .unwrap()
            .starts_with("hashed:")
    );
    assert_eq!(json(&db, &["schema"]), [] as [Value; 0]);
    let writers = json(&db, &["sql", "SELECT instance FROM writers"]);
    assert_eq!(writers[0]["instance"], "pod-1");
    let log = proxy.log.rest().join("\n");
    assert!(log.contains("retention 7 days / any size"), "{log}");
    // The ping has no row, and the statistics at the end say so.
    assert!(log.contains(" 1 skipped, "), "{log}");
}

#[test]
fn events_beyond_the_size_of_the_queue_are_dropped() {
    let dir = TempDir::new().unwrap();
    let settings = format!("upstream = \"{}\"\nqueue-size = \"0\"", closed_url());
    let mut proxy = start(&dir, &settings);
    proxy.ping("/mcp", "");
    proxy.stop();
    let log = proxy.log.rest().join("\n");
    assert!(log.contains("1 dropped"), "{log}");
}
