/// How durable a commit is when it returns.
///
/// With both settings no commit is lost when the process ends, for any reason, and
/// the file is never damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
#[non_exhaustive]
pub enum Synchronous {
    /// SQLite's `NORMAL`: the operating system has the commit. A power loss may undo
    /// the last commits.
    #[default]
    Normal,
    /// SQLite's `FULL`: the commit is on the disk. Each commit waits for one sync of
    /// the disk.
    Full,
}

impl Synchronous {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::Full => "FULL",
        }
    }
}
