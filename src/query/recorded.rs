//! Words in the columns of a file.

use std::fmt;

use rusqlite::types::ValueRef;
use serde::{Serialize, Serializer};

use crate::db::row::Lenient;
use crate::event::{EndReason, SessionSource, TaskStatus};

/// A word in a file: one that this release knows, or another one, which a later release
/// or another program wrote.
///
/// It can be compared with known values, and is serialised as the word.
///
/// ```
/// use tower_mcp_store::EndReason;
/// use tower_mcp_store::query::Request;
///
/// fn is_stream(request: &Request) -> bool {
///     request.end_reason.as_ref().is_some_and(|reason| *reason == EndReason::StreamEnd)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Recorded<T> {
    /// A word that this release knows.
    Known(T),
    /// Any other word.
    Other(Box<str>),
}

/// A set of words that a column may hold.
///
/// Only types of this crate implement it.
pub trait Word: Copy + PartialEq + sealed::Sealed + 'static {
    #[doc(hidden)]
    const WORDS: &'static [Self];

    #[doc(hidden)]
    fn word(self) -> &'static str;
}

mod sealed {
    pub trait Sealed {}
}

impl<T: Word> Recorded<T> {
    /// Returns the word as it stands in the file.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(known) => known.word(),
            Self::Other(word) => word,
        }
    }

    /// Returns what the word means, if this release knows it.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(known) => Some(*known),
            Self::Other(_) => None,
        }
    }
}

impl<T: Word> fmt::Display for Recorded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<T: Word> AsRef<str> for Recorded<T> {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl<T: Word> PartialEq<T> for Recorded<T> {
    fn eq(&self, other: &T) -> bool {
        self.known() == Some(*other)
    }
}

impl<T: Word> Serialize for Recorded<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<T: Word> Lenient for Option<Recorded<T>> {
    fn read(value: ValueRef<'_>) -> Self {
        let word: String = Option::read(value)?;
        let known = T::WORDS.iter().find(|known| known.word() == word);
        Some(match known {
            Some(known) => Recorded::Known(*known),
            None => Recorded::Other(word.into()),
        })
    }
}

/// NULL is the empty word.
impl<T: Word> Lenient for Recorded<T> {
    fn read(value: ValueRef<'_>) -> Self {
        Option::read(value).unwrap_or_else(|| Self::Other("".into()))
    }
}

impl sealed::Sealed for EndReason {}

impl Word for EndReason {
    const WORDS: &'static [Self] = Self::ALL;

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl sealed::Sealed for SessionSource {}

impl Word for SessionSource {
    const WORDS: &'static [Self] = &[Self::Header, Self::Query, Self::Derived];

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl sealed::Sealed for TaskStatus {}

impl Word for TaskStatus {
    const WORDS: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.as_str()
    }
}

macro_rules! words {
    ($(
        $(#[$about:meta])*
        pub enum $name:ident {
            $($(#[$meaning:meta])* $variant:ident = $word:literal,)*
        }
    )*) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$meaning])* $variant,)*
        }

        impl $name {
            /// Returns the word in the file, in snake case.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl sealed::Sealed for $name {}

        impl Word for $name {
            const WORDS: &'static [Self] = &[$(Self::$variant,)*];

            fn word(self) -> &'static str {
                self.as_str()
            }
        }
    )*};
}

words! {
    /// Why requests are missing.
    pub enum LossReason {
        /// The queue was full.
        QueueFull = "queue_full",
        /// SQLite refused the row.
        WriteFailed = "write_failed",
        /// The time of the shutdown was over.
        Shutdown = "shutdown",
        /// The writer was killed, so the number is unknown.
        UncleanShutdown = "unclean_shutdown",
        /// The requests were removed to keep the size of the file, before they were in
        /// the statistics.
        NotCounted = "not_counted",
        /// The requests were removed to keep the size of the file, before a shipper had
        /// copied them.
        Unshipped = "unshipped",
        /// The database to which the file is shipped refused the rows. Only that database has
        /// such losses.
        Refused = "refused",
    }

    /// The kind of change of a listing or of one of its items.
    pub enum ChangeType {
        /// The listing was seen for the first time.
        Initial = "initial",
        /// The listing changed, but no single item did.
        Updated = "updated",
        /// The server announced that the listing has changed.
        Stale = "stale",
        /// A tool is new.
        ToolAdded = "tool_added",
        /// A tool is gone.
        ToolRemoved = "tool_removed",
        /// A tool is defined differently.
        ToolModified = "tool_modified",
        /// A resource is new.
        ResourceAdded = "resource_added",
        /// A resource is gone.
        ResourceRemoved = "resource_removed",
        /// A resource is described differently.
        ResourceModified = "resource_modified",
        /// A resource template is new.
        ResourceTemplateAdded = "resource_template_added",
        /// A resource template is gone.
        ResourceTemplateRemoved = "resource_template_removed",
        /// A resource template is described differently.
        ResourceTemplateModified = "resource_template_modified",
        /// A prompt is new.
        PromptAdded = "prompt_added",
        /// A prompt is gone.
        PromptRemoved = "prompt_removed",
        /// A prompt is defined differently.
        PromptModified = "prompt_modified",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_word_is_typed_and_unknown_word_is_kept() {
        let read = |word: &str| {
            Option::<Recorded<EndReason>>::read(ValueRef::Text(word.as_bytes())).unwrap()
        };
        assert_eq!(read("panic"), EndReason::Panic);
        assert_eq!(read("panic").as_str(), "panic");
        assert_eq!(read("teleported").known(), None);
        let json = serde_json::to_string(&read("teleported"));
        assert_eq!(json.unwrap(), "\"teleported\"");
        assert_eq!(Option::<Recorded<EndReason>>::read(ValueRef::Null), None);
    }

    #[test]
    fn each_change_that_a_listing_can_have_is_known() {
        for noun in ["tool", "resource", "resource_template", "prompt"] {
            for verb in ["added", "removed", "modified"] {
                let word = format!("{noun}_{verb}");
                let read = Recorded::<ChangeType>::read(ValueRef::Text(word.as_bytes()));
                assert_eq!(read.known().map(ChangeType::as_str), Some(&*word));
            }
        }
    }
}
