//! What production runs by its template.

use std::collections::BTreeMap;

use keeper_image::{Reference, ReferenceError};
use serde_json::Value;

use crate::targets::{Target, Targets, container_name};
use crate::workload::Workload;

/// The image of one target as the template has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductionImage {
    /// The container's name.
    pub container: String,
    /// What it says; why it is none when it can't be read (blank where an OpenShift trigger fills it in later).
    pub image: Result<Reference, ReferenceError>,
}

/// Another container with an image from the same repository, which a promotion does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SameRepository {
    /// The container's name.
    pub container: String,
    /// Whether it is an init container.
    pub init: bool,
    /// Its image.
    pub image: Reference,
}

/// The image of each target, in the targets' order.
pub fn production_images(workload: &Workload<'_>, targets: &Targets) -> Vec<ProductionImage> {
    targets
        .iter()
        .map(|target| ProductionImage {
            container: target.name.clone(),
            image: image_of(container_at(workload, target)),
        })
        .collect()
}

/// The containers and init containers that are no targets and whose image is from a target's repository: often they
/// were meant to change together, so the user is told.
pub fn same_repository(workload: &Workload<'_>, targets: &Targets) -> Vec<SameRepository> {
    let repositories: Vec<_> = production_images(workload, targets)
        .into_iter()
        .filter_map(|production| Some(production.image.ok()?.repository().clone()))
        .collect();
    let is_target =
        |init: bool, index: usize| targets.iter().any(|target| (target.init, target.index) == (init, index));
    let lists = [(false, workload.containers()), (true, workload.init_containers())];
    lists
        .into_iter()
        .flat_map(|(init, list)| list.iter().enumerate().map(move |(index, container)| (init, index, container)))
        .filter(|(init, index, _)| !is_target(*init, *index))
        .filter_map(|(init, _, container)| {
            let image = image_of(Some(container)).ok()?;
            repositories.contains(image.repository()).then(|| SameRepository {
                container: container_name(container).to_owned(),
                init,
                image,
            })
        })
        .collect()
}

/// The image of every container and init container of a `spec.template`, by the container's name.
pub fn template_images(template: &Value) -> BTreeMap<String, String> {
    let list = |name: &str| template.get("spec").and_then(|spec| spec.get(name)).and_then(Value::as_array);
    let all = ["containers", "initContainers"].into_iter().filter_map(list).flatten();
    all.map(|container| {
        let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
        (container_name(container).to_owned(), image.to_owned())
    })
    .collect()
}

pub(crate) fn container_at<'a>(workload: &Workload<'a>, target: &Target) -> Option<&'a Value> {
    let list = if target.init { workload.init_containers() } else { workload.containers() };
    list.get(target.index).filter(|container| container_name(container) == target.name)
}

fn image_of(container: Option<&Value>) -> Result<Reference, ReferenceError> {
    container.and_then(|container| container.get("image")).and_then(Value::as_str).unwrap_or_default().parse()
}
