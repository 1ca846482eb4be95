//! What the sandbox leaves out: asked, so that the list of exceptions names it. That the sandbox then says so is a test of
//! its own, in `tests/api_bad_input.rs`.

use serde_json::json;

use super::super::script::Script;
use super::core;

pub(crate) fn script() -> Script {
    let mut script = Script::new("not-part-of-it");
    let applied = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";
    script.send("PATCH", core("configmaps/a?fieldManager=m"), "application/apply-patch+yaml", applied);
    for group in
        ["rbac.authorization.k8s.io/v1/clusterroles", "admissionregistration.k8s.io/v1/validatingwebhookconfigurations"]
    {
        script.get(format!("/apis/{group}?limit=1"));
    }
    let asked = json!({ "spec": { "resourceAttributes": { "verb": "get", "resource": "pods" } } });
    script.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", asked);
    for form in ["application/yaml", "application/vnd.kubernetes.protobuf", "application/cbor"] {
        script.get(core("configmaps?labelSelector=none")).accept(form);
    }
    script
}
