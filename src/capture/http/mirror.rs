//! The headers that mirror the body of a request (2026-07-28).

use smallvec::SmallVec;

use super::headers::{Headers, decoded, header_text};
use super::text::bounded;
use crate::wire::{Field, Message, method, uri};

/// Longest method and name that are kept, in characters. A name may be a URI.
const METHOD_CHARS: usize = 128;
const NAME_CHARS: usize = 2048;

/// Prefix of a name that is encoded.
const ENCODED: &[u8] = b"=?base64?";

/// `Mcp-Method` and `Mcp-Name`, without the userinfo of URIs, as bounded copies.
/// All headers of a request lie in one buffer of the HTTP server, and a
/// `HeaderValue` would keep the whole buffer alive.
#[derive(Default)]
pub(in crate::capture) struct MirrorHeaders {
    method: Option<Copied>,
    name: Option<Copied>,
}

/// The beginning of a header's value. A value of usual length costs no allocation.
struct Copied {
    text: SmallVec<[u8; 32]>,
    was_cut: bool,
    had_userinfo: bool,
}

impl MirrorHeaders {
    pub(in crate::capture) fn of(headers: &Headers<'_>) -> Self {
        let method = headers.method.map(header_text);
        let name = headers.name.map(decoded);
        Self {
            method: method.map(|text| Copied::of(&text, METHOD_CHARS)),
            name: name.map(|text| Copied::of(&text, NAME_CHARS)),
        }
    }

    pub(in crate::capture) fn method(&self) -> Option<&str> {
        self.method.as_ref().map(Copied::text)
    }

    /// Returns the name, unless it is still encoded: an encoded name could hide a
    /// userinfo.
    pub(in crate::capture) fn name(&self) -> Option<&str> {
        let name = self.name.as_ref().map(Copied::text);
        name.filter(|name| {
            let mark = name.trim_start().as_bytes().get(..ENCODED.len());
            !mark.is_some_and(|mark| mark.eq_ignore_ascii_case(ENCODED))
        })
    }

    /// Returns whether a header contradicts the request that it came with. An absent
    /// header contradicts nothing. Parts of the request that were cut are not compared,
    /// and neither is a userinfo.
    pub(in crate::capture) fn contradicts(&self, request: &Message) -> bool {
        let differs = |header: &Copied, field| {
            let body = request.text(field).unwrap_or_default();
            let text = uri::without_userinfo(body);
            let had_userinfo = request.had_userinfo(field) || text.len() < body.len();
            let is_same = !header.was_cut
                && header.text() == text
                && header.had_userinfo == had_userinfo
                && request.text(field).is_some();
            !is_same && !request.was_cut(field)
        };
        let method = self.method.as_ref();
        if method.is_some_and(|method| differs(method, Field::Method)) {
            return true;
        }
        let Some(name) = &self.name else {
            return false;
        };
        let (method, aim) = method::of(request);
        let is_mirrored = method::mirror_target(&method).is_some();
        is_mirrored && aim.is_none_or(|(_, field)| differs(name, field))
    }

    /// Returns the bytes that it holds on the heap.
    pub(in crate::capture) fn heap(&self) -> usize {
        let copied = [&self.method, &self.name].into_iter().flatten();
        let spilled = copied.filter(|copied| copied.text.spilled());
        spilled.map(|copied| copied.text.capacity()).sum()
    }
}

impl Copied {
    fn of(text: &str, chars: usize) -> Self {
        let kept = uri::without_userinfo(text);
        let had_userinfo = kept.len() < text.len();
        let (kept, was_cut) = bounded(&kept, chars);
        Self {
            text: SmallVec::from_slice(kept.as_bytes()),
            was_cut,
            had_userinfo,
        }
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::HeaderValue;

    use super::*;
    use crate::wire::Scanner;

    fn mirror(name: &str) -> MirrorHeaders {
        let mut headers = HeaderMap::new();
        headers.insert("mcp-method", HeaderValue::from_static("tools/call"));
        headers.insert("mcp-name", HeaderValue::from_str(name).unwrap());
        MirrorHeaders::of(&Headers::of(&headers))
    }

    fn contradicts(header: &str, body: &str) -> bool {
        let mut contradicts = None;
        let document = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{body}"}}}}"#
        );
        Scanner::new().feed(document.as_bytes(), &mut |message| {
            contradicts = Some(mirror(header).contradicts(message));
        });
        contradicts.expect("a whole message")
    }

    #[test]
    fn name_beyond_its_bound_is_compared_up_to_the_bound() {
        assert!(!contradicts("echo", "echo"));
        assert!(contradicts("echo", "echo2"));
        let kept = "n".repeat(256);
        assert!(!contradicts(&kept, &kept));
        assert!(!contradicts(&"n".repeat(3000), &"n".repeat(300)), "cut");
        assert!(
            contradicts(&"n".repeat(3000), &kept),
            "longer than the body's"
        );
    }

    #[test]
    fn name_that_cannot_be_decoded_is_not_returned() {
        for name in ["=?base64?!?=", "=?BASE64?bcOp?=", " =?base64?bcOp"] {
            assert_eq!(mirror(name).name(), None);
            assert!(contradicts(name, "echo"));
        }
    }

    #[test]
    fn usual_name_is_copied_without_an_allocation() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "mcp-method",
            HeaderValue::from_static("resources/templates/list"),
        );
        headers.insert("mcp-name", HeaderValue::from_static("search"));
        let headers = Headers::of(&headers);
        let spent = allocation_counter::measure(|| drop(MirrorHeaders::of(&headers)));
        assert_eq!(spent.count_total, 0);
    }

    #[test]
    fn long_name_is_copied_up_to_its_bound() {
        let long = mirror(&"n".repeat(300_000));
        assert_eq!(long.name().map(str::len), Some(NAME_CHARS));
        assert!((NAME_CHARS..2 * NAME_CHARS).contains(&long.heap()));
    }
}
