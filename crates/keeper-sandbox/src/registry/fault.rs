//! Wrong answers on purpose.

use std::time::Duration;

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// 429, with `Retry-After` if there is a time.
    TooManyRequests {
        /// How long the client is told to wait, in whole seconds.
        retry_after: Option<Duration>,
    },
    /// This status, with an error body as the distribution API has it.
    Status(u16),
    /// 200 with a page of HTML, as a proxy's login page.
    Html,
    /// No `Docker-Content-Digest`.
    NoDigest,
    /// A `Docker-Content-Digest` that is not the body's.
    WrongDigest,
    /// The right answer, this much later.
    Slow(Duration),
}

/// A fault and the requests that it meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// Only requests of this method; `None` for all.
    pub method: Option<String>,
    /// Only paths that hold this text; empty for all. `/token` is the token endpoint.
    pub path: String,
    /// How many requests it meets; `None` for all until it is cleared.
    pub times: Option<u32>,
}

impl Fault {
    /// A fault of every request for manifests.
    #[must_use]
    pub fn of_manifests(kind: FaultKind) -> Self {
        Self { kind, method: None, path: "/manifests/".to_owned(), times: None }
    }

    /// The same for so many requests only.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    fn meets(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted == method) && path.contains(&self.path)
    }
}

/// The fault for a request; one that is used up is taken off the list.
pub(super) fn take(faults: &mut Vec<Fault>, method: &str, path: &str) -> Option<FaultKind> {
    let position = faults.iter().position(|fault| fault.meets(method, path))?;
    let fault = faults.get_mut(position)?;
    let kind = fault.kind.clone();
    if let Some(times) = &mut fault.times {
        *times = times.saturating_sub(1);
        if *times == 0 {
            faults.remove(position);
        }
    }
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_used_up() {
        let mut faults = vec![Fault::of_manifests(FaultKind::Status(503)).times(2)];
        assert_eq!(take(&mut faults, "GET", "/v2/a/blobs/x"), None);
        assert!(take(&mut faults, "GET", "/v2/a/manifests/x").is_some());
        assert!(take(&mut faults, "HEAD", "/v2/a/manifests/x").is_some());
        assert_eq!(take(&mut faults, "HEAD", "/v2/a/manifests/x"), None);
    }
}
