//! From a workload's template and an image to a canary pod, and the X-ray of what will select that pod.
//!
//! Decides what the canary looks like ([`clone_pod`]), what would happen to it and because of it ([`xray`]), what a
//! promotion writes ([`promotion_patch`]) and when a template counts as changed by someone else ([`template_hash`]). Where
//! the whole Deployment that is wanted is given ([`Desired`]): the one-replica Deployment that tries it
//! ([`canary_deployment`]), and what puts it into production ([`replacement_patch`], [`first_deployment`]).
//! It never talks to a cluster, knows no time, and never changes anything in the template but the image: JSON goes in
//! and JSON comes out, so that fields newer than this build survive.
//!
//! ```
//! use keeper_clone::{CanarySpec, Targets, Workload, XRayInput, clone_pod, promotion_patch, xray};
//! use serde_json::json;
//!
//! let deployment = json!({
//!     "metadata": {"name": "shop", "namespace": "prod", "uid": "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "resourceVersion": "7"},
//!     "spec": {"template": {
//!         "metadata": {"labels": {"app": "shop"}},
//!         "spec": {"containers": [{"name": "web", "image": "quay.io/org/shop:1"}]},
//!     }},
//! });
//! let services = [json!({"metadata": {"name": "shop"}, "spec": {"selector": {"app": "shop"}}})];
//!
//! let workload = Workload::read(&deployment)?;
//! let targets = Targets::choose(&workload, &[])?;
//! let image = "quay.io/org/shop:2@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a".parse()?;
//! let canary = clone_pod(&CanarySpec {
//!     workload: &workload,
//!     targets: &targets,
//!     image: &image,
//!     revision: "44136fa355b3",
//!     run: "a1b2c3",
//!     active_deadline_seconds: 4200,
//!     services: &services,
//! })?;
//! assert_eq!(canary.name, "shop-canary-3f2504");
//!
//! let seen = xray(&XRayInput { services: &services, production_pods: Some(1), ..XRayInput::new(&workload, &canary.pod) });
//! assert!(seen.refusal().is_none());
//! assert_eq!(seen.notes[0].to_string(), "with one production pod the canary takes half of the traffic");
//!
//! let patch = promotion_patch(&workload, &targets, &image, "a1b2c3")?;
//! assert_eq!(patch[0], json!({"op": "test", "path": "/metadata/uid", "value": "3f2504e0-4f89-11d3-9a0c-0305e82c3301"}));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod clone;
mod config;
mod copies;
mod deployment;
mod desired;
mod hash;
mod images;
mod labels;
mod names;
mod note;
mod patch;
mod refusal;
mod replace;
mod selector;
mod targets;
mod triggers;
mod workload;
mod xray;

pub use clone::{CanaryPod, CanarySpec, CloneError, clone_pod};
pub use config::{LATEST_VERSION_ANNOTATION, instantiate_request, not_rolled_out, rolls_out_by_itself};
pub use copies::not_two_copies;
pub use deployment::{CanaryDeployment, CanaryDeploymentSpec, TIER_LABEL, canary_deployment, canary_deployment_name};
pub use desired::Desired;
pub use hash::{template_hash, whole_template_hash};
pub use images::{ProductionImage, SameRepository, production_images, same_repository, template_images};
pub use labels::{CANARY_LABEL, KeptLabel, MANAGED_BY_LABEL, MANAGER, REVISION_LABEL, RUN_LABEL};
pub use names::{canary_name, label_value};
pub use note::Note;
pub use patch::{FENCE_ANNOTATION, fence_patch, promotion_patch};
pub use refusal::Refusal;
pub use replace::{PROMOTED_ANNOTATION, Replacement, first_deployment, replacement_patch};
pub use targets::{Target, Targets};
pub use triggers::image_triggers;
pub use workload::{Malformed, Workload, WorkloadKind};
pub use xray::{ControllerMatch, XRay, XRayInput, production_services, xray};
