//! An upstream under a path prefix.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::uri::PathAndQuery;
use http::{StatusCode, Uri};

use super::prefix::{Prefix, Stripped};
use super::upstream::Upstream;

/// The prefix under which clients reach the upstream.
pub(super) struct Mount {
    pub(super) prefix: Prefix,
    /// Whether a stream of the 2024-11-05 transport was seen.
    is_legacy: AtomicBool,
}

/// The targets of a request.
pub(super) struct Targets {
    pub(super) first: Uri,
    /// The target to try next, if the upstream has nothing at the first one.
    pub(super) second: Option<Uri>,
}

/// Why a request has no target.
pub(super) enum NoTarget {
    Invalid(http::Error),
    /// The path does not have the prefix.
    OtherPath,
}

impl From<Uri> for Targets {
    fn from(first: Uri) -> Self {
        let second = None;
        Self { first, second }
    }
}

impl Mount {
    pub(super) fn new(prefix: Prefix) -> Self {
        Self {
            prefix,
            is_legacy: AtomicBool::new(false),
        }
    }

    /// Returns the targets of a request for `uri`. The crate's documentation has the rule.
    pub(super) fn targets(&self, upstream: &Upstream, uri: &Uri) -> Result<Targets, NoTarget> {
        let target = |uri: &Uri| upstream.target(uri).map_err(NoTarget::Invalid);
        let with_path = |path: &str| {
            let path = match uri.query() {
                Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
                None => PathAndQuery::try_from(path),
            };
            let path = path.map_err(|error| NoTarget::Invalid(error.into()))?;
            target(&Uri::from(path))
        };
        match self.prefix.strip(uri.path()) {
            None => Err(NoTarget::OtherPath),
            Some(Stripped::Path("")) => Ok(with_path("/")?.into()),
            Some(Stripped::Path(rest)) => Ok(with_path(rest)?.into()),
            // A server that knows its public URL has its metadata at the client's path. Another
            // server has them at the path without the prefix.
            Some(Stripped::WellKnown { name, rest }) => Ok(Targets {
                first: target(uri)?,
                second: Some(with_path(&format!("{name}{rest}"))?),
            }),
        }
    }

    /// Returns whether the transport of the upstream was seen not to work under a prefix.
    pub(super) fn is_legacy(&self) -> bool {
        self.is_legacy.load(Relaxed)
    }

    /// Logs once that the transport of the upstream does not work under a prefix.
    pub(super) fn warn_of_legacy(&self, origin: &str) {
        if !self.is_legacy.swap(true, Relaxed) {
            tracing::warn!(
                "{origin} has the transport of 2024-11-05, which sends messages to a path without \
                 the prefix {}; give it an address of its own",
                self.prefix.as_str()
            );
        }
    }
}

/// Returns whether the upstream may have the metadata at another path.
pub(super) fn is_absent(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    )
}
