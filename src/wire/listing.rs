//! Discovery listings: the content of an answer, its canonical form and its hash.
//!
//! A server may send the same content in many ways: members and items in another
//! order, other escapes, other spellings of numbers. So each item is converted to
//! the canonical form of RFC 8785, in which numbers are doubles, and the items are
//! sorted by the member that names them. Members that change from answer to answer
//! are left out: cursors, cache hints, and `_meta`, which has its own hash.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// Key in the `_meta` of a `server/discover` result that names the server.
const META_SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// A method whose result describes what a server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Discovery {
    Initialize,
    Discover,
    Tools,
    Resources,
    Templates,
    Prompts,
}

/// How the result of a list method holds its items.
#[derive(Debug)]
pub(crate) struct Items {
    /// The member of the result that holds the items.
    pub(crate) array: &'static str,
    /// The member that names an item.
    pub(crate) key: &'static str,
    /// The word for one item.
    pub(crate) noun: &'static str,
}

const fn items(array: &'static str, key: &'static str, noun: &'static str) -> Items {
    Items { array, key, noun }
}

static TOOLS: Items = items("tools", "name", "tool");
static RESOURCES: Items = items("resources", "uri", "resource");
static TEMPLATES: Items = items("resourceTemplates", "uriTemplate", "resource_template");
static PROMPTS: Items = items("prompts", "name", "prompt");

impl Discovery {
    pub(crate) const ALL: [Self; 6] = [
        Self::Initialize,
        Self::Discover,
        Self::Tools,
        Self::Resources,
        Self::Templates,
        Self::Prompts,
    ];

    pub(crate) fn of(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.method() == method)
    }

    /// Returns the listing that this notification reports as changed.
    pub(crate) fn changed_by(notification: &str) -> Option<Self> {
        match notification {
            "notifications/tools/list_changed" => Some(Self::Tools),
            "notifications/resources/list_changed" => Some(Self::Resources),
            "notifications/prompts/list_changed" => Some(Self::Prompts),
            _ => None,
        }
    }

    pub(crate) const fn method(self) -> &'static str {
        match self {
            Self::Initialize => super::method::INITIALIZE,
            Self::Discover => "server/discover",
            Self::Tools => "tools/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
            Self::Prompts => "prompts/list",
        }
    }

    /// Returns how its listing holds the items; `None` for a description of the server
    /// itself.
    pub(crate) fn items(self) -> Option<&'static Items> {
        match self {
            Self::Initialize | Self::Discover => None,
            Self::Tools => Some(&TOOLS),
            Self::Resources => Some(&RESOURCES),
            Self::Templates => Some(&TEMPLATES),
            Self::Prompts => Some(&PROMPTS),
        }
    }
}

/// The answer does not follow the protocol: broken JSON, nested too deeply, an item
/// without a name, or a missing array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl From<serde_json::Error> for Malformed {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}

/// One item, without `_meta`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    /// Its name or URI.
    pub(crate) key: Box<str>,
    /// Its canonical form.
    pub(crate) text: Box<str>,
    /// Hash of its key and its `_meta`, if it has one.
    meta: Option<[u8; 32]>,
}

/// The content of one answer, which is one page.
#[derive(Debug)]
pub(crate) enum Page {
    /// The server's description of itself, in canonical form.
    Whole(String),
    Items(&'static Items, Vec<Item>),
}

/// The members of a result, not parsed. A repeated member has its last value.
type Members<'a> = BTreeMap<String, &'a RawValue>;

impl Page {
    /// Reads a `result`, or the payload of an earlier [`Listing`].
    pub(crate) fn read(of: Discovery, result: &[u8]) -> Result<Self, Malformed> {
        let members: Members<'_> = serde_json::from_slice(result)?;
        let Some(items) = of.items() else {
            return server(&members);
        };
        let array = members.get(items.array).ok_or(Malformed)?;
        // Items are parsed one at a time: as one tree they would take many times the memory
        // of their text.
        let array: Vec<&RawValue> = serde_json::from_str(array.get())?;
        let read = array.into_iter().map(|item| Item::read(items, item.get()));
        Ok(Self::Items(items, read.collect::<Result<_, _>>()?))
    }

