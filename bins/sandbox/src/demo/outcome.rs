//! Whether a release ended as it should, by what is left of it. Pure: values in, complaints out.

use super::args::Choice;
use super::cluster::Production;
use super::images::Release;
use super::report::Summary;

/// What phase and reason come to, if they are the end and speak of this digest.
pub(super) fn outcome(production: &Production, digest: &str) -> Option<&'static str> {
    let short = digest.get(.."sha256:".len() + 12)?;
    if !production.about.contains(short) {
        return None;
    }
    match production.phase.as_str() {
        "Settled" if production.reason.starts_with("Promoted") && production.image.ends_with(digest) => {
            Some("promoted")
        }
        "Rejected" => Some("rejected"),
        "Inconclusive" => Some("inconclusive"),
        "Held" => Some("held"),
        _ => None,
    }
}

/// A release that is over.
pub(super) struct Outcome<'a> {
    pub(super) release: &'a Release,
    pub(super) summary: &'a Summary,
    pub(super) before: &'a Production,
    pub(super) after: &'a Production,
    /// Whether the client's errors went back to zero by themselves.
    pub(super) clean: bool,
}

impl Outcome<'_> {
    /// The digest that every production process should run now.
    pub(super) fn runs(&self) -> &str {
        match self.release.choice {
            Choice::Good => &self.summary.digest,
            Choice::Bad => self.before.image.rsplit_once('@').map_or("", |(_, digest)| digest),
        }
    }

    /// What speaks against it.
    pub(super) fn against(&self) -> Vec<String> {
        let Summary { outcome, reason, client, canary_pods_left, .. } = self.summary;
        let expected = self.release.expected();
        let mut complaints = Vec::new();
        let mut unless = |right: bool, complaint: String| {
            if !right {
                complaints.push(complaint);
            }
        };
        unless(outcome == expected, format!("it was {outcome}, and {expected} was right: {reason}"));
        unless(*canary_pods_left == 0, format!("{canary_pods_left} canary pods are left"));
        unless(self.after.complete, "production's own rollout did not complete".into());
        unless(self.clean, "the client's errors did not go back to zero".into());
        unless(client.requests > 0, "the client sent nothing".into());
        match self.release.choice {
            Choice::Good => {
                let pinned = self.after.image.ends_with(&format!("@{}", self.summary.digest));
                unless(pinned, format!("production's image is {}, not the digest that was judged", self.after.image));
                unless(client.errors == 0, format!("a good release cost the client {} errors", client.errors));
            }
            Choice::Bad => {
                unless(self.after.spec == self.before.spec, "production was touched".into());
                unless(client.errors > 0, "the client saw no error, so the bad canary got no traffic".into());
            }
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::report::Client;
    use serde_json::json;
    use std::collections::BTreeMap;

    const DIGEST: &str = "sha256:0123456789abcdef";

    fn production(phase: &str, reason: &str, message: &str, image: &str) -> Production {
        Production {
            image: image.into(),
            spec: json!({"image": image}),
            complete: true,
            phase: phase.into(),
            reason: reason.into(),
            message: message.into(),
            about: message.into(),
        }
    }

    fn check(phase: &str, reason: &str, message: &str, image: &str, expected: Option<&str>) {
        assert_eq!(outcome(&production(phase, reason, message, image), DIGEST), expected, "{phase} {message}");
    }

    #[test]
    fn an_outcome_is_of_this_digest_or_none() {
        let image = format!("r/shop/app@{DIGEST}");
        check("Settled", "Promoted", "production runs sha256:0123456789ab: watched", &image, Some("promoted"));
        check("Settled", "Promoted", "production runs sha256:0123456789ab: watched", "r/shop/app@sha256:ff", None);
        check("Settled", "UpToDate", "production runs sha256:0123456789ab, which the tag names", &image, None);
        check("Rejected", "Rejected", "sha256:0123456789ab is rejected: errors", "x", Some("rejected"));
        check("Rejected", "Rejected", "sha256:ffffffffffff is rejected: errors", "x", None);
        check("Incubating", "CanaryIncubating", "the canary of sha256:0123456789ab is Ready", "x", None);
    }

    fn complaints(
        choice: Choice,
        outcome: &str,
        before: &str,
        after: &str,
        client: Client,
        clean: bool,
    ) -> Vec<String> {
        let release = Release::chosen(Some(choice)).remove(0);
        let summary = Summary {
            release: "r".into(),
            outcome: outcome.into(),
            reason: "because".into(),
            digest: DIGEST.into(),
            production_image: after.into(),
            canary_pods_left: 0,
            seconds_to_verdict: 1.0,
            client,
            api_requests: BTreeMap::new(),
        };
        let (before, after) = (production("", "", "", before), production("", "", "", after));
        Outcome { release: &release, summary: &summary, before: &before, after: &after, clean }.against()
    }

    #[test]
    fn a_good_release_is_promoted_without_an_error() {
        let (old, new) = ("r/app@sha256:0", format!("r/app@{DIGEST}"));
        let client = |errors| Client { requests: 10, errors };
        assert_eq!(complaints(Choice::Good, "promoted", old, &new, client(0), true), Vec::<String>::new());
        assert_eq!(complaints(Choice::Good, "promoted", old, &new, client(1), true).len(), 1);
        assert_eq!(complaints(Choice::Good, "promoted", old, "r/app:stable", client(0), true).len(), 1);
        assert_eq!(complaints(Choice::Good, "rejected", old, old, client(0), true).len(), 2);
    }

    #[test]
    fn a_bad_release_leaves_production_alone() {
        let (old, new) = ("r/app@sha256:0", format!("r/app@{DIGEST}"));
        let client = |errors| Client { requests: 10, errors };
        assert_eq!(complaints(Choice::Bad, "rejected", old, old, client(5), true), Vec::<String>::new());
        assert_eq!(complaints(Choice::Bad, "rejected", old, &new, client(5), true), ["production was touched"]);
        assert_eq!(complaints(Choice::Bad, "rejected", old, old, client(0), true).len(), 1);
        assert_eq!(complaints(Choice::Bad, "rejected", old, old, client(5), false).len(), 1);
    }
}
