//! The settings of the proxy: options over environment over file over default.
//!
//! Clap's definition of the options is the one that names, describes and checks every setting. A
//! line of the file becomes the default of its option.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::builder::{OsStr, Resettable};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args as _, Command, CommandFactory as _, FromArgMatches as _};
use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::args::{self, Args, Proxy, is_setting};
use crate::error::CliError;
use crate::output::Output;
use crate::sanitize::escape_control;

/// The settings, and where each comes from.
pub(super) struct Config {
    pub(super) db: PathBuf,
    pub(super) proxy: Proxy,
    matches: ArgMatches,
    file: Vec<Line>,
}

/// A key of the file.
struct Line {
    key: String,
    values: Vec<String>,
    /// The path of the file and the number of the line.
    place: String,
}

impl Config {
    /// Parses the command line of this process again, with the file's values as defaults.
    pub(super) fn load(path: Option<&Path>) -> Result<Self, CliError> {
        let file = path.map(read).transpose()?.unwrap_or_default();
        let mut command = Args::command();
        for line in &file {
            let values: Vec<OsStr> = line.values.iter().map(OsStr::from).collect();
            let id = id(&line.key);
            let set = |option: Arg| option.default_values(values);
            command = match id.as_str() {
                "db" => command.mut_arg(id, set),
                _ => command.mut_subcommand("proxy", |proxy| proxy.mut_arg(id, set)),
            };
        }
        let matches = command.get_matches();
        let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let args::Command::Proxy(proxy) = args.command else {
            unreachable!("the first pass has found the command");
        };
        let matches = matches.subcommand_matches("proxy").cloned();
        Ok(Self {
            db: args.db,
            proxy: *proxy,
            matches: matches.unwrap_or_default(),
            file,
        })
    }

    /// Returns whether any of these settings differs from the default of the program.
    pub(super) fn sets_any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.source(key) != "default")
    }

    /// Returns where the value of a setting comes from.
    fn source(&self, key: &str) -> String {
        match self.matches.value_source(&id(key)) {
            Some(ValueSource::CommandLine) => format!("option --{key}"),
            Some(ValueSource::EnvVariable) => {
                format!("environment MCP_STORE_{}", id(key).to_uppercase())
            }
            _ => match self.file.iter().find(|line| line.key == key) {
                Some(line) => line.place.clone(),
                None => "default".to_owned(),
            },
        }
    }

    /// Prints each setting and where it comes from, in the form of a configuration file.
    pub(super) fn print(&self, output: &mut Output) -> Result<(), CliError> {
        #[derive(Serialize)]
        struct Setting<'a> {
            name: &'a str,
            values: Vec<String>,
            source: String,
        }

        for option in settings() {
            let name = option.get_long().unwrap_or_default();
            let raw = self.matches.get_raw(option.get_id().as_str());
            let mut values: Vec<String> = raw
                .into_iter()
                .flatten()
                .map(|value| without_secrets(&value.to_string_lossy()))
                .collect();
            let source = self.source(name);
            if output.is_json() {
                output.json(&Setting {
                    name,
                    values,
                    source,
                })?;
                continue;
            }
            let is_list = matches!(option.get_action(), clap::ArgAction::Append);
            let text = match (is_list, values.pop()) {
                (false, None) => {
                    output.line(&format!("# {name} is not set"))?;
                    continue;
                }
                (false, Some(value)) => literal(&value)?,
                (true, last) => {
                    values.extend(last);
                    let values: Result<Vec<String>, _> = values.iter().map(quoted).collect();
                    format!("[{}]", values?.join(", "))
                }
            };
            let source = escape_control(&source);
            output.line(&format!("{name} = {text}  # {source}"))?;
        }
        Ok(())
    }
}

/// Returns a value as TOML.
fn literal(value: &String) -> Result<String, CliError> {
    let is_bare = value.parse::<bool>().is_ok() || value.parse::<u32>().is_ok();
    if is_bare {
        Ok(value.clone())
    } else {
        quoted(value)
    }
}

/// Returns a text as a string of TOML, whose escapes are those of JSON.
fn quoted(value: &String) -> Result<String, CliError> {
    Ok(Output::json_line(value)?)
}

