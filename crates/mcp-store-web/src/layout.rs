//! The frame of each page: the menu, the range of time and the conditions.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};
use mcp_store_text::sanitize::must_escape;
use mcp_store_text::time;
use tower_mcp_store::{EndReason, Outcome};

use crate::fault::Fault;
use crate::html::begin;
use crate::page::Page;
use crate::site::Site;
use crate::view::{self, Name, View};

/// The ranges of time to choose from.
const SPANS: [(&str, &str); 5] = [
    ("15m", "15 minutes"),
    ("1h", "1 hour"),
    ("24h", "1 day"),
    ("7d", "7 days"),
    ("30d", "30 days"),
];

/// Returns a page with the menu.
pub(crate) fn page(
    site: &Site,
    status: StatusCode,
    page: Page,
    view: &View,
    body: &Markup,
) -> Response {
    let content = html! {
        (menu(page, view))
        (range(page, view))
        main #main tabindex="-1" { (body) }
        (footer(site))
    };
    document(status, &title(page, view), &content)
}

/// Returns the title of a page. It begins with the tool or session that the page shows, so that
/// the tabs of a browser differ.
fn title(page: Page, view: &View) -> String {
    const SHOWN: usize = 60;
    let item = page.item().and_then(|item| view.text(item));
    match item {
        Some(item) => format!("{} · {}", begin(item, SHOWN), page.title()),
        None => page.title().to_owned(),
    }
}

/// Returns the page of an error.
pub(crate) fn fault(site: &Site, of: Page, view: &View, fault: &Fault) -> Response {
    let body = html! {
        h1 { (fault.title()) }
        p.problem role="alert" { (fault.text()) }
    };
    page(site, fault.status(), of, view, &body)
}

/// Returns a page without the menu.
pub(crate) fn bare(status: StatusCode, title: &str, body: &Markup) -> Response {
    document(
        status,
        title,
        &html! { main #main tabindex="-1" { (body) } },
    )
}

fn document(status: StatusCode, title: &str, content: &Markup) -> Response {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · mcp-store" }
                link rel="icon" href="icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="style.css";
                script type="module" src="page.js" {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (content)
            }
        }
    };
    let document = harmless(document.into_string());
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    (status, [(CONTENT_TYPE, html)], document).into_response()
}

/// Replaces invisible characters, and those that change the direction of text. Only names from
/// the wire can contain them, so the whole page is searched.
pub(crate) fn harmless(html: String) -> String {
    let is_harmful = |c: char| c != '\n' && must_escape(c);
    match html.contains(is_harmful) {
        true => html.replace(is_harmful, "\u{fffd}"),
        false => html,
    }
}

fn menu(current: Page, view: &View) -> Markup {
    // The other pages are about all tools and sessions.
    let to = |page| match current.item() {
        Some(item) => view.to(page).without(item),
        None => view.to(page),
    };
    html! {
        header {
            a.brand href=(to(Page::Overview).href()) { "mcp-store" }
            nav aria-label="Pages" {
                ul {
                    @for page in Page::MENU {
                        li {
                            a href=(to(page).href())
                                aria-current=[(page == current.menu()).then_some("page")] {
                                (page.title())
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the range of time, the conditions, and the form that changes them.
fn range(page: Page, view: &View) -> Markup {
    let uses_time = page.uses(Name::Since);
    let since = view.text(Name::Since).unwrap_or(view::default_span());
    let has_end = view.text(Name::Until).is_some();
    let is_current = |span: &str| (!has_end && since == span).then_some("true");
    let is_time = |name| matches!(name, Name::Since | Name::Until);
    let conditions = view.conditions().filter(|(name, _)| !is_time(*name));
    let conditions: Vec<(Name, &str)> = conditions.collect();
    let others = Name::ALL.into_iter().filter(|name| !is_time(*name));
    let none = others.fold(view.to(page.menu()), |link, name| link.without(name));
    let fixed = view
        .to(page)
        .with(Name::Since, view.window.since.to_string())
        .with(Name::Until, view.end().to_string());
    html! {
        section.range aria-label="Range of time and conditions" {
            @if uses_time {
                div.spans {
                    span { "Last" }
                    ul {
                        @for (span, label) in SPANS {
                            li {
                                a href=(view.to(page).with(Name::Since, span).without(Name::Until).href())
                                    aria-current=[is_current(span)] { (label) }
                            }
                        }
                    }
                    span.until {
                        "from " (moment(view.window.since)) " to "
                        @if has_end { (moment(view.window.until)) } @else { "now" }
                    }
                    a.fixed href=(fixed.href()) title="The same page with fixed times" { "Link with fixed times" }
                }
            }
            @for &(name, value) in &conditions {
                span.condition {
                    (name.label()) ": " bdi { (value) }
                    @if !page.uses(name) { em { " (not used here)" } }
                    @let rest = if page.item() == Some(name) { page.menu() } else { page };
                    " " a href=(view.to(rest).without(name).href())
                        aria-label=(format!("Remove the condition {}: {value}", name.label())) { "×" }
                }
            }
            @if conditions.len() > 1 { a href=(none.href()) { "Remove all conditions" } }
            (form(page, view))
        }
    }
}

fn form(page: Page, view: &View) -> Markup {
    html! {
        details.filter {
            summary { "Filter" }
            form method="get" action=(page.slug()) {
                @for name in Name::ALL {
                    @let id = format!("f-{}", name.as_str());
                    @let value = view.text(name).unwrap_or_default();
                    div.field {
                        label for=(id) { (name.label()) }
                        @match name {
                            Name::Failed => select id=(id) name=(name.as_str()) {
                                option value="" { "all" }
                                option value="true" selected[value == "true"] { "only failed" }
                            },
                            Name::Status => input id=(id) name=(name.as_str()) value=(value) list="outcomes";,
                            Name::EndReason => input id=(id) name=(name.as_str()) value=(value) list="reasons";,
                            _ => input id=(id) name=(name.as_str()) value=(value) placeholder=[hint(name)];,
                        }
                    }
                }
                datalist #outcomes { @for one in Outcome::ALL { option value=(one.as_str()) {} } }
                datalist #reasons { @for one in EndReason::ALL { option value=(one.as_str()) {} } }
                button { "Apply" }
                " " a href=(page.slug()) { "Remove all" }
            }
        }
    }
}

/// Returns an example of a value.
fn hint(name: Name) -> Option<&'static str> {
    match name {
        Name::Since => Some("7d, today, 10:00"),
        Name::Until => Some("now"),
        Name::Method => Some("resources/*"),
        Name::Tool => Some("search*"),
        Name::MinLatency => Some("500ms, 2s"),
        Name::ErrorCode => Some("-32602"),
        Name::Protocol => Some("2025-06-18"),
        _ => None,
    }
}

fn moment(ms: i64) -> Markup {
    html! { time datetime=[time::utc(ms)] { (time::local_minute(ms)) } }
}

fn footer(site: &Site) -> Markup {
    html! {
        footer {
            p {
                (site.reader().path().display()) " · times in " (time::zone())
                " · mcp-store " (env!("CARGO_PKG_VERSION"))
            }
        }
    }
}
