//! The scale subresource.

use serde_json::json;

use super::super::script::{MERGE, Script};
use super::{apps, core, deployment};

pub(crate) fn script() -> Script {
    let mut script = Script::new("scale");
    script.post(apps("deployments"), deployment("web"));
    script.get(apps("deployments/web")).settled().save("web");
    script.get(apps("deployments/web/scale")).save("scale");
    let scale = |replicas: i64| json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": { "name": "web", "namespace": "{ns}" }, "spec": { "replicas": replicas } });
    script.put(apps("deployments/web/scale?dryRun=All"), scale(3));
    script.put(apps("deployments/web/scale?dryRun=All"), scale(-1));
    script.put(apps("deployments/none/scale"), scale(1));
    let mut stale = scale(3);
    stale["metadata"]["resourceVersion"] = json!("1");
    script.put(apps("deployments/web/scale"), stale);
    let mut other = scale(3);
    other["metadata"]["name"] = json!("other");
    script.put(apps("deployments/web/scale"), other);
    let mut fresh = scale(0);
    fresh["metadata"]["resourceVersion"] = json!("${scale:/metadata/resourceVersion}");
    fresh["metadata"]["uid"] = json!("${scale:/metadata/uid}");
    script.put(apps("deployments/web/scale"), fresh);
    script.put(
        apps("deployments/web/scale"),
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" } }),
    );
    script.put(
        apps("deployments/web/scale"),
        json!({ "kind": "Scale", "apiVersion": "autoscaling/v1", "spec": { "replicas": "x" } }),
    );
    script.patch(apps("deployments/web/scale?dryRun=All"), MERGE, json!({ "spec": { "replicas": null } }));
    script.patch(apps("deployments/web/scale?dryRun=All"), MERGE, json!({ "spec": { "replicas": -5 } }));
    script.patch(
        apps("deployments/web/scale?dryRun=All"),
        MERGE,
        json!({ "metadata": { "resourceVersion": "1" }, "spec": { "replicas": 2 } }),
    );
    script.get(apps("deployments/web")).settled();
    script.delete(apps("deployments/web/scale"), json!(null));
    script.post(apps("deployments/web/scale"), scale(1));
    script.get(apps("deployments/web/scale?watch=1"));
    script.get(apps("daemonsets/web/scale"));
    script.get(core("configmaps/web/scale"));
    script
}
