//! [`ResolveError`]: why a registry's answer gives no digest.

use std::error::Error;
use std::time::Duration;

use crate::reference::Reference;

/// Why a reference could not be resolved.
///
/// None of these says that an image changed: a caller keeps what it knew. Whether another attempt helps is said at each
/// variant and by [`retry_helps`](Self::retry_helps). No message contains a credential.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The registry answered 404: the repository or the tag is unknown, deleted or expired. Trying again helps only
    /// after someone pushes.
    #[error("{image} does not exist: {host} answered 404")]
    NotFound {
        /// The reference asked for, canonical.
        image: String,
        /// The host that answered.
        host: String,
    },
    /// The registry or its token service refused us. Some registries answer so for repositories that do not exist.
    /// Trying again helps only after the credentials or the rights change.
    #[error("{host} refuses access to {image}: {why}")]
    Denied {
        /// The reference asked for, canonical.
        image: String,
        /// The host that refused.
        host: String,
        /// What exactly was refused, in words.
        why: String,
    },
    /// The registry or its token service answered 429. Trying again helps after `retry_after`; sooner makes it worse.
    #[error("{host} limits our requests{}", after(.retry_after))]
    RateLimited {
        /// The host that answered.
        host: String,
        /// How long it wants us to wait, when it said so.
        retry_after: Option<Duration>,
    },
    /// The registry or its token service could not be reached, did not answer in time, or answered 5xx. Trying again
    /// later helps.
    #[error("{host} is unavailable: {what}{}", after(.retry_after))]
    Unavailable {
        /// The host meant.
        host: String,
        /// What happened, in words.
        what: String,
        /// How long it wants us to wait, when it said so.
        retry_after: Option<Duration>,
        /// The transport's error, when there is one.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The answer is not a registry's: HTML, a digest that is none, content that does not have the digest it was asked
    /// by. Trying again helps when someone repairs what answers there.
    #[error("{host} does not answer like a registry: {what}")]
    Garbage {
        /// The host that answered.
        host: String,
        /// What is wrong with the answer, in words.
        what: String,
    },
}

impl ResolveError {
    /// Whether the same question may have another answer later without anyone doing anything.
    pub fn retry_helps(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Unavailable { .. } => true,
            Self::NotFound { .. } | Self::Denied { .. } | Self::Garbage { .. } => false,
        }
    }

    /// How long the host wants us to wait, when it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            Self::NotFound { .. } | Self::Denied { .. } | Self::Garbage { .. } => None,
        }
    }

    /// One word for labels and for telling whether an error is still the same kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::Denied { .. } => "denied",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable { .. } => "unavailable",
            Self::Garbage { .. } => "garbage",
        }
    }

    pub(crate) fn not_found(image: &Reference, host: &str) -> Self {
        Self::NotFound { image: image.to_string(), host: host.to_owned() }
    }

    pub(crate) fn denied(image: &Reference, host: &str, why: impl Into<String>) -> Self {
        Self::Denied { image: image.to_string(), host: host.to_owned(), why: why.into() }
    }

    pub(crate) fn unavailable(host: &str, what: impl Into<String>) -> Self {
        Self::Unavailable { host: host.to_owned(), what: what.into(), retry_after: None, source: None }
    }

    pub(crate) fn garbage(host: &str, what: impl Into<String>) -> Self {
        Self::Garbage { host: host.to_owned(), what: what.into() }
    }
}

/// The tail of a message about waiting.
fn after(retry_after: &Option<Duration>) -> String {
    match retry_after {
        Some(wait) => format!(", wants us to wait {} s", wait.as_secs()),
        None => String::new(),
    }
}