/// Removes what may be a secret from a URL: user, password and query.
fn without_secrets(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.to_owned();
    };
    let (address, query) = match rest.split_once('?') {
        Some((address, _)) => (address, "?..."),
        None => (rest, ""),
    };
    let (authority, path) = address.split_at(address.find('/').unwrap_or(address.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://...@{host}{path}{query}"),
        None => format!("{scheme}://{authority}{path}{query}"),
    }
}

/// Returns the options that are settings, with that of the database first.
fn settings() -> impl Iterator<Item = Arg> {
    let command = Args::command();
    let db = command
        .get_arguments()
        .find(|option| option.get_id() == "db");
    let db = db.cloned();
    let proxy = Proxy::augment_args(Command::new("proxy"));
    let proxy: Vec<Arg> = proxy
        .get_arguments()
        .filter(|option| is_setting(option))
        .cloned()
        .collect();
    db.into_iter().chain(proxy)
}

/// Returns the id that clap has for an option.
fn id(key: &str) -> String {
    key.replace('-', "_")
}

/// Reads a file, and checks each line like the option of its name.
fn read(path: &Path) -> Result<Vec<Line>, CliError> {
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        CliError::Message(format!("cannot read the configuration {name}: {error}"))
    })?;
    let place = |at: usize| {
        let line = text
            .get(..at)
            .map_or(1, |before| before.matches('\n').count() + 1);
        format!("{name}:{line}")
    };
    let table = DeTable::parse(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        CliError::Message(format!("{}: {}", place(at), error.message()))
    })?;
    let checker = checker();
    let mut lines: Vec<(Range<usize>, Line)> = Vec::new();
    for (key, value) in table.get_ref() {
        let place = place(key.span().start);
        let key_text = key.get_ref().as_ref();
        let invalid = |reason: String| CliError::Message(format!("{place}: {reason}"));
        let values = values(value).map_err(|what| invalid(format!("`{key_text}` {what}")))?;
        check(&checker, key_text, &values).map_err(invalid)?;
        let key = key_text.to_owned();
        lines.push((value.span(), Line { key, values, place }));
    }
    lines.sort_by_key(|(span, _)| span.start);
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

/// Returns the values of a key: one, those of a list, or `name=value` for those of a table.
fn values(value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, &'static str> {
    match value.get_ref() {
        DeValue::Array(list) => list.iter().map(|one| scalar(one.get_ref())).collect(),
        DeValue::Table(table) => {
            let named = table.iter().map(|(name, value)| {
                let value = scalar(value.get_ref())?;
                Ok(format!("{}={value}", name.get_ref()))
            });
            named.collect()
        }
        one => Ok(vec![scalar(one)?]),
    }
}

fn scalar(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        _ => Err("is not a text, a number, true or false, or a list of these"),
    }
}

/// Returns a command that has only the settings as options, and reads no environment.
fn checker() -> Command {
    let command = Command::new("settings")
        .no_binary_name(true)
        .disable_help_flag(true);
    settings().fold(command, |command, option| {
        let option = option.env(Resettable::Reset).global(false);
        command.arg(option)
    })
}

/// Checks a key of the file and its values.
fn check(checker: &Command, key: &str, values: &[String]) -> Result<(), String> {
    let options = values.iter().map(|value| format!("--{key}={value}"));
    // Without values, as for an empty list, the key is checked with any.
    let error = match checker.clone().try_get_matches_from(options) {
        Ok(_) if values.is_empty() && !settings().any(|option| option.get_long() == Some(key)) => {
            return Err(format!("unknown key `{key}`"));
        }
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    if error.kind() == ErrorKind::UnknownArgument {
        let similar = match error.get(ContextKind::SuggestedArg) {
            Some(ContextValue::String(option)) => option.trim_start_matches('-'),
            _ => return Err(format!("unknown key `{key}`")),
        };
        return Err(format!("unknown key `{key}`; a similar one is `{similar}`"));
    }
    // The first paragraph says what is wrong, and the others how to get help.
    let text = error.to_string();
    let text = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = text
        .trim_start_matches("error: ")
        .split_whitespace()
        .collect();
    Err(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn secrets_of_a_url_are_not_shown() {
        for (value, shown) in [
            ("http://h/mcp?key=k", "http://h/mcp?..."),
            ("a=https://u:p@h:1/x@y", "a=https://...@h:1/x@y"),
            ("https://h", "https://h"),
            ("127.0.0.1:3000", "127.0.0.1:3000"),
        ] {
            assert_eq!(without_secrets(value), shown);
        }
    }
}
