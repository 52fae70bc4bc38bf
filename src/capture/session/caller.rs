//! The caller of a request.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::peers::ClientInfo;
use crate::event::CallerDigest;

/// The caller of a request, and the time. Derived sessions are distinguished by the
/// caller.
#[derive(Debug, Clone)]
pub(in crate::capture) struct Caller {
    /// When the request was received, in unix milliseconds.
    pub(in crate::capture) ts: i64,
    pub(in crate::capture) principal: Option<Arc<str>>,
    /// A hash of the header; see
    /// [`hash_authorization`](super::Sessions::hash_authorization).
    pub(in crate::capture) authorization: Option<u64>,
}

impl Caller {
    /// Returns whether nothing distinguishes this caller from others.
    pub(in crate::capture) fn is_anonymous(&self) -> bool {
        self.principal.is_none() && self.authorization.is_none()
    }

    /// Returns the digest of this caller with this client, unless both are anonymous.
    pub(in crate::capture) fn digest(&self, client: Option<&ClientInfo>) -> Option<CallerDigest> {
        let name = client.and_then(|client| client.name.as_deref());
        let has_credential = !self.is_anonymous();
        if name.is_none() && !has_credential {
            return None;
        }
        let version = client.and_then(|client| client.version.as_deref());
        let principal = self.principal.as_deref();
        let authorization = self.authorization.filter(|_| principal.is_none());
        let authorization = authorization.map(u64::to_le_bytes);
        let [name, version, principal] =
            [name, version, principal].map(|text| text.map(str::as_bytes));
        let authorization = authorization.as_ref().map(|hash| &hash[..]);
        let mut sha256 = Sha256::new();
        for part in [name, version, principal, authorization] {
            // The length is part of the input, so that no two callers have the same bytes.
            sha256.update([part.is_some().into()]);
            let part = part.unwrap_or_default();
            sha256.update((part.len() as u64).to_le_bytes());
            sha256.update(part);
        }
        Some(CallerDigest::new(sha256.finalize().into(), has_credential))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(principal: Option<&str>, authorization: Option<u64>) -> Caller {
        Caller {
            ts: 0,
            principal: principal.map(Into::into),
            authorization,
        }
    }

    fn client(name: Option<&str>, version: Option<&str>) -> ClientInfo {
        ClientInfo {
            name: name.map(Into::into),
            version: version.map(Into::into),
            cut: 0,
        }
    }

    #[test]
    fn callers_who_differ_in_any_part_have_different_digests() {
        let mut digests = Vec::new();
        let credentials = [
            (None, None),
            (Some("alice"), None),
            (Some("bob"), None),
            (None, Some(1)),
            (None, Some(2)),
        ];
        let clients = [
            (None, None),
            (None, Some("ab")),
            (Some("ab"), None),
            (Some(""), Some("ab")),
            (Some("a"), Some("b")),
            (Some("ab"), Some("")),
        ];
        for (principal, authorization) in credentials {
            for (name, version) in clients {
                let caller = caller(principal, authorization);
                digests.extend(caller.digest(Some(&client(name, version))));
            }
        }
        // A version alone does not identify a client.
        assert_eq!(digests.len(), credentials.len() * clients.len() - 2);
        digests.sort_unstable_by_key(|digest| digest.sha256);
        digests.dedup();
        assert_eq!(digests.len(), credentials.len() * clients.len() - 2);
    }

    #[test]
    fn principal_counts_in_place_of_the_authorization() {
        let client = client(Some("c"), Some("1"));
        let with = |authorization| caller(Some("alice"), authorization).digest(Some(&client));
        assert_eq!(with(None), with(Some(1)));
        assert!(with(None).unwrap().has_credential);
        assert!(
            !caller(None, None)
                .digest(Some(&client))
                .unwrap()
                .has_credential
        );
        assert_eq!(caller(None, None).digest(None), None);
    }
}
