//! The query of a URL: the range of time and the conditions, which all pages share, and the
//! parameters of one page.

mod link;
mod names;

use std::str::FromStr;

use mcp_store_text::time;
use tower_mcp_store::query::{Lookup, Reader, RequestFilter, Window};
use tower_mcp_store::{EndReason, Outcome};

use crate::fault::Fault;
use crate::page::Page;
pub(crate) use link::Link;
pub(crate) use names::{Name, Own};

/// The range of time of a URL that has none.
const DEFAULT_SPAN: &str = "24h";
const DEFAULT_SPAN_MS: i64 = 24 * 3_600_000;

/// The longest value of a parameter, in bytes. A target has 2,048 characters at most.
const LONGEST: usize = 8 * 1024;

/// The query of a URL.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The conditions, as the URL has them.
    conditions: Vec<(Name, String)>,
    own: Vec<(Own, String)>,
    pub(crate) window: Window,
    /// When the URL was read, in unix milliseconds.
    pub(crate) now: i64,
    /// All conditions but the session, whose id is looked up in the file.
    filter: RequestFilter,
}

impl Default for View {
    fn default() -> Self {
        let now = time::now();
        let window = Window::since(now.saturating_sub(DEFAULT_SPAN_MS));
        Self {
            conditions: Vec::new(),
            own: Vec::new(),
            window,
            now,
            filter: RequestFilter::new().window(window),
        }
    }
}

impl View {
    /// Reads the query of a URL.
    pub(crate) fn parse(query: &str) -> Result<Self, Fault> {
        let mut view = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            if value.len() > LONGEST {
                let text = format!("{name}: the value has more than {LONGEST} bytes");
                return Err(Fault::BadRequest(text));
            }
            // A form sends its empty fields, too.
            if value.is_empty() {
                continue;
            }
            let is_twice = if let Some(name) = Name::of(&name) {
                let is_twice = view.text(name).is_some();
                view.conditions.push((name, value.to_owned()));
                is_twice
            } else if let Some(own) = Own::ALL.into_iter().find(|own| own.as_str() == name) {
                let is_twice = view.own(own).is_some();
                view.own.push((own, value.to_owned()));
                is_twice
            } else {
                let text = format!("{name}: there is no condition of this name");
                return Err(Fault::BadRequest(text));
            };
            if is_twice {
                return Err(Fault::BadRequest(format!("{name}: given more than once")));
            }
        }
        view.window = view.parse_window()?;
        view.filter = view.parse_filter()?;
        Ok(view)
    }

    fn parse_window(&self) -> Result<Window, Fault> {
        let until = self.parsed(Name::Until, time::moment)?;
        let since = match self.parsed(Name::Since, time::moment)? {
            Some(since) => since,
            None => until.unwrap_or(self.now).saturating_sub(DEFAULT_SPAN_MS),
        };
        let until = until.unwrap_or(Window::ALL.until);
        match since < until {
            true => Ok(Window { since, until }),
            false => Err(Fault::BadRequest(
                "since: must be earlier than until".to_owned(),
            )),
        }
    }

    fn parse_filter(&self) -> Result<RequestFilter, Fault> {
        let text = |name| self.text(name).map(str::to_owned);
        let mut filter = RequestFilter::new().window(self.window);
        filter.server_name = text(Name::Server);
        filter.method = text(Name::Method);
        filter.tool = text(Name::Tool);
        filter.target = text(Name::Target);
        filter.client = text(Name::Client);
        filter.principal = text(Name::Principal);
        filter.trace_id = self.parsed(Name::TraceId, trace_id)?;
        filter.protocol = text(Name::Protocol);
        filter.error_code = text(Name::ErrorCode);
        filter.min_latency = self.parsed(Name::MinLatency, time::duration)?;
        filter.outcomes = self.parsed(Name::Status, outcomes)?.unwrap_or_default();
        filter.end_reason = self.parsed(Name::EndReason, |text| {
            one_of(EndReason::ALL, EndReason::as_str, text)
        })?;
        let failed = self.parsed(Name::Failed, flag)?;
        if failed == Some(true) {
            if !filter.outcomes.is_empty() {
                return Err(Fault::BadRequest(
                    "failed: cannot be used with status".to_owned(),
                ));
            }
            filter.outcomes = Outcome::FAILURES.to_vec();
        }
        Ok(filter)
    }

    fn parsed<T>(
        &self,
        name: Name,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Fault> {
        let parsed = self.text(name).map(parse).transpose();
        parsed.map_err(|why| Fault::BadRequest(format!("{}: {why}", name.as_str())))
    }

    /// Returns a condition as the URL has it.
    pub(crate) fn text(&self, name: Name) -> Option<&str> {
        let found = self.conditions.iter().find(|(found, _)| *found == name);
        found.map(|(_, value)| &**value)
    }

    /// Returns all conditions as the URL has them.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = (Name, &str)> {
        self.conditions
            .iter()
            .map(|(name, value)| (*name, &**value))
    }

    /// Returns a parameter of the page as the URL has it.
    pub(crate) fn own(&self, own: Own) -> Option<&str> {
        let found = self.own.iter().find(|(found, _)| *found == own);
        found.map(|(_, value)| &**value)
    }

    /// Returns a parameter of the page, if there is one.
    pub(crate) fn own_as<T: FromStr>(&self, own: Own, expected: &str) -> Result<Option<T>, Fault> {
        let parsed = self.own(own).map(str::parse).transpose();
        parsed.map_err(|_| Fault::BadRequest(format!("{}: expected {expected}", own.as_str())))
    }

    /// Returns whether a switch of the page is on.
    pub(crate) fn is_on(&self, own: Own) -> Result<bool, Fault> {
        let on = self.own(own).map(flag).transpose();
        let on = on.map_err(|why| Fault::BadRequest(format!("{}: {why}", own.as_str())))?;
        Ok(on.unwrap_or(false))
    }

    /// Returns how many rows the page shows, at most 1,000.
    pub(crate) fn limit(&self, default: usize) -> Result<usize, Fault> {
        const EXPECTED: &str = "a number from 1 to 1000";
        match self.own_as(Own::Limit, EXPECTED)?.unwrap_or(default) {
            limit @ 1..=1_000 => Ok(limit),
            _ => Err(Fault::BadRequest(format!("limit: expected {EXPECTED}"))),
        }
    }

    /// Returns the conditions, with the whole id of the session.
    pub(crate) fn filter(&self, reader: &Reader) -> Result<RequestFilter, Fault> {
        let mut filter = self.filter.clone();
        if let Some(id) = self.text(Name::Session) {
            filter.session = Some(match reader.find_session_id(id)? {
                Lookup::One(id) => id,
                Lookup::Several(ids) => return Err(several("session", id, &ids)),
                _ => id.to_owned(),
            });
        }
        Ok(filter)
    }

    /// Returns the end of the window: now, if it is open.
    pub(crate) fn end(&self) -> i64 {
        match self.window.until {
            until if until == Window::ALL.until => self.now,
            until => until,
        }
    }

    /// Returns the link to a page with the same conditions.
    pub(crate) fn to(&self, page: Page) -> Link<'_> {
        Link::new(self, page)
    }
}

