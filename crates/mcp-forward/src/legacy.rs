//! Recognises an event stream of the 2024-11-05 transport.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// The most bytes of a stream that are read. Its first event names the path for messages.
const LOOK: usize = 512;

pin_project! {
    /// A body that calls a function if its first event is `endpoint`.
    pub(super) struct EndpointWatch<B, F> {
        #[pin]
        body: B,
        found: Option<F>,
        begin: Vec<u8>,
    }
}

impl<B, F> EndpointWatch<B, F> {
    pub(super) fn new(body: B, found: F) -> Self {
        Self {
            body,
            found: Some(found),
            begin: Vec::new(),
        }
    }
}

impl<B: Body<Data = Bytes>, F: FnOnce()> Body for EndpointWatch<B, F> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if this.found.is_some()
            && let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let room = LOOK - this.begin.len();
            this.begin.extend_from_slice(&data[..data.len().min(room)]);
            match is_endpoint(this.begin) {
                Some(true) => {
                    if let Some(found) = this.found.take() {
                        found();
                    }
                }
                Some(false) => *this.found = None,
                None => {}
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Returns whether the first event has the type `endpoint`, once that is known.
fn is_endpoint(begin: &[u8]) -> Option<bool> {
    let mut lines = begin.split(|byte| matches!(byte, b'\n' | b'\r'));
    // The last piece may be an incomplete line.
    lines.next_back();
    for line in lines {
        if let Some(kind) = line.strip_prefix(b"event:") {
            return Some(kind.trim_ascii() == b"endpoint");
        }
        if line.starts_with(b"data") {
            return Some(false);
        }
    }
    (begin.len() >= LOOK).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::{LOOK, is_endpoint};

    #[test]
    fn endpoint_is_recognised_by_the_first_event() {
        for (begin, expected) in [
            ("event: endpoint\r\ndata: /messages\r\n", Some(true)),
            ("event:endpoint\n", Some(true)),
            (": hello\n\nid: 1\nevent: endpoint\n", Some(true)),
            ("event: message\ndata", Some(false)),
            ("data: endpoint\n", Some(false)),
            ("event: endpoi", None),
            ("", None),
        ] {
            assert_eq!(is_endpoint(begin.as_bytes()), expected, "{begin:?}");
        }
        assert_eq!(is_endpoint(&[b' '; LOOK]), Some(false));
    }
}
