//! The workspace as cargo describes it: members, what they depend on, where their source is.

use crate::cargo::Cargo;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The workspace.
pub(crate) struct Workspace {
    /// Its root folder.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
    /// Our crates, by name.
    pub(crate) members: Vec<Member>,
}

/// One of our crates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    /// The package's name.
    pub(crate) name: String,
    /// Its folder, from the root: `crates/keeper-image`.
    pub(crate) folder: String,
    /// What its manifest says it is.
    pub(crate) description: String,
    /// Whether it could be published by mistake.
    pub(crate) publishable: bool,
    /// Its dependencies of every kind.
    pub(crate) dependencies: Vec<Dependency>,
    /// Its features' names.
    pub(crate) features: Vec<String>,
}

/// A line under `[dependencies]` and its like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dependency {
    /// The package.
    pub(crate) name: String,
    /// Whether only tests and examples see it.
    pub(crate) dev: bool,
    /// The features asked for.
    pub(crate) features: Vec<String>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn read(cargo: &Cargo) -> Result<Self> {
        let text = cargo.read(&["metadata", "--no-deps", "--format-version", "1"])?;
        let metadata: Value = serde_json::from_str(&text).context("cargo metadata is no JSON")?;
        let root = PathBuf::from(text_of(&metadata, "workspace_root"));
        let target = PathBuf::from(text_of(&metadata, "target_directory"));
        let packages = list(&metadata, "packages");
        let mut members: Vec<_> = packages.iter().map(|package| Member::read(package, &root)).collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { root, target, members })
    }

    /// A text file of the workspace, by its path from the root.
    pub(crate) fn text(&self, path: &str) -> Result<String> {
        std::fs::read_to_string(self.root.join(path)).with_context(|| format!("reading {path}"))
    }

    /// The Rust files of a folder, by their paths from the root, sorted.
    pub(crate) fn sources(&self, folder: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.join(folder)];
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
            for entry in entries {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    found.push(path.strip_prefix(&self.root)?.to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

impl Member {
    fn read(package: &Value, root: &Path) -> Self {
        let manifest = PathBuf::from(text_of(package, "manifest_path"));
        let folder = manifest.parent().and_then(|folder| folder.strip_prefix(root).ok());
        Self {
            name: text_of(package, "name"),
            folder: folder.map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default(),
            description: text_of(package, "description"),
            publishable: !package.get("publish").is_some_and(Value::is_array),
            dependencies: list(package, "dependencies").iter().map(Dependency::read).collect(),
            features: package
                .get("features")
                .and_then(Value::as_object)
                .map(|features| features.keys().cloned().collect())
                .unwrap_or_default(),
        }
    }

    /// The folder's last part.
    pub(crate) fn folder_name(&self) -> &str {
        self.folder.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it is a library that strangers embed.
    pub(crate) fn is_library(&self) -> bool {
        self.folder.starts_with("crates/")
    }

    /// Whether it is a program of ours.
    pub(crate) fn is_program(&self) -> bool {
        self.folder.starts_with("bins/")
    }
}

impl Dependency {
    fn read(dependency: &Value) -> Self {
        Self {
            name: text_of(dependency, "name"),
            dev: text_of(dependency, "kind") == "dev",
            features: list(dependency, "features").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }
}

fn text_of(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
