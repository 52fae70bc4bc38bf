//! A server behind the proxy.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

/// A request as the server got it.
pub(crate) struct Received {
    /// The request line and the fields.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

/// Answers each request by a function, on a connection of its own.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
}

impl Upstream {
    pub(crate) fn start(answer: fn(&Received) -> String) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), answer)
    }

    pub(crate) fn start_at(address: SocketAddr, answer: fn(&Received) -> String) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    let Some(request) = receive(&mut stream) else {
                        return;
                    };
                    let answer = answer(&request);
                    let _ = stream.get_mut().write_all(answer.as_bytes());
                });
            }
        });
        Self { address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }
}

/// Reads a request; `None` if the connection ends before.
pub(crate) fn receive(stream: &mut impl BufRead) -> Option<Received> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).unwrap();
    Some(Received { head, body })
}

/// Returns an answer with a body of this type.
pub(crate) fn ok(media: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: {media}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// Returns an answer with an empty JSON-RPC result.
pub(crate) fn result() -> String {
    ok(
        "application/json",
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
    )
}
