//! What the operator asked for, told apart.

use keeper_sandbox::Rights;
use keeper_sandbox::api::RequestRecord;
use serde_json::Value;
use std::path::Path;

/// What the operator may, by its manifest's Role.
pub fn rights() -> Rights {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/base/operator.yaml");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap();
    Rights::of(&objects)
}

/// `verb resource[/subresource][ dry-run]`.
pub fn describe(request: &RequestRecord) -> String {
    let subresource = if request.subresource.is_empty() { String::new() } else { format!("/{}", request.subresource) };
    let dry = if request.dry_run { " dry-run" } else { "" };
    format!("{} {}{subresource}{dry}", request.verb, request.resource)
}

/// The patches of production's template, as the API server got them; without those that it refused because somebody
/// else had written the workload meanwhile, as its controller does.
pub fn promotions(requests: &[RequestRecord]) -> Vec<&RequestRecord> {
    let touches_template = |request: &&RequestRecord| {
        let body = request.body.as_ref().map(ToString::to_string).unwrap_or_default();
        let refused = matches!(request.code, 409 | 422);
        ["deployments", "deploymentconfigs"].contains(&request.resource.as_str())
            && request.is_write()
            && !refused
            && body.contains("/spec/template")
    };
    requests.iter().filter(touches_template).collect()
}

/// The canaries that were created for real.
pub fn creations(requests: &[RequestRecord]) -> Vec<&RequestRecord> {
    requests.iter().filter(|r| r.resource == "pods" && r.verb == "create" && r.is_write() && r.code == 201).collect()
}
