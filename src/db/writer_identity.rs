//! The facts about a writer that it enters into its file.

use std::borrow::Cow;

use uuid::Uuid;

use super::bind::bounded;
use super::file_mode::FileMode;
use super::keyed_hash::KeyedHash;
use super::session_ids::SessionIdForm;

/// Longest name of an instance that is kept, in characters.
const INSTANCE_CHARS: usize = 256;

/// A writer, and how it stores values that must not be in the file unchanged.
#[derive(Debug)]
pub(crate) struct WriterIdentity {
    /// It stays the same when the writer opens its file again.
    pub(crate) id: Uuid,
    /// The name of the place where the writer runs.
    pub(crate) instance: Option<Box<str>>,
    pub(crate) session_ids: SessionIdForm,
    /// The key that was configured.
    pub(crate) shared_key: Option<KeyedHash>,
    /// The mode of a file that the writer creates.
    pub(crate) file_mode: FileMode,
}

impl WriterIdentity {
    /// Returns the identity of a new writer, which runs at `instance`, or else on this
    /// host.
    pub(crate) fn new(
        instance: Option<&str>,
        session_ids: SessionIdForm,
        shared_key: Option<KeyedHash>,
    ) -> Self {
        let host = || hostname::get().ok();
        let instance = match instance {
            Some(instance) => Some(Cow::Borrowed(instance)),
            None => host().map(|name| Cow::Owned(name.to_string_lossy().into_owned())),
        };
        Self {
            id: Uuid::now_v7(),
            instance: instance.map(|name| bounded(&name, INSTANCE_CHARS).into()),
            session_ids,
            shared_key,
            file_mode: FileMode::Owner,
        }
    }
}
