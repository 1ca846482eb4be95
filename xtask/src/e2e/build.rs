//! The control plane's programs: ordinary Go modules, built by name and kept outside the clone, so that a fresh clone
//! has them too.

use crate::{cargo, missing, say};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The programs, and the package each is built from.
const PROGRAMS: [(&str, Module, &str); 3] = [
    ("etcd", Module::Etcd, "go.etcd.io/etcd/server/v3"),
    ("kube-apiserver", Module::Kubernetes, "k8s.io/kubernetes/cmd/kube-apiserver"),
    ("kube-controller-manager", Module::Kubernetes, "k8s.io/kubernetes/cmd/kube-controller-manager"),
];

/// The modules under `xtask/control-plane/`.
#[derive(Clone, Copy)]
enum Module {
    Etcd,
    Kubernetes,
}

impl Module {
    fn folder(self, root: &Path) -> PathBuf {
        let name = match self {
            Self::Etcd => "etcd",
            Self::Kubernetes => "kubernetes",
        };
        root.join("xtask/control-plane").join(name)
    }

    /// The version its go.mod requires.
    fn version(self, root: &Path) -> Result<String> {
        let package = match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::Kubernetes => "k8s.io/kubernetes",
        };
        let file = self.folder(root).join("go.mod");
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        required(&text, package).with_context(|| format!("{} requires no {package}", file.display()))
    }
}

/// The folder that holds all programs; builds those it lacks.
pub(super) fn binaries(root: &Path) -> Result<PathBuf> {
    let folder = place(root)?;
    for (program, module, package) in PROGRAMS {
        if !folder.join(program).is_file() {
            build(root, &folder, program, module, package)?;
        }
    }
    Ok(folder)
}

/// Whether nothing needs to be built.
pub(crate) fn built_before() -> bool {
    let root = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let root = root.as_deref().and_then(Path::parent);
    root.and_then(|root| place(root).ok()).is_some_and(|folder| complete(&folder).is_ok())
}

/// The folder, if all programs are in it.
pub(super) fn complete(folder: &Path) -> Result<PathBuf> {
    let folder = std::path::absolute(folder)?;
    let lacks: Vec<_> = PROGRAMS.iter().map(|(name, ..)| *name).filter(|name| !folder.join(name).is_file()).collect();
    if !lacks.is_empty() {
        bail!("{} lacks {}", folder.display(), lacks.join(", "));
    }
    Ok(folder)
}

/// A folder of the user's cache, named after the versions.
fn place(root: &Path) -> Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => {
            PathBuf::from(std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache")
        }
    };
    let versions = format!("kubernetes-{}-etcd-{}", Module::Kubernetes.version(root)?, Module::Etcd.version(root)?);
    Ok(cache.join("canary-keeper/control-plane").join(versions))
}

fn build(root: &Path, folder: &Path, program: &str, module: Module, package: &str) -> Result<()> {
    if missing::on_path("go").is_none() {
        bail!(
            "{program} is not built yet and there is no Go on PATH; name its folder with --assets, or a cluster with --kubeconfig"
        );
    }
    say::step(&format!("building {program} (once; minutes)"));
    let start = Instant::now();
    // Complete or absent: a build that is cut short must not leave half a program under the final name.
    let partial = folder.join(format!("{program}.partial"));
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let mut go = Command::new("go");
    go.current_dir(module.folder(root))
        .args(["build", "-ldflags", &stamp(root, module)?, "-o"])
        .arg(&partial)
        .arg(package);
    if !cargo::status(&mut go)?.success() {
        bail!("go could not build {program}; its message is above");
    }
    std::fs::rename(&partial, folder.join(program)).context("keeping what was built")?;
    say::progress(&format!("built in {}", say::span(start.elapsed())));
    Ok(())
}

/// Stamped as a release is: some clients can't parse the version of an unstamped server.
fn stamp(root: &Path, module: Module) -> Result<String> {
    let version = module.version(root)?;
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or("0"), numbers.next().unwrap_or("0"));
    let set = "-X k8s.io/component-base/version";
    Ok(match module {
        Module::Etcd => "-s -w".into(),
        Module::Kubernetes => {
            format!(
                "-s -w {set}.gitVersion={version} {set}.gitMajor={major} {set}.gitMinor={minor} {set}.gitTreeState=clean"
            )
        }
    })
}

/// The version in a go.mod's `require` line of that package.
fn required(text: &str, package: &str) -> Option<String> {
    let mut lines = text.lines().map(|line| line.trim().trim_start_matches("require "));
    let version = lines.find_map(|line| line.strip_prefix(package)?.strip_prefix(' '))?;
    version.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_required_version() {
        let text = "module m\n\nrequire k8s.io/kubernetes v1.36.3\n\nrequire (\n\tk8s.io/kubernetes-more v2.0.0\n\tgo.etcd.io/x v3.1.0 // indirect\n)\n";
        assert_eq!(required(text, "k8s.io/kubernetes").as_deref(), Some("v1.36.3"));
        assert_eq!(required(text, "go.etcd.io/x").as_deref(), Some("v3.1.0"));
        assert_eq!(required(text, "k8s.io/api"), None);
    }
}
