//! What the garbage collector does with dependents when their owner goes.

use serde_json::{Value, json};

use super::super::script::{MERGE, Script};
use super::core;

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

fn owner(name: &str) -> Value {
    json!({ "metadata": { "name": name } })
}

fn reference(name: &str, uid: &str, more: Value) -> Value {
    let mut reference = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid });
    reference.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    reference
}

fn owned(name: &str, owners: &[Value]) -> Value {
    json!({ "metadata": { "name": name, "ownerReferences": owners } })
}

pub(crate) fn script() -> Script {
    let mut script = Script::new("garbage-collection");
    let path = |name: &str| core(&format!("configmaps/{name}"));
    let of = |owner: &str| reference(owner, &format!("${{{owner}:/metadata/uid}}"), json!(null));
    for name in ["back", "orphan", "fore", "kept"] {
        script.post(core("configmaps"), owner(name)).save(name);
    }
    // In the background: the owner first.
    script.post(core("configmaps"), owned("back-child", &[of("back")])).save("back-child");
    let grandchild = reference("back-child", "${back-child:/metadata/uid}", json!(null));
    script.post(core("configmaps"), owned("back-grandchild", &[grandchild]));
    script.delete(path("back"), json!({ "propagationPolicy": "Background" }));
    script.get(path("back"));
    script.get(path("back-child")).until(404);
    script.get(path("back-grandchild")).until(404);
    // Orphaned: the reference goes, then the owner.
    script.post(core("configmaps"), owned("orphan-child", &[of("orphan")]));
    script.delete(path("orphan"), json!({ "propagationPolicy": "Orphan" }));
    script.get(path("orphan")).until(404);
    script.get(path("orphan-child"));
    // In the foreground: dependents that block first, the others in their own time.
    let block = reference("fore", "${fore:/metadata/uid}", json!({ "blockOwnerDeletion": true }));
    let mut held = owned("fore-held", &[block]);
    held["metadata"]["finalizers"] = json!(["example.com/f"]);
    script.post(core("configmaps"), held);
    script.delete(path("fore"), json!({ "propagationPolicy": "Foreground" }));
    script.get(path("fore-held")).until_there("/metadata/deletionTimestamp");
    script.get(path("fore"));
    script.post(core("configmaps"), owner("fore"));
    script.patch(path("fore-held"), MERGE, json!({ "metadata": { "finalizers": null } }));
    script.get(path("fore-held")).until(404);
    script.get(path("fore")).until(404);
    // An owner that never was, or was another one of that name.
    script.post(core("configmaps"), owned("lost", &[reference("never", UNKNOWN, json!(null))]));
    script.get(path("lost")).until(404);
    script.post(core("configmaps"), owned("other", &[reference("kept", UNKNOWN, json!(null))]));
    script.get(path("other")).until(404);
    // One owner is enough.
    let twice = owned("twice", &[of("kept"), reference("never", UNKNOWN, json!(null))]);
    script.post(core("configmaps"), twice);
    script.get(path("twice")).until_absent("/metadata/ownerReferences/1");
    script.get(path("twice"));
    script.delete(path("kept"), json!(null));
    script.get(path("twice")).until(404);
    script.get(core("configmaps?fieldSelector=metadata.name%21%3Dkube-root-ca.crt"));
    script
}
