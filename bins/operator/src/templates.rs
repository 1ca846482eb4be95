//! The checks that the operator's owner wrote once, for workloads to name.

use crate::args::Args;
use keeper_api::checks::Templates;
use miette::{Context, IntoDiagnostic, Result};
use std::path::Path;

/// The templates of `--check-templates`: a file each, as a mounted ConfigMap has them.
pub(crate) fn templates(args: &Args) -> Result<Templates> {
    args.check_templates.as_deref().map_or_else(|| Ok(Templates::default()), read)
}

fn read(folder: &Path) -> Result<Templates> {
    let shown = || folder.display().to_string();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).into_diagnostic().wrap_err_with(shown)? {
        names.push(entry.into_diagnostic().wrap_err_with(shown)?.file_name());
    }
    names.sort();
    let mut templates = Templates::default();
    for name in names {
        let name = name.to_string_lossy().into_owned();
        let path = folder.join(&name);
        // A mounted ConfigMap has hidden folders beside its keys.
        if name.starts_with('.') || !path.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&path).into_diagnostic().wrap_err_with(|| path.display().to_string())?;
        let name = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(&name);
        templates.add(name, &text).into_diagnostic().wrap_err_with(|| path.display().to_string())?;
    }
    Ok(templates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn names(files: &[(&str, &str)]) -> std::result::Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        std::fs::create_dir(folder.path().join("..data")).unwrap();
        let args = Args::parse_from(["operator", "--check-templates", folder.path().to_str().unwrap()]);
        let templates = templates(&args).map_err(|error| format!("{error:?}"))?;
        Ok(templates.names().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn each_file_of_the_folder_is_a_template() {
        let check = "check: {kind: latencyShare, bound: 250ms}";
        assert_eq!(names(&[("slow.yaml", check), ("errors", check), (".hidden", "x")]), Ok("errors slow".into()));
        assert_eq!(templates(&Args::parse_from(["operator"])).unwrap(), Templates::default());
    }

    #[test]
    fn what_cannot_work_ends_the_start_and_says_where() {
        let told = names(&[("slow.yaml", "kind: latencyShare")]).unwrap_err();
        assert!(told.contains("slow.yaml") && told.contains("is not known"), "{told}");
        assert!(names(&[("a.yaml", "check: {kind: job}"), ("a.yml", "check: {kind: job}")]).is_err());
        let args = Args::parse_from(["operator", "--check-templates", "/nowhere"]);
        assert!(format!("{:?}", templates(&args).unwrap_err()).contains("/nowhere"));
    }
}
