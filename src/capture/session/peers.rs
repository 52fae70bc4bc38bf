//! The names and versions that clients and servers give themselves.

use std::borrow::Cow;

use super::revision::protocol_version;
use crate::capture::http::owned_bytes;
use crate::wire::{Field, Message};

/// The name and version that a client gives itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::capture) struct ClientInfo {
    pub(in crate::capture) name: Option<Box<str>>,
    pub(in crate::capture) version: Option<Box<str>>,
    /// Number of texts that were cut.
    pub(in crate::capture) cut: usize,
}

impl ClientInfo {
    pub(in crate::capture) fn of(message: &Message) -> Self {
        let mut cut = 0;
        let name = [Field::ClientName, Field::MetaClientName];
        let version = [Field::ClientVersion, Field::MetaClientVersion];
        Self {
            name: first_text(message, name, &mut cut),
            version: first_text(message, version, &mut cut),
            cut,
        }
    }

    /// Returns the bytes of memory that it takes.
    pub(in crate::capture) fn bytes(&self) -> usize {
        let texts = [&self.name, &self.version].into_iter().flatten();
        size_of::<Self>() + texts.map(|text| text.len()).sum::<usize>()
    }
}

/// The server's name and version in the result that begins a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::capture) struct ServerInfo {
    pub(in crate::capture) name: Option<Box<str>>,
    pub(in crate::capture) version: Option<Box<str>>,
    pub(in crate::capture) protocol_version: Option<Cow<'static, str>>,
    /// Number of texts that were cut.
    pub(in crate::capture) cut: usize,
}

impl ServerInfo {
    pub(in crate::capture) fn of(message: &Message) -> Self {
        let revision = Field::ResultProtocolVersion;
        let mut cut = usize::from(message.was_cut(revision));
        let name = [Field::ServerName, Field::MetaServerName];
        let version = [Field::ServerVersion, Field::MetaServerVersion];
        Self {
            name: first_text(message, name, &mut cut),
            version: first_text(message, version, &mut cut),
            protocol_version: message.text(revision).map(protocol_version),
            cut,
        }
    }

    /// Returns the bytes of memory that it takes.
    pub(in crate::capture) fn size(&self) -> usize {
        let texts = [&self.name, &self.version].into_iter().flatten();
        let texts = texts.map(|text| text.len()).sum::<usize>();
        size_of::<Self>() + texts + owned_bytes(self.protocol_version.as_ref())
    }
}

/// Returns the first of these fields that is present, and increments `cut` if it
/// was cut.
fn first_text<const N: usize>(
    message: &Message,
    fields: [Field; N],
    cut: &mut usize,
) -> Option<Box<str>> {
    let (field, text) = fields
        .into_iter()
        .find_map(|field| Some((field, message.text(field)?)))?;
    *cut += usize::from(message.was_cut(field));
    Some(text.into())
}