    /// Adds the items of the next page.
    pub(crate) fn append(&mut self, next: Self) {
        if let (Self::Items(_, items), Self::Items(_, more)) = (self, next) {
            items.extend(more);
        }
    }

    /// Returns about how much memory it holds, in bytes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Whole(text) => text.len(),
            Self::Items(_, items) => {
                let texts = |item: &Item| item.key.len() + item.text.len();
                items.len() * size_of::<Item>() + items.iter().map(texts).sum::<usize>()
            }
        }
    }

    /// Returns the listing, once all of its pages are added.
    pub(crate) fn finish(self) -> Listing {
        let (payload, meta, duplicates) = match self {
            Self::Whole(text) => (text, None, false),
            Self::Items(kind, mut items) => {
                items.sort_unstable_by(|a, b| (&a.key, &a.text).cmp(&(&b.key, &b.text)));
                let duplicates = items.windows(2).any(|pair| pair[0].key == pair[1].key);
                let mut metas = items.iter().filter_map(|item| item.meta).peekable();
                let meta = metas.peek().is_some().then(|| {
                    let all = metas.fold(Sha256::new(), |all, meta| all.chain_update(meta));
                    hex(&all.finalize())
                });
                (kind.payload(&items), meta, duplicates)
            }
        };
        Listing {
            content_hash: hex(&Sha256::digest(&payload)),
            payload,
            meta_hash: meta,
            duplicates,
        }
    }
}

/// Returns the server's description of itself. Its `serverInfo` is a member of the
/// result, or of the result's `_meta` since 2026-07-28.
fn server(members: &Members<'_>) -> Result<Page, Malformed> {
    const INFO: &str = "serverInfo";
    let mut content = serde_json::Map::new();
    for key in ["capabilities", "instructions", INFO] {
        if let Some(value) = members.get(key) {
            content.insert(key.to_owned(), serde_json::from_str(value.get())?);
        }
    }
    if let (false, Some(meta)) = (content.contains_key(INFO), members.get("_meta"))
        && let Value::Object(mut meta) = serde_json::from_str(meta.get())?
        && let Some(info) = meta.remove(META_SERVER_INFO)
    {
        content.insert(INFO.to_owned(), info);
    }
    canonical(&Value::Object(content)).map(Page::Whole)
}

impl Items {
    fn payload(&self, items: &[Item]) -> String {
        let texts: usize = items.iter().map(|item| item.text.len() + 1).sum();
        let mut payload = String::with_capacity(texts + self.array.len() + 8);
        payload.push_str("{\"");
        payload.push_str(self.array);
        payload.push_str("\":[");
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                payload.push(',');
            }
            payload.push_str(&item.text);
        }
        payload.push_str("]}");
        payload
    }
}

impl Item {
    fn read(kind: &Items, text: &str) -> Result<Self, Malformed> {
        let Value::Object(mut item) = serde_json::from_str(text)? else {
            return Err(Malformed);
        };
        let meta = item.remove("_meta");
        let key = item.get(kind.key).and_then(Value::as_str);
        let key: Box<str> = key.ok_or(Malformed)?.into();
        let meta = meta.map(|meta| canonical(&Value::from(vec![Value::from(&*key), meta])));
        let meta = meta.transpose()?;
        Ok(Self {
            key,
            text: canonical(&Value::Object(item))?.into(),
            meta: meta.map(|meta| Sha256::digest(meta).into()),
        })
    }
}

/// A complete listing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listing {
    /// The canonical form: the result with only its items, or with the server's
    /// description of itself.
    pub(crate) payload: String,
    /// SHA-256 of the payload.
    pub(crate) content_hash: String,
    /// SHA-256 of the items' `_meta`, if any has one.
    pub(crate) meta_hash: Option<String>,
    /// Two items have the same name.
    pub(crate) duplicates: bool,
}

fn canonical(value: &Value) -> Result<String, Malformed> {
    Ok(serde_json_canonicalizer::to_string(value)?)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| DIGITS[usize::from(digit)]).collect()
}

#[cfg(test)]
mod tests;
