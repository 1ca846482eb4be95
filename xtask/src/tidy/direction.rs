//! Who may import whom: the table of `ARCHITECTURE.md`.

use crate::workspace::{Dependency, Member};

/// The rows of the libraries, as `ARCHITECTURE.md` draws them: a crate imports only from lower rows.
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<(String, u8)>);

impl Rows {
    /// Reads lines like `2  keeper-api   keeper-clone`.
    pub(super) fn read(architecture: &str) -> Self {
        let mut rows = Vec::new();
        for line in architecture.lines() {
            let mut words = line.split_whitespace();
            if let Some(row) = words.next().and_then(|word| word.parse().ok()) {
                rows.extend(words.filter(|word| word.starts_with("keeper-")).map(|word| (word.to_owned(), row)));
            }
        }
        Self(rows)
    }

    fn of(&self, member: &Member) -> Option<u8> {
        if member.is_program() {
            return Some(PROGRAMS);
        }
        self.0.iter().find(|(name, _)| *name == member.name).map(|(_, row)| *row)
    }
}

/// The row of programs.
const PROGRAMS: u8 = 4;

/// Pairs that the rows allow and the design doesn't, with the reason.
const FORBIDDEN: [(&str, &str, &str); 1] = [(
    "keeper-controller",
    "keeper-prometheus",
    "only programs name concrete metric signals; take an `Arc<dyn HealthSignal>`",
)];

/// Dependencies that only some crates may have, outside of their tests, with the reason.
const RESERVED: [(&[&str], &[&str], &str); 2] = [
    (
        &["kube", "k8s-openapi"],
        &["keeper-api", "keeper-clone", "keeper-controller", "keeper-sandbox"],
        "the others must not move with every Kubernetes release",
    ),
    (&["axum"], &["keeper-serve", "keeper-sandbox"], "servers live there, and authentication lives in keeper-serve"),
];

/// What is wrong with the arrows between crates.
pub(super) fn check(members: &[Member], rows: &Rows) -> Vec<String> {
    let mut problems = Vec::new();
    for member in members {
        for dependency in &member.dependencies {
            problems.extend(arrow(member, &dependency.name, members, rows));
            problems.extend(reserved(member, dependency));
            problems.extend(version_choice(member, dependency));
        }
        if member.is_library() && rows.of(member).is_none() {
            problems.push(format!("{}: has no row in ARCHITECTURE.md's table of directions", member.name));
        }
    }
    problems
}

/// Tests are held to it as well: a testkit sits above what it tests.
fn arrow(from: &Member, to: &str, members: &[Member], rows: &Rows) -> Option<String> {
    let to = members.iter().find(|member| member.name == to)?;
    if to.name == from.name {
        // Its own tests switching on a feature.
        return None;
    }
    if let Some((.., why)) = FORBIDDEN.iter().find(|(a, b, _)| *a == from.name && *b == to.name) {
        return Some(format!("{}: must not import {}: {why}", from.name, to.name));
    }
    match (rows.of(from), rows.of(to)) {
        (Some(from), Some(to)) if to < from => None,
        (Some(_), Some(_)) => {
            Some(format!("{}: imports {}, which is not in a lower row of ARCHITECTURE.md's table", from.name, to.name))
        }
        _ => Some(format!("{}: imports {}, and one of them has no row", from.name, to.name)),
    }
}

fn reserved(member: &Member, dependency: &Dependency) -> Option<String> {
    if dependency.dev || member.is_program() {
        return None;
    }
    let (_, allowed, why) = RESERVED.iter().find(|(names, ..)| names.contains(&dependency.name.as_str()))?;
    if allowed.contains(&member.name.as_str()) {
        return None;
    }
    Some(format!("{}: depends on {}, which only {} may: {why}", member.name, dependency.name, allowed.join(", ")))
}

/// Two choices of a Kubernetes version in one build make k8s-openapi's build script panic, so libraries make none.
fn version_choice(member: &Member, dependency: &Dependency) -> Option<String> {
    let chooses = |feature: &String| matches!(feature.as_str(), "latest" | "earliest") || feature.starts_with("v1_");
    let wrong = member.is_library() && !dependency.dev && dependency.name == "k8s-openapi";
    let feature = dependency.features.iter().find(|feature| wrong && chooses(feature))?;
    Some(format!(
        "{}: enables k8s-openapi/{feature}; a library leaves the Kubernetes version to whoever embeds it",
        member.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str, dependencies: &[(&str, bool, &[&str])]) -> Member {
        let dependency = |(name, dev, features): &(&str, bool, &[&str])| Dependency {
            name: (*name).into(),
            dev: *dev,
            features: features.iter().map(ToString::to_string).collect(),
        };
        Member {
            name: name.into(),
            folder: format!("crates/{name}"),
            dependencies: dependencies.iter().map(dependency).collect(),
            ..Member::default()
        }
    }

    const TABLE: &str = "Words, then:\n\n4  bins/*\n3  keeper-controller   keeper-serve\n2  keeper-api  keeper-clone  keeper-prometheus\n1  keeper-rollout  keeper-image\n0  keeper-signal\n";

    fn all(members: &[Member]) -> Vec<String> {
        check(members, &Rows::read(TABLE))
    }

    fn first(members: &[Member]) -> String {
        all(members).into_iter().next().unwrap_or_default()
    }

    #[test]
    fn downward_is_fine() {
        let members = [
            library("keeper-rollout", &[("keeper-signal", false, &[]), ("jiff", false, &[])]),
            library("keeper-signal", &[]),
        ];
        assert_eq!(all(&members), Vec::<String>::new());
    }

    #[test]
    fn upward_and_sideways_are_not_even_for_tests() {
        let upward = [library("keeper-signal", &[("keeper-rollout", true, &[])]), library("keeper-rollout", &[])];
        assert!(first(&upward).contains("not in a lower row"));
        let sideways = [library("keeper-api", &[("keeper-clone", false, &[])]), library("keeper-clone", &[])];
        assert!(first(&sideways).contains("not in a lower row"));
        let pair =
            [library("keeper-controller", &[("keeper-prometheus", false, &[])]), library("keeper-prometheus", &[])];
        assert!(first(&pair).contains("must not import"));
    }

    #[test]
    fn a_crate_may_name_itself_for_its_tests() {
        assert_eq!(all(&[library("keeper-image", &[("keeper-image", true, &["registry"])])]), Vec::<String>::new());
    }

    #[test]
    fn a_new_crate_needs_a_row() {
        assert!(first(&[library("keeper-common", &[])]).contains("has no row"));
    }

    #[test]
    fn kube_and_axum_stay_where_they_belong() {
        assert!(first(&[library("keeper-rollout", &[("kube", false, &[])])]).contains("depends on kube"));
        assert!(first(&[library("keeper-image", &[("axum", false, &[])])]).contains("depends on axum"));
        assert_eq!(all(&[library("keeper-image", &[("axum", true, &[])])]), Vec::<String>::new());
        assert_eq!(all(&[library("keeper-serve", &[("axum", false, &[])])]), Vec::<String>::new());
    }

    #[test]
    fn libraries_choose_no_kubernetes_version() {
        assert!(
            first(&[library("keeper-clone", &[("k8s-openapi", false, &["v1_37"])])])
                .contains("leaves the Kubernetes version")
        );
        assert_eq!(all(&[library("keeper-clone", &[("k8s-openapi", true, &["latest"])])]), Vec::<String>::new());
    }
}
