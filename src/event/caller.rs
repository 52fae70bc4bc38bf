/// The SHA-256 of what identifies a caller: client name, client version, and principal or
/// `Authorization`. The file holds a keyed hash of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CallerDigest {
    /// The hash.
    pub sha256: [u8; 32],
    /// Whether the digest includes a principal or `Authorization`. If not, all users of one
    /// client have the same digest.
    pub has_credential: bool,
}

impl CallerDigest {
    /// Returns the digest with this hash.
    pub const fn new(sha256: [u8; 32], has_credential: bool) -> Self {
        Self {
            sha256,
            has_credential,
        }
    }
}
