//! What is said about the crates: manifests, crate docs, the code map, links of the papers.

use crate::workspace::{Member, Workspace};
use anyhow::Result;

/// Files longer than this are named; whether one is still one idea is for a person to say.
const LONG: usize = 600;

/// The papers whose links must lead somewhere.
const PAPERS: [&str; 3] = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"];

/// What is wrong in what is said.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let map = workspace.text("ARCHITECTURE.md")?;
    let mut problems = Vec::new();
    for member in &workspace.members {
        problems.extend(manifest(member, &workspace.text(&format!("{}/Cargo.toml", member.folder))?));
        problems.extend(crate_docs(member, workspace)?);
        problems.extend(testdata(member, workspace)?);
        if !map.contains(&format!("`{}`", map_name(member))) {
            problems.push(format!("{}: is not in ARCHITECTURE.md's code map", member.name));
        }
    }
    for paper in PAPERS {
        let text = workspace.text(paper)?;
        let dead = links(&text).into_iter().filter(|link| !workspace.root.join(link).exists());
        problems.extend(dead.map(|link| format!("{paper}: links to {link}, which does not exist")));
    }
    Ok(problems)
}

/// Source files that have grown long.
pub(super) fn long_files(workspace: &Workspace) -> Result<Vec<String>> {
    let mut long = Vec::new();
    for member in &workspace.members {
        for path in workspace.sources(&format!("{}/src", member.folder))? {
            let lines = workspace.text(&path)?.lines().count();
            if lines > LONG {
                long.push(format!("{path}: {lines} lines; is it still one idea?"));
            }
        }
    }
    Ok(long)
}

/// Libraries stand in the map by name, programs by folder.
fn map_name(member: &Member) -> &str {
    if member.is_program() { &member.folder } else { &member.name }
}

fn manifest(member: &Member, text: &str) -> Vec<String> {
    let name = &member.name;
    let mut problems = Vec::new();
    if member.description.is_empty() {
        problems.push(format!("{name}: its manifest has no description"));
    }
    if member.folder_name() != name {
        problems.push(format!("{name}: lies in {}; folder and package have one name", member.folder));
    }
    if member.publishable {
        problems.push(format!("{name}: its manifest lacks `publish.workspace = true`"));
    }
    if !text.contains("[lints]\nworkspace = true") {
        problems.push(format!("{name}: its manifest lacks `[lints]` with `workspace = true`"));
    }
    problems
}

fn crate_docs(member: &Member, workspace: &Workspace) -> Result<Option<String>> {
    let (file, library) = if member.is_library() { ("lib.rs", true) } else { ("main.rs", false) };
    let text = workspace.text(&format!("{}/src/{file}", member.folder))?;
    let docs: Vec<_> = text.lines().take_while(|line| line.starts_with("//!")).collect();
    Ok(if docs.is_empty() {
        Some(format!("{}: src/{file} does not begin with crate docs", member.name))
    } else if library && !docs.iter().any(|line| line.contains("```")) {
        Some(format!("{}: its crate docs show no example", member.name))
    } else {
        None
    })
}

/// `include_str!` of a workspace file builds here and fails in a packaged crate.
fn testdata(member: &Member, workspace: &Workspace) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    if member.name == "xtask" {
        return Ok(problems);
    }
    for path in workspace.sources(&format!("{}/src", member.folder))? {
        if workspace.text(&path)?.contains("testdata/") {
            problems.push(format!("{path}: names testdata/, which only files under tests/ may read"));
        }
    }
    Ok(problems)
}

/// The targets of a paper's links to files of this repository.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    local.map(|target| target.split('#').next().unwrap_or_default().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_a_paper() {
        let text = "See [the map](ARCHITECTURE.md#code-map), [a site](https://example.com/x) and [above](#top), [b](deploy/README.md).";
        assert_eq!(links(text), ["ARCHITECTURE.md", "deploy/README.md"]);
    }

    #[test]
    fn a_manifest_that_says_nothing() {
        let member = Member { name: "a".into(), folder: "crates/b".into(), publishable: true, ..Member::default() };
        assert_eq!(manifest(&member, "").len(), 4);
        let member = Member {
            name: "a".into(),
            folder: "crates/a".into(),
            description: "Says something".into(),
            ..Member::default()
        };
        assert_eq!(manifest(&member, "[lints]\nworkspace = true\n"), Vec::<String>::new());
    }
}
