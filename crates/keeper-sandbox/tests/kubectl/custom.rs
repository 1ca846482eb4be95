//! Custom kinds: served, explained and checked as their definition says.

use super::tool::Kubectl;

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: things, kind: Thing, shortNames: [th], categories: [all, parts]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    schema:
      openAPIV3Schema:
        type: object
        description: A thing of the tests.
        required: [spec]
        properties:
          spec:
            type: object
            description: What is wanted.
            required: [size]
            properties:
              size: {type: integer, description: How big it is., minimum: 1, maximum: 10}
              color: {type: string, description: Its colour., enum: [red, blue], default: red}
              port: {x-kubernetes-int-or-string: true, description: Where it listens.}
              template:
                type: object
                description: A whole object.
                x-kubernetes-preserve-unknown-fields: true
                properties:
                  metadata: {type: object, properties: {name: {type: string, description: Its name.}}}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
"#;

const THING: &str = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\nspec: {size: 1}\n";

async fn defined(k: &Kubectl) {
    k.feed("apply -f -", DEFINITION).await;
    k.run("wait --for=condition=Established crd/things.example.com --timeout=10s").await;
    k.forget();
}

pub(crate) async fn custom_resources_are_served_like_built_in_ones(k: &Kubectl) {
    defined(k).await;
    assert_eq!(k.feed("apply -f -", THING).await, "thing.example.com/t created\n");
    assert_eq!(k.feed("apply -f -", &THING.replace("size: 1", "size: 2")).await, "thing.example.com/t configured\n");
    assert_eq!(k.row("get th", "t").await, ["t", "2"]);
    k.run("patch th t --type=merge -p {\"spec\":{\"size\":3}}").await;
    assert_eq!(k.row("get things", "t").await, ["t", "3"]);
    let ready = r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
    k.run(&format!("patch th t --type=merge --subresource=status -p {ready}")).await;
    assert_eq!(k.row("get parts", "t").await, ["t", "3", "True"]);
    k.run("wait --for=condition=Ready th/t --timeout=10s").await;
    assert!(k.run("describe th t").await.contains("Size:"));
    let (code, _, err) = k.edit("th t", "size: 3", "size: 4").await;
    assert_eq!(code, 0, "{err}");
    assert_eq!(k.json("get th t").await["spec"]["size"], 4);
    k.run("delete th t").await;
    k.run("delete crd things.example.com").await;
    k.forget();
    let gone = k.fails("get things").await;
    assert!(gone.contains("the server doesn't have a resource type \"things\""), "{gone}");
}

pub(crate) async fn custom_kinds_are_explained(k: &Kubectl) {
    defined(k).await;
    let explained = k.run("explain th").await;
    assert!(explained.contains("A thing of the tests."), "{explained}");
    assert!(explained.contains("  spec\t<Object> -required-\n    What is wanted.\n"), "{explained}");
    let explained = k.run("explain th.spec").await;
    assert!(explained.starts_with("GROUP:      example.com\nKIND:       Thing\nVERSION:    v1\n"), "{explained}");
    assert!(explained.contains("  size\t<integer> -required-\n    How big it is.\n"), "{explained}");
    assert!(explained.contains("  color\t<string>\n  enum: red, blue\n    Its colour.\n"), "{explained}");
    assert!(k.run("explain th.spec.template.metadata.name").await.contains("Its name."));
    assert!(k.run("explain th --recursive").await.contains("color"));
    assert!(k.run("explain th.metadata.labels").await.contains("What the object is selected by."));
    let wrong = k.fails("explain th.spec.none").await;
    assert!(wrong.contains("field \"none\" does not exist"), "{wrong}");
    // A changed definition is explained anew.
    k.feed("apply -f -", &DEFINITION.replace("How big it is.", "Its extent.")).await;
    assert!(k.run("explain th.spec.size").await.contains("Its extent."));
}

pub(crate) async fn custom_objects_are_checked(k: &Kubectl) {
    defined(k).await;
    for (from, to, fault) in [
        ("size: 1", "size: 11", "spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10"),
        ("size: 1", "size: big", "spec.size in body must be of type integer: \"string\""),
        (
            "size: 1",
            "size: 1, color: green",
            "spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\"",
        ),
        ("size: 1", "", "spec.size: Required value"),
        ("size: 1", "size: 1, extra: 1", "strict decoding error: unknown field \"spec.extra\""),
    ] {
        for verb in ["create", "apply"] {
            let (code, out, err) = k.output(&format!("{verb} -f -"), &THING.replace(from, to)).await;
            assert_ne!(code, 0, "{out}");
            assert!(err.contains(fault), "{err}");
        }
    }
    k.feed("create --validate=false -f -", &THING.replace("size: 1", "size: 1, extra: 1")).await;
    let stored = k.json("get th t").await;
    assert_eq!(stored["spec"], serde_json::json!({ "size": 1, "color": "red" }));
}

/// Our own definition, whose schema is large and has rules in CEL.
pub(crate) async fn a_canary_is_explained_and_taken(k: &Kubectl) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    k.run(&format!("apply -f {root}/deploy/crd/canaries.yaml")).await;
    k.run("wait --for=condition=Established crd/canaries.canary-keeper.dev --timeout=10s").await;
    k.forget();
    let spec = k.run("explain cny.spec").await;
    assert!(spec.contains("  deploymentTemplate\t<Object> -required-\n"), "{spec}");
    assert!(k.run("explain cny.spec.deploymentTemplate.spec").await.contains("FIELDS:"));
    assert!(k.run("explain cny --recursive").await.contains("metrics"));
    let out = k.run(&format!("apply -f {root}/testdata/canaries/few-words.yaml")).await;
    assert!(out.starts_with("canary.canary-keeper.dev/") && out.ends_with(" created\n"), "{out}");
    let table = k.run("get cny").await;
    assert!(table.starts_with("NAME"), "{table}");
    assert_eq!(table.lines().count(), 2, "{table}");
}