/// Returns the text of the range of time, if the URL has none.
pub(crate) const fn default_span() -> &'static str {
    DEFAULT_SPAN
}

pub(crate) fn several(what: &str, id: &str, ids: &[String]) -> Fault {
    let ids = ids.join(", ");
    Fault::BadRequest(format!(
        "the id of more than one {what} begins with {id}; type more of it: {ids}"
    ))
}

/// Parses the id of a W3C trace (Trace Context, section 3.2.2.3), in any case.
fn trace_id(text: &str) -> Result<String, String> {
    match text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("expected 32 hexadecimal digits".to_owned()),
    }
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "on" => Ok(true),
        "false" | "0" | "off" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

fn outcomes(text: &str) -> Result<Vec<Outcome>, String> {
    let one = |name: &str| one_of(&Outcome::ALL, Outcome::as_str, name.trim());
    text.split(',').map(one).collect()
}

fn one_of<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Result<T, String> {
    let found = all.iter().find(|one| name(**one) == text);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
        format!("expected one of {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tower_mcp_store::Outcome;
    use tower_mcp_store::query::Window;

    use super::{Name, Own, View};
    use crate::fault::Fault;
    use crate::page::Page;

    #[test]
    fn conditions_have_the_names_and_values_of_the_command() {
        let query = "since=2026-11-20T00:00Z&until=2026-11-21T00:00Z&tool=search*&client=a%26b\
            &status=timeout,gone&min-latency=2s&limit=10";
        let view = View::parse(query).unwrap();
        let since = 1_795_132_800_000;
        assert_eq!(view.window, Window::since(since).until(since + 86_400_000));
        assert_eq!(view.filter.tool.as_deref(), Some("search*"));
        assert_eq!(view.filter.client.as_deref(), Some("a&b"));
        assert_eq!(view.filter.outcomes, [Outcome::Timeout, Outcome::Gone]);
        assert_eq!(view.filter.min_latency, Some(Duration::from_secs(2)));
        assert_eq!(view.limit(50).unwrap(), 10);
    }

    #[test]
    fn links_carry_all_conditions_and_no_parameter_of_the_page() {
        let view = View::parse("tool=a%20b%26c&since=7d&limit=3&before=1-2&server=").unwrap();
        assert_eq!(view.to(Page::Errors).href(), "errors?since=7d&tool=a+b%26c");
        let link = view.to(Page::Request).without(Name::Tool).own(Own::Id, "1");
        assert_eq!(link.href(), "request?since=7d&id=1");
        let link = view
            .to(Page::Tool)
            .with(Name::Tool, "x")
            .without(Name::Since);
        assert_eq!(link.href(), "tool?tool=x");
    }

    #[test]
    fn range_without_a_begin_is_the_last_day() {
        let view = View::parse("").unwrap();
        assert_eq!(view.window, Window::since(view.now - 86_400_000));
        let view = View::parse("until=1h").unwrap();
        assert_eq!(view.window.until - view.window.since, 86_400_000);
    }

    #[test]
    fn wrong_values_are_named() {
        for (query, expected) in [
            ("since=yesteryear", "since: expected a span back"),
            ("since=1h&until=2h", "since: must be earlier"),
            ("status=good", "status: expected one of ok"),
            ("failed=maybe", "failed: expected true or false"),
            ("failed=1&status=ok", "failed: cannot be used with status"),
            ("trace-id=0af7", "trace-id: expected 32 hexadecimal"),
            ("min-latency=5", "min-latency: expected a duration"),
            ("end-reason=x", "end-reason: expected one of"),
            ("toool=x", "toool: there is no condition"),
            ("tool=a&tool=b", "tool: given more than once"),
        ] {
            match View::parse(query) {
                Err(Fault::BadRequest(text)) => assert!(text.starts_with(expected), "{text}"),
                other => panic!("{query}: {other:?}"),
            }
        }
        let long = format!("tool={}", "x".repeat(9_000));
        assert!(View::parse(&long).is_err());
        for limit in ["0", "1001", "x", "-1"] {
            let view = View::parse(&format!("limit={limit}")).unwrap();
            assert!(view.limit(50).is_err(), "{limit}");
        }
    }
}
