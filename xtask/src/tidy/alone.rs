//! Each crate builds alone: in a whole-workspace build one crate's features hide what another lacks.

use crate::cargo::Cargo;
use crate::workspace::{Member, Workspace};
use anyhow::Result;

/// Checks each library and program alone, with its default features, none, and all of them.
pub(super) fn check(cargo: &Cargo, workspace: &Workspace) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for member in &workspace.members {
        for features in feature_sets(member) {
            let mut arguments = vec!["check", "--quiet", "--package", &member.name];
            arguments.extend(features);
            if !cargo.run(&arguments)? {
                problems.push(format!("{}: does not build alone: cargo {}", member.name, arguments.join(" ")));
            }
        }
    }
    Ok(problems)
}

/// What is the same as the default is not checked twice.
fn feature_sets(member: &Member) -> Vec<Option<&'static str>> {
    let mut sets = vec![None];
    if member.features.iter().any(|feature| feature == "default") {
        sets.push(Some("--no-default-features"));
    }
    if !member.features.is_empty() {
        sets.push(Some("--all-features"));
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_features() {
        let member = |features: &[&str]| Member {
            features: features.iter().map(ToString::to_string).collect(),
            ..Member::default()
        };
        assert_eq!(feature_sets(&member(&[])), [None]);
        assert_eq!(feature_sets(&member(&["registry"])), [None, Some("--all-features")]);
        assert_eq!(
            feature_sets(&member(&["default", "x"])),
            [None, Some("--no-default-features"), Some("--all-features")]
        );
    }
}
