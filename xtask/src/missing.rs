//! What this machine could not show: an honest list, so that a green run says no more than it did.

use std::path::{Path, PathBuf};

/// Programs that some tests use when they are there, by the names they go by, and what is left out without them.
const PROGRAMS: [(&[&str], &str); 3] = [
    (&["kubectl"], "the sandbox's API server, and undoing a promotion, with a real kubectl"),
    (&["docker-registry"], "image resolution against a registry not of our making"),
    (&["alertmanager", "prometheus-alertmanager"], "a canary ended by a real Alertmanager"),
];

/// Everything that was not run, in words. `notes` is the file that tests write to, `ignored` how many cargo left out.
pub(crate) fn list(notes: &Path, ignored: usize) -> Vec<String> {
    let mut list: Vec<_> = std::fs::read_to_string(notes)
        .unwrap_or_default()
        .lines()
        .map(|line| line.trim_start_matches("NOT RUN:").trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    list.sort();
    list.dedup();
    for (names, what) in PROGRAMS {
        let here = names.iter().any(|name| on_path(name).is_some());
        let noted = || list.iter().any(|line| names.iter().any(|name| line.contains(name)));
        if let Some(name) = names.first().filter(|_| !here && !noted()) {
            list.push(format!("no {name} on PATH: {what}"));
        }
    }
    list.push(format!("the scenarios on a real control plane: cargo xtask e2e ({})", real_control_plane()));
    if ignored > 0 {
        list.push(format!("{ignored} ignored tests; the whole model check is cargo xtask model"));
    }
    list
}

/// Whether `e2e` could be run here.
fn real_control_plane() -> String {
    let mut lacks = Vec::new();
    if !is_root() {
        lacks.push("root");
    }
    if on_path("go").is_none() && !crate::e2e::built_before() {
        lacks.push("Go");
    }
    let tools = ["unshare", "ip", "openssl"];
    lacks.extend(tools.iter().filter(|tool| on_path(tool).is_none()));
    if lacks.is_empty() { "can be run here".into() } else { format!("lacks {} here", lacks.join(", ")) }
}

/// Where a program is found.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Whether we may make network namespaces.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_named_once() {
        let notes = std::env::temp_dir().join(format!("keeper-not-run-{}", std::process::id()));
        std::fs::write(&notes, "NOT RUN: no such-program here\nNOT RUN: no such-program here\n\n").unwrap();
        let list = list(&notes, 2);
        std::fs::remove_file(&notes).unwrap();
        assert_eq!(list.iter().filter(|line| line.contains("such-program")).count(), 1);
        assert!(list.last().unwrap().starts_with("2 ignored tests"));
    }
}
