//! How a request ended, in the terms of its row.

use crate::event::{EndReason, Leg, RequestStatus};

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::capture) struct Outcome {
    pub(in crate::capture) status: RequestStatus,
    pub(in crate::capture) error_code: Option<Box<str>>,
    pub(in crate::capture) error_msg: Option<Box<str>>,
    pub(in crate::capture) tool_error: bool,
    pub(in crate::capture) end_reason: Option<EndReason>,
    pub(in crate::capture) latency_us: u64,
    pub(in crate::capture) bytes_out: BytesOut,
    /// The part of the answer that links it with an operation.
    pub(in crate::capture) leg: Option<Box<Leg>>,
}

/// How the size of a response is determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::capture) enum BytesOut {
    /// There is no response, or its size is not known.
    None,
    Exactly(u64),
    /// The size of the whole body, known at its end.
    Body,
}

impl Outcome {
    pub(in crate::capture) fn new(status: RequestStatus, end_reason: Option<EndReason>) -> Self {
        Self {
            status,
            error_code: None,
            error_msg: None,
            tool_error: false,
            end_reason,
            latency_us: 0,
            bytes_out: BytesOut::None,
            leg: None,
        }
    }

    /// Returns the bytes that it holds on the heap.
    pub(in crate::capture) fn heap(&self) -> usize {
        let texts = [&self.error_code, &self.error_msg].into_iter().flatten();
        let leg = self.leg.as_ref().map_or(0, |leg| leg.size());
        texts.map(|text| text.len()).sum::<usize>() + leg
    }
}
