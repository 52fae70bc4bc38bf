//! A TCP relay that a test can cut.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// When the relay cuts a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Never,
    /// Before the server gets these bytes of the client.
    Before(&'static [u8]),
    /// After the server has got the last of these parts, in this order, and before the client
    /// gets its answer.
    AfterAll(&'static [&'static [u8]]),
    /// All connections, at once and from now on.
    Now,
}

#[derive(Debug)]
pub(crate) struct Relay {
    port: u16,
    cut: Arc<watch::Sender<Cut>>,
    /// How many connections were cut.
    cuts: Arc<Mutex<usize>>,
}

impl Relay {
    /// Starts a relay to a port of this machine.
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(watch::channel(Cut::Never).0);
        let cuts = Arc::new(Mutex::new(0));
        let (shared, count) = (Arc::clone(&cut), Arc::clone(&cuts));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (cut, count) = (shared.subscribe(), Arc::clone(&count));
                tokio::spawn(async move {
                    let server = SocketAddr::from(([127, 0, 0, 1], to));
                    if relay(client, server, cut).await {
                        *count.lock().unwrap() += 1;
                    }
                });
            }
        });
        Self { port, cut, cuts }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set(&self, cut: Cut) {
        self.cut.send_replace(cut);
    }

    pub(crate) fn cuts(&self) -> usize {
        *self.cuts.lock().unwrap()
    }
}

/// Relays one connection. Returns whether it was cut.
async fn relay(mut client: TcpStream, server: SocketAddr, mut cut: watch::Receiver<Cut>) -> bool {
    if *cut.borrow() == Cut::Now {
        return true;
    }
    let Ok(mut server) = TcpStream::connect(server).await else {
        return false;
    };
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut seen = 0;
    let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Some(bytes) = read.ok().and_then(|count| asked.get(..count)) else {
                    return false;
                };
                let when = *cut.borrow();
                if matches!(when, Cut::Before(part) if has(bytes, part)) {
                    return true;
                }
                if bytes.is_empty() || server.write_all(bytes).await.is_err() {
                    return false;
                }
                if let Cut::AfterAll(parts) = when {
                    let next = parts.get(seen).copied().unwrap_or_default();
                    seen += usize::from(has(bytes, next));
                    if seen == parts.len() {
                        // The answer proves that the server has done it.
                        let _ = server.read(&mut answered).await;
                        return true;
                    }
                }
            }
            read = server.read(&mut answered) => {
                let Some(bytes) = read.ok().and_then(|count| answered.get(..count)) else {
                    return false;
                };
                if bytes.is_empty() || client.write_all(bytes).await.is_err() {
                    return false;
                }
            }
            changed = cut.changed() => {
                if changed.is_err() || *cut.borrow() == Cut::Now {
                    return true;
                }
            }
        }
    }
}
