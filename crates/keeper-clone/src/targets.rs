//! [`Targets`]: the containers whose image changes.

use serde_json::Value;

use crate::refusal::Refusal;
use crate::workload::Workload;

/// How many names a message lists, and how many containers may be named.
const MAX_NAMES: usize = 32;
/// How many characters of a name a message shows.
const MAX_SHOWN: usize = 80;

/// One container whose image changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The container's name.
    pub name: String,
    /// Whether it is an init container.
    pub init: bool,
    /// Its place in its list.
    pub index: usize,
}

impl Target {
    /// The list it is in.
    pub(crate) fn list(&self) -> &'static str {
        if self.init { "initContainers" } else { "containers" }
    }
}

/// The containers whose image changes: at least one, each once, in the order named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets(Vec<Target>);

impl Targets {
    /// Finds the named containers in the template. Without a name, the only container; init containers never, unless
    /// they are named.
    ///
    /// # Errors
    ///
    /// [`Refusal::UnknownContainer`] or [`Refusal::ContainerNameMissing`].
    pub fn choose(workload: &Workload<'_>, names: &[&str]) -> Result<Self, Refusal> {
        if names.is_empty() {
            return Self::only(workload);
        }
        let mut targets: Vec<Target> = Vec::new();
        for name in names.iter().take(MAX_NAMES) {
            let target = find(workload, name).ok_or_else(|| Refusal::UnknownContainer {
                wanted: name.chars().take(MAX_SHOWN).collect(),
                have: have(workload),
            })?;
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        Ok(Self(targets))
    }

    /// The containers, at least one.
    pub fn iter(&self) -> impl Iterator<Item = &Target> {
        self.0.iter()
    }

    fn only(workload: &Workload<'_>) -> Result<Self, Refusal> {
        match workload.containers() {
            [only] => Ok(Self(vec![Target { name: container_name(only).to_owned(), init: false, index: 0 }])),
            _ => Err(Refusal::ContainerNameMissing { have: have(workload) }),
        }
    }
}

fn find(workload: &Workload<'_>, name: &str) -> Option<Target> {
    let place = |list: &[Value]| list.iter().position(|container| container_name(container) == name);
    let (init, index) = match place(workload.containers()) {
        Some(index) => (false, index),
        None => (true, place(workload.init_containers())?),
    };
    Some(Target { name: name.to_owned(), init, index })
}

/// The names of the containers, init containers after the others.
fn have(workload: &Workload<'_>) -> Vec<String> {
    let all = workload.containers().iter().chain(workload.init_containers());
    all.take(MAX_NAMES).map(|container| container_name(container).to_owned()).collect()
}

pub(crate) fn container_name(container: &Value) -> &str {
    container.get("name").and_then(Value::as_str).unwrap_or_default()
}
