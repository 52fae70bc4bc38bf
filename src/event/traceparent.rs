use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// The trace id of a W3C `traceparent` (Trace Context, section 3.2.2.3): 16
/// bytes, not all zero, shown as 32 lower-case hexadecimal digits.
///
/// ```
/// use tower_mcp_store::TraceId;
///
/// let id = TraceId::from_traceparent(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
/// assert_eq!(id.unwrap().to_string(), "0af7651916cd43dd8448eb211c80319c");
/// assert_eq!(TraceId::from_traceparent(b"00-short-1-01"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

impl TraceId {
    /// Returns the trace id of a `traceparent`, or `None` if the header is not valid.
    ///
    /// It ignores fields that later versions of the header may append.
    pub fn from_traceparent(traceparent: &[u8]) -> Option<Self> {
        Traceparent::parse(traceparent).map(|parent| parent.trace_id)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The parent id of a W3C `traceparent`, which names the caller's span: 8 bytes, not all
/// zero, shown as 16 lower-case hexadecimal digits.
///
/// ```
/// use tower_mcp_store::event::SpanId;
///
/// let id = SpanId::from_traceparent(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
/// assert_eq!(id.unwrap().to_string(), "b7ad6b7169203331");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

impl SpanId {
    /// Returns the parent id of a `traceparent`, like [`TraceId::from_traceparent`].
    pub fn from_traceparent(traceparent: &[u8]) -> Option<Self> {
        Traceparent::parse(traceparent).map(|parent| parent.parent_span_id)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A `traceparent`, without its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traceparent {
    pub(crate) trace_id: TraceId,
    pub(crate) parent_span_id: SpanId,
}

impl Traceparent {
    /// Parses a `traceparent`. Returns `None` if it is not valid.
    pub(crate) fn parse(traceparent: &[u8]) -> Option<Self> {
        let hex = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let (version, rest) = traceparent.split_at_checked(2)?;
        let (id, rest) = rest.strip_prefix(b"-")?.split_at_checked(32)?;
        let (parent, rest) = rest.strip_prefix(b"-")?.split_at_checked(16)?;
        let (flags, rest) = rest.strip_prefix(b"-")?.split_at_checked(2)?;
        let well_formed = [version, id, parent, flags]
            .iter()
            .all(|part| part.iter().all(hex))
            && version != b"ff"
            && (rest.is_empty() || (version != b"00" && rest.starts_with(b"-")));
        if !well_formed {
            return None;
        }
        let id = u128::from_str_radix(std::str::from_utf8(id).ok()?, 16).ok()?;
        let parent = u64::from_str_radix(std::str::from_utf8(parent).ok()?, 16).ok()?;
        Some(Self {
            trace_id: TraceId(NonZeroU128::new(id)?),
            parent_span_id: SpanId(NonZeroU64::new(parent)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::TraceId;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";

    fn parse(text: &str) -> Option<String> {
        TraceId::from_traceparent(text.as_bytes()).map(|id| id.to_string())
    }

    #[test]
    fn later_version_may_append_fields() {
        let text = format!("01-{ID}-b7ad6b7169203331-01-more");
        assert_eq!(parse(&text).as_deref(), Some(ID));
    }

    #[test]
    fn invalid_traceparent_has_no_id() {
        for bad in [
            "",
            "00",
            &format!("00-{ID}"),
            &format!("00-{ID}-b7ad6b7169203331-01-more"),
            &format!("ff-{ID}-b7ad6b7169203331-01"),
            &format!("00-{}-b7ad6b7169203331-01", ID.to_uppercase()),
            &format!("00-{ID}-0000000000000000-01"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
