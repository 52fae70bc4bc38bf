//! The table of forms, which `tests/interop/forms.py` reads the same way.

use std::collections::BTreeMap;
use std::path::Path;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::{EncodeV2, GzipEncoder, ZlibEncoder};
use serde::Deserialize;

const CALL: &str = r#"{"jsonrpc":"2.0","id":$id,"method":"tools/call","params":{"name":"count","arguments":{}$meta}}"#;
const META: &str = r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"forms","version":"1"}}"#;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Form {
    pub(crate) name: String,
    before: String,
    body: String,
    after: String,
    id: String,
    encoding: String,
    pack: Option<String>,
    /// Sets a header, or removes it if there is no value.
    headers: BTreeMap<String, Option<String>>,
    /// A server may understand it although the layer does not.
    pub(crate) unreadable: bool,
    /// How many of its requests a server may leave without an answer.
    pub(crate) unanswered: u64,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            name: String::new(),
            before: String::new(),
            body: "$call".to_owned(),
            after: String::new(),
            id: "$n".to_owned(),
            encoding: "utf-8".to_owned(),
            pack: None,
            headers: BTreeMap::new(),
            unreadable: false,
            unanswered: 0,
        }
    }
}

pub(crate) fn read() -> Vec<Form> {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/forms.json");
    let table = std::fs::read(table).expect("the table");
    serde_json::from_slice(&table).expect("a table of forms")
}

/// Returns numbers that no request has used before.
#[derive(Default)]
pub(crate) struct Numbers(u32);

impl Form {
    pub(crate) fn set_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().expect("a header name");
            match value {
                Some(value) => {
                    let value = HeaderValue::from_str(value).expect("a header value");
                    headers.insert(name, value);
                }
                None => {
                    headers.remove(name);
                }
            }
        }
    }

    pub(crate) fn body(&self, modern: bool, numbers: &mut Numbers) -> Vec<u8> {
        let meta = if modern { META } else { "" };
        let text = self.body.replace("$call", CALL).replace("$meta", meta);
        let text = text.replace("$id", &self.id);
        let mut pieces = text.split("$n");
        let mut text = self.before.clone() + pieces.next().unwrap_or_default();
        for piece in pieces {
            numbers.0 += 1;
            text += &format!("{}{piece}", numbers.0);
        }
        text += &self.after;
        let bytes = encoded(&text, &self.encoding);
        match self.pack.as_deref() {
            None => bytes,
            Some("gzip") => packed(&mut GzipEncoder::new(Level::Default.into()), &bytes),
            Some("deflate") => packed(&mut ZlibEncoder::new(Level::Default.into()), &bytes),
            Some(other) => panic!("no such coding: {other}"),
        }
    }
}

fn encoded(text: &str, encoding: &str) -> Vec<u8> {
    let units = text.encode_utf16();
    let chars = text.chars().map(u32::from);
    match encoding {
        "utf-8" => text.as_bytes().to_vec(),
        "utf-16-le" => units.flat_map(u16::to_le_bytes).collect(),
        "utf-16-be" => units.flat_map(u16::to_be_bytes).collect(),
        "utf-32-le" => chars.flat_map(u32::to_le_bytes).collect(),
        "utf-32-be" => chars.flat_map(u32::to_be_bytes).collect(),
        "latin-1" => chars.map(|char| char as u8).collect(),
        other => panic!("no such encoding: {other}"),
    }
}

fn packed(encoder: &mut dyn EncodeV2, bytes: &[u8]) -> Vec<u8> {
    let mut packed = vec![0; 2 * bytes.len() + 1024];
    let mut output = WriteBuffer::new_initialized(&mut packed);
    let mut input = PartialBuffer::new(bytes);
    while !input.unwritten().is_empty() {
        encoder.encode(&mut input, &mut output).expect("an encoder");
    }
    while !encoder.finish(&mut output).expect("an encoder") {}
    let len = output.written_len();
    packed.truncate(len);
    packed
}
