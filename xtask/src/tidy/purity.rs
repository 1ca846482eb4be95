//! The cores decide and do nothing else: no IO, no clock, no `async`.

use crate::workspace::{Member, Workspace};
use anyhow::Result;

/// The pure crates, and all that each may depend on outside of its tests: what isn't listed can't be reached.
const PURE: [(&str, &[&str]); 2] = [
    ("keeper-rollout", &["keeper-signal", "jiff"]),
    ("keeper-clone", &["keeper-image", "k8s-openapi", "serde", "serde_json", "sha2", "hex", "thiserror"]),
];

/// What the standard library and jiff would still let them do, and what to do instead.
const BANNED: [(&str, &str); 12] = [
    ("async fn", "return what is to be done, and let the controller do it"),
    ("async move", "return what is to be done, and let the controller do it"),
    (".await", "return what is to be done, and let the controller do it"),
    ("::now(", "take `now` as an argument"),
    ("Instant", "take `now` as an argument"),
    ("SystemTime", "take `now` as an argument"),
    ("std::net", "take what was read as an argument"),
    ("std::fs", "take what was read as an argument"),
    ("std::env", "take what was read as an argument"),
    ("std::process", "return what is to be done"),
    ("std::thread", "return what is to be done"),
    ("static mut", "keep state in the values that come and go"),
];

/// What is wrong in the pure crates.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (name, allowed) in PURE {
        let Some(member) = workspace.members.iter().find(|member| member.name == name) else {
            problems.push(format!("{name}: is listed as pure in xtask/src/tidy/purity.rs and does not exist"));
            continue;
        };
        problems.extend(manifest(member, allowed));
        for path in workspace.sources(&format!("{}/src", member.folder))? {
            problems.extend(source(&path, &workspace.text(&path)?));
        }
    }
    Ok(problems)
}

fn manifest(member: &Member, allowed: &[&str]) -> Vec<String> {
    let stray =
        member.dependencies.iter().filter(|dependency| !dependency.dev && !allowed.contains(&dependency.name.as_str()));
    stray
        .map(|dependency| {
            format!(
                "{}: depends on {}; a pure crate depends on {} (or argue in xtask/src/tidy/purity.rs)",
                member.name,
                dependency.name,
                allowed.join(", ")
            )
        })
        .collect()
}

fn source(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let code = line.split("//").next().unwrap_or_default();
        if let Some((word, instead)) = BANNED.iter().find(|(word, _)| code.contains(word)) {
            problems.push(format!("{path}:{number}: `{word}` in a pure crate; {instead}"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    #[test]
    fn a_clock_is_found_and_a_comment_is_not() {
        assert_eq!(
            source("a.rs", "//! Timestamp::now() is for others\nfn step() {} // no .await\n"),
            Vec::<String>::new()
        );
        assert_eq!(
            source("a.rs", "fn f() {\n    let now = Timestamp::now();\n}"),
            ["a.rs:2: `::now(` in a pure crate; take `now` as an argument"]
        );
        assert_eq!(source("a.rs", "pub async fn f() {}").len(), 1);
    }

    #[test]
    fn a_manifest_that_makes_io_possible_is_found() {
        let dependency = |name: &str, dev| Dependency { name: name.into(), dev, ..Dependency::default() };
        let member = Member {
            name: "keeper-rollout".into(),
            dependencies: vec![dependency("jiff", false), dependency("proptest", true), dependency("tokio", false)],
            ..Member::default()
        };
        let problems = manifest(&member, &["jiff"]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems.iter().all(|problem| problem.contains("depends on tokio")));
    }
}
