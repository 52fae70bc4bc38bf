//! Reads the JSON-RPC requests out of a request body.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::capture::exchange::{Call, CallState, Calls};
use crate::capture::exchange_handle::ExchangeHandle;
use crate::capture::http::{Content, Undecodable};
use crate::capture::no_row::{NoRow, Unread};
use crate::wire::{Kind, ScanState, Scanner};

/// The most bytes that the layer remembers for a batch. A request beyond this limit
/// gets no row and is counted as unidentified.
const BATCH_BYTES: usize = 1024 * 1024;

/// The most notifications of one body that are read. Each one may be a
/// cancellation, for which the exchange has to be searched.
const NOTIFICATIONS: usize = 32;

/// Reads the JSON-RPC requests out of a request body.
pub(in crate::capture) struct RequestTap {
    handle: ExchangeHandle,
    /// Made at the first bytes, because a tap is moved a few times before.
    scanner: Option<Box<Scanner>>,
    /// Complete requests of a batch. They count once the batch is closed.
    calls: Vec<CallState>,
    bytes: usize,
    notifications: usize,
    /// `None` once all requests are known, or cannot be read.
    content: Option<Content>,
}

impl RequestTap {
    pub(in crate::capture) fn new(handle: ExchangeHandle, content: Content) -> Self {
        Self {
            handle,
            scanner: None,
            calls: Vec::new(),
            bytes: 0,
            notifications: 0,
            content: Some(content),
        }
    }

    pub(in crate::capture) fn data(&mut self, data: &Bytes) {
        self.handle.exchange().request_bytes(data.len());
        let Self {
            handle,
            scanner,
            calls,
            bytes,
            notifications,
            content,
        } = self;
        let Some(reader) = content else {
            return;
        };
        let scanner = scanner.get_or_insert_default();
        let (cx, exchange) = (handle.cx(), handle.exchange());
        let sessions = &handle.recorder.sessions;
        let mut requested = Calls::new();
        let read = reader.read(data, &mut |data| {
            scanner.feed(data, &mut |message| {
                match message.kind() {
                    Kind::Request => {}
                    Kind::Notification => {
                        *notifications += 1;
                        if *notifications <= NOTIFICATIONS {
                            handle.report(|exchange, _, effects| {
                                exchange.notified(effects, message);
                            });
                        }
                        return;
                    }
                    _ => return,
                }
                let call = Call::new(message, cx, sessions, &exchange.head);
                if !message.in_batch() {
                    if exchange.head.mirror.contradicts(message) {
                        cx.count_mismatched();
                    }
                    requested.push(CallState::new(call));
                    return;
                }
                *bytes += call.size();
                if *bytes <= BATCH_BYTES {
                    calls.push(CallState::new(call));
                } else {
                    cx.without_row(&NoRow::BatchFull);
                }
            });
            match scanner.state() {
                ScanState::Closed => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        if scanner.state() == ScanState::Closed {
            *content = None;
            if requested.is_empty() {
                requested = Calls::from_vec(std::mem::take(calls));
            }
            scanner.reset();
            handle.requested(&mut requested, self.scanner.take());
        } else if let Err(Undecodable) = read {
            *content = None;
            self.unread(Unread::Undecodable);
        }
    }

    /// Handles the end of the body.
    pub(in crate::capture) fn end(&mut self) {
        if self.content.take().is_none() {
            return;
        }
        let scanner = self.scanner.as_ref();
        match scanner.map_or(ScanState::Empty, |scanner| scanner.state()) {
            ScanState::Empty => self.handle.requested(&mut Calls::new(), None),
            _ => self.unread(Unread::Unclosed),
        }
    }

    /// Handles a failure of the body: the server has no request, unless the JSON value
    /// was closed before.
    pub(in crate::capture) fn fail(&mut self) {
        self.handle.exchange().request_failed();
        if self.content.take().is_some() {
            self.unread(Unread::Broken);
        }
    }

    fn unread(&self, why: Unread) {
        self.handle
            .report(|exchange, _, effects| exchange.unread(effects, why));
    }
}

impl Drop for RequestTap {
    /// The server reads no more of the body.
    fn drop(&mut self) {
        if self.content.take().is_some() {
            self.unread(Unread::Rest);
        }
    }
}
