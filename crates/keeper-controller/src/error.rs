use std::time::Duration;
use thiserror::Error;

/// A request to the API server that failed, named after what it was for.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// The object is not as the request required: it changed, or exists already. Look again.
    #[error("cannot {what}: it changed meanwhile ({message})")]
    Conflict {
        /// What the request was for.
        what: &'static str,
        /// The server's words.
        message: String,
    },
    /// The server won't: invalid, forbidden, over a quota. Asking again does not help until something changes.
    #[error("cannot {what}: {message}")]
    Refused {
        /// What the request was for.
        what: &'static str,
        /// The server's words.
        message: String,
    },
    /// The object isn't there.
    #[error("cannot {what}: not found")]
    NotFound {
        /// What the request was for.
        what: &'static str,
    },
    /// No answer, or a passing one. Asking again helps.
    #[error("cannot {what}")]
    Unavailable {
        /// What the request was for.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time: it may have been carried out or not. Looking again tells.
    #[error("cannot {what}: no answer within {} s", after.as_secs())]
    TimedOut {
        /// What the request was for.
        what: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// A patch of ours is none. A fault of this program.
    #[error("a promotion could not be put into words")]
    Patch(#[source] serde_json::Error),
}

impl ClusterError {
    pub(crate) fn of(what: &'static str) -> impl Fn(kube::Error) -> Self {
        move |error| match error {
            kube::Error::Api(status) => {
                let message = status.message.clone();
                match status.code {
                    404 => Self::NotFound { what },
                    409 => Self::Conflict { what, message },
                    400..=499 if status.code != 408 && status.code != 429 => Self::Refused { what, message },
                    _ => Self::Unavailable { what, source: Box::new(kube::Error::Api(status)) },
                }
            }
            other => Self::Unavailable { what, source: Box::new(other) },
        }
    }

    pub(crate) fn patch(error: serde_json::Error) -> Self {
        Self::Patch(error)
    }

    /// Whether a server answered at all.
    pub(crate) fn is_an_answer(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::Refused { .. } | Self::NotFound { .. } => true,
            Self::Unavailable { source, .. } => matches!(**source, kube::Error::Api(_)),
            Self::TimedOut { .. } | Self::Patch(_) => false,
        }
    }

    /// Whether asking again helps.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::TimedOut { .. })
    }

    /// Whether the object changed meanwhile, or exists already.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    /// A short name of the kind, for a metric's label.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Refused { .. } => "refused",
            Self::NotFound { .. } => "not_found",
            Self::Unavailable { .. } | Self::TimedOut { .. } => "unavailable",
            Self::Patch(_) => "internal",
        }
    }
}
