//! Reads the files of `captures/`; its README describes them.
//!
//! An answer is a Python string literal, in quotes and with escapes. Line breaks within the quotes
//! are for the reader.

/// A response as a server sent it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// One frame for each chunk of the transfer coding, or the whole body.
    pub(crate) frames: Vec<Vec<u8>>,
    /// The client left before the server ended the body.
    pub(crate) open: bool,
}

/// An action of a client.
#[derive(Debug, Clone)]
pub(crate) enum Sent {
    Request {
        method: String,
        path: String,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// The client closed a connection.
    Closed,
}

/// Returns the answers of one server, each with the name of its request.
pub(crate) fn answers(capture: &str) -> Vec<(&str, Answer)> {
    let sections = capture.split("=== ").skip(1);
    let named = sections.map(|section| section.split_once('\n').expect("a name"));
    named
        .map(|(name, rest)| (name, answer(&quoted(rest))))
        .collect()
}

/// Returns the requests of one client, in the order in which it sent them.
pub(crate) fn sent(capture: &str) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut lines = capture.lines();
    while let Some(line) = lines.next() {
        let event = line.strip_prefix(">>> ");
        match (event.unwrap_or(line), sent.last_mut()) {
            ("", _) => {}
            ("[client closed conn]", _) => sent.push(Sent::Closed),
            // A body may be in a packet of its own.
            (text, Some(Sent::Request { body, .. })) if text.starts_with(['{', '[']) => {
                assert_eq!(body, b"", "one body for each request");
                *body = text.into();
            }
            (start, _) => {
                let mut words = start.split(' ').map(str::to_owned);
                sent.push(Sent::Request {
                    method: words.next().expect("a method"),
                    path: words.next().expect("a path"),
                    headers: lines
                        .by_ref()
                        .take_while(|line| !line.is_empty())
                        .map(header)
                        .collect(),
                    body: Vec::new(),
                });
            }
        }
    }
    sent
}

/// Returns the first string in quotes.
pub(crate) fn quoted(text: &str) -> String {
    let (_, rest) = text.split_once('\'').expect("an opening quote");
    let mut chars = rest.chars();
    let mut unescaped = String::new();
    loop {
        match chars.next().expect("a closing quote") {
            '\'' => return unescaped,
            '\n' => {}
            '\\' => unescaped.push(match chars.next().expect("an escape") {
                'r' => '\r',
                'n' => '\n',
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).expect("four digits");
                    char::from_u32(code).expect("a character")
                }
                quoted @ ('\\' | '\'') => quoted,
                other => panic!("an unknown escape: {other}"),
            }),
            plain => unescaped.push(plain),
        }
    }
}

pub(crate) fn answer(text: &str) -> Answer {
    let (text, is_open) = match text.strip_suffix("<<STILL OPEN>>") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let headers: Vec<_> = lines.map(header).collect();
    let value = |name: &str| {
        let found = headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    let (frames, ended) = match value("content-length") {
        Some(length) => {
            assert_eq!(body.len().to_string(), length);
            (vec![body.into()], true)
        }
        None => chunks(body),
    };
    // A connection that is kept open does not show where the body ends.
    assert!(is_open || ended || value("content-type") == Some("text/event-stream"));
    Answer {
        status: status.and_then(|code| code.parse().ok()).expect("a status"),
        open: !ended,
        headers,
        frames,
    }
}

/// Returns the chunks of a body (RFC 9112, section 7.1), and whether the last one arrived.
pub(crate) fn chunks(body: &str) -> (Vec<Vec<u8>>, bool) {
    let mut rest = body.as_bytes();
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\r');
        let (size, data) = rest.split_at(end.expect("a line with the size"));
        let size = str::from_utf8(size).expect("digits");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let (data, after) = data[2..].split_at(size);
        assert!(after.starts_with(b"\r\n"), "the size is right");
        if size == 0 {
            return (chunks, true);
        }
        chunks.push(data.into());
        rest = &after[2..];
    }
    (chunks, false)
}

/// Splits a line of a head; names are in lower case.
fn header(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").expect("a header");
    (name.to_ascii_lowercase(), value.to_owned())
}
