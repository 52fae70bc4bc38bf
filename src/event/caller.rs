/// The SHA-256 of who calls: client name, client version, and principal or
/// `Authorization`. The file holds a keyed hash of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CallerDigest {
    /// The hash.
    pub sha256: [u8; 32],
    /// Whether a principal or an authorization is a part of it. Without one, all users of
    /// a client have the same digest.
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
