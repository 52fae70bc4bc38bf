//! The few headers that the layer reads, by name. It reads no others.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, PAD};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

use super::media::{Media, names_utf_7};

/// The headers of a request or response that the layer reads, found in one pass,
/// which is faster than a look-up for each. If a header is repeated, the first one
/// counts.
pub(in crate::capture) struct Headers<'a> {
    all: &'a HeaderMap,
    pub(in crate::capture) session_id: Option<&'a HeaderValue>,
    pub(in crate::capture) protocol_version: Option<&'a HeaderValue>,
    pub(in crate::capture) method: Option<&'a HeaderValue>,
    pub(in crate::capture) name: Option<&'a HeaderValue>,
    pub(in crate::capture) traceparent: Option<&'a HeaderValue>,
    pub(in crate::capture) authorization: Option<&'a HeaderValue>,
    content_type: Option<&'a HeaderValue>,
    content_encoding: Option<&'a HeaderValue>,
    content_length: Option<&'a HeaderValue>,
    transfer_encoding: Option<&'a HeaderValue>,
}

impl<'a> Headers<'a> {
    pub(in crate::capture) fn of(all: &'a HeaderMap) -> Self {
        let mut found = Self {
            all,
            session_id: None,
            protocol_version: None,
            method: None,
            name: None,
            traceparent: None,
            authorization: None,
            content_type: None,
            content_encoding: None,
            content_length: None,
            transfer_encoding: None,
        };
        for (name, value) in all {
            let header = match name.as_str() {
                "mcp-session-id" => &mut found.session_id,
                "mcp-protocol-version" => &mut found.protocol_version,
                "mcp-method" => &mut found.method,
                "mcp-name" => &mut found.name,
                "traceparent" => &mut found.traceparent,
                "authorization" => &mut found.authorization,
                "content-type" => &mut found.content_type,
                "content-encoding" => &mut found.content_encoding,
                "content-length" => &mut found.content_length,
                "transfer-encoding" => &mut found.transfer_encoding,
                _ => continue,
            };
            header.get_or_insert(value);
        }
        found
    }

    /// Returns how to read the body, by its media type.
    pub(in crate::capture) fn media(&self) -> Media {
        self.content_type
            .map_or(Media::Unnamed, |value| Media::named(value.as_bytes()))
    }

    /// Returns the length on the wire of the body of a response with this status, if
    /// the head says it (RFC 9112, section 6.3).
    pub(in crate::capture) fn body_length(&self, status: StatusCode) -> Option<u64> {
        let has_none = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match (has_none, self.transfer_encoding) {
            (true, _) => Some(0),
            (false, Some(_)) => None,
            (false, None) => self.content_length?.to_str().ok()?.parse().ok(),
        }
    }

    /// Returns whether a server may take the body for JSON by its media type. Some
    /// servers compare only the beginning of the type.
    pub(in crate::capture) fn may_be_json(&self) -> bool {
        let json = b"application/json";
        self.content_type.is_none_or(|name| {
            let beginning = name.as_bytes().get(..json.len());
            beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(json))
        })
    }

    /// Returns whether there is a header that only MCP uses.
    pub(in crate::capture) fn speak_of_mcp(&self) -> bool {
        self.session_id.is_some() || self.protocol_version.is_some() || self.method.is_some()
    }

    /// Returns whether the body is in UTF-7. Of the encodings that Express decodes, it
    /// is the only one in which JSON's bytes may encode other characters.
    pub(in crate::capture) fn is_utf_7(&self) -> bool {
        let name = self.content_type.map_or(&b""[..], HeaderValue::as_bytes);
        name != b"application/json" && names_utf_7(name)
    }

    /// Returns whether the body may have a content coding.
    pub(in crate::capture) fn is_encoded(&self) -> bool {
        self.content_encoding.is_some()
    }

    /// Returns the codings of the body, in the order in which they were applied.
    pub(in crate::capture) fn codings(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.all
            .get_all(CONTENT_ENCODING)
            .iter()
            .flat_map(|value| value.as_bytes().split(|b| *b == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
    }
}

/// Returns the text of a header; bytes that are not UTF-8 become U+FFFD.
pub(in crate::capture) fn header_text(value: &HeaderValue) -> Cow<'_, str> {
    // This is faster if nothing has to be replaced.
    match str::from_utf8(value.as_bytes()) {
        Ok(text) => text.into(),
        Err(_) => String::from_utf8_lossy(value.as_bytes()),
    }
}

/// Base64 with or without padding: servers take both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns the value of a mirror header (`Mcp-Name`). Clients send it as
/// `=?base64?...?=` if a header cannot hold it unchanged.
pub(in crate::capture) fn decoded(value: &HeaderValue) -> Cow<'_, str> {
    let encoded = value
        .as_bytes()
        .strip_prefix(b"=?base64?")
        .and_then(|rest| rest.strip_suffix(b"?="));
    match encoded.and_then(|encoded| BASE64.decode(encoded).ok()) {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        None => header_text(value),
    }
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    fn content_type(value: &'static str) -> Media {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
        Headers::of(&headers).media()
    }

    #[test]
    fn media_type_is_compared_without_its_parameters() {
        assert_eq!(content_type("application/json"), Media::Json);
        assert_eq!(
            content_type("Application/JSON ; charset=utf-8"),
            Media::Json
        );
        assert_eq!(
            content_type("text/event-stream;charset=utf-8"),
            Media::EventStream
        );
        assert_eq!(content_type("text/plain"), Media::Text);
        assert_eq!(content_type("application/json-seq"), Media::Other);
        assert_eq!(Headers::of(&HeaderMap::new()).media(), Media::Unnamed);
    }

    #[test]
    fn head_has_the_length_of_its_body_unless_it_is_chunked() {
        let length = |status: u16, fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            Headers::of(&headers).body_length(StatusCode::from_u16(status).unwrap())
        };
        assert_eq!(length(200, &[("content-length", "12")]), Some(12));
        assert_eq!(length(200, &[("content-length", "many")]), None);
        assert_eq!(length(200, &[]), None);
        let both = [("content-length", "12"), ("transfer-encoding", "chunked")];
        assert_eq!(length(200, &both), None);
        assert_eq!(length(204, &[]), Some(0));
        assert_eq!(length(304, &[("content-length", "12")]), Some(0));
    }

    #[test]
    fn only_a_real_coding_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(Headers::of(&headers).codings().count(), 0);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("Identity, "));
        assert_eq!(Headers::of(&headers).codings().count(), 0);
        headers.append(CONTENT_ENCODING, HeaderValue::from_static("gzip ,br"));
        assert_eq!(
            Headers::of(&headers).codings().collect::<Vec<_>>(),
            [b"gzip".as_slice(), b"br"]
        );
    }

    #[test]
    fn mirror_header_is_decoded_only_in_its_sentinel_form() {
        let value = |text: &'static str| HeaderValue::from_static(text);
        assert_eq!(decoded(&value("=?base64?bcOpdMOpbw==?=")), "météo");
        assert_eq!(decoded(&value("=?base64?bcOp?=")), "mé");
        assert_eq!(decoded(&value("=?base64?bQ?=")), "m");
        assert_eq!(decoded(&value("echo")), "echo");
        assert_eq!(decoded(&value("=?base64?!!?=")), "=?base64?!!?=");
        assert_eq!(decoded(&value("=?BASE64?bcOp?=")), "=?BASE64?bcOp?=");
    }
}
