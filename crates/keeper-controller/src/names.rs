//! Every name we make is made of the workload's: two operators can't make two.

use kube::ResourceExt;
use kube::api::DynamicObject;

/// The name of the canary, and of the record.
pub(crate) fn canary_name(workload: &DynamicObject) -> String {
    keeper_clone::canary_name(&workload.name_any(), &workload.uid().unwrap_or_default())
}
