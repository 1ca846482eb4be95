//! What a person may meet is in the README: every reason, every annotation, every flag of the programs.

use crate::workspace::Workspace;
use anyhow::Result;

/// What the README has to say, and where it is said first.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let readme = workspace.text("README.md")?;
    let sources = [
        ("the reason", "crates/keeper-rollout/src/because.rs", reasons as fn(&str) -> Vec<String>),
        ("the annotation", "crates/keeper-api/src/keys.rs", annotations),
        ("the reason", "crates/keeper-kill/src/refusal.rs", reasons),
        ("the operator's flag", "bins/operator/src/args.rs", flags),
        ("the killer's flag", "bins/killer/src/args.rs", flags),
    ];
    let mut problems = Vec::new();
    for (kind, path, extract) in sources {
        let told = extract(&workspace.text(path)?);
        if told.is_empty() {
            problems.push(format!("{path}: no longer has what xtask/src/tidy/told.rs looks for ({kind})"));
        }
        let missing = told.into_iter().filter(|word| !readme.contains(word.as_str()));
        problems.extend(missing.map(|word| format!("README.md: says nothing of {kind} {word} ({path})")));
    }
    Ok(problems)
}

/// The CamelCase words that match arms come to.
fn reasons(text: &str) -> Vec<String> {
    let arms = text.lines().filter_map(|line| line.split_once("=> \"")?.1.split_once('"'));
    let words = arms.map(|(word, _)| word).filter(|word| {
        word.starts_with(|first: char| first.is_ascii_uppercase()) && word.chars().all(|c| c.is_ascii_alphanumeric())
    });
    words.map(str::to_owned).collect()
}

/// The keys that a workload's owner may write.
fn annotations(text: &str) -> Vec<String> {
    let (owners, _) = text.split_once("// What we write").unwrap_or((text, ""));
    let keys = owners.lines().filter(|line| line.starts_with("pub const"));
    let keys =
        keys.filter_map(|line| line.split('"').nth(1)).filter(|key| key.starts_with("canary-") && !key.ends_with('/'));
    keys.map(str::to_owned).collect()
}

/// The long names of clap's arguments: given, or made of the field's name.
fn flags(text: &str) -> Vec<String> {
    let mut flags = Vec::new();
    for argument in text.split("#[arg(").skip(1) {
        let (attribute, rest) = argument.split_once(")]").unwrap_or((argument, ""));
        let given = attribute
            .split_once("long = \"")
            .and_then(|(_, name)| name.split_once('"'))
            .map(|(name, _)| name.to_owned());
        let field = rest.split_once(':').and_then(|(field, _)| field.split_whitespace().last());
        let name = given.or_else(|| field.map(|field| field.replace('_', "-")));
        flags.extend(name.map(|name| format!("--{name}")));
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_match_arms() {
        let text = "Self::A(_) => \"UpToDate\",\nSelf::B => f.write_str(\"x\"),\nSelf::C => \"two words\",\n    K::D => \"MidRollout\",";
        assert_eq!(reasons(text), ["UpToDate", "MidRollout"]);
    }

    #[test]
    fn annotations_of_owners() {
        let text = "pub const PREFIX: &str = \"canary-keeper.dev/\";\npub const IMAGE: &str = \"canary-image\";\n// What we write.\npub const PHASE: &str = \"canary-keeper.dev/phase\";";
        assert_eq!(annotations(text), ["canary-image"]);
    }

    #[test]
    fn flags_of_fields() {
        let text = "#[arg(long, env = \"X\")]\n    pub(crate) kubeconfig: Option<PathBuf>,\n#[arg(long = \"namespace\")]\n    namespaces: Vec<String>,\n#[arg(long)]\n    look_interval: D,";
        assert_eq!(flags(text), ["--kubeconfig", "--namespace", "--look-interval"]);
    }
}
