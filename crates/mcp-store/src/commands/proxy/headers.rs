//! Fields that the proxy adds to requests, from a file.

use std::path::Path;

use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};

use crate::error::CliError;
use crate::secret;

/// Fields that the proxy itself sets, or that describe one connection or body.
const FORBIDDEN: [HeaderName; 7] = [
    CONNECTION,
    CONTENT_LENGTH,
    HOST,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Reads a file with `Name: value` on each line. Empty lines and lines with `#` are ignored.
pub(super) fn read(path: &Path) -> Result<HeaderMap, CliError> {
    parse(&secret::read(path)?).map_err(|(line, reason)| {
        // The line may hold a secret, so it is not shown.
        CliError::Message(format!("{}:{line}: {reason}", path.display()))
    })
}

fn parse(text: &str) -> Result<HeaderMap, (usize, String)> {
    let mut headers = HeaderMap::new();
    for (nth, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = field(line).map_err(|reason| (nth + 1, reason))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn field(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let expected = || "expected a field such as Authorization: Bearer ...".to_owned();
    let (name, value) = line.split_once(':').ok_or_else(expected)?;
    let name: HeaderName = name.parse().map_err(|_| expected())?;
    let mut value: HeaderValue = value.trim().parse().map_err(|_| expected())?;
    if FORBIDDEN.contains(&name) {
        return Err(format!("the field {name} cannot be set"));
    }
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lines_are_fields_comments_or_empty() {
        let headers = parse("# Key.\n\nAuthorization: Bearer a:b\r\n  x-a: 1\nx-a: 2\n").unwrap();
        assert_eq!(headers["authorization"], "Bearer a:b");
        assert!(headers["authorization"].is_sensitive());
        assert_eq!(headers.get_all("x-a").iter().count(), 2);
    }

    #[test]
    fn invalid_line_is_named_by_its_number_and_not_shown() {
        for line in [
            "secret",
            "se cret: a",
            ": secret",
            "a: se\u{1}cret",
            "Host: secret",
        ] {
            let (number, reason) = parse(&format!("a: b\n{line}")).unwrap_err();
            assert_eq!(number, 2, "{line}");
            assert!(!reason.contains("cret"), "{reason}");
        }
    }
}
