//! Resource mode: the same production, which nobody watches, and a Canary that is edited for each release.

use super::args::Args;
use super::images::Release;
use super::manifests::{self, APP, NAMESPACE};
use kube::api::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

/// Where a Canary has its checks; that of annotation mode is an annotation.
const METRICS: &str = "/spec/metrics";
/// The kind's definition, as it is installed on clusters.
const DEFINITION: &str = include_str!("../../../../deploy/crd/canaries.yaml");

/// The kind.
pub(super) fn kind() -> ApiResource {
    let kind = GroupVersionKind::gvk("canary-keeper.dev", "v1alpha1", "Canary");
    ApiResource::from_gvk_with_plural(&kind, "canaries")
}

/// The kind's definition.
pub(super) fn definition() -> Result<Value, serde_saphyr::Error> {
    serde_saphyr::from_str(DEFINITION)
}

/// The Canary that asks for this image: the Deployment as it is wanted, which says nothing of replicas.
pub(super) fn canary(image: &str, args: &Args) -> Value {
    let [_, _, mut wanted] = manifests::plain(image, args.replicas);
    if let Some(spec) = wanted.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("replicas");
    }
    let mut canary = json!({
        "apiVersion": "canary-keeper.dev/v1alpha1", "kind": "Canary",
        "metadata": {"name": APP, "namespace": NAMESPACE},
        "spec": {"incubation": format!("{}s", args.incubation), "metrics": [], "deploymentTemplate": wanted},
    });
    manifests::replace(&mut canary, METRICS, json!([manifests::check(args.prometheus)]));
    canary
}

/// The tag under which a release is pushed: a Canary names another one each time.
pub(super) fn tag(release: &Release) -> String {
    format!("v{}", release.version)
}

/// The images that the operator's words are about: none while they are about an earlier generation.
pub(super) fn about(generation: Option<i64>, status: &Value) -> String {
    if generation.is_none() || status.get("observedGeneration").and_then(Value::as_i64) != generation {
        return String::new();
    }
    let images = status.get("images").and_then(Value::as_object);
    images.into_iter().flatten().filter_map(|(_, image)| image.as_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &[&str]) -> Args {
        Cli::parse_from([&["demo"], words].concat()).args
    }

    #[test]
    fn production_is_not_watched_and_keeps_its_replicas() {
        let args = args(&["--replicas", "7"]);
        let [_, _, deployment] = manifests::plain("r/shop/app@sha256:0", args.replicas);
        assert_eq!(deployment["metadata"]["labels"], json!({"app": APP}));
        assert_eq!(deployment["metadata"]["annotations"], json!({}));
        assert_eq!(deployment["spec"]["replicas"], 7);
        let canary = canary("r/shop/app:v2", &args);
        let template = &canary["spec"]["deploymentTemplate"];
        assert_eq!((&template["metadata"]["name"], &template["spec"]["replicas"]), (&json!(APP), &Value::Null));
        assert_eq!(template["spec"]["template"]["spec"]["containers"][0]["image"], "r/shop/app:v2");
        assert_eq!(
            (&canary["spec"]["incubation"], &canary["spec"]["metrics"][0]["port"]),
            (&json!("12s"), &json!(8080))
        );
    }

    #[test]
    fn with_prometheus_the_pods_are_not_asked() {
        let canary = canary("r/shop/app:v2", &args(&["--prometheus"]));
        let check = &canary["spec"]["metrics"][0];
        assert_eq!((&check["provider"], &check["port"]), (&json!("main"), &Value::Null));
    }

    #[test]
    fn words_about_an_earlier_generation_are_about_nothing() {
        let status = json!({"observedGeneration": 2, "images": {"r/shop/app:v2": "r/shop/app@sha256:2"}});
        assert_eq!(about(Some(2), &status), "r/shop/app@sha256:2");
        assert_eq!(about(Some(3), &status), "");
        assert_eq!(about(None, &Value::Null), "");
    }

    #[test]
    fn the_definition_is_of_this_kind() {
        let definition = definition().unwrap();
        assert_eq!(definition["metadata"]["name"], format!("{}.{}", kind().plural, kind().group));
    }
}
